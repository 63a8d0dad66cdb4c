"""Errors for a table that its parser rejects, without quoting the parser's message.

polars quotes the cell that it could not read, whole and from any line. A strategy file from a
stranger may name any file of the user's, and what is printed is passed on.
"""

from __future__ import annotations

from typing import Final

__all__ = ["reader_words"]

_MEANINGS: Final = (
    (
        "could not parse",
        "a cell does not fit its column, or a quotation mark in it has no end",
    ),
    ("conversion from", "a value is not of the kind of its column"),
    ("found more fields", "a row has more cells than the first one"),
    ("expected 1 row", "its rows have unequal numbers of cells"),
    ("quote", "a cell that begins with a quotation mark does not end"),
    ("utf-8", "it is not text in UTF-8"),
    ("utf8", "it is not text in UTF-8"),
    ("duplicate", "two columns have one name"),
    ("empty", "it holds no rows"),
    ("not found", "a column is missing"),
    ("failed to determine supertype", "columns of one name are of different kinds"),
    ("type", "a column is of a kind that does not fit"),
    ("schema", "its columns do not fit together"),
    ("thrift", "its description of the columns is damaged"),
    ("metadata", "its description of the columns is damaged"),
    ("parquet", "it is damaged inside"),
    ("decompress", "it is damaged inside"),
    ("snappy", "it is damaged inside"),
    ("zstd", "it is damaged inside"),
)
"""Texts that identify a message of polars, in order, and its meaning."""
_LOOKED_AT: Final = 2_000


def reader_words(error: BaseException) -> str:
    """Return the reason why a table cannot be read, as a short text without quotes of the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, OverflowError):
        return "a number is too large"
    words = str(error)[:_LOOKED_AT].lower()
    meaning = next((ours for theirs, ours in _MEANINGS if theirs in words), "")
    return meaning or f"it is damaged or of another form ({type(error).__name__})"
