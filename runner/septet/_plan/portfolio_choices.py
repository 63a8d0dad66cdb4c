"""What a portfolio is in the settings of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["PortfolioChoices", "portfolio_choices"]


class PortfolioChoices(NamedTuple):
    """What a portfolio is in the settings of the rules: see `septet._plan.specialise.Choices`."""

    values: dict[str, Any]
    texts: dict[str, Any]
    calls: dict[str, Any]
    lists: dict[str, Any]


def portfolio_choices(
    found: Mapping[str, Any] | None, slot: int, forecast_slot: int
) -> PortfolioChoices:
    """Return values, texts, calls and lists of the rules' settings; `slot` is where C counts.

    `forecast_slot` is where A holds the scales of forecasts.
    """
    if found is None:
        return PortfolioChoices({"PORTFOLIO": False}, {}, {}, {})
    values = {
        "PORTFOLIO": True, "PORTFOLIO_USE": found["use"], "PORTFOLIO_SLOT": slot,
        "SHORTS": found["shorts"], "WEIGHT_BY": found["weight_by"],
        "HAS_NET": found["net"] is not None, "HAS_BETA": found["beta"] is not None,
        "CAPS_WEIGHT": found["max_weight"] is not None,
        "LIMITS_POSITION": found["position"] is not None,
        "LIMITS_GROSS": found["gross_limit"] is not None,
        "FORECAST_COUNT": len(found["forecasts"]), "FORECAST_SLOT": forecast_slot,
        "TO_EDGE": found["to_edge"], "CAPS_TURNOVER": found["max_turnover"] is not None,
    }  # fmt: skip
    texts = {
        "LONG_SLOTS": found["long"], "SHORT_SLOTS": found["short"],
        "HOLD_RANK": found["hold_rank"], "GROSS": found["gross"], "NET_TARGET": found["net"],
        "MAX_WEIGHT": found["max_weight"], "POSITION_LIMIT": found["position"],
        "GROSS_LIMIT": found["gross_limit"], "DRIFT": found["drift"],
        "MAX_TURNOVER": found["max_turnover"], "QUORUM": found["quorum"],
        "FORECAST_WINDOW": found["window"], "FORECAST_CAP": found["cap"],
        "FORECAST_TARGET": found["target"],
    }  # fmt: skip
    calls = {
        "value_of_rank": found["by"], "may_be_long": found["where_long"],
        "may_be_short": found["where_short"], "volatility_at": found["volatility"],
        "beta_at": found["beta"], "given_weight": found["given"],
    }  # fmt: skip
    if found["members_row"] is not None:
        values["MEMBERS_ROW"] = found["members_row"]
    if not found["leaves"]:  # a signal that is never set is not computed
        calls["keep_signals"] = "0"
    return PortfolioChoices(values, texts, calls, {
        "GROUPS": found["groups"], "FORECASTS": found["forecasts"],
    })  # fmt: skip
