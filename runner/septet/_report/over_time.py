"""Data of the charts of exposure by side and of rolling figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._report.thinning import floats, milliseconds, short, stamps, thin_rows
from septet._results import statistics as st
from septet._results.over_time import WINDOW_DAYS, rolling_beta, rolling_sharpe
from septet._results.round_trips import fills_by_symbol, net_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from septet._data.bars import Floats, Ints
    from septet._store.run_folder import Run

__all__ = ["ROLLING_DAYS", "exposure", "held_sides", "notionals", "rolling"]

STRETCHES: Final = 240
SAMPLED_ROWS: Final = 20_000
ROLLING_POINTS: Final = 900
ROLLING_DAYS: Final = WINDOW_DAYS + 29
"""Daily returns that a chart of rolling figures needs: it has thirty points or more."""


def notionals(
    time_ns: Ints, fills: pl.DataFrame, bars: dict[str, pl.DataFrame], currency: str
) -> Iterator[tuple[str, Floats]]:
    """Yield what was held of each symbol at some times, in the account's currency, shorts negative.

    Quantities come from the fills, prices are the last closes of `bars`; symbols without bars are
    left out. The first row counts fills before each time, the second those at it as well.
    """
    for symbol, part in fills_by_symbol(fills, currency).items():
        table = bars.get(symbol)
        if table is None or not table.height:
            continue
        at = np.searchsorted(stamps(table), time_ns, side="right") - 1
        price = floats(table, "close")[np.maximum(at, 0)]
        units, scale, _ = net_units(part)
        cumulated = np.concatenate([[0.0], np.cumsum(units) / scale])
        sums = np.zeros((2, len(time_ns)))
        for row, side in enumerate(("left", "right")):
            count_before = np.searchsorted(part.time_ns, time_ns, side=side)  # type: ignore[call-overload]
            sums[row] = np.where(at >= 0, cumulated[count_before] * price, 0.0)
        yield symbol, sums


def held_sides(
    time_ns: Ints,
    fills: pl.DataFrame,
    bars: dict[str, pl.DataFrame],
    currency: str,
    gross: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Notional that was held long and short at some times, in the account's currency.

    Quantities come from the fills, prices are the last closes of `bars`. A fill at one of the
    times comes before it or after it, which its time does not show: of both sums the one
    nearer to `gross` is taken, and without `gross` the fill comes after.

    Parameters
    ----------
    time_ns : array, shape (n,)
        Rising UTC times.
    gross : array, shape (n,), optional
        Notional of both sides together, where it is known.

    Returns
    -------
    long, short : arrays, shape (n,)
        Both at least zero. Symbols without bars count nothing.
    """
    sums = np.zeros((2, 2, len(time_ns)))
    for _, both in notionals(time_ns, fills, bars, currency):
        sums[:, 0] += np.maximum(both, 0.0)
        sums[:, 1] += np.maximum(-both, 0.0)
    if gross is None:
        return sums[0, 0], sums[0, 1]
    distance = np.abs(sums.sum(axis=1) - gross)
    late = distance[1] < distance[0]
    return np.where(late, sums[1, 0], sums[0, 0]), np.where(late, sums[1, 1], sums[0, 1])


def exposure(run: Run, bars: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Return mean long and short exposure of equal stretches; extremes would draw a solid block.

    Their sum is the mean of the column `exposure`, of which each side has its share.
    """
    table = run.table("equity")
    if table.get_column("exposure").null_count() == table.height:
        return {"t": [], "mean": [], "long": [], "short": []}
    starts = np.unique(np.linspace(0, table.height, STRETCHES, endpoint=False).astype(np.int64))
    share = np.nan_to_num(floats(table, "exposure"), posinf=0.0, neginf=0.0)
    mean = np.add.reduceat(share, starts) / np.diff(np.append(starts, table.height))
    rows = np.arange(0, table.height, -(-table.height // SAMPLED_ROWS))
    rows = np.unique(np.concatenate([rows, starts]))
    equity = floats(table, "equity")[rows]
    gross = share[rows] * equity
    sides = held_sides(stamps(table)[rows], run.table("fills"), bars, run.facts.currency, gross)
    both = sides[0] + sides[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(both > 0.0, sides[1] / both, 0.0) * share[rows]
    at = np.searchsorted(rows, starts)
    count = np.diff(np.append(at, len(rows)))
    total = np.add.reduceat(share[rows], at) / count
    short_part = np.add.reduceat(part, at) / count
    short_part *= np.where(total > 0.0, mean / np.where(total > 0.0, total, 1.0), 0.0)
    return {
        "t": milliseconds(stamps(table)[starts]),
        "mean": short(mean),
        "long": short(mean - short_part),
        "short": short(-short_part),
    }


def rolling(run: Run, bars: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Sharpe ratio and beta of the last `WINDOW_DAYS` daily returns, at each start of a day."""
    facts, table = run.facts, run.table("equity", ["time", "equity"])
    days_ns, samples = st.sample_days(
        stamps(table),
        floats(table, "equity"),
        sessions=facts.sessions,
        ends_inside=facts.ends_inside,
        session_close=facts.session_close,
        day_start=facts.day_start,
        time_zone=facts.time_zone,
    )
    returns = st.daily_returns(samples)
    if len(returns) < ROLLING_DAYS:
        return {"t": [], "sharpe": [], "beta": [], "days": len(returns)}
    closes = {
        symbol: (stamps(part), floats(part, "close"))
        for symbol, part in bars.items()
        if facts.benchmark in ("", symbol)
    }
    market = st.daily_returns(st.hold_growth(days_ns, closes, facts.first_decision_ns))
    sharpe, beta = rolling_sharpe(returns, facts.days_a_year), np.full(len(returns), np.nan)
    if closes and len(market) == len(returns):
        beta = rolling_beta(returns, market)
    begun = slice(WINDOW_DAYS - 1, None)
    sharpe, beta, time_ns = sharpe[begun], beta[begun], days_ns[1:][begun]
    rows = [thin_rows(np.nan_to_num(each), ROLLING_POINTS) for each in (sharpe, beta)]
    drawn = np.unique(np.concatenate(rows))
    return {
        "t": milliseconds(time_ns[drawn]),
        "sharpe": short(sharpe[drawn]),
        "beta": short(beta[drawn]) if np.isfinite(beta).any() else [],
        "days": len(returns),
    }
