"""The tables of the report that come from equity, trades and fills; texts of a run are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._report.html_page import escaped, html_table
from septet._report.thinning import floats, stamps
from septet._results import round_trips as matching
from septet._results.number_texts import UNDEFINED, count, duration, number, percent, when
from septet._results.over_time import deepest_drawdowns
from septet._results.result import NOT_CLOSED

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = [
    "DRAWDOWN_NOTE", "ROUND_TRIP_NOTE", "SYMBOL_NOTE", "by_symbol", "drawdowns", "holding_times",
    "round_trips", "signed", "sortable_table", "trade_note", "trades",
]  # fmt: skip

SHOWN_ROWS: Final = 200
"""Rows of trades, and of round trips, that the page carries."""
SYMBOLS_SHOWN: Final = 200
SEARCHED: Final = 6
"""Rows from which on a table has a search box."""
DRAWDOWN_NOTE: Final = (
    "Falls of equity from its peak, after costs. Times are UTC; days count from the start to the "
    "recovery, or to the end of the run."
)
SYMBOL_NOTE: Final = (
    "The sum of the trades of a symbol after costs, open positions and what is below one lot "
    "included, in the account's currency and as a share of the initial capital: all symbols "
    "together are the return of the run."
)
ROUND_TRIP_NOTE: Final = (
    "Parts of entries matched with parts of exits, first in first out; what is still held is in "
    "none. Funding is shared out by quantity and time held."
)
Cell = tuple[str, float | None]
"""Markup of a cell, and the number by which it is sorted."""


def signed(value: float | None, text: str) -> str:
    """Colour a gain or a loss; the sign in the text means the same."""
    if value is None or value == 0:
        return escaped(text)
    return f'<span class="{"gain" if value > 0 else "loss"}-text">{escaped(text)}</span>'


def sortable_table(
    name: str, head: Sequence[str], rows: Iterable[Sequence[str | Cell]], label: str
) -> str:
    """Build a table that sorts by each column and has a search box; its texts are markup.

    A head that starts with # is a number: its cells are `Cell`s. Without scripts the buttons are
    disabled and the box is hidden.
    """
    top = "".join(
        f'<th scope="col" class="{"n" if each.startswith("#") else ""}" aria-sort="none">'
        f'<button type="button" disabled>{escaped(each.lstrip("#"))}</button></th>'
        for each in head
    )
    lines = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    body, region = "".join(lines), escaped(label)
    search = (
        f'<div class="search" hidden><label>Search <input type="search" aria-controls="{name}" '
        'autocomplete="off"></label><span role="status"></span></div>'
    )
    return (
        f"{search if len(lines) >= SEARCHED else ''}"
        f'<div class="scroll tall-table" tabindex="0" role="region" aria-label="{region}">'
        f'<table id="{name}" data-sorts="yes"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{cell}</td>"
    text, value = cell
    is_known = value is not None and math.isfinite(value)
    return f'<td class="n" data-v="{f"{value:.12g}" if is_known else ""}">{text}</td>'


def _figure(value: float | None, digits: int = 2) -> Cell:
    return number(value, digits), value


def _gain(value: float | None) -> Cell:
    return signed(value, number(value, 2, signed=True)), value


def _price(value: float) -> Cell:
    return f"{value:,.8g}", value


def _share(value: float | None) -> Cell:
    return escaped(percent(value, 2)), value


def _with_stamps(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return table.with_columns(
        pl.col(f"{end}_time").to_physical().alias(f"{end}_ns") for end in ("entry", "exit")
    ).sort("entry_ns", maintain_order=True)


def holding_times(trades: pl.DataFrame) -> tuple[float, float] | None:
    """Return the median and longest holding time of closed trades in seconds; None without one."""
    import polars as pl

    closed = trades.filter(~pl.col("exit_reason").is_in(NOT_CLOSED).fill_null(False))
    if not closed.height:
        return None
    seconds = (stamps(closed, "exit_time") - stamps(closed, "entry_time")) / 1e9
    return float(np.median(seconds)), float(seconds.max())


def drawdowns(run: Run) -> str:
    """Build the table of the deepest drawdowns."""
    table = run.table("equity", ["time", "equity"])
    rows = deepest_drawdowns(stamps(table), floats(table, "equity"), run.facts.initial_capital)
    if not rows:
        return '<p class="empty">Equity never fell below its peak.</p>'
    body = [
        (
            when(each.start_ns),
            when(each.bottom_ns),
            "not yet" if each.recovery_ns is None else when(each.recovery_ns),
            percent(each.depth, 2),
            number(each.length_ns / 86_400e9, 1),
        )
        for each in rows
    ]
    note = ""
    deepest = run.summary["max_drawdown"]
    if deepest is not None and deepest > rows[0].depth * (1.0 + 1e-9):
        note = (
            f'<p class="note">Of the stored rows of equity: between them it fell by '
            f"{percent(deepest, 2)} at most.</p>"
        )
    head = ("Start", "Bottom", "Recovery", "#Depth", "#Days")
    return note + html_table(head, body, "Deepest drawdowns")


def by_symbol(run: Run) -> str:
    """Build the table of the contribution of each symbol."""
    import polars as pl

    closed = ~pl.col("exit_reason").is_in(NOT_CLOSED).fill_null(False)
    sums = [pl.col(name).sum() for name in ("pnl", "fees", "funding", "slippage")]
    results = (
        run.table("trades")
        .group_by("symbol", maintain_order=True)
        .agg(
            closed.sum().alias("trades"),
            (closed & (pl.col("pnl") > 0)).sum().alias("won"),
            *sums,
        )
        .sort(pl.col("pnl").abs(), descending=True, maintain_order=True)
    )
    if not results.height:
        return '<p class="empty">No trade was opened.</p>'
    rows_shown = results.head(SYMBOLS_SHOWN).to_dicts()
    remaining = results.slice(SYMBOLS_SHOWN)
    if remaining.height:
        names = ("trades", "won", "pnl", "fees", "funding", "slippage")
        total = {name: remaining.get_column(name).sum() for name in names}
        rows_shown.append({"symbol": f"{remaining.height} others", **total})
    rows = [_symbol_row(row, run.facts.initial_capital) for row in rows_shown]
    head = ("Symbol", "#Net", "#Of capital", "#Trades", "#Won", "#Fees", "#Funding", "#Slippage")
    return sortable_table("by-symbol", head, rows, "Result by symbol")


def _symbol_row(row: dict[str, Any], capital: float) -> list[str | Cell]:
    share = row["pnl"] / capital if capital > 0 else None
    won = row["won"] / row["trades"] if row["trades"] else None
    return [
        escaped(str(row["symbol"])),
        _gain(row["pnl"]),
        (signed(share, percent(share, 2, signed=True)), share),
        (count(row["trades"]), row["trades"]),
        (escaped(percent(won)), won),
        *(_figure(row[name]) for name in ("fees", "funding", "slippage")),
    ]


def _chosen(table: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Return the rows on the page: all, or the first, the last, the best and the worst."""
    import polars as pl

    if table.height <= SHOWN_ROWS:
        return table, ""
    each = SHOWN_ROWS // 4
    numbered = table.with_row_index("row")
    ranked = numbered
    if "exit_reason" in table.columns:
        ranked = numbered.filter(~pl.col("exit_reason").is_in(NOT_CLOSED).fill_null(False))
    ranked = ranked.sort("pnl", maintain_order=True)
    parts = (numbered.head(each), numbered.tail(each), ranked.head(each), ranked.tail(each))
    rows = pl.concat([part.select("row") for part in parts]).unique().sort("row")
    note = (
        f'<p class="note">The first, the last, the best and the worst {each} of '
        f"{count(table.height)} are shown, and sorted and searched; the tables of the run hold "
        "them all.</p>"
    )
    return numbered.join(rows, on="row", how="semi").drop("row"), note


def trade_note(run: Run) -> str:
    """Return the explanation of the columns of the table of trades."""
    return (
        f"Times are UTC, amounts {run.facts.currency}. MAE and MFE are how far the price went "
        "against the trade and for it, of its mean entry price."
    )


def trades(run: Run) -> str:
    """Build the list of trades."""
    table = _with_stamps(run.table("trades"))
    if table.height == 0:
        return '<p class="empty">No trade was opened.</p>'
    chosen, note = _chosen(table)
    head = ("Symbol", "Side", "In", "#In at", "Out", "#Out at", "#Quantity", "#Net", "#MAE", "#MFE",
            "#Held", "#Bars", "#Fees", "#Funding", "#Liquidation", "#Slippage",
            "Why out")  # fmt: skip
    rows = [
        [
            *_both_ends(row),
            _share(row["mae"]),
            _share(row["mfe"]),
            _held(row),
            (UNDEFINED if row["bars_held"] is None else count(row["bars_held"]), row["bars_held"]),
            *(_figure(row[name]) for name in ("fees", "funding", "liquidation", "slippage")),
            escaped(row["exit_reason"]),
        ]
        for row in chosen.iter_rows(named=True)
    ]
    return note + sortable_table("trades", head, rows, "Trades")


def _both_ends(row: dict[str, Any]) -> list[str | Cell]:
    return [
        escaped(row["symbol"]),
        escaped(row["side"]),
        when(row["entry_ns"]),
        _price(row["entry_price"]),
        when(row["exit_ns"]),
        _price(row["exit_price"]),
        (f"{row['quantity']:,.6g}", row["quantity"]),
        _gain(row["pnl"]),
    ]


def _held(row: dict[str, Any]) -> Cell:
    seconds = (row["exit_ns"] - row["entry_ns"]) / 1e9
    return escaped(duration(seconds)), seconds


def round_trips(run: Run) -> str:
    """Build the list of round trips; for an earlier run without that table it is computed here."""
    if run.has("round_trips"):
        table = run.table("round_trips")
    else:
        table = matching.round_trips(run.table("fills"), run.table("trades"), run.facts.currency)
    table = _with_stamps(table)
    if table.height == 0:
        return '<p class="empty">No part of an entry was closed.</p>'
    chosen, note = _chosen(table)
    head = ("Symbol", "Side", "In", "#In at", "Out", "#Out at", "#Quantity", "#Net", "#Held",
            "#Fees", "#Funding", "#Liquidation")  # fmt: skip
    rows = [
        [
            *_both_ends(row),
            _held(row),
            *(_figure(row[name]) for name in ("fees", "funding", "liquidation")),
        ]
        for row in chosen.iter_rows(named=True)
    ]
    return note + sortable_table("round-trips", head, rows, "Round trips")
