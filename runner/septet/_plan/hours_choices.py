"""Parts of a plan for trading hours and a bound on positions; none if the file has neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from septet._kernel import layout
from septet._plan.run_terms import Terms

__all__ = ["hours_choices", "hours_values", "position_choices", "rows_a_symbol"]

Reason = Callable[[str], int]
"""Numbers a reason that not every plan has."""


def rows_a_symbol(terms: Terms) -> int:
    """Return how many rows of the log a symbol may need at one time: hours close and cancel."""
    return 12 if terms.hours is None else 24


def hours_choices(terms: Terms, reason: Reason, slot: int) -> dict[str, Any]:
    """Return where the flags of the trading hours are stored, and the reasons that they give."""
    hours = terms.hours
    closed = flat = None
    if hours is not None:
        closed = reason("closed_hours")
        flat = reason("flat_at_close") if hours.flat_at_close else None
    return {
        "hours": hours is not None, "flat_at_close": flat is not None,
        "closed_hours_reason": closed, "flat_at_close_reason": flat,
        "hours_row": layout.ROW + len(terms.symbols), "hours_slot": slot,
    }  # fmt: skip


def position_choices(
    terms: Terms, reason: Reason, number: Callable[[str, int], str]
) -> dict[str, Any]:
    """Bind the bound on how many symbols are held."""
    most = terms.max_positions
    return {
        "max_positions": None if most is None else number("risk.max_positions", most),
        "max_positions_reason": None if most is None else reason("max_positions"),
    }


def hours_values(context: Mapping[str, Any]) -> dict[str, bool | int]:
    """Return the settings of both that are known when the plan is made."""
    c = context
    values: dict[str, bool | int] = {
        "HOURS": c["hours"], "FLAT_AT_CLOSE": c["flat_at_close"], "HOURS_ROW": c["hours_row"],
        "HOURS_SLOT": c["hours_slot"], "LIMITS_POSITIONS": c["max_positions"] is not None,
    }  # fmt: skip
    for name in ("closed_hours", "flat_at_close", "max_positions"):
        if c[f"{name}_reason"] is not None:
            values[f"R_{name.upper()}"] = c[f"{name}_reason"]
    return values
