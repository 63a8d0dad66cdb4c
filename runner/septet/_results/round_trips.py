"""First-in first-out round trips: parts of entry fills matched with parts of exit fills.

Trades run flat to flat at average cost; a round trip is one entry part and the exit part that is
matched with it, the oldest entry first. Grids count them, and so do many tax authorities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._results import statistics as st
from septet._results.result import TABLES

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints

__all__ = [
    "entered_units",
    "first_in_first_out",
    "net_units",
    "round_trips",
    "round_trips_won",
    "whole_units",
]

_MOST_DECIMALS: Final = 12
_EXACT: Final = 2.0**53
_SUMMED: Final = 2.0**62
# A product of a quantity and a power of ten is off by a few units in the last place.
_ROUNDING: Final = 2.0**-50


def whole_units(amounts: Floats) -> tuple[Ints, float]:
    """Give amounts as whole units, and how many units are one: the fewest decimals that hold all.

    Quantities are whole units of an instrument's precision, so that what was entered and left
    again leaves exactly nothing. Decimals past the twelfth, or that a float64 cannot hold beside
    the largest amount, are rounded.

    Parameters
    ----------
    amounts : array, shape (n,)
        Finite amounts in the base currency.

    Returns
    -------
    units : array of int64, shape (n,)
    scale : float
        Units in one of the base currency: a power of ten, below one only where an amount would
        not be exact otherwise.
    """
    largest, total = (float(f(np.abs(amounts), initial=0.0)) for f in (np.max, np.sum))
    scale = min(1.0, _EXACT / max(largest, 1.0), _SUMMED / max(total, 1.0))
    for decimals in range(_MOST_DECIMALS + 1):
        finer = 10.0**decimals
        if largest * finer >= _EXACT or total * finer >= _SUMMED:
            break
        scale, scaled = finer, amounts * finer
        if np.all(np.abs(scaled - np.rint(scaled)) <= np.abs(scaled) * _ROUNDING):
            break
    return np.rint(amounts * scale).astype(np.int64), scale


def entered_units(units: Ints) -> Ints:
    """Give how many units of each fill entered a position; the rest of it left one.

    Parameters
    ----------
    units : array of int64, shape (n,)
        Signed units of the fills of one symbol, in order.
    """
    before = np.cumsum(units) - units
    against = np.sign(before) * np.sign(units) < 0
    left = np.where(against, np.minimum(np.abs(units), np.abs(before)), 0)
    return np.asarray(np.abs(units) - left)


def first_in_first_out(units: Ints) -> tuple[Ints, Ints, Ints]:
    """Match what fills of one symbol entered with what they left, the oldest entry first.

    A fill that crosses zero leaves what was held and enters the other side with the rest. What
    is not left again is in no pair.

    Parameters
    ----------
    units : array of int64, shape (n,)
        Signed units of the fills, in order.

    Returns
    -------
    entry, exit, part : arrays of int64, shape (m,)
        Rows of the two fills of each pair and the units they share, above zero, in order of exit.
    """
    entered = entered_units(units)
    left = np.abs(units) - entered
    # Where nothing is held both sums are equal, so that a pair never spans such a place.
    entries, exits = np.cumsum(entered), np.cumsum(left)
    total = int(exits[-1]) if len(exits) else 0
    ends = np.unique(np.concatenate([entries, exits]))
    ends = ends[(ends > 0) & (ends <= total)]
    starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    return (
        np.searchsorted(entries, starts, side="right"),
        np.searchsorted(exits, starts, side="right"),
        ends - starts,
    )


def round_trips(fills: pl.DataFrame, trades: pl.DataFrame, currency: str) -> pl.DataFrame:
    """Give the table of round trips of a run, in order of exit.

    Parameters
    ----------
    fills, trades : frames
        Tables of the run (`TABLES`). Prices, quantities and fees are those of the fills; of the
        trades only `funding` is used.
    currency : str
        The account's currency.

    Returns
    -------
    frame
        ``round_trips``. A fee in the base currency counts at its fill's price, one in another
        currency that is not the quote or the account's is not converted and counts zero. A fee
        belongs to the units of its fill in equal parts, `liquidation` to those that left. The
        funding of a trade is shared out by quantity times time held, in which what is still held
        has its part; where nothing was held for any time, by quantity. No value is NaN. ``pnl``
        is (exit - entry) x quantity by side, less `fees`, `funding` and `liquidation`.
    """
    import polars as pl

    fills = fills.with_columns(pl.col("symbol", "side", "fee_currency").cast(pl.String))
    trades = trades.with_columns(pl.col("symbol", "exit_reason").cast(pl.String))
    funded = {
        str(symbol): part
        for (symbol,), part in trades.group_by(["symbol"], maintain_order=True)
        if (part.get_column("funding") != 0.0).any()
    }
    frames = [
        _of_symbol(str(symbol), part, funded.get(str(symbol)), currency)
        for (symbol,), part in fills.group_by(["symbol"], maintain_order=True)
    ]
    kept = [frame for frame in frames if frame.height]
    if not kept:
        return _frame({name: [] for name in TABLES["round_trips"]})
    return pl.concat(kept).sort("exit_time", maintain_order=True)


def _frame(columns: dict[str, Any]) -> pl.DataFrame:
    import polars as pl

    times = {"entry_time", "exit_time"}
    texts = {"symbol", "side"}
    made = pl.DataFrame(
        columns,
        schema_overrides={
            name: pl.Int64 if name in times else pl.String if name in texts else pl.Float64
            for name in columns
        },
    )
    stamps = [pl.col(name).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC") for name in times]
    return made.with_columns(stamps).select(list(TABLES["round_trips"]))


def _of_symbol(
    symbol: str, fills: pl.DataFrame, funded: pl.DataFrame | None, currency: str
) -> pl.DataFrame:
    def floats(name: str) -> Floats:
        return np.asarray(fills.get_column(name).to_numpy(), dtype=np.float64)

    units, scale, fee = net_units(symbol, fills, currency)
    time_ns = np.asarray(fills.get_column("time").to_physical().to_numpy(), dtype=np.int64)
    price = floats("price")
    entry, exit_, part = first_in_first_out(units)
    size = np.abs(units)
    fees = fee[entry] * (part / size[entry]) + fee[exit_] * (part / size[exit_])
    left = np.bincount(exit_, weights=part, minlength=len(units))
    charge = floats("liquidation")[exit_] * (part / left[exit_])
    quantity, side = part / scale, np.sign(units[entry])
    funding = np.zeros(len(part))
    if funded is not None:
        funding = _shared_funding(funded, units, time_ns, (entry, exit_, part))
    gross = side * quantity * (price[exit_] - price[entry])
    return _frame(
        {
            "symbol": [symbol] * len(part),
            "side": np.where(side > 0, "long", "short").tolist(),
            "entry_time": time_ns[entry],
            "entry_price": price[entry],
            "exit_time": time_ns[exit_],
            "exit_price": price[exit_],
            "quantity": quantity,
            "pnl": gross - fees - funding - charge,
            "fees": fees,
            "funding": funding,
            "liquidation": charge,
        }
    )


def net_units(symbol: str, fills: pl.DataFrame, currency: str) -> tuple[Ints, float, Floats]:
    """Give what the fills of one symbol brought, and cost.

    Parameters
    ----------
    fills : frame
        Rows of ``fills`` of that symbol, its texts as text.
    currency : str
        The account's currency.

    Returns
    -------
    units : array of int64, shape (n,)
        Whole units that arrived, signed, net of a fee in the base currency.
    scale : float
        Units in one of the base currency.
    fee : array, shape (n,)
        Fees in the quote currency, see `round_trips`.
    """
    base, _, rest = symbol.partition("/")
    quote = rest.partition(":")[0]
    unit = np.array(fills.get_column("fee_currency").to_list(), dtype=object)
    fee, price, quantity = (
        np.nan_to_num(fills.get_column(name).to_numpy().astype(np.float64), posinf=0.0, neginf=0.0)
        for name in ("fee", "price", "quantity")
    )
    in_cash = (unit == currency) | (unit == quote)
    in_base = (unit == base) & ~in_cash
    kept_back = np.where(in_base, fee, 0.0)
    both, scale = whole_units(np.concatenate([quantity, kept_back]))
    sold = np.array(fills.get_column("side").to_list(), dtype=object) == "sell"
    gross, taken = np.split(both, 2)
    units = np.where(sold, -gross, gross) - taken
    return units, scale, np.where(in_cash, fee, np.where(in_base, fee * price, 0.0))


def _shared_funding(
    trades: pl.DataFrame, units: Ints, time_ns: Ints, matched: tuple[Ints, Ints, Ints]
) -> Floats:
    """Share the funding of each trade out to the round trips that ended within it.

    What is part of no trade, and what no round trip of its trade can take, is shared by all.
    """
    dust = (trades.get_column("exit_reason") == "dust").fill_null(False).to_numpy()
    paid = np.asarray(trades.get_column("funding").to_numpy(), dtype=np.float64)
    begin, end = (
        np.asarray(trades.get_column(f"{name}_time").to_physical().to_numpy(), np.int64)[~dust]
        for name in ("entry", "exit")
    )
    order = np.argsort(end, kind="stable")
    begin, end, own = begin[order], end[order], paid[~dust][order]
    entry, exit_, part = matched
    opened, closed = time_ns[entry], time_ns[exit_]
    at = np.searchsorted(end, closed, side="left")
    inside = at < len(end)
    place = np.where(inside, at, 0)
    since = np.maximum(opened, begin[place]) if len(begin) else opened
    weight = np.where(inside, part * np.maximum(closed - since, 0).astype(np.float64), 0.0)
    rest = np.zeros(len(end))
    if len(end) and trades.get_column("exit_reason").eq("open").fill_null(False).any():
        held = entered_units(units) - np.bincount(entry, part, len(units))
        rest[-1] = float(held @ (end[-1] - np.maximum(time_ns, begin[-1])).astype(np.float64))
    whole = np.bincount(place, weight, len(end)) + rest
    flat = (whole <= 0.0)[place] & inside if len(end) else inside
    weight = np.where(flat, part, weight)
    whole = np.bincount(place, weight, len(end)) + rest
    taken = whole > 0.0
    share = own / np.where(taken, whole, 1.0)
    shared = share[place] * weight if len(end) else np.zeros(len(part))
    left = float(paid[dust].sum() + own[~taken].sum())
    every = part * (closed - opened).astype(np.float64)
    every = every if every.sum() > 0.0 else part.astype(np.float64)
    return np.asarray(shared + left * (every / every.sum())) if len(part) else shared


def round_trips_won(frame: pl.DataFrame | None) -> dict[str, Any]:
    """Give how many round trips there are and which share made money; None where unknown."""
    if frame is None:
        return {"round_trips": None, "round_trip_win_rate": None}
    pnl = np.asarray(frame.get_column("pnl").to_numpy(), dtype=np.float64)
    return {"round_trips": len(pnl), "round_trip_win_rate": st.win_rate(pnl)}
