"""The rules of trading for one strategy: what its settings are, and their text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from septet._plan.specialise import Choices, specialise
from septet._rules import fills, orders, stops, venue_fills

__all__ = ["RULES", "choices_of", "rules_of"]

RULES: Final = (orders, fills, venue_fills, stops)
"""Modules of rules, in the order in which a plan's text has them."""


def rules_of(context: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of every module of rules for one strategy, by the module's name."""
    choices = choices_of(context)
    return {
        module.__name__.rpartition(".")[2]: "\n\n\n".join(specialise(module, choices).values())
        for module in RULES
    }


def choices_of(context: Mapping[str, Any]) -> Choices:
    """Return the choices of a strategy from what its plan is rendered from."""
    c = context
    texts = {
        "TAKER_FEE": c["taker_fee"], "MAKER_FEE": c["maker_fee"],
        "VOLUME_SHARE": c["participation"], "LATENCY_NS": c["latency_ns"],
        "LEVERAGE": c["leverage"], "MAINTENANCE": c["maintenance"],
        "LIQUIDATION_FEE": c["liquidation_fee"], "COOLDOWN_BARS": c["disarm_bars"],
    }  # fmt: skip
    calls = {"slippage_at_fill": c["slippage"], "learn_from_trade": c["closed_call"]}
    return Choices(
        values={
            "SPOT": c["spot"], "VENUE_FILLS": c["external"], "ONE_SYMBOL": c["one"],
            "SYMBOLS": c["symbols"], "BAR_NS": c["bar_ns"],
            "ONE_FEE": c["maker_fee"] == c["taker_fee"], "FEE_IN_KIND": c["received"],
            "PARTICIPATION": c["participation"] is not None, "RESTS": c["rests"],
            "LIQUIDATES": c["liquidation"], "LIQUIDATES_HERE": c["liquidates"],
            "FUNDED": c["funding_column"] is not None,
            "FUNDING_ROW": c["funding_column"], "FUNDING_BEFORE_ROW": c["funding_before_column"],
            "PROTECTS": c["protects"], "LEVELS_READ": c["levels_read"],
            "TRACKS_BEST": c["tracks_best"], "REENTRY": c["rearm"],
            "LEARNS_FROM_TRADES": c["closed_call"] is not None,
        },
        texts={name: text for name, text in texts.items() if text is not None},
        calls={name: text for name, text in calls.items() if text is not None},
        lists={
            name: [{"level": each["call"], "code": str(each["code"])} for each in c[key]]
            for name, key in (("PROTECTIVE", "protective"), ("TARGETS", "targets"))
        },
    )  # fmt: skip
