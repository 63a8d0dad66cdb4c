"""Fees and slippage as texts of a plan."""

from __future__ import annotations

from typing import Any

from septet._kernel import match
from septet._plan.binding import Binder
from septet._plan.graph import Column
from septet._plan.observe import Observing

__all__ = ["costs_of"]


def costs_of(
    simulation: Any, binder: Binder, observing: Observing, volatility: Column | None
) -> dict[str, Any]:
    """Bind fees and slippage; `volatility` is the column that slippage grows with."""
    fee, slippage = simulation.fee, simulation.slippage
    number = binder.number
    taker = number("simulation.fee.taker", fee.taker)
    fixed = number("simulation.slippage.fraction", slippage.fraction)
    at_fill = at_decision = fixed
    if volatility is not None:
        binder.helper(match.slippage_of)
        factor = number("simulation.slippage.volatility", slippage.volatility)
        row = binder.row(observing.f_row(volatility))
        at_fill = f"slippage_of({fixed}, {factor}, F[k, {row}, max(i - 1, 0)])"
        at_decision = f"slippage_of({fixed}, {factor}, F[k, {row}, i])"
    maker = taker if fee.maker == fee.taker else number("simulation.fee.maker", fee.maker)
    return {
        "taker_fee": taker, "maker_fee": maker, "received": fee.fee_currency == "base",
        "slippage": at_fill, "enter_slippage": at_decision, "slippage_hint": fixed,
        "slippage_column": volatility is not None,
    }  # fmt: skip
