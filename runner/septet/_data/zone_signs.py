"""Signs that stamps are of UTC and not of the zone the file names: likely, and no proof."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bars import Ints
from septet._data.clock_changes import clock_changes, days_of
from septet._data.clock_signs import QuarterHours
from septet._data.defects import Findings
from septet._data.exchange_hours import utc_of
from septet._data.stamps import Stamps, iso
from septet._data.zones import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    ZoneDoubt,
    doubt_zone,
    is_opening,
    rows_between,
    session_starts,
    usual_minute,
)

__all__ = ["ZONE_SIGN", "check_zone", "likely_utc"]

ZONE_SIGN: Final = "zone_sign"
_CURRENCIES: Final = "America/New_York"
_CURRENCIES_OPEN: Final = 17 * 60
_WEEKEND_NS: Final = 40 * HOUR_NS
_MIN_DAYS: Final = 5
_HINT: Final = "if the stamps are UTC, write time_zone: UTC"


def check_zone(
    findings: Findings,
    stamps: Stamps,
    zone: str,
    bar_ns: int,
    calendar: str,
    hours: QuarterHours | None = None,
) -> None:
    """Report stamps without a zone of their own that cannot, or likely will not, be of `zone`.

    `hours` counts all stamps, if `stamps` are only some of them.

    Raises
    ------
    DataError
        If some cannot, unless the policy for `wrong_zone` keeps them.
    """
    if stamps.wall_ns is None:
        return
    bad = stamps.dropped.get("bad_stamp")
    wall_ns = stamps.wall_ns if bad is None else stamps.wall_ns[~bad]
    doubt = doubt_zone(wall_ns, zone, bar_ns, calendar, hours)
    if doubt is not None and doubt.is_proof:
        findings("wrong_zone", doubt.rows, doubt.examples, doubt.message, hint=doubt.hint)
        return
    sign = likely_utc(wall_ns, zone, bar_ns) or doubt
    if sign is not None and findings.policy("wrong_zone") != "keep":
        findings.warn(ZONE_SIGN, sign.rows, sign.examples, sign.message)


def likely_utc(wall_ns: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    """Look for signs that stamps read in `zone` are in fact UTC.

    The signs are: the hour that the clocks of `zone` show twice in autumn is in the data once,
    between whole hours; sessions begin when no exchange of `zone` opens, but read as UTC when one
    does; weeks of currencies do not begin at 17:00 in New York, but read as UTC they do.
    """
    if zone == "UTC" or len(wall_ns) < 2:
        return None
    ordered = np.sort(wall_ns)
    found = _hours_shown_once(ordered, zone, bar_ns)
    return found or _odd_sessions(ordered, zone, bar_ns) or _odd_weeks(ordered, zone, bar_ns)


def _hours_shown_once(ordered: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    if bar_ns > HOUR_NS:
        return None
    full, shown, others = HOUR_NS // bar_ns, [], 0
    for at, by in clock_changes(zone, days_of(ordered)):
        if by >= 0:
            continue
        around = (at + by - 2 * HOUR_NS, at + by - HOUR_NS, at, at + HOUR_NS)
        if any(rows_between(ordered, each, HOUR_NS) != full for each in around):
            continue
        if rows_between(ordered, at + by, HOUR_NS) == full:
            shown.append(iso(at + by)[:-1])
        else:
            others += 1
    if not shown or others:
        return None
    return ZoneDoubt(
        len(shown), tuple(shown),
        f"hours that the clocks of {zone} showed twice, and the data has once", _HINT,
    )  # fmt: skip


def _odd_sessions(ordered: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    starts = session_starts(ordered, bar_ns)
    if starts is None or len(starts[0]) < _MIN_DAYS:
        return None
    minute = usual_minute(starts[1])
    first = starts[0] * DAY_NS + starts[1] * MINUTE_NS
    local = usual_minute(_minute_in(first, zone))
    if is_opening(minute) or not is_opening(local):
        return None
    return ZoneDoubt(
        len(first), (iso(int(first[0]))[:-1],),
        f"sessions that begin at {_clock(minute)} in {zone}; read as UTC they begin at "
        f"{_clock(local)} there", _HINT,
    )  # fmt: skip


def _odd_weeks(ordered: Ints, zone: str, bar_ns: int) -> ZoneDoubt | None:
    if bar_ns > HOUR_NS:
        return None
    gaps = np.flatnonzero(np.diff(ordered) >= _WEEKEND_NS)
    if len(gaps) < 1 or (ordered[-1] - ordered[0]) / DAY_NS > 10.0 * len(gaps):
        return None
    begins = ordered[gaps + 1]
    read = usual_minute(_minute_in(utc_of(begins, zone), _CURRENCIES))
    utc = usual_minute(_minute_in(begins, _CURRENCIES))
    if utc != _CURRENCIES_OPEN or abs(read - _CURRENCIES_OPEN) < 60:
        return None
    return ZoneDoubt(
        len(begins), (iso(int(begins[0]))[:-1],),
        f"weeks that begin at {_clock(read)} in New York; read as UTC they begin at 17:00 there, "
        "as those of currencies do", _HINT,
    )  # fmt: skip


def _minute_in(time_ns: Ints, zone: str) -> Ints:
    """Return the local minute of the day in a zone at UTC times."""
    import polars as pl

    local = pl.Series(time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    local = local.dt.convert_time_zone(zone)
    minutes: Ints = (
        local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute().cast(pl.Int64)
    ).to_numpy()
    return minutes


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
