"""Errors of pandas frames that cannot become columns: the column, the row, and a hint."""

from __future__ import annotations

import numbers
from itertools import islice
from typing import Any, Final

from septet._data.cell_kinds import kind_of_cell
from septet._data.message_limits import shown_cell, shown_columns
from septet.errors import DataError

__all__ = ["MAKES_NUMBERS", "refuse_pandas", "unreadable_frame"]

_CELLS: Final = 100_000
"""Number of cells that are checked in search of one that does not fit."""
_BARS: Final = ("open", "high", "low", "close", "volume")
MAKES_NUMBERS: Final = "frame['{0}'] = pandas.to_numeric(frame['{0}'])"


def refuse_pandas(value: Any, name: str, time: str) -> None:
    """Reject a pandas frame whose index or columns have a meaning that Arrow loses.

    Raises
    ------
    DataError
        If its columns have several levels, or its index is not one of row numbers.
    """
    index = getattr(value, "index", None)
    names = getattr(index, "names", None)
    if not hasattr(value, "reset_index") or names is None:
        return
    levels = getattr(getattr(value, "columns", None), "nlevels", 1)
    if levels > 1:
        raise DataError(
            f"{name} has columns of {levels} levels, such as {str(value.columns[0])[:80]}",
            hint="keep the level with open, high, low, close: frame.columns = "
            "frame.columns.get_level_values(0), one symbol to a frame",
        )
    named = [each for each in names if each is not None]
    if named or type(index).__name__ != "RangeIndex":
        called = f" ({', '.join(map(str, named))})" if named else ""
        raise DataError(
            f"{name} has an index that is not the row number, such as its times{called}",
            hint=f"make it a column: frame.reset_index(names={time!r})",
        )


def unreadable_frame(value: Any, name: str, error: BaseException) -> DataError:
    """Return the error for a frame that cannot become columns, with the cell that prevents it.

    Parameters
    ----------
    value
        The frame; in a pandas frame, the columns of objects are searched.
    name
        Its name in messages.
    error
        The exception that was raised.
    """
    found = _odd_cell(value)
    if found is not None:
        column, row, what = found
        return DataError(
            f"{name}: column {column!r} holds objects, {what} in row {row}, expected numbers",
            hint=f"{MAKES_NUMBERS.format(column)}, with errors='coerce' to make what is no number "
            "a missing value",
        )
    if isinstance(error, ImportError):
        return _without_pyarrow(value, name)
    first = (str(error).splitlines() or ["for no reason given"])[0]
    return DataError(
        f"{name} cannot be read as Arrow columns: {first[:200]}",
        hint="are its columns times and numbers, each name once?",
    )


def _objects(value: Any) -> list[str]:
    """Return the columns of a pandas frame that hold objects or text."""
    kinds = getattr(value, "dtypes", None)
    if kinds is None or not hasattr(value, "reset_index"):
        return []
    return [str(each) for each in value.columns if str(kinds[each]) in ("object", "str", "string")]


def _odd_cell(value: Any) -> tuple[str, int, str] | None:
    """Return a column of numbers held as objects, the row of another cell, and that cell."""
    for column in _objects(value):
        if str(value.dtypes[column]) != "object":
            continue
        has_number, odd = False, None
        for row, cell in enumerate(islice(value[column], _CELLS)):
            if cell is None or isinstance(cell, float):
                has_number |= isinstance(cell, float) and cell == cell
            elif isinstance(cell, numbers.Real) or hasattr(cell, "dtype"):
                has_number = True
            elif odd is None and isinstance(cell, str):
                odd = row, shown_cell(cell)
            elif odd is None and isinstance(cell, numbers.Number):
                return column, row, f"such as {type(cell).__name__} {shown_cell(cell)}"
        if odd is not None and has_number:
            return column, odd[0], f"numbers and text such as {odd[1]}"
    return None


def _without_pyarrow(value: Any, name: str) -> DataError:
    """Return the error that some columns need pyarrow, and which of them hold prices or times."""
    texts = _objects(value)
    what = f"{name} is a {type(value).__module__.partition('.')[0]} frame"
    prices = [each for each in texts if each.strip().lower() in _BARS]
    if prices:
        column = prices[0]
        cell = next((each for each in islice(value[column], _CELLS) if each), "")
        kind = kind_of_cell(str(cell))
        first = f"take {kind} out with frame[{column!r}].str.replace(...), then " if kind else ""
        return DataError(
            f"{what} whose column {column!r} holds text, such as {shown_cell(cell)}, expected "
            "numbers",
            hint=f"{first}{MAKES_NUMBERS.format(column)}",
        )
    kinds = getattr(value, "dtypes", {})
    others = [each for each in getattr(value, "columns", ()) if not _is_plain(kinds[each])]
    zoned = [str(each) for each in others if str(kinds[each]).startswith("datetime64[")]
    hint = "pip install pyarrow, or make a polars frame of its columns"
    if zoned and len(zoned) == len(others):
        hint = (
            f"pip install pyarrow, or take the zone off, frame[{zoned[0]!r}].dt.tz_convert('UTC')"
            ".dt.tz_localize(None), and state zone='UTC'"
        )
    which = shown_columns([str(each) for each in others])
    columns = f" and its columns {which}" if which else ""
    return DataError(
        f"{what}{columns} can be read with pyarrow only, which is not installed", hint=hint
    )


def _is_plain(kind: Any) -> bool:
    """Return whether a column is a numpy array without objects, which does not need pyarrow."""
    return type(kind).__module__.partition(".")[0] == "numpy" and str(kind) != "object"
