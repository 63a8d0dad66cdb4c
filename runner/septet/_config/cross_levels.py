"""Cross-checks of prices: costs, and distances of targets, stops, halts and liquidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from septet._config.check_context import CheckContext
from septet._config.tree import Path
from septet_schemas.blocks import UseBlock
from septet_schemas.position import Distance
from septet_schemas.units import format_duration

__all__ = ["CHECKS"]

HIGH_FEE: Final = 0.015
"""Above the fees of exchanges; brokers of cards and swaps charge nearly 4 %."""
WORST_FEE: Final = 0.05
HIGH_SLIPPAGE: Final = 0.01
NEAR_LIQUIDATION: Final = 0.05
WORST_SLIPPAGE: Final = 0.2
HIGH_REBATE: Final = 0.005
WORST_REBATE: Final = 0.05
HIGH_FUNDING: Final = 0.02
"""The caps of exchanges on a funding rate, or nearly."""
HIGH_FUNDING_YEAR: Final = 2.0
WORST_FUNDING_YEAR: Final = 1_000.0
HIGH_LIQUIDATION_FEE: Final = 0.05
WORST_LIQUIDATION_FEE: Final = 0.2
HIGH_MAX_BAD: Final = 0.2
_WAITING: Final = ("trailing", "break_even")
"""Stops that may start at a gain from the average entry price (`after`)."""
_HOUR_NS: Final = 3_600_000_000_000
_YEAR_NS: Final = 365 * 86_400_000_000_000


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g}%"


def _number(block: UseBlock | None, name: str) -> float | None:
    value = getattr(block.config, name, None) if block is not None else None
    return float(value) if isinstance(value, int | float) else None


def check_funding_rate(context: CheckContext) -> None:
    """A constant funding rate is in the range that exchanges charge, per payment and per year."""
    perpetual = context.strategy.perpetual
    funding = perpetual.funding if perpetual is not None else None
    if funding is None:
        return
    yearly = abs(funding.rate) * _YEAR_NS / funding.every
    path = ("perpetual", "funding", "every" if funding.every < _HOUR_NS else "rate")
    each = f"{_percent(abs(funding.rate))} each {format_duration(funding.every)}"
    text = f"funding of {each} is {yearly * 100:,.0f}% of a position's value a year"
    hint = "exchanges charge about 1bps each 8h, 11% a year: write that, or read a funding series"
    if yearly > WORST_FUNDING_YEAR:
        most = _percent(WORST_FUNDING_YEAR * funding.every / _YEAR_NS)
        expected = f"at most {most} each {format_duration(funding.every)}"
        context.error(path, f"{text}, which no market charges", expected=expected, hint=hint)
    elif abs(funding.rate) > HIGH_FUNDING:
        context.warn(
            ("perpetual", "funding", "rate"),
            f"each payment of funding is {_percent(abs(funding.rate))} of a position's value",
            hint=f"exchanges charge about 1bps and cap it near 2%: write "
            f"{abs(funding.rate) * 100:.4g}bps if you mean basis points",
        )
    elif yearly > HIGH_FUNDING_YEAR:
        context.warn(path, text, hint=hint)


def check_costs(context: CheckContext) -> None:
    """Costs are in the range that venues charge."""
    simulation = context.strategy.execution.simulation
    fees, slips = (HIGH_FEE, WORST_FEE), (HIGH_SLIPPAGE, WORST_SLIPPAGE)
    parts: tuple[tuple[Path, float, tuple[float, float]], ...] = (
        (("fee", "maker"), simulation.fee.maker, fees),
        (("fee", "taker"), simulation.fee.taker, fees),
        (("slippage", "fraction"), simulation.slippage.fraction, slips),
    )
    reported: set[tuple[int, int]] = set()
    for path, cost, (high, worst) in parts:
        key_path = ("execution", "simulation", *path)
        node, reached = context.tree.nearest(key_path)
        position = (node.mark.line, node.mark.column)
        if -HIGH_REBATE <= cost < high or position in reported:
            continue
        reported.add(position)
        at = reached if node.kind == "scalar" else key_path
        means = f"write {abs(cost) * 100:.4g}bps if you mean basis points"
        does = "costs" if cost > 0.0 else "earns"
        text = f"every trade {does} {_percent(abs(cost))} of its value"
        if cost > worst or cost < -WORST_REBATE:
            least = f"from {_percent(-WORST_REBATE)} to " if cost < 0.0 else "at most "
            most = f"{least}{_percent(worst)}"
            context.error(at, f"{text}, which no market asks", expected=most, hint=means)
        else:
            context.warn(at, text, hint=f"venues charge about a hundredth of that: {means}")


def check_simulated_keys(context: CheckContext) -> None:
    """Warn of simulation keys that have no effect with the chosen fills, or beside another key."""
    execution, path = context.strategy.execution, ("execution", "simulation")
    simulation, at_slippage = execution.simulation, (*path, "slippage")
    slippage = simulation.slippage
    if slippage.volatility is None and _is_written(context, (*at_slippage, "window")):
        context.warn(
            (*at_slippage, "window"), "this has no effect without slippage.volatility",
            on_key=True, hint="remove it, or write slippage: {volatility: 0.1, window: 20}",
        )  # fmt: skip
    against = context.strategy.mode == "paper" and simulation.fills != "next_open"
    if against and slippage.volatility is not None:
        context.warn(
            (*at_slippage, "volatility"),
            f"a fill against the {simulation.fills} pays slippage.fraction alone: this enters the "
            "size of an order, and no fill",
            on_key=True, hint="write it as a fraction, such as 5bps",
        )  # fmt: skip
    own = getattr(execution.order.config, "time_in_force", None)
    if own is not None and own != simulation.time_in_force:
        at = (*path, "time_in_force")
        if _is_written(context, at):
            context.warn(
                at, "this has no effect: execution.order has a time_in_force of its own",
                on_key=True, hint=f"remove it: orders work for {int(own)} bars",
            )  # fmt: skip


def _is_written(context: CheckContext, path: Path) -> bool:
    return context.tree.nearest(path)[1] == path


def check_liquidation_fee(context: CheckContext) -> None:
    """The liquidation fee is in the range that venues charge."""
    if not context.is_perpetual or (fee := context.strategy.perpetual.liquidation_fee) is None:
        return
    path = ("perpetual", "liquidation_fee")
    text = f"a liquidation costs {_percent(fee)} of the position's value"
    hint = f"venues charge 0.2% to 2%: write {fee * 100:.4g}bps if you mean basis points"
    if fee > WORST_LIQUIDATION_FEE:
        expected = f"{_percent(WORST_LIQUIDATION_FEE)} or less"
        context.error(path, f"{text}, which no market asks", expected=expected, hint=hint)
    elif fee > HIGH_LIQUIDATION_FEE:
        context.warn(path, text, hint=hint)


def check_max_bad(context: CheckContext) -> None:
    """A series with bad rows is still refused at some share of them."""
    most = context.strategy.data.candles.extra.get("max_bad", 0.0)
    if most > HIGH_MAX_BAD:
        remark = "no bad row refuses a series" if most >= 1.0 else (
            f"a series of which {_percent(most)} of the rows are bad is still used"
        )  # fmt: skip
        context.warn(
            ("data", "candles", "max_bad"),
            f"max_bad: {_percent(most)}: {remark}",
            hint="1% is the default; septet data check FILE (the strategy file) shows the bad rows",
        )


def _round_trip(context: CheckContext) -> float:
    """Return the cost of a trade that enters at the market and leaves at its target."""
    simulation, order = context.strategy.execution.simulation, context.strategy.execution.order.use
    enters = simulation.fee.taker + simulation.slippage.fraction
    if order in ("limit", "stop_limit"):
        enters = simulation.fee.maker
    return enters + simulation.fee.maker


def check_target(context: CheckContext) -> None:
    """A target yields more than the cost of the trade."""
    target = _number(context.strategy.risk.stops.get("take_profit"), "distance")
    costs = _round_trip(context)
    if target is not None and target <= costs:
        context.warn(
            ("risk", "stops", "take_profit"),
            f"a trade that reaches its target loses money: the target is {_percent(target)} away, "
            f"entering and leaving costs {_percent(costs)}",
            hint=f"write more than {_percent(costs)}",
        )


def _target(context: CheckContext) -> object:
    """Return the distance of the target; None without one."""
    block = context.strategy.risk.stops.get("take_profit")
    return getattr(block.config, "distance", None) if block is not None else None


def check_stops_after(context: CheckContext) -> None:
    """A stop that waits for a gain starts before the target, and break-even beyond the costs."""
    stops, simulation = context.strategy.risk.stops, context.strategy.execution.simulation
    target = _target(context)
    for name in _WAITING:
        after = getattr(stops[name].config, "after", None) if name in stops else None
        if _is_beyond(after, target):
            nearer = f"after: {_percent(target / 2)}" if isinstance(target, float) else "less"
            context.warn(
                ("risk", "stops", name, "after"),
                f"this stop never acts: it begins at a gain of {_shown(after)}, and take_profit "
                f"closes the position at {_shown(target)}",
                hint=f"write {nearer}, or a further take_profit",
            )
    after, costs = _number(stops.get("break_even"), "after"), 2.0 * simulation.fee.taker
    if after is not None and after <= costs:
        context.warn(
            ("risk", "stops", "break_even", "after"),
            f"at a gain of {_percent(after)} the position is not yet at zero: the fees of entering "
            f"and leaving are {_percent(costs)}",
            hint=f"write more than {_percent(costs)}",
        )


def _is_beyond(level: object, bound: object) -> bool:
    """Return whether a level is at or beyond a bound of its own kind: shares, or multiples of R."""
    if isinstance(level, Distance) and isinstance(bound, Distance):
        return 0.0 < bound.multiple <= level.multiple
    return isinstance(level, float) and isinstance(bound, float) and 0.0 < bound <= level


def _shown(level: object) -> str:
    return _percent(level) if isinstance(level, float) else str(level)


def check_takes(context: CheckContext) -> None:
    """A take comes before the target, and at a price that a short can reach."""
    position, target = context.strategy.risk.position, _target(context)
    shorts = context.is_perpetual and "short" in _sides(context)
    for index, take in enumerate(position.take if position is not None else ()):
        path: Path = ("risk", "position", "take", index)
        if shorts and isinstance(take.at, float) and take.at >= 1.0:
            context.warn(
                (*path, "at"),
                f"a short never reaches this take, {_percent(take.at)} away: the price would be 0 "
                "or less",
                hint="write less than 100%, or only long_if",
            )
        if take.at is not None and _is_beyond(take.at, target):
            context.warn(
                (*path, "at"),
                f"this take never acts: it lies at {_shown(take.at)}, and take_profit closes the "
                f"position at {_shown(target)}",
                hint="a nearer take, or a further take_profit",
            )


def check_adds_before_stop(context: CheckContext) -> None:
    """An add against the position rests before the first stop."""
    position = context.strategy.risk.position
    near: list[tuple[float, str]] = []
    for name in ("stop_loss", "trailing"):
        block = context.strategy.risk.stops.get(name)
        distance = _number(block, "distance")
        if distance and getattr(block.config if block else None, "after", 0.0) == 0.0:
            near.append((distance, name))
    adds = position.add if position is not None else ()
    if near and any(
        add.when is not None
        or any(isinstance(at, float) and -min(near)[0] < at < 0.0 for at in add.at)
        for add in adds
    ):
        near = []  # an earlier add moves the average price, and the stop with it
    for index, add in enumerate(adds):
        for number, at in enumerate(add.at):
            text = ""
            if isinstance(at, Distance):
                text = "the first stop is 1R away" if at.multiple <= -1.0 else ""
            elif near and min(near)[0] <= -at:
                text = f"{min(near)[1]} closes the position at {_percent(-min(near)[0])}"
            if text:
                _, path = context.tree.nearest(("risk", "position", "add", index, "at", number))
                context.warn(
                    path,
                    f"this add never acts: it rests at {_shown(at)}, and {text}",
                    hint="a nearer add, or a wider stop",
                )


def check_adds_against_gains(context: CheckContext) -> None:
    """No add that lowers the average price makes a stop act that waits for a gain."""
    position, stops = context.strategy.risk.position, context.strategy.risk.stops
    waits = {name: getattr(stops[name].config, "after", 0.0) for name in _WAITING if name in stops}
    named = [f"{name} ({_shown(after)})" for name, after in waits.items() if after]
    if not named:
        return
    for index, add in enumerate(position.add if position is not None else ()):
        for number, at in enumerate(add.at):
            if (at.multiple if isinstance(at, Distance) else at) < 0.0:
                path = context.tree.nearest(("risk", "position", "add", index, "at", number))[1]
                context.warn(
                    path,
                    f"an add at {_shown(at)} brings the average entry price nearer, and the best "
                    f"price before it may then be the gain that begins {' and '.join(named)}: the "
                    "stop can act at the fill of the add",
                    hint="adds with the position (at above zero), or no stop that waits for a gain",
                )


def check_narrow_stops(context: CheckContext) -> None:
    """A stop is further away than the cost of leaving by it."""
    simulation = context.strategy.execution.simulation
    cost = simulation.fee.taker + simulation.slippage.fraction
    for name in ("stop_loss", "trailing"):
        distance = _number(context.strategy.risk.stops.get(name), "distance")
        if distance is None:
            continue
        if distance <= cost:
            context.warn(
                ("risk", "stops", name),
                f"the stop is {_percent(distance)} away, and leaving by it costs {_percent(cost)}: "
                "a stopped trade loses more by the costs of leaving than by the price",
                hint=f"write more than {_percent(cost)}; 1bps is 0.01%",
            )


def _largest_share(context: CheckContext) -> float | None:
    """Return the largest share of equity that one position may have, if the file sets it."""
    risk = context.strategy.risk
    name = "max" if hasattr(risk.sizing.config, "max") else "fraction"
    share, limit = _number(risk.sizing, name), _number(risk.limits.get("position"), "max")
    if share is None or not context.strategy.follows_signal:
        return None
    if risk.split == "equal":
        share /= len(context.strategy.universe.symbols)
    return share if limit is None else min(share, limit)


def check_halts_against_stop(context: CheckContext) -> None:
    """One trade at full size, stopped or at no change of price, does not trip a halt."""
    stop = _number(context.strategy.risk.stops.get("stop_loss"), "distance")
    share = _largest_share(context)
    if share is None:
        return
    simulation = context.strategy.execution.simulation
    costs = share * 2.0 * (simulation.fee.taker + simulation.slippage.fraction)
    loss = costs + share * (stop or 0.0)
    for name in ("drawdown", "daily_loss"):
        bound = _number(context.strategy.risk.halts.get(name), "above")
        if bound is None or loss < bound:
            continue
        text = (
            f"one stopped trade at full size trips this halt: it loses {_percent(loss)} of "
            "equity with costs"
        )
        if costs >= bound:
            text = (
                "the costs of one trade at full size trip this halt, whatever the price does: "
                f"they are {_percent(costs)} of equity"
            )
        context.warn(
            ("risk", "halts", name),
            f"{text}, the halt is at {_percent(bound)}",
            on_key=True,
            hint="a wider halt, a tighter stop or a smaller size"
            if stop
            else "a wider halt, or a smaller size",
        )


def check_liquidation(context: CheckContext) -> None:
    """A stop acts before the position is liquidated."""
    if not context.is_perpetual:
        return
    perpetual = context.strategy.perpetual
    leverage, maintenance = perpetual.leverage, perpetual.maintenance
    distances = {
        "long": 1.0 - (1.0 - 1.0 / leverage) / (1.0 - maintenance),
        "short": (1.0 + 1.0 / leverage) / (1.0 + maintenance) - 1.0,
    }
    nearest = min(distances.values())
    if nearest <= 0.0:
        context.error(
            ("perpetual", "leverage"),
            f"every position is liquidated at its entry: the margin is {_percent(1.0 / leverage)} "
            f"of its value, the maintenance margin {_percent(maintenance)}",
            expected=f"less than {1.0 / maintenance:.4g}" if maintenance else "",
        )
        return
    stops = context.strategy.risk.stops
    if nearest <= NEAR_LIQUIDATION and not {"stop_loss", "trailing"} & set(stops):
        context.warn(
            ("perpetual", "leverage"),
            f"a position is liquidated {_percent(nearest)} away from its entry, and no stop closes "
            "it before",
            hint="less leverage, or a stop that is nearer: risk: {stops: {stop_loss: ...}}",
        )
    for name in ("stop_loss", "trailing"):
        distance = _number(stops.get(name), "distance")
        late = [side for side in _sides(context) if distance and distance >= distances[side]]
        if distance is None or not late:
            continue
        at = ", ".join(f"a {side} at {_percent(distances[side])}" for side in late)
        report = context.error if name == "stop_loss" else context.warn
        report(
            ("risk", "stops", name),
            f"a position is liquidated before this stop acts: leverage {leverage:g} liquidates "
            f"{at} against its entry",
            expected=f"less than {_percent(nearest)}",
            hint="a tighter stop, or less leverage",
        )


def _sides(context: CheckContext) -> tuple[str, ...]:
    config = context.strategy.signal.config
    if "long_if" not in type(config).model_fields:
        return ("long", "short")
    keys = {"long": "long_if", "short": "short_if"}
    return tuple(side for side, key in keys.items() if getattr(config, key, None) is not None)


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_costs,
    check_simulated_keys,
    check_funding_rate,
    check_target,
    check_liquidation_fee,
    check_max_bad,
    check_stops_after,
    check_takes,
    check_adds_before_stop,
    check_adds_against_gains,
    check_narrow_stops,
    check_halts_against_stop,
    check_liquidation,
)
