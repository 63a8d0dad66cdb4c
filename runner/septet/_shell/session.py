"""Prepares a run: its plan, its data and the aligned bars."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from septet import _learn as learn
from septet._config.error_places import placed
from septet._data.bad_rows import calendar_hint
from septet._data.bars import Instrument, MarketData
from septet._data.day_calendars import written_calendars
from septet._kernel import layout
from septet._plan.plain import compile_choice
from septet._plan.plan import Plan, make_plan
from septet._plan.run_terms import terms_of
from septet._shell.aligned_bars import AlignedBars, AlignmentRules, align_bars
from septet.errors import DataError, InputError

__all__ = [
    "Session", "first_ready", "open_session", "plan_of", "refuse_days_of_two_kinds", "reuse_memory",
    "slowest_key", "alignment_rules", "warmup_ns_of",
]  # fmt: skip

Log = Callable[[str], None]


@dataclass
class Session:
    """A loaded file with its plan, market data and bars; `first` is the first decision's index.

    With `tables` False the run returns no decisions.
    """

    loaded: Any
    plan: Plan
    market: MarketData
    aligned: AlignedBars
    first: int
    log: Log = field(repr=False)
    tables: bool = True

    @property
    def strategy(self) -> Any:
        """The validated file."""
        return self.loaded.strategy

    @property
    def instruments(self) -> list[Instrument]:
        """Instruments in universe order."""
        return [
            self.market.instruments.get(symbol) or Instrument(symbol)
            for symbol in self.market.symbols
        ]


def plan_of(
    loaded: Any,
    *,
    tables: bool = True,
    curve: bool = True,
    venue_fills: bool = False,
    calendar: str = "24x7",
    calendars: Iterable[str] = (),
    log: Log | None = None,
) -> Plan:
    """Return the plan of a loaded file, not yet compiled; `venue_fills`: fills come from the venue.

    If compiling is not allowed (``SEPTET_COMPILE=never``) it runs as plain Python.
    """
    host = loaded.host

    def resolve(name: str, owner: str) -> tuple[Any, str]:
        entry = host.inner(name, owner)
        return host.load(entry), entry.distribution

    terms = terms_of(loaded.strategy, calendar, tuple(sorted(set(calendars))))
    plan = make_plan(terms, resolve, tables=tables, curve=curve, venue_fills=venue_fills, log=log)
    if compile_choice() == "never":
        plan.run_plain()
    return plan


_TRIM_ABOVE, _PAD, _MAP_ABOVE = -1, -2, -3
"""Numbers of three options of glibc's `mallopt`."""


@cache
def reuse_memory() -> None:
    """Make glibc keep freed memory of arrays, up to 256 MB, for later arrays.

    Allocating new pages takes several times as long as filling them: a warm run of a million bars
    takes 0.1 s less, and no more memory. Arrays of 32 MB and more are still allocated as new,
    zeroed pages.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in ((_TRIM_ABOVE, 1 << 28), (_PAD, 1 << 24), (_MAP_ABOVE, 1 << 25)):
            mallopt(option, size)


def open_session(
    loaded: Any,
    *,
    tables: bool = True,
    curve: bool = True,
    log: Log | None = None,
    not_before_ns: int | None = None,
    memory_bars: int = 0,
) -> Session:
    """Make the plan, read the data with enough history before the start, and align the bars.

    The first decision is not before `not_before_ns`, so that runs of several settings begin
    together; at least `memory_bars` are read before the start.

    Raises
    ------
    DataError
        If there are fewer bars than the features need before their first value.
    """
    from septet._data.load import load_market

    reuse_memory()
    log = log or (lambda message: None)
    strategy = loaded.strategy
    plan = plan_of(loaded, tables=tables, curve=curve, log=log)
    warmup_ns = warmup_ns_of(strategy, max(plan.memory_bars, memory_bars))
    market = load_market(loaded, warmup_ns=warmup_ns)
    if market.calendar != "24x7":  # there a day is a session
        plan = plan_of(
            loaded, tables=tables, curve=curve, calendar=market.calendar,
            calendars=market.calendars.values(), log=log,
        )  # fmt: skip
    refuse_days_of_two_kinds(plan, market)
    aligned = align_bars(plan, market, alignment_rules(strategy))
    with placed(loaded, "universe"):
        first = _first_decision(strategy, plan, market, aligned, not_before_ns)
    return Session(loaded, plan, market, aligned, first, log, tables)


def alignment_rules(strategy: Any) -> AlignmentRules:
    """Return how a file counts days, gaps and funding."""
    funding = strategy.perpetual.funding
    return AlignmentRules(
        time_zone=strategy.time_zone,
        day_start_ns=strategy.day_start,
        reset_after=strategy.data.candles.extra["reset_after"],
        funding_rate=funding.rate if funding else None,
        funding_every_ns=funding.every if funding else 1,
    )


def warmup_ns_of(strategy: Any, memory_bars: int) -> int:
    """Return the market time to read before the start: feature memory, and the first window.

    The time is several times that of the bars if the market may close; more never changes a bit.
    """
    bars, bar_ns = memory_bars + 2, strategy.universe.bar
    calendars = set(written_calendars(strategy))
    times = 1 if calendars == {"24x7"} else 3
    if calendars - {None, "24x7", "XFX"} and bar_ns < 86_400_000_000_000:
        times = 8  # sessions of five hours on five days of seven, and holidays
    needed_ns = bars * times * bar_ns + 7 * 86_400_000_000_000
    if strategy.model is not None and learn.stored_folder(strategy.model) is None:
        training = strategy.model.extra["training"]
        if training.window == "expanding" and training.lead_ns:
            return 2**62
        needed_ns += training.lead_ns
    return int(needed_ns)


def refuse_days_of_two_kinds(plan: Plan, market: MarketData) -> None:
    """Reject frames of whole days if most symbols trade always and others in sessions.

    Raises
    ------
    InputError
        For the first feature on such a frame, at its place in the file.
    """
    graph = plan.assembly.graph
    in_sessions = [name for name, calendar in market.calendars.items() if calendar != "24x7"]
    if market.calendar != "24x7" or not in_sessions:
        return
    for node in graph.nodes:
        if node.bar_ns != graph.bar_ns and node.bar_ns % 86_400_000_000_000 == 0:
            raise InputError(
                "bars of whole days are UTC days for most symbols here, and sessions of "
                f"{market.calendars[in_sessions[0]]} for {in_sessions[0]}",
                hint="write a file for the symbols of each calendar, or hours: bar: 4h",
                key=f".features.{node.label.split('.')[0]}",
            )


def slowest_key(plan: Plan) -> str:
    """Return the key of the feature that needs the most bars before its first value."""
    graph = plan.assembly.graph
    column = max(plan.assembly.needed, key=graph.base_ready, default=None)
    node = getattr(column, "node", None)
    return ".signal" if node is None else f".features.{graph.nodes[node].label.split('.')[0]}"


def _first_decision(
    strategy: Any,
    plan: Plan,
    market: MarketData,
    aligned: AlignedBars,
    not_before_ns: int | None = None,
) -> int:
    """Return the first time from `start` on at which the rules of some symbol can be read."""
    longest = max(aligned.lengths)
    if longest <= plan.warmup_bars:
        raise DataError(
            f"{longest} bars are too few: the features need {plan.warmup_bars} before they have "
            "values",
            hint="ask for a longer span, or shorten the features",
            key=slowest_key(plan),
        )
    known_ns = aligned.T[layout.KNOWN]
    waits = [each for each in (strategy.universe.start, not_before_ns) if each is not None]
    at = int(np.searchsorted(known_ns, max(waits), side="left")) if waits else 0
    ready = first_ready(plan, aligned)
    if ready is None:
        raise DataError(
            f"no stretch of history is as long as the {plan.warmup_bars} bars the features need",
            hint=calendar_hint(market.findings)
            or "the data is cut by gaps: see `septet data check FILE` (FILE is the strategy file), "
            "or raise candles.reset_after",
            key=slowest_key(plan),
        )
    first = max(at, ready)
    if first >= aligned.times:
        raise DataError(
            "the data ends before the first decision: nothing is left to trade",
            hint="move universe.start back, or extend the data",
            key="start",
        )
    return first


def first_ready(plan: Plan, aligned: AlignedBars) -> int | None:
    """Return the first time at which the rules of some symbol can be read; None without one."""
    first_times = []
    for k, length in enumerate(aligned.lengths):
        ready = np.flatnonzero(aligned.M[k, layout.AGE, :length] >= plan.warmup_bars)
        if len(ready):
            times = np.flatnonzero(aligned.T[layout.ROW + k] == ready[0])
            first_times.append(int(times[0]))
    return min(first_times, default=None)
