"""Cross-checks of shares that are valid by type and make no sense for their key."""

from __future__ import annotations

from typing import Final

from septet._config.amounts import shares_of
from septet._config.check_context import CheckContext

__all__ = ["CHECKS"]

LARGE_BUFFER: Final = 0.5
WIDE_BAND: Final = 1.0
FAR_TARGET: Final = 10.0
FAR: Final = 10.0
"""A share beyond which no setting means anything, but sizes and limits of borrowed money."""
_OF_EQUITY: Final = (("risk", "sizing"), ("risk", "limits"), ("risk", "stops", "take_profit"))


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4g}%"


def check_cash_buffer(context: CheckContext) -> None:
    """A cash buffer leaves cash to trade with."""
    buffer = context.strategy.risk.cash_buffer
    if buffer >= LARGE_BUFFER:
        context.warn(
            ("risk", "cash_buffer"),
            f"{_percent(buffer)} of the cash is never used: entries share the other "
            f"{_percent(1.0 - buffer)}",
            hint="costs and moves until the fill take 1% to 5%; for smaller positions write a "
            "smaller size or limit",
        )


def check_rebalance_band(context: CheckContext) -> None:
    """A band is narrower than the position."""
    rebalance = context.strategy.risk.rebalance
    if rebalance is not None and rebalance.band >= WIDE_BAND:
        band = rebalance.band
        context.warn(
            ("risk", "rebalance", "band"),
            f"a position is resized once it is off its target by more than {_percent(band)} of it: "
            f"when it is {1.0 + band:.4g} times its target, and never when it is below",
            hint="write 10% to 30%, or rebalance: never",
        )


def check_far_target(context: CheckContext) -> None:
    """A target is reached at a price that is not too far away."""
    block = context.strategy.risk.stops.get("take_profit")
    target = getattr(block.config, "distance", None) if block is not None else None
    if not isinstance(target, float) or context.doubtful("risk", "stops", "take_profit"):
        return
    path = ("risk", "stops", "take_profit")
    hint = f"write {target * 100:.4g}bps if you mean basis points, or leave it out"
    if target >= FAR_TARGET:
        text = (
            f"the target is {1.0 + target:.4g} times the entry price: it hardly ever closes a trade"
        )
        context.warn(path, text, hint=hint)
    elif target >= 1.0 and context.is_perpetual:
        text = f"a short never reaches this target, {_percent(target)} away: the price would be 0"
        text += " or less"
        context.warn(path, text, hint="write less than 100%, if the file trades short")


def check_far_shares(context: CheckContext) -> None:
    """No share is a multiple of what it is a share of, but sizes and limits."""
    for path, value in shares_of(context.strategy):
        is_of_equity = any(path[: len(each)] == each for each in _OF_EQUITY)
        if value <= FAR or is_of_equity or path[-1] == "band" or not context.written(*path):
            continue
        context.warn(
            path,
            f"{path[-1]} is {_percent(value)}, {value:.4g} times the whole",
            hint=f"write {value * 100:.4g}bps if you mean basis points",
        )


CHECKS: Final = (check_cash_buffer, check_rebalance_band, check_far_target, check_far_shares)
