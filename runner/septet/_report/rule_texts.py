"""What the rules of the calendar and of the number of positions mean, for `septet why`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["text_of_rule"]


def text_of_rule(resolved: Mapping[str, Any], reason: str, *, ordered: bool) -> str | None:
    """Return a sentence on what a reason means in a run's file, None where its name suffices.

    `ordered`: it is the reason of an order, else that of a rejection.
    """
    hours = _block(resolved, "universe").get("trading_hours")
    hours = hours if isinstance(hours, Mapping) else {}
    opened = hours.get("open") or "no hours of its own"
    if reason == "closed_hours":
        text = f"the first fill would lie outside of the trading hours ({opened})"
        blackout = hours.get("blackout")
        if isinstance(blackout, Mapping):
            text += f", or around an event of {blackout.get('series')}"
        return text
    if reason == "flat_at_close":
        if ordered:
            return f"the last fill inside the trading hours ({opened}) closes what is held"
        return f"this is the last fill inside the trading hours ({opened}), which enters nothing"
    if reason == "max_positions":
        most = _block(resolved, "risk").get("max_positions")
        return f"max_positions is {most}: so many symbols were held or being entered already"
    return None


def _block(resolved: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = resolved.get(name)
    return found if isinstance(found, Mapping) else {}
