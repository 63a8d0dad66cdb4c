"""Simulated time: a heap of things that will happen, one seed for every chance, and a trace."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Final

__all__ = ["BEGIN_NS", "MS", "SECOND", "SPEED", "TRACED", "Simulation"]

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
BEGIN_NS: Final = 19_675 * 86_400 * SECOND
SPEED: Final = 60
"""A second of wall time is a minute of market time, as in a drill."""
TRACED: Final = 40
"""How many steps a failure shows."""
_TRACE_ROWS: Final = 4_000
_MAX_STEPS: Final = 200_000
"""Steps after which a schedule counts as endless."""


class EndlessScheduleError(AssertionError):
    """Something asks for itself again and again."""


class Simulation:
    """What time it is, what will happen, and what has happened.

    Every chance of a schedule is drawn from `chance`, so a seed is the whole schedule.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now_ns = BEGIN_NS
        self._jumps: list[tuple[int, int]] = []
        self.steps = 0
        self.counts: Counter[str] = Counter()
        self._trace: deque[tuple[int, str | Callable[[], str]]] = deque(maxlen=_TRACE_ROWS)
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._next = 0

    @property
    def market_ns(self) -> int:
        """Market time."""
        return self.market_at(self.now_ns)

    @property
    def elapsed_ns(self) -> int:
        """Time that has passed since the beginning: stamps without the jumps of the clock."""
        return self.now_ns - BEGIN_NS - sum(by_ns for _, by_ns in self._jumps)

    def before(self, span_ns: int) -> int:
        """Return the stamp of so long ago."""
        stamp_ns = self.now_ns - span_ns
        for at_ns, by_ns in reversed(self._jumps):
            if stamp_ns >= at_ns:
                break
            stamp_ns -= by_ns
        return stamp_ns

    def jump(self, by_ns: int) -> None:
        """Let the clock jump ahead: no time passes, and nothing happens sooner."""
        self.now_ns += by_ns
        self._jumps.append((self.now_ns, by_ns))
        self._heap[:] = [(due_ns + by_ns, number, do) for due_ns, number, do in self._heap]

    @staticmethod
    def market_at(time_ns: int) -> int:
        """Market time at a wall time."""
        return BEGIN_NS + (time_ns - BEGIN_NS) * SPEED

    def after(self, delay_ns: int, do: Callable[[], None]) -> None:
        """Let something happen later, at a whole millisecond: the venue's clock counts those.

        Of two at one instant, the one asked for first happens first.
        """
        self._next += 1
        due_ns = self.now_ns + max(0, delay_ns)
        heapq.heappush(self._heap, (-(-due_ns // MS) * MS, self._next, do))

    def run_until(self, time_ns: int) -> None:
        """Let everything happen that is due by a time; jumps of the clock put that off."""
        heap, span_ns = self._heap, time_ns - self.now_ns
        until_ns = self.elapsed_ns + span_ns
        while heap and heap[0][0] - self.now_ns <= until_ns - self.elapsed_ns:
            self.now_ns, _, do = heapq.heappop(heap)
            self.steps += 1
            if self.steps > _MAX_STEPS:
                raise EndlessScheduleError(
                    f"more than {_MAX_STEPS} steps: something asks for itself for ever"
                )
            do()
        self.now_ns += until_ns - self.elapsed_ns

    def note(self, text: str | Callable[[], str]) -> None:
        """Write a line of the trace; what is callable is asked only if the trace is read."""
        self._trace.append((self.now_ns, text))

    def count(self, fault: str) -> None:
        """Count a fault that was injected, and write it into the trace."""
        self.counts[fault] += 1
        self.note(f"  !! {fault}")

    def trace(self, about: Collection[str] = ()) -> str:
        """Return the last steps, readable: those that name something of `about`, if any do.

        Steps that did nothing are left out.
        """
        lines = list[str]()
        for time_ns, text in self._trace:
            if reported := text if isinstance(text, str) else text():
                lines.append(f"{(time_ns - BEGIN_NS) / SECOND:10.3f}s {reported}")
        chosen = [line for line in lines if any(name in line for name in about)]
        return "\n".join((chosen or lines)[-TRACED:])
