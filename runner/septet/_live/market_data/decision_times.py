"""Decision times: each is reached once, when every symbol due has delivered or grace has passed.

Bars that come after their decision time, or were back-filled, enter by decision times of their
own, in order of their symbol. Only the newest bar of a symbol decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from septet import messages as m
from septet._live.clock import LiveClock
from septet._live.market_data.feed_grid import Grid

__all__ = ["DecisionTimes", "Standing", "default_decide_within_ns", "default_grace_ns"]

_NEVER = -(2**62)


def default_grace_ns(bar_ns: int, speed: float, written_ns: int = 2_000_000_000) -> int:
    """Return the wall time after T in which symbols may deliver: at most an eighth of a bar."""
    return min(written_ns, int(bar_ns / speed) // 8)


def default_decide_within_ns(bar_ns: int, speed: float, written_ns: int | None = None) -> int:
    """Return the wall time after T in which entries are allowed: 1/4 bar, 60 s at most."""
    if written_ns is not None:
        return written_ns
    return min(60_000_000_000, int(bar_ns / speed) // 4)


@dataclass
class Standing:
    """Bars that symbols have delivered, and those that decision times have used (market time).

    `waiting[k]` are the known times of bars that no decision time has taken in, `accounted_ns[k]`
    the known time of the last bar that was given or declared missing, `time_ns` the last decision
    time. A fold of the journal's events, or of a snapshot of the core.
    """

    grids: Sequence[Grid]
    time_ns: int = _NEVER
    waiting: list[deque[int]] = field(default_factory=list)
    accounted_ns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = self.waiting or [deque() for _ in self.grids]
        self.accounted_ns = self.accounted_ns or [_NEVER for _ in self.grids]

    def take(self, event: m.Event) -> None:
        """Process a bar, a gap or a decision time; other events change nothing."""
        if type(event) is m.BarClosed:
            self.waiting[event.symbol].append(event.known_ns)
            self.accounted_ns[event.symbol] = event.known_ns
        elif type(event) is m.DecisionTimeReached:
            self.time_ns = max(self.time_ns, event.time_ns)
            for k in event.present:
                self.waiting[k].popleft()
        elif type(event) is m.Gapped:
            slot = self.grids[event.symbol].slot(event.last_ns)
            known = event.last_ns if slot is None else slot.known_ns
            self.accounted_ns[event.symbol] = max(self.accounted_ns[event.symbol], known)

    def fold(self, events: Iterable[m.Event]) -> Standing:
        """Process a journal's events, in order; return itself."""
        for event in events:
            self.take(event)
        return self


class DecisionTimes:
    """Determines when a decision time is reached, and which symbols have delivered.

    Deterministic: it is given bars and gaps by `take` and the time by `advance`. Bars of one batch
    are all taken before `advance` is called, so that the newest of them is known.
    """

    def __init__(
        self, standing: Standing, clock: LiveClock, *, grace_ns: int, decide_within_ns: int
    ) -> None:
        """Continue from `standing`."""
        self.standing, self._clock = standing, clock
        self.take = standing.take  # a bar or a gap of one symbol, in order
        self.grace_ns, self.decide_within_ns = grace_ns, decide_within_ns
        self.absent: set[int] = set()
        """Symbols that no decision time waits for: the exchange does not list them."""
        self._held: tuple[int, int] = (_NEVER, 0)
        self._silent_until_ns = _NEVER
        self._next: tuple[int, tuple[int, ...]] | None = None

    def begin(self, *, catch_up_ns: int, fresh: bool) -> None:
        """Start at the clock's time.

        Times that have passed wait for back-fill, `catch_up_ns` of wall time at most. In a
        `fresh` run nothing that is known by now decides; after a restart the newest bar does.
        """
        market = self._clock.market_ns()
        if self.standing.time_ns == _NEVER:
            self.standing.time_ns = market
        if fresh:
            self.begin_here()
        self.hold(catch_up_ns)

    def begin_here(self) -> None:
        """Skip all decisions up to now: the first decision is the next one."""
        self._silent_until_ns = self._clock.market_ns()

    def hold(self, catch_up_ns: int) -> None:
        """Make past times wait for back-fill: at a start, or after the clock jumped."""
        self._held = (self._clock.market_ns(), self._clock.now_ns() + catch_up_ns)

    def step(self, now_ns: int) -> list[m.DecisionTimeReached]:
        """Return the decision times of one decision time that is reached by now; none if none is.

        `advance` must follow, since other times may be reached as well. Only this much work lies
        between a bar and its order.
        """
        reached: list[m.DecisionTimeReached] = []
        if self.standing.time_ns != _NEVER:
            self._step(now_ns, reached)
        return reached

    def advance(self) -> list[m.DecisionTimeReached]:
        """Return the decision times that are reached by now, in order."""
        reached: list[m.DecisionTimeReached] = []
        if self.standing.time_ns != _NEVER:
            now_ns = self._clock.now_ns()
            while self._step(now_ns, reached):
                pass
        return reached

    def next_wall_ns(self) -> int | None:
        """Return when `advance` must be called if nothing arrives; None before a start."""
        if self.standing.time_ns == _NEVER:
            return None
        return self._deadline(self._upcoming()[0])

    # ------------------------------------------------------------------------------------

    def _step(self, now_ns: int, reached: list[m.DecisionTimeReached]) -> bool:
        """Reach the next decision time, if all symbols have delivered or grace has passed."""
        standing = self.standing
        upcoming = self._next
        if upcoming is None or upcoming[0] <= standing.time_ns:
            upcoming = self._upcoming()
        time_ns, due = upcoming
        complete = len(due) == len(standing.waiting)
        for queue in standing.waiting:
            complete = complete and len(queue) == 1 and queue[0] == time_ns
        if complete:  # usual case: every symbol has exactly this bar waiting
            standing.time_ns = time_ns
            decides = time_ns > self._silent_until_ns
            reached.append(self._event(now_ns, time_ns, due, (), decides=decides))
            return True
        self._late(now_ns, reached)
        accounted = standing.accounted_ns
        lacking = [k for k in due if accounted[k] < time_ns]
        # Without a symbol that delivers, the time itself is waited for: all others are reached.
        waits = any(k not in self.absent for k in lacking) or len(lacking) == len(due)
        if waits and now_ns < self._deadline(time_ns):
            return False
        present = [k for k in due if self._head(k) == time_ns]
        missing = tuple(k for k in due if k not in present) if len(present) < len(due) else ()
        standing.time_ns = time_ns
        self._reach(now_ns, time_ns, present, missing, reached)
        return True

    def _late(self, now_ns: int, reached: list[m.DecisionTimeReached]) -> None:
        """Add bars whose decision time has passed without them."""
        standing = self.standing
        while True:
            time_ns = 2**62
            for queue in standing.waiting:
                if queue and queue[0] < time_ns:
                    time_ns = queue[0]
            if time_ns > standing.time_ns:
                return
            present = [k for k in range(len(standing.waiting)) if self._head(k) == time_ns]
            self._reach(now_ns, time_ns, present, (), reached)

    def _reach(
        self,
        now_ns: int,
        time_ns: int,
        present: list[int],
        missing: tuple[int, ...],
        reached: list[m.DecisionTimeReached],
    ) -> None:
        """Add the next bar of the symbols present: first of those that have a newer one as well.

        The missing symbols are journaled with the first, so that a crash between loses nothing.
        """
        waiting = self.standing.waiting
        behind = tuple([k for k in present if len(waiting[k]) > 1])
        current = tuple([k for k in present if len(waiting[k]) == 1]) if behind else tuple(present)
        if behind:
            reached.append(self._event(now_ns, time_ns, behind, missing, decides=False))
        if current or not behind:
            decides = bool(current) and time_ns > self._silent_until_ns
            missing = () if behind else missing
            reached.append(self._event(now_ns, time_ns, current, missing, decides=decides))

    def _event(
        self,
        now_ns: int,
        time_ns: int,
        present: tuple[int, ...],
        missing: tuple[int, ...],
        *,
        decides: bool,
    ) -> m.DecisionTimeReached:
        # Lateness is measured by the machine's clock, once that is right again.
        late = decides and (
            now_ns - self._clock.ahead_ns() - self._clock.wall_of_market(time_ns)
            > self.decide_within_ns
        )
        event = m.DecisionTimeReached(
            at_ns=now_ns, time_ns=time_ns, present=present, missing=missing, decides=decides,
            late=late,
        )  # fmt: skip
        self.standing.take(event)
        return event

    def _head(self, k: int) -> int:
        queue = self.standing.waiting[k]
        return queue[0] if queue else 2**62

    def _upcoming(self) -> tuple[int, tuple[int, ...]]:
        """Return the next decision time and the symbols due at it."""
        if self._next is None or self._next[0] <= self.standing.time_ns:
            slots = [grid.known_after(self.standing.time_ns) for grid in self.standing.grids]
            time_ns = min(slot.known_ns for slot in slots)
            due = tuple(k for k, slot in enumerate(slots) if slot.known_ns == time_ns)
            self._next = (time_ns, due)
        return self._next

    def _deadline(self, time_ns: int) -> int:
        usual = self._clock.wall_of_market(time_ns) + self.grace_ns
        return max(usual, self._held[1]) if time_ns <= self._held[0] else usual
