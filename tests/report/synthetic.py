"""A plausible finished run from seeded random numbers: nothing in it comes from a market."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from septet._data.bars import BarTable, Finding
from septet._results.result import HaltEvent, RunFacts, RunResult

HOUR_NS = 3_600_000_000_000
START_NS = 1_672_531_200_000_000_000  # 2023-01-01
FEATURES = ("rsi_14", "bb_width", "vol_10", "volume_z")
FEE, SLIPPAGE, THRESHOLD, CAPITAL = 0.001, 0.0005, 0.30, 10_000.0


def make_bars(symbol: str, count: int, seed: int, price: float = 100.0) -> BarTable:
    draw = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(draw.normal(0.00004, 0.006, count)))
    opened = np.concatenate([[price], close])[:count]
    wick = np.abs(draw.normal(0, 0.003, (2, count)))
    open_ns = START_NS + np.arange(count, dtype=np.int64) * HOUR_NS
    return BarTable(
        symbol=symbol,
        bar_ns=HOUR_NS,
        open_ns=open_ns,
        known_ns=open_ns + HOUR_NS,
        open=opened,
        high=np.maximum(opened, close) * (1 + wick[0]),
        low=np.minimum(opened, close) * (1 - wick[1]),
        close=close,
        volume=draw.gamma(2.0, 50.0, count),
        session=open_ns // (24 * HOUR_NS),
    )


@dataclass
class _Book:
    """The tables of a run while they grow, one account for all symbols."""

    cash: float = CAPITAL
    held: dict[str, float] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)

    def trade(self, symbol: str, bars: BarTable, i: int, size: float, row: dict[str, Any]) -> float:
        """Order at the close of bar i, filled at the next open; gives the price."""
        side = "buy" if size > 0 else "sell"
        price = bars.open[i + 1] * (1 + SLIPPAGE * (1 if size > 0 else -1))
        order_id = f"o{len(self.orders) + 1}"
        self.orders.append(
            {
                "time": bars.known_ns[i],
                "symbol": symbol,
                "order_id": order_id,
                "type": "market",
                "side": side,
                "quantity": abs(size),
                "filled": abs(size),
                "ended_by": "",
                "limit_price": np.nan,
                "trigger_price": np.nan,
                "status": "filled",
                "decision_price": bars.close[i],
                **row,
            }
        )
        fee = abs(size) * price * FEE
        self.fills.append(
            {
                "time": bars.open_ns[i + 1],
                "symbol": symbol,
                "venue": "sim",
                "order_id": order_id,
                "trade_id": f"t{len(self.fills) + 1}",
                "side": side,
                "quantity": abs(size),
                "price": price,
                "fee": fee,
                "fee_currency": "USDT",
                "liquidation": 0.0,
                "liquidity": "taker",
            }
        )
        self.cash -= size * price + fee
        self.held[symbol] = self.held.get(symbol, 0.0) + size
        return float(price)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]] | None:
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else None


def _decide(book: _Book, bars: BarTable, i: int, equity: float, p: float) -> tuple[str, float]:
    confidence = 2 * abs(p - 0.5)
    if confidence < THRESHOLD:
        return "threshold", 0.0
    if p < 0.5:
        return "short_as_flat", 0.0
    size = 0.1 * equity / bars.close[i]
    inputs = {"p": p, "b": 1.33, "fraction": 0.25, "max": 0.1, "equity": equity}
    row = {
        "reason": "entry",
        "confidence": confidence,
        "probability_up": p,
        "sizing_inputs": json.dumps(inputs),
    }
    book.trade(bars.symbol, bars, i, size, row)
    return "", size


def simulate(
    tables: dict[str, BarTable], first: int, p: dict[str, npt.NDArray[Any]], hold: int
) -> tuple[_Book, list[dict[str, Any]], list[dict[str, Any]]]:
    """Enter on confidence, leave after `hold` bars: simple, but cash and equity conserve."""
    book, decisions, equity_rows = _Book(), [], []
    entered: dict[str, tuple[int, float]] = {}
    peak, count = CAPITAL, len(next(iter(tables.values())))
    for i in range(first, count):
        worth = sum(q * tables[s].close[i] for s, q in book.held.items())
        equity = book.cash + worth
        peak = max(peak, equity)
        equity_rows.append(
            {
                "time": next(iter(tables.values())).known_ns[i],
                "equity": equity,
                "cash": book.cash,
                "exposure": abs(worth) / equity,
                "drawdown": 1 - equity / peak,
            }
        )
        for symbol, bars in tables.items():
            rejected, granted, signal = "", 0.0, "none"
            if symbol in entered:
                rejected = "held"
                at, price = entered[symbol]
                if i - at >= hold and i + 1 < count:
                    signal, rejected = "flat", ""
                    size = book.held.pop(symbol)
                    out = {"reason": "after", "confidence": 0.1, "probability_up": 0.5}
                    paid = book.trade(symbol, bars, i, -size, {**out, "sizing_inputs": "{}"})
                    book.held.pop(symbol)
                    fees = size * (price + paid) * FEE
                    book.trades.append(
                        {
                            "symbol": symbol,
                            "side": "long",
                            "entry_time": bars.open_ns[at + 1],
                            "entry_price": price,
                            "exit_time": bars.open_ns[i + 1],
                            "exit_price": paid,
                            "quantity": size,
                            "pnl": size * (paid - price) - fees,
                            "fees": fees,
                            **dict.fromkeys(("funding", "liquidation", "slippage"), 0.0),
                            "exit_reason": "after",
                        }
                    )
                    del entered[symbol]
            elif i + 1 < count:
                rejected, granted = _decide(book, bars, i, equity, float(p[symbol][i]))
                if granted:
                    entered[symbol] = (i, book.fills[-1]["price"])
                    signal = "long"
            decisions.append(
                {
                    "time": bars.known_ns[i],
                    "symbol": symbol,
                    **dict(zip(FEATURES, np.sin(i + np.arange(4.0)), strict=True)),
                    "probability_up": p[symbol][i],
                    "confidence": 2 * abs(p[symbol][i] - 0.5),
                    "signal": signal,
                    "requested": granted * 1.2,
                    "granted": granted,
                    "capped_by": "position" if granted else "",
                    "rejected_by": rejected,
                    "late": False,
                }
            )
    _still_open(book, tables, entered)
    return book, decisions, equity_rows


def _still_open(
    book: _Book, tables: dict[str, BarTable], entered: dict[str, tuple[int, float]]
) -> None:
    for symbol, (at, price) in entered.items():
        bars, size = tables[symbol], book.held[symbol]
        fee = size * price * FEE
        book.trades.append(
            {
                "symbol": symbol,
                "side": "long",
                "entry_time": bars.open_ns[at + 1],
                "entry_price": price,
                "exit_time": bars.known_ns[-1],
                "exit_price": bars.close[-1],
                "quantity": size,
                "pnl": size * (bars.close[-1] - price) - fee,
                "fees": fee,
                "funding": 0.0,
                "liquidation": 0.0,
                "slippage": 0.0,
                "exit_reason": "open",
            }
        )


def _monitoring(tables: dict[str, BarTable], first: int, seed: int) -> dict[str, list[Any]] | None:
    draw = np.random.default_rng(seed + 99)
    rows = []
    bars = next(iter(tables.values()))
    metrics = {"auc": (0.54, 0.50), "brier": (0.25, 0.25), "hit_rate": (0.52, 0.5)}
    psi = {f"psi:{name}": (0.08, 0.25) for name in (*FEATURES, "prediction")}
    for metric, (level, threshold) in {**metrics, **psi}.items():
        value = level
        for i in range(first + 500, len(bars), 200):
            value = abs(value + draw.normal(0, level * 0.1))
            bad = value > threshold if metric.startswith("psi") else value < threshold
            rows.append(
                {
                    "time": bars.known_ns[i],
                    "symbol": "",
                    "metric": metric,
                    "value": value,
                    "threshold": threshold,
                    "verdict": ("retrain" if metric.startswith("psi") else "warn") if bad else "ok",
                    "window": 500,
                }
            )
    return _columns(rows)


def make_result(
    *,
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT"),
    bars: int = 3000,
    first: int = 600,
    seed: int = 7,
    model: bool = True,
    edge: float = 0.15,
    hold: int = 12,
    halted: bool = False,
    strategy: str = "hourly-majors",
    never: bool = False,
) -> RunResult:
    """Make a finished run; `never` gives one whose every decision was rejected."""
    tables = {s: make_bars(s, bars, seed + k, 20_000.0 / 10**k) for k, s in enumerate(symbols)}
    draw = np.random.default_rng(seed)
    p = {}
    for symbol, table in tables.items():
        ahead = np.append(np.diff(np.log(table.close)), 0.0) / 0.006
        noise = draw.normal(0, 1, bars)
        p[symbol] = 1 / (1 + np.exp(-0.45 * (edge * ahead + noise)))
        if never:
            p[symbol] = np.full(bars, 0.5)
    book, decisions, equity = simulate(tables, first, p, hold)
    any_bars = next(iter(tables.values()))
    halt = HaltEvent(int(any_bars.known_ns[-200]), "drawdown", 0.1532, 0.15, "flatten", "manual")
    facts = RunFacts(
        strategy=strategy,
        mode="backtest",
        engine="batch",
        symbols=symbols,
        currency="USDT",
        bar_ns=HOUR_NS,
        initial_capital=CAPITAL,
        start_ns=int(any_bars.known_ns[0]),
        end_ns=int(any_bars.known_ns[-1]),
        first_decision_ns=int(any_bars.known_ns[first]),
        bars=bars * len(symbols),
        seconds=0.042,
        seconds_total=1.9,
        seed=seed,
    )
    return RunResult(
        facts=facts,
        decisions=_columns(decisions),
        orders=_columns(book.orders),
        fills=_columns(book.fills),
        trades=_columns(book.trades),
        equity=_columns(equity),
        bars=tables,
        monitoring=_monitoring(tables, first, seed) if model else None,
        predictions=_labels(tables, p, first) if model else None,
        findings=(
            Finding("candles", symbols[0], "gap", "keep", 3, ("2023-02-03 04:00",), "3 bars lack"),
            Finding("candles", symbols[0], "zero_volume", "keep", 1, ("2023-03-01 00:00",)),
        ),
        halts=(halt,) if halted else (),
        models=_cards(any_bars, first, bars) if model else (),
        model_files={"model-1.json": b"{}"} if model else {},
        resolved={
            "name": strategy,
            "signal": {"use": "confidence", "threshold": THRESHOLD},
            "risk": {"sizing": {"use": "kelly", "fraction": 0.25, "max": 0.1}},
            "execution": {"simulation": {"fee": {"taker": FEE}, "slippage": SLIPPAGE}},
        },
        strategy_text=f"version: 1\nname: {strategy}\n",
        distributions={"septet": "0.1.0"},
        notes=("limit_then_market on bars is a market order at the open with slippage.",),
    )


def _labels(
    tables: dict[str, BarTable], p: dict[str, npt.NDArray[Any]], first: int
) -> dict[str, list[Any]] | None:
    rows = [
        {
            "time": table.known_ns[i],
            "symbol": symbol,
            "probability_up": p[symbol][i],
            "label": float(table.close[i + 1] > table.close[i]),
            "known_ns": table.known_ns[i + 1],
        }
        for symbol, table in tables.items()
        for i in range(first, len(table) - 1)
    ]
    return _columns(rows)


def _cards(bars: BarTable, first: int, count: int) -> tuple[dict[str, Any], ...]:
    draw = np.random.default_rng(3)
    cards = []
    for k, i in enumerate(range(first, count, 720)):
        share = draw.dirichlet(np.array([4.0, 3.0, 2.0, 1.0]))
        cards.append(
            {
                "model_id": f"m{k + 1}",
                "ready_ns": int(bars.known_ns[i]),
                "rows": 600,
                "importance": dict(zip(FEATURES, map(float, share), strict=True)),
            }
        )
    return tuple(cards)


def without_trades(result: RunResult) -> RunResult:
    """Give the same run as if nothing had been ordered."""
    return replace(result, orders=None, fills=None, trades=None)
