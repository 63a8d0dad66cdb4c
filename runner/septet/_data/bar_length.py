"""Detection of rows whose bar length is not that of the strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from septet._data.bars import Ints
from septet.errors import DataError
from septet_schemas.units import format_duration

__all__ = ["STEP_SAMPLE", "check_step"]

STEP_SAMPLE: Final = 200_000


_MIN_ROUNDED: Final = 10
_ROUND_NS: Final = 1_000_000_000_000
"""A bar has no length of which each is a multiple of 1,000 s; seven digits of milliseconds are."""
_TIMES_OF_DAY: Final = frozenset(("time", "hour", "clock", "time of day", "timestamp"))
_DAY_NS: Final = 86_400_000_000_000


def _step_hint(usual: int, bar_ns: int, unread: Sequence[str], doubts: Sequence[str]) -> str:
    hint = f"write universe: {{bar: {format_duration(usual)}}}, or bring other data"
    plain = (each for each in unread if each.strip().strip("<>").lower() in _TIMES_OF_DAY)
    clock = next(plain, "")
    if clock and bar_ns < _DAY_NS and usual % _DAY_NS == 0:
        hint = (
            f"column {clock!r} is not read: if it is the time of day, write time_columns: [the "
            f"column of dates, {clock}] and no columns: {{timestamp: ...}}; otherwise {hint}"
        )
    return "; ".join((*doubts, hint))


def check_step(
    times: Ints, bar_ns: int, where: str, unread: Sequence[str] = (), doubts: Sequence[str] = ()
) -> None:
    """Reject rows whose bar length clearly differs from that of the strategy.

    `unread` are the columns of the source that are not columns of bars: one may hold the time of
    day. `doubts` are the doubts that the source itself reports.

    Raises
    ------
    DataError
        If the first rows are mostly closer together, or nearly all further apart.
    """
    times = times[:STEP_SAMPLE]
    step = np.diff(times)
    if np.any(step < 0):
        step = np.diff(np.sort(times))
    step = step[step > 0]
    if len(step) < 3:
        return
    values, counts = np.unique(step, return_counts=True)
    usual = int(values[np.argmax(counts)])
    share = float(counts[values == bar_ns].sum() / counts.sum())
    too_fine = usual < bar_ns and share < 0.5 and counts.max() / counts.sum() > 0.5
    too_coarse = usual > bar_ns and share < 0.05
    if too_fine or too_coarse:
        if len(times) >= _MIN_ROUNDED and not np.any(times % _ROUND_NS):
            raise DataError(
                f"{where}: all times are whole multiples of 1,000 s, as numbers are that a "
                "spreadsheet rounded (1.70407E+12)",
                hint="export the column of times with all its digits, formatted as a number "
                "without decimals, or as dates",
            )
        raise DataError(
            f"{where}: rows are mostly {format_duration(usual)} apart, "
            f"expected bars of {format_duration(bar_ns)}",
            hint=_step_hint(usual, bar_ns, unread, doubts),
        )
