"""Where each key of a portfolio matters, and where that is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.schemas.leaf_cases import Case

__all__ = ["PORTFOLIO_CASES", "PORTFOLIO_NOT_YET", "WEIGHED"]

WEIGHED: Final = """\
version: 1
name: leaf
account: {capital: 10000, currency: USDT}
universe: {symbols: [A/USDT, B/USDT, C/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 130, seed: 3, volatility: 90%}}
features:
  move: {use: roc, period: 5}
  vol: {use: volatility, period: 10, annualise: 365d}
  part: {use: expr, formula: "0.3 + 0.1 * sign(move)"}
portfolio:
  use: top
  by: move
  long: 2
  rebalance: {every: 6 bars}
risk: {}
"""
_TWO_SIDES: Final = (
    "account.type=perpetual", "perpetual.funding={rate: 1bps, every: 8h}", "portfolio.short=1",
    "portfolio.long=1",
)  # fmt: skip
_GIVEN: Final = ("portfolio={use: weights, weights: part, rebalance: {every: 6 bars}}",)
_FORECAST: Final = (
    "portfolio={use: forecast, rebalance: {every: 6 bars}, forecast: {of: {move: 60%, part: 40%}, "
    "volatility: vol, target: 20%, window: 20 bars}}",
)  # fmt: skip
_BY_VOLATILITY: Final = ("portfolio.weight={inverse_volatility: vol}",)


def _case(change: str, *base: str, see: str = "ran") -> Case:
    return Case(change, see, base, "weighed")


PORTFOLIO_CASES: Final[Mapping[str, Case]] = {
    "Portfolio.use": _case(_GIVEN[0]),
    "Portfolio.by": _case("portfolio.by=vol"),
    "Portfolio.long": _case("portfolio.long=1"),
    "Portfolio.short": _case("portfolio.short=2", *_TWO_SIDES),
    "Portfolio.hold_rank": _case("portfolio.hold_rank=3"),
    "Portfolio.weights": _case("portfolio.weights=vol", *_GIVEN),
    "Portfolio.gross": _case("portfolio.gross=50%"),
    "Portfolio.max_weight": _case("portfolio.max_weight=30%"),
    "Portfolio.exit_if": _case("portfolio.exit_if=move < 0"),
    "Where.long": _case("portfolio.where.long=move > 1", "portfolio.where={long: move > -9}"),
    "Where.short": _case(
        "portfolio.where.short=move < -1", *_TWO_SIDES, "portfolio.where={short: move < 9}"),
    **{
        f"Portfolio.weight: {word}": _case(f"portfolio.weight={word}", *_BY_VOLATILITY)
        for word in ("equal", "score", "rank")
    },
    "Portfolio.net: any": _case("portfolio.net=any", *_TWO_SIDES, "portfolio.net={target: 20%}"),
    "InverseVolatility.inverse_volatility": _case(
        "portfolio.weight.inverse_volatility=close", *_BY_VOLATILITY),
    "Net.target": _case("portfolio.net.target=20%", *_TWO_SIDES, "portfolio.net={target: 0%}"),
    "Net.beta": _case("portfolio.net.beta=vol", *_TWO_SIDES, "portfolio.net={target: 0%}"),
    "PortfolioRebalance.every": _case("portfolio.rebalance.every=9 bars"),
    "PortfolioRebalance.drift": _case("portfolio.rebalance.drift=10%"),
    "PortfolioRebalance.to": _case(
        "portfolio.rebalance.to=edge", "portfolio.weight=rank", "portfolio.rebalance.drift=5%"),
    "PortfolioRebalance.max_turnover": _case("portfolio.rebalance.max_turnover=20%"),
    "PortfolioRebalance.quorum": _case("portfolio.rebalance.quorum=50%", see="wired"),
    "Forecast.of": _case("portfolio.forecast.of={move: 30%, part: 70%}", *_FORECAST),
    "Forecast.volatility": _case("portfolio.forecast.volatility=close", *_FORECAST),
    "Forecast.target": _case("portfolio.forecast.target=10%", *_FORECAST),
    "Forecast.window": _case("portfolio.forecast.window=30 bars", *_FORECAST),
    "Forecast.cap": _case("portfolio.forecast.cap=1", *_FORECAST),
}  # fmt: skip
PORTFOLIO_NOT_YET: Final = (
    "Portfolio.optimise", "Universe.where", "Universe.top", "Universe.by", "Universe.every",
    "Universe.member", "Universe.delisted_after", "Universe.delisting_return",
)  # fmt: skip
"""Keys of portfolios, and of a universe that changes, that come later."""
