"""Assembles closed bars from the rows of a feed: each once, in order, with gaps declared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

from septet import messages as m
from septet._data.bars import Finding
from septet._data.stamps import iso
from septet._host.venues import BarSeen
from septet._live.market_data.bar_rules import BarRequest, BarRules
from septet._live.market_data.feed_grid import Gate, Grid, Slot
from septet._live.market_data.price_doubt import PriceDoubt

__all__ = ["BarAssembler", "BarRules", "BarRequest"]

Source = Literal["history", "stream", "poll", "backfill"]
_REMEMBERED: Final = 2_000
_DEFINITE: Final = 2
_SOON: Final = 4
_ASIDE: Final = 8


@dataclass(frozen=True, slots=True)
class _Ready:
    """A closed bar that waits for earlier ones; `confirmed` if its prices were confirmed."""

    seen: BarSeen
    source: Source
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class _Reported:
    """A row that may lack the last trades of its bar, and when it first arrived."""

    seen: BarSeen
    since_ns: int


@dataclass(slots=True)
class _Empty:
    """Why a feed that answered had no bar: the reason, count, first and last time."""

    since_ns: int
    asked_ns: int = 0
    times: int = 0
    hole: bool = False
    reason: str = ""


@dataclass(slots=True)
class _Line:
    """State of one symbol: the next bar expected, and the rows that arrived early."""

    number: int
    symbol: str
    grid: Grid
    gate: Gate
    next: Slot | None = None
    doubt: PriceDoubt = field(default_factory=PriceDoubt)
    newest_ns: int = -1
    ready: dict[int, _Ready] = field(default_factory=dict)
    partial: dict[int, BarSeen] = field(default_factory=dict)
    reported: dict[int, _Reported] = field(default_factory=dict)
    suspect: dict[int, BarSeen] = field(default_factory=dict)
    empty: dict[int, _Empty] = field(default_factory=dict)
    past: dict[int, BarSeen | None] = field(default_factory=dict)
    held_since_ns: int | None = None
    answer_by_ns: int = 0
    asked: int = 0
    ask_ns: int = 0
    rest_ns: int = 0
    """Until when nothing is asked for, unless a bar becomes due that was not asked for yet."""
    rest_known_ns: int = 0
    """When that bar is known."""


class BarAssembler:
    """Takes bars in any order and emits each closed bar of each symbol once, in order.

    Deterministic: its output depends on what it was given and at which times, nothing else.
    The first version seen of a closed bar wins; a later one that differs is counted and reported.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        grids: Sequence[Grid],
        gates: Sequence[Gate],
        rules: BarRules | None = None,
    ) -> None:
        """Expect bars of `symbols`, in universe order."""
        self.rules = rules or BarRules()
        self._lines = {
            symbol: _Line(k, symbol, grid, gate)
            for k, (symbol, grid, gate) in enumerate(zip(symbols, grids, gates, strict=True))
        }
        self._unread_findings: list[Finding] = []
        self.counts: Counter[tuple[str, str]] = Counter()

    # ------------------------------------------------------------ where it stands

    def resume(self, symbol: str, open_ns: int, close: float = math.nan) -> None:
        """Continue after a bar that was emitted (or declared missing) earlier."""
        line = self._lines[symbol]
        line.next, line.doubt = line.grid.following(open_ns), PriceDoubt(close)
        line.newest_ns = max(line.newest_ns, open_ns)
        for bars_by_open in (line.ready, line.partial, line.reported, line.suspect, line.empty):
            for past in [each for each in bars_by_open if each <= open_ns]:
                del bars_by_open[past]

    def lost(self, symbol: str = "") -> None:
        """Drop bars whose state is unknown: a stream ended, and may have missed updates.

        Without a symbol those of all. Rows that wait for confirmation wait again from the start:
        after a jump of the clock it is unknown how long they have waited.
        """
        for line in self._lines.values():
            if symbol in ("", line.symbol):
                line.partial.clear()
                line.reported.clear()
                line.rest_ns = 0

    def next_of(self, symbol: str) -> Slot | None:
        """Return the next expected bar of a symbol; None before its first."""
        return self._lines[symbol].next

    def behind(self, symbol: str, market_ns: int) -> bool:
        """Whether a bar is overdue that the venue has not reported as missing."""
        line = self._lines[symbol]
        if line.next is None or line.next.known_ns > market_ns:
            return False
        empty = line.empty.get(line.next.open_ns)
        return empty is None or empty.times < _DEFINITE

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings since the last call, in order."""
        findings, self._unread_findings = tuple(self._unread_findings), []
        return findings

    def _report(self, symbol: str, kind: str, policy: str, text: str, *shown: str) -> None:
        self.counts[symbol, kind] += 1
        self._unread_findings.append(Finding("live", symbol, kind, policy, 1, shown, text))

    # ------------------------------------------------------------ what arrives

    def take(self, seen: BarSeen, now_ns: int, market_ns: int) -> list[m.Event]:
        """Take a bar of a stream or a poll; return the bars that can be emitted now."""
        line = self._lines.get(seen.symbol)
        if line is None:
            self._report(seen.symbol, "unknown_symbol", "drop", "bars of a symbol nobody asked for")
            return []
        slot = line.next
        if slot is not None and seen.open_ns == slot.open_ns and seen.closed:
            early = slot.known_ns - market_ns > self.rules.early_market_ns
            if not (early or line.ready or line.suspect):  # usual case: exactly the next bar
                line.newest_ns = max(line.newest_ns, seen.open_ns)
                event = self._release(line, slot, seen, seen.source, now_ns)
                return [] if event is None else [event]
        return self._take(line, seen, now_ns, market_ns)

    def _take(self, line: _Line, seen: BarSeen, now_ns: int, market_ns: int) -> list[m.Event]:
        slot = line.grid.slot(seen.open_ns)
        if slot is None:
            self._report(
                line.symbol, "off_grid", "drop", "bars that are not scheduled", _show(seen)
            )
            return []
        if slot.open_ns - market_ns > self.rules.early_market_ns:
            self._report(line.symbol, "future", "drop", "bars that have not begun", _show(seen))
            return []
        line.newest_ns = max(line.newest_ns, seen.open_ns)
        if line.next is not None and seen.open_ns < line.next.open_ns:
            self._repeat(line, seen, closed=bool(seen.closed))
            return list(self._drain(line, now_ns, market_ns))
        line.rest_ns = 0
        if seen.closed and slot.known_ns - market_ns <= self.rules.early_market_ns:
            self._confirm(line, seen, seen.source)
        elif seen.closed:
            text = "a bar reported closed long before its end"
            self._report(line.symbol, "unfinished", "drop", text, _show(seen))
        elif seen.closed is None and seen.source == "poll":
            self._set_aside(line, seen, now_ns)  # the time of our own request decides it
        else:
            line.partial[seen.open_ns] = seen
        self._begun(line)
        return list(self._drain(line, now_ns, market_ns))

    def answer(
        self, request: BarRequest, rows: Sequence[BarSeen] | None, now_ns: int, market_ns: int
    ) -> list[m.Event]:
        """Take the feed's answer to `request`; None means that the request failed.

        A row without `closed` from the venue counts as closed if the same answer has a later bar;
        a stream is no evidence, since answers may be older. Otherwise it is requested again, until
        the answer stays the same or was requested long after the close.
        """
        line = self._lines[request.symbol]
        line.answer_by_ns, line.asked = 0, line.asked + 1
        wait = min(self.rules.slowest_ns, self.rules.retry_ns * 2 ** min(line.asked - 1, 20))
        line.ask_ns = now_ns + wait
        if rows is None or line.next is None:
            return list(self._drain(line, now_ns, market_ns))
        answered = set()
        last_ns = max((row.open_ns for row in rows), default=-1)
        for row in rows:
            slot = line.grid.slot(row.open_ns)
            if row.closed is False or slot is None:
                continue
            if slot.known_ns - market_ns > self.rules.early_market_ns:
                continue
            answered.add(row.open_ns)
            line.newest_ns = max(line.newest_ns, row.open_ns)
            followed = bool(row.closed) or row.open_ns < last_ns
            if row.open_ns < line.next.open_ns:
                self._repeat(line, row, closed=followed)
            elif followed or self._is_over(line, request, slot, row):
                self._confirm(line, row, "backfill")
            else:
                self._set_aside(line, row, now_ns)
                if line.asked <= _SOON:
                    line.ask_ns = now_ns + self.rules.again_ns
        first, newest = max(line.next.open_ns, request.since_ns), max(answered, default=-1)
        for slot in line.grid.due(first, request.until_ns, self.rules.page):
            if slot.open_ns not in answered and slot.open_ns not in line.ready:
                empty = line.empty.setdefault(slot.open_ns, _Empty(now_ns))
                # A stale answer lacks the newest bars, it has no holes before later ones.
                empty.asked_ns = request.asked_ns
                empty.times += 1 if slot.open_ns > newest else _DEFINITE
                empty.hole |= slot.open_ns < newest
        self._rest(line, request, now_ns)
        return list(self._drain(line, now_ns, market_ns))

    def _rest(self, line: _Line, request: BarRequest, now_ns: int) -> None:
        """Request bars that the feed does not have with growing pauses, until more are expected."""
        assert line.next is not None
        empty = line.empty.get(line.next.open_ns)
        if empty is None or not self._is_absent(empty) or line.ready or line.suspect:
            return
        wait = self.rules.retry_ns * 2 ** min(line.asked - 1, 20)
        line.rest_ns = now_ns + min(self.rules.longest_ns, wait)
        line.rest_known_ns = line.grid.following(request.until_ns - 1).known_ns

    def poll(self, now_ns: int, market_ns: int) -> list[m.Event]:
        """Declare bars missing that have blocked others for too long."""
        return [
            event for line in self._lines.values() for event in self._drain(line, now_ns, market_ns)
        ]

    # ------------------------------------------------------------ requests

    def wanted(
        self, now_ns: int, market_ns: int, speed: float = 1.0, uncertainty_ns: int = 0
    ) -> list[BarRequest]:
        """Return the bars to request from the feed now; each must be answered by `answer`."""
        patience = int(self.rules.ask_after_ns * speed)
        needed = []
        for line in self._lines.values():
            if line.next is None or now_ns < max(line.ask_ns, line.answer_by_ns):
                continue
            if now_ns < line.rest_ns and market_ns < line.rest_known_ns + patience:
                continue
            missing = self._missing(line, market_ns, patience)
            if missing:
                line.answer_by_ns = now_ns + self.rules.answer_ns
                until = max(missing[-1].open_ns + line.grid.bar_ns, missing[-1].known_ns)
                span = line.symbol, missing[0].open_ns, until
                needed.append(self.rules.question(*span, now_ns, market_ns, speed, uncertainty_ns))
        return needed

    def next_wall_ns(self, wall_of_market: Callable[[int], int]) -> int | None:
        """Return when `wanted` or `poll` should be called next, wall time; None before a start."""
        times = []
        for line in self._lines.values():
            if line.held_since_ns is not None:
                times.append(line.held_since_ns + self.rules.give_up_ns)
            if line.next is not None:
                due = wall_of_market(line.next.known_ns) + self.rules.ask_after_ns
                if line.rest_ns > line.ask_ns:
                    more = wall_of_market(line.rest_known_ns) + self.rules.ask_after_ns
                    due = max(due, min(line.rest_ns, more))
                times.append(max(line.ask_ns, line.answer_by_ns, due))
        return min(times, default=None)

    def _missing(self, line: _Line, market_ns: int, patience: int) -> list[Slot]:
        """Return bars that are overdue, or earlier than one that has arrived."""
        assert line.next is not None
        newest_ready = max(line.ready, default=-1)
        due = line.grid.due(line.next.open_ns, market_ns, self.rules.page)
        return [
            slot
            for slot in due
            if slot.open_ns not in line.ready
            and (
                slot.known_ns + patience <= market_ns
                or slot.open_ns < newest_ready
                or slot.open_ns in line.suspect
            )
        ]

    # ------------------------------------------------------------ checks

    def _repeat(self, line: _Line, seen: BarSeen, *, closed: bool) -> None:
        """Compare a bar that was emitted or declared missing with a later version of it."""
        if not closed or seen.open_ns not in line.past:
            return
        earlier = line.past[seen.open_ns]
        if earlier is None:
            text = "bars that arrived after they had been given up"
            line.past[seen.open_ns] = seen
            self._report(line.symbol, "after_gap", "drop", text, _show(seen))
        elif _values(earlier) != _values(seen):
            text = "another version of a bar that was there already; the first seen wins"
            line.past[seen.open_ns] = seen
            self._report(line.symbol, "revision", "drop", text, _show(earlier), _show(seen))

    def _confirm(self, line: _Line, seen: BarSeen, source: Source) -> None:
        """Store a closed bar until its turn; the first version is kept."""
        line.partial.pop(seen.open_ns, None)
        doubted = line.suspect.get(seen.open_ns)
        if doubted is not None and source != "backfill":
            return  # a stream cannot confirm its own bars
        confirmed = doubted is not None and _values(doubted)[:4] == _values(seen)[:4]
        first = line.ready.setdefault(seen.open_ns, _Ready(seen, source, confirmed)).seen
        if _values(first) != _values(seen):
            text = "another version of a bar that waits for one before it; the first seen wins"
            self._report(line.symbol, "revision", "drop", text, _show(first), _show(seen))
        if line.next is None:
            line.next = line.grid.slot(seen.open_ns)

    def _is_over(self, line: _Line, request: BarRequest, slot: Slot, row: BarSeen) -> bool:
        """Whether the newest row of an answer is the whole bar, though nothing follows it there."""
        if slot.known_ns <= request.final_until_ns or slot.open_ns in line.suspect:
            return True
        shown, reported = line.partial.get(slot.open_ns), line.reported.get(slot.open_ns)
        if shown is not None and shown.volume > row.volume:
            return False  # the stream was ahead: the answer is outdated
        same = reported is not None and _values(reported.seen) == _values(row)
        if reported is None or not same or slot.known_ns > request.over_ns:
            return False
        return request.asked_ns - reported.since_ns >= self.rules.again_ns

    def _set_aside(self, line: _Line, seen: BarSeen, now_ns: int) -> None:
        """Set a row aside that may lack the last trades of its bar."""
        reported = line.reported.get(seen.open_ns)
        if reported is None or _values(reported.seen) != _values(seen):
            line.reported[seen.open_ns] = _Reported(seen, now_ns)
        if len(line.reported) > _ASIDE:
            del line.reported[min(line.reported)]
        if line.next is None:  # the first bar: requests begin here
            line.next = line.grid.slot(seen.open_ns)

    def _begun(self, line: _Line) -> None:
        """Confirm bars that were not marked unfinished, once a later one has begun."""
        for open_ns in [each for each in line.partial if each < line.newest_ns]:
            if line.next is not None and open_ns < line.next.open_ns:
                del line.partial[open_ns]
            elif line.partial[open_ns].closed is None:
                self._confirm(line, line.partial[open_ns], line.partial[open_ns].source)
        while (
            len(line.partial) > _ASIDE
        ):  # a stream of unfinished bars, none of which is ever closed
            del line.partial[min(line.partial)]

    def _doubt(self, line: _Line, seen: BarSeen) -> None:
        line.suspect[seen.open_ns] = seen
        if line.asked < 2:
            line.ask_ns = 0
        text = f"a price more than {100 * self.rules.jump:.0f} % from the close before; asked again"
        self._report(line.symbol, "absurd", "keep", text, _show(seen))

    # ------------------------------------------------------------ giving

    def _drain(self, line: _Line, now_ns: int, market_ns: int) -> Iterator[m.Event]:
        """Emit bars in order as far as possible; declare bars that are certainly missing."""
        while line.next is not None:
            slot = line.next
            if slot.open_ns in line.ready:
                ready = line.ready.pop(slot.open_ns)
                event = self._release(
                    line, slot, ready.seen, ready.source, now_ns, confirmed=ready.confirmed
                )
                if event is not None:
                    yield event
                continue
            gap = self._gap(line, now_ns)
            if gap is None:
                break
            yield gap
        # Here and not with each bar: an order may wait for that one.
        for old in list(islice(line.past, max(0, len(line.past) - _REMEMBERED))):
            del line.past[old]

    def _release(
        self,
        line: _Line,
        slot: Slot,
        seen: BarSeen,
        source: Source,
        now_ns: int,
        *,
        confirmed: bool = False,
    ) -> m.BarClosed | None:
        """Emit the next bar, or set it aside if it is doubtful or unusable."""
        doubt = line.doubt.of(seen, self.rules.jump, confirmed=confirmed)
        if doubt == "absurd":
            self._doubt(line, seen)
            return None
        bar, findings = line.gate.admit_confirmed(seen, doubt)
        if findings:
            self.counts.update((line.symbol, each.kind) for each in findings)
            self._unread_findings += findings
        if bar is None:
            empty = line.empty.setdefault(slot.open_ns, _Empty(now_ns))
            empty.asked_ns = now_ns
            empty.times += source == "backfill"  # the venue has no other version
            empty.reason = f"refused: {findings[-1].kind}"
            return None
        self._advance(line, slot, seen)
        line.doubt.take(bar.close)
        return m.BarClosed(
            at_ns=now_ns, symbol=line.number, open_ns=slot.open_ns, known_ns=slot.known_ns,
            open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume,
            source=source,
        )  # fmt: skip

    def _advance(self, line: _Line, slot: Slot, seen: BarSeen | None) -> None:
        line.past[slot.open_ns] = seen
        if line.partial or line.reported or line.suspect or line.empty:
            for bars_by_open in (line.partial, line.reported, line.suspect, line.empty):
                bars_by_open.pop(slot.open_ns, None)
        line.next = line.grid.following(slot.open_ns)
        line.held_since_ns = None
        line.asked, line.ask_ns, line.rest_ns = 0, 0, 0

    def _gap(self, line: _Line, now_ns: int) -> m.Gapped | None:
        """Declare the next bars missing, if the feed confirmed it or the time limit passed."""
        assert line.next is not None
        first = line.next
        doubted = first.open_ns in line.suspect
        if not line.ready and not doubted:
            line.held_since_ns = None
        elif line.held_since_ns is None:
            line.held_since_ns = now_ns
        held = line.held_since_ns
        hopeless = held is not None and now_ns - held >= self.rules.give_up_ns
        hopeless |= len(line.ready) > self.rules.backlog
        waiting = min(line.ready, default=first.open_ns + doubted)
        last, slot, reason = None, first, self._reason(line, first)
        while slot.open_ns not in line.ready:
            lost = hopeless and slot.open_ns < waiting
            if not lost and not self._definite(line, slot):
                break
            last = slot
            self._advance(line, slot, None)
            slot = line.grid.following(slot.open_ns)
        if last is None:
            return None
        shown = f"{iso(first.open_ns)} to {iso(last.open_ns)}"
        self._report(line.symbol, "gap", "keep", reason, shown)
        return m.Gapped(
            at_ns=now_ns, symbol=line.number, first_ns=first.open_ns, last_ns=last.open_ns,
            reason=reason,
        )  # fmt: skip

    def _definite(self, line: _Line, slot: Slot) -> bool:
        """Whether the feed answered often enough, while later bars exist, that there is none."""
        empty = line.empty.get(slot.open_ns)
        return empty is not None and self._is_absent(empty) and slot.open_ns < line.newest_ns

    def _is_absent(self, empty: _Empty) -> bool:
        if empty.times < _DEFINITE:
            return False
        return empty.hole or empty.asked_ns - empty.since_ns >= self.rules.confirm_absent_ns

    def _reason(self, line: _Line, slot: Slot) -> str:
        empty = line.empty.get(slot.open_ns)
        if empty is not None and empty.reason:
            return empty.reason
        if slot.open_ns in line.suspect:
            return "an absurd price was not confirmed"
        if slot.open_ns in line.reported:
            return "nothing showed that the row was the whole bar"
        if empty is not None and self._is_absent(empty):
            return "the venue has no such bar"
        return "not to be had in time"


def _values(seen: BarSeen) -> tuple[float, float, float, float, float]:
    return (seen.open, seen.high, seen.low, seen.close, seen.volume)


def _show(seen: BarSeen) -> str:
    return f"{iso(seen.open_ns)} " + " ".join(f"{each:.10g}" for each in _values(seen))
