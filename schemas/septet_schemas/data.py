"""Keys of the `data` layer that mean the same for every source of bars or of a series.

They are split off a block before its plugin's own config model reads the rest
(``BlockOf("data", "candles", generic=CandlesConfig)``) and stand in `UseBlock.extra`.
"""

from __future__ import annotations

from typing import Final, Literal

from septet_schemas.base import Config
from septet_schemas.times import MarketDelay, Poll, TimeZone
from septet_schemas.units import Bars, Fraction, MarketDuration, WallDuration

__all__ = ["CALENDARS_OF_OUR_OWN", "CandlesConfig", "Policies", "SeriesConfig", "TimeUnit"]

CALENDARS_OF_OUR_OWN: Final = ("24x7", "XFX")
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]


class Policies(Config):
    """What is done about each kind of defect; every one is counted and reported.

    `drop` leaves the row out, `keep` uses it as it is, `fill` mends it, `refuse` stops, and `warn`
    keeps it and says so in the verdict.
    """

    bad_stamp: Literal["drop", "refuse"] = "drop"
    mixed_units: Literal["keep", "refuse"] = "keep"
    mixed_zones: Literal["keep", "refuse"] = "keep"
    local_time: Literal["drop", "refuse"] = "drop"
    unordered: Literal["keep", "refuse"] = "keep"
    duplicate: Literal["drop", "refuse"] = "drop"
    conflict: Literal["drop", "refuse"] = "drop"
    off_grid: Literal["drop", "refuse"] = "drop"
    outside_session: Literal["drop", "refuse"] = "drop"
    unfinished: Literal["drop", "refuse"] = "drop"
    not_finite: Literal["drop", "refuse"] = "drop"
    bad_price: Literal["drop", "refuse"] = "drop"
    high_below_low: Literal["drop", "refuse"] = "drop"
    outside_range: Literal["drop", "keep", "fill", "refuse"] = "drop"
    bad_volume: Literal["drop", "fill", "refuse"] = "fill"
    zero_volume: Literal["drop", "keep", "refuse"] = "keep"
    volume_unit: Literal["keep", "refuse"] = "keep"
    wrong_zone: Literal["keep", "refuse"] = "refuse"
    price_levels: Literal["keep", "refuse"] = "refuse"
    price_spike: Literal["drop", "keep", "refuse"] = "drop"
    price_wick: Literal["warn", "keep", "drop", "refuse"] = "warn"
    price_step: Literal["keep", "refuse"] = "refuse"
    price_gap: Literal["warn", "keep", "refuse"] = "warn"
    jump: Literal["keep", "refuse"] = "keep"
    gap: Literal["keep", "fill", "refuse"] = "keep"


class CandlesConfig(Config):
    """Generic keys of a block that names a source of bars.

    `calendar` is one name, or a name for each symbol; None leaves it to the source, else 24x7.
    `time_zone` is where the clock of stamps stands that name no zone of their own; times of day
    without one are refused until the file says it, dates and numbers are in UTC. `adjust` must be
    written where the data brings an adjusted close. `max_bad` is the share of rows with a defect
    that is dropped or mended above which the whole series is refused.
    """

    stamp: Literal["open", "close"] | None = None
    time_zone: TimeZone | None = None
    time_unit: TimeUnit = "auto"
    calendar: str | dict[str, str] | None = None
    adjust: Literal["none", "splits", "total"] | None = None
    volume_in: Literal["base", "quote"] | None = None
    reset_after: Bars = 24
    max_staleness: WallDuration | None = None
    max_bad: Fraction = 0.01
    policy: Policies = Policies()


class SeriesConfig(Config):
    """Generic keys of a block that names an outside series.

    A value is known at its stamp plus `known_after` (or when its source says it was
    published), raised to the next instant of `every`. `max_age` ends a value. An `optional`
    series that cannot be had is empty instead of an error. `max_bad` is the share of rows with a
    defect above which the series is refused; a value that is missing is no defect.
    """

    time_zone: TimeZone | None = None
    time_unit: TimeUnit = "auto"
    known_after: MarketDelay | None = None
    every: Poll | None = None
    max_age: MarketDuration | None = None
    optional: bool = False
    max_bad: Fraction = 0.01
    policy: Policies = Policies()
