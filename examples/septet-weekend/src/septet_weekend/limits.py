"""A risk rule: it is given numbers and returns one, and so it cannot touch the account."""

from septet.plugin import Config, Fraction, limit
from septet.plugin.numeric import helper

__all__ = ["WeekendCap", "is_weekend", "weekend_cap"]

DAY_NS = 86_400_000_000_000
THURSDAY = 3  # the weekday of 1970-01-01, counted from Monday


class WeekendCap(Config):
    """On Saturdays and Sundays (UTC) a position may not grow above a share of equity."""

    shorthand = "max"
    max: Fraction = 0.05
    """Largest share of equity."""


@helper
def is_weekend(now_ns: int) -> bool:
    """Return whether an instant (UTC nanoseconds since the epoch) is on a Saturday or Sunday."""
    return (now_ns // DAY_NS + THURSDAY) % 7 >= 5


@limit(WeekendCap)
def weekend_cap(
    requested: float,
    price: float,
    equity: float,
    notional: float,
    now_ns: int,
    max: float,  # noqa: A002 - the key in the file
) -> float:
    """Return the largest quantity (base currency, zero or more) that may be added.

    Parameters
    ----------
    requested
        Quantity asked for, signed: only the part that increases the position.
    price
        Close of the bar that just ended, quote currency.
    equity
        Cash plus positions, quote currency.
    notional
        What is held and working in this symbol already, signed, quote currency.
    now_ns
        Decision time, UTC nanoseconds since the epoch.
    max
        The setting of the strategy file, a fraction of equity.
    """
    if not is_weekend(now_ns):
        return abs(requested)
    room = max * equity - abs(notional)
    return room / price if room > 0.0 else 0.0
