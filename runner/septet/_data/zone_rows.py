"""The few stamps of many that show their zone, read without the rest."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bars import Finding
from septet._data.defects import Findings
from septet._data.files import READ_ERRORS, unreadable
from septet._data.source import LazyBars
from septet._data.spans import Clock
from septet._data.stamps import Stamps, within_years
from septet._data.zone_signs import judge_zone
from septet._data.zones import DAY_NS, HOUR_NS, ZONES_TRIED, clock_changes, days_of
from septet_schemas.data import CandlesConfig

__all__ = ["judge_unread_zone"]

_AROUND_NS: Final = 4 * HOUR_NS


def judge_unread_zone(
    lazy: LazyBars, clock: Clock, keys: CandlesConfig, bar_ns: int, calendar: str
) -> tuple[Finding, ...]:
    """Judge the zone of stamps that are yet to be read, as `judge_zone` judges them all.

    What it looks at is read and kept: the first and the last stamp of each day, and those around
    the changes of clocks.

    Raises
    ------
    DataError
        If they cannot be of the zone of the file, unless the policy for `wrong_zone` keeps them.
    """
    import polars as pl

    kind = clock.kind
    if not isinstance(kind, pl.Datetime) or kind.time_zone is not None:
        return ()
    found = Findings(lazy.facts.origin, lazy.symbol, keys.policy)
    wall = pl.col("timestamp").cast(pl.Int64)
    low, high = within_years(clock.unit_ns)
    frame = lazy.frame.select(wall).drop_nulls().filter(wall.is_between(low, high, closed="left"))
    ends = np.array([clock.first_ns, clock.last_ns])
    windows = {
        at for zone in ZONES_TRIED for at, _ in clock_changes(zone, days_of(ends))
    }  # fmt: skip
    spans = [
        wall.is_between((at - _AROUND_NS) // clock.unit_ns, (at + _AROUND_NS) // clock.unit_ns)
        for at in sorted(windows)
    ]
    by_day = frame.group_by(wall // (DAY_NS // clock.unit_ns)).agg(
        wall.min().alias("first"), wall.max().alias("last")
    )
    try:
        days, near = pl.collect_all(
            [by_day.drop("timestamp"), frame.filter(pl.any_horizontal(spans or [pl.lit(False)]))],
            engine="streaming",
        )
    except READ_ERRORS() as error:
        raise unreadable(lazy.facts.origin, error) from error
    ends_of_days = np.concatenate([days["first"].to_numpy(), days["last"].to_numpy()])
    rest = np.setdiff1d(ends_of_days, near["timestamp"].to_numpy())
    wall_ns = np.concatenate([near["timestamp"].to_numpy(), rest]) * clock.unit_ns
    judge_zone(found, Stamps(wall_ns, wall_ns=wall_ns), keys.time_zone or "UTC", bar_ns, calendar)
    return found.all()
