"""The few stamps of many that show their zone, read without the rest."""

from __future__ import annotations

import numpy as np

from septet._data.bars import Finding
from septet._data.clock_signs import QUARTER_NS, QuarterHours
from septet._data.defects import Findings
from septet._data.source import LazyBars
from septet._data.source_clock import Clock
from septet._data.source_files import READ_ERRORS, unreadable
from septet._data.stamps import Stamps, within_years
from septet._data.zone_signs import check_zone
from septet_schemas.data import CandlesConfig

__all__ = ["check_unread_zone"]


def check_unread_zone(
    lazy: LazyBars, clock: Clock, keys: CandlesConfig, bar_ns: int, calendar: str
) -> tuple[Finding, ...]:
    """Check the zone of stamps that have not been read, like `check_zone`.

    It uses only the first and the last stamp of each day, and the number of stamps in each quarter
    of an hour.

    Raises
    ------
    DataError
        If they cannot be of the zone of the file, unless the policy for `wrong_zone` keeps them.
    """
    import polars as pl

    if not clock.is_wall_time:
        return ()
    findings = Findings(lazy.facts.origin, lazy.symbol, keys.policy)
    wall = pl.col("timestamp").cast(pl.Int64)
    low, high = within_years(clock.unit_ns)
    frame = lazy.frame.select(wall).drop_nulls().filter(wall.is_between(low, high, closed="left"))
    by_quarter = frame.group_by((wall * clock.unit_ns // QUARTER_NS).alias("quarter")).agg(
        wall.min().alias("first"), wall.max().alias("last"), pl.len().alias("rows")
    )
    try:
        table = by_quarter.collect(engine="streaming")
    except READ_ERRORS() as error:
        raise unreadable(lazy.facts.origin, error) from error
    if not table.height:
        return ()
    counts = QuarterHours.of_groups(table["quarter"].to_numpy(), table["rows"].to_numpy())
    days = table.group_by(pl.col("quarter") // 96).agg(pl.col("first").min(), pl.col("last").max())
    ends = np.concatenate([days["first"].to_numpy(), days["last"].to_numpy()])
    wall_ns = np.unique(ends) * clock.unit_ns
    stamps = Stamps(wall_ns, wall_ns=wall_ns)
    check_zone(findings, stamps, keys.time_zone or "UTC", bar_ns, calendar, counts)
    return findings.all()
