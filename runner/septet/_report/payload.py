"""The numbers behind the charts, thinned to what a screen can show."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from septet._report.document import escaped
from septet._results import statistics as st

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints
    from septet._store.run_folder import Run

__all__ = ["chart_data", "thin_rows"]

# What the page carries: rows of the equity curve, bars of all symbols together, markers of a
# symbol, points of one metric.
CURVE_ROWS: Final = 2_400
PRICE_BARS: Final = 12_000
STRETCHES: Final = 240
MARKERS: Final = 1_500
METRIC_POINTS: Final = 400
FEATURES: Final = 20
_DIGITS: Final = 7


def _stamps(frame: pl.DataFrame, name: str = "time") -> Ints:
    return np.asarray(frame.get_column(name).to_physical().to_numpy(), dtype=np.int64)


def _floats(frame: pl.DataFrame, name: str) -> Floats:
    return np.asarray(frame.get_column(name).to_numpy(), dtype=np.float64)


def _ms(time_ns: Ints) -> list[int]:
    return [int(value) for value in time_ns // 1_000_000]


def _short(values: Floats) -> list[float | None]:
    """Round to seven digits of the largest value; what is not finite becomes null."""
    known = values[np.isfinite(values)]
    top = float(np.abs(known).max(initial=0.0))
    digits = _DIGITS - 1 - math.floor(math.log10(top)) if top > 0 else 0
    rounded = np.round(values, digits)
    return [float(v) if math.isfinite(v) else None for v in rounded]


def thin_rows(values: Floats, limit: int) -> npt.NDArray[np.int64]:
    """Rows to draw: lowest, highest and last of each of some equal buckets, ends included.

    A drawn line then keeps every extreme a pixel could show. All rows if there are at most
    `limit`.
    """
    count = len(values)
    if count <= limit:
        return np.arange(count, dtype=np.int64)
    edges = np.linspace(0, count, limit // 3 + 1).astype(np.int64)
    picked = [0, count - 1]
    for begin, end in itertools.pairwise(edges.tolist()):
        part = values[begin:end]
        picked += [begin + int(part.argmin()), begin + int(part.argmax()), int(end) - 1]
    return np.unique(np.array(picked, dtype=np.int64))


def _bars(run: Run) -> dict[str, pl.DataFrame]:
    frame = run.table("bars")
    return {symbol: part for (symbol,), part in frame.group_by("symbol", maintain_order=True)}


def _curve(run: Run, bars: dict[str, pl.DataFrame]) -> dict[str, Any]:
    facts, table = run.facts, run.table("equity")
    rows = thin_rows(np.nan_to_num(_floats(table, "equity")), CURVE_ROWS)
    drawn = table[rows]
    time_ns = _stamps(drawn)
    held = {
        symbol: (_stamps(part), _floats(part, "close"))
        for symbol, part in bars.items()
        if facts.benchmark in ("", symbol)
    }
    hold = st.hold_growth(time_ns, held, facts.first_decision_ns) * facts.initial_capital
    return {
        "t": _ms(time_ns),
        "equity": _short(_floats(drawn, "equity")),
        "hold": _short(hold) if held else [],
        "drawdown": _short(-_floats(drawn, "drawdown")),
        "exposure": _exposure(table),
        "rows": table.height,
    }


def _exposure(table: pl.DataFrame) -> dict[str, Any]:
    """Mean exposure of some equal stretches: its extremes would only draw a block."""
    if table.get_column("exposure").null_count() == table.height:
        return {"t": [], "mean": []}
    starts = np.unique(np.linspace(0, table.height, STRETCHES, endpoint=False).astype(np.int64))
    share = np.nan_to_num(_floats(table, "exposure"), posinf=0.0, neginf=0.0)
    mean = np.add.reduceat(share, starts) / np.diff(np.append(starts, table.height))
    return {"t": _ms(_stamps(table)[starts]), "mean": _short(mean)}


def _join(frame: pl.DataFrame, limit: int) -> tuple[dict[str, Any], int]:
    """Join neighbouring display bars once more, to the share of the page this symbol has."""
    step = max(1, -(-frame.height // limit))
    starts = np.arange(0, frame.height, step)
    last = np.append(starts[1:], frame.height) - 1
    columns = {
        "t": _ms(_stamps(frame, "open_time")[starts]),
        "o": _short(_floats(frame, "open")[starts]),
        "h": _short(np.maximum.reduceat(_floats(frame, "high"), starts)),
        "l": _short(np.minimum.reduceat(_floats(frame, "low"), starts)),
        "c": _short(_floats(frame, "close")[last]),
    }
    return columns, step


def _markers(trades: pl.DataFrame) -> dict[str, Any]:
    rows = np.unique(np.linspace(0, trades.height - 1, MARKERS).astype(np.int64))
    shown = trades if trades.height <= MARKERS else trades[rows]
    return {
        "side": shown.get_column("side").to_list(),
        "entry_t": _ms(_stamps(shown, "entry_time")),
        "entry": _short(_floats(shown, "entry_price")),
        "exit_t": _ms(_stamps(shown, "exit_time")),
        "exit": _short(_floats(shown, "exit_price")),
        "pnl": _short(_floats(shown, "pnl")),
        "reason": shown.get_column("exit_reason").to_list(),
        "all": trades.height,
    }


def _price(run: Run, bars: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    import polars as pl

    trades = run.table("trades")
    joined = run.manifest.get("display", {}).get("bars_joined", {})
    share = max(150, PRICE_BARS // max(len(bars), 1))
    priced = []
    for symbol, frame in bars.items():
        columns, step = _join(frame, share)
        mine = trades.filter(pl.col("symbol") == symbol)
        priced.append(
            {
                "symbol": symbol,
                "unit": escaped(symbol.partition("/")[2] or run.facts.currency),
                "joined": step * int(joined.get(symbol, 1)),
                **columns,
                "trades": _markers(mine),
            }
        )
    return priced


def _calibration(run: Run) -> list[list[float]]:
    table = run.table("predictions")
    rows = st.calibration(_floats(table, "probability_up"), _floats(table, "label"))
    return [[round(float(value), 6) for value in row] for row in rows]


def _importance(run: Run) -> dict[str, Any]:
    """Mean, lowest and highest share of each feature over the models, largest first."""
    cards = [card.get("importance") for card in run.manifest.get("models", [])]
    shares = [card for card in cards if isinstance(card, dict) and card]
    names = list(dict.fromkeys(name for card in shares for name in card))
    table = np.array([[float(card.get(name) or 0.0) for name in names] for card in shares])
    if table.size == 0:
        return {"features": [], "models": 0}
    order = np.argsort(-table.mean(axis=0), kind="stable")[:FEATURES]
    return {
        "features": [escaped(names[k]) for k in order],
        "mean": _short(table.mean(axis=0)[order]),
        "low": _short(table.min(axis=0)[order]),
        "high": _short(table.max(axis=0)[order]),
        "models": len(shares),
        "all": len(names),
    }


def _metric(name: str, symbol: str, frame: pl.DataFrame) -> dict[str, Any]:
    """One metric of one symbol over time; rows with a verdict that is not ok are all kept."""
    value = _floats(frame, "value")
    verdicts = np.array(frame.get_column("verdict").fill_null("").to_list(), dtype=object)
    rows = thin_rows(np.nan_to_num(value), METRIC_POINTS)
    if len(rows) < frame.height:
        changes = np.flatnonzero(verdicts[1:] != verdicts[:-1]) + 1
        rows = np.unique(np.concatenate([rows, changes[:METRIC_POINTS]]))
    drawn = frame[rows]
    return {
        "metric": escaped(name),
        "symbol": escaped(symbol),
        "t": _ms(_stamps(drawn)),
        "value": _short(_floats(drawn, "value")),
        "threshold": _short(_floats(drawn, "threshold")),
        "compared": _compared(drawn),
        "verdict": [str(word) for word in verdicts[rows]],
        "window": int(frame.get_column("window").max() or 0),  # type: ignore[arg-type]
    }


def _compared(frame: pl.DataFrame) -> list[float | None]:
    """What was compared with the threshold; empty where it was the value itself all the time."""
    value, compared = _floats(frame, "value"), _floats(frame, "compared")
    same = np.isnan(compared) | (compared == value)
    return [] if same.all() else _short(compared)


def _monitoring(run: Run) -> list[dict[str, Any]]:
    table = run.table("monitoring")
    groups = table.group_by(["metric", "symbol"], maintain_order=True)
    return [
        _metric(str(metric), str(symbol or ""), part.sort("time"))
        for (metric, symbol), part in groups
    ]


def chart_data(run: Run) -> dict[str, Any]:
    """Everything the page's charts draw. Times are milliseconds, UTC."""
    bars = _bars(run)
    monitored = _monitoring(run)
    return {
        "currency": escaped(run.facts.currency),
        "curve": _curve(run, bars),
        "price": _price(run, bars),
        "calibration": _calibration(run),
        "importance": _importance(run),
        "psi": [item for item in monitored if item["metric"].startswith("psi")],
        "health": [item for item in monitored if not item["metric"].startswith("psi")],
        "first_decision": run.facts.first_decision_ns // 1_000_000,
        "halts": [
            {"t": halt.time_ns // 1_000_000, "rule": escaped(halt.rule)} for halt in run.halts
        ],
    }
