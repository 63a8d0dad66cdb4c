"""Translates the engine's codes and units into the names and decimals of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

from septet import messages as m
from septet._core import events as core
from septet._core.orders.records import Parent
from septet._core.wiring import Names, OrderRules
from septet._kernel import layout

__all__ = [
    "DOES",
    "ENDS",
    "KINDS",
    "STATUS_OF",
    "changed",
    "cleared",
    "decided",
    "ended",
    "funded",
    "halted",
    "parent",
    "placed",
    "ruled",
    "traded",
    "tripped",
    "until_text",
]

KINDS: Final[Sequence[Any]] = ("market", "limit", "stop", "stop_limit")
ENDS: Final[dict[int, Any]] = {
    layout.STATUS_FILLED: "filled",
    layout.STATUS_CANCELLED: "cancelled",
    layout.STATUS_EXPIRED: "expired",
}
STATUS_OF: Final = {
    "filled": layout.STATUS_FILLED,
    "cancelled": layout.STATUS_CANCELLED,
    "rejected": layout.STATUS_CANCELLED,
    "expired": layout.STATUS_EXPIRED,
}
"""How the venue's word for an end is booked: the engine knows no rejection."""
DOES: Final = {
    "block_entries": "no entries", "flatten": "orders are cancelled and positions closed",
    "cancel_all": "orders are cancelled",
}  # fmt: skip
"""Texts for the values of `then` of a halt or a block."""
_ENDS_WITH: Final = {
    "manual": "until a person resumes the run", "septet resume": "until a person resumes the run",
    "next_day": "until the next day begins",
}  # fmt: skip
SIGNALS: Final[Sequence[Any]] = ("none", "short", "flat", "long")


def decided(row: core.Decision, names: Names, trace: str) -> m.Decided:
    """Return a row of the decision table."""
    reasons, up = names.reasons, row.probability_up
    return m.Decided(
        time_ns=row.time_ns, symbol=row.symbol, features=row.features,
        probability_up=up if isfinite(up) else None, confidence=row.confidence,
        signal=SIGNALS[row.signal], requested=row.requested, granted=row.granted,
        capped_by=reasons[row.capped] if row.capped >= 0 else "",
        rejected_by=reasons[row.rejected] if row.rejected >= 0 else "", late=row.late, trace=trace,
    )  # fmt: skip


def _halt_of(names: Names, number: int) -> tuple[str, str, str]:
    """Return a halt's rule, what it does, and what clears it."""
    if number == core.BY_HAND:
        return "operator", "block_entries", "septet resume"
    return names.halts[number]


def ended(each: core.OrderEnded, reason: str, trace: str) -> m.Changed:
    """Return the end of an order that nothing was sent of."""
    state = ENDS[each.status]
    return changed(each.order, each.symbol, state, "" if state == "filled" else reason, trace)


def until_text(clears_when: str) -> str:
    """Return how long a halt holds, in words."""
    lasts = f"for {clears_when}" if clears_when[:1].isdigit() else f"until {clears_when}"
    return _ENDS_WITH.get(clears_when, lasts)


def halted(rule: str, then: str, clears_when: str, equity: float) -> str:
    """Return a text for the operator: the effect of a halt of the file, and its duration."""
    until = until_text(clears_when)
    what = "a person halted the run" if rule == "operator" else f"{rule} tripped"
    return f"{what} at equity {equity:.2f}: {DOES.get(then, then)}, {until}"


def tripped(each: core.Halted, names: Names) -> list[m.Command]:
    """Return the row of a halt of the file, and an alert: its effect, and its duration."""
    rule, then, clears_when = _halt_of(names, each.halt)
    text = halted(rule, then, clears_when, each.equity)
    return [
        m.Tripped(rule=rule, then=then, clears_when=clears_when, equity=each.equity),
        m.Alerted(level="critical", event="halt", text=text),
    ]


def cleared(each: core.Cleared, names: Names) -> m.Cleared:
    """Return the row of the end of a halt of the file."""
    return m.Cleared(rule=_halt_of(names, each.halt)[0], by="rule")


def ruled(curve: core.Curve) -> m.Ruled:
    """Return a row of the curve; exposure as a share of equity, as its table has it."""
    share = curve.exposure / curve.equity if curve.equity else 0.0
    return m.Ruled(time_ns=curve.time_ns, equity=curve.equity, cash=curve.cash, exposure=share)


def placed(each: core.NewOrder, names: Names, scale: float, trace: str) -> m.Placed:
    """Return a row of the order table."""
    sizing = {}
    for name, value in zip(names.sizing, each.sizing, strict=False):  # a row may have more columns
        if isfinite(value):
            sizing[name] = value
    limit, trigger, up = each.limit_price, each.trigger_price, each.probability_up
    return m.Placed(
        time_ns=each.time_ns, order=each.order, symbol=each.symbol,
        side="buy" if each.units > 0.0 else "sell", order_type=KINDS[each.kind],
        quantity=abs(each.units) / scale, reason=names.reasons[each.reason],
        decision_price=each.price, limit_price=limit if isfinite(limit) else None,
        trigger_price=trigger if isfinite(trigger) else None,
        confidence=each.confidence if isfinite(each.confidence) else None,
        probability_up=up if isfinite(up) else None, sizing=sizing, trace=trace,
    )  # fmt: skip


def parent(
    each: core.NewOrder, placed: m.Placed, scale: float, rules: OrderRules, now_ns: int
) -> Parent:
    """Return the order of the order manager; an entry is dropped at its deadline."""
    within_ns = 0 if each.reduces else rules.decide_within_ns
    return Parent(
        number=each.order, symbol=each.symbol, quantity=each.units / scale,
        kind=placed.order_type, limit_price=placed.limit_price, reduces=each.reduces,
        trigger_price=placed.trigger_price, closes_all=each.closes_all, reason=placed.reason,
        decided_price=each.price, deadline_ns=now_ns + within_ns if within_ns else 0,
        spends=not each.reduces, patience_ns=0 if each.reduces else rules.patience_ns,
        max_slippage=0.0 if each.reduces else rules.max_slippage, trace=placed.trace,
    )  # fmt: skip


def traded(
    each: core.Traded, names: Names, scale: float, trace: str, *, fill: m.Filled | None, name: str
) -> m.Traded:
    """Return a row of the fill table: a venue's execution, or the simulator's, called `name`."""
    k, received = each.symbol, each.net_units != each.units
    fee = abs(each.units - each.net_units) / scale if received else each.fee
    currency = names.base[k] if received else names.quote[k]
    if fill is not None:
        name, fee, currency = fill.trade_id, fill.fee, fill.fee_currency
    return m.Traded(
        order=each.order, symbol=k, trade_id=name, side="buy" if each.units > 0.0 else "sell",
        quantity=abs(each.units) / scale, price=each.price, fee=fee, fee_currency=currency,
        position=each.held / scale, market_ns=each.time_ns, maker=each.maker,
        reason=names.reasons[each.reason] if each.reason >= 0 else "", trace=trace,
        liquidation=each.liquidation, fee_expected=fill is not None and bool(fill.fee_unread),
        fee_quote=None if fill is None else fill.fee_quote,
    )  # fmt: skip


def changed(order: int, k: int, state: m.OrderState, reason: str, trace: str) -> m.Changed:
    """Return the state of an order that no venue has."""
    return m.Changed(
        order=order, client_id="", symbol=k, state=state, filled=0.0, reason=reason, trace=trace
    )


def funded(each: core.Funded) -> m.Funded:
    """Return the command of charged funding."""
    return m.Funded(
        time_ns=each.time_ns, symbol=each.symbol, amount=each.amount, rate=each.rate,
        price=each.price,
    )  # fmt: skip
