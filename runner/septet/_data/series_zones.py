"""Detection of stamps of an outside series in another zone than the file states."""

from __future__ import annotations

from typing import Final

import numpy as np

from septet._data.bad_rows import SERIES_ZONE
from septet._data.bars import Ints
from septet._data.clock_changes import all_zones, clock_changes, days_of, named_zones
from septet._data.clock_signs import MAX_SIGNS, ClockSign
from septet._data.defects import Findings
from septet._data.stamps import Stamps, iso
from septet._data.zone_signs import likely_utc
from septet._data.zones import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    ZoneDoubt,
    doubt_changes,
    doubt_zone,
    local_hint,
)

__all__ = ["check_series_zone"]

_MIN_ROWS: Final = 5
_REGULAR_SHARE: Final = 0.9
_SECOND_NS: Final = 1_000_000_000
_AMOUNTS: Final = (HOUR_NS // 2, HOUR_NS, 2 * HOUR_NS)
"""The sizes of clock changes."""


def check_series_zone(findings: Findings, name: str, stamps: Stamps, zone: str) -> None:
    """Report stamps without a zone of their own that cannot be of `zone`, or likely are not.

    Traces of clock changes are proof. Hours of sessions are proof for candles, but not for a
    series, whose values may be made at any hour: they give a warning.

    Raises
    ------
    DataError
        If stamps cannot be of `zone`, unless the policy for `wrong_zone` keeps them.
    """
    if stamps.wall_ns is None:
        return
    bad = stamps.dropped.get("bad_stamp")
    wall_ns = stamps.wall_ns if bad is None else stamps.wall_ns[~bad]
    moments = np.unique(wall_ns)
    if len(moments) < _MIN_ROWS:
        return
    steps = np.diff(moments)
    step_ns = max(int(np.median(steps)), 1)
    regular = float(np.mean(np.abs(steps - step_ns) <= _SECOND_NS)) >= _REGULAR_SHARE
    doubt = doubt_changes(wall_ns, zone, step_ns if regular else DAY_NS)
    if doubt is None and regular:
        doubt = _odd_steps(moments, zone, step_ns)
    if doubt is not None and doubt.is_proof:
        text = f"{doubt.message}: those of {name}"
        findings("wrong_zone", doubt.rows, doubt.examples, text, hint=doubt.hint)
        return
    sign = doubt or doubt_zone(wall_ns, zone, step_ns) or likely_utc(wall_ns, zone, step_ns)
    if sign is not None:
        text = f"{name}: {sign.message}; first: {'; '.join(sign.examples[:3])}"
        findings.warn(SERIES_ZONE, sign.rows, sign.examples, text)


def _odd_steps(moments: Ints, own: str, step_ns: int) -> ZoneDoubt | None:
    """Find zones at whose clock changes one step is longer or shorter by the size of the change.

    If steps are longer than an hour, no hour is missing or doubled: with steps of 8 hours, one is 9
    hours long in spring and one 7 in autumn.
    """
    if not HOUR_NS < step_ns <= 2 * DAY_NS:
        return None
    off = np.abs(np.diff(moments) - step_ns)
    odd = sum(int(np.count_nonzero(np.abs(off - by) <= MINUTE_NS)) for by in _AMOUNTS)
    if not 0 < odd <= MAX_SIGNS:
        return None
    days = days_of(moments)
    known = set() if own == "UTC" else {at for at, _ in clock_changes(own, days)}
    fits = {
        zone: shown
        for zone in all_zones()
        if (shown := _odd_at_changes(moments, step_ns, clock_changes(zone, days), known))
    }
    if not fits:
        return None
    most = max(fits.values(), key=len)
    sign = ClockSign(named_zones(list(fits)), len(fits) == 1, most, is_proof=True)
    return ZoneDoubt(
        len(most), most, f"steps longer or shorter where the clocks of {sign.zones} change",
        local_hint(sign),
    )  # fmt: skip


def _odd_at_changes(
    moments: Ints, step_ns: int, changes: tuple[tuple[int, int], ...], known: set[int]
) -> tuple[str, ...]:
    """Return the stamps after the steps that each clock change alters; empty if one alters none."""
    shown = []
    for at, by in changes:
        after = int(np.searchsorted(moments, at))
        if any(abs(at - each) <= step_ns for each in known) or not 2 <= after <= len(moments) - 2:
            continue
        around = np.diff(moments[after - 2 : after + 2])
        if any(abs(int(each) - step_ns) > MINUTE_NS for each in around[[0, 2]]):
            continue
        if abs(int(around[1]) - step_ns - by) > MINUTE_NS:
            return ()
        shown.append(iso(int(moments[after]))[:-1])
    return tuple(shown)
