"""A backtest told as a journal: what a paper run of the same bars would have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from septet import messages as m
from septet._config import load
from septet._journal.form import Head
from septet._journal.log import Journal
from septet._shell.backtest import backtest
from septet._store.result import RunResult
from septet._store.tables import feature_names, frames_of

STRATEGY = """\
version: 1
name: told
universe: {{symbols: [AAA/USDT, BBB/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 900, volatility: 120%, gaps: 2}}}}
features: {{fast: {{use: sma, period: 5}}, slow: {{use: sma, period: 20}}}}
signal: {{use: rules, long_if: "fast > slow", exit_if: "fast < slow"}}
risk: {{sizing: {{use: fixed_fraction, fraction: 30%}}, stops: {{stop_loss: 2%}}}}
execution:
  simulation:
    fee: {{maker: 10bps, taker: 20bps, paid_in: {paid_in}}}
    participation: 0.5%
"""


def told(folder: Path, *, paid_in: str) -> tuple[RunResult, Path]:
    """Run a backtest and write its journal; return both."""
    path = folder / "told.yaml"
    path.write_text(STRATEGY.format(paid_in=paid_in), encoding="utf-8")
    loaded = load(path)
    result = backtest(loaded)
    frames = {name: _plain(frame) for name, frame in frames_of(result).items()}
    facts = result.facts
    features = feature_names(frames["decisions"].columns)
    head = Head(
        run_id="told-1", strategy=facts.strategy, mode="paper", account="", created_ns=1,
        origin_ns=facts.start_ns,
        facts={
            "symbols": list(facts.symbols), "features": features, "currency": facts.currency,
            "bar_ns": facts.bar_ns, "capital": facts.initial_capital,
            "venue": frames["fills"]["venue"][0], "resolved": result.resolved,
        },
    )  # fmt: skip
    folder.joinpath("run").mkdir()
    with Journal.create(folder / "run" / "journal.sqlite", head) as journal:
        _write(journal, result, frames, features)
    return result, folder / "run"


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Times as nanoseconds, text as text."""
    times = [key for key, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    coded = [key for key, kind in frame.schema.items() if kind in (pl.Enum, pl.Categorical)]
    return frame.with_columns(
        *(pl.col(key).dt.timestamp("ns") for key in times), pl.col(coded).cast(pl.String)
    )


def _write(
    journal: Journal, result: RunResult, frames: dict[str, pl.DataFrame], features: list[str]
) -> None:
    """Write bars, decisions, orders and fills in order of time."""
    number = {symbol: k for k, symbol in enumerate(result.facts.symbols)}
    rows: dict[int, list[m.BarClosed]] = {}
    for symbol, bars in result.bars.items():
        for i in range(len(bars)):
            known_ns = int(bars.known_ns[i])
            bar = m.BarClosed(
                at_ns=known_ns, symbol=number[symbol], open_ns=int(bars.open_ns[i]),
                known_ns=known_ns, open=float(bars.open[i]), high=float(bars.high[i]),
                low=float(bars.low[i]), close=float(bars.close[i]), volume=float(bars.volume[i]),
            )  # fmt: skip
            rows.setdefault(known_ns, []).append(bar)
    fills, units = list(frames["fills"].iter_rows(named=True)), dict.fromkeys(number.values(), 0.0)
    equity = {row["time"]: row for row in frames["equity"].iter_rows(named=True)}
    decisions = frames["decisions"].partition_by("time", as_dict=True)
    orders = frames["orders"].partition_by("time", as_dict=True)
    for time_ns in sorted(rows):
        for bar in rows[time_ns]:
            journal.append(bar, ())
        commands: list[m.Command] = []
        while fills and fills[0]["time"] <= time_ns:
            commands.append(_traded(fills.pop(0), number, units))
        for row in _of(decisions, time_ns):
            commands.append(_decided(row, number, features))
        if time_ns in equity:
            row = equity[time_ns]
            commands.append(
                m.Ruled(
                    time_ns=time_ns, equity=row["equity"], cash=row["cash"],
                    exposure=row["exposure"],
                )
            )  # fmt: skip
        for row in _of(orders, time_ns):
            commands.append(_placed(row, number))
        event = m.BarrierReached(at_ns=time_ns + 1, time_ns=time_ns, present=(0, 1))
        journal.append(event, commands)
    journal.commit()


def _of(parts: dict[Any, pl.DataFrame], time_ns: int) -> list[dict[str, Any]]:
    found = parts.get((time_ns,))
    return list(found.iter_rows(named=True)) if found is not None else []


def _traded(row: dict[str, Any], number: dict[str, int], units: dict[int, float]) -> m.Traded:
    k, scale = number[row["symbol"]], 1e8
    moved = round(row["quantity"] * scale)
    if row["fee_currency"] == row["symbol"].partition("/")[0]:
        moved -= round(row["fee"] * scale)
    units[k] += moved if row["side"] == "buy" else -moved
    return m.Traded(
        order=int(row["order_id"][1:]) - 1, symbol=k, trade_id=row["trade_id"], side=row["side"],
        quantity=row["quantity"], price=row["price"], fee=row["fee"],
        fee_currency=row["fee_currency"], position=units[k] / scale, market_ns=row["time"],
        maker=row["liquidity"] == "maker",
    )  # fmt: skip


def _decided(row: dict[str, Any], number: dict[str, int], features: list[str]) -> m.Decided:
    up = row["probability_up"]
    return m.Decided(
        time_ns=row["time"], symbol=number[row["symbol"]],
        features=np.array([row[name] for name in features]).tobytes(),
        probability_up=None if np.isnan(up) else up, confidence=row["confidence"],
        signal=row["signal"], requested=row["requested"], granted=row["granted"],
        clipped_by=row["clipped_by"], refused_by=row["refused_by"], late=row["late"],
    )  # fmt: skip


def _placed(row: dict[str, Any], number: dict[str, int]) -> m.Submit:
    def price(name: str) -> float | None:
        return None if np.isnan(row[name]) else row[name]

    return m.Submit(
        client_id=f"atag-{row['order_id']}", parent=int(row["order_id"][1:]) - 1,
        symbol=number[row["symbol"]], side=row["side"], order_type=row["type"],
        quantity=row["quantity"], reduces=row["side"] == "sell", deadline_ns=row["time"],
        limit_price=price("limit_price"), trigger_price=price("trigger_price"),
        reason=row["reason"], trace=f"{row['symbol']}@{row['time']}",
    )  # fmt: skip
