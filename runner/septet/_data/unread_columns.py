"""Columns of a table of bars that nothing reads: they are named, and what they hold is checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from septet._data.defects import Findings
from septet._data.message_limits import shown_columns
from septet._data.mixed_rows import OUR_COLUMNS
from septet._data.source_columns import check_source_columns

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DIVIDENDS", "check_unread_columns"]

DIVIDENDS: Final = "dividends"
_DIVIDENDS: Final = frozenset(
    ("dividend", "dividends", "div", "divs", "dividend_amount", "cash_dividend", "distribution",
     "distributions", "capital_gains", "ex_dividend", "divcash")
)  # fmt: skip


def check_unread_columns(
    findings: Findings, frame: pl.DataFrame | pl.LazyFrame, adjust: str | None
) -> None:
    """Note the columns that are not read, and report relevant data that only they hold.

    Columns of several symbols or sources are rejected or give a warning, as do dividends that no
    other column includes.

    `adjust` is the key of the file: with `total` the adjusted close includes the dividends, and
    with `none` the file asks for unadjusted prices.

    Raises
    ------
    DataError
        If a column separates rows of several symbols or sources.
    """
    lazy = frame.lazy()
    names = [name for name in lazy.collect_schema().names() if name not in OUR_COLUMNS]
    if names:
        findings.note(f"columns that are not read: {shown_columns(names)}")
    check_source_columns(findings, lazy)
    for name in names:
        paid = _paid(lazy, name) if _plain(name) in _DIVIDENDS else 0
        if paid and adjust not in ("total", "none"):
            text = (
                f"{paid:,} rows of column {name!r} are above 0 and are not read: a position is not "
                "paid these dividends, and prices fall by them"
            )
            findings.warn(DIVIDENDS, paid, (), text)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _paid(lazy: pl.LazyFrame, name: str) -> int:
    import polars as pl

    above = pl.col(name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False) > 0.0
    return int(lazy.select(above.fill_null(value=False).sum()).collect(engine="streaming").item())
