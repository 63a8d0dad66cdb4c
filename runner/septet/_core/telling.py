"""What the engine says in codes and units, as the journal holds it: in names and decimals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from septet import messages as m
from septet._core import events as core
from septet._core.wiring import Names

__all__ = ["KINDS", "decided", "number", "placed", "ruled", "traded"]

KINDS: Final[Sequence[Any]] = ("market", "limit", "stop", "stop_limit")
WISHES: Final[Sequence[Any]] = ("none", "short", "flat", "long")


def number(value: float) -> float | None:
    """Return a number, None where there is none."""
    return value if math.isfinite(value) else None


def decided(row: core.Decision, names: Names, trace: str) -> m.Decided:
    """Return a row of the decision table."""
    reasons = names.reasons
    return m.Decided(
        time_ns=row.time_ns, symbol=row.symbol, features=row.features,
        probability_up=number(row.probability_up), confidence=row.confidence,
        signal=WISHES[row.wish], requested=row.requested, granted=row.granted,
        clipped_by=reasons[row.clipped] if row.clipped >= 0 else "",
        refused_by=reasons[row.refused] if row.refused >= 0 else "", late=row.late, trace=trace,
    )  # fmt: skip


def ruled(curve: core.Curve) -> m.Ruled:
    """Return a row of the curve; exposure as a share of equity, as its table has it."""
    share = curve.exposure / curve.equity if curve.equity else 0.0
    return m.Ruled(time_ns=curve.time_ns, equity=curve.equity, cash=curve.cash, exposure=share)


def placed(each: core.Place, names: Names, scale: float, trace: str) -> m.Placed:
    """Return a row of the order table."""
    seen = zip(("equity", *names.explained), each.sizing, strict=True)
    return m.Placed(
        time_ns=each.time_ns, order=each.order, symbol=each.symbol,
        side="buy" if each.units > 0.0 else "sell", order_type=KINDS[each.kind],
        quantity=abs(each.units) / scale, reason=names.reasons[each.reason],
        decision_price=each.price, limit_price=number(each.limit_price),
        trigger_price=number(each.trigger_price), confidence=number(each.confidence),
        probability_up=number(each.probability_up),
        sizing={name: value for name, value in seen if math.isfinite(value)}, trace=trace,
    )  # fmt: skip


def traded(
    each: core.Traded, names: Names, scale: float, trace: str, *, fill: m.Filled | None, name: str
) -> m.Traded:
    """Return a row of the fill table: a venue's execution, or the simulator's, called `name`."""
    k, received = each.symbol, each.got != each.units
    fee = abs(each.units - each.got) / scale if received else each.fee
    currency = names.base[k] if received else names.quote[k]
    if fill is not None:
        name, fee, currency = fill.trade_id, fill.fee, fill.fee_currency
    return m.Traded(
        order=each.order, symbol=k, trade_id=name, side="buy" if each.units > 0.0 else "sell",
        quantity=abs(each.units) / scale, price=each.price, fee=fee, fee_currency=currency,
        position=each.held / scale, market_ns=each.time_ns, maker=each.maker,
        reason=names.reasons[each.reason] if each.reason >= 0 else "", trace=trace,
    )  # fmt: skip
