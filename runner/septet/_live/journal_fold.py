"""The shell's state beside the core: a fold of the journal, kept with its snapshots."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from septet import _learn as learn
from septet import messages as m
from septet._journal.reader import Reader
from septet._live.market_data.bars import BarAssembler
from septet._live.market_data.decision_times import Standing
from septet._live.market_data.feed_shelf import Shelf
from septet._live.market_data.opening import grids_of
from septet._live.shared_account import Member
from septet._live.start import Kept

__all__ = ["Known"]

EXPIRED = learn.REASONS[learn.EXPIRED]
_DATA = ("bar", "series")
_PRICES = frozenset({m.Quoted, m.Printed})


class Known:
    """Progress of bars, decisions, alarms and trainings, folded from a journal."""

    def __init__(self, loaded: Any, *, keep_ns: int) -> None:
        strategy = loaded.strategy
        self.symbols = tuple(strategy.universe.symbols)
        self._grids = grids_of(strategy)
        self._folded = Standing(self._grids)
        # DecisionTimes runs ahead of the stored rows, so it gets its own standing.
        self.standing = Standing(self._grids)
        self.lines: list[tuple[int, float]] = [(-1, float("nan"))] * len(self.symbols)
        self.shelf = Shelf(self.symbols, self._grids, keep_ns=keep_ns)
        self.learns = strategy.model is not None and learn.stored_folder(strategy.model) is None
        self.points: list[m.Event] = []
        self._series = bool(strategy.data.series) or strategy.data.funding is not None
        self.entries = 0
        self.decisions = 0
        self.wakes: set[int] = set()
        self.trains: dict[int, m.Train] = {}
        self.tripped: dict[str, str] = {}
        self.model_expired = False

    # ------------------------------------------------------------ the fold

    def take(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Process a row, in order."""
        self.entries += 1
        kind = type(event)
        if kind in _PRICES and not commands:  # nearly all rows
            return
        if kind is m.BarClosed or kind is m.Gapped or kind is m.DecisionTimeReached:
            self._data(event)
        elif kind is m.Ticked:
            self.wakes = {each for each in self.wakes if each > event.at_ns}
        elif isinstance(event, m.SeriesPoint):
            self.points.append(event)
            if self.learns:
                self.shelf.take(event)
        elif isinstance(event, m.ModelReady | m.ModelFailed):
            self.trains.pop(event.number, None)
        for each in commands:
            self._command(each)

    def _data(self, event: m.Event) -> None:
        self._folded.take(event)
        if isinstance(event, m.BarClosed):
            self.lines[event.symbol] = (event.open_ns, event.close)
            if self.learns:
                self.shelf.take(event)
        elif isinstance(event, m.Gapped):
            self.lines[event.symbol] = (event.last_ns, self.lines[event.symbol][1])
        elif isinstance(event, m.DecisionTimeReached) and event.decides:
            self.decisions += 1

    def _command(self, each: m.Command) -> None:
        if isinstance(each, m.Wake):
            self.wakes.add(each.at_ns)
        elif isinstance(each, m.Train):
            self.trains[each.number] = each
        elif isinstance(each, m.Decided):
            self.model_expired = each.rejected_by == EXPIRED
        elif isinstance(each, m.Tripped):
            self.tripped[each.rule] = each.clears_when
        elif isinstance(each, m.Cleared):
            self.tripped.pop(each.rule, None)

    @property
    def decided_ns(self) -> int:
        """The newest decision time that is stored (market time), -1 for none."""
        return self._folded.time_ns

    def held(self) -> list[str]:
        """Return the active rules that only a person clears."""
        return [
            rule
            for rule, clears_when in self.tripped.items()
            if "person" in clears_when or clears_when == "manual"
        ]

    # ------------------------------------------------------------ kept and taken up

    def kept(self, core: bytes, member: Member, sent: dict[str, int]) -> Kept:
        """Return a snapshot of this state and the core's."""
        folded = self._folded
        return Kept(
            core=core, time_ns=folded.time_ns, waiting=[list(each) for each in folded.waiting],
            accounted_ns=list(folded.accounted_ns), lines=list(self.lines), sent=sent,
            decisions=self.decisions, wakes=sorted(self.wakes),
            trains=list(self.trains.values()), tripped=self.tripped,
            positions=dict(member.positions), cash=member.cash, equity=member.equity,
        )  # fmt: skip

    def restore(self, snapshot: Kept, journal: Reader, seq: int) -> None:
        """Restore the snapshot of an entry; earlier data is read if a model needs it."""
        self._folded = _standing(
            self._grids, snapshot.time_ns, snapshot.waiting, snapshot.accounted_ns
        )
        self.lines, self.decisions = list(snapshot.lines), snapshot.decisions
        self.wakes, self.tripped = set(snapshot.wakes), dict(snapshot.tripped)
        self.trains = {each.number: each for each in snapshot.trains}
        for entry in journal.read(0, seq, _DATA) if self.learns or self._series else ():
            event = entry.event
            self.shelf.take(event)
            if isinstance(event, m.SeriesPoint):
                self.points.append(event)

    def finish(self) -> None:
        """End the fold: later events are counted from here, and decision times continue from it."""
        self.entries = 0
        folded = self._folded
        waiting = [list(each) for each in folded.waiting]
        standing = _standing(self._grids, folded.time_ns, waiting, folded.accounted_ns)
        self.standing.time_ns = standing.time_ns
        self.standing.waiting, self.standing.accounted_ns = standing.waiting, standing.accounted_ns

    def resume(self, bars: BarAssembler) -> None:
        """Continue bars after the last one of each symbol."""
        for symbol, (open_ns, close) in zip(self.symbols, self.lines, strict=True):
            if open_ns >= 0:
                bars.resume(symbol, open_ns, close)


def _standing(
    grids: Any, time_ns: int, waiting: Sequence[Sequence[int]], accounted_ns: Sequence[int]
) -> Standing:
    return Standing(grids, time_ns, [deque(each) for each in waiting], list(accounted_ns))
