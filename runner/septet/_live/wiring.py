"""Connects a live run to the plugins that the blocks of its file name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from septet import messages as m
from septet._config.pydantic_problems import problem_at
from septet._core.orders.records import Timing
from septet._data.bars import Instrument
from septet._host.background_tasks import Tasks
from septet._host.venues import Connects, LiveFeed, LiveVenue, Market, Streams, VenueFacts
from septet._live.build_core import core_of, currencies, has_venue_fills
from septet._live.clock import LiveClock
from septet._live.paper.resting_orders import resting
from septet._live.paper.venue import PaperVenue
from septet._plan.run_terms import simulation_of
from septet.errors import ConfigError, InputError, Problem

__all__ = [
    "WIRING", "Wiring", "check_feed", "core_terms", "core_with", "feed_of", "filters_of",
    "instruments_of",
    "markets_of", "take_up", "venue_of",
]  # fmt: skip


@dataclass(frozen=True)
class Wiring:
    """The factories of the core, the venue and the feed of a loaded file."""

    core: Callable[..., Any]
    venue: Callable[[Any, LiveClock, Mapping[str, Market], Tasks], LiveVenue | None]
    feed: Callable[[Any, LiveClock, Tasks], LiveFeed]


def feed_of(loaded: Any, clock: LiveClock, tasks: Tasks | None = None) -> LiveFeed:
    """Return the source of live bars that a file names; `tasks` own what it runs.

    Without them the feed has an owner of its own, which only logs.

    Raises
    ------
    ConfigError
        The source does not stream.
    """
    problems = check_feed(loaded)
    if problems:
        raise ConfigError(problems)
    block = loaded.strategy.data.candles
    loaded.access.reach(block.config, "data.candles")
    source: Streams = block.declaration(block.config)
    owner = tasks or Tasks(f"feed {block.use}")
    return source.stream(clock=clock, **_accepted_arguments(source.stream, tasks=owner))


def check_feed(loaded: Any) -> list[Problem]:
    """Refuse a source of candles that only has history, if bars are needed as they close."""
    strategy = loaded.strategy
    block = strategy.data.candles
    if strategy.mode == "backtest":
        return []
    source = block.declaration.build
    if not isinstance(source, type):  # a function: its result is only inspected
        source = block.declaration(block.config)
    if callable(getattr(source, "stream", None)):
        return []
    message = (
        f"use: {block.use} holds history and does not stream, and mode {strategy.mode} "
        "needs bars as they close"
    )
    hint = f"write under {strategy.mode}: data: {{candles: {{use: ccxt, venue: binance}}}}"
    return [problem_at(loaded.tree, ("data", "candles"), message, hint=hint)]


def _accepted_arguments(method: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Return those of the available arguments that a plugin's method accepts."""
    accepted = inspect.signature(method).parameters
    return {key: value for key, value in offered.items() if key in accepted and value is not None}


def venue_of(
    loaded: Any, clock: LiveClock, markets: Mapping[str, Market], tasks: Tasks | None = None
) -> LiveVenue | None:
    """Return the venue of orders, whose tasks `tasks` own; None if fills happen inside the core.

    Raises
    ------
    InputError
        Live mode with a venue that only simulates, or with several.
    """
    strategy = loaded.strategy
    if strategy.mode == "live":
        return _connected(loaded, clock, tasks)
    if not has_venue_fills(strategy):
        return None
    name = next(iter(strategy.execution.venues))
    return PaperVenue(
        name=name, clock=clock, simulation=simulation_of(strategy), markets=markets,
        cash=strategy.account.capital, bar_ns=strategy.universe.bar,
        spot=strategy.account.type == "spot", tasks=tasks,
    )  # fmt: skip


def _connected(loaded: Any, clock: LiveClock, tasks: Tasks | None) -> LiveVenue:
    venues = loaded.strategy.execution.venues
    if len(venues) > 1:
        raise InputError(
            f"execution.venues names {len(venues)} venues, and a live run trades on one",
            hint="give each venue a strategy file of its own",
        )
    [(name, block)] = venues.items()
    place = f"execution.venues.{name}"
    config, read = loaded.access.reader(block.config, loaded.base_dir, place)
    venue = block.declaration(config)
    if not isinstance(venue, Connects):
        raise InputError(
            f"{place}: {block.use} only simulates, and live mode needs a venue",
            hint="write {use: ccxt, exchange: ...}, or run it with --mode paper",
        )
    options = _accepted_arguments(venue.connect, read=read, tasks=tasks or Tasks(name))
    return venue.connect(name=name, clock=clock, **options)


def instruments_of(loaded: Any, markets: Mapping[str, Market]) -> tuple[Instrument, ...]:
    """Return the instruments: from the venue, otherwise from the file, otherwise the defaults.

    In paper mode the file takes precedence, so that backtest and paper trade the same.

    Raises
    ------
    InputError
        An instrument is declared nowhere.
    """
    strategy = loaded.strategy
    written = strategy.execution.instruments
    instruments = []
    for symbol in strategy.universe.symbols:
        spec, market = written.get(symbol), markets.get(symbol)
        if market is not None and (spec is None or strategy.mode == "live"):
            instrument = Instrument(
                symbol, market.lot, market.tick, market.min_notional, market.precision,
                market.min_quantity, market.max_quantity,
            )  # fmt: skip
        elif spec is not None:
            lot = float(spec.lot)
            instrument = Instrument(
                symbol, lot, float(spec.tick), float(spec.min_notional), min(1e-8, lot),
                float(spec.min_quantity),
            )  # fmt: skip
        elif strategy.mode == "paper" and _simulates(strategy):
            instrument = Instrument(symbol)
        else:
            raise InputError(
                f"nothing states what can be traded of {symbol}: lot, tick and minimum notional",
                hint=f"write execution: {{instruments: {{{symbol}: {{tick: ..., lot: ..., "
                "min_notional: ...}}}",
            )
        instruments.append(instrument)
    return tuple(instruments)


def _simulates(strategy: Any) -> bool:
    return all(block.use == "simulated" for block in strategy.execution.venues.values())


def markets_of(loaded: Any, instruments: Sequence[Instrument]) -> dict[str, Market]:
    """Return instruments as a venue lists them."""
    account = loaded.strategy.account.currency
    markets = {}
    for instrument in instruments:
        base, quote = currencies(instrument.symbol, account)
        markets[instrument.symbol] = Market(
            instrument.symbol, base, quote, instrument.lot, instrument.tick,
            instrument.min_notional, precision=instrument.precision,
            min_quantity=instrument.min_quantity, max_quantity=instrument.max_quantity,
        )  # fmt: skip
    return markets


def filters_of(
    facts: VenueFacts, instruments: Sequence[Instrument], at_ns: int
) -> list[m.FiltersChanged]:
    """Return the current filters of a venue: they may have changed since the last process.

    Of a symbol that is not listed these are the ones that the run began with.
    """
    found = []
    for number, known in enumerate(instruments):
        market, listed = facts.markets.get(known.symbol), known.symbol not in facts.unlisted
        if market is None and listed:
            continue
        each = known if market is None else market
        found.append(
            m.FiltersChanged(
                at_ns=at_ns, symbol=number, lot=each.lot, tick=each.tick,
                min_notional=each.min_notional, trading=market is not None and market.trading,
                min_quantity=each.min_quantity, max_quantity=each.max_quantity, listed=listed,
            )
        )  # fmt: skip
    return found


def core_terms(facts: VenueFacts | None, speed: float) -> dict[str, Any]:
    """Return the terms of the venue that the core needs, as plain data for the journal's head."""
    terms: dict[str, Any] = {"speed": speed, "holds_stops": False, "timing": None}
    if facts is not None:
        terms["holds_stops"] = "stop" in facts.order_types
        terms["timing"] = {
            "answers_final_after_ns": facts.answers_final_after_ns,
            "amends": facts.amends,
        }
    return terms


def core_with(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `core_of` that `core_terms` stands for."""
    timing = terms["timing"]
    return {
        "speed": float(terms["speed"]),
        "holds_stops": bool(terms["holds_stops"]),
        "timing": Timing(**timing) if timing is not None else None,
    }


def take_up(venue: Any, core: Any) -> None:
    """Restore a simulated venue, which ended with its process, from the core's memory."""
    orders = getattr(core, "orders", None)
    if orders is None or not isinstance(venue, PaperVenue):
        return
    engine = core.engine
    units = {k: engine.position(k)[1] for k in range(len(core.names.symbols))}
    venue.restore(resting(orders.records.children.values()), cash=engine.cash, units=units)


WIRING: Final = Wiring(core_of, venue_of, feed_of)
