"""Features of context: time, peaks, the universe, outside series, and free expressions."""

from __future__ import annotations

import math

from septet.plugin import Bars, Config, Expression, Inner, Input, across, feature, inner, unbounded
from septet.plugin.numeric import NAN, cosine, divide, finite, sine

__all__ = [
    "Calendar",
    "Clock",
    "CrossRank",
    "Drawdown",
    "Expr",
    "Running",
    "Series",
    "calendar",
    "cross_rank",
    "day_number",
    "drawdown",
    "expr",
    "hour",
    "minute_of_day",
    "month",
    "running_max",
    "series",
    "weekday",
]

DAY_SECONDS = 86_400
ROUND = 2.0 * math.pi
PRICES = ("open", "high", "low", "close")


class Calendar(Config):
    """Hour of the day and day of the week at the bar's close T, in UTC; takes no settings.

    T is the time at which the bar is known and the decision is taken. A daily bar of Monday closes
    on Tuesday at 00:00: its weekday is Tuesday, and an order it causes fills at the open of
    Tuesday's bar.
    """


class Clock(Config):
    """A value of the clock or the calendar in the file's `time_zone`; takes no settings."""


class CrossRank(Config):
    """Rank of `of` among all symbols of the universe at the same time."""

    of: Input = "close"
    """The column that symbols are ranked by."""


class Drawdown(Config):
    """Fall of `of` from its peak: in the last `window` bars, or since the first bar."""

    of: Input = "close"
    """The column whose fall is computed."""
    window: Bars | None = None
    """Number of bars over which the peak is taken; by default all since the first bar."""


class Running(Config):
    """A value that accumulates since the first bar, over `of`."""

    of: Input = "close"
    """The column to read."""


class Series(Config):
    """An outside series as a feature; `missing` is its value while no value is known."""

    of: Input
    """The entry of `data` with the series."""
    missing: float | None = None
    """The value while no value is known; NaN by default."""

    @property
    def missing_value(self) -> float:
        """The value of `missing`, or NaN if it is not set."""
        return NAN if self.missing is None else self.missing


class Expr(Config):
    """A formula over columns and features."""

    shorthand = "formula"

    formula: Expression
    """An expression over columns and features."""


@feature(Running, state=("started", "peak"), memory=lambda c: unbounded(), value_range="of")
def running_max(i, of, state):
    """Return the largest value since the first bar, in the unit of `of`; NaN where `of` is."""
    if not finite(of[i]):
        return NAN
    if state.started == 0.0 or of[i] > state.peak:
        state.started = 1.0
        state.peak = of[i]
    return state.peak


def _peak(config: Drawdown) -> dict[str, Inner]:
    if config.window is None:
        return {"peak": inner("running_max", of=config.of)}
    return {"peak": inner("highest", of=config.of, period=config.window)}


def _fall_range(config: Drawdown) -> tuple[float, float]:
    """Range of a fall: prices fall by at most 100 %; columns that may be negative have no bound."""
    return (-1.0, 0.0) if config.of in PRICES else (-math.inf, math.inf)


@feature(Drawdown, inner=_peak, value_range=_fall_range)
def drawdown(i, of, peak):
    """Return ``of / peak - 1``, a fraction, 0 or less.

    Without `window` its memory is unbounded, and models and rules reject it.
    """
    return divide(of[i] - peak[i], peak[i])


@feature(Clock, value_range=(0.0, math.inf))
def day_number(i, local_day):
    """Return the number of the day the bar opened in, since 1970-01-01.

    Days begin at `day_start` on the clock of the file's `time_zone`, and carry the number of the
    date on which they begin.
    """
    return local_day[i]


@feature(Clock, value_range=(0.0, 23.0))
def hour(i, local_seconds):
    """Return the hour of T, the bar's close, on the clock of `time_zone`: whole, 0 to 23."""
    return float(local_seconds[i] % DAY_SECONDS // 3_600)


@feature(Clock, value_range=(0.0, 1_439.0))
def minute_of_day(i, local_seconds):
    """Return the minutes from midnight to T, the bar's close, in `time_zone`: 9:45 is 585.

    Whole, 0 to 1439; the clock's minute, also on days on which the clock is set.
    """
    return float(local_seconds[i] % DAY_SECONDS // 60)


@feature(Clock, value_range=(0.0, 6.0))
def weekday(i, local_seconds):
    """Return the weekday of T, the bar's close, in `time_zone`: 0 is Monday, 6 Sunday."""
    return float((local_seconds[i] // DAY_SECONDS + 3) % 7)


@feature(Clock, value_range=(1.0, 12.0))
def month(i, local_seconds):
    """Return the month of T, the bar's close, in `time_zone`: 1 is January, 12 December.

    Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    """
    days = local_seconds[i] // DAY_SECONDS + 719_468.0
    of_era = days - days // 146_097.0 * 146_097.0
    year = (of_era - of_era // 1_460.0 + of_era // 36_524.0 - of_era // 146_096.0) // 365.0
    of_year = of_era - (365.0 * year + year // 4.0 - year // 100.0)
    from_march = (5.0 * of_year + 2.0) // 153.0
    return from_march + 3.0 if from_march < 10.0 else from_march - 9.0


@feature(
    Calendar,
    outputs=("hour_sine", "hour_cosine", "weekday_sine", "weekday_cosine"),
    value_range=(-1.0, 1.0),
)
def calendar(i, seconds):
    """Return time of day and day of week (from Monday) at the close as points on a circle.

    The time of day is continuous (minutes count); the weekday is an integer: sine and cosine of ``2
    pi n / 7`` with n = 0 on Monday, for the day that contains T. The bar that closes at midnight
    has the weekday of the day that begins. UTC; -1 to 1.
    """
    day = seconds[i] // DAY_SECONDS
    hour = ROUND * (seconds[i] - day * DAY_SECONDS) / DAY_SECONDS
    weekday = ROUND * ((day + 3) % 7) / 7
    return sine(hour), cosine(hour), sine(weekday), cosine(weekday)


@across(CrossRank, value_range=(0.0, 1.0))
def cross_rank(k, values):
    """Return the share of the other symbols below this one, equals counting half: 0 to 1.

    Symbols without a value at this time are left out; NaN if this symbol has none, or is the only
    one.
    """
    now = values[k]
    below = 0.0
    others = -1.0
    for other in range(len(values)):
        value = values[other]
        if finite(value):
            others += 1.0
            if value < now:
                below += 1.0
            elif value == now:
                below += 0.5
    if not finite(now) or others < 1.0:
        return NAN
    return (below - 0.5) / others


@feature(Series)
def series(i, of, missing_value):
    """Return the value of the outside series known at this bar's close, else `missing`."""
    if finite(of[i]):
        return of[i]
    return missing_value


@feature(Expr)
def expr(formula):
    """Return the value of the expression; NaN where it is undefined."""
    return formula
