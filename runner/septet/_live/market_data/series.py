"""Outside series of a live run: polled on schedule, first seen wins, a revision is a new row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from septet import messages as m
from septet._data.bars import Finding, SeriesTable
from septet._data.load import keys_of, read_series, request_for, series_blocks
from septet._data.series import next_poll
from septet._data.source import Fetches, Request
from septet._live.circuit_breaker import PluginCaller
from septet._live.clock import LiveClock
from septet_schemas.data import SeriesConfig
from septet_schemas.times import Poll

__all__ = [
    "NEVER_NS", "Reader", "SeriesLine", "SeriesPoller", "SourceReader", "make_series",
    "series_lines",
]  # fmt: skip

NEVER_NS: Final = -(2**62)
"""Stands for a decision time before all times."""
_AGAIN_NS: Final = 1_000_000_000

_HOUR_NS: Final = 3_600_000_000_000
_TIMEOUT_S: Final = 60.0


@dataclass
class SeriesLine:
    """One series: its schedule, and the newest value of every time stamp."""

    name: str
    poll: Poll
    block: Any = None

    def __post_init__(self) -> None:
        self._seen: dict[int, float] = {}
        self.counts: Counter[str] = Counter()

    def next_ns(self, market_ns: int) -> int:
        """Return the first time to poll after a market time."""
        return int(next_poll(np.array([market_ns + 1], dtype=np.int64), self.poll)[0])

    def fold(self, events: Iterable[m.Event]) -> SeriesLine:
        """Store the values that a journal contains; return itself."""
        for event in events:
            if isinstance(event, m.SeriesPoint) and event.name == self.name:
                self._seen[event.stamp_ns] = event.value
        return self

    def take(
        self, table: SeriesTable, *, now_ns: int, market_ns: int, decided_ns: int
    ) -> list[m.SeriesPoint]:
        """Return what is new in a table, in order of when it became known.

        A value is known at the time of its schedule, but not before a decision that was made
        without it: a value that arrives after the decision time `decided_ns` is known after that
        time. A revision is known when it is seen. The first answer is history: requested before
        the first decision time (`decided_ns` below all times), its values keep their own times.
        """
        first, points = not self._seen, list[m.SeriesPoint]()
        rows = zip(
            table.stamp_ns.tolist(), table.known_ns.tolist(), table.value.tolist(), strict=True
        )
        latest = dict(zip(table.stamp_ns.tolist(), table.value.tolist(), strict=True))
        for stamp, known, value in rows:
            stored = self._seen.get(stamp)
            if stored is not None and not first:
                if value == stored or value != latest[stamp]:
                    continue  # unchanged, or older than the version that the table has now
                self.counts["revision"] += 1
                known = max(known, market_ns)
            known = max(known, decided_ns + 1)
            self._seen[stamp] = value
            points.append(
                m.SeriesPoint(
                    at_ns=now_ns, name=self.name, stamp_ns=stamp, known_ns=known, value=value
                )
            )
        return points


def series_lines(blocks: Mapping[str, Any], bar_ns: int) -> list[SeriesLine]:
    """Return a line for each block of series; one without `every` is polled each hour or bar."""
    lines = []
    for name, block in blocks.items():
        every = keys_of(block, SeriesConfig).every or Poll(max(_HOUR_NS, bar_ns))
        lines.append(SeriesLine(name, every, block))
    return lines


Table = tuple[SeriesTable, tuple[Finding, ...]]


class Reader(Protocol):
    """Access to a series: `fetch` downloads, `read` reads stored values; both may fail."""

    def fetch(self, line: SeriesLine, request: Request) -> None: ...

    def read(self, line: SeriesLine, request: Request) -> Table: ...


class SourceReader:
    """Reads the source that the file names, by the rules of history."""

    def fetch(self, line: SeriesLine, request: Request) -> None:
        """Download new values, if the source downloads."""
        source = line.block.declaration(line.block.config)
        if isinstance(source, Fetches):
            source.fetch(request, lambda stage, done, total, text: None)

    def read(self, line: SeriesLine, request: Request) -> Table:
        """Read and normalise the stored values."""
        table, findings, _ = read_series(line.name, line.block, request)
        return table, findings


@dataclass
class _Turn:
    line: SeriesLine
    next_wall_ns: int


class SeriesPoller:
    """Polls each series on schedule, on a thread; one that fails pauses for a while.

    A source that cannot be reached is asked again soon, and what was stored of it is used.
    """

    def __init__(
        self,
        lines: Sequence[SeriesLine],
        request: Request,
        clock: LiveClock,
        plugins: PluginCaller,
        *,
        reader: Reader | None = None,
    ) -> None:
        """Poll all series at the start."""
        self._request, self._clock, self._plugins = request, clock, plugins
        self._reader = reader or SourceReader()
        self._turns = [_Turn(line, clock.now_ns()) for line in lines]
        self._unread_findings: list[Finding] = []

    def fold(self, events: Iterable[m.Event]) -> SeriesPoller:
        """Store the values that a journal contains; return itself."""
        points = [event for event in events if isinstance(event, m.SeriesPoint)]
        for turn in self._turns:
            turn.line.fold(points)
        return self

    def next_wall_ns(self) -> int | None:
        """Return when `ask` must be called next, None without series."""
        return min((turn.next_wall_ns for turn in self._turns), default=None)

    def findings(self) -> tuple[Finding, ...]:
        """Return what was noticed since the last call."""
        findings, self._unread_findings = tuple(self._unread_findings), []
        return findings

    async def run(self, put: Callable[[m.Event], None], decided_ns: Callable[[], int]) -> None:
        """Poll on schedule until cancelled; ends at once without series."""
        while (due := self.next_wall_ns()) is not None:
            # At most a minute: the wall clock may jump while the loop's own does not.
            await asyncio.sleep(min(60.0, max(0.0, (due - self._clock.now_ns()) / 1e9)))
            for event in await self.ask(decided_ns):
                put(event)

    async def ask(self, decided_ns: Callable[[], int] = lambda: NEVER_NS) -> list[m.Event]:
        """Poll every series whose time has come; return new points, and quarantined plugins.

        `decided_ns` is read when an answer is there: the last decision time by then. Before the
        first decision time of a run there is none.
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
        events: list[m.Event] = []
        for name, work, check in (
            (f"series {line.name}", self._reader.fetch, _nothing),
            (f"series {line.name} as stored", self._reader.read, _wrong),
        ):
            answer = await self._plugins.call(
                name, work, line, request, timeout_s=_TIMEOUT_S, check=check
            )
            if answer.event is not None:
                events.append(answer.event)
            if not answer.ok:
                retry_ns = max(
                    self._plugins.breaker(name).until_ns, self._clock.now_ns() + _AGAIN_NS
                )
                turn.next_wall_ns = min(turn.next_wall_ns, retry_ns)
                self._report(line.name, answer.text)
            elif work == self._reader.read:
                table, findings = answer.value
                self._unread_findings += [
                    each for each in findings if each.kind not in ("note", "unfinished")
                ]
                events += line.take(
                    table, now_ns=self._clock.now_ns(), market_ns=self._clock.market_ns(),
                    decided_ns=decided_ns(),
                )  # fmt: skip
        return events

    def _report(self, name: str, text: str) -> None:
        self._unread_findings.append(
            Finding("live", name, "series", "keep", 1, (), f"not read: {text}")
        )


def make_series(loaded: Any, clock: LiveClock, plugins: PluginCaller) -> SeriesPoller:
    """Return the poller of a file's outside series, its funding among them."""
    from septet._data.bar_store import BarStore

    strategy = loaded.strategy
    request = request_for(loaded, store=BarStore(), now_ns=clock.market_ns())
    blocks = series_blocks(strategy.data, request)
    for name, block in blocks.items():
        loaded.access.reach(block.config, f"data.{name}")
    lines = series_lines(blocks, int(strategy.universe.bar))
    return SeriesPoller(lines, replace(request, start_ns=None, end_ns=None), clock, plugins)


def _nothing(value: Any) -> str:
    return ""


def _wrong(value: Any) -> str:
    good = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], SeriesTable)
    return "" if good else f"expected a series, found {type(value).__name__}"
