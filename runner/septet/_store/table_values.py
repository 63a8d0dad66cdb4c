"""Permitted numbers in the tables of a run; a run never writes others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from septet._data.parquet_bounds import columns_within_memory
from septet._results.result import COUNT, FLAG, NOT_CLOSED, NUMBER, TABLES, TIME

if TYPE_CHECKING:
    import polars as pl

__all__ = ["fits", "impossible_in", "impossible_value"]


class Kind(NamedTuple):
    """What the numbers of a column are: in words, above what, and where one may be NaN or null."""

    text: str
    least: float | None = None
    includes: bool = True
    unknown: str = "never"


FINITE: Final = Kind("finite")
POSITIVE: Final = Kind("above zero", 0.0, includes=False)
NOT_NEGATIVE: Final = Kind("zero or above", 0.0)
OR_UNKNOWN: Final = Kind("never infinite", unknown="always")
POSITIVE_OR_UNKNOWN: Final = Kind("above zero", 0.0, includes=False, unknown="always")
VOLUME: Final = Kind("zero or above", 0.0, unknown="always")
MARKED: Final = Kind("finite", unknown="open")
VALUES: Final[Mapping[str, Mapping[str, Kind]]] = {
    "equity": {"equity": FINITE, "drawdown": FINITE, "cash": OR_UNKNOWN},
    "fills": {
        "quantity": NOT_NEGATIVE, "price": POSITIVE, "fee": FINITE, "liquidation": FINITE,
    },
    "orders": {
        "quantity": NOT_NEGATIVE, "filled": NOT_NEGATIVE, "limit_price": OR_UNKNOWN,
        "trigger_price": OR_UNKNOWN, "decision_price": OR_UNKNOWN,
    },
    "trades": {
        "quantity": NOT_NEGATIVE, "entry_price": POSITIVE_OR_UNKNOWN, "exit_price": MARKED,
        "pnl": MARKED, "fees": FINITE, "funding": FINITE, "liquidation": FINITE,
        "slippage": OR_UNKNOWN, "mae": OR_UNKNOWN, "mfe": OR_UNKNOWN,
    },
    "round_trips": {
        "quantity": NOT_NEGATIVE, "entry_price": POSITIVE, "exit_price": POSITIVE, "pnl": FINITE,
        "fees": FINITE, "funding": FINITE, "liquidation": FINITE,
    },
    "bars": {
        "open": POSITIVE, "high": POSITIVE, "low": POSITIVE, "close": POSITIVE, "volume": VOLUME,
    },
}  # fmt: skip
"""What each column is whatever the run did.

- `exposure` is not here: it is over equity, which may be zero. Neither are features, which may be
  infinite, nor what a model or a monitor answered.
- `cash` is null where the curve was stored alone. What was open at the end is marked at the last
  price, which a live run may not know yet. An adopted position may have no entry price.
- A fill of nothing is possible where a venue reports less than one step of quantity.
"""
ORDERED: Final[Mapping[str, str]] = {"equity": "time", "trades": "exit_time"}
"""Tables whose rows follow each other in time, each by its column."""
UNIQUE: Final[Mapping[str, tuple[str, ...]]] = {
    "orders": ("order_id",),
    "fills": ("venue", "symbol", "trade_id"),
    "trades": ("symbol", "side", "entry_time", "exit_time"),
}
"""What no two rows of a table have in common."""
_KEPT: Final = 1024
_SHOWN: Final = 40
"""Characters of a cell that a message shows."""


def impossible_value(path: Path, name: str) -> str:
    """Return what no run writes into the table `name`, empty where nothing is found.

    A file is read once for as long as it is not written.

    Raises
    ------
    DataError
        Its columns would take too much memory.
    polars.exceptions.PolarsError, OSError
        It cannot be read.
    """
    if name not in VALUES:
        return ""
    state = path.lstat()
    signs = state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev
    return _impossible_value(path, name, signs)


@lru_cache(_KEPT)
def _impossible_value(path: Path, name: str, signs: tuple[int, ...]) -> str:
    import polars as pl

    frame = pl.scan_parquet(path, glob=False)
    read = [
        key
        for key in (*VALUES[name], ORDERED.get(name, "time"), *UNIQUE.get(name, ()))
        if key in frame.collect_schema()
    ]
    columns_within_memory(path, read)
    return impossible_in(name, frame)


def impossible_in(name: str, frame: pl.LazyFrame) -> str:
    """Return what no run writes among the rows of a table, empty where nothing is found."""
    import polars as pl

    schema, kinds = frame.collect_schema(), VALUES.get(name, {})
    kinds = {key: kind for key, kind in kinds.items() if key in schema and schema[key].is_numeric()}
    if not kinds:
        return ""
    wrong = {key: _wrong(key, kind, schema) for key, kind in kinds.items()}
    firsts = [pl.col(key).filter(each).first() for key, each in wrong.items()]
    counts = [each.sum().alias(f"{key} wrong") for key, each in wrong.items()]
    row = frame.select(*firsts, *counts).collect(engine="streaming").row(0, named=True)
    for key, kind in kinds.items():
        if row[f"{key} wrong"]:
            value = "nothing" if row[key] is None else row[key]
            return f"{name}.parquet holds {value} in {key}, which is {kind.text} in every run"
    return _repeated(name, frame, schema) or _disorder(name, frame, schema)


def _repeated(name: str, frame: pl.LazyFrame, schema: pl.Schema) -> str:
    """Return which row of a table stands in it again, empty where none does.

    A column that is missing or of another kind is reported elsewhere.
    """
    import polars as pl

    keys = UNIQUE.get(name, ())
    if not keys or not all(fits(schema.get(key, pl.Null()), TABLES[name][key]) for key in keys):
        return ""
    rows = frame.select(pl.col(key).cast(pl.String) for key in keys).collect()
    again = rows.is_duplicated().arg_true()
    if not len(again):
        return ""
    cells = ", ".join(str(each)[:_SHOWN] for each in rows.row(int(again[0])))
    names = ", ".join(keys)
    return f"{name}.parquet holds two rows of {names} {cells}, of which every run has one"


def _disorder(name: str, frame: pl.LazyFrame, schema: pl.Schema) -> str:
    """Return that rows are not in the order of their times, empty where they are."""
    import polars as pl

    key = ORDERED.get(name, "")
    if not key or not fits(schema.get(key, pl.Null()), TIME):
        return ""
    times = frame.select(pl.col(key).to_physical()).collect().get_column(key)
    if times.is_sorted():
        return ""
    return f"{name}.parquet has rows that are not in the order of {key}, as they are in every run"


def _wrong(key: str, kind: Kind, schema: pl.Schema) -> pl.Expr:
    """Whether the values of a column are not of their kind."""
    import polars as pl

    column = pl.col(key).cast(pl.Float64).fill_null(math.nan)
    allowed = column.is_finite()
    if kind.least is not None:
        allowed &= column >= kind.least if kind.includes else column > kind.least
    if kind.unknown == "always":
        allowed |= column.is_nan()
    elif kind.unknown == "open":
        still = pl.lit(value=True)  # a part of a table without the reasons
        if "exit_reason" in schema:
            still = pl.col("exit_reason").cast(pl.String).is_in(NOT_CLOSED).fill_null(value=False)
        allowed |= column.is_nan() & still
    return ~allowed


def fits(dtype: pl.DataType, kind: str) -> bool:
    """Whether a stored column is of the kind its table promises."""
    import polars as pl

    if dtype in (pl.Categorical, pl.Enum):
        return kind not in (TIME, NUMBER, COUNT, FLAG)
    if kind == TIME:
        return dtype == pl.Datetime("ns", "UTC")
    if kind in (NUMBER, COUNT):
        return dtype.is_numeric()
    return dtype == (pl.Boolean if kind == FLAG else pl.String)
