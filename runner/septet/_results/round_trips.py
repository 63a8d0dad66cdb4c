"""First-in first-out round trips: parts of entry fills matched with parts of exit fills.

Trades run flat to flat at average cost; a round trip is one entry part and the exit part that is
matched with it, the oldest entry first. Grids count them, and so do many tax authorities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._results import statistics as st
from septet._results.by_symbol import rows_by_symbol
from septet._results.result import NUMBER, TABLES, TEXT, TIME

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Floats, Ints

__all__ = [
    "SymbolFills",
    "entered_units",
    "fills_by_symbol",
    "first_in_first_out",
    "net_units",
    "round_trips",
    "round_trips_won",
    "whole_units",
]

_MAX_DECIMALS: Final = 12
_EXACT_LIMIT: Final = 2.0**53
_SUM_LIMIT: Final = 2.0**62
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
    scale = min(1.0, _EXACT_LIMIT / max(largest, 1.0), _SUM_LIMIT / max(total, 1.0))
    for decimals in range(_MAX_DECIMALS + 1):
        finer = 10.0**decimals
        if largest * finer >= _EXACT_LIMIT or total * finer >= _SUM_LIMIT:
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
    exited = np.where(against, np.minimum(np.abs(units), np.abs(before)), 0)
    return np.asarray(np.abs(units) - exited)


def first_in_first_out(units: Ints) -> tuple[Ints, Ints, Ints]:
    """Match what fills of one symbol entered with what they left, the oldest entry first.

    A fill that crosses zero exits the whole position and enters the other side with the rest.
    Units that are still held are in no pair.

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
    paid = _funding_of(trades)
    columns: dict[str, list[Any]] = {name: [] for name in TABLES["round_trips"]}
    for symbol, part in fills_by_symbol(fills, currency).items():
        for name, column in _of_symbol(symbol, part, paid.get(symbol)).items():
            columns[name].append(column)
    return _frame({name: np.concatenate(parts) for name, parts in columns.items() if parts})


def _frame(columns: dict[str, npt.NDArray[Any]]) -> pl.DataFrame:
    import polars as pl

    kinds = {
        TIME: pl.Datetime("ns", "UTC"),
        TEXT: pl.String(),
        NUMBER: pl.Float64(),
    }
    frame = pl.DataFrame(
        [
            pl.Series(name, columns.get(name, [])).cast(kinds[kind])
            for name, kind in TABLES["round_trips"].items()
        ]
    )
    return frame.sort("exit_time", maintain_order=True)


class SymbolFills(msgspec.Struct, frozen=True):
    """The fills of one symbol in their order, arrays of shape (n,).

    `fee` is in cash where `in_cash`, else in the base currency where `in_base`.
    """

    time_ns: Ints
    quantity: Floats
    price: Floats
    fee: Floats
    liquidation: Floats
    sold: npt.NDArray[np.bool_]
    in_cash: npt.NDArray[np.bool_]
    in_base: npt.NDArray[np.bool_]


def fills_by_symbol(fills: pl.DataFrame, currency: str) -> dict[str, SymbolFills]:
    """Give the fills of each symbol; what is not finite counts zero.

    Parameters
    ----------
    fills : frame
        Rows of ``fills``.
    currency : str
        The account's currency.
    """
    import polars as pl

    symbol, unit, side = (
        fills.get_column(name).cast(pl.String) for name in ("symbol", "fee_currency", "side")
    )
    base = symbol.str.split("/").list.first()
    quote = symbol.str.split("/").list.get(1, null_on_oob=True).str.split(":").list.first()
    in_cash = ((unit == currency) | (unit == quote)).fill_null(False).to_numpy()
    in_base = (unit == base).fill_null(False).to_numpy() & ~in_cash
    sold = (side == "sell").fill_null(False).to_numpy()
    time_ns = fills.get_column("time").to_physical().to_numpy()
    numbers = [
        np.nan_to_num(fills.get_column(name).to_numpy().astype(np.float64), posinf=0.0, neginf=0.0)
        for name in ("quantity", "price", "fee", "liquidation")
    ]
    if "fee_quote" in fills.columns:  # a fee in a third currency, as booked
        booked = fills.get_column("fee_quote").to_numpy().astype(np.float64)
        valued = np.isfinite(booked) & ~in_cash & ~in_base
        numbers[2], in_cash = np.where(valued, booked, numbers[2]), in_cash | valued
    columns = (time_ns, *numbers, sold, in_cash, in_base)
    return {
        name: SymbolFills(*(column[rows] for column in columns))
        for name, rows in rows_by_symbol(fills).items()
    }


def net_units(fills: SymbolFills) -> tuple[Ints, float, Floats]:
    """Give what the fills of one symbol brought, and cost.

    Returns
    -------
    units : array of int64, shape (n,)
        Whole units that arrived, signed, net of a fee in the base currency.
    scale : float
        Units in one of the base currency.
    fee : array, shape (n,)
        Fees in the quote currency, see `round_trips`.
    """
    kept_back = np.where(fills.in_base, fills.fee, 0.0)
    both, scale = whole_units(np.concatenate([fills.quantity, kept_back]))
    gross, fee_units = np.split(both, 2)
    units = np.where(fills.sold, -gross, gross) - fee_units
    in_base = np.where(fills.in_base, fills.fee * fills.price, 0.0)
    return units, scale, np.where(fills.in_cash, fills.fee, in_base)


def _of_symbol(
    symbol: str, fills: SymbolFills, paid: _Funding | None
) -> dict[str, npt.NDArray[Any]]:
    units, scale, fee = net_units(fills)
    entry, exit_, part = first_in_first_out(units)
    size, price = np.abs(units), fills.price
    fees = fee[entry] * (part / size[entry]) + fee[exit_] * (part / size[exit_])
    exited = np.bincount(exit_, weights=part, minlength=len(units))
    charge = fills.liquidation[exit_] * (part / exited[exit_])
    quantity, side = part / scale, np.sign(units[entry])
    funding = np.zeros(len(part))
    if paid is not None:
        funding = _shared_funding(paid, units, fills.time_ns, (entry, exit_, part))
    gross = side * quantity * (price[exit_] - price[entry])
    return {
        "symbol": np.full(len(part), symbol, object),
        "side": np.where(side > 0, "long", "short").astype(object),
        "entry_time": fills.time_ns[entry],
        "entry_price": price[entry],
        "exit_time": fills.time_ns[exit_],
        "exit_price": price[exit_],
        "quantity": quantity,
        "pnl": gross - fees - funding - charge,
        "fees": fees,
        "funding": funding,
        "liquidation": charge,
    }


class _Funding(msgspec.Struct, frozen=True):
    """What the trades of one symbol paid, by exit; `apart` is the part that belongs to no trade."""

    begin_ns: Ints
    end_ns: Ints
    paid: Floats
    apart: float
    is_open: bool


def _funding_of(trades: pl.DataFrame) -> dict[str, _Funding]:
    """Return the funding of the trades of each symbol that paid or received any."""
    import polars as pl

    paid = np.asarray(trades.get_column("funding").to_numpy(), dtype=np.float64)
    if not np.any(paid != 0.0):
        return {}
    reason = trades.get_column("exit_reason").cast(pl.String).fill_null("")
    dust, still = ((reason == name).to_numpy() for name in ("dust", "open"))
    begins, ends = (
        trades.get_column(f"{n}_time").to_physical().to_numpy() for n in ("entry", "exit")
    )
    by_symbol = {}
    for symbol, rows in rows_by_symbol(trades).items():
        own = rows[~dust[rows]]
        own = own[np.argsort(ends[own], kind="stable")]
        apart = float(paid[rows[dust[rows]]].sum())
        by_symbol[symbol] = _Funding(
            begins[own], ends[own], paid[own], apart, bool(still[rows].any())
        )
    return by_symbol


def _shared_funding(
    trades: _Funding, units: Ints, time_ns: Ints, matched: tuple[Ints, Ints, Ints]
) -> Floats:
    """Share the funding of each trade out to the round trips that ended within it.

    Funding that belongs to no trade, or to a trade without round trips, is shared by all.
    """
    begin, end = trades.begin_ns, trades.end_ns
    entry, exit_, part = matched
    if not len(part):
        return np.zeros(0)
    opened, closed = time_ns[entry], time_ns[exit_]
    every = part * (closed - opened).astype(np.float64)
    every = every if every.sum() > 0.0 else part.astype(np.float64)
    if not len(end):
        return np.asarray(trades.apart * (every / every.sum()))
    at = np.searchsorted(end, closed, side="left")
    inside = at < len(end)
    place = np.where(inside, at, 0)
    since = np.maximum(opened, begin[place])
    weight = np.where(inside, part * np.maximum(closed - since, 0).astype(np.float64), 0.0)
    rest = np.zeros(len(end))
    if trades.is_open:
        held = entered_units(units) - np.bincount(entry, part, len(units))
        rest[-1] = float(held @ (end[-1] - np.maximum(time_ns, begin[-1])).astype(np.float64))
    total_weight = np.bincount(place, weight, len(end)) + rest
    weight = np.where((total_weight <= 0.0)[place] & inside, part, weight)
    total_weight = np.bincount(place, weight, len(end)) + rest
    has_weight = total_weight > 0.0
    share = trades.paid / np.where(has_weight, total_weight, 1.0)
    unassigned = trades.apart + float(trades.paid[~has_weight].sum())
    return np.asarray(share[place] * weight + unassigned * (every / every.sum()))


def round_trips_won(frame: pl.DataFrame | None) -> dict[str, Any]:
    """Return the number of round trips and the share that made money; None if unknown."""
    if frame is None:
        return {"round_trips": None, "round_trip_win_rate": None}
    pnl = np.asarray(frame.get_column("pnl").to_numpy(), dtype=np.float64)
    return {"round_trips": len(pnl), "round_trip_win_rate": st.win_rate(pnl)}
