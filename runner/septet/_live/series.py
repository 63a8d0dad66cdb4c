"""Outside series of a live run: asked on schedule, first seen wins, a revision is a new row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from septet import messages as m
from septet._data.bars import Finding, SeriesTable
from septet._data.load import keys_of, read_series
from septet._data.series import next_poll
from septet._data.source import Fetches, Request
from septet._live.breaker import PluginDesk
from septet._live.clock import LiveClock
from septet_schemas.data import SeriesConfig
from septet_schemas.times import Poll

__all__ = ["SeriesDesk", "SeriesLine", "series_lines"]

_HOUR_NS: Final = 3_600_000_000_000
_TIMEOUT_S: Final = 60.0


@dataclass
class SeriesLine:
    """One series: its schedule, and the newest value seen of every stamp."""

    name: str
    poll: Poll
    block: Any = None

    def __post_init__(self) -> None:
        self._seen: dict[int, float] = {}
        self.counts: Counter[str] = Counter()

    def next_ns(self, market_ns: int) -> int:
        """Return the first time to ask after a market time."""
        return int(next_poll(np.array([market_ns + 1], dtype=np.int64), self.poll)[0])

    def fold(self, events: Iterable[m.Event]) -> SeriesLine:
        """Remember what a journal holds already; return itself."""
        for event in events:
            if isinstance(event, m.SeriesPoint) and event.name == self.name:
                self._seen[event.stamp_ns] = event.value
        return self

    def take(
        self, table: SeriesTable, *, now_ns: int, market_ns: int, decided_ns: int
    ) -> list[m.SeriesPoint]:
        """Return what is new in a table, in order of when it became known.

        A value is known when the schedule says, but not by a decision that was taken without it:
        one that comes after the barrier of `decided_ns` is known after that time. A revision is
        known when it is seen. What the first answer holds is history: asked before the first
        barrier (`decided_ns` below all times), it keeps its own times.
        """
        first, found = not self._seen, list[m.SeriesPoint]()
        rows = zip(
            table.stamp_ns.tolist(), table.known_ns.tolist(), table.value.tolist(), strict=True
        )
        latest = dict(zip(table.stamp_ns.tolist(), table.value.tolist(), strict=True))
        for stamp, known, value in rows:
            given = self._seen.get(stamp)
            if given is not None and not first:
                if value == given or value != latest[stamp]:
                    continue  # as it was, or a version before the one that is there now
                self.counts["revision"] += 1
                known = max(known, market_ns)
            known = max(known, decided_ns + 1)
            self._seen[stamp] = value
            found.append(
                m.SeriesPoint(
                    at_ns=now_ns, name=self.name, stamp_ns=stamp, known_ns=known, value=value
                )
            )
        return found


def series_lines(blocks: Mapping[str, Any], bar_ns: int) -> list[SeriesLine]:
    """Return a line for each block of series; one without `every` is asked each hour or bar."""
    lines = []
    for name, block in blocks.items():
        every = keys_of(block, SeriesConfig).every or Poll(max(_HOUR_NS, bar_ns))
        lines.append(SeriesLine(name, every, block))
    return lines


@dataclass
class _Turn:
    line: SeriesLine
    next_wall_ns: int


class SeriesDesk:
    """Asks each series when it is due, on a thread; what fails is left alone for a while."""

    def __init__(
        self,
        lines: Sequence[SeriesLine],
        request: Request,
        clock: LiveClock,
        plugins: PluginDesk,
        *,
        read: Callable[[SeriesLine, Request], tuple[SeriesTable, tuple[Finding, ...]]]
        | None = None,
    ) -> None:
        """Ask for everything at once first."""
        self._request, self._clock, self._plugins = request, clock, plugins
        self._read = read or read_line
        self._turns = [_Turn(line, clock.now_ns()) for line in lines]
        self._found: list[Finding] = []

    def next_wall_ns(self) -> int | None:
        """Return when `ask` has something to do next, None without series."""
        return min((turn.next_wall_ns for turn in self._turns), default=None)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was noticed since the last call."""
        found, self._found = tuple(self._found), []
        return found

    async def ask(self, decided_ns: Callable[[], int]) -> list[m.Event]:
        """Ask every series that is due; return new points, and plugins that were quarantined.

        `decided_ns` is read when an answer is there: the last decision time by then.
        """
        events: list[m.Event] = []
        for turn in self._turns:
            if self._clock.now_ns() >= turn.next_wall_ns:
                events += await self._ask(turn, decided_ns)
        return events

    async def _ask(self, turn: _Turn, decided_ns: Callable[[], int]) -> list[m.Event]:
        line, asked_ns = turn.line, self._clock.market_ns()
        request = replace(self._request, name=line.name, now_ns=asked_ns)
        turn.next_wall_ns = self._clock.wall_of_market(line.next_ns(asked_ns))
        answer = await self._plugins.call(
            f"series {line.name}", self._read, line, request, timeout_s=_TIMEOUT_S, check=_wrong
        )
        if not answer.ok:
            breaker = self._plugins.breaker(f"series {line.name}")
            again = max(breaker.until_ns, self._clock.now_ns() + 1_000_000_000)
            turn.next_wall_ns = min(turn.next_wall_ns, again)
            text = f"not read: {answer.text}"
            self._found.append(Finding("live", line.name, "series", "keep", 1, (), text))
            return [answer.event] if answer.event is not None else []
        table, found = answer.value
        self._found += [each for each in found if each.kind not in ("note", "unfinished")]
        return list(
            line.take(
                table, now_ns=self._clock.now_ns(), market_ns=self._clock.market_ns(),
                decided_ns=decided_ns(),
            )
        )  # fmt: skip


def read_line(line: SeriesLine, request: Request) -> tuple[SeriesTable, tuple[Finding, ...]]:
    """Download a series if its source does, and read it by the rules of history."""
    source = line.block.declaration(line.block.config)
    if isinstance(source, Fetches):
        source.fetch(request, lambda what, done, total: None)
    table, found, _ = read_series(line.name, line.block, request)
    return table, found


def _wrong(value: Any) -> str:
    good = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], SeriesTable)
    return "" if good else f"expected a series, found {type(value).__name__}"
