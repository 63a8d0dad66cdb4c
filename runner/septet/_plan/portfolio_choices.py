"""The settings of the rules that a portfolio makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["PortfolioChoices", "portfolio_choices"]


class PortfolioChoices(NamedTuple):
    """The settings that a portfolio makes: see `septet._plan.specialise.Choices`."""

    values: dict[str, Any]
    texts: dict[str, Any]
    calls: dict[str, Any]
    lists: dict[str, Any]


def portfolio_choices(
    bound: Mapping[str, Any] | None, slot: int, forecast_slot: int
) -> PortfolioChoices:
    """Return values, texts, calls and lists of the rules' settings; `slot` is where C counts.

    `forecast_slot` is where A holds the scales of forecasts.
    """
    if bound is None:
        return PortfolioChoices({"PORTFOLIO": False}, {}, {}, {})
    values = {
        "PORTFOLIO": True, "PORTFOLIO_USE": bound["use"], "PORTFOLIO_SLOT": slot,
        "SHORTS": bound["shorts"], "WEIGHT_BY": bound["weight_by"],
        "HAS_NET": bound["net"] is not None, "HAS_BETA": bound["beta"] is not None,
        "CAPS_WEIGHT": bound["max_weight"] is not None,
        "LIMITS_POSITION": bound["position"] is not None,
        "LIMITS_GROSS": bound["gross_limit"] is not None,
        "FORECAST_COUNT": len(bound["forecasts"]), "FORECAST_SLOT": forecast_slot,
        "TO_EDGE": bound["to_edge"], "CAPS_TURNOVER": bound["max_turnover"] is not None,
    }  # fmt: skip
    texts = {
        "LONG_SLOTS": bound["long"], "SHORT_SLOTS": bound["short"],
        "HOLD_RANK": bound["hold_rank"], "GROSS": bound["gross"], "NET_TARGET": bound["net"],
        "MAX_WEIGHT": bound["max_weight"], "POSITION_LIMIT": bound["position"],
        "GROSS_LIMIT": bound["gross_limit"], "DRIFT": bound["drift"],
        "MAX_TURNOVER": bound["max_turnover"], "QUORUM": bound["quorum"],
        "FORECAST_WINDOW": bound["window"], "FORECAST_CAP": bound["cap"],
        "FORECAST_TARGET": bound["target"],
    }  # fmt: skip
    calls = {
        "value_of_rank": bound["by"], "may_be_long": bound["where_long"],
        "may_be_short": bound["where_short"], "volatility_at": bound["volatility"],
        "beta_at": bound["beta"], "given_weight": bound["given"],
    }  # fmt: skip
    if bound["members_row"] is not None:
        values["MEMBERS_ROW"] = bound["members_row"]
    if not bound["leaves"]:  # a signal that is never set is not computed
        calls["keep_signals"] = "0"
    return PortfolioChoices(values, texts, calls, {
        "GROUPS": bound["groups"], "FORECASTS": bound["forecasts"],
    })  # fmt: skip
