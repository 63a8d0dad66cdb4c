"""Keys that were renamed, or have other names in other programs, with their names here.

A name that is alike is found without this table. A key that is renamed gets a row here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

__all__ = ["LATER", "RENAMED", "name_now"]

LATER: Final = ("exit_long_if", "exit_short_if", "hedge_mode")
"""Keys that come later, with `perpetual.hedge_mode`, wherever they are written."""

RENAMED: Final[Mapping[str, str]] = {
    # renamed here
    "good_for": "time_in_force",
    "on_stop": "on_shutdown",
    "paid_in": "fee_currency",
    "policies": "policy",
    "settles": "answers_final_after",
    # so called elsewhere
    "cash": "capital",
    "commission": "fee",
    "exchange": "venue",
    "indicators": "features",
    "initial_capital": "capital",
    "interval": "bar",
    "pairs": "symbols",
    "stop": "stop_loss",
    "target": "take_profit",
    "tickers": "symbols",
    "timeframe": "bar",
    "timezone": "time_zone",
    "tz": "time_zone",
}


def name_now(name: str, known: Collection[str]) -> str:
    """Return the current name of a key, where that is a known name; empty otherwise.

    Of a path the last part may be renamed: `execution.order.good_for`.
    """
    head, dot, last = name.rpartition(".")
    now = RENAMED.get(last.lower())
    full_name = f"{head}{dot}{now}"
    return full_name if now is not None and full_name in known else ""
