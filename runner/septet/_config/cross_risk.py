"""Cross-checks of limits, stops, halts and where orders go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from septet._config.check_context import CheckContext, asks_for
from septet._config.pydantic_problems import closest

__all__ = ["CHECKS"]

DAY_NS: Final = 86_400 * 1_000_000_000


def _limit(context: CheckContext, name: str) -> float | None:
    if context.doubtful("risk", "limits", name):
        return None  # the current value there is the default
    block = context.strategy.risk.limits.get(name)
    value = getattr(block.config, "max", None) if block is not None else None
    return float(value) if isinstance(value, int | float) else None


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.6g}%"


def _written(context: CheckContext, name: str) -> bool:
    return context.written("risk", "limits", name)


def check_sizing_against_limits(context: CheckContext) -> None:
    """The size requested by the sizing is within the position limit."""
    config, position = context.strategy.risk.sizing.config, _limit(context, "position")
    if position is None or not context.strategy.follows_signal:
        return
    key = "max" if hasattr(config, "max") else "fraction"
    requested = getattr(config, key, None)
    if isinstance(requested, int | float) and requested > position:
        always = key == "fraction" and not asks_for(context.strategy.risk.sizing, "up")
        effect = "every entry is capped at it" if always else "the rest is never reached"
        context.warn(
            ("risk", "sizing", key),
            f"{context.strategy.risk.sizing.use} may ask for {_percent(requested)} of equity, the "
            f"position limit is {_percent(position)}: {effect}",
            hint=f"write {key}: {position * 100:g}%, or raise risk.limits.position",
        )


def check_idle_limits(context: CheckContext) -> None:
    """A limit that can never bind has no effect."""
    position, gross = _limit(context, "position"), _limit(context, "gross_exposure")
    count = len(context.strategy.universe.symbols)
    if position is None or gross is None:
        return
    if _written(context, "position") and position > gross:
        _never(context, ("risk", "limits", "position"), f"gross_exposure is {_percent(gross)}")
    if _written(context, "gross_exposure"):
        if count * position < gross:
            reason = f"{count} x position {_percent(position)} is less"
            _never(context, ("risk", "limits", "gross_exposure"), reason)
        elif context.is_spot and gross > 1.0:
            _never(context, ("risk", "limits", "gross_exposure"), "a spot account cannot borrow")
    correlated = _limit(context, "correlated")
    if correlated is not None and correlated >= min(gross, count * position):
        reason = "the other limits are tighter"
        _never(context, ("risk", "limits", "correlated"), reason)


def _never(context: CheckContext, path: tuple[str, ...], reason: str) -> None:
    context.warn(path, f"this limit can never bind: {reason}", on_key=True)


def check_groups(context: CheckContext) -> None:
    """Groups name symbols of the universe, and can bind."""
    symbols = list(context.strategy.universe.symbols)
    position = _limit(context, "position") or 1.0
    block = context.strategy.risk.limits.get("groups")
    groups: Any = getattr(block.config, "groups", None) if block is not None else None
    for name, group in (groups or {}).items():
        base = ("risk", "limits", "groups", name)
        for index, symbol in enumerate(group.symbols):
            if symbol not in symbols and not context.doubtful("universe"):
                message = f"{symbol} is not in universe.symbols"
                context.error(
                    (*base, "symbols", index), message, hint=closest(symbol, symbols, 0.8)
                )
        if len(group.symbols) * position < group.max:
            reason = f"{len(group.symbols)} x position {_percent(position)} is less"
            _never(context, (*base, "max"), reason)


def check_stops(context: CheckContext) -> None:
    """Stops that exclude each other are reported."""
    stops = context.strategy.risk.stops
    if (
        context.strategy.risk.adopt == "adopt"
        and not stops
        and not context.doubtful("risk", "stops")
    ):
        context.error(
            ("risk", "adopt"),
            "an adopted position must have a stop",
            hint="add risk.stops.stop_loss, or leave adopt at refuse",
        )
    limit = stops.get("time_limit")
    after = getattr(limit.config, "after", None) if limit is not None else None
    if isinstance(after, int) and after < context.bar_ns:
        context.warn(
            ("risk", "stops", "time_limit"),
            "this is shorter than a bar: every position is left at its first close",
        )


def check_halts(context: CheckContext) -> None:
    """Live has halts, and the tighter halt can trip."""
    strategy = context.strategy
    if (
        strategy.mode == "live"
        and not strategy.risk.halts
        and not context.doubtful("risk", "halts")
    ):
        context.error(
            ("risk", "halts"),
            "live mode needs halts: nothing would stop this strategy",
            expected="at least one halt",
            hint="e.g. halts: {drawdown: {above: 15%, then: flatten, resume: manual}}",
        )
    drawdown, daily = (
        _above(context, "drawdown"),
        _above(context, "daily_loss"),
    )
    if drawdown is not None and daily is not None and daily > drawdown:
        context.warn(
            ("risk", "halts", "daily_loss"),
            f"this halt can never trip first: drawdown already trips at {_percent(drawdown)}",
            on_key=True,
        )


def check_daily_loss(context: CheckContext) -> None:
    """A loss within a day is seen on bars that are shorter than a day."""
    strategy = context.strategy
    if "daily_loss" not in strategy.risk.halts or context.doubtful("risk", "halts", "daily_loss"):
        return
    if strategy.mode != "backtest" or context.bar_ns < DAY_NS:
        return
    context.warn(
        ("risk", "halts", "daily_loss"),
        "this halt never trips in a backtest with bars of a day or longer: it compares with the "
        "equity at the first close of the day, which is the only one",
        on_key=True,
        hint="use drawdown, or shorter bars; paper and live compare prices within the day as well",
    )


def _above(context: CheckContext, name: str) -> float | None:
    if context.doubtful("risk", "halts", name):
        return None
    block = context.strategy.risk.halts.get(name)
    value = getattr(block.config, "above", None) if block is not None else None
    return float(value) if isinstance(value, int | float) else None


def check_venues(context: CheckContext) -> None:
    """Live trades at one venue, a real one."""
    venues = context.strategy.execution.venues
    if context.strategy.mode == "live" and len(venues) > 1:
        second = list(venues)[1]
        context.error(
            ("execution", "venues", second),
            f"execution.venues names {len(venues)} venues, and a live run trades on one",
            on_key=True,
            expected="one venue",
            hint="give each venue a strategy file of its own",
        )
    if context.doubtful("execution", "venues"):
        return
    if context.strategy.mode == "live" and all(each.use == "simulated" for each in venues.values()):
        context.error(
            ("execution", "venues"),
            "live mode has no real venue",
            hint="e.g. venues: {binance: {use: ccxt, exchange: binance, key: env:KEY, "
            "secret: env:SECRET}}, or mode: paper",
        )


def check_live_type(context: CheckContext) -> None:
    """Live trades spot alone."""
    if context.strategy.mode == "live" and context.is_perpetual:
        context.error(
            ("account", "type"),
            "live trading of perpetuals is not available in this version",
            expected="spot",
            hint="run it with --mode paper, or trade spot: account: {type: spot}",
        )


def check_regime(context: CheckContext) -> None:
    """The regimes named are regimes of the filter."""
    regime = context.strategy.signal.extra.get("regime")
    labels = getattr(regime.declaration, "reasons", ()) if regime is not None else ()
    if regime is None or not labels:
        return
    chosen = regime.extra["trade_in"]
    for index, name in enumerate(chosen):
        if name not in labels:
            context.error(
                ("signal", "regime", "trade_in", index),
                f"{regime.use} knows no regime {name!r}",
                hint=closest(name, list(labels)),
            )
    if set(labels) <= set(chosen):
        context.warn(
            ("signal", "regime", "trade_in"), "this names every regime: the filter does nothing"
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_sizing_against_limits,
    check_idle_limits,
    check_groups,
    check_stops,
    check_halts,
    check_daily_loss,
    check_venues,
    check_live_type,
    check_regime,
)
