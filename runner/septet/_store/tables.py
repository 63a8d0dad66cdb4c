"""Converts arrays to the frames of a run's folder, and thins bars for display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from septet._results.excursions import COLUMNS, Excursions
from septet._results.result import COUNT, FLAG, NUMBER, TABLES, TEXT, TIME
from septet._results.round_trips import round_trips

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from septet._data.bars import BarTable, Ints
    from septet._results.result import RunResult, Table

__all__ = [
    "DISPLAY_BARS",
    "as_frame",
    "coded",
    "empty",
    "feature_names",
    "frames_of",
    "join_bars",
    "order_times",
    "stored_frames",
    "thin_bars",
    "with_optional",
]

DISPLAY_BARS: Final = 20_000
# What a fast run may not bring, or an earlier one did not: such a column has no values.
_OPTIONAL: Final = {
    "fills": ("fee_quote",),
    "equity": ("cash", "exposure"),
    "monitoring": ("compared",),
    "trades": COLUMNS,
}


def _dtype(kind: str) -> pl.DataType:
    import polars as pl

    types: dict[str, pl.DataType] = {
        TIME: pl.Datetime("ns", "UTC"),
        NUMBER: pl.Float64(),
        TEXT: pl.String(),
        COUNT: pl.Int64(),
        FLAG: pl.Boolean(),
    }
    return types[kind]


def empty(table: str) -> pl.DataFrame:
    """Return the table without rows."""
    import polars as pl

    return pl.DataFrame(schema={name: _dtype(kind) for name, kind in TABLES[table].items()})


def feature_names(columns: list[str]) -> list[str]:
    """Columns of `decisions` that are features, in order."""
    return [name for name in columns if name not in TABLES["decisions"]]


def coded(codes: npt.NDArray[Any], names: Sequence[str]) -> pl.Series:
    """Text of a column of integer codes, `names[code]`, without a string for each row."""
    import polars as pl

    kind = pl.Enum(list(dict.fromkeys(names)))
    return pl.Series(list(names), dtype=kind)[codes]  # `gather` plans a query


def _cast(frame: pl.DataFrame, name: str, kind: str) -> pl.Series:
    """Bring one column to its type; dictionary-encoded text stays as it is (it is text)."""
    import polars as pl

    column = frame.get_column(name)
    if kind == TEXT and column.dtype in (pl.Categorical, pl.Enum):
        return column
    if kind == TIME and column.dtype.is_integer():
        return column.cast(pl.Int64).cast(_dtype(TIME))
    return column.cast(_dtype(kind))


def as_frame(table: str, value: Table | None) -> pl.DataFrame:
    """Bring a table to its columns and types, in order; None is the table without rows.

    Raises
    ------
    ValueError
        If a column is missing that is not optional, or one is unknown.
    """
    import polars as pl

    if value is None:
        return empty(table)
    frame = value if isinstance(value, pl.DataFrame) else pl.DataFrame(dict(value))
    columns = TABLES[table]
    absent = {  # series, not `with_columns`, which plans a query
        name: pl.Series(name, [None] * frame.height, _dtype(columns[name]))
        for name in _OPTIONAL.get(table, ())
        if name not in frame.columns
    }
    missing = [name for name in columns if name not in frame.columns and name not in absent]
    if missing:
        raise ValueError(f"table {table} lacks the columns {missing}, found {frame.columns}")
    extra = [name for name in frame.columns if name not in columns]
    if extra and table != "decisions":
        raise ValueError(f"table {table} has unknown columns {extra}")
    order = list(columns)
    if extra:
        order[2:2] = extra
    return pl.DataFrame(
        [
            absent[name] if name in absent else _cast(frame, name, columns.get(name, NUMBER))
            for name in order
        ]
    )


def with_optional(table: str, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Add the optional columns that a stored table lacks, as nulls: earlier runs have none."""
    import polars as pl

    names = frame.collect_schema().names()
    kinds = TABLES[table]
    absent = [name for name in _OPTIONAL.get(table, ()) if name not in names]
    return frame.with_columns(pl.lit(None, _dtype(kinds[name])).alias(name) for name in absent)


def frames_of(result: RunResult) -> dict[str, pl.DataFrame]:
    """Return every table of a result but its bars, in the columns and types they are stored in.

    Tables that were left out are not among them.
    """
    names = ("decisions", "orders", "fills", "trades", "equity", "monitoring")
    names_stored = [name for name in names if name not in result.left_out]
    frames = {name: as_frame(name, getattr(result, name)) for name in names_stored}
    if result.predictions is not None:
        frames["predictions"] = as_frame("predictions", result.predictions)
    return frames


def stored_frames(result: RunResult) -> dict[str, pl.DataFrame]:
    """Give the tables that are stored: those of `frames_of`, and what follows from them.

    Trades have their excursions, where the result does not bring them, and `round_trips` are made
    of the fills.
    """
    frames = frames_of(result)
    trades = frames["trades"]
    if trades.height and trades.get_column("bars_held").null_count() == trades.height:
        with_excursions = Excursions().take(trades.drop(COLUMNS), result.bars)
        frames["trades"] = trades = with_excursions.select(trades.columns)
    frames["round_trips"] = round_trips(frames["fills"], trades, result.facts.currency)
    return frames


def _edges(count: int, split: int, limit: int) -> npt.NDArray[np.int64]:
    """Starts of at most `limit` groups of equal length, one of which starts at `split`."""
    import numpy as np

    step = -(-count // max(limit - 2, 1))
    before = np.arange(split, 0, -step, dtype=np.int64)[::-1]
    after = np.arange(split, count, step, dtype=np.int64)
    return np.unique(np.concatenate([np.zeros(1, np.int64), before, after]))


def join_bars(bars: BarTable, starts: npt.NDArray[np.int64]) -> BarTable:
    """Join the bars from each start up to the next into one."""
    import numpy as np

    if not len(starts):
        return bars
    last = np.append(starts[1:], len(bars)) - 1
    return replace(
        bars,
        open_ns=bars.open_ns[starts], known_ns=bars.known_ns[last], open=bars.open[starts],
        high=np.maximum.reduceat(bars.high, starts), low=np.minimum.reduceat(bars.low, starts),
        close=bars.close[last], volume=np.add.reduceat(bars.volume, starts),
        session=bars.session[last], filled=None,
    )  # fmt: skip


def order_times(orders: Table | None, limit: int = DISPLAY_BARS) -> dict[str, Ints]:
    """Return when the newest orders of each symbol were decided, at most `limit` of each."""
    import polars as pl

    frame = as_frame("orders", orders).select(pl.col("symbol").cast(pl.String), "time")
    return {
        str(symbol): rows.get_column("time").to_physical().unique().sort().tail(limit).to_numpy()
        for (symbol,), rows in frame.group_by(["symbol"])
    }


def _alone(bars: BarTable, times_ns: Ints) -> Ints:
    """Starts that keep the last bar known at each time in a group of its own."""
    import numpy as np

    at = np.unique(np.searchsorted(bars.known_ns, times_ns, side="right") - 1)
    at = at[at >= 0]
    starts = np.concatenate((at, at + 1))
    return np.asarray(starts[starts < len(bars)], np.int64)


def _thin_one(
    bars: BarTable, split_ns: int, limit: int, alone_ns: Ints | None
) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    count = len(bars)
    if count <= limit:
        joined = bars
    else:
        split = min(int(np.searchsorted(bars.known_ns, split_ns, side="right")), count - 1)
        starts = _edges(count, split, limit)
        if alone_ns is not None:
            starts = np.unique(np.concatenate((starts, _alone(bars, alone_ns))))
        joined = join_bars(bars, starts)
    names = ("open", "high", "low", "close", "volume")
    columns = {name: getattr(joined, name) for name in names}
    return {"time": joined.known_ns, "open_time": joined.open_ns, **columns}


def thin_bars(
    tables: Mapping[str, BarTable],
    *,
    split_ns: int,
    limit: int = DISPLAY_BARS,
    alone_ns: Mapping[str, Ints] | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Join neighbouring bars until no symbol has more than `limit`; for display, not for sums.

    One group starts right after `split_ns` (the first decision), so that the close known then
    and the last close stay exact. The last bars known at the times `alone_ns` of a symbol (those
    of its orders) are joined with no other, and come on top: `septet why` shows them.

    Returns
    -------
    The frame of ``bars.parquet`` and, by symbol, how many bars the widest group joins.
    """
    import polars as pl

    frames, joined = [], {}
    for symbol, bars in tables.items():
        columns = _thin_one(bars, split_ns, limit, (alone_ns or {}).get(symbol))
        rows = len(columns["time"])
        joined[symbol] = 1 if rows == len(bars) else -(-len(bars) // max(limit - 2, 1))
        frame = pl.DataFrame(columns).with_columns(pl.lit(symbol).alias("symbol"))
        frames.append(as_frame("bars", frame))
    return (pl.concat(frames) if frames else empty("bars")), joined
