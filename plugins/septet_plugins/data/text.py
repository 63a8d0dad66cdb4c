"""Parser of text tables: delimiter, header and decimal mark are guessed, guesses are reported."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydantic import Field, field_validator

from septet.errors import DataError
from septet.plugin import Config
from septet.plugin.data import reader_words
from septet_plugins.data.text_bytes import read_utf8
from septet_plugins.data.text_lines import NUMBER, cells_of, head_rows, uneven_line
from septet_plugins.data.times import check_time_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import polars as pl

__all__ = ["TextFormat", "TextTable", "read_text"]

_DELIMITERS: Final = (",", ";", "\t", "|", " ")
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_THOUSANDS: Final = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_IN_A_LINE: Final = re.compile(rf"(?<![\d.:]){_THOUSANDS.pattern}")
_WRITTEN_NUMBER: Final = re.compile(r"[-+]?\d[\d.,' \u00a0\u202f\u2019]*")
_SEPARATED: Final = {
    "comma": _THOUSANDS,
    "point": re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?"),
    "space": re.compile(r"[-+]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?"),
    "apostrophe": re.compile(r"[-+]?\d{1,3}(?:['\u2019]\d{3})+(?:[.,]\d+)?"),
}
"""Thousands separators by name."""
_TWICE: Final = {
    "comma": re.compile(r"[-+]?\d{1,3}(?:,\d{3}){2,}"),
    "point": re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}"),
}
_COLUMN: Final = re.compile(r"[\w .%$#()/+-]{1,40}")
_NOTHING: Final = ("", "-", ".", "n/a", "N/A", "NA", "NaN", "nan", "null")
_QUOTED: Final = re.compile(r'"[^"]*"')
_COMMA_NUMBER: Final = re.compile(r"^[-+]?\d+,\d+$")
_ONE_COMMA: Final = re.compile(r"[-+]?\d{1,3},\d{3}")
_DEFAULT_NAMES: Final = ("timestamp", "open", "high", "low", "close", "volume")
_PRICE_NAMES: Final = frozenset(("open", "high", "low", "close"))
_HEAD_LINES: Final = 50
_MOST_ABOVE: Final = 20
"""Largest number of lines above a table that a message counts."""
_NAME: Final = 40
_YFINANCE: Final = 10
"""Largest number of characters of a name, and of names of a yfinance header, in a message."""
_WORD: Final = re.compile(r"[^a-z0-9]+")


class TextFormat(Config):
    """Format of a text table; `auto` guesses the value and reports it.

    `time_format` is written with % signs (``%d/%m/%Y %H:%M``); without it ISO dates and common
    variants are parsed. `names` are the columns of a file without a header, in order.
    """

    delimiter: str = "auto"
    """Delimiter of cells; `auto` guesses it."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal mark; `auto` guesses it."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line contains the column names; `auto` guesses it."""
    names: tuple[str, ...] | None = None
    """Names of the columns of a file without a header, in order."""
    encoding: str = "utf-8"
    """Encoding of the text."""
    time_format: str | None = None
    """Format of the stamps with % signs, such as %d/%m/%Y %H:%M; by default ISO dates."""
    time_columns: tuple[str, ...] = ()
    """Columns that are joined to the stamp: a date and a time."""
    skip_lines: int = Field(default=0, ge=0, le=1_000_000)
    """Number of lines to skip before the table."""
    comment: str | None = None
    """Prefix of lines that are skipped."""

    @field_validator("time_format")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return value if value is None else check_time_format(value)


class TextTable(NamedTuple):
    """Columns of a file; a column is numeric if every row has a number.

    `notes` has a line for each guess; `header` is whether the first row has the column names.
    `kept` are the numbers of the remaining rows if empty rows were removed, else None.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]
    header: bool
    kept: pl.Series | None = None


def read_text(
    path: Path,
    form: TextFormat,
    texts: Callable[[pl.DataFrame], Sequence[str]] = lambda head: (),
) -> TextTable:
    """Read a text table, plain or in a gzip or zip file.

    `texts` receives the first rows and returns the columns that stay text: parsed as numbers, the
    digits of a time would lose leading zeros.

    Raises
    ------
    DataError
        If the file is empty, too large, binary, of another encoding, or its rows have unequal
        lengths.
    """
    data = read_utf8(path, form.encoding)
    rows = head_rows(data, form)
    if not rows:
        raise DataError(f"{path} has no rows", hint="write it again, or name another file")
    head, notes = [row for _, row in rows[:_HEAD_LINES]], []
    delimiter = form.delimiter
    if delimiter == "auto":
        delimiter = _guess_delimiter(rows[:_HEAD_LINES], path)
        if not delimiter:
            raise uneven_line(data, path, form, ",") or _unknown(rows[:_HEAD_LINES], path)
        notes.append(f"delimiter guessed: {_NAMES[delimiter]}")
    cells = [cells_of(line, delimiter) for line in head]
    if form.header == "auto" and form.names is None:
        _refuse_title(rows, cells, path)
        _refuse_three_headers(cells, path, form)
    comma = form.decimal == ","
    written = [cell for row in cells for cell in row if _THOUSANDS.fullmatch(cell) and "." in cell]
    if written and not comma:
        raise _with_thousands(path, rows, written[0])
    if form.decimal == "auto":
        comma = _has_decimal_comma(cells[1:], delimiter)
        if comma:
            notes.append("decimal comma guessed")
    header = form.header == "yes"
    if form.header == "auto":
        header = form.names is None and not any(NUMBER.match(cell) for cell in cells[0])
        notes.append("first row read as header" if header else "no header found")
    _refuse_twins(cells[0] if header else form.names or (), path, rows[0][0] if header else 0)
    names = () if header else form.names or _DEFAULT_NAMES

    def parsed(text_names: Sequence[str]) -> pl.DataFrame:
        return _parse(
            data, path, form, delimiter, comma=comma, header=header, texts=text_names, rows=rows
        )

    frame = parsed(())
    names_in_file = frame.columns
    frame = _name(frame, names, path)
    text_columns = [each for each in texts(frame.head()) if each in frame.columns]
    if any(frame[each].dtype.is_numeric() for each in text_columns):
        text_names = [names_in_file[frame.columns.index(each)] for each in text_columns]
        frame = _name(parsed(text_names), names, path)
    if not header:
        notes.append(f"columns read as {', '.join(frame.columns[: len(names)])}")
    frame, row_numbers = _without_empty_rows(frame)
    if row_numbers is not None:
        notes.append("rows in which every cell is empty are left out")
    return TextTable(frame, tuple(notes), header, row_numbers)


def _without_empty_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series | None]:
    """Remove rows without any cell, such as empty lines, and return the numbers of the others."""
    import polars as pl

    if not frame.height or not all(column.null_count() for column in frame):
        return frame, None
    row_numbers = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    if len(row_numbers) == frame.height:
        return frame, None
    return frame[row_numbers], row_numbers


def _has_decimal_comma(rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether numbers are written as 12,5; between commas only in quotes, unlike 1,234."""
    numbers = [cell for row in rows for cell in row if _COMMA_NUMBER.match(cell)]
    if delimiter != "," or not numbers:
        return bool(numbers)
    points = any(NUMBER.match(cell) and "." in cell for row in rows for cell in row)
    return not points and not all(_THOUSANDS.fullmatch(cell) for cell in numbers)


def _refuse_twins(names: Sequence[str], path: Path, line: int) -> None:
    """Reject two columns of one name, which would be ambiguous.

    `line` is that of the header, or 0 if the strategy file gives the names.
    """
    normalised = [name.strip().lower() for name in names]
    for at, name in enumerate(normalised):
        if name and name in normalised[:at]:
            first = normalised.index(name)
            column_name = names[at].strip()
            called = (
                f"are both named {column_name!r}"
                if _COLUMN.fullmatch(column_name)
                else "have one name"
            )
            hint = "give each column a name of its own, or take one of them out"
            if line:
                hint += f"; or name all of them: skip_lines: {line}, header: 'no', names: [...]"
            raise DataError(
                f"{path}, {f'line {line}' if line else 'names'}: columns {first + 1} and {at + 1} "
                f"{called}",
                hint=hint,
            )


def _guess_delimiter(rows: Sequence[tuple[int, str]], path: Path) -> str:
    """Return the delimiter that splits every line into the same number of cells (2 or more)."""
    head = [row for _, row in rows]
    best, cells = "", 1
    for sign in _DELIMITERS:
        counts = {_QUOTED.sub("", line).count(sign) for line in (head[:-1] or head)}
        if len(counts) == 1 and (count := counts.pop()) >= cells:
            best, cells = sign, count + 1
    if not best:
        written = next(
            (each for line in head[1:] for each in _IN_A_LINE.findall(line) if "." in each), ""
        )
        commas = head[0].count(",")
        if written and commas > 1 and all(line.count(",") > commas for line in head[1:]):
            raise _with_thousands(path, rows, written)
    return best


def _text_above(path: Path, number: int) -> DataError:
    """Return the finding that the table begins with a later line."""
    lines = "line 1 is" if number == 2 else f"lines 1 to {number - 1} are"
    return DataError(
        f"{path}: {lines} not of the table, whose first line is line {number}",
        hint=f"write skip_lines: {number - 1} beside use:, or take the text above it out",
    )


def _refuse_title(rows: list[tuple[int, str]], cells: list[list[str]], path: Path) -> None:
    """Reject a title as first row: one of several cells is filled, but all cells of a later row."""
    if len(cells[0]) < 3 or sum(map(bool, cells[0])) > 1:
        return
    for (number, _), row in zip(rows[1:_MOST_ABOVE], cells[1:_MOST_ABOVE], strict=False):
        if len(row) == len(cells[0]) and all(row):
            raise _text_above(path, number)


def _unknown(rows: list[tuple[int, str]], path: Path) -> DataError:
    """Return the error for rows of unequal lengths; it names lines above the table, if any."""
    if _is_printed(rows):
        return DataError(
            f"{path}, line {rows[0][0]}: this is a frame as Python prints it: columns apart by "
            "spaces, and rows that may be left out",
            hint="write it as a file, frame.to_csv('prices.csv') of pandas or "
            "frame.write_csv('prices.csv') of polars, or give the frame itself: "
            "septet.run(strategy, data=frame)",
        )
    for count_above in range(1, min(_MOST_ABOVE, len(rows) - 2)):
        if _guess_delimiter(rows[count_above:], path):
            return _text_above(path, rows[count_above][0])
    return DataError(
        f"{path}: cannot determine the delimiter: no sign of , ; | tab and space splits its first "
        f"{len(rows)} lines into equally many cells",
        hint="write delimiter: ';' or what it is, and skip_lines: for text above the table",
    )


def _is_printed(rows: Sequence[tuple[int, str]]) -> bool:
    """Whether rows are the printed text of a pandas or polars frame instead of a file."""
    head = rows[0][1]
    if head.startswith(("shape: (", "┌")):
        return True
    return head[:1].isspace() and len(_PRICE_NAMES.intersection(head.lower().split())) > 1


def _refuse_three_headers(rows: Sequence[Sequence[str]], path: Path, form: TextFormat) -> None:
    """Reject a yfinance table with three header rows: columns, symbols and name of the index."""
    if len(rows) < 3:
        return
    names, symbols, index = ([cell.lower() for cell in row] for row in rows[:3])
    if names[0] != "price" or symbols[0] != "ticker" or index[0] not in ("date", "datetime"):
        return
    if len(set(symbols[1:])) > 1:
        raise DataError(
            f"{path} holds {len(set(symbols[1:]))} symbols beside each other, as yfinance writes "
            "them: a row is of one symbol",
            hint="download and write each symbol to a file of its own, and name them {symbol}.csv",
        )
    normalised = [_WORD.sub("_", name).strip("_")[:_NAME] for name in names[1:_YFINANCE]]
    listed = ", ".join(
        ["timestamp", *(name or f"column_{at}" for at, name in enumerate(normalised))]
    )
    raise DataError(
        f"{path} has three lines above its rows, as yfinance writes them: columns, symbols, and "
        f"{index[0]!r}",
        hint=f"write skip_lines: {form.skip_lines + 3}, header: 'no' and names: [{listed}] beside "
        "use:",
    )


def _with_thousands(
    path: Path, rows: Sequence[tuple[int, str]], cell: str, sign: str = "comma", column: str = ""
) -> DataError:
    """Return the error for a number with thousands separators, with its first line."""
    hint = "write the file again without thousands separators (1234.56)"
    if sign == "comma" and _ONE_COMMA.fullmatch(cell):
        hint += "; if the comma is the decimal mark, write decimal: ',' beside use:"
    if sign == "point":
        hint = "take the points out and write decimal: ',' beside use: (1234,56), or write 1234.56"
    line = next((number for number, row in rows if cell in row), 0)
    location = f"{path}, line {line}" if line else str(path)
    of = f" in column {column!r}" if column else ""
    return DataError(
        f"{location}: numbers such as {cell[:60]}{of} are written with a {sign} for thousands",
        hint=hint,
    )


def _refuse_thousands(
    frame: pl.DataFrame, path: Path, rows: Sequence[tuple[int, str]], *, comma: bool
) -> None:
    """Reject columns of numbers with thousands separators: as text they would all be missing.

    `comma` means that a comma is the decimal mark. The decimal mark separates thousands only if it
    occurs twice in a number.
    """
    import polars as pl

    for name in frame.columns:
        if frame[name].dtype != pl.String:
            continue
        cells = frame[name].drop_nulls().head(_HEAD_LINES).str.strip_chars().to_list()
        numbers = [each for each in cells if _WRITTEN_NUMBER.fullmatch(each)]
        if not numbers or len(numbers) < sum(each not in _NOTHING for each in cells):
            continue
        for sign, form in _SEPARATED.items():
            is_own_sign = {"comma": not comma, "point": comma}.get(sign, True)
            matching = [
                each for each in numbers if (form if is_own_sign else _TWICE[sign]).fullmatch(each)
            ]
            if matching:
                raise _with_thousands(path, rows, matching[0], sign, name)


def _parse(
    data: bytes, path: Path, form: TextFormat, delimiter: str, *, comma: bool, header: bool,
    texts: Sequence[str], rows: Sequence[tuple[int, str]],
) -> pl.DataFrame:  # fmt: skip
    import polars as pl

    def read(*, infer: bool) -> pl.DataFrame:
        return pl.read_csv(
            io.BytesIO(data),
            separator=delimiter,
            has_header=header,
            skip_rows=form.skip_lines,
            comment_prefix=form.comment,
            decimal_comma=comma and infer,
            infer_schema=infer,
            infer_schema_length=10_000,
            schema_overrides=dict.fromkeys(texts, pl.String),
        )

    try:
        try:
            frame = read(infer=True)
            _refuse_thousands(frame, path, rows, comma=comma)
            return frame
        except pl.exceptions.ComputeError:
            # A non-numeric cell among numbers: keep the text, the rows are checked later.
            frame = read(infer=False)
            _refuse_thousands(frame, path, rows, comma=comma)
            return frame.with_columns(pl.all().str.replace(",", ".")) if comma else frame
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        uneven = uneven_line(data, path, form, delimiter)
        if uneven is not None:
            raise uneven from error
        raise DataError(
            f"{path} cannot be read as a table: {reader_words(error)}",
            hint="are delimiter, header and skip_lines right?",
        ) from error


def _name(frame: pl.DataFrame, names: tuple[str, ...], path: Path) -> pl.DataFrame:
    if frame.width < len(names):
        raise DataError(
            f"{path} has {frame.width} columns and no header, expected {', '.join(names)}",
            hint="write names: [timestamp, open, ...]",
        )
    return frame.rename(dict(zip(frame.columns, names, strict=False)))
