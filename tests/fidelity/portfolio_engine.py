"""Runs a portfolio of the reference's settings on the engine: the file, the bars, both paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._data.bars import SeriesTable
from septet._kernel import layout
from septet._shell.result_tables import decisions_of
from tests.core.paths import Left, by_events
from tests.core.settings import HOUR, Bars, made_bars
from tests.core.world import load_text, open_made
from tests.fidelity.positions.in_engine import batch_of, position_keys, stops_keys
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.settings import Portfolio, Sides, Strategy

__all__ = ["Traded", "both_paths", "file_of", "session_of", "traded"]


def _percent(share: float) -> str:
    return f"{100.0 * share:.12g}%"


def _portfolio(s: Strategy) -> dict[str, Any]:
    given = s.portfolio
    assert given is not None
    keys: dict[str, Any] = {"use": given.use}
    if given.use == "top":
        keys |= _top(given)
    elif given.use == "weights":
        keys |= {"weights": given.weights, "gross": _percent(given.gross)}
    else:
        forecast = given.forecast
        assert forecast is not None
        keys["forecast"] = {
            "of": {name: _percent(share) for name, share in forecast.of.items()},
            "volatility": forecast.volatility, "target": _percent(forecast.target),
            "window": f"{forecast.window} bars", "cap": forecast.cap,
        }  # fmt: skip
    if given.net is not None:
        beta = {} if given.net.beta is None else {"beta": given.net.beta}
        keys["net"] = {"target": _percent(given.net.target), **beta}
    if given.max_weight is not None:
        keys["max_weight"] = _percent(given.max_weight)
    if given.exit_if is not None:
        keys["exit_if"] = f'"{given.exit_if}"'
    if isinstance(s.reentry, int):
        keys["reentry"] = {"after": f"{s.reentry} bars"}
    rule = given.rebalance
    every = f'"{rule.every}"'
    keys["rebalance"] = {
        "every": every, "drift": _percent(rule.drift), "to": rule.to,
        "quorum": _percent(rule.quorum),
    }  # fmt: skip
    if rule.max_turnover is not None:
        keys["rebalance"]["max_turnover"] = _percent(rule.max_turnover)
    return keys


def _top(given: Portfolio) -> dict[str, Any]:
    keys: dict[str, Any] = {"by": given.by, "long": given.long, "gross": _percent(given.gross)}
    if given.short:
        keys["short"] = given.short
    if given.hold_rank:
        keys["hold_rank"] = given.hold_rank
    if isinstance(given.where, Sides):
        sides = {"long": given.where.long, "short": given.where.short}
        keys["where"] = {side: f'"{text}"' for side, text in sides.items() if text is not None}
    elif given.where is not None:
        keys["where"] = f'"{given.where}"'
    weight = given.weight
    keys["weight"] = dict(weight) if isinstance(weight, Mapping) else weight
    return keys


def file_of(s: Strategy, market: Market) -> str:
    """Write the strategy file of some settings; every feature is an outside series a symbol."""
    symbols = [f"{name}/USDT" for name in market.symbols]
    source = {"use": "http_json", "url": '"https://example.org/x.json"', "select": "data.*.v",
              "time": "data.*.t", "time_unit": "s", "known_after": 0, "every": "1h"}  # fmt: skip
    limits: dict[str, Any] = {"position": _percent(s.limits.position),
                              "gross_exposure": _percent(s.limits.gross),
                              "price_collar": "50%"}  # fmt: skip
    if s.limits.groups:
        limits["groups"] = {
            name: {"symbols": [f"{each}/USDT" for each in held], "max": _percent(most)}
            for name, (held, most) in s.limits.groups.items()
        }
    halts: dict[str, Any] = {}
    if s.halt is not None:
        resume = "manual" if s.halt.resume is None else f"{s.halt.resume}h"
        halts["drawdown"] = {"above": s.halt.above, "then": s.halt.then, "resume": resume}
    costs, lot = s.costs, {}
    for name in market.symbols:
        inst = s.instrument_of(name)
        lot[f"{name}/USDT"] = {
            "lot": inst.lot,
            "tick": inst.tick,
            "min_notional": inst.min_notional,
            "min_quantity": inst.min_quantity,
        }
    simulation = {
        "fee": {"maker": costs.maker, "taker": costs.taker}, "slippage": costs.slippage,
        "latency": f"{costs.latency_ns // HOUR} bars" if costs.latency_ns else 0,
    }  # fmt: skip
    if costs.participation is not None:
        simulation["participation"] = costs.participation
    whole: dict[str, Any] = {
        "version": 1, "name": "made", "time_zone": s.time_zone,
        "account": {"capital": s.capital, "type": s.account},
        "universe": {"symbols": symbols, "bar": "1h"},
        "data": {"candles": {"use": "synthetic"},
                 **{f"{name}_data": source for name in market.features}},
        "features": {name: {"use": "series", "of": f"{name}_data"} for name in market.features},
        "portfolio": _portfolio(s),
        "risk": {"limits": limits, "stops": stops_keys(s.stops), "halts": halts,
                 "position": position_keys(s.position)},
        "execution": {"simulation": simulation, "instruments": lot},
    }  # fmt: skip
    if s.hours is not None:
        hours = {"open": f'"{s.hours.open}"', "flat_at_close": str(s.hours.flat_at_close).lower()}
        whole["universe"]["trading_hours"] = hours
    if s.account == "perpetual":
        funding = {"rate": 0, "every": "8h"}
        whole["perpetual"] = {"leverage": s.leverage, "maintenance": 0, "liquidation_fee": 0,
                              "funding": funding}  # fmt: skip
    return "\n".join(f"{key}: {_text(value)}" for key, value in whole.items()) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return format(value, ".17g") if value != int(value) else str(int(value))
    return str(value)


def _bars(market: Market, name: str) -> Bars:
    rows = market.bars[name]
    columns = [
        np.array([float(getattr(bar, each)) for bar in rows])
        for each in ("open", "high", "low", "close", "volume")
    ]
    times = np.array([bar.open_ns for bar in rows], np.int64)
    return made_bars(times, columns)


def session_of(s: Strategy, market: Market, *, first: int = 0) -> Any:
    """Return a session over a market of the reference, its features as outside series."""
    series = {}
    for name, columns in market.features.items():
        for symbol, values in columns.items():
            known = np.array([bar.open_ns + HOUR for bar in market.bars[symbol]], np.int64)
            key = f"{name}_data@{symbol}/USDT"
            series[key] = SeriesTable(key, known, known, np.array(values, dtype=np.float64))
    loaded = load_text(file_of(s, market))
    return open_made(loaded, [_bars(market, name) for name in market.symbols], first, series)


def both_paths(s: Strategy, market: Market, spare: int = 9) -> tuple[Left, Left]:
    """Run batch and event path as plain Python."""
    whole = batch_of(session_of(s, market))
    return whole, by_events(whole.session, spare)


@dataclass(frozen=True)
class Traded:
    """What a run has traded, in the units of the reference.

    Fills are (time, symbol, signed quantity, price, fee), a trade's result is by symbol and
    times.
    """

    fills: list[tuple[int, str, float, float, float]]
    trades: list[tuple[str, int, int, float]]
    equity: list[float]
    rebalances: list[int]
    waits: list[tuple[int, str]]
    rejected: dict[tuple[int, str], str]


def traded(left: Left) -> Traded:
    """Read what a path left."""
    outcome, session = left.outcome, left.session
    names = [symbol.partition("/")[0] for symbol in session.market.symbols]
    scale = outcome.state.B[:, layout.SCALE]
    reasons = session.plan.assembly.reasons
    fills, trades, made, waits = [], [], [], []
    for whole, real in zip(outcome.LI.tolist(), outcome.LF.tolist(), strict=True):
        kind, time_ns, k, order, code, _ = whole
        if kind == layout.FILL:
            fills.append((time_ns, names[k], real[0] / scale[k], real[1], real[2]))
        elif kind == layout.TRADE:
            trades.append((names[k], order, time_ns, real[4]))
        elif kind == layout.REBALANCE and reasons[code] == "rebalance":
            made.append(time_ns)
        elif kind == layout.REBALANCE:
            waits.append((time_ns, reasons[code]))
    curve = outcome.G[layout.G_EQUITY, session.first :].tolist()
    return Traded(fills, trades, curve, made, waits, _rejected(left, set(made)))


def _rejected(left: Left, times: set[int]) -> dict[tuple[int, str], str]:
    """Return why a change was not sent, by the time of its rebalance and its symbol."""
    table = decisions_of(left.session, left.outcome)
    rows = zip(table["time"], table["symbol"], table["rejected_by"], strict=True)
    return {
        (int(time), str(symbol).partition("/")[0]): str(reason)
        for time, symbol, reason in rows
        if reason and int(time) in times
    }
