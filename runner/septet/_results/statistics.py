"""Computes the figures of a run from equity, trades and fills.

Pure functions of arrays. What is undefined is None, never infinity and never NaN. Fractions are
fractions (0.1 is ten percent). All of it is computed after the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from septet._data.bars import Floats, Ints

__all__ = [
    "DAY_NS",
    "YEAR_NS",
    "Month",
    "brier",
    "calibration",
    "daily_returns",
    "exposure",
    "hold_growth",
    "longest_underwater_ns",
    "max_drawdown",
    "monthly_returns",
    "profit_factor",
    "on_calendar_days",
    "sample_days",
    "sharpe",
    "sortino",
    "total_return",
    "turnover",
    "win_rate",
]

DAY_NS: Final = 86_400_000_000_000
YEAR_NS: Final = 365 * DAY_NS
# A spread below this share of the values is the rounding of their sums, not a spread.
_ROUNDING: Final = 1e-12
# Rows that are summed at a time.
_PIECE: Final = 1 << 16
_Z95: Final = 1.959963984540054


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def total_return(initial: float, final: float) -> float | None:
    """Return ``final / initial - 1`` of equity, a fraction; None without a positive start."""
    return _finite(final / initial - 1.0) if initial > 0 else None


def _local_steps(start_ns: int, end_ns: int, zone: ZoneInfo, clock: time, months: bool) -> Ints:
    """Starts of local days (or months) from the one that holds `start_ns` to one past the end."""
    first = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC).astimezone(zone)
    day = first.date() - timedelta(days=1)
    if months:
        day = day.replace(day=1)
    stamps = []
    while True:
        local = datetime.combine(day, clock, tzinfo=zone)
        stamp = int(local.timestamp()) * 1_000_000_000
        stamps.append(stamp)
        if stamp > end_ns:
            return np.array(stamps, dtype=np.int64)
        day = (day.replace(day=28) + timedelta(days=4)).replace(day=1) if months else day + _DAY


_DAY: Final = timedelta(days=1)


def _clock(day_start: str) -> time:
    """Read ``HH:MM`` or ``HH:MM:SS``."""
    return time.fromisoformat(day_start)


def sample_days(
    time_ns: Ints,
    equity: Floats,
    *,
    sessions: bool = False,
    ends_inside: bool = False,
    session_close: str = "",
    day_start: str = "00:00",
    time_zone: str = "UTC",
) -> tuple[Ints, Floats]:
    """Equity at each start of a day: the last row at or before it.

    Parameters
    ----------
    time_ns, equity : arrays, shape (n,)
        Rising UTC times and the equity known then.
    sessions : bool
        True: only days that brought a row count, the last one included. False: every calendar
        day between the first and the last row counts; a day without rows repeats the value.
    ends_inside : bool
        The last row lies inside a session, whose day is then no whole one.
    session_close : str
        When sessions end, as ``17:00 America/New_York``: only days in which one with a row ends
        count, so that a session of two local days is one day. Empty: every day with a row.
    """
    if len(time_ns) == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    first, last = int(time_ns[0]), int(time_ns[-1])
    days = _local_steps(first, last, ZoneInfo(time_zone), _clock(day_start), months=False)
    rows = np.searchsorted(time_ns, days, side="right") - 1
    keep = rows >= 0
    if sessions:
        keep &= np.diff(rows, prepend=-1) > 0
        if session_close:
            keep &= _days_of_closes(time_ns, days, session_close)
        if ends_inside:
            keep[rows == len(time_ns) - 1] = False
    else:
        keep &= days <= last
    return days[keep], equity[rows[keep]]


def _days_of_closes(time_ns: Ints, days: Ints, session_close: str) -> npt.NDArray[np.bool_]:
    """Whether a session with a row ends between the start of a day and that of the next."""
    clock, _, name = session_close.partition(" ")
    begin, end = int(time_ns[0]), int(days[-1])
    closes = _local_steps(begin, end, ZoneInfo(name), _clock(clock), months=False)
    rows = np.searchsorted(time_ns, closes, side="right")
    closes = closes[np.diff(rows, prepend=0) > 0]
    ended = np.searchsorted(closes, days, side="right")
    return np.diff(ended, prepend=0) > 0


def daily_returns(samples: Floats) -> Floats:
    """Returns between neighbouring samples; empty once equity is not positive."""
    if len(samples) < 2 or not np.all(samples[:-1] > 0):
        return np.zeros(0)
    return np.asarray(samples[1:] / samples[:-1] - 1.0)


def on_calendar_days(days: Ints, returns: Floats, *, time_zone: str = "UTC") -> tuple[int, Floats]:
    """Return the first day (days since 1970) of daily returns, and one value a calendar day.

    `days` are the starts of days (UTC ns) at which equity was sampled, shape (n + 1,), and
    `returns` those between them, shape (n,). A return belongs to the local day that ends with its
    sample; a day without one is NaN. Without returns the first day is 0.
    """
    if not len(returns):
        return 0, np.zeros(0)
    zone, epoch = ZoneInfo(time_zone), date(1970, 1, 1)
    ends = [datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone) for at in days[1:].tolist()]
    numbers = np.array([(each.date() - epoch).days - 1 for each in ends])
    values = np.full(numbers[-1] - numbers[0] + 1, np.nan)
    values[numbers - numbers[0]] = returns
    return int(numbers[0]), values


def _annual_ratio(returns: Floats, spread: float, days: float) -> float | None:
    if not math.isfinite(spread) or spread <= _ROUNDING * float(np.abs(returns).max()):
        return None
    return _finite(float(returns.mean()) / spread * math.sqrt(days))


def sharpe(returns: Floats, days: float) -> float | None:
    """Mean over standard deviation (ddof 1) of daily returns, zero rate, times sqrt(days).

    None with fewer than two returns or without any spread.
    """
    if len(returns) < 2 or not np.all(np.isfinite(returns)):
        return None
    return _annual_ratio(returns, float(returns.std(ddof=1)), days)


def sortino(returns: Floats, days: float) -> float | None:
    """Mean over downside deviation of daily returns, zero rate, times sqrt(days).

    The downside deviation is sqrt(sum(min(r, 0)^2) / (n - 1)). None with fewer than two
    returns or without a losing day.
    """
    if len(returns) < 2 or not np.all(np.isfinite(returns)):
        return None
    losses = np.minimum(returns, 0.0)
    return _annual_ratio(returns, math.sqrt(float(losses @ losses) / (len(returns) - 1)), days)


def max_drawdown(equity: Floats, initial: float) -> float | None:
    """Return the deepest fall below the highest equity so far, as a fraction; 0 if it never fell.

    The initial capital is the first peak. More than 1 if equity went below zero.
    """
    if len(equity) == 0 or initial <= 0:
        return None
    peak, deepest = initial, 0.0
    for start in range(0, len(equity), _PIECE):
        piece = equity[start : start + _PIECE]
        peaks = np.maximum(np.maximum.accumulate(piece), peak)
        deepest = float(np.max(1.0 - piece / peaks, initial=deepest))
        peak = float(peaks[-1])
    return _finite(deepest)


def exposure(share: Floats) -> float | None:
    """Mean of |notional| / equity over the rows; rows without a value do not count.

    They are summed one by one in their order, as a run without tables sums them: the same bits.
    """
    total, rows = 0.0, 0
    for start in range(0, len(share), _PIECE):
        piece = share[start : start + _PIECE]
        known = piece[np.isfinite(piece)]
        sums = np.empty(len(known) + 1)
        sums[0] = total
        np.abs(known, out=sums[1:])
        total = float(np.add.accumulate(sums, out=sums)[-1])
        rows += len(known)
    return total / rows if rows else None


def win_rate(pnl: Floats) -> float | None:
    """Return the fraction of closed trades that made money after fees; None without trades.

    `pnl` is float64 (n,), results in the account's currency; 0 counts as a loss.
    """
    return float(np.mean(pnl > 0)) if len(pnl) else None


def profit_factor(pnl: Floats) -> float | None:
    """Return the sum of winning trades over that of losing ones, after fees; None without a loss.

    `pnl` is float64 (n,), results in the account's currency.
    """
    losses = -float(pnl[pnl < 0].sum())
    return _finite(float(pnl[pnl > 0].sum()) / losses) if losses > 0 else None


def turnover(notional: float, equity: Floats, span_ns: int) -> float | None:
    """Return traded notional over mean equity, per year of 365 days.

    `notional` and `equity`, float64 (n,), are in the account's currency. None without a span or a
    positive mean.
    """
    mean = float(equity.mean()) if len(equity) else 0.0
    if span_ns <= 0 or mean <= 0:
        return None
    return _finite(notional / mean / (span_ns / YEAR_NS))


class Month(msgspec.Struct, frozen=True):
    """The return of one calendar month, as a fraction; None if it began without equity.

    `is_whole` is False where the run began or ended inside the month.
    """

    year: int
    month: int
    value: float | None
    is_whole: bool = True


def monthly_returns(
    time_ns: Ints,
    equity: Floats,
    initial: float,
    *,
    day_start: str = "00:00",
    time_zone: str = "UTC",
    slack_ns: int = DAY_NS,
) -> list[Month]:
    """Return returns by local calendar month; the first starts from the initial capital.

    `time_ns` and `equity` have shape (n,): rising UTC times, and the equity known then.
    A month begins as its first day does, at `day_start` of `time_zone`. A row at the first instant
    of a month still belongs to the month that ends then; where it is the first row and holds the
    initial capital, that month is left out. A month is whole if the rows reach to within
    `slack_ns` of its beginning and its end.
    """
    if len(time_ns) == 0:
        return []
    zone = ZoneInfo(time_zone)
    edges = _local_steps(int(time_ns[0]), int(time_ns[-1]), zone, _clock(day_start), months=True)
    ends = np.searchsorted(time_ns, edges, side="right")
    base, months = initial, []
    first, last = int(time_ns[0]) - slack_ns, int(time_ns[-1]) + slack_ns
    for edge, after, begin, end in zip(edges[:-1], edges[1:], ends[:-1], ends[1:], strict=True):
        if end == begin == 0 or begin == len(time_ns):
            continue
        final = float(equity[end - 1])
        if (
            begin == 0
            and end == 1 < len(time_ns)
            and int(time_ns[0]) == int(after)
            and final == base
        ):
            continue  # the run begins as this month ends: nothing of it is in the month
        local = datetime.fromtimestamp(int(edge) // 1_000_000_000, UTC).astimezone(zone)
        is_whole = first <= int(edge) and int(after) <= last
        months.append(Month(local.year, local.month, total_return(base, final), is_whole))
        base = final
    return months


def hold_growth(
    time_ns: Ints, bars: Mapping[str, tuple[Ints, Floats]], first_decision_ns: int
) -> Floats:
    """Growth of capital spread equally over the symbols at the first decision, and kept.

    Before costs. A symbol that joins later is cash until its first bar.

    Parameters
    ----------
    time_ns : array, shape (m,)
        Rising UTC times at which to value the holding.
    bars : mapping symbol -> (known_ns, close)
        Rising known times and closes.

    Returns
    -------
    array, shape (m,)
        1.0 is the capital at the first decision; empty `bars` give ones.
    """
    growth = np.zeros(len(time_ns))
    used = {symbol: pair for symbol, pair in bars.items() if len(pair[0])}
    for known_ns, close in used.values():
        at = max(int(np.searchsorted(known_ns, first_decision_ns, side="right")) - 1, 0)
        rows = np.maximum(np.searchsorted(known_ns, time_ns, side="right") - 1, at)
        growth += close[rows] / close[at]
    return growth / len(used) if used else np.ones(len(time_ns))


def _labelled(probability: Floats, label: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(probability) & np.isfinite(label)
    return probability[known], label[known]


def brier(probability: Floats, label: Floats) -> float | None:
    """Return the mean squared distance of probability and outcome (Brier 1950), 0 to 1.

    Both are float64 (n,); rows with NaN do not count, and None means that none is left.
    """
    p, y = _labelled(probability, label)
    return float(np.mean((p - y) ** 2)) if len(p) else None


def calibration(
    probability: Floats, label: Floats, bins: int = 10
) -> list[tuple[float, float, int, float, float]]:
    """Compare predicted probabilities with observed shares, in bins of equal width.

    `probability` and `label` (1 up, 0 down) are float64 (n,).
    Each filled bin gives its mean probability, the share of ups, the count, and the low and
    high end of the share's 95 % interval (Wilson 1927). Rows with NaN do not count; a
    probability of exactly 1 belongs to the last bin.
    """
    p, y = _labelled(probability, label)
    place = np.minimum((p * bins).astype(np.int64), bins - 1)
    rows = []
    for index in np.unique(place):
        inside = place == index
        n, share = int(inside.sum()), float(y[inside].mean())
        centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        spread = math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
        half = _Z95 * spread / (1 + _Z95**2 / n)
        rows.append((float(p[inside].mean()), share, n, centre - half, centre + half))
    return rows


def longest_underwater_ns(time_ns: Ints, equity: Floats, initial: float) -> int:
    """Return the longest time (ns) between a peak of equity and the next, or the end.

    `time_ns` and `equity` have shape (n,); the initial capital is the first peak.
    """
    if len(time_ns) == 0:
        return 0
    peak = np.maximum(np.maximum.accumulate(equity), initial)
    tops: npt.NDArray[np.int64] = time_ns[equity >= peak]
    stamps = np.concatenate([time_ns[:1], tops, time_ns[-1:]])
    return int(np.diff(stamps).max(initial=0))
