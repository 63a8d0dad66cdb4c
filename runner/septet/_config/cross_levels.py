"""Cross-checks of price distances against each other: costs, targets, stops, halts, liquidation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from septet._config.case import Case
from septet._config.tree import Path
from septet_schemas.blocks import UseBlock

__all__ = ["CHECKS"]

HIGH_COST: Final = 0.05
HIGH_REBATE: Final = 0.005
HIGH_FUNDING: Final = 0.02
"""What exchanges cap a rate of funding at, or near it."""


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g}%"


def _number(block: UseBlock | None, name: str) -> float | None:
    value = getattr(block.config, name, None) if block is not None else None
    return float(value) if isinstance(value, int | float) else None


def check_funding_rate(case: Case) -> None:
    """A constant rate of funding is of the size that exchanges charge."""
    perpetual = case.strategy.perpetual
    funding = perpetual.funding if perpetual is not None else None
    if funding is not None and abs(funding.rate) > HIGH_FUNDING:
        case.warn(
            ("perpetual", "funding", "rate"),
            f"each payment of funding is {_percent(abs(funding.rate))} of a position's value",
            hint=f"exchanges charge about 1bps and cap it near 2%: write "
            f"{abs(funding.rate) * 100:.4g}bps if you mean basis points",
        )


def check_costs(case: Case) -> None:
    """Costs are of the size that venues charge."""
    simulation = case.strategy.execution.simulation
    parts: tuple[tuple[Path, float], ...] = (
        (("fee", "maker"), simulation.fee.maker),
        (("fee", "taker"), simulation.fee.taker),
        (("slippage", "fraction"), simulation.slippage.fraction),
    )
    seen: set[tuple[int, int]] = set()
    for path, cost in parts:
        full = ("execution", "simulation", *path)
        node, reached = case.tree.nearest(full)
        place = (node.mark.line, node.mark.column)
        if not -HIGH_REBATE <= cost <= HIGH_COST and place not in seen:
            seen.add(place)
            does = "costs" if cost > 0.0 else "earns"
            case.warn(
                reached if node.kind == "scalar" else full,
                f"every trade {does} {_percent(abs(cost))} of its value",
                hint=f"venues charge about a hundredth of that: write {abs(cost) * 100:.4g}bps "
                "if you mean basis points",
            )


def _round_trip(case: Case) -> float:
    """Return what a trade costs that enters at the market and leaves at its target."""
    simulation, order = case.strategy.execution.simulation, case.strategy.execution.order.use
    enters = simulation.fee.taker + simulation.slippage.fraction
    if order in ("limit", "stop_limit"):
        enters = simulation.fee.maker
    return enters + simulation.fee.maker


def check_target(case: Case) -> None:
    """A target pays more than the trade costs."""
    target = _number(case.strategy.risk.stops.get("take_profit"), "distance")
    costs = _round_trip(case)
    if target is not None and target <= costs:
        case.warn(
            ("risk", "stops", "take_profit"),
            f"a trade that reaches its target loses money: the target is {_percent(target)} away, "
            f"entering and leaving costs {_percent(costs)}",
            hint=f"write more than {_percent(costs)}",
        )


def check_narrow_stops(case: Case) -> None:
    """A stop is further away than what leaving by it costs."""
    simulation = case.strategy.execution.simulation
    cost = simulation.fee.taker + simulation.slippage.fraction
    for name in ("stop_loss", "trailing"):
        distance = _number(case.strategy.risk.stops.get(name), "distance")
        if distance is None:
            continue
        if distance <= cost:
            case.warn(
                ("risk", "stops", name),
                f"the stop is {_percent(distance)} away, and leaving by it costs {_percent(cost)}: "
                "nearly every bar stops the position, and loses more by costs than by the stop",
                hint=f"write more than {_percent(cost)}; 1bps is 0.01%",
            )


def _largest_share(case: Case) -> float | None:
    """Return the largest share of equity that one position may have, if the file says it."""
    risk = case.strategy.risk
    name = "max" if hasattr(risk.sizing.config, "max") else "fraction"
    share, limit = _number(risk.sizing, name), _number(risk.limits.get("position"), "max")
    if share is None:
        return None
    if risk.split == "equal":
        share /= len(case.strategy.universe.symbols)
    return share if limit is None else min(share, limit)


def check_halts_against_stop(case: Case) -> None:
    """One stopped trade at full size does not trip a halt of a series of losses."""
    stop = _number(case.strategy.risk.stops.get("stop_loss"), "distance")
    share = _largest_share(case)
    if stop is None or share is None:
        return
    simulation = case.strategy.execution.simulation
    loss = share * (stop + 2.0 * (simulation.fee.taker + simulation.slippage.fraction))
    for name in ("drawdown", "daily_loss"):
        above = _number(case.strategy.risk.halts.get(name), "above")
        if above is not None and loss >= above:
            case.warn(
                ("risk", "halts", name),
                f"one stopped trade at full size trips this halt: it loses {_percent(loss)} of "
                f"equity with costs, the halt is at {_percent(above)}",
                on_key=True,
                hint="a wider halt, a tighter stop or a smaller size",
            )


def check_liquidation(case: Case) -> None:
    """A stop acts before the position is liquidated."""
    if not case.is_perpetual:
        return
    perpetual = case.strategy.perpetual
    leverage, maintenance = perpetual.leverage, perpetual.maintenance
    distances = {
        "long": 1.0 - (1.0 - 1.0 / leverage) / (1.0 - maintenance),
        "short": (1.0 + 1.0 / leverage) / (1.0 + maintenance) - 1.0,
    }
    nearest = min(distances.values())
    if nearest <= 0.0:
        case.error(
            ("perpetual", "leverage"),
            f"every position is liquidated at its entry: the margin is {_percent(1.0 / leverage)} "
            f"of its value, the maintenance margin {_percent(maintenance)}",
            expected=f"less than {1.0 / maintenance:.4g}" if maintenance else "",
        )
        return
    for name in ("stop_loss", "trailing"):
        distance = _number(case.strategy.risk.stops.get(name), "distance")
        late = [side for side in _sides(case) if distance and distance >= distances[side]]
        if distance is None or not late:
            continue
        at = ", ".join(f"a {side} at {_percent(distances[side])}" for side in late)
        tell = case.error if name == "stop_loss" else case.warn
        tell(
            ("risk", "stops", name),
            f"a position is liquidated before this stop acts: leverage {leverage:g} liquidates "
            f"{at} against its entry",
            expected=f"less than {_percent(nearest)}",
            hint="a tighter stop, or less leverage",
        )


def _sides(case: Case) -> tuple[str, ...]:
    config = case.strategy.signal.config
    if "long_if" not in type(config).model_fields:
        return ("long", "short")
    said = {"long": "long_if", "short": "short_if"}
    return tuple(side for side, key in said.items() if getattr(config, key, None) is not None)


CHECKS: Final[tuple[Callable[[Case], None], ...]] = (
    check_costs,
    check_funding_rate,
    check_target,
    check_narrow_stops,
    check_halts_against_stop,
    check_liquidation,
)
