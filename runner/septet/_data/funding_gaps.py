"""Detection of funding periods without a rate in the series: nothing is charged for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from septet._data.bars import Finding, SeriesTable
from septet._data.source import Request
from septet._data.stamps import iso
from septet_schemas.units import format_duration

__all__ = ["FUNDING_GAP", "funding_gaps", "missing_funding"]

FUNDING_GAP: Final = "funding_gap"
_MAX_STEPS: Final = 3
_MINUTE_NS: Final = 60_000_000_000
_DAY_NS: Final = 86_400_000_000_000


def missing_funding(
    series: Iterable[SeriesTable], spans: Mapping[str, tuple[int, int]], request: Request
) -> list[Finding]:
    """Return findings for the times of a run without funding rates.

    `spans` holds the open time of the first bar of each symbol, and the known time of its last bar.
    """
    findings: list[Finding] = []
    for table in series:
        name, _, own = table.name.partition("@")
        read_by = [each for symbol, each in spans.items() if own in ("", symbol)]
        if name == "funding" and read_by:
            first_ns = max(min(first for first, _ in read_by), request.start_ns or -(2**63))
            findings += funding_gaps(table, first_ns, max(last for _, last in read_by))
    return findings


def funding_gaps(table: SeriesTable, first_ns: int, last_ns: int) -> tuple[Finding, ...]:
    """Return findings for gaps of more than three usual steps between funding rates.

    The time after the last rate is reported by the check for the end of series. Rates that are
    usually more than a day apart are reported as well: exchanges charge every eight hours or more
    often.

    Parameters
    ----------
    table
        The series of rates.
    first_ns, last_ns
        Open time of the first bar of the run, and known time of its last bar.
    """
    stamps = np.unique(table.stamp_ns)
    if not len(stamps) or last_ns <= first_ns:
        return ()
    if len(stamps) == 1:
        text = f"the series {table.name} has one rate, of {iso(stamps[0])}: funding is charged once"
        return (Finding("series", table.name, FUNDING_GAP, "warn", 1, (), text),)
    step = int(np.median(np.diff(stamps)))
    if step > _DAY_NS:
        text = (
            f"the rates of {table.name} are usually {_length(step)} apart: exchanges charge every "
            "8h or oftener, and each rate is charged once"
        )
        return (Finding("series", table.name, FUNDING_GAP, "warn", len(stamps), (), text),)
    starts = np.clip(np.concatenate(([first_ns], stamps[:-1])), first_ns, last_ns)
    ends = np.clip(stamps, first_ns, last_ns)
    gaps = np.flatnonzero(ends - starts > _MAX_STEPS * step)
    if not len(gaps):
        return ()
    longest = gaps[np.argmax((ends - starts)[gaps])]
    a, b = int(starts[longest]), int(ends[longest])
    others = f" ({len(gaps):,} such gaps, this is the longest)" if len(gaps) > 1 else ""
    text = (
        f"the series {table.name} has no rate from {iso(a)} to {iso(b)}, {(b - a) // step:,} "
        f"periods of {_length(step)}{others}: no funding is charged there"
    )
    return (Finding("series", table.name, FUNDING_GAP, "warn", len(gaps), (), text),)


def _length(step_ns: int) -> str:
    """Format a duration to the minute."""
    return format_duration(max(1, round(step_ns / _MINUTE_NS)) * _MINUTE_NS)
