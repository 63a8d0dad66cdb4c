"""Columns that name a symbol under another name than `symbol`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from septet._data.message_limits import SYMBOL_CHARACTERS
from septet.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["column_of_symbols", "names_symbol", "refuse_symbol_column", "shown_values"]

SYMBOL_WORDS: Final = frozenset(
    (
        "pair", "asset", "coin", "product", "security", "isin", "figi", "ric", "sym", "tic",
        "stock", "currency_pair", "asset_id", "coin_id", "symbol_id", "instrument_id",
        "instrument_name", "product_id", "company", "crypto", "token", "underlying", "currency",
    )
)  # fmt: skip


def refuse_symbol_column(frame: pl.DataFrame | pl.LazyFrame, origin: str) -> None:
    """Reject rows without a `symbol` column if another text column names several symbols.

    Raises
    ------
    DataError
        If a column with a name such as `pair`, `asset` or `isin` holds several values.
    """
    import polars as pl

    for name, kind in frame.lazy().collect_schema().items():
        if kind not in (pl.String, pl.Categorical) or not names_symbol(name):
            continue
        text = pl.col(name).cast(pl.String)
        values = frame.lazy().select(text.unique().sort()).collect(engine="streaming").to_series()
        if values.drop_nulls().len() > 1:
            raise DataError(
                f"{origin}: column {name!r} holds {shown_values(values.drop_nulls())}: these are "
                "rows of several symbols, and nothing states which of them are meant",
                hint=f"write columns: {{symbol: {name}}}, so that each symbol of the universe "
                "gets its own rows, or keep one symbol in the file",
            )


def column_of_symbols(
    frame: pl.DataFrame | pl.LazyFrame,
    symbols: Sequence[str],
    forms: Callable[[str], Iterable[str]],
) -> str:
    """Return the name of a text column that holds requested symbols, in any way of writing them."""
    import polars as pl

    spellings = [form.upper() for each in symbols for form in (each, *forms(each))]
    for name, kind in frame.lazy().collect_schema().items():
        if kind not in (pl.String, pl.Categorical):
            continue
        text = pl.col(name).cast(pl.String).str.strip_chars().str.to_uppercase()
        any_symbol = frame.lazy().select(text.is_in(spellings).any())
        if any_symbol.collect(engine="streaming").item():
            return name
    return ""


def names_symbol(name: str) -> bool:
    """Return whether the name of a column means a traded symbol."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    return plain in SYMBOL_WORDS


def shown_values(values: pl.Series) -> str:
    """Format the number of some values, and the first three of them."""
    shown = ", ".join(str(value)[:SYMBOL_CHARACTERS] for value in values.head(3).to_list())
    return f"{len(values)} values ({shown}{', ...' if len(values) > 3 else ''})"
