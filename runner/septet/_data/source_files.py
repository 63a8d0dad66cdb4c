"""Search and reading of the files of a source: one file, a glob, or a `{symbol}` pattern."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from septet._data.column_names import rename_columns
from septet._data.message_limits import SYMBOL_CHARACTERS, SYMBOLS_SHOWN
from septet._data.parquet_bounds import columns_within_memory, require_short_texts
from septet._data.reader_errors import reader_words
from septet._data.source import Facts, LazyBars, RawBars, Request
from septet._data.source_rows import FrameRows, JoinedRows, PartRows, SourceRows
from septet._data.symbol_columns import column_of_symbols, refuse_symbol_column
from septet._data.wild_cards import has_wild_cards, matching_files
from septet._files import open_regular
from septet.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "READ_ERRORS",
    "file_forms",
    "find_files",
    "no_data_file",
    "one_file",
    "read_bars",
    "read_parquet_file",
    "reading",
    "rows_by_symbol",
    "scan_bars",
    "scan_parquet_file",
    "symbol_path",
    "unreadable",
]

T = TypeVar("T", "pl.DataFrame", "pl.LazyFrame")
Part: TypeAlias = tuple[Path, T, tuple[str, ...], PartRows]
Reader: TypeAlias = Callable[[Path], tuple[T, tuple[str, ...]]]
MAX_FILES: Final = 10_000
_ROW: Final = "number of the row in its file"
_TOKENS: Final = re.compile(r"[^A-Za-z0-9]+")


def READ_ERRORS() -> tuple[type[BaseException], ...]:  # noqa: N802 - a constant made when needed
    """All exceptions that polars raises for a damaged file; its panics are not an `Exception`."""
    import polars as pl

    return (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn the libraries' exceptions for external rows into an error that names the source.

    Raises
    ------
    DataError
        In place of an exception or a panic of polars, or of an overflow.
    """
    import polars as pl

    try:
        yield
    except (
        pl.exceptions.PolarsError, pl.exceptions.PanicException, OverflowError, ValueError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{what} cannot be read: {reader_words(error)}",
            hint="are the columns times and numbers? columns: {our name: name in the file}",
        ) from error


def file_forms(symbol: str) -> tuple[str, ...]:
    """Return the ways to write a symbol in a file name: BTCUSDT, BTC_USDT, BTC-USDT or BTC USDT."""
    plain = symbol.split(":", 1)[0]
    forms = [plain.replace("/", joint) for joint in ("", "_", "-", " ")]
    if ":" in symbol:
        whole = _TOKENS.split(symbol)
        forms += ["_".join(whole), "-".join(whole), "".join(whole)]
    safe = [form for form in forms if form and "/" not in form and form not in (".", "..")]
    return tuple(dict.fromkeys(safe))


def _absolute(path: str, base_dir: Path) -> Path:
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:  # the home folder of an unknown user
        expanded = Path(path)
    return expanded if expanded.is_absolute() else base_dir / expanded


@contextlib.contextmanager
def _looking(path: Path | str) -> Iterator[None]:
    """Turn the system's error about a path into an error that names the path."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise DataError(
            f"the files of {str(path)[:200]} cannot be listed: {reason}",
            hint="name a folder of your own, and wild cards inside it",
            key="path",
        ) from problem


def _matches(path: Path) -> list[Path]:
    """Return the path itself, or the files that match its wild cards, sorted by name."""
    with _looking(path):
        if not has_wild_cards(path):
            return [path] if os.path.isfile(path) else []
        found = matching_files(path)
    if len(found) > MAX_FILES:
        raise DataError(f"{path} matches {len(found)} files, the limit is {MAX_FILES}")
    return found


def no_data_file(path: Path, what: str, ending: str = "csv") -> DataError:
    """Return the error that a path exists and is not a regular file."""
    kind = "a folder" if os.path.isdir(path) else "a device, a pipe or a socket"
    pattern = f"write a pattern such as *.{ending} after it"
    hint = pattern if os.path.isdir(path) else "write it to a file"
    return DataError(f"{what}: {path} is {kind}, not a regular file", hint=hint, key="path")


def _not_found(path: Path, what: str, base_dir: Path, ending: str = "csv") -> DataError:
    """Return the error that a file does not exist, with similar names.

    Only names inside the folder of the strategy file and the current folder are listed: the path
    comes from the file, which may be someone else's, and printed messages are passed on.
    """
    if os.path.exists(path):
        return no_data_file(path, what, ending)
    folder = path.parent
    while not os.path.isdir(folder) and folder != folder.parent:
        folder = folder.parent
    hint = "paths are relative to the strategy file"
    real_folder = os.path.realpath(folder)
    own = (os.path.realpath(base_dir), os.path.realpath("."))
    if any(os.path.commonpath((each, real_folder)) == each != os.sep for each in own):
        try:
            names = sorted(each for each in os.listdir(folder) if not each.startswith("."))
        except OSError:  # the folder may not be listed, so there is no suggestion
            names = []
        close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5) or names[:3]
        hint += f"; {folder} holds {', '.join(close) if close else 'nothing'}"
    return DataError(f"{what}: no such file: {path}", hint=hint, key="path")


def one_file(path: str, base_dir: Path, what: str) -> Path:
    """Return the one file that `path` names.

    Raises
    ------
    DataError
        If it does not exist; the message lists similar names.
    """
    full = _absolute(path, base_dir)
    if not os.path.isfile(full):
        raise _not_found(full, what, base_dir)
    return full


def symbol_path(path: str, symbol: str, base_dir: Path) -> str:
    """Replace ``{symbol}`` in a pattern by the first way to write the symbol that names a file."""
    tried = [path.replace("{symbol}", form) for form in file_forms(symbol)]
    return next((each for each in tried if os.path.isfile(_absolute(each, base_dir))), tried[0])


def find_files(
    path: str, symbols: Sequence[str], base_dir: Path, ending: str = "csv"
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Find the files of each symbol; `ending` is that of a pattern proposed for a folder.

    Returns
    -------
    by_symbol, shared
        Files assigned to a symbol by a ``{symbol}`` pattern or a file name, and files that may
        hold several symbols (their `symbol` column names which).

    Raises
    ------
    DataError
        If there is no file.
    """
    full = _absolute(path, base_dir)
    if "{symbol}" in path:
        by_symbol: dict[str, list[Path]] = {}
        for symbol in symbols:
            tried = [Path(str(full).replace("{symbol}", form)) for form in file_forms(symbol)]
            found = next((files for each in tried if (files := _matches(each))), None)
            if found is None:
                raise _not_found(tried[0], symbol, base_dir, ending)
            by_symbol[symbol] = found
        return by_symbol, []
    files = _matches(full)
    if not files:
        raise _not_found(full, "data", base_dir, ending)
    if len(files) == 1:
        return {}, files
    named: dict[str, list[Path]] = {}
    shared: list[Path] = []
    for each in files:
        owner = _owner(each, symbols)
        if owner is None:
            shared.append(each)
        else:
            named.setdefault(owner, []).append(each)
    return named, shared


def _owner(path: Path, symbols: Sequence[str]) -> str | None:
    """Return the symbol in a file's name, if the name contains one as a word."""
    words = [word.upper() for word in _TOKENS.split(path.name) if word]
    pairs = {"".join(words[j : j + 2]) for j in range(len(words))}
    known = {*words, *pairs}
    for symbol in symbols:
        if _TOKENS.sub("", symbol.split(":", 1)[0]).upper() in known:
            return symbol
    return None


def read_parquet_file(path: Path) -> pl.DataFrame:
    """Read a whole Parquet file.

    Raises
    ------
    DataError
        If it is empty, truncated or not a Parquet file.
    """
    import polars as pl

    _check_parquet(path)
    try:
        columns = columns_within_memory(path)
        require_short_texts(path)
        frame = pl.read_parquet(path, glob=False, columns=columns)
    except READ_ERRORS() as error:
        raise unreadable(path, error) from error
    return frame


def scan_parquet_file(path: Path) -> pl.LazyFrame:
    """Return a lazy frame of a Parquet file: a filter on a column skips row groups outside of it.

    Raises
    ------
    DataError
        If it is empty, truncated or not a Parquet file.
    """
    import polars as pl

    _check_parquet(path)
    try:
        require_short_texts(path)
        frame = pl.scan_parquet(path, glob=False)
        frame.collect_schema()
    except READ_ERRORS() as error:
        raise unreadable(path, error) from error
    return frame


def unreadable(path: Path | str, error: BaseException) -> DataError:
    """Return the error for a file that looks like Parquet and is damaged inside."""
    return DataError(
        f"{path} cannot be read as Parquet: {reader_words(error)}", hint="write the file again"
    )


def _check_parquet(path: Path) -> None:
    try:
        file = open_regular(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:  # includes files of /proc, some of which never end
            raise DataError(f"{path} is empty", hint="write it again, or name another file")
        try:
            head = file.read(4)
            file.seek(max(0, size - 4))
            tail = file.read(4)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if head != b"PAR1":
        raise DataError(
            f"{path} is no Parquet file: it does not begin with b'PAR1'",
            hint="use: csv reads text; septet data import turns it into Parquet",
        )
    if tail != b"PAR1":
        raise DataError(
            f"{path} is truncated: a Parquet file ends with b'PAR1', and this one does not",
            hint="copy or download it again",
        )


def read_bars(
    path: str,
    columns: Mapping[str, str],
    request: Request,
    facts: Facts,
    reader: Callable[[Path], tuple[pl.DataFrame, tuple[str, ...]]],
    ending: str = "csv",
    rows_of: Callable[[Path], SourceRows | None] = lambda path: FrameRows(),
) -> list[RawBars]:
    """Read the files of a source and return the rows of each symbol.

    A `symbol` column overrides the file's name. Several files of one symbol are concatenated in
    order of their names. `rows_of` names the rows of a file in messages, by default by number.

    Raises
    ------
    DataError
        If a file or a symbol is missing; the message lists those found.
    """
    parts = _parts(path, columns, request, reader, ending, rows_of)
    bars = []
    for symbol in request.symbols:
        frame, own = _joined(symbol, parts[symbol], facts)
        if all(part.rows is not None for *_, part in parts[symbol]):
            rows = JoinedRows([(file, part, each.height) for file, each, _, part in parts[symbol]])
            own = replace(own, rows=rows)
        bars.append(RawBars(symbol, frame, own))
    return bars


def scan_bars(
    path: str,
    columns: Mapping[str, str],
    request: Request,
    facts: Facts,
    scanner: Callable[[Path], tuple[pl.LazyFrame, tuple[str, ...]]],
    ending: str = "csv",
) -> list[LazyBars]:
    """Do the same as `read_bars` without reading rows.

    Only a `symbol` column is read for its names.
    """
    parts = _parts(path, columns, request, scanner, ending)
    return [LazyBars(symbol, *_joined(symbol, parts[symbol], facts)) for symbol in request.symbols]


def _parts(
    path: str,
    columns: Mapping[str, str],
    request: Request,
    reader: Reader[T],
    ending: str,
    rows_of: Callable[[Path], SourceRows | None] = lambda path: None,
) -> dict[str, list[Part[T]]]:
    """Yield frames of each symbol with their file and the guesses made about it."""
    by_symbol, shared = find_files(path, request.symbols, request.base_dir, ending)
    parts: dict[str, list[Part[T]]] = {}
    present: set[str] = set()
    unowned: list[str] = []
    named = ""
    for owner, file in _owned(by_symbol, shared, request.symbols):
        raw, guessed = reader(file)
        frame, renamed = rename_columns(raw, columns, str(file))
        notes = guessed + renamed
        whole = rows_of(file)
        if "symbol" in frame.collect_schema().names():
            frame = frame.with_row_index(_ROW) if whole is not None else frame
            for name, rows in rows_by_symbol(frame, request.symbols, present).items():
                part, rows = _picked(rows, whole)
                parts.setdefault(name, []).append((file, rows, notes, part))
        elif owner is not None:
            refuse_symbol_column(frame, str(file))
            parts.setdefault(owner, []).append((file, frame, notes, PartRows(whole)))
        else:
            unowned.append(file.name)
            named = named or column_of_symbols(frame, request.symbols, file_forms)
    missing = [symbol for symbol in request.symbols if symbol not in parts]
    if missing:
        raise _without(missing, path, request, present, unowned, sorted(parts), named, ending)
    return parts


def _without(
    missing: Sequence[str], path: str, request: Request, present: set[str],
    unowned: Sequence[str], owned: Sequence[str], named: str, ending: str,
) -> DataError:  # fmt: skip
    """Return the error for symbols without rows: the symbols or files found, and a hint."""
    symbols = [each[:SYMBOL_CHARACTERS] for each in sorted(present)]
    shown = ", ".join(symbols[:SYMBOLS_SHOWN])
    more = f" and {len(symbols) - SYMBOLS_SHOWN} more" if len(symbols) > SYMBOLS_SHOWN else ""
    if symbols:
        held = f"its column of symbols holds {shown}{more}"
        hint = (
            f"write those that are meant: universe: {{symbols: [{', '.join(symbols[:3])}]}}, or "
            f"bring rows of {', '.join(missing[:3])}"
        )
    else:
        files = sorted(each[:SYMBOL_CHARACTERS] for each in unowned)
        held = f"no symbol of the universe is in the name of {', '.join(files[:SYMBOLS_SHOWN])}"
        held = held if files else f"its rows are of {', '.join(owned[:SYMBOLS_SHOWN])}"
        hint = (
            f'name a file after its symbol, path: "{{symbol}}.{ending}", or state the column that '
            "holds the symbols, columns: {symbol: NAME}"
        )
    if named:
        hint = f"column {named!r} holds these symbols: write columns: {{symbol: {named}}}"
    return DataError(
        f"no data for {', '.join(missing)} in {path}: {held}",
        hint=hint,
        key=f".universe.symbols.{request.symbols.index(missing[0])}",
    )


def _picked(frame: T, whole: SourceRows | None) -> tuple[PartRows, T]:
    """Return the numbers of rows in their file, and the rows without the number column."""
    import polars as pl

    if whole is None or not isinstance(frame, pl.DataFrame):
        return PartRows(None), frame
    return PartRows(whole, frame[_ROW]), frame.drop(_ROW)


def _owned(
    by_symbol: Mapping[str, list[Path]], shared: Sequence[Path], symbols: Sequence[str]
) -> list[tuple[str | None, Path]]:
    only = symbols[0] if len(symbols) == 1 and len(shared) == 1 and not by_symbol else None
    return [
        *((symbol, file) for symbol, files in by_symbol.items() for file in files),
        *((only or _owner(file, symbols), file) for file in shared),
    ]


def rows_by_symbol(frame: T, symbols: Sequence[str], present: set[str]) -> dict[str, T]:
    """Return the rows of each symbol by the column `symbol`; its values are added to `present`.

    Raises
    ------
    DataError
        If a symbol is written in several ways.
    """
    import polars as pl

    text = pl.col("symbol").cast(pl.String)
    column = frame.lazy().select(text.unique()).collect(engine="streaming").to_series()
    names = [name for name in column.to_list() if name is not None]
    present.update(names)
    forms = {form.upper(): symbol for symbol in symbols for form in file_forms(symbol)}
    by_symbol: dict[str, T] = {}
    for name in sorted(names):
        symbol = name if name in symbols else forms.get(name.upper())
        if symbol in by_symbol:
            raise DataError(
                f"column symbol writes {symbol} in several ways, one of them "
                f"{name[:SYMBOL_CHARACTERS]!r}",
                hint="write each symbol in one way: rows of two spellings are two series",
            )
        if symbol is not None:
            by_symbol[symbol] = frame.filter(text == name).drop("symbol")
    return by_symbol


def _joined(symbol: str, parts: list[Part[T]], facts: Facts) -> tuple[T, Facts]:
    import polars as pl

    frames = [frame for _, frame, *_ in parts]
    try:
        frame = frames[0] if len(frames) == 1 else pl.concat(frames, how="diagonal_relaxed")
        frame.collect_schema()
    except READ_ERRORS() as error:
        raise DataError(
            f"{symbol}: its {len(parts)} files do not fit together: {reader_words(error)}",
            hint="give them the same columns and types",
        ) from error
    return frame, _facts_of([file for file, *_ in parts], [part[2] for part in parts], facts)


def _facts_of(files: list[Path], notes: list[tuple[str, ...]], facts: Facts) -> Facts:
    """Return the facts of a symbol whose rows are in some files."""
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    noted = dict.fromkeys(note for each in notes for note in each)
    return replace(facts, origin=origin, notes=(*facts.notes, *noted))
