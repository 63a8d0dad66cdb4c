"""Builds the live core of a loaded file: the same plan, wired for events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from septet import _learn as learn
from septet import messages as m
from septet._core.checks import Checks, Limits
from septet._core.checks import Instrument as CheckedInstrument
from septet._core.engine import Engine
from septet._core.guards import SKEW_NS, Guards
from septet._core.live_core import LiveCore
from septet._core.monitoring import Monitoring
from septet._core.orders import Orders, Timing
from septet._core.venue_fills import VenueFillsEngine
from septet._core.wiring import Names, OrderRules
from septet._data.bars import Instrument
from septet._data.day_calendars import day_calendar, written_calendars
from septet._data.trading_hours import FillGrid
from septet._live.intake import Intake, Schedule
from septet._live.live_monitors import monitors_of
from septet._live.model_in_force import Models
from septet._live.training import TrainingTimes, load_served
from septet._plan.plan import Plan
from septet._plan.run_terms import simulation_of
from septet._shell.event_backtest import window_of
from septet._shell.session import alignment_rules, plan_of
from septet.errors import InputError
from septet_schemas.units import format_duration

__all__ = ["Build", "core_of", "currencies", "has_venue_fills", "limits_of"]

MINUTE_NS: Final = 60_000_000_000
ROUND_THE_CLOCK: Final = "24x7"


@dataclass(frozen=True)
class Build:
    """A core and the objects that it was built from."""

    loaded: Any
    core: LiveCore
    plan: Plan
    names: Names
    instruments: tuple[Instrument, ...]
    bars_needed: int
    features: tuple[str, ...]
    model_inputs: tuple[int, ...] = ()


def has_venue_fills(strategy: Any) -> bool:
    """Whether the venue makes the fills: live, and paper with quotes or books."""
    if strategy.mode == "live":
        return True
    return str(simulation_of(strategy).fills) != "next_open"


def currencies(symbol: str, account: str) -> tuple[str, str]:
    """Base and quote currency of a symbol; one without a slash is quoted in the account's."""
    base, _, quote = symbol.partition("/")
    return base, quote.partition(":")[0] or account


def core_of(
    loaded: Any,
    *,
    tag: str,
    instruments: Sequence[Instrument],
    run_folder: Path,
    timing: Timing | None = None,
    calendars: Mapping[str, str] | None = None,
    speed: float = 1.0,
    holds_stops: bool = False,
    log: Any = None,
) -> Build:
    """Build the live core of a loaded file; compiles or loads the plan.

    Parameters
    ----------
    loaded
        A file as `septet._config.load` returns it, for paper or live.
    tag
        Eight characters that every client order id of the run begins with.
    instruments
        What is traded, in universe order; fixed for the life of a run.
    run_folder
        Where models are kept.
    timing
        Time limits of requests, and capabilities of the venue.
    calendars
        Calendar of each symbol; that of the file for symbols not listed.
    speed
        Seconds of market time in a second of wall time.
    holds_stops
        Whether the venue takes stop orders: it then holds the strategy's protective stops.
    """
    strategy = loaded.strategy
    _refuse_unserved(strategy)
    venue_fills = has_venue_fills(strategy)
    known = _calendars_of(strategy, calendars or {})
    main = max(known, key=known.count)
    plan = plan_of(loaded, calendar=main, calendars=known, venue_fills=venue_fills, log=log)
    days = day_calendar(known)
    models = _models_of(loaded, plan, run_folder, days)
    engine = _engine(plan, strategy, instruments, models)
    intake = _intake(plan, strategy, known)
    guards = Guards(
        strategy.universe.symbols, lots=[each.lot for each in instruments],
        skew_limit_ns=skew_limit_of(strategy),
    )  # fmt: skip
    guards.equity = engine.equity
    rules = _order_rules(strategy, speed, protects=venue_fills and holds_stops)
    names = _names(plan, strategy, venue_fills, days)
    orders = checks = None
    if venue_fills:
        checks = Checks([_checked(each) for each in instruments], limits_of(strategy, speed))
        checks.equity = engine.equity
        orders = Orders(tag, checks, guards, lambda k: core.engine.held(k), timing)
    inputs = _model_inputs(plan, strategy)
    scale = [engine.scale(k) for k in range(len(instruments))]
    monitors = monitors_of(
        strategy, scale, _input_names(plan, strategy), inputs, models, lambda: core.engine
    )
    if venue_fills:
        engine.dropped = monitors.monitors.record.log
    monitoring = Monitoring(monitors, strategy.universe.symbols)
    core = LiveCore(names, engine, intake, models, guards, rules, orders, checks, monitoring)
    features = tuple(plan.assembly.shown)
    return Build(
        loaded, core, plan, names, tuple(instruments), plan.memory_bars + 2, features,
        tuple(inputs),
    )  # fmt: skip


def skew_limit_of(strategy: Any) -> int:
    """Return the largest clock skew allowed: the smallest value of the venues of the file."""
    venues = strategy.execution.venues.values()
    limits = [int(getattr(each.config, "skew", None) or SKEW_NS) for each in venues]
    return min(limits, default=SKEW_NS)


def _refuse_unserved(strategy: Any) -> None:
    """Refuse what a backtest supports and paper or live does not yet."""
    if strategy.mode == "live" and strategy.account.type != "spot":
        raise InputError(
            "live trading of perpetuals is not available in this version",
            hint="run it with --mode paper, or trade spot: account: {type: spot}",
        )


def _calendars_of(strategy: Any, calendars: Mapping[str, str]) -> list[str]:
    """Return the calendar of each symbol, in universe order: the one given, else the file's."""
    named = zip(strategy.universe.symbols, written_calendars(strategy), strict=True)
    return [calendars.get(symbol) or written or ROUND_THE_CLOCK for symbol, written in named]


def _engine(
    plan: Plan, strategy: Any, instruments: Sequence[Instrument], models: Models | None
) -> Engine:
    """Return an engine whose window is as long as the strategy's memory."""
    assembly = plan.assembly
    window = window_of(plan, plan.state(strategy.account.capital, instruments))
    inputs = _model_inputs(plan, strategy)
    kind = VenueFillsEngine if plan.assembly.venue_fills else Engine
    return kind(
        window, predict_row=models.predict_row if models is not None else None, model_inputs=inputs,
        model_row=assembly.model_row, keeps_log=False,
    )  # fmt: skip


def _model_inputs(plan: Plan, strategy: Any) -> list[int]:
    """Return the rows of F that form the model's input vector."""
    if strategy.model is None:
        return []
    graph, rows_of = plan.assembly.graph, plan.assembly.rows.f
    columns = [graph.named[name] for name in _input_names(plan, strategy)]
    return [rows_of[column.node, column.output] for column in columns]


def _input_names(plan: Plan, strategy: Any) -> list[str]:
    """Return the names of the features that a model reads, in order."""
    if strategy.model is None:
        return []
    return list(strategy.model.extra.get("inputs") or plan.assembly.features)


def _models_of(loaded: Any, plan: Plan, run_folder: Path, calendar: str) -> Models | None:
    block = loaded.strategy.model
    if block is None:
        return None
    names = _input_names(plan, loaded.strategy)

    def load(event: m.ModelReady) -> Any:
        return load_served(run_folder, event, names, learn.restore_of(block))

    bar_ns = loaded.strategy.universe.bar
    return Models(load, learn.training_rule(block.extra["training"], bar_ns, calendar).ready_at)


def _intake(plan: Plan, strategy: Any, calendars: Sequence[str]) -> Intake:
    rows = plan.assembly.rows.x
    bar_ns = strategy.universe.bar
    symbols = strategy.universe.symbols
    schedules = [Schedule(bar_ns, each) for each in calendars]
    grids = {each: FillGrid(each, bar_ns) for each in calendars}
    ages = {name: block.extra["max_age"] for name, block in strategy.data.readable.items()}
    columns = sorted(rows, key=rows.__getitem__)
    return Intake(
        symbols, columns, schedules, alignment_rules(strategy), ages,
        hours=plan.assembly.terms.hours, grids=[grids[each] for each in calendars],
        counts_members=plan.facts.members_row is not None,
    )  # fmt: skip


def _names(plan: Plan, strategy: Any, venue_fills: bool, calendar: str = ROUND_THE_CLOCK) -> Names:
    symbols = strategy.universe.symbols
    pairs = [currencies(symbol, strategy.account.currency) for symbol in symbols]
    halts = [
        (name, str(block.extra["then"]), _resume(block.extra["resume"]))
        for name, block in plan.assembly.halts
    ]
    return Names(
        symbols=tuple(symbols), reasons=tuple(plan.assembly.reasons), halts=tuple(halts),
        base=tuple(base for base, _ in pairs), quote=tuple(quote for _, quote in pairs),
        venue_fills=venue_fills, explained=tuple(plan.assembly.explained),
        training_times=_schedule_of(strategy, calendar), on_drift=_retrains_on_drift(strategy),
    )  # fmt: skip


def _retrains_on_drift(strategy: Any) -> bool:
    return strategy.model is not None and bool(strategy.model.extra["training"].on_drift)


def _resume(value: Any) -> str:
    return value if isinstance(value, str) else format_duration(value)


def _schedule_of(strategy: Any, calendar: str) -> Callable[[int, int], Sequence[int]] | None:
    """Return which training times fall into a span.

    A run that begins needs the model in force, and those that are not ready yet.
    """
    block = strategy.model
    if block is None or learn.stored_folder(block) is not None:
        return None
    rule = learn.training_rule(block.extra["training"], strategy.universe.bar, calendar)
    times = TrainingTimes(rule, rule.train_ns)

    def due(after_ns: int, until_ns: int) -> Sequence[int]:
        if after_ns < 0:
            return times.needed(until_ns)
        return times.between(after_ns + 1, until_ns)

    return due


def _order_rules(strategy: Any, speed: float, *, protects: bool) -> OrderRules:
    keys, order = strategy.data.candles.extra, strategy.execution.order
    fee = simulation_of(strategy).fee
    within = keys["decide_within"]
    if within is None:
        within = min(int(strategy.universe.bar / speed) // 4, MINUTE_NS)
    if strategy.portfolio.decides:  # increases wait for reductions, and for the rate limit
        within = int(strategy.universe.bar / speed)
    rests = order.use == "limit_then_market"
    return OrderRules(
        decide_within_ns=int(within),
        patience_ns=int(order.config.patience) if rests else 0,
        max_slippage=float(order.config.max_slippage) if rests else 0.0,
        protects=protects, latency_alarm_ns=int(strategy.monitoring.fills.latency_alarm),
        adopts=strategy.risk.adopt == "adopt", fees=(fee.maker, fee.taker),
        on_shutdown=str(strategy.execution.on_shutdown), liquidation=_liquidation(strategy),
    )  # fmt: skip


def _liquidation(strategy: Any) -> tuple[float, float] | None:
    if strategy.account.type != "perpetual":
        return None
    return float(strategy.perpetual.leverage), float(strategy.perpetual.maintenance)


def limits_of(strategy: Any, speed: float = 1.0) -> Limits:
    """Read the file's limits for the last check; windows shrink with a bar that is shortened."""
    blocks = {block.use: block.config for block in strategy.risk.limits.values()}

    def of(name: str, field: str, default: float) -> float:
        return float(getattr(blocks[name], field, default)) if name in blocks else default

    shares = {"position": 1.0, "gross_exposure": 1.0}
    for name in shares:
        shares[name] = of(name, "max", 1.0)
    rate = int(of("orders_per_minute", "max", 60))
    minutes = max(1, round(speed * MINUTE_NS / strategy.universe.bar)) if speed > 1.0 else 1
    return Limits(
        price_collar=of("price_collar", "max", 0.05),
        max_order_value=of("max_order_value", "max", math.inf),
        orders_per_minute=rate * minutes, reductions_per_minute=rate * minutes,
        position=shares["position"], gross=shares["gross_exposure"],
        repeats=10 * minutes, flips=60 * minutes, turnover=20.0 * minutes,
    )  # fmt: skip


def _checked(each: Instrument) -> CheckedInstrument:
    return CheckedInstrument(
        symbol=each.symbol, lot=each.lot, tick=each.tick, min_notional=each.min_notional,
        min_quantity=each.min_quantity, max_quantity=each.max_quantity,
    )  # fmt: skip
