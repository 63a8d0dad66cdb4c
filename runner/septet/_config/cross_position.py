"""Cross-checks of positions in steps: required keys, and combinations not supported yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from septet._config.check_context import CheckContext, readings
from septet._config.cross_features import expression_problem
from septet._config.tree import Path
from septet._expressions import Call, ExpressionError, names_in, parse_expression, walk
from septet_schemas.position import POSITION_WORDS, Distance, distances_of
from septet_schemas.units import format_duration

__all__ = ["CHECKS"]

FIRST_STOP: Final = "a stop_loss, a level, or a trailing stop without `after`"
_CLOSE: Final = 1.02
"""How far a sum of shares may exceed a limit before it is reported, since prices move both."""
_WAITS: Final = ("trailing", "break_even")
"""Stops that act only once the position is `after` in profit."""


def _has_first_stop(context: CheckContext) -> bool:
    """Return whether a position has a stop from its first fill on."""
    for block in context.strategy.risk.stops.values():
        if (block.declaration.role or "stop") != "stop":
            continue
        distances = [getattr(block.config, name) for name in distances_of(type(block.config))]
        if not any(isinstance(each, Distance) and each.multiple for each in distances) and not (
            block.use in _WAITS and getattr(block.config, "after", 0.0) != 0.0
        ):
            return True
    return False


def _multiples(context: CheckContext) -> Iterator[tuple[Path, Distance]]:
    """Yield every multiple of R, with its path."""
    risk = context.strategy.risk
    for name, block in risk.stops.items():
        for key in distances_of(type(block.config)):
            yield from _multiple(("risk", "stops", name, key), getattr(block.config, key))
    for number, take in enumerate(risk.position.take if risk.position is not None else ()):
        yield from _multiple(("risk", "position", "take", number, "at"), take.at)
    for number, add in enumerate(risk.position.add if risk.position is not None else ()):
        for index, at in enumerate(add.at):
            yield from _multiple(("risk", "position", "add", number, "at", index), at)


def _multiple(path: Path, value: object) -> Iterator[tuple[Path, Distance]]:
    if isinstance(value, Distance) and value.multiple:
        yield path, value


def check_first_stop(context: CheckContext) -> None:
    """R, and a size by risk, need a stop from the first fill on."""
    if _has_first_stop(context) or context.doubtful("risk", "stops"):
        return
    for path, value in _multiples(context):
        context.error(
            path,
            "R is the distance of the first fill from the first stop, and this file has none",
            found=str(value),
            hint=f"add {FIRST_STOP}, or write a share such as 4%",
        )
    if context.strategy.risk.sizing.use == "fixed_risk":
        context.error(
            ("risk", "sizing"),
            "fixed_risk divides the risk by the distance to the first stop, and there is none",
            hint=f"add {FIRST_STOP}, or use fixed_fraction",
        )


def check_past_of_words(context: CheckContext) -> None:
    """Words of the position have only their current value: no function reads past values."""
    risk = context.strategy.risk
    expressions = list(readings(("signal",), context.strategy.signal.config))
    expressions += (
        readings(("risk", "position"), risk.position) if risk.position is not None else []
    )
    for reading in expressions:
        try:
            tree = parse_expression(reading.text)
        except ExpressionError:  # reported by the check of names
            continue
        for part in walk(tree):
            if isinstance(part, Call) and (part.function == "prev" or "crosses" in part.function):
                position_words = [each for each in names_in(part) if each.name in POSITION_WORDS]
                for name in position_words[:1]:
                    message = f"{name.name} has no past: it is known as it stands now"
                    hint = "compare it with > or <, and look back at prices and features alone"
                    expression_problem(context, reading.path, name.offset, message, hint)


def check_adds(context: CheckContext) -> None:
    """Adds have room, and nothing resizes the position beside them."""
    risk = context.strategy.risk
    if risk.position is None or not risk.position.add or risk.position.enters:
        return
    if context.strategy.portfolio.decides:  # a portfolio adds by its weights: `cross_portfolio`
        return
    path: Path = ("risk", "position", "add")
    if risk.rebalance is not None:
        context.error(
            path,
            "a position that is resized at every close is not added to in steps as well",
            hint="write rebalance: never (volatility_target has a band of 20%), or leave out add",
        )
    if context.doubtful("risk", "sizing") or context.doubtful("risk", "limits"):
        return
    limit = getattr(risk.limits["position"].config, "max", None) if risk.limits else None
    fraction = getattr(risk.sizing.config, "fraction", None)
    fixed = risk.sizing.use == "fixed_fraction" and isinstance(fraction, float)
    if fixed and isinstance(limit, float) and fraction is not None and fraction >= limit:
        report = context.warn if risk.position.take else context.error  # takes reduce the position
        report(
            path,
            f"the first order takes all that risk.limits.position allows ({limit * 100:g}%): "
            "adds have no room",
            hint="a smaller fraction of sizing, or a wider position limit",
        )
    elif fixed and fraction is not None:
        parts = len(context.strategy.universe.symbols) if risk.split == "equal" else 1
        _resting_adds_within_limits(context, fraction / parts)
        _adds_by_value(context, fraction / parts)


def _resting_adds_within_limits(context: CheckContext, first: float) -> None:
    """Resting adds are placed whole or never: they fit beside a first order of this share."""
    risk, room = context.strategy.risk, _room(context)
    if risk.position is None or room is None or context.strategy.execution.simulation.participation:
        return
    most, limit = room
    rungs = [
        (abs(at), add.size * (1.0 + at) * first, number)
        for number, add in enumerate(risk.position.add) for at in add.at if isinstance(at, float)
    ]  # fmt: skip
    for number in sorted({each[2] for each in rungs}):
        least = min(worth for _, worth, rung in rungs if rung == number)
        if first + least > most * _CLOSE:
            context.warn(
                ("risk", "position", "add", number, "size"),
                f"this add is never placed: with the first order of {first * 100:.4g}% it is "
                f"{(first + least) * 100:.4g}% of equity, and {limit} lets {most * 100:g}%",
                hint="a smaller size here or of the first order, or a wider limit",
            )
            return
    fit, used = 0, first
    for _, worth, _ in sorted(rungs):
        used += worth
        fit += used <= most * _CLOSE
    if fit < len(rungs):
        context.warn(
            ("risk", "position", "add"),
            f"{limit} lets {fit} of {len(rungs)} resting adds be placed beside a first order of "
            f"{first * 100:.4g}%: the farthest never are",
            hint="smaller adds, a smaller first order, or a wider limit",
        )


def _adds_by_value(context: CheckContext, first: float) -> None:
    """An add that is worth, at the capital, what no order may be worth is never sent."""
    strategy = context.strategy
    if strategy.risk.position is None or context.doubtful("execution", "instruments"):
        return
    limit = strategy.risk.limits.get("max_order_value")
    most = getattr(limit.config, "max", math.inf) if limit is not None else math.inf
    instruments = strategy.execution.instruments
    least = min(
        instruments[name].min_notional if name in instruments else 0.0
        for name in strategy.universe.symbols
    )
    for number, add in enumerate(strategy.risk.position.add):
        away = [1.0 + at for at in add.at if isinstance(at, float)] or [1.0]
        worth = strategy.account.capital * first * add.size
        low, high = worth * min(away), worth * max(away)
        if low > most * _CLOSE:
            bound, hint = f"risk.limits.max_order_value lets {most:,.6g}", "a wider limit"
        elif high * _CLOSE < least:
            bound, hint = f"the minimum notional is {least:,.6g}", "a larger first order"
        else:
            continue
        context.warn(
            ("risk", "position", "add", number, "size"),
            f"this add is never sent: at the capital it is worth {worth:,.6g} "
            f"{strategy.account.currency}, and {bound}",
            hint=f"a {'smaller' if low > most else 'larger'} size, or {hint}",
        )


def _room(context: CheckContext) -> tuple[float, str] | None:
    """Return the tightest share of equity that the file permits for one symbol, and its key."""
    risk = context.strategy.risk
    if context.doubtful("risk", "limits"):
        return None
    bounds = [
        (value, f"risk.limits.{name} ({value * 100:g}%)")
        for name in ("position", "gross_exposure") if name in risk.limits
        if isinstance(value := getattr(risk.limits[name].config, "max", None), float)
    ]  # fmt: skip
    if context.strategy.account.type == "spot":
        bounds.append((1.0 - risk.cash_buffer, "the cash"))
    return min(bounds, default=None)


def check_buys(context: CheckContext) -> None:
    """Regular buys are market orders that end before the next is due, within the capital."""
    strategy, position = context.strategy, context.strategy.risk.position
    if position is None or position.buy_every is None:
        return
    path: Path = ("risk", "position", "buy_every")
    if position.add:
        context.error(
            ("risk", "position", "add"),
            "an add is a share of the first order of a trade, and of regular buys none is the "
            "first: each is for its own amount",
            on_key=True, hint="leave out add, or buy_every",
        )  # fmt: skip
    if strategy.portfolio.decides:
        context.error(path, "a portfolio buys by its weights", on_key=True, hint="remove buy_every")
    order = strategy.execution.order
    if order.use not in ("market", "limit_then_market"):
        context.error(
            ("execution", "order", "use"), "a regular buy fills at the next open or not at all",
            expected="market or limit_then_market", found=order.use,
        )  # fmt: skip
    if position.buy_every.amount > strategy.account.capital:
        context.warn(
            (*path, "amount"),
            f"one buy asks for more than the capital of {strategy.account.capital:g}",
            hint="it is capped by cash; write the amount of one buy, not of all",
        )
    simulation = strategy.execution.simulation
    latency = int(simulation.latency)
    if latency and position.buy_every.every.may_fall_within(
        latency * context.bar_ns, context.bar_ns
    ):
        context.error(
            (*path, "every"),
            "a buy may fall due while the one before still waits for its latency",
            hint="write a longer interval, or a shorter execution.simulation.latency",
        )
    bars = latency + int(simulation.time_in_force) - 1
    shares = simulation.participation is not None and strategy.mode != "live"
    if shares and bars > latency and position.buy_every.every.may_fall_within(
        bars * context.bar_ns, context.bar_ns
    ):  # fmt: skip
        context.error(
            (*path, "every"),
            "a buy may fall due while the rest of the one before still works",
            hint="write a longer interval, or a shorter execution.simulation.time_in_force",
        )


def check_buys_happen(context: CheckContext) -> None:
    """A regular buy falls due at a bar of its own, and is large enough to be sent."""
    strategy, position = context.strategy, context.strategy.risk.position
    if position is None or position.buy_every is None:
        return
    path: Path = ("risk", "position", "buy_every")
    every = position.buy_every.every
    if every.kind == "span" and every.may_fall_within(context.bar_ns - 1, context.bar_ns):
        bar = format_duration(context.bar_ns)
        context.warn(
            (*path, "every"), f"this falls due more often than bars of {bar} close: at every close",
            hint="write 1 bar if that is meant; 1m is a minute, 1mo a month",
        )  # fmt: skip
    least = [
        (each.min_notional, name) for name, each in strategy.execution.instruments.items()
        if each.min_notional > position.buy_every.amount
    ]  # fmt: skip
    if least:
        value, name = max(least)
        context.error(
            (*path, "amount"), f"no buy of {name} reaches its minimum notional of {value:g}",
            hint="write a larger amount",
        )  # fmt: skip


def check_grid(context: CheckContext) -> None:
    """A grid stands alone, its steps pay its fees, and the limits let its levels rest."""
    strategy, position = context.strategy, context.strategy.risk.position
    if position is None or position.grid is None:
        return
    grid = position.grid
    path: Path = ("risk", "position", "grid")
    for name in ("add", "buy_every"):
        if getattr(position, name):
            context.error(
                ("risk", "position", name), "a grid enters by its levels alone",
                on_key=True, hint=f"leave out {name}, or grid",
            )  # fmt: skip
    if strategy.portfolio.decides:
        context.error(path, "a portfolio enters by its weights", on_key=True, hint="remove grid")
    if grid.short and context.is_spot:
        context.error(
            (*path, "short"), "a spot account cannot be short",
            hint="remove short, or write account: {type: perpetual}",
        )  # fmt: skip
    level = strategy.risk.stops.get("level")
    if grid.short and level is not None and getattr(level.config, "price", None) is not None:
        context.error(
            ("risk", "stops", "level"),
            "one price cannot be the stop of both sides: it lies below buys and above sales",
            on_key=True, hint="write level: {long: EXPR, short: EXPR}",
        )  # fmt: skip
    simulation = strategy.execution.simulation
    is_matched = strategy.mode == "backtest" or simulation.fills == "next_open"
    fee, cost = simulation.fee.maker, "both fees"
    if not is_matched:  # quotes meet market orders
        fee, cost = simulation.fee.taker + simulation.slippage.fraction, "fees and slippage"
    is_known = strategy.mode != "live" and not context.doubtful("execution", "simulation")
    if is_known and grid.step <= 2.0 * fee:
        context.error(
            (*path, "step"),
            f"a level is sold one step higher, and {cost} take {2.0 * fee * 100:g}%: "
            "every round trip loses",
            found=f"{grid.step * 100:g}%", expected=f"more than {2.0 * fee * 100:g}%",
        )  # fmt: skip
    _grid_within_limits(context, path)


def _grid_within_limits(context: CheckContext, path: Path) -> None:
    """Warn of how many levels of a grid the limits let rest at one time."""
    risk, position = context.strategy.risk, context.strategy.risk.position
    if position is None or position.grid is None or context.doubtful("risk", "limits"):
        return
    grid = position.grid
    shares: dict[str, float] = {
        name: value for name in ("position", "gross_exposure") if name in risk.limits
        if isinstance(value := getattr(risk.limits[name].config, "max", None), float)
    }  # fmt: skip
    if context.is_spot:
        shares["cash"] = 1.0
    rows = grid.levels * (2 if grid.short else 1)
    if not shares:
        return
    name = min(shares, key=lambda each: shares[each])
    fit = int(shares[name] / grid.size + 1e-9)
    limit = "the cash" if name == "cash" else f"risk.limits.{name} ({shares[name] * 100:g}%)"
    if fit == 0:
        context.error((*path, "size"), f"no level fits into {limit}", hint="write a smaller size")
    elif fit < rows:
        context.warn(
            (*path, "size"),
            f"{rows} levels of {grid.size * 100:g}% are laid and {limit} lets {fit} rest: "
            "the farthest are never placed",
            hint="write a smaller size or fewer levels, or a wider limit",
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_first_stop, check_past_of_words, check_adds, check_buys, check_buys_happen,
    check_grid,
)  # fmt: skip
