"""Data of the charts, thinned to the resolution of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._report.over_time import exposure, rolling
from septet._report.thinning import floats, milliseconds, short, stamps, thin_rows
from septet._report.weights import weights
from septet._results import statistics as st
from septet_schemas.position import LEVEL_COLUMNS

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["chart_data", "curve_data", "price_data"]

# What the page carries: rows of the equity curve, bars of all symbols together, markers of a
# symbol, points of one metric.
CURVE_ROWS: Final = 2_400
PRICE_BARS: Final = 40_000
MARKERS: Final = 1_500
METRIC_POINTS: Final = 400
FEATURES: Final = 20


def _bars(run: Run) -> dict[str, pl.DataFrame]:
    frame = run.table("bars")
    return {symbol: part for (symbol,), part in frame.group_by("symbol", maintain_order=True)}


def _curve(run: Run, bars: dict[str, pl.DataFrame]) -> dict[str, Any]:
    facts, table = run.facts, run.table("equity")
    rows = thin_rows(np.nan_to_num(floats(table, "equity")), CURVE_ROWS)
    drawn = table[rows]
    time_ns = stamps(drawn)
    closes = {
        symbol: (stamps(part), floats(part, "close"))
        for symbol, part in bars.items()
        if facts.benchmark in ("", symbol)
    }
    hold = st.hold_growth(time_ns, closes, facts.first_decision_ns) * facts.initial_capital
    return {
        "t": milliseconds(time_ns),
        "equity": short(floats(drawn, "equity")),
        "hold": short(hold) if closes else [],
        "drawdown": short(-floats(drawn, "drawdown")),
        "exposure": exposure(run, bars),
        "rows": table.height,
    }


def _join(frame: pl.DataFrame, limit: int) -> tuple[dict[str, Any], int]:
    """Join neighbouring display bars once more, to the share of the page this symbol has."""
    step = max(1, -(-frame.height // limit))
    starts = np.arange(0, frame.height, step)
    last = np.append(starts[1:], frame.height) - 1
    columns = {
        "t": milliseconds(stamps(frame, "open_time")[starts]),
        "o": short(floats(frame, "open")[starts]),
        "h": short(np.maximum.reduceat(floats(frame, "high"), starts)),
        "l": short(np.minimum.reduceat(floats(frame, "low"), starts)),
        "c": short(floats(frame, "close")[last]),
    }
    return columns, step


def _evenly(frame: pl.DataFrame) -> pl.DataFrame:
    """Return at most `MARKERS` rows, equally spaced, the first and the last included."""
    rows = np.unique(np.linspace(0, frame.height - 1, MARKERS).astype(np.int64))
    return frame if frame.height <= MARKERS else frame[rows]


def _steps(run: Run, symbol: str, trades: pl.DataFrame) -> dict[str, Any]:
    """Return the fills between entry and exit of the trades drawn: adds, takes, resizes, buys.

    `row` is the trade of each, `up` whether it increases the position.
    """
    import polars as pl

    stored = {name for name in ("fills", "orders") if run.has(name)}
    if len(stored) < 2 or not trades.height:
        return {"row": [], "t": [], "price": [], "up": [], "reason": []}
    fills = run.table("fills").filter(pl.col("symbol").cast(pl.String) == symbol)
    reasons = run.table("orders", ["order_id", "reason"]).unique("order_id", keep="first")
    known = fills.with_columns(pl.col("order_id").cast(pl.String)).join(
        reasons.select(pl.all().cast(pl.String)), on="order_id", how="left", maintain_order="left"
    )
    row = np.searchsorted(stamps(trades, "entry_time"), stamps(known), side="left") - 1
    known = known.with_columns(row=pl.Series(row)).filter(pl.col("row") >= 0)
    row = known.get_column("row").to_numpy()
    side = trades.get_column("side").cast(pl.String).to_numpy()[row]
    is_buy = (known.get_column("side").cast(pl.String) == "buy").to_numpy()
    up, left_ns = is_buy == (side == "long"), stamps(trades, "exit_time")[row] - stamps(known)
    # Inside the last bar an increase has the time of the exit.
    drawn = _evenly(
        known.with_columns(up=pl.Series(up)).filter(
            pl.Series((left_ns > 0) | (up & (left_ns == 0)))
        )
    )
    return {
        "row": drawn.get_column("row").to_list(),
        "t": milliseconds(stamps(drawn)),
        "price": short(floats(drawn, "price")),
        "up": drawn.get_column("up").to_list(),
        "reason": drawn.get_column("reason").fill_null("").to_list(),
    }


def _markers(run: Run, symbol: str, trades: pl.DataFrame) -> dict[str, Any]:
    drawn = _evenly(trades.sort("entry_time", maintain_order=True))
    return {
        "side": drawn.get_column("side").to_list(),
        "entry_t": milliseconds(stamps(drawn, "entry_time")),
        "entry": short(floats(drawn, "entry_price")),
        "exit_t": milliseconds(stamps(drawn, "exit_time")),
        "exit": short(floats(drawn, "exit_price")),
        "pnl": short(floats(drawn, "pnl")),
        "reason": drawn.get_column("exit_reason").to_list(),
        "steps": _steps(run, symbol, drawn),
        "all": trades.height,
    }


def _level_rows(run: Run) -> dict[str, pl.DataFrame]:
    """Return the levels of the positions by symbol: time, and each column that the run has."""
    stored = run.scan("decisions").collect_schema().names() if run.has("decisions") else ()
    names = [each for each in LEVEL_COLUMNS if each in stored]
    if not names:
        return {}
    frame = run.table("decisions", ["time", "symbol", *names])
    return {symbol: part for (symbol,), part in frame.group_by("symbol", maintain_order=True)}


def _levels(rows: pl.DataFrame | None, opens_ms: list[int]) -> dict[str, list[float | None]]:
    """Return the levels when each bar opened, as they were decided before; by column."""
    if rows is None or not opens_ms:
        return {}
    at = np.searchsorted(stamps(rows, "time") // 1_000_000, opens_ms, side="right") - 1
    by_column = {}
    for name in rows.columns[2:]:
        values = np.where(at >= 0, floats(rows, name)[np.maximum(at, 0)], np.nan)
        if np.isfinite(values).any():
            by_column[name] = short(values)
    return by_column


def _price(run: Run, bars: dict[str, pl.DataFrame], share: int) -> list[dict[str, Any]]:
    import polars as pl

    trades = run.table("trades")
    joined = run.manifest.get("display", {}).get("bars_joined", {})
    levels = _level_rows(run)
    priced = []
    for symbol, frame in bars.items():
        columns, step = _join(frame, share)
        own = trades.filter(pl.col("symbol") == symbol)
        priced.append(
            {
                "symbol": symbol,
                "unit": symbol.partition("/")[2] or run.facts.currency,
                "joined": step * int(joined.get(symbol, 1)),
                **columns,
                "levels": _levels(levels.get(symbol), columns["t"]),
                "trades": _markers(run, symbol, own),
            }
        )
    return priced


def _calibration(run: Run) -> list[list[float]]:
    table = run.table("predictions")
    rows = st.calibration(floats(table, "probability_up"), floats(table, "label"))
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
        "features": [names[k] for k in order],
        "mean": short(table.mean(axis=0)[order]),
        "low": short(table.min(axis=0)[order]),
        "high": short(table.max(axis=0)[order]),
        "models": len(shares),
        "all": len(names),
    }


def _metric(name: str, symbol: str, frame: pl.DataFrame) -> dict[str, Any]:
    """One metric of one symbol over time; rows with a verdict that is not ok are all kept."""
    value = floats(frame, "value")
    verdicts = np.array(frame.get_column("verdict").fill_null("").to_list(), dtype=object)
    rows = thin_rows(np.nan_to_num(value), METRIC_POINTS)
    if len(rows) < frame.height:
        changes = np.flatnonzero(verdicts[1:] != verdicts[:-1]) + 1
        rows = np.unique(np.concatenate([rows, changes[:METRIC_POINTS]]))
    drawn = frame[rows]
    return {
        "metric": name,
        "symbol": symbol,
        "t": milliseconds(stamps(drawn)),
        "value": short(floats(drawn, "value")),
        "threshold": short(floats(drawn, "threshold")),
        "compared": _compared(drawn),
        "verdict": [str(word) for word in verdicts[rows]],
        "window": int(frame.get_column("window").max() or 0),  # type: ignore[arg-type]
    }


def _compared(frame: pl.DataFrame) -> list[float | None]:
    """Return what was compared with the threshold; empty where that was always the value."""
    value, compared = floats(frame, "value"), floats(frame, "compared")
    is_value = np.isnan(compared) | (compared == value)
    return [] if is_value.all() else short(compared)


def _monitoring(run: Run) -> list[dict[str, Any]]:
    table = run.table("monitoring")
    groups = table.group_by(["metric", "symbol"], maintain_order=True)
    return [
        _metric(str(metric), str(symbol or ""), part.sort("time"))
        for (metric, symbol), part in groups
    ]


def _common(run: Run) -> dict[str, Any]:
    return {
        "currency": run.facts.currency,
        "first_decision": run.facts.first_decision_ns // 1_000_000,
        "halts": [{"t": halt.time_ns // 1_000_000, "rule": halt.rule} for halt in run.halts],
    }


def curve_data(run: Run) -> dict[str, Any]:
    """Return what the chart of equity, drawdown and exposure draws, as `chart_data` does."""
    return {**_common(run), "curve": _curve(run, _bars(run))}


def price_data(
    run: Run, symbol: str, *, most: int, start_ns: int | None = None, end_ns: int | None = None
) -> dict[str, Any]:
    """Return what the price chart of one symbol draws, with at most `most` bars.

    Only the bars that open from `start_ns` on and before `end_ns` are taken, so that a narrow span
    is drawn in more detail than a wide one. `price` is empty where there are none.
    """
    import polars as pl

    time_ns = pl.col("open_time").dt.epoch("ns")
    chosen = pl.col("symbol").cast(pl.String) == symbol
    if start_ns is not None:
        chosen &= time_ns >= start_ns
    if end_ns is not None:
        chosen &= time_ns < end_ns
    bars = run.table("bars").filter(chosen)
    return {**_common(run), "price": _price(run, {symbol: bars} if bars.height else {}, most)}


def chart_data(run: Run) -> dict[str, Any]:
    """Everything the page's charts draw. Times are milliseconds, UTC."""
    bars = _bars(run)
    monitored = _monitoring(run)
    return {
        **_common(run),
        "curve": _curve(run, bars),
        "rolling": rolling(run, bars),
        "weights": weights(run, bars),
        "price": _price(run, bars, max(150, PRICE_BARS // max(len(bars), 1))),
        "calibration": _calibration(run),
        "importance": _importance(run),
        "psi": [item for item in monitored if item["metric"].startswith("psi")],
        "health": [item for item in monitored if not item["metric"].startswith("psi")],
    }
