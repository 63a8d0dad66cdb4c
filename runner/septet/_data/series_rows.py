"""Counts of bad rows of an outside series: when it is rejected, what the verdict reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from septet._data.bad_rows import (
    SERIES_MISSING,
    SERIES_SHARE,
    SERIES_SOURCES,
    STRATEGY_FILE,
    BadRows,
    limit_text,
    share_finding,
)
from septet._data.bar_checks import numbers_of
from septet._data.bars import Finding, Floats
from septet._data.cell_kinds import kind_of_cell
from septet._data.defects import Findings
from septet._data.message_limits import shown_cell
from septet._data.mixed_rows import separating_column
from septet._data.source import RawSeries
from septet._data.source_columns import SOURCE_WORDS, are_symbols, source_columns
from septet._data.stamp_formats import TIMES_HINT, placed_cell
from septet._data.stamps import Bools
from septet._data.symbol_columns import names_symbol
from septet.errors import DataError
from septet_schemas.data import SeriesConfig

if TYPE_CHECKING:
    import polars as pl

__all__ = ["check_series_rows", "check_columns", "missing_values", "value_distance",
           "warn_missing"]  # fmt: skip

_CELLS: Final = 1_000
_MARKS: Final = ("", ".", "-", "--", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing")
_MAX_MISSING: Final = 0.1


def missing_values(column: pl.Series) -> Bools:
    """Return a mask of the values that a file declares missing: empty, NaN, or a mark like ``.``.

    They are not defects: on a holiday there is no value. A cell that is neither a number nor such a
    mark is a defect.
    """
    import polars as pl

    missing = column.is_null()
    if column.dtype in (pl.String, pl.Categorical):
        text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
        missing = missing | text.is_in(_MARKS).fill_null(value=False)
    elif column.dtype.is_float():
        missing = missing | column.is_nan().fill_null(value=False)
    return np.asarray(missing.to_numpy(), np.bool_)


def warn_missing(findings: Findings, name: str, missing: Bools) -> None:
    """Report if more than a tenth of the values of a series are missing."""
    count = int(np.count_nonzero(missing))
    if count <= _MAX_MISSING * len(missing) or not count:
        return
    text = f"{count:,} of {len(missing):,} values of {name} are missing"
    findings.warn(SERIES_MISSING, count, (), text)


def check_columns(findings: Findings, name: str, raw: RawSeries) -> None:
    """Reject rows of several symbols, by the columns that are not read; warn of several sources.

    Raises
    ------
    DataError
        If a column named like a symbol holds several values, or any column alternates symbols.
    """
    for column in () if raw.others is None else source_columns(raw.others):
        texts = column.text()
        by_source = column.name.strip().lower() in SOURCE_WORDS
        if names_symbol(column.name) or (column.takes_turns and are_symbols(column.values)):
            raise DataError(
                f"{name} from {raw.facts.origin}: {texts}: these are rows of several symbols, and "
                "a series has one value at a time",
                hint="a file for each symbol, with {symbol} in path, or keep one symbol",
            )
        text = f"{texts}: the rows of all of them are read as the one series {name}"
        if not by_source and not column.takes_turns:
            text += f", which changes {column.changes:,} times from one to the next"
        findings.warn(SERIES_SOURCES, len(column.values), (), text)


def value_distance(value: Floats, first: Floats) -> str:
    """Describe how far different values of the same time are apart; empty without such values."""
    if not len(value):
        return ""
    middle = int(np.argsort(np.abs(value - first), kind="stable")[len(value) // 2])
    return f", such as {first[middle]:.6g} and {value[middle]:.6g}"


def _value_kind(raw: RawSeries) -> str:
    """Describe the first cell that looks numeric but cannot be read, and why.

    Empty if none does.
    """
    column = raw.frame["value"]
    odd = np.flatnonzero(~np.isfinite(numbers_of(column)) & ~missing_values(column))
    for row in odd[:_CELLS].tolist():
        text = str(column[row]).strip()
        if kind := kind_of_cell(text):
            shown = placed_cell(raw.facts.rows, row, shown_cell(text))
            return f"{shown} has {kind}: write numbers plainly, as 1234.56; "
    return ""


def check_series_rows(seen: BadRows, keys: SeriesConfig, raw: RawSeries) -> tuple[Finding, ...]:
    """Reject a series with more bad rows than `max_bad`; return the verdict's line for fewer.

    Raises
    ------
    DataError
        With the most frequent defects, their first examples and a hint.
    """
    if seen.left and seen.share <= keys.max_bad:
        return share_finding(seen, SERIES_SHARE)
    where = f"{seen.symbol} from {seen.facts.origin}"
    worst, limit = seen.worst, limit_text(keys.max_bad)
    if worst and worst[0].kind == "conflict":
        apart = "" if raw.others is None else separating_column(raw.others)
        kept = f"{apart}: keep the rows of one value" if apart else "keep the rows of one of them"
        raise DataError(
            f"{where}: {worst[0].count:,} of {seen.rows:,} rows contradict another row of the same "
            f"time{seen.conflict}: this looks like several symbols or sources in one series; "
            f"first: {'; '.join(worst[0].examples)}",
            hint=f"{kept}, or bring a file for each symbol, with {{symbol}} in path; of revisions "
            f"name the column that states when each was published: known: ...; {limit}",
        )
    listed = "; ".join(
        f"{each.kind} {each.count:,} ({each.examples[0] if each.examples else each.message})"
        for each in worst[:3]
    )
    if not seen.left and not worst:
        listed = f"none of {seen.rows} values can be used"
    advice = {
        "bad_stamp": TIMES_HINT,
        "local_time": "is time_zone the zone that the stamps are of?",
        "not_finite": f"{_value_kind(raw)}is this the column of values? a value that is missing is "
        "an empty cell, NaN, NA or a point",
    }.get(
        worst[0].kind if worst else "",
        f"septet data check {STRATEGY_FILE} shows the rows",
    )
    whole = max(0, seen.rows - seen.defects) if seen.left else 0
    raise DataError(
        f"{where}: too much of the data is bad, {whole:,} of {seen.rows:,} values can be used"
        f"{': ' if listed else ''}{listed}",
        hint=f"{advice}; {limit}",
    )
