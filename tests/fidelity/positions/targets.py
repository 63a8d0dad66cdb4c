"""Steps 1 to 5 of a rebalance as a whole: target weights from data and the previous targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tests.fidelity.positions.expression import truth
from tests.fidelity.positions.forecast import AtTimes, forecast_weights
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.selection import Row, choose
from tests.fidelity.positions.settings import Portfolio, Strategy
from tests.fidelity.positions.weighting import (
    cap_weights,
    drifted,
    limit_turnover,
    limit_weights,
    neutralise,
    scale_to_gross,
    weigh,
)
from tests.fidelity.positions.words import data_words

__all__ = ["Previous", "Targets", "rows_at", "targets_at"]


@dataclass(frozen=True)
class Previous:
    """The targets of the last rebalance, the closes at its T, and each beta when last known."""

    weights: Mapping[str, float] = field(default_factory=dict)
    closes: Mapping[str, float] = field(default_factory=dict)
    betas: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """What a rebalance at T asks for; names in `fixed` keep their units."""

    time_ns: int
    weights: dict[str, float]
    fixed: frozenset[str]
    reasons: dict[str, str]
    turnover: float
    factor: float
    closes: dict[str, float]
    betas: dict[str, float]
    scaled: bool = False


def rows_at(s: Strategy, market: Market, members: frozenset[str], time_ns: int) -> dict[str, Row]:
    """Return what step 1 sees of every symbol of the pool at T."""
    portfolio = s.portfolio
    assert portfolio is not None
    rows = {}
    for symbol in market.symbols:
        has_bar = market.row(symbol, time_ns) is not None
        if not has_bar:
            rows[symbol] = Row(has_bar=False, member=symbol in members)
            continue
        words = data_words(s, market, symbol, time_ns)
        where = {
            side: True if text is None else truth(text, words)
            for side, text in ((1, portfolio.where_of(1)), (-1, portfolio.where_of(-1)))
        }
        net, weight = portfolio.net, portfolio.weight
        rows[symbol] = Row(
            member=symbol in members,
            by=words[portfolio.by] if portfolio.by else 0.0,
            where_long=where[1],
            where_short=where[-1],
            volatility=words[weight["inverse_volatility"]] if isinstance(weight, Mapping) else 1.0,
            beta=words[net.beta] if net is not None and net.beta else 0.0,
        )
    return rows


def _closes(market: Market, time_ns: int) -> dict[str, float]:
    found = {symbol: market.last_close(symbol, time_ns) for symbol in market.symbols}
    return {symbol: float(close) for symbol, close in found.items() if close is not None}


def _newest_row(market: Market, symbol: str, time_ns: int, count: int) -> int | None:
    """Return the last bar of a member, if it came at one of the last `count` decision times."""
    row = market.last_row(symbol, time_ns)
    if row is None or not market.is_member(symbol, time_ns):
        return None
    known_ns = market.bars[symbol][row].open_ns + market.bar_ns
    recent = [each for each in market.times() if each <= time_ns][-count:]
    return row if known_ns in recent else None


def _window(market: Market, symbol: str, time_ns: int, name: str | None, count: int) -> list[float]:
    """Return the last `count` values of a feature, or simple returns, of a symbol's bars.

    A member that lacks the bar at T has those of its last bars.
    """
    row = _newest_row(market, symbol, time_ns, count)
    if row is None:
        return []
    first = row - count + 1
    if name is not None:
        return list(market.features[name][symbol][max(0, first) : row + 1])
    closes = [float(bar.close) for bar in market.bars[symbol][max(0, first - 1) : row + 1]]
    return [after / before - 1.0 for before, after in pairwise(closes)]


def _at_times(
    market: Market, names: list[str], features: list[str], time_ns: int, window: int
) -> AtTimes:
    """Return features and closes at the last decision times, NaN where a symbol has no bar."""
    times = [each for each in market.times() if each <= time_ns][-window - 1 :]

    def close(symbol: str, at_ns: int) -> float:
        bar = market.bar(symbol, at_ns)
        return math.nan if bar is None else float(bar.close)

    recent = times[-window:]
    values = {
        each: {n: [market.feature(each, n, at) for at in recent] for n in names}
        for each in features
    }
    return AtTimes(values, {n: [close(n, at) for at in times] for n in names})


def _given(
    s: Strategy, market: Market, members: frozenset[str], time_ns: int
) -> dict[str, float | None]:
    """Return the weights that a feature or the forecasts give, None where units stay."""
    portfolio = s.portfolio
    assert portfolio is not None
    joined = (n for n in market.symbols if market.last_row(n, time_ns) is not None)
    names = [symbol for symbol in joined if symbol in members]
    count = sum(market.is_member(symbol, time_ns) for symbol in names)
    if portfolio.use == "weights":
        found = {name: market.feature(portfolio.weights, name, time_ns) for name in names}
        given = {name: w if math.isfinite(w) else None for name, w in found.items()}
        if s.account == "spot" and any(w is not None and w < 0.0 for w in given.values()):
            raise ValueError("negative weights need a perpetual account")
        return given
    forecast = portfolio.forecast
    assert forecast is not None
    features = {
        each: {n: _window(market, n, time_ns, each, forecast.window) for n in names}
        for each in forecast.of
    }
    returns = {n: _window(market, n, time_ns, None, forecast.window) for n in names}
    volatility = {n: market.feature(forecast.volatility, n, time_ns) for n in names}
    found_weights = forecast_weights(
        forecast, features, returns, volatility,
        _at_times(market, names, list(forecast.of), time_ns, forecast.window), count,
    )  # fmt: skip
    if s.account == "spot":  # a short side is flat there
        return {n: w if w is None else max(0.0, w) for n, w in found_weights.items()}
    return found_weights


def _asked(
    s: Strategy, portfolio: Portfolio, market: Market, members: frozenset[str],
    rows: Mapping[str, Row], moved: Mapping[str, float], previous: Previous, time_ns: int,
) -> tuple[dict[str, float], set[str], set[str], dict[str, str], bool]:  # fmt: skip
    """Steps 1 to 3: weights, names outside the cap, names whose units stay, reasons, scaled."""
    if portfolio.use == "top":
        choice = choose(portfolio, rows, previous.weights)
        return weigh(portfolio, choice, rows), set(choice.kept), set(), choice.reasons, False
    given = _given(s, market, members, time_ns)
    if portfolio.net is not None and portfolio.net.beta:
        given = {n: w if math.isfinite(rows[n].beta) else None for n, w in given.items()}
    units_stay = {name for name, weight in given.items() if weight is None}
    weights = {n: moved.get(n, 0.0) if w is None else w for n, w in given.items()}
    reasons = {n: "units_stay" if w is None else "given" for n, w in given.items()}
    scaled = False
    if portfolio.use == "weights":
        scaled = scale_to_gross(weights, portfolio.gross, units_stay)
    return weights, set(units_stay), units_stay, reasons, scaled


def targets_at(
    s: Strategy, market: Market, members: frozenset[str], previous: Previous, time_ns: int
) -> Targets:
    """Return the targets of a rebalance that acts at T."""
    portfolio = s.portfolio
    assert portfolio is not None
    closes = _closes(market, time_ns)
    moved = drifted(previous.weights, previous.closes, closes)
    rows = rows_at(s, market, members, time_ns)
    weights, kept, fixed, reasons, scaled = _asked(
        s, portfolio, market, members, rows, moved, previous, time_ns
    )
    weights = cap_weights(weights, portfolio.max_weight, kept)
    weights = limit_weights(weights, s.limits, fixed)
    betas = {n: row.beta for n, row in rows.items() if row.has_bar and math.isfinite(row.beta)}
    betas = {**previous.betas, **betas}
    before = weights
    weights = neutralise(weights, portfolio.net, betas, fixed)
    if portfolio.use == "top":
        # no slot of a chosen name is empty but for a score of the wrong sign or the net target
        reasons |= {n: "net_target" for n in before if n not in kept and not weights[n]}
    turned = limit_turnover(weights, moved, portfolio.rebalance.max_turnover)
    return Targets(
        time_ns, turned.weights, frozenset(fixed), reasons, turned.asked, turned.factor, closes,
        betas, scaled,
    )  # fmt: skip
