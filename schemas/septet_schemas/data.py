"""Keys of the `data` layer that mean the same for every source of bars or of a series.

They are split off a block before its plugin's own config model reads the rest
(``BlockOf("data", "candles", generic=CandlesConfig)``) and stand in `UseBlock.extra`.
"""

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
    keeps it and reports it in the verdict.
    """

    bad_stamp: Literal["drop", "refuse"] = "drop"
    """A time stamp that cannot be read."""
    mixed_units: Literal["keep", "refuse"] = "keep"
    """Time stamps in another unit than the rest."""
    mixed_zones: Literal["keep", "refuse"] = "keep"
    """Time stamps in another zone than the rest."""
    local_time: Literal["drop", "refuse"] = "drop"
    """Local times that a change of clocks skips or repeats."""
    unordered: Literal["keep", "refuse"] = "keep"
    """Rows earlier than the row before them; `keep` sorts."""
    duplicate: Literal["drop", "refuse"] = "drop"
    """The same row once more."""
    conflict: Literal["drop", "refuse"] = "drop"
    """Another row for a bar that was there already; `drop` keeps the first."""
    off_grid: Literal["drop", "refuse"] = "drop"
    """A time that is no multiple of the bar."""
    outside_session: Literal["drop", "refuse"] = "drop"
    """A bar outside of the sessions of the calendar."""
    unfinished: Literal["drop", "refuse"] = "drop"
    """The last bar, where it had not ended yet."""
    not_finite: Literal["drop", "refuse"] = "drop"
    """Values that are missing, not numbers or infinite."""
    bad_price: Literal["drop", "refuse"] = "drop"
    """Prices of zero or less."""
    high_below_low: Literal["drop", "refuse"] = "drop"
    """A high below its low."""
    outside_range: Literal["drop", "keep", "fill", "refuse"] = "drop"
    """An open or close outside of high and low."""
    bad_volume: Literal["drop", "fill", "refuse"] = "fill"
    """Volumes that are missing or negative; `fill` makes them 0."""
    zero_volume: Literal["drop", "keep", "refuse"] = "keep"
    """A bar without volume."""
    volume_unit: Literal["keep", "refuse"] = "keep"
    """A volume that changes its size by a factor of 300 or more and stays there."""
    wrong_zone: Literal["keep", "refuse"] = "refuse"
    """Signs that `time_zone` is not the zone of the stamps."""
    price_levels: Literal["keep", "refuse"] = "refuse"
    """Closes that jump between separate price levels, as those of two symbols do."""
    price_spike: Literal["drop", "keep", "refuse"] = "drop"
    """A bar 5 times above or below the bars around it."""
    price_wick: Literal["warn", "keep", "drop", "refuse"] = "warn"
    """A high, low or open 5 times off the rest of its bar."""
    price_step: Literal["keep", "refuse"] = "refuse"
    """Prices 5 times off those before that stay there."""
    price_gap: Literal["warn", "keep", "refuse"] = "warn"
    """Prices 1.7 times off those before, or off after a long gap."""
    jump: Literal["keep", "refuse"] = "keep"
    """A close more than 20 % away from that of the session before."""
    gap: Literal["keep", "fill", "refuse"] = "keep"
    """A bar that is missing; `fill` makes up a bar that never trades."""


class CandlesConfig(Config):
    """Generic keys of a block that names a source of bars.

    `calendar` is one name, or a name for each symbol; None leaves it to the source, else 24x7.
    `time_zone` is where the clock of stamps stands that name no zone of their own; times of day
    without one are refused until the file says it, dates and numbers are in UTC. `adjust` must be
    written where the data brings an adjusted close. `max_bad` is the share of rows with a defect
    that is dropped or mended above which the whole series is refused.
    """

    stamp: Literal["open", "close"] | None = None
    """Whether a time marks the open or the close of its bar."""
    time_zone: TimeZone | None = None
    """The zone of stamps that name none."""
    time_unit: TimeUnit = "auto"
    """Unit of stamps that are numbers; `auto` infers it from their size."""
    calendar: str | dict[str, str] | None = None
    """When the market is open: 24x7, XFX, an exchange such as XNYS, or one for each symbol."""
    adjust: Literal["none", "splits", "total"] | None = None
    """What prices are adjusted for, where the data brings an adjusted close or splits."""
    volume_in: Literal["base", "quote"] | None = None
    """Whether volume counts units or quote currency."""
    reset_after: Bars = 24
    """A gap of more bars restarts the warm-up of the features."""
    max_staleness: WallDuration | None = None
    """Live: how long after an expected close a stream may be silent before entries are blocked."""
    max_bad: Fraction = 0.01
    """Refuse a series with a larger share of rows that are dropped or mended."""
    policy: Policies = Policies()
    """What is done about each kind of defect."""


class SeriesConfig(Config):
    """Generic keys of a block that names an outside series.

    A value is known at its stamp plus `known_after` (or when its source says it was
    published), raised to the next instant of `every`. `max_age` ends a value. An `optional`
    series that cannot be had is empty instead of an error. `max_bad` is the share of rows with a
    defect above which the series is refused; a value that is missing is no defect.
    """

    time_zone: TimeZone | None = None
    """The zone of stamps that name none."""
    time_unit: TimeUnit = "auto"
    """Unit of stamps that are numbers; `auto` infers it from their size."""
    known_after: MarketDelay | None = None
    """Time from a value's stamp to when it became known."""
    every: Poll | None = None
    """When the series is downloaded: a value is known at the next such time."""
    max_age: MarketDuration | None = None
    """A value older than this counts as missing."""
    optional: bool = False
    """Run without the series where it cannot be had."""
    max_bad: Fraction = 0.01
    """Refuse a series with a larger share of rows with a defect."""
    policy: Policies = Policies()
    """What is done about each kind of defect."""
