"""Bytes of a text file: unpacks, limits the size, detects other formats, and converts to UTF-8."""

from __future__ import annotations

import codecs
import gzip
import os
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final

from septet.errors import DataError
from septet.plugin.data import memory_bytes, open_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["MAX_BYTES", "read_utf8"]

MAX_BYTES: Final = 2_000_000_000
_TIMES: Final = 6
"""Bytes of memory per byte of text while it is read and checked."""
_ALWAYS_UNPACKED: Final = 100_000_000
_MOST_UNPACKED: Final = 50
"""Largest number of bytes that one byte of an archive beyond those expands to; tables expand
tenfold."""
_LINE_BYTES: Final = 1_000_000
_LOOKED_AT: Final = 4_096
_SAVE_AS_CSV: Final = "save its sheet as CSV (in Excel: Save As, CSV UTF-8), and name that file"
_UNPACK: Final = "unpack it first; gzip and zip are read as they are"
_NO_TABLES: Final = (
    (b"PAR1", "a Parquet file", "write use: parquet"),
    (b"ARROW1", "an Arrow or Feather file", "write its table as Parquet, and use: parquet"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SAVE_AS_CSV),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    (b"BZh", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "packed with xz", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"\x89HDF", "an HDF5 file", "write its table as Parquet, and use: parquet"),
    (b"SQLite format 3", "an SQLite database", "write its table as CSV or Parquet"),
    (b"%PDF", "a PDF document", "bring the table as CSV"),
)
"""First bytes of files that are not text, their format, and a hint."""
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""Byte order marks, longer ones first."""


def read_utf8(path: Path, encoding: str) -> bytes:
    """Return a text file, unpacked if it is an archive, as UTF-8 with line feeds as line ends.

    Raises
    ------
    DataError
        If the file is empty, too large, not text, not a table, or of another encoding.
    """
    data = _as_utf8(_bytes(path), path, encoding)
    head = data[:_LOOKED_AT].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DataError(
            f"{path} is a page of HTML or XML, not a table",
            hint="a download may have answered with a page: open it in a browser, download again",
        )
    if head.startswith((b"[[", b"[{", b'{"')) or head[:2] in (b"[\n", b"{\n", b"[\r", b"{\r"):
        raise DataError(
            f"{path} is JSON, not a table of text",
            hint="write its rows as CSV or Parquet with polars or pandas, or hand the frame to "
            "septet.run(strategy, data=frame)",
        )
    if b"\r" in data[:_LINE_BYTES] and b"\n" not in data:
        return data.replace(b"\r", b"\n")
    return data


def _bytes(path: Path) -> bytes:
    most = min(MAX_BYTES, memory_bytes() // _TIMES)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:  # includes files of /proc, which are not read: some never end
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
            with zipfile.ZipFile(path) as archive, archive.open(_only(archive, path)) as packed:
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


def _only(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the only file of an archive; files that macOS adds do not count."""
    members = [each for each in archive.infolist() if not each.is_dir()]
    if any(each.filename == "[Content_Types].xml" for each in members):
        raise DataError(f"{path} is an Excel workbook (.xlsx), not text", hint=_SAVE_AS_CSV)
    members = [each for each in members if not each.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        raise DataError(
            f"{path} holds {len(members)} files, expected one",
            hint="unpack it, and name its files with a pattern such as *.csv",
        )
    return members[0]


def _rows(file: IO[bytes] | gzip.GzipFile, path: Path, most: int) -> bytes:
    """Read the rest of a file, at most one byte more than allowed.

    Raises
    ------
    DataError
        If its first line does not end; the rest is then not read.
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
    """Return a text as UTF-8 without a byte order mark, with no more memory than the text takes."""
    if not data or data.isspace():
        raise DataError(f"{path} is empty", hint="write it again, or name another file")
    for signature, format_name, hint in _NO_TABLES:
        if data.startswith(signature):
            raise DataError(f"{path} is {format_name}, not text", hint=hint)
    encoding_name = encoding.lower().replace("_", "-")
    _refuse_wide(data, path, encoding_name)
    is_utf8 = encoding_name in ("utf-8", "utf8", "utf-8-sig")
    if is_utf8 and data.isascii():
        return data
    try:
        text = data.decode("utf-8-sig" if is_utf8 else encoding)
        if is_utf8 and not data.startswith(codecs.BOM_UTF8):
            return data
        return text.removeprefix("\ufeff").encode()
    except LookupError as error:
        raise DataError(
            f"unknown encoding {encoding!r}", hint="such as utf-8, utf-16, latin-1, cp1252"
        ) from error
    except ValueError as error:
        if not isinstance(error, UnicodeDecodeError):  # encodings that files never have
            raise DataError(f"{path} cannot be read as {encoding!r}: {str(error)[:60]}") from error
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path} is not {encoding}: byte {error.start} is {data[error.start]:#04x}, in line "
            f"{line}",
            hint=_encodings(data, encoding_name),
            key="encoding",
        ) from error


def _encodings(data: bytes, encoding_name: str) -> str:
    """Return the hint for bytes that do not match an encoding."""
    if encoding_name not in ("utf-8", "utf8", "utf-8-sig") and _is_utf8(data):
        return "it is UTF-8, which needs no encoding:"
    windows = any(each in data for each in (b"\x80", b"\x91", b"\x92", b"\x93", b"\x94", b"\x96"))
    first, second = ("cp1252", "latin-1") if windows else ("latin-1", "cp1252")
    names = [each for each in (first, second, "utf-8") if each != encoding_name]
    return (
        f"write encoding: {names[0]} beside use: (programs of Western Europe and the Americas "
        f"write it), encoding: {names[1]} or what it was saved in; or save it as UTF-8"
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_wide(data: bytes, path: Path, encoding: str) -> None:
    """Reject non-text, and text of two or four bytes per character in another encoding."""
    if encoding.startswith(("utf-16", "utf16", "utf-32", "utf32")):
        if b"\x00" in data[:_LOOKED_AT]:  # encodings in which digits and commas have zero bytes
            return
        raise DataError(
            f"{path} is not {encoding}: it has no zero bytes, which digits and commas have there",
            hint="take encoding: out, or write what the file was saved in, such as latin-1",
            key="encoding",
        )
    mark = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), None)
    if mark is not None:
        mark_text = " ".join(f"{each:02X}" for each in mark[0])
        raise DataError(
            f"{path} is {mark[1].upper()} text: it begins with the byte order mark {mark_text}",
            hint=f"write encoding: {mark[1]} beside use:, or save the file as UTF-8",
            key="encoding",
        )
    head = data[:_LOOKED_AT]
    if b"\x00" not in head:
        return
    wide = _wide(head)
    if not wide:
        raise DataError(f"{path} is no text: it holds zero bytes", hint="is it the right file?")
    raise DataError(
        f"{path} looks like UTF-16 text without a byte order mark: every second byte is zero",
        hint=f"write encoding: {wide} beside use:, or save the file as UTF-8",
        key="encoding",
    )


def _wide(head: bytes) -> str:
    """Return the UTF-16 variant whose zero bytes are on one side of each pair, if any."""
    sides: Sequence[bytes] = (head[0::2], head[1::2])
    zeros = [side.count(0) / max(1, len(side)) for side in sides]
    if len(head) < 8 or min(zeros) > 0.01 or max(zeros) < 0.9:
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
