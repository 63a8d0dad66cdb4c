"""Runs the engine on a strategy and a market of the reference: trading hours, positions, stops.

What a file can state of them is written as a file; the signal and the events of a blackout come as
series, row by row as the reference has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._data.bars import SeriesTable
from septet._kernel import layout
from septet._shell.session import Session
from tests.core.compare import tables_of
from tests.core.settings import Bars, made_bars
from tests.core.world import load_text, open_made, run_core
from tests.fidelity.positions.market import HOUR, Market
from tests.fidelity.positions.settings import Strategy

__all__ = ["Found", "engine_of", "session_like"]

OF_HOURS = ("closed_hours", "flat_at_close", "max_positions")


@dataclass(frozen=True)
class Found:
    """What the engine left, as the reference words it."""

    fills: list[tuple[Any, ...]]
    trades: list[tuple[Any, ...]]
    equity: list[tuple[int, float]]
    rejected: list[tuple[int, str, str]]


def _name(symbol: str) -> str:
    return f"{symbol}/USDT"


def _block(**keys: Any) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


def _hours(s: Strategy) -> str:
    hours = s.hours
    if hours is None:
        return ""
    keys: dict[str, Any] = {"flat_at_close": str(hours.flat_at_close).lower()}
    if hours.open is not None or hours.calendar:
        keys["open"] = f"'{hours.open or hours.calendar}'"
    if hours.blackout is not None:
        minutes = (each // 60_000_000_000 for each in (hours.blackout.before_ns,
                                                       hours.blackout.after_ns))  # fmt: skip
        before, after = (f"{each}m" if each else "0" for each in minutes)
        keys["blackout"] = _block(series="news", before=before, after=after)
    return f", trading_hours: {_block(**keys)}"


def _halts(s: Strategy) -> list[str]:
    if s.halt is None:
        return []
    assert s.halt.of == "daily_loss", "others are of other pages"
    keys = _block(above=repr(s.halt.above), then=s.halt.then, resume="next_day")
    return [f"  halts: {{daily_loss: {keys}}}"]


def file_of(s: Strategy, market: Market) -> str:
    """Write the strategy file of a strategy of the reference."""
    names = [_name(each) for each in market.symbols]
    rules: Any = s.signal
    sides = {"long_if": f"'{rules.long_if}'", "exit_if": "side == 0"}
    sides |= {"short_if": "side < 0"} if rules.short_if else {}
    reentry = f"{{after: {s.reentry} bars}}" if isinstance(s.reentry, int) else s.reentry
    stops = {name: getattr(s.stops, name) for name in ("stop_loss", "take_profit", "break_even")}
    stops = {name: each for name, each in stops.items() if each is not None}
    if s.stops.trailing is not None:
        stops["trailing"] = s.stops.trailing.distance
    limits = {"position": f"{100 * s.limits.position:g}%"}
    limits |= {"gross_exposure": f"{100 * s.limits.gross:g}%", "orders_per_minute": "1000"}
    sizing = s.sizing
    assert sizing is not None
    key = "quantity" if sizing.use == "fixed_quantity" else "fraction"
    most = s.limits.max_positions
    blackout = s.hours is not None and s.hours.blackout is not None
    costs = _block(
        fee=_block(maker=repr(s.costs.maker), taker=repr(s.costs.taker)),
        slippage=repr(s.costs.slippage), latency=f"{s.costs.latency_ns // HOUR}",
    )  # fmt: skip
    instrument = _block(
        lot=s.instrument.lot, tick=s.instrument.tick, min_notional=s.instrument.min_notional
    )
    lines = [
        "version: 1", "name: made", f"time_zone: {s.time_zone}",
        f"account: {{capital: {s.capital}, type: {s.account}}}",
        f"universe: {{symbols: [{', '.join(names)}], bar: 1h{_hours(s)}}}",
        "data:", "  candles: {use: synthetic, reset_after: 1000}" if market.calendars
        else "  candles: {use: synthetic}",
        "  side: {use: csv_series, path: side.csv, known_after: 0}",
        "  news: {use: csv_series, path: news.csv, known: seen}" if blackout else "",
        "features:", "  side: {use: series, of: side}",
        "  two_days: {use: sma, period: 2, bar: 1d}" if "two_days" in market.features else "",
        f"signal: {_block(use='rules', **sides, reentry=reentry, min_interval=rules.min_interval)}",
        "risk:", f"  sizing: {_block(use=sizing.use, **{key: repr(float(sizing.amount))})}",
        f"  limits: {_block(**limits)}", f"  stops: {_block(**stops)}", *_halts(s),
        f"  max_positions: {most}" if most is not None else "",
        "execution:", f"  simulation: {costs}",
        f"  instruments: {{{', '.join(f'{name}: {instrument}' for name in names)}}}",
        "perpetual: {leverage: 1, maintenance: 0.1%, funding: {rate: 0, every: 8h}}"
        if s.account == "perpetual" else "",
    ]  # fmt: skip
    return "\n".join(line for line in lines if line) + "\n"


def session_like(s: Strategy, market: Market) -> Session:
    """Return a session of the engine over the bars, the signal and the events of the reference."""
    bars = [_bars(market, symbol) for symbol in market.symbols]
    series = {}
    for symbol in market.symbols:
        name = f"side@{_name(symbol)}"
        known = [market.known_ns(symbol, bar) for bar in market.bars[symbol]]
        stamp = np.array(known, dtype=np.int64)
        value = np.array(market.features["side"][symbol], dtype=np.float64)
        series[name] = SeriesTable(name, stamp, stamp, value)
    if s.hours is not None and s.hours.blackout is not None:
        at = np.array(s.hours.blackout.instants_ns, dtype=np.int64)
        series["news"] = SeriesTable("news", at, np.zeros_like(at), np.ones(len(at)))
    names = {_name(each): market.calendars.get(each, "24x7") for each in market.symbols}
    calendars = names if market.calendars else None
    return open_made(load_text(file_of(s, market)), bars, 0, series, calendars=calendars)


def _bars(market: Market, symbol: str) -> Bars:
    rows = market.bars[symbol]
    open_ns = np.array([bar.open_ns for bar in rows], dtype=np.int64)
    prices = [
        [float(getattr(bar, name)) for bar in rows] for name in ("open", "high", "low", "close")
    ]
    columns = [np.array(each, dtype=np.float64) for each in prices]
    return made_bars(open_ns, [*columns, np.full(len(rows), 1e9)])


def engine_of(s: Strategy, market: Market) -> Found:
    """Run the engine as plain Python."""
    ran = run_core(session_like(s, market))
    tables, names = tables_of(ran), market.symbols
    scale = [float(ran.batch.state.B[k, layout.SCALE]) for k in range(len(names))]
    fills = [(t, names[k], units / scale[k], price, fee)
             for t, k, _, units, price, fee, _ in tables["fills"]]  # fmt: skip
    trades = [(row[2], names[row[0]], row[4], row[7], row[-1]) for row in tables["trades"]]
    equity = [(row[0], row[1]) for row in tables["curve"]]
    rejected = [(d[0], names[d[1]], d[7]) for d in tables["decisions"] if d[7] in OF_HOURS]
    return Found(fills, trades, equity, rejected)
