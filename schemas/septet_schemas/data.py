"""Generic keys of the `data` layer, shared by all sources of bars or of a series.

They are split off a block before its plugin's own config model reads the rest (``BlockOf("data",
"candles", generic=CandlesConfig)``) and stored in `UseBlock.extra`.
"""

from typing import Final, Literal

from septet_schemas.base import Config
from septet_schemas.times import MarketDelay, Poll, TimeZone
from septet_schemas.units import Bars, Fraction, MarketDuration, WallDuration

__all__ = ["CALENDARS_OF_OUR_OWN", "CandlesConfig", "Policies", "SeriesConfig", "TimeUnit"]

CALENDARS_OF_OUR_OWN: Final = ("24x7", "XFX")
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]


class Policies(Config):
    """The action for each kind of defect; every defect is counted and reported.

    `drop` leaves the row out, `keep` uses it as it is, `fill` repairs it, `refuse` stops with an
    error, and `warn` keeps it and reports it in the verdict.
    """

    bad_stamp: Literal["drop", "refuse"] = "drop"
    """A time stamp that cannot be parsed."""
    mixed_units: Literal["keep", "refuse"] = "keep"
    """Time stamps in another unit than the other rows."""
    mixed_zones: Literal["keep", "refuse"] = "keep"
    """Time stamps in another time zone than the other rows."""
    local_time: Literal["drop", "refuse"] = "drop"
    """Local times that a clock change skips or repeats."""
    unordered: Literal["keep", "refuse"] = "keep"
    """Rows earlier than the row before them; `keep` sorts the rows."""
    duplicate: Literal["drop", "refuse"] = "drop"
    """An exact duplicate of another row."""
    conflict: Literal["drop", "refuse"] = "drop"
    """A second row for the same bar with other values; `drop` keeps the first row."""
    off_grid: Literal["drop", "refuse"] = "drop"
    """A time that is not a multiple of the bar."""
    outside_session: Literal["drop", "refuse"] = "drop"
    """A bar outside the sessions of the calendar."""
    unfinished: Literal["drop", "refuse"] = "drop"
    """The last bar, if it has not ended yet."""
    not_finite: Literal["drop", "refuse"] = "drop"
    """Values that are missing, not a number or infinite."""
    bad_price: Literal["drop", "refuse"] = "drop"
    """Prices of zero or less."""
    high_below_low: Literal["drop", "refuse"] = "drop"
    """A high below the low."""
    outside_range: Literal["drop", "keep", "fill", "refuse"] = "drop"
    """An open or close outside the range from low to high."""
    bad_volume: Literal["drop", "fill", "refuse"] = "fill"
    """Volumes that are missing or negative; `fill` makes them 0."""
    zero_volume: Literal["drop", "keep", "refuse"] = "keep"
    """A bar with zero volume."""
    volume_unit: Literal["keep", "refuse"] = "keep"
    """A volume whose scale changes by a factor of 300 or more and stays changed."""
    wrong_zone: Literal["keep", "refuse"] = "refuse"
    """Signs that `time_zone` is not the time zone of the stamps."""
    price_levels: Literal["keep", "refuse"] = "refuse"
    """Closes that jump between separate price levels, as if the rows of two symbols were mixed."""
    price_spike: Literal["drop", "keep", "refuse"] = "drop"
    """A bar whose prices are 5 times above or below the bars around it."""
    price_wick: Literal["warn", "keep", "drop", "refuse"] = "warn"
    """A high, low or open that differs by a factor of 5 from the other prices of its bar."""
    price_step: Literal["keep", "refuse"] = "refuse"
    """A price level that changes by a factor of 5 and stays changed."""
    price_gap: Literal["warn", "keep", "refuse"] = "warn"
    """Prices that change by a factor of 1.7, or change after a long gap."""
    jump: Literal["keep", "refuse"] = "keep"
    """A close more than 20 % away from the close of the previous session."""
    gap: Literal["keep", "fill", "refuse"] = "keep"
    """A missing bar; `fill` inserts a synthetic bar, which never trades."""


class CandlesConfig(Config):
    """Generic keys of a block that names a source of bars.

    `calendar` is one name, or a name for each symbol; None means the calendar of the source, or
    24x7 if the source has none. `time_zone` is the time zone of stamps that contain none. Times of
    day without a time zone are rejected if `time_zone` is not set; dates and numbers are in UTC.
    `adjust` is required if the data has an adjusted close. The whole series is rejected if the
    share of rows that are dropped or repaired is above `max_bad`.
    """

    stamp: Literal["open", "close"] | None = None
    """Whether a time stamp marks the open or the close of its bar."""
    time_zone: TimeZone | None = None
    """Time zone of stamps that contain none."""
    time_unit: TimeUnit = "auto"
    """Unit of numeric stamps; `auto` infers it from their size."""
    calendar: str | dict[str, str] | None = None
    """Trading calendar: 24x7, XFX, an exchange such as XNYS, or one for each symbol."""
    adjust: Literal["none", "splits", "total"] | None = None
    """Adjustment of prices, if the data has an adjusted close or splits."""
    volume_in: Literal["base", "quote"] | None = None
    """Whether volume is in units of the base or in quote currency."""
    reset_after: Bars = 24
    """A gap of more bars than this restarts the warm-up of the features."""
    max_staleness: WallDuration | None = None
    """Live: how long a stream may be silent after an expected close before entries are blocked."""
    max_bad: Fraction = 0.01
    """Reject a series if the share of rows that are dropped or repaired is above this."""
    policy: Policies = Policies()
    """The action for each kind of defect."""


class SeriesConfig(Config):
    """Generic keys of a block that names an outside series.

    A value is known at its stamp plus `known_after` (or at the publication time that its source
    gives), rounded up to the next instant of `every`. A value older than `max_age` counts as
    missing. An `optional` series that cannot be loaded is empty instead of an error. The series is
    rejected if the share of rows with a defect is above `max_bad`; a missing value is not a defect.
    """

    time_zone: TimeZone | None = None
    """The zone of stamps that name none."""
    time_unit: TimeUnit = "auto"
    """Unit of stamps that are numbers; `auto` infers it from their size."""
    known_after: MarketDelay | None = None
    """Time from a value's stamp until the value is known."""
    every: Poll | None = None
    """Download schedule of the series: a value is known at the next of these times."""
    max_age: MarketDuration | None = None
    """A value older than this counts as missing."""
    optional: bool = False
    """Run without the series if it cannot be loaded."""
    max_bad: Fraction = 0.01
    """Reject a series if the share of rows with a defect is above this."""
    policy: Policies = Policies()
    """What is done about each kind of defect."""
