"""A trade: its chart around entry and exit, its fills, and what was decided and ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["TRADES", "last_trades", "trade_span", "trade_view"]

TRADES: Final = 30
_ROWS: Final = 60
_BEFORE_AND_AFTER: Final = 0.5
"""The chart shows the trade, and half as long on both sides, but at least so many of its bars."""
_MIN_BARS: Final = 30


def last_trades(run: Run) -> list[dict[str, Any]]:
    """Return the last trades, the latest first, each with its number."""
    if not run.has("trades"):
        return []
    table = run.table("trades").with_row_index("number").tail(TRADES)
    return [_texts(row) for row in _rows(table)][::-1]


def trade_span(run: Run, number: str) -> tuple[str, int, int]:
    """Return the symbol of a trade, and from when to when its chart goes.

    Raises
    ------
    InputError
        If the run has no such trade.
    """
    row = _row(run, number)
    start, end = _ns(row, "entry_time"), _ns(row, "exit_time")
    bars = run.table("bars", ["open_time", "symbol"])
    times = bars.filter(bars["symbol"] == row["symbol"][0]).get_column("open_time").to_physical()
    bar = int(times.diff().median() or 0) if len(times) > 1 else 0  # type: ignore[arg-type]
    held = max(end - start, 2 * _MIN_BARS * bar)
    pad = max(int(_BEFORE_AND_AFTER * held), _MIN_BARS * bar, 1)
    return str(row["symbol"][0]), start - pad, end + pad


def trade_view(run: Run, number: str) -> dict[str, Any]:
    """Return a trade, its fills, and the decisions and orders from its entry to its exit.

    Raises
    ------
    InputError
        If the run has no such trade.
    """
    import polars as pl

    row = _row(run, number)
    symbol, start, end = row["symbol"][0], _ns(row, "entry_time"), _ns(row, "exit_time")
    at = pl.col("time").dt.epoch("ns")

    def during(name: str, from_ns: int, keep: pl.Expr) -> list[dict[str, Any]]:
        if not run.has(name):
            return []
        frame = run.table(name).filter(pl.col("symbol") == symbol, at >= from_ns, at <= end, keep)
        return [_texts(each) for each in _rows(frame.head(_ROWS))]

    fills = during("fills", start, pl.lit(value=True))
    named = [each["order_id"] for each in fills]
    orders = during("orders", 0, pl.col("order_id").is_in(named))
    first = min((_ns_of(each["time"]) for each in orders), default=start)
    acted = (pl.col("granted") != 0.0) | (pl.col("signal").cast(pl.String) != "none")
    decisions = during("decisions", first, acted)
    for each in decisions:
        each["reference"] = f"{symbol}@{each['time']}"
    return {
        "trade": _texts(_rows(row)[0]), "fills": fills, "orders": orders, "decisions": decisions,
        "count": run.table("trades", ["symbol"]).height, "currency": run.facts.currency,
    }  # fmt: skip


def _row(run: Run, number: str) -> pl.DataFrame:
    table = run.table("trades") if run.has("trades") else None
    count = 0 if table is None else table.height
    place = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
    if table is None or not 0 <= place < count:
        raise InputError(
            f"the run has no trade {number[:20]!r}", hint=f"its {count} trades are counted from 0"
        )
    return table.with_row_index("number")[place]


def _ns(row: pl.DataFrame, name: str) -> int:
    return int(row.get_column(name).to_physical()[0])


def _ns_of(text: str) -> int:
    from septet._dashboard.charts import moment_of

    return moment_of(text.partition(".")[0].removesuffix("Z").removesuffix("+00:00")) or 0


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows with their times as UTC nanoseconds."""
    import polars as pl

    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(name).to_physical() for name in times).to_dicts()


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    from septet._data.stamps import iso

    return {
        name: iso(value) if name == "time" or name.endswith("_time") else value
        for name, value in row.items()
    }
