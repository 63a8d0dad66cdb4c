"""The engine on a market and a strategy of the reference: the same file, bars and features.

Features of the reference are numbers of its own; the engine reads them as series of each symbol.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from septet._data.bars import SeriesTable
from septet._kernel import layout
from septet._shell.result_tables import decisions_of, trades_of
from septet._shell.session import Session
from tests.core.paths import Left, by_batch, by_events, plainly
from tests.core.settings import Bars, made_bars
from tests.core.table_comparison import assert_same
from tests.core.world import session_of_text
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.settings import Grid, Position, Signal, Sizing, Stops, Strategy
from tests.fidelity.positions.simulator import Result

__all__ = [
    "Traded", "assert_same_by_events", "assert_same_run", "bars_of", "batch_of", "file_of",
    "inputs_of", "position_keys", "series_of", "session_for", "stops_keys", "traded",
]  # fmt: skip


def pair(symbol: str) -> str:
    """Return the name that a symbol has in the file."""
    return f"{symbol}/USDT"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return format(value, ".17g") if isinstance(value, float) else str(value)


def _signal(signal: Signal, reentry: str | int) -> dict[str, Any]:
    made: dict[str, Any] = {"use": "rules"}
    for name in ("long_if", "short_if", "exit_if"):
        if getattr(signal, name) is not None:
            made[name] = getattr(signal, name)
    blocks = {"after": f"{reentry} bars"} if isinstance(reentry, int) else reentry
    return made | {
        "min_interval": f"{signal.min_interval} bars", "reentry": blocks,
        "exit": {"opposite": signal.opposite},
    }  # fmt: skip


def _sizing(sizing: Sizing) -> dict[str, Any]:
    names = {"fixed_risk": "risk", "fixed_fraction": "fraction", "fixed_quantity": "quantity"}
    return {"use": sizing.use, names[sizing.use]: sizing.amount}


def stops_keys(stops: Stops) -> dict[str, Any]:
    """Return what a file says under `risk.stops`."""
    made: dict[str, Any] = {}
    for name in ("stop_loss", "take_profit", "break_even"):
        if getattr(stops, name) is not None:
            made[name] = getattr(stops, name)
    if stops.level is not None:
        made["level"] = (
            stops.level if isinstance(stops.level, str)
            else {
                side: price for side, price in asdict(stops.level).items() if price is not None
            }
        )  # fmt: skip
    if stops.trailing is not None:
        made["trailing"] = {"distance": stops.trailing.distance}
        if stops.trailing.after is not None:
            made["trailing"]["after"] = stops.trailing.after
    return made


def position_keys(position: Position) -> dict[str, Any]:
    """Return what a file says under `risk.position`."""
    add, take = list[dict[str, Any]](), list[dict[str, Any]]()
    for each in position.add:
        one: dict[str, Any] = {"size": each.size}
        one |= {"at": list(each.at)} if each.at else {"when": each.when, "times": each.times}
        if each.min_interval:
            one["min_interval"] = f"{each.min_interval} bars"
        add.append(one)
    for part in position.take:
        one = {"size": part.size}
        one |= {"at": part.at} if part.at is not None else {"when": part.when}
        if part.then_stop:
            one["then"] = {"stop": part.then_stop}
        take.append(one)
    made: dict[str, Any] = {name: each for name, each in (("add", add), ("take", take)) if each}
    if position.buy_every is not None:
        made["buy_every"] = {
            "every": position.buy_every.every, "amount": position.buy_every.amount
        }  # fmt: skip
    return made


def _grid(grid: Grid) -> dict[str, Any]:
    return {
        "centre": grid.centre, "step": grid.step, "levels": grid.levels, "size": grid.size,
        "short": grid.short,
    }  # fmt: skip


def file_of(s: Strategy, market: Market, **more: Any) -> str:
    """Write the strategy file of a strategy of the reference; `more` are further blocks."""
    costs, symbols = s.costs, [pair(each) for each in market.symbols]
    instruments = {
        pair(each): {
            "lot": s.instrument_of(each).lot, "tick": s.instrument_of(each).tick,
            "min_notional": s.instrument_of(each).min_notional,
            "min_quantity": s.instrument_of(each).min_quantity,
        }
        for each in market.symbols
    }  # fmt: skip
    limits: dict[str, Any] = {
        "position": f"{s.limits.position * 100:g}%", "gross_exposure": f"{s.limits.gross * 100:g}%",
        "orders_per_minute": 100_000, "price_collar": "100%",
    }  # fmt: skip
    if s.limits.groups:
        limits["groups"] = {
            name: {"symbols": [pair(each) for each in members], "max": f"{most * 100:g}%"}
            for name, (members, most) in s.limits.groups.items()
        }
    risk: dict[str, Any] = {"limits": limits, "stops": stops_keys(s.stops)}
    if s.sizing is not None:
        risk["sizing"] = _sizing(s.sizing)
    if position := position_keys(s.position):
        risk["position"] = position
    if isinstance(s.signal, Grid):
        risk["position"] = {**position, "grid": _grid(s.signal)}
    if s.halt is not None:
        resume = "manual" if s.halt.resume is None else f"{s.halt.resume * market.bar_ns}ns"
        if s.halt.resume is not None:
            resume = f"{s.halt.resume * market.bar_ns // 3_600_000_000_000}h"
        risk["halts"] = {"drawdown": {"above": s.halt.above, "then": s.halt.then, "resume": resume}}
    if s.limits.max_positions is not None:
        risk["max_positions"] = s.limits.max_positions
    names = sorted(market.features)
    whole: dict[str, Any] = {
        "version": 1, "name": "reference",
        "account": {"capital": s.capital, "type": s.account},
        "universe": {"symbols": symbols, "bar": "1h"},
        "data": {"candles": {"use": "synthetic", "reset_after": 1_000}}
        | {
            name: {"use": "csv_series", "path": name + "-{symbol}.csv", "known_after": "1ms"}
            for name in names
        },
        "features": {name: {"use": "series", "of": name} for name in names},
        "risk": risk,
        "execution": {
            "simulation": {
                "fee": {"maker": costs.maker, "taker": costs.taker}, "slippage": costs.slippage,
                "latency": f"{costs.latency_ns // market.bar_ns} bars" if costs.latency_ns else 0,
            },
            "instruments": instruments, "venues": {"sim": {"use": "simulated"}},
        },
    }  # fmt: skip
    if costs.participation is not None:
        whole["execution"]["simulation"]["participation"] = costs.participation
    if s.hours is not None:
        assert s.hours.blackout is None, "this harness has no events"
        whole["universe"]["trading_hours"] = {
            "open": s.hours.open, "flat_at_close": s.hours.flat_at_close
        }  # fmt: skip
    if isinstance(s.signal, Signal):
        whole["signal"] = _signal(s.signal, s.reentry)
    if s.account == "perpetual":
        whole["perpetual"] = {
            "leverage": s.leverage, "maintenance": "0%", "liquidation_fee": "0%",
            "funding": {"rate": "0bps", "every": "8h"},
        }  # fmt: skip
    whole |= more
    return "\n".join(f"{key}: {_text(value)}" for key, value in whole.items()) + "\n"


def bars_of(market: Market, symbol: str) -> Bars:
    """Return the bars of a symbol as arrays."""
    bars = market.bars[symbol]
    columns = [
        np.array([float(getattr(bar, name)) for bar in bars])
        for name in ("open", "high", "low", "close", "volume")
    ]
    open_ns = np.array([bar.open_ns for bar in bars], np.int64)
    return made_bars(open_ns, columns)


def series_of(market: Market) -> dict[str, SeriesTable]:
    """Return every feature of every symbol as a series that is known at each bar's close."""
    made = {}
    for name in market.features:
        for symbol in market.symbols:
            known = np.array([b.open_ns + market.bar_ns for b in market.bars[symbol]], np.int64)
            values = np.array(market.features[name][symbol], float)
            key = f"{name}@{pair(symbol)}"
            made[key] = SeriesTable(key, known, known, values)
    return made


def session_for(s: Strategy, market: Market, **more: Any) -> Session:
    """Return a session of the engine over a market of the reference."""
    bars: Sequence[Bars] = [bars_of(market, symbol) for symbol in market.symbols]
    return session_of_text(file_of(s, market, **more), bars, 0, series_of(market))


@dataclass(frozen=True)
class Traded:
    """What a run traded at each instant: (time, symbol, is a buy) to units, and to units·price."""

    units: Mapping[tuple[int, str, bool], float]
    worth: Mapping[tuple[int, str, bool], float]


def traded(rows: Sequence[tuple[int, str, float, float]]) -> Traded:
    """Sum fills (time, symbol, signed units, price) that lie together."""
    units, worth = defaultdict[Any, float](float), defaultdict[Any, float](float)
    for time_ns, symbol, amount, price in rows:
        key = (time_ns, symbol, amount > 0.0)
        units[key] += abs(amount)
        worth[key] += abs(amount) * price
    return Traded(dict(units), dict(worth))


def _of_engine(left: Left) -> Traded:
    symbols, scale = left.session.market.symbols, left.outcome.state.B[:, layout.SCALE]
    whole, parts = left.outcome.LI, left.outcome.LF
    fills = whole[:, 0] == layout.FILL
    rows = zip(whole[fills], parts[fills], strict=True)
    return traded(
        [(int(n[1]), symbols[n[2]], float(f[0] / scale[n[2]]), float(f[1])) for n, f in rows]
    )


def _of_reference(out: Result) -> Traded:
    return traded([(f.time_ns, pair(f.symbol), float(f.units), float(f.price)) for f in out.fills])


def batch_of(session: Session) -> Left:
    """Run the batch path as plain Python; check that it leaves the bars it was given as they were.

    So another path may be given the same session.
    """
    before = inputs_of(session)
    left = by_batch(plainly(session))
    assert inputs_of(session) == before, "the batch path has written to its bars"
    return left


def inputs_of(session: Session) -> list[bytes]:
    """Return the bars that both paths are given, byte for byte."""
    aligned = session.aligned
    return [each.tobytes() for each in (aligned.T, aligned.M, aligned.X, aligned.U, aligned.DUE)]


def assert_same_by_events(left: Left, spare: int = 20) -> None:
    """Check that the event path leaves what the batch path left, over the same bars."""
    assert_same(left, by_events(left.session, spare))


def assert_same_run(s: Strategy, market: Market, out: Result, **more: Any) -> Left:
    """Check that the engine fills what the reference fills, and has its equity at every time."""
    left = batch_of(session_for(s, market, **more))
    ours, theirs = _of_engine(left), _of_reference(out)
    scale = float(s.capital)
    for key in sorted({*ours.units, *theirs.units}):
        mine, other = ours.units.get(key, 0.0), theirs.units.get(key, 0.0)
        assert abs(mine - other) <= 1e-7 * max(1.0, other), (key, mine, other)
        worth = ours.worth.get(key, 0.0), theirs.worth.get(key, 0.0)
        assert abs(worth[0] - worth[1]) <= 1e-7 * scale, (key, *worth)
    curve = left.outcome.G[layout.G_EQUITY]
    for (time_ns, expected), found in zip(out.curve, curve, strict=True):
        assert abs(float(found) - float(expected)) <= 1e-7 * scale, (time_ns, found, expected)
    _assert_same_trades(left, out)
    _assert_same_reasons(left, out)
    return left


INCREASES = {"entry", "add", "buy_every", "grid_entry"}
"""What the decisions of the reference increase, the last level of a grid; of what is placed at an
open there is no decision."""
CAPS = {"position", "groups", "gross_exposure", "cash", "margin"}
OTHERS = {"no_rule_true", "too_small"}
"""Reasons of the engine that are of no increase: nothing was signalled, an exit waits."""


def _assert_same_reasons(left: Left, out: Result) -> None:
    """Check why increases were rejected and which limit reduced them, at every decision."""
    table = decisions_of(left.session, left.outcome)
    rejected, capped = dict[Any, str](), dict[Any, str]()
    for each in out.findings:
        if each.of in INCREASES and each.what != "no_bar":
            by = each.what.removeprefix("capped_by ")
            at = each.time_ns, pair(each.symbol)
            (rejected if by == each.what else capped)[at] = by
            if each.of == "grid_entry":  # a level that does not fit whole is not placed
                capped[at] = by if by in CAPS else ""
    capped = {at: by for at, by in capped.items() if by}
    for theirs, name in ((rejected, "rejected_by"), (capped, "capped_by")):
        rows = zip(table["time"], table["symbol"], table[name], strict=True)
        ours = {(int(time), str(symbol)): str(why) for time, symbol, why in rows if why}
        ours = {at: why for at, why in ours.items() if why not in OTHERS or at in theirs}
        assert ours == theirs, name


def _assert_same_trades(left: Left, out: Result) -> None:
    """Check closed trades: symbol, side, first and last fill, why it ended, results and fees."""
    found = trades_of(left.session, left.outcome, over=False)
    names = ("symbol", "side", "entry_time", "exit_time", "exit_reason", "pnl", "fees")
    ours = sorted(pl.DataFrame(found).select(names).rows())
    names_of = {"grid": "grid_exit"}
    theirs = sorted(
        (pair(t.symbol), "long" if t.side > 0 else "short", t.opened_ns, t.closed_ns,
         names_of.get(t.exit_reason, t.exit_reason), float(t.result), float(t.fees))
        for t in out.trades
    )  # fmt: skip
    assert [each[:5] for each in ours] == [each[:5] for each in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert np.allclose(mine[5:], other[5:], rtol=0.0, atol=1e-7 * float(out.capital)), mine
