"""Classification of non-numeric price cells: empty, currency sign, separator, unit, word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from septet._data.bar_checks import PRICES, numbers_of
from septet._data.message_limits import shown_cell
from septet._data.source_rows import SourceRows
from septet._data.stamp_formats import placed_cell
from septet._data.stamps import Bools
from septet_schemas.late_patterns import late_pattern

if TYPE_CHECKING:
    import polars as pl

__all__ = ["kind_of_cell", "price_cell_advice"]

_POINT_GROUPS: Final = late_pattern(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_DIGITS: Final = r"[-+]?\d[\d.,' \u00a0\u202f\u2019]*"
_KINDS: Final = (
    ("a decimal comma", late_pattern(r"[-+]?\d+,(?:\d{1,2}|\d{4,})|[-+]?0,\d+")),
    (
        "separators of thousands",
        late_pattern(r"[-+]?\d{1,3}(?:([,.' \u00a0\u202f\u2019])\d{3})+(?:[.,]\d+)?"),
    ),
    ("a currency sign", late_pattern(rf"[-+]?\s*[$€£¥₩₹₿¢]\s*{_DIGITS}|{_DIGITS}\s*[$€£¥₩₹₿¢]")),
    ("a per cent sign", late_pattern(rf"{_DIGITS}\s*%")),
    (
        "letters of a currency or a unit",
        late_pattern(rf"[A-Z]{{1,5}}\s*{_DIGITS}|{_DIGITS}\s*[A-Za-z]{{1,5}}"),
    ),
    ("brackets of a negative number", late_pattern(rf"\({_DIGITS}\)")),
)  # fmt: skip
_CLOCK: Final = late_pattern(r"\d{1,2}:\d{2}(?::\d{2})?")
_MARKS: Final = ("", "null", "none", "nan", "na", "n/a", "#n/a", "nil", "-", "--", ".")
"""Marks that other programs write for a missing value."""
_SAMPLE: Final = 1_000
_MAX_SHARE: Final = 0.2
"""Above this share of bad rows no higher limit is proposed."""


def kind_of_cell(text: str) -> str:
    """Return what makes a numeric cell text, such as a unit; empty if it does not look numeric."""
    return next((kind for kind, form in _KINDS if form.fullmatch(text.strip())), "")


def price_cell_advice(frame: pl.DataFrame, rows: SourceRows | None) -> str:
    """Describe the price cells that are not numbers, with an example and a remedy.

    Parameters
    ----------
    frame
        Raw rows with the columns of prices.
    rows
        Places of the rows in their source.
    """
    texts, empty = [], np.ones(frame.height, dtype=np.bool_)
    for name in PRICES:
        bad = ~np.isfinite(numbers_of(frame[name]))
        filled = _filled(frame[name])
        empty &= ~filled
        texts += [
            (row, name, str(frame[name][row]).strip())
            for row in np.flatnonzero(bad & filled)[:_SAMPLE].tolist()
        ]
    if not texts:
        return _of_empty(frame, empty)
    for row, name, text in texts:
        kind = kind_of_cell(text)
        if kind:
            shown = placed_cell(rows, row, f"{shown_cell(text)} in column {name}")
            return f"{shown} has {kind}: {_cure(kind, text, rows)}"
    if _CLOCK.fullmatch(texts[0][2]):
        shown = placed_cell(rows, texts[0][0], f"{shown_cell(texts[0][2])} in column {texts[0][1]}")
        return (
            f"{shown} is a time of day: if dates and times stand in two columns of a file without "
            "a header, write header: 'no', names: [date, time, open, high, low, close, volume] and "
            "time_columns: [date, time] beside use:"
        )
    row, name, text = min(texts, key=lambda each: each[0])
    shown = placed_cell(rows, row, f"{shown_cell(text)} in column {name}")
    return f"{shown} is no number: is this a column of prices? leave a cell empty that has none"


def _filled(column: pl.Series) -> Bools:
    """Return a mask of the cells that hold more than a mark of a missing value."""
    import polars as pl

    if column.dtype in (pl.String, pl.Categorical):
        text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
        return np.asarray((text.is_not_null() & ~text.is_in(_MARKS)).to_numpy(), np.bool_)
    known = column.is_not_null()
    if column.dtype.is_float():
        known &= column.is_not_nan().fill_null(value=False)
    return np.asarray(known.to_numpy(), np.bool_)


def _of_empty(frame: pl.DataFrame, empty: Bools) -> str:
    """Describe rows without prices: rows whose price cells are empty."""
    bad = np.zeros(frame.height, dtype=np.bool_)
    for name in PRICES:
        bad |= ~_filled(frame[name])
    count = int(np.count_nonzero(bad))
    lack = "without any price" if count == int(np.count_nonzero(empty)) else "without a price"
    share = count / max(1, frame.height)
    ways = "take these rows out of the source"
    if share <= _MAX_SHARE:
        ways += f", or let them be left out, each a gap: max_bad: {math.ceil(100 * share)}%"
    return (
        f"{count:,} of {frame.height:,} rows are {lack}, their cells are empty or hold a mark such "
        f"as null: {ways}"
    )


def _cure(kind: str, text: str, rows: SourceRows | None) -> str:
    """Return the remedy for cells of one kind, in a text file or in a frame."""
    in_text = rows is None or rows.place(0).startswith("line")
    if kind == "a decimal comma" and in_text:
        return "write decimal: ',' beside use:"
    if rows is not None and rows.place(0).startswith("row"):
        return (
            "make it a number first, in pandas frame[column].str.replace(...) and "
            "pandas.to_numeric, in polars str.replace_all and cast(polars.Float64)"
        )
    if kind == "separators of thousands" and _POINT_GROUPS.fullmatch(text.strip()):
        return "take the points out and write decimal: ',' beside use: (1234,56), or write 1234.56"
    return "write the numbers plainly, as 1234.56"
