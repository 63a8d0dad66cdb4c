"""Column names: septet's own, well-known synonyms, and the mapping of a file.

A file that gives one price a bar may name its column for all four: `columns: {open: price, ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from septet._data.message_limits import shown_columns
from septet.errors import DataError
from septet_schemas.late_patterns import late_pattern

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TIME_NAMES", "missing_columns", "name_in_source", "rename_columns"]

T = TypeVar("T", "pl.DataFrame", "pl.LazyFrame")
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": ("time", "date", "datetime", "open_time", "opentime", "ts", "timestamps"),
    "open": ("o",),
    "high": ("h",),
    "low": ("l",),
    "close": ("c", "last"),
    "volume": ("v", "vol", "base_volume", "tickvol", "tick_volume"),
    "adj_close": ("adjclose", "adjusted_close", "close_adj"),
    "split": ("splits", "stock_splits", "split_ratio"),
    "symbol": ("ticker", "instrument", "name"),
}
TIME_NAMES: Final = ("timestamp", *ALIASES["timestamp"], "close_time")
"""Names of columns that hold times, whatever their cells are."""
_PRICES: Final = ("open", "high", "low", "close")
_PRICE_WORDS: Final = frozenset(
    ("price", "prices", "px", "px_last", "value", "rate", "mid", "settle", "settlement", "nav",
     "adj_close", "adjclose", "adjusted_close", "usd", "eur", "close_price", "last_price",
     "close_last")
)  # fmt: skip
"""Names of a column that holds the only price of a bar."""
_READ_AS: Final = " read as "
_SHOWN_NAME: Final = late_pattern(r"[\w .%$#()/+-]{1,40}")
_COLUMN: Final = late_pattern(r"\w[\w /.]{0,39}")
_WORDS_FOR: Final = {
    "timestamp": (
        "timestamp", "datetime", "date", "time", "t", "unix", "epoch", "datum", "zeit", "fecha",
        "data",
    ),
    "open": ("open", "opening", "first", "eröffnung", "erster", "ouverture", "apertura"),
    "high": ("high", "highest", "max", "maximum", "hoch", "haut", "máximo"),
    "low": ("low", "lowest", "min", "minimum", "tief", "bas", "mínimo"),
    "volume": ("volume", "volumes", "vol", "volumen", "volumina"),
    "close": ("close", "closing", "last", "schluss", "schlusskurs", "clôture", "cierre"),
}  # fmt: skip
"""Words in column names of other programs and languages; they are proposed, never applied."""
_LETTERS: Final = late_pattern(r"[^\W\d_]+")
_INDEX: Final = ("", "Unnamed: 0", "__index_level_0__", "index")
_VOLUME_OF: Final = late_pattern(r"(?i:volume|vol)[ _]*[ _(\[]([A-Z]{2,10})[)\]]?")
"""`Volume (BTC)`, `Volume BTC`: volume with its unit in capitals."""
_NO_BASE: Final = frozenset(
    ("USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "EUR", "GBP", "JPY", "CHF", "AUD",
     "CAD", "CNY", "KRW", "TRY", "BRL", "QUOTE", "MA", "SMA", "EMA", "WMA", "AVG", "CHANGE")
)  # fmt: skip
"""Words after `volume` that do not mean a quantity of the asset: currencies, and averages."""
_TOKENS: Final = late_pattern(r"[^A-Za-z0-9]+")


def rename_columns(frame: T, columns: Mapping[str, str], origin: str) -> tuple[T, tuple[str, ...]]:
    """Rename columns to septet's names: by `columns` (septet's: the file's), else by synonyms.

    Raises
    ------
    DataError
        If a column that `columns` names is missing.
    """
    import polars as pl

    there = frame.collect_schema().names()
    renames, clash, notes = _renames(there, columns, origin)
    frame = frame.drop(clash) if clash else frame
    frame = frame.rename(renames)
    copies = _copies(columns, renames)
    for own, more in copies.items():
        notes += (f"column {own!r} read as {', '.join(more)} as well",)
    copied = [pl.col(own).alias(ours) for own, more in copies.items() for ours in more]
    return (frame.with_columns(copied) if copied else frame), notes


def _copies(columns: Mapping[str, str], renames: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the additional names of columns that are mapped more than once, by the first name."""
    found: dict[str, list[str]] = {}
    for ours, theirs in columns.items():
        own = renames.get(theirs, theirs)
        if ours != own:
            found.setdefault(own, []).append(ours)
    return found


def _renames(
    there: list[str], columns: Mapping[str, str], origin: str
) -> tuple[dict[str, str], list[str], tuple[str, ...]]:
    """Return new names by old ones, columns that already have a new name, and notes on guesses."""
    absent = [theirs for theirs in columns.values() if theirs not in there]
    if absent:
        raise DataError(
            f"{origin}: no column {', '.join(absent)}; found {shown_columns(there)}",
            hint="columns: {our name: name in the file}",
            key="columns",
        )
    renames = {
        theirs: ours
        for ours, theirs in columns.items()
        if ours != theirs and columns.get(theirs) != theirs
    }
    notes = []
    taken = set(columns)
    plain = {_TOKENS.sub("_", name.strip()).strip("_").lower(): name for name in there}
    for ours, others in ALIASES.items():
        if ours in taken or ours in there:
            continue
        theirs = next((plain[each] for each in (ours, *others) if each in plain), None)
        if ours == "timestamp" and {"time", "open_time"} <= plain.keys() and theirs != ours:
            raise _two_times(plain["time"], plain["open_time"], origin)
        if theirs is not None and theirs not in renames:
            renames[theirs] = ours
            if theirs.lower() != ours:
                notes.append(f"column {theirs!r}{_READ_AS}{ours}")
    if "volume" not in taken | set(there) | set(renames.values()):
        theirs = _volume_of_base(there)
        if theirs and theirs not in renames:
            renames[theirs] = "volume"
            notes.append(f"column {theirs!r}{_READ_AS}volume")
    clash = [name for name in renames.values() if name in there and name not in renames]
    return renames, clash, tuple(notes)


def _two_times(time: str, opened: str, origin: str) -> DataError:
    """Return the error for a table whose `time` is the close of bars, as in septet's own tables."""
    return DataError(
        f"{origin} has two columns of times, {time} and {opened}",
        hint=f"name the one that is meant: columns: {{timestamp: {opened}}} with stamp: open, or "
        f"columns: {{timestamp: {time}}} with stamp: close, as in septet's own tables",
        key="columns",
    )


def _volume_of_base(names: Sequence[str]) -> str:
    """Return the only column named volume with the unit of an asset; empty without one."""
    found = [
        name
        for name in names
        if (unit := _VOLUME_OF.fullmatch(name.strip())) and unit[1] not in _NO_BASE
    ]
    return found[0] if len(found) == 1 else ""


def name_in_source(ours: str, notes: Sequence[str]) -> str:
    """Return the name of a column in its source, according to the notes on its columns."""
    ending = f"'{_READ_AS}{ours}"
    found = next((each for each in notes if each.endswith(ending)), "")
    return found.removeprefix("column '").removesuffix(ending) if found else ours


def missing_columns(
    names: Sequence[str], needed: Sequence[str], where: str, notes: Sequence[str] = ()
) -> DataError | None:
    """Return the error for missing columns of bars; None if none is missing.

    Parameters
    ----------
    names
        The columns of the table, renamed to septet's names where possible.
    needed
        The columns that bars require.
    notes
        The guesses about the source, including the names of columns.
    """
    missing = [name for name in needed if name not in names]
    if not missing:
        return None
    renamed = "; ".join(each for each in notes if each.startswith("column "))
    return DataError(
        f"{where}: no column {', '.join(missing)}; found {shown_columns(names) or 'no columns'}"
        + (f" ({renamed})" if renamed else ""),
        hint=_ways_out(names, missing),
    )


def _ways_out(names: Sequence[str], missing: Sequence[str]) -> str:
    """Return the proposed mapping for missing columns, or for a file with one price per bar."""
    called = "; ".join(f"{name} is also read from {', '.join(ALIASES[name])}" for name in missing)
    mapped = {name: _meant(name, names) for name in missing}
    if "volume" not in names and (volume := _meant("volume", names)) != "...":
        mapped["volume"] = volume
    mapping = ", ".join(f"{ours}: {theirs}" for ours, theirs in mapped.items())
    hint = f"name them as in the file: columns: {{{mapping}}} ({called})"
    first = next((each for each in names if each in _INDEX), None)
    if "timestamp" in missing and first is not None:
        what = "the column without a name" if not first else f"{first}, the index of pandas,"
        hint = (
            f"if {what} holds the times, write columns: {{timestamp: {first!r}}}; otherwise {hint}"
        )
    known = _known_prices(names)
    if list(missing) == ["close"] and known:
        one = f"columns: {{close: {_written(known)}}}"
        return f"if {known!r} is the close, write {one}; otherwise {hint}"
    price = _only_price(names, missing)
    if price:
        one = ", ".join(f"{name}: {_written(price)}" for name in _PRICES)
        hint += (
            f"; if {price!r} is the only price of a bar, write columns: {{{one}}}: stops, limits "
            "and fills then see no other price"
        )
    return hint


def _meant(ours: str, names: Sequence[str]) -> str:
    """Return the only column whose name has a word for the given one; `...` without one."""
    words = _WORDS_FOR.get(ours, ())
    found = [
        name
        for name in names
        if name not in ALIASES
        and _SHOWN_NAME.fullmatch(name)
        and any(each in words for each in _LETTERS.findall(name.lower()))
    ]
    return _written(found[0]) if len(found) == 1 else "..."


def _only_price(names: Sequence[str], missing: Sequence[str]) -> str:
    """Return the column of a file with one price per bar; empty if there are more."""
    prices = [name for name in _PRICES if name not in missing]
    if len(prices) == 1:
        return prices[0]
    if prices:
        return ""
    return _known_prices(names)


def _known_prices(names: Sequence[str]) -> str:
    """Return the only column with a well-known name of a price; empty if there are several."""
    plain = {_TOKENS.sub("_", name.strip()).strip("_").lower(): name for name in names}
    known = [name for each, name in plain.items() if each in _PRICE_WORDS]
    return known[0] if len(known) == 1 and _COLUMN.fullmatch(known[0]) else ""


def _written(name: str) -> str:
    """Format the name of a column as YAML."""
    return name if re.fullmatch(r"\w+", name) else repr(name)
