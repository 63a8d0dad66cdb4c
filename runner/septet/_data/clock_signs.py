"""Hours that are missing or doubled where the clocks of some zone change: stamps in local time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from math import comb
from typing import Final

import numpy as np

from septet._data.bars import Ints
from septet._data.clock_changes import all_zones, clock_changes, has_change, named_zones
from septet._data.stamps import iso

__all__ = ["MOST_SIGNS", "ClockSign", "HourCounts", "clock_sign"]

HOUR_NS: Final = 3_600_000_000_000
NIGHT: Final = 4  # clocks change before this hour of the day
MOST_SIGNS: Final = 100
ZONES: Final = 40  # different changes of clocks of all zones, a year
UNLIKELY: Final = 1e-3
_FEW, _ONE = 2, 1
"""Missing hours of all data beside which a single one at a change is a sign: without, with autumns
that the data shows once."""


@dataclass(frozen=True, slots=True)
class HourCounts:
    """Rows in each hour of wall time: the number of the first hour, and the counts from it on."""

    first: int
    counts: Ints

    @classmethod
    def of(cls, wall_ns: Ints) -> HourCounts:
        """Count stamps."""
        hours, counts = np.unique(wall_ns // HOUR_NS, return_counts=True)
        return cls.of_groups(hours, counts)

    @classmethod
    def of_groups(cls, hours: Ints, counts: Ints) -> HourCounts:
        """Take counts of some hours; the last twenty years are kept."""
        last = int(hours.max())
        first = max(int(hours.min()), last - 20 * 366 * 24)
        found = np.zeros(last - first + 1, dtype=np.int64)
        kept = hours >= first
        np.add.at(found, hours[kept] - first, counts[kept])
        return cls(first, found)

    def at(self, hour: int) -> int:
        """Return the rows of an hour."""
        row = hour - self.first
        return int(self.counts[row]) if 0 <= row < len(self.counts) else 0


@dataclass(frozen=True, slots=True)
class ClockSign:
    """Zones whose changes of clocks the data shows, and at which hours."""

    zones: str
    is_single: bool
    hours: tuple[str, ...]
    is_proof: bool


@dataclass
class _Match:
    """What a zone's changes of clocks leave in the data."""

    missing: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    once: int = 0
    is_contradicted: bool = False

    @property
    def hours(self) -> list[int]:
        return sorted((*self.missing, *self.doubled))


def clock_sign(
    hours: HourCounts, own: str, days: tuple[date, date], bar_ns: int
) -> ClockSign | None:
    """Look for zones whose changes of clocks show in stamps that are read in another one.

    In spring an hour is missing between hours that are full, in autumn one is doubled (or the data
    has it once, where repeats were taken out). Two such hours prove it if they are hardly chance
    among all hours that are missing or doubled; so does a doubled one without a change that does
    not show. A single missing hour is a sign.
    """
    if bar_ns > HOUR_NS or len(hours.counts) < 5:
        return None
    known = set() if own == "UTC" else {at for at, _ in clock_changes(own, days)}
    full = HOUR_NS // bar_ns
    missing, doubled, there = _odd_hours(hours, full, known)
    signs = [each for each in (*missing, *doubled) if each % 24 < NIGHT]
    if not signs or len(signs) > MOST_SIGNS:
        return None
    found: list[tuple[bool, float, _Match, list[str]]] = []
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for zone in all_zones():
        if any(has_change(zone, each * HOUR_NS) for each in signs):
            groups.setdefault(clock_changes(zone, days), []).append(zone)
    for changes, zones in groups.items():
        if known & {at for at, _ in changes}:
            continue  # its changes show in the zone of the file as well
        match = _match(changes, hours, set(missing), set(doubled), full)
        if match.is_contradicted or not match.hours:
            continue
        chance = _chance(match, len(changes), len(missing), len(doubled), there)
        proof = len(match.hours) >= 2 and chance < UNLIKELY
        proof = proof or (bool(match.doubled) and not match.once and len(doubled) == 1)
        few = _ONE if match.once else _FEW
        sign = bool(match.missing) and len(missing) <= few
        if proof or sign or (match.doubled and len(doubled) <= _FEW):
            found.append((proof, chance, match, zones))
    return _best(found)


def _best(found: list[tuple[bool, float, _Match, list[str]]]) -> ClockSign | None:
    """Name all zones that fit as well as the best one does."""
    if not found:
        return None
    proof, _, match, _ = min(found, key=lambda each: (not each[0], each[1]))
    zones = [
        zone
        for is_proof, _, same, names in found
        if is_proof is proof and same.hours == match.hours
        for zone in names
    ]
    shown = tuple(iso(each * HOUR_NS)[:-1] for each in match.hours)
    return ClockSign(named_zones(zones), len(zones) == 1, shown, proof)


def _odd_hours(hours: HourCounts, full: int, known: set[int]) -> tuple[list[int], list[int], int]:
    """Return single hours that are missing or doubled between full ones, and how many are full."""
    counts = hours.counts
    is_full = 2 * counts >= full
    around = is_full[:-4] & is_full[1:-3] & is_full[3:-1] & is_full[4:]
    middle = counts[2:-2]
    number = np.arange(len(middle)) + hours.first + 2
    own = np.isin(number * HOUR_NS, np.array(sorted(known), dtype=np.int64))
    missing = number[around & (middle == 0) & ~own]
    twice = (10 * middle >= 18 * full) & (10 * middle <= 22 * full)
    neighbours = (counts[1:-3] <= full) & (counts[3:-1] <= full)
    return missing.tolist(), number[around & twice & neighbours].tolist(), int(around.sum())


def _match(
    changes: tuple[tuple[int, int], ...],
    hours: HourCounts,
    missing: set[int],
    doubled: set[int],
    full: int,
) -> _Match:
    found = _Match()
    for at, by in changes:
        if abs(by) != HOUR_NS or at % HOUR_NS:
            continue
        hour = (at if by > 0 else at + by) // HOUR_NS
        if by > 0 and hour in missing:
            found.missing.append(hour)
        elif by < 0 and hour in doubled:
            found.doubled.append(hour)
        elif all(2 * hours.at(hour + step) >= full for step in (-2, -1, 1, 2)):
            inside = hours.at(hour)
            found.is_contradicted |= by > 0 and inside > 0
            found.once += by < 0
    return found


def _chance(match: _Match, changes: int, missing: int, doubled: int, there: int) -> float:
    """Return how often hours that are odd by chance lie so at the changes of some zone."""
    chance = float(ZONES * comb(changes, len(match.hours)))
    for count, total in ((len(match.missing), missing), (len(match.doubled), doubled)):
        chance *= (total / max(there, 1)) ** count
    return chance
