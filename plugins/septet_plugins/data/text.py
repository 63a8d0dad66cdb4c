"""Reading text tables: delimiter, header and decimal sign are guessed, and reported."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

from pydantic import Field, field_validator

from septet.errors import DataError
from septet.plugin import Config
from septet.plugin.data import memory_bytes, open_regular, reader_words
from septet_plugins.data.times import check_time_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

__all__ = ["TextFormat", "read_text"]

_DELIMITERS: Final = (",", ";", "\t", "|", " ")
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_NUMBER: Final = re.compile(r"^[-+]?[\d.,]+(?:[eE][-+]?\d+)?$")
_THOUSANDS: Final = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_WRITTEN_NUMBER: Final = re.compile(r"[-+]?\d[\d.,' \u00a0\u202f\u2019]*")
_SEPARATED: Final = {
    "comma": _THOUSANDS,
    "point": re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+(?:,\d+)?"),
    "space": re.compile(r"[-+]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?"),
    "apostrophe": re.compile(r"[-+]?\d{1,3}(?:['\u2019]\d{3})+(?:[.,]\d+)?"),
}
"""Separators of thousands by name."""
_TWICE: Final = {
    "comma": re.compile(r"[-+]?\d{1,3}(?:,\d{3}){2,}"),
    "point": re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}"),
}
_COLUMN: Final = re.compile(r"[\w .%$#()/+-]{1,40}")
_NOTHING: Final = ("", "-", ".", "n/a", "N/A", "NA", "NaN", "nan", "null")
_QUOTED: Final = re.compile(r'"[^"]*"')
_COMMA_NUMBER: Final = re.compile(r"^[-+]?\d+,\d+$")
_PARTS: Final = re.compile(r"^[-+]?\d{1,9} \d{1,9}$")
_DEFAULT_NAMES: Final = ("timestamp", "open", "high", "low", "close", "volume")
_HEAD_LINES: Final = 50
MAX_BYTES: Final = 2_000_000_000
_TIMES: Final = 6
"""Memory that a byte of text takes while it is read and checked."""
_ALWAYS_UNPACKED: Final = 100_000_000
_MOST_UNPACKED: Final = 50
"""Bytes that one of an archive becomes, at most, beyond those: tables of prices become ten."""
_HEAD_BYTES: Final = 4_000_000
_LINE_BYTES: Final = 1_000_000


class TextFormat(Config):
    """How a text table is written; `auto` guesses and reports what it guessed.

    `time_format` is written with % signs (``%d/%m/%Y %H:%M``); without it ISO dates and their
    usual relatives are read. `names` are the columns of a file without a header, in order.
    """

    delimiter: str = "auto"
    """Character between two cells; `auto` guesses it."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal mark; `auto` guesses it."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first line names the columns; `auto` guesses it."""
    names: tuple[str, ...] | None = None
    """Names of the columns of a file without a header, in order."""
    encoding: str = "utf-8"
    """Encoding of the text."""
    time_format: str | None = None
    """Form of the stamps with % signs, such as %d/%m/%Y %H:%M; without it ISO dates."""
    time_columns: tuple[str, ...] = ()
    """Columns that make up the stamp together: a date and a time."""
    skip_lines: int = Field(default=0, ge=0, le=1_000_000)
    """Lines before the table."""
    comment: str | None = None
    """Beginning of lines that are left out."""

    @field_validator("time_format")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        return value if value is None else check_time_format(value)


def read_text(
    path: Path,
    form: TextFormat,
    texts: Callable[[pl.DataFrame], Sequence[str]] = lambda head: (),
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read a text table, plain or in a gzip or zip file.

    `texts` is given the first rows and returns the columns that stay text: digits of a time lose
    the zeros in front where they are read as numbers.

    Returns
    -------
    frame, notes
        Columns as they stand in the file, numbers parsed where every row has one, and a line for
        each guess.

    Raises
    ------
    DataError
        If the file is empty, too large, binary, of another encoding, or its rows have unequal
        lengths.
    """
    data = _as_utf8(_bytes(path), path, form.encoding)
    first = _head(data, form.skip_lines).splitlines()[:500]
    lines = [line for line in first if line]
    if form.comment:
        lines = [line for line in lines if not line.startswith(form.comment)]
    if not lines:
        raise DataError(f"{path} has no rows", hint="write it again, or name another file")
    head, notes = lines[:_HEAD_LINES], []
    delimiter = form.delimiter
    if delimiter == "auto":
        delimiter = _guess_delimiter(head, path)
        if not delimiter:
            raise _uneven(data, path, form, ",") or _unknown(head, path)
        notes.append(f"delimiter guessed: {_NAMES[delimiter]}")
    cells = [_cells(line, delimiter) for line in head]
    comma = form.decimal == ","
    written = [cell for row in cells for cell in row if _THOUSANDS.fullmatch(cell) and "." in cell]
    if written and not comma:
        raise _with_thousands(path, written[0])
    if form.decimal == "auto" and delimiter != ",":
        comma = any(_COMMA_NUMBER.match(cell) for row in cells[1:] for cell in row)
        if comma:
            notes.append("decimal comma guessed")
    header = form.header == "yes"
    if form.header == "auto":
        header = form.names is None and not any(_NUMBER.match(cell) for cell in cells[0])
        notes.append("first row read as header" if header else "no header found")
    at = form.skip_lines + first.index(lines[0]) + 1
    _refuse_twins(
        cells[0] if header else form.names or (), path, f"line {at}" if header else "names"
    )
    names = () if header else form.names or _DEFAULT_NAMES

    def parsed(own: Sequence[str]) -> pl.DataFrame:
        return _parse(data, path, form, delimiter, comma=comma, header=header, texts=own)

    frame = parsed(())
    theirs = frame.columns
    frame = _name(frame, names, path)
    wanted = [each for each in texts(frame.head()) if each in frame.columns]
    if any(frame[each].dtype.is_numeric() for each in wanted):
        own = [theirs[frame.columns.index(each)] for each in wanted]
        frame = _name(parsed(own), names, path)
    if not header:
        notes.append(f"columns read as {', '.join(frame.columns[: len(names)])}")
    return frame, tuple(notes)


def _head(data: bytes, skipped: int) -> str:
    """Return the first lines after those skipped, as text."""
    begin = 0
    for _ in range(skipped):
        begin = data.find(b"\n", begin) + 1
        if begin == 0:
            return ""
    return data[begin : begin + _HEAD_BYTES].decode(errors="ignore")


def _refuse_twins(names: Sequence[str], path: Path, where: str) -> None:
    """Refuse two columns of one name: it is unknown which of them is meant."""
    plain = [name.strip().lower() for name in names]
    for at, name in enumerate(plain):
        if name and name in plain[:at]:
            first = plain.index(name)
            what = names[at].strip()
            called = f"are both named {what!r}" if _COLUMN.fullmatch(what) else "have one name"
            raise DataError(
                f"{path}, {where}: columns {first + 1} and {at + 1} {called}",
                hint="give each column a name of its own, or take one of them out",
            )


def _cells(line: str, delimiter: str) -> list[str]:
    """Split a line into cells; a delimiter inside quotes is none."""
    kept = _QUOTED.sub(lambda found: found[0].replace(delimiter, "\0"), line)
    cells = (cell.replace("\0", delimiter) for cell in kept.split(delimiter))
    return [cell.strip().strip('"') for cell in cells]


def _bytes(path: Path) -> bytes:
    most = min(MAX_BYTES, memory_bytes() // _TIMES)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:  # files of /proc as well, which are not read: some never end
                return b""
            magic = file.read(4)
        if size > most:
            raise _too_large(path, most)
        if magic[:2] == b"\x1f\x8b" or magic == b"PK\x03\x04":
            most = min(most, max(_ALWAYS_UNPACKED, size * _MOST_UNPACKED))
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                data = _rows(packed, path, most)
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                inside = [each for each in archive.infolist() if not each.is_dir()]
                if len(inside) != 1:
                    raise DataError(f"{path} holds {len(inside)} files, expected one")
                with archive.open(inside[0]) as packed:
                    data = _rows(packed, path, most)
        else:
            with open_regular(path) as file:
                data = _rows(file, path, most)
    except DataError:
        raise
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} cannot be unpacked: {str(error)[:200]}", hint="copy or download it again"
        ) from error
    if len(data) > most:
        raise _too_large(path, most)
    return data


def _rows(file: IO[bytes] | gzip.GzipFile, path: Path, most: int) -> bytes:
    """Read what is left of a file, one byte more than allowed at most.

    Raises
    ------
    DataError
        If its first line does not end: nothing more of it is read then.
    """
    head = file.read(_LINE_BYTES)
    if len(head) == _LINE_BYTES and not (b"\n" in head or b"\r" in head):
        raise DataError(
            f"{path}: the first line is longer than {_LINE_BYTES:,} bytes, no table has such rows",
            hint="is it the right file, and does each row stand on a line of its own?",
        )
    file.seek(0)
    return file.read(most + 1)


def _too_large(path: Path, most: int) -> DataError:
    return DataError(
        f"{path} is larger than {most:,} bytes, unpacked, and text is not read in pieces: it takes "
        f"about {_TIMES} times its size in memory, and of an archive no more than "
        f"{_MOST_UNPACKED} times its size is unpacked",
        hint="cut it by year and name the parts with a *, unpack it yourself, or write it as "
        "Parquet: septet run --chunk reads that in stretches",
    )


def _as_utf8(data: bytes, path: Path, encoding: str) -> bytes:
    """Return a text as UTF-8 without a mark at its beginning, in no more memory than it takes."""
    if not data or data.isspace():
        raise DataError(f"{path} is empty", hint="write it again, or name another file")
    if data[:4] == b"PAR1":
        raise DataError(f"{path} is a Parquet file", hint="write use: parquet")
    if b"\x00" in data[:4096] and not encoding.lower().replace("-", "").startswith("utf16"):
        raise DataError(f"{path} is no text: it holds zero bytes", hint="is it the right file?")
    is_utf8 = encoding.lower() in ("utf-8", "utf8")
    if is_utf8 and data.isascii():
        return data
    try:
        text = data.decode("utf-8-sig" if is_utf8 else encoding)
        return data if is_utf8 and not data.startswith(codecs.BOM_UTF8) else text.encode()
    except LookupError as error:
        raise DataError(f"unknown encoding {encoding!r}", hint="such as utf-8, latin-1") from error
    except ValueError as error:
        if not isinstance(error, UnicodeDecodeError):  # encodings that are none of files
            raise DataError(f"{path} cannot be read as {encoding!r}: {str(error)[:60]}") from error
        raise DataError(
            f"{path} is not {encoding}: byte {error.start} is {data[error.start]:#04x}",
            hint="write encoding: latin-1 or what it is",
        ) from error


def _guess_delimiter(head: list[str], path: Path) -> str:
    """Return the sign that splits every line into equally many cells, two at least; else none."""
    best, cells = "", 1
    for sign in _DELIMITERS:
        counts = {_QUOTED.sub("", line).count(sign) for line in (head[:-1] or head)}
        if len(counts) == 1 and (count := counts.pop()) >= cells:
            best, cells = sign, count + 1
    if not best:
        written = next(
            (each for line in head[1:] for each in _THOUSANDS.findall(line) if "." in each), ""
        )
        commas = head[0].count(",")
        if written and commas > 1 and all(line.count(",") > commas for line in head[1:]):
            raise _with_thousands(path, written)
    return best


def _unknown(head: list[str], path: Path) -> DataError:
    return DataError(
        f"{path}: cannot determine the delimiter: no sign of , ; | tab and space splits its first "
        f"{len(head)} lines into equally many cells",
        hint="write delimiter: ';' or what it is",
    )


def _uneven(data: bytes, path: Path, form: TextFormat, delimiter: str) -> DataError | None:
    """Name the first line with more fields than the first, and a comma in a number of it."""
    width = 0
    for number, raw in enumerate(io.BytesIO(data), 1):
        line = raw.decode(errors="replace").rstrip("\r\n")
        if (
            number <= form.skip_lines
            or not line
            or (form.comment and line.startswith(form.comment))
        ):
            continue
        cells = _cells(line, delimiter)
        width = width or len(cells)
        if len(cells) <= width or width < 2:
            continue
        text = f"line {number} has {len(cells)} fields, the first line has {width}"
        text = f"{path} cannot be read as a table: {text}"
        pairs = itertools.pairwise(cells)
        whole = next((f"{a},{b}" for a, b in pairs if _PARTS.match(f"{a} {b}")), "")
        if delimiter == "," and whole and all(_NUMBER.match(cell) for cell in cells[1:] if cell):
            return DataError(
                f"{text}: the comma ends a field, also within a number such as {whole[:60]}",
                hint="write numbers with a point (12.5), or separate the columns with ; and write "
                "decimal: ','",
            )
        return DataError(text, hint="give every row the same fields; put text in quotes")
    return None


def _with_thousands(path: Path, written: str, sign: str = "comma") -> DataError:
    return DataError(
        f"{path}: numbers such as {written[:60]} are written with a {sign} for thousands",
        hint="write the file again without thousands separators (1234.56)",
    )


def _refuse_thousands(frame: pl.DataFrame, path: Path, *, comma: bool) -> None:
    """Refuse columns of numbers with separators of thousands: as text they are all missing.

    `comma` means that a comma is the decimal sign. The decimal sign separates thousands only where
    it stands twice in a number.
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
            own = {"comma": not comma, "point": comma}.get(sign, True)
            found = [each for each in numbers if (form if own else _TWICE[sign]).fullmatch(each)]
            if found:
                raise _with_thousands(path, f"{found[0]} in column {name!r}", sign)


def _parse(
    data: bytes, path: Path, form: TextFormat, delimiter: str, *, comma: bool, header: bool,
    texts: Sequence[str],
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
            _refuse_thousands(frame, path, comma=comma)
            return frame
        except pl.exceptions.ComputeError:
            # A cell that is no number among numbers: keep the text, the rows are checked later.
            frame = read(infer=False)
            _refuse_thousands(frame, path, comma=comma)
            return frame.with_columns(pl.all().str.replace(",", ".")) if comma else frame
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        uneven = _uneven(data, path, form, delimiter)
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
