"""Market data in time spans (stretches), so that a run needs memory for one of them only.

Each stretch brings its own bars and, before them, as many of the bars that were there already as
the features remember. Every row is read and checked once.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from septet._data import adjust
from septet._data.align import missing_before
from septet._data.bad_rows import BadRows, check_bad_rows, share_finding
from septet._data.bar_checks import Rows
from septet._data.bars import (
    BarTable,
    Finding,
    Floats,
    Instrument,
    Ints,
    MarketData,
    SeriesTable,
    no_bars,
)
from septet._data.calendar_signs import DayEnds, is_calendar_named, warn_calendar
from septet._data.calendars import Anchor
from septet._data.candle_ends import candles_ending
from septet._data.constant_prices import warn_constant
from septet._data.defects import Findings, merged
from septet._data.funding_gaps import missing_funding
from septet._data.level_checks import PriceLevels
from septet._data.load import (
    Fingerprint,
    LoadedFile,
    cut,
    instruments_of,
    keys_of,
    overlap_key,
    placed,
    read_all_series,
    request_for,
    survivorship,
)
from septet._data.normalise import (
    calendar_of,
    jump_examples,
    normalise,
    stamp_of,
)
from septet._data.price_steps import MAX_SPIKE_BARS, Before, Range
from septet._data.source import LazyBars, RawBars, Request, Scans, Store
from septet._data.source_clock import Clock, clock_of, read_between
from septet._data.source_files import reading
from septet._data.stamps import iso
from septet._data.unread_columns import check_unread_columns
from septet._data.whole_data_only import refuse_unserved
from septet._data.zone_rows import check_unread_zone
from septet._host.plugin_calls import plugin_errors
from septet.errors import DataError
from septet_schemas.data import CandlesConfig

__all__ = ["Memory", "Stretch", "Stretches", "chain"]

DAY_NS: Final = 86_400_000_000_000
MARGIN_NS: Final = 8 * DAY_NS  # the longest session, and a week to which features are anchored


@dataclass(frozen=True, slots=True)
class Memory:
    """The history that a plan needs: bars of each symbol, and whether a feature has an anchor."""

    bars: int
    anchored: bool = False


class Stretch(msgspec.Struct, frozen=True):
    """One time span: bars known from `begin_ns` (UTC ns) on are new, others are for features."""

    market: MarketData
    begin_ns: int
    number: int
    count: int


@dataclass
class _Symbol:
    """The state of a symbol between one time span and the next."""

    lazy: LazyBars
    keys: CandlesConfig
    bar_ns: int
    calendar: str
    clock: Clock
    table: BarTable
    anchor: Anchor | None = None
    before: Before | None = None
    rows: int = 0
    defects: int = 0
    findings: list[Finding] = field(default_factory=list)
    sums: Fingerprint = field(default_factory=Fingerprint)
    ended: tuple[int, float] | None = None  # the last completed session, and its close
    last: tuple[int, float, int] | None = None  # session, close and open time of the last bar
    known_ns: int = -(2**63)
    bars: int = 0
    levels: PriceLevels = field(init=False)
    days: DayEnds = field(default_factory=DayEnds)
    closes: tuple[float, float] = (math.inf, -math.inf)  # the lowest and the highest close

    def __post_init__(self) -> None:
        self.levels = PriceLevels(self.bar_ns, self.keys.policy, self.keys.reset_after)

    @property
    def name(self) -> str:
        return self.lazy.symbol

    def look_ahead(self) -> None:
        """Check the zone of all stamps and the unread columns, before reading any time span."""
        lazy, keys = self.lazy, self.keys
        zone = check_unread_zone(lazy, self.clock, keys, self.bar_ns, self.calendar)
        found = Findings(lazy.facts.origin, self.name, keys.policy)
        check_unread_columns(found, lazy.frame, keys.adjust)
        self.findings += [*zone, *found.all()]

    def read(self, first_ns: int | None, last_ns: int | None, request: Request) -> None:
        """Read the rows stamped from `first_ns` on and before `last_ns`, and check them."""
        with reading(f"{self.name} of {self.lazy.facts.origin}"):
            self._read(first_ns, last_ns, request)

    def _read(self, first_ns: int | None, last_ns: int | None, request: Request) -> None:
        frame = read_between(self.lazy, self.clock, first_ns, last_ns)
        self.rows += frame.height
        if not frame.height:
            return
        raw = RawBars(self.name, frame, self.lazy.facts)
        done = normalise(
            raw, self.keys, bar_ns=self.bar_ns, now_ns=request.now_ns, part=True,
            anchor=self.anchor, before=self.before,
            ahead=None if last_ns is None else partial(self._ahead, last_ns, request.now_ns),
        )  # fmt: skip
        self.before = done.before
        self.defects += done.defects
        between: tuple[Finding, ...] = ()
        if len(done.bars):
            self.anchor = done.anchor
            between = self._append(done.bars)
        self.findings = merged([*self.findings, *between, *done.findings])

    def _ahead(self, from_ns: int, now_ns: int) -> Range:
        """Return the bars after a time span: some of them, or all."""
        keep = {"price_spike": "keep", "price_wick": "keep", "price_levels": "keep"}
        policy = self.keys.policy.model_copy(update={**keep, "price_step": "keep"})
        keys = self.keys.model_copy(update={"adjust": "none", "policy": policy})
        span_ns = 4 * MAX_SPIKE_BARS * self.bar_ns
        while True:
            frame = read_between(self.lazy, self.clock, from_ns, from_ns + span_ns)
            bars = no_bars(self.name, self.bar_ns)
            if frame.height:
                raw = RawBars(self.name, frame, self.lazy.facts)
                bars = normalise(
                    raw, keys, bar_ns=self.bar_ns, now_ns=now_ns, part=True, anchor=self.anchor
                ).bars
            if len(bars) >= MAX_SPIKE_BARS or from_ns + span_ns > self.clock.last_ns:
                return bars.high, bars.low, bars.close
            span_ns *= 4

    def _append(self, bars: BarTable) -> tuple[Finding, ...]:
        """Append new bars to the stored ones, and return the number missing between them."""
        found = Findings(self.lazy.facts.origin, self.name, self.keys.policy)
        if len(self.table):
            newest = int(self.table.open_ns[-1])
            fresh = int(np.searchsorted(bars.open_ns, newest, side="right"))
            if fresh:  # another stamp for a bar already stored: the first seen wins
                found("conflict", fresh, [iso(each) for each in bars.open_ns[:fresh]])
                bars = cut(bars, fresh, len(bars))
            last = cut(self.table, len(self.table) - 1, len(self.table))
            both = chain([last, cut(bars, 0, 1)])
            missing = int(missing_before(both, self.calendar, self.anchor)[-1])
            found("gap", missing, [f"{missing} after {iso(newest)}"])
        close = stamp_of(self.keys, self.lazy.facts, self.name) == "close"
        self.days.add(bars.open_ns + self.bar_ns if close else bars.open_ns)
        rows = Rows(bars.open, bars.high, bars.low, bars.close, bars.volume)
        self.levels.add(found, bars.open_ns, rows, partial(self._missing_before, bars))
        self.table = chain([self.table, bars])
        return found.all()

    def _missing_before(self, bars: BarTable) -> Ints:
        """Return the missing bars before each new bar; new bars are not yet in the table."""
        if not len(self.table):
            return missing_before(bars, self.calendar, self.anchor)
        last = cut(self.table, len(self.table) - 1, len(self.table))
        return missing_before(chain([last, bars]), self.calendar, self.anchor)[1:]

    def take(self, bars: BarTable) -> None:
        """Count the bars that a time span yields."""
        if len(bars):
            self.sums.add(bars)
            self._find_jumps(bars.session, bars.close, bars.open_ns)
            self.known_ns = int(bars.known_ns[-1])
            self.bars += len(bars)
            low, high = self.closes
            self.closes = min(low, float(bars.close.min())), max(high, float(bars.close.max()))

    def _find_jumps(self, session: Ints, close: Floats, open_ns: Ints) -> None:
        """Compare the close of each completed session with that of the session before."""
        over = np.flatnonzero(np.diff(session) != 0)
        ended = session[over], close[over], open_ns[over]
        if self.last is not None and self.last[0] != session[0]:
            ended = tuple(
                np.concatenate(([first], rest))
                for first, rest in zip(self.last, ended, strict=True)
            )  # type: ignore[assignment]
        self.last = (int(session[-1]), float(close[-1]), int(open_ns[-1]))
        self._check_jumps(*ended)

    def _check_jumps(self, session: Ints, close: Floats, open_ns: Ints) -> None:
        if not len(session):
            return
        end = (int(session[-1]), float(close[-1]))
        if self.ended is not None:
            session = np.concatenate(([self.ended[0]], session))
            close = np.concatenate(([self.ended[1]], close))
            open_ns = np.concatenate(([0], open_ns))
        self.ended = end
        hits, ratio = adjust.moves(close, session)
        found = Findings(self.lazy.facts.origin, self.name, self.keys.policy)
        found("jump", len(hits), jump_examples(open_ns[hits], ratio))
        self.findings = merged([*self.findings, *found.all()])

    def finish(self) -> None:
        """Perform the checks that need the last bar.

        Raises
        ------
        DataError
            If most of the rows were bad.
        """
        if self.last is not None:
            session, close, open_ns = (np.array([each]) for each in self.last)
            self._check_jumps(session, close, open_ns)
        left = 0 if self.anchor is None else max(1, self.rows - self.defects)
        seen = BadRows(
            self.name, self.lazy.facts, self.bar_ns, self.rows, self.defects, left,
            merged(self.findings),
        )  # fmt: skip
        if self.rows:
            check_bad_rows(seen, self.keys)
            self.findings += share_finding(seen)
        found = Findings(self.lazy.facts.origin, self.name, self.keys.policy)
        warn_constant(found, *self.closes, self.bars)
        self.levels.finish(found)
        if not is_calendar_named(self.keys, self.lazy.facts, self.name):
            stamp = stamp_of(self.keys, self.lazy.facts, self.name)
            warn_calendar(
                found, self.days, self.bar_ns, stamp, self.keys.reset_after,
                may_be_local=self.clock.is_wall_time,
            )  # fmt: skip
        self.findings += found.all()


def chain(parts: Sequence[BarTable]) -> BarTable:
    """Concatenate tables of one symbol, at least one, in time order."""
    full = [each for each in parts if len(each)] or parts[:1]
    if len(full) == 1:
        return full[0]
    columns: dict[str, Any] = {
        each.name: np.concatenate([getattr(part, each.name) for part in full])
        for each in fields(full[0])
        if isinstance(getattr(full[0], each.name), np.ndarray)
    }
    return replace(full[0], **columns)


def _view(table: BarTable, first: int, last: int) -> BarTable:
    """Return rows of a table as views, for reading only."""
    columns: dict[str, Any] = {
        each.name: getattr(table, each.name)[first:last]
        for each in fields(table)
        if isinstance(getattr(table, each.name), np.ndarray)
    }
    return replace(table, **columns)


class Stretches:
    """The market data of a strategy file, in consecutive time spans.

    Parameters
    ----------
    loaded
        A loaded strategy file.
    bars
        Length of a time span, in bars.
    memory
        The history that the plan needs.
    warmup_ns
        Market time (ns) to keep before `universe.start`.
    """

    def __init__(
        self,
        loaded: LoadedFile,
        *,
        bars: int,
        memory: Memory,
        warmup_ns: int,
        store: Store | None = None,
        now_ns: int | None = None,
    ) -> None:
        strategy = loaded.strategy
        if store is None:
            from septet._data.bar_store import BarStore

            store = BarStore()
        self._loaded, self._memory = loaded, memory
        self._request = request_for(loaded, store=store, now_ns=now_ns or time.time_ns())
        block, keys = strategy.data.candles, keys_of(strategy.data.candles, CandlesConfig)
        refuse_unserved(keys)
        with plugin_errors(block, "data.candles"):
            source = block.declaration(block.config)
        if not isinstance(source, Scans):
            raise DataError(
                f"candles: {block.use} cannot be read in stretches: it does not state where its "
                "bars begin and end",
                hint="use: parquet can; or run without --chunk",
                key=".data.candles.use",
            )
        with placed(loaded, "data", "candles"):
            with plugin_errors(block, "data.candles"):
                lazies = {each.symbol: each for each in source.scan(self._request)}
            bar_ns = self._request.bar_ns
            self._symbols = {
                symbol: _Symbol(
                    lazies[symbol], keys, bar_ns, calendar_of(keys, lazies[symbol].facts, symbol),
                    clock_of(lazies[symbol], keys, bar_ns), no_bars(symbol, bar_ns),
                )
                for symbol in self._request.symbols
            }  # fmt: skip
            for each in self._symbols.values():
                each.look_ahead()
        self.calendars = {name: each.calendar for name, each in self._symbols.items()}
        self.calendar = Counter(self.calendars.values()).most_common(1)[0][0]
        self.series: Mapping[str, SeriesTable]
        self.series, self._found, self.sources = read_all_series(loaded, self._request)
        self.sources |= {name: each.lazy.facts.origin for name, each in self._symbols.items()}
        facts = {name: each.lazy.facts for name, each in self._symbols.items()}
        self.instruments: dict[str, Instrument] = instruments_of(strategy, facts)
        self._begin_ns = -(2**63)  # bars known earlier are not read
        if self._request.start_ns is not None:
            self._begin_ns = self._request.start_ns - warmup_ns
        self._outside: list[Finding] = []
        self.length_ns = bars * bar_ns
        self.cuts = self._cuts(self.length_ns)

    def _cuts(self, length_ns: int) -> list[int]:
        """Return the bounds of the time spans, including the first and the last one."""
        clocks = [each.clock for each in self._symbols.values()]
        low = max(min(clock.first_ns for clock in clocks), self._begin_ns - MARGIN_NS)
        high = max(clock.last_ns for clock in clocks)
        if self._request.end_ns is not None:
            high = min(high, self._request.end_ns)
        first = low // length_ns * length_ns
        return [first, *range(first + length_ns, high + 1, length_ns), 2**62]

    def __iter__(self) -> Iterator[Stretch]:
        """Read one time span after another; spans without a new bar are skipped."""
        cuts, count = self.cuts, len(self.cuts) - 1
        limit_ns = 2**62 if self._request.end_ns is None else self._request.end_ns + 1
        with placed(self._loaded, "data", "candles"):
            yield from self._stretches(cuts, count, limit_ns)
        with placed(self._loaded, "universe"):
            self._check_overlap()

    def _stretches(self, cuts: list[int], count: int, limit_ns: int) -> Iterator[Stretch]:
        for number in range(count):
            begin_ns = cuts[number] if number else -(2**63)
            end_ns = min(cuts[number + 1], limit_ns)
            whole = number == 0 and self._begin_ns <= cuts[0]
            from_ns = None if whole else cuts[number]
            upto_ns = None if end_ns == 2**62 else end_ns
            bars: dict[str, BarTable] = {}
            fresh = 0
            for name, each in self._symbols.items():
                each.read(from_ns, upto_ns, self._request)
                known = each.table.known_ns
                first, last = (int(np.searchsorted(known, t)) for t in (self._begin_ns, end_ns))
                bars[name] = _view(each.table, min(first, last), last)
                new = int(np.searchsorted(bars[name].known_ns, begin_ns))
                each.take(_view(bars[name], new, len(bars[name])))
                fresh += len(bars[name]) - new
            if fresh:
                yield Stretch(self._market(bars), begin_ns, number, count)
            self._forget(cuts[number + 1])
        for each in self._symbols.values():
            each.finish()

    def _check_overlap(self) -> None:
        """Reject a span without any bar, and name the symbols that have none."""
        start_ns, end_ns = self._request.start_ns, self._request.end_ns
        outside = [
            name for name, each in self._symbols.items()
            if each.last is None or (start_ns is not None and each.known_ns < start_ns)
        ]  # fmt: skip
        spans = {
            name: f"{name} {iso(self._symbols[name].clock.first_ns)} to "
            f"{iso(self._symbols[name].clock.last_ns)}"
            for name in outside
        }
        if len(outside) == len(self._symbols):
            begin = "the beginning" if start_ns is None else iso(start_ns)
            end = "the end" if end_ns is None else iso(end_ns)
            raise DataError(
                f"the data and the span asked for do not overlap: asked {begin} to {end}, "
                f"there is {'; '.join(list(spans.values())[:5])}",
                hint="change universe: {start, end}, or fetch more with septet data fetch",
                key=overlap_key(
                    self._request, max(each.clock.last_ns for each in self._symbols.values())
                ),
            )
        self._outside = [
            Finding("universe", name, "no_overlap", "keep", 1, (text,), "no bar in the span")
            for name, text in spans.items()
        ]

    def _market(self, bars: dict[str, BarTable]) -> MarketData:
        return MarketData(
            symbols=self._request.symbols, bar_ns=self._request.bar_ns, bars=bars,
            series=self.series, instruments=self.instruments, calendar=self.calendar,
            sources=self.sources, calendars=self.calendars,
        )  # fmt: skip

    def _forget(self, now_ns: int) -> None:
        """Drop bars that no feature needs any more.

        A symbol without bars for long restarts with its next bar. Of the other symbols, the one
        whose features reach back farthest decides from when on bars of all symbols are stored.
        """
        deepest = now_ns - (MARGIN_NS if self._memory.anchored else 0)
        silent_ns = MARGIN_NS + 10 * self._request.bar_ns * self._longest_gap
        reach = []
        for each in self._symbols.values():
            known = each.table.known_ns
            there = int(np.searchsorted(known, deepest))
            if len(known) and known[-1] >= now_ns - silent_ns:
                reach.append(int(known[max(0, min(there, len(known) - 1) - self._memory.bars)]))
        oldest = min(reach, default=deepest)
        for each in self._symbols.values():
            known = each.table.known_ns
            first = int(np.searchsorted(known, oldest)) - self._memory.bars
            first = min(first, len(known) - self._memory.bars)
            each.table = cut(each.table, max(0, first), len(known))

    @property
    def _longest_gap(self) -> int:
        return max(each.keys.reset_after for each in self._symbols.values()) + 2

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of all bars that were read, merged by kind and symbol."""
        found = [each for symbol in self._symbols.values() for each in symbol.findings]
        found += [*self._outside, *survivorship(self.calendars), *self._ended(), *self._found]
        spans = {
            name: (each.clock.first_ns, each.known_ns)
            for name, each in self._symbols.items()
            if each.last is not None
        }
        found += missing_funding(self.series.values(), spans, self._request)
        return tuple(merged(found))

    def _ended(self) -> list[Finding]:
        outside = {each.symbol for each in self._outside}
        last = {
            name: each.known_ns
            for name, each in self._symbols.items()
            if each.last is not None and name not in outside
        }
        reset_after = max(each.keys.reset_after for each in self._symbols.values())
        return candles_ending(last, self.calendars, reset_after, self._request)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of the rows of every symbol and series, as without time spans."""
        found = {name: each.sums.hexdigest() for name, each in self._symbols.items()}
        for name, table in self.series.items():
            made = Fingerprint()
            made.add(table)
            found[name] = made.hexdigest()
        return found
