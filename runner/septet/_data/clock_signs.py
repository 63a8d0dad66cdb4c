"""Detection of local time: hours that are missing or doubled at a clock change of some zone."""

from __future__ import annotations

from datetime import date
from math import comb, prod
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._data.bars import Ints
from septet._data.clock_changes import (
    all_zones,
    clock_changes,
    has_change,
    named_zones,
    wall_span,
)
from septet._data.stamps import iso

__all__ = ["QUARTER_NS", "MAX_SIGNS", "ClockSign", "QuarterHours", "clock_sign"]

HOUR_NS: Final = 3_600_000_000_000
QUARTER_NS: Final = HOUR_NS // 4
_SLOTS: Final = (QUARTER_NS, 2 * QUARTER_NS, HOUR_NS)
MAX_SIGNS: Final = 100
_MAX_RUNS: Final = 600
_FULL_HOURS_BESIDE: Final = 2  # hours with rows required before and after
ZONES: Final = 40  # different clock changes per year, over all zones
UNLIKELY_CHANCE: Final = 1e-3
_MAX_OTHERS, _MAX_OTHERS_ONCE = 2, 1
"""The most missing hours in the data for which a single one at a clock change still is a sign. The
second number applies if the data shows the repeated hour of autumn only once."""

Bools = npt.NDArray[np.bool_]


class QuarterHours(msgspec.Struct, frozen=True):
    """Rows in each quarter of an hour of wall time: the first quarter's number, and all counts.

    The first quarter starts an hour, the last one ends an hour.
    """

    first: int
    counts: Ints

    @classmethod
    def of(cls, wall_ns: Ints) -> QuarterHours:
        """Count the stamps in each quarter."""
        return cls.of_groups(*np.unique(wall_ns // QUARTER_NS, return_counts=True))

    @classmethod
    def of_groups(cls, quarters: Ints, counts: Ints) -> QuarterHours:
        """Build from counts of some quarters; only the last twenty years are kept."""
        last = int(quarters.max()) // 4 * 4 + 3
        first = max(int(quarters.min()) // 4 * 4, last + 1 - 20 * 366 * 96)
        found = np.zeros(last - first + 1, dtype=np.int64)
        kept = quarters >= first
        np.add.at(found, quarters[kept] - first, counts[kept])
        return cls(first, found)

    def in_slots_of(self, slot_ns: int) -> Ints:
        """Return the rows in each slot of a quarter, half or whole hour."""
        return np.asarray(self.counts.reshape(-1, slot_ns // QUARTER_NS).sum(axis=1))


class ClockSign(msgspec.Struct, frozen=True):
    """Zones whose clock changes appear in the data, and the hours at which they do."""

    zones: str
    is_single: bool
    hours: tuple[str, ...]
    is_proof: bool


class _Runs(msgspec.Struct, frozen=True):
    """Runs of unusual slots between full hours: the number of the first slot, and the length.

    A slot is a quarter of an hour, half an hour or an hour, so that whole bars fill it. `missing`
    runs have no rows, `doubled` runs have twice as many as usual.
    """

    slot_ns: int
    first: int
    counts: Ints
    full: int
    missing: dict[int, int]
    doubled: dict[int, int]
    there: int

    @classmethod
    def of(cls, quarters: QuarterHours, bar_ns: int, own: set[int]) -> _Runs:
        """Find the runs, except those at `own` (ns), the clock changes of the file's zone."""
        slot_ns = next((each for each in _SLOTS if each % bar_ns == 0), HOUR_NS)
        counts, first = quarters.in_slots_of(slot_ns), quarters.first * QUARTER_NS // slot_ns
        full = slot_ns // bar_ns
        width = _FULL_HOURS_BESIDE * HOUR_NS // slot_ns
        gone = np.concatenate(([0], np.cumsum(2 * counts < full)))
        begins, ends = (np.zeros(len(counts), dtype=np.bool_) for _ in range(2))
        begins[width:] = gone[width:-1] == gone[: -width - 1]
        ends[:-width] = gone[width + 1 :] == gone[1:-width]
        twice = (10 * counts >= 18 * full) & (10 * counts <= 22 * full)
        missing = _between(counts == 0, begins, ends)
        doubled = {
            at: size
            for at, size in _between(twice, begins, ends).items()
            if counts[at - 1] <= full and counts[at + size] <= full
        }
        known = [each // slot_ns - first for each in own]
        for runs in (missing, doubled):
            for at in [at for at, size in runs.items() if any(0 <= n - at < size for n in known)]:
                del runs[at]
        return cls(slot_ns, first, counts, full, missing, doubled, int((begins & ends).sum()))

    def moments(self) -> list[tuple[int, int]]:
        """Return the times at which runs begin and end (ns)."""
        found = [*self.missing.items(), *self.doubled.items()]
        return [
            ((self.first + at) * self.slot_ns, (self.first + at + size) * self.slot_ns)
            for at, size in found
        ]

    def is_between_full(self, at: int, size: int) -> bool:
        """Return whether the two hours before and after some slots are full."""
        width = _FULL_HOURS_BESIDE * HOUR_NS // self.slot_ns
        if at < width or at + size + width > len(self.counts):
            return False
        ends = (self.counts[at - width : at], self.counts[at + size : at + size + width])
        return bool(all((2 * each >= self.full).all() for each in ends))


def _between(is_odd: Bools, begins: Bools, ends: Bools) -> dict[int, int]:
    """Return the runs of unusual slots that begin after full hours and end before full hours."""
    edges = np.diff(np.concatenate(([False], is_odd, [False])).astype(np.int8))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    kept = begins[first] & ends[last]
    return dict(zip(first[kept].tolist(), (last - first + 1)[kept].tolist(), strict=True))


class _Match(msgspec.Struct):
    """Runs in the data that match the clock changes of a zone: their first slots and lengths."""

    missing: dict[int, int] = msgspec.field(default_factory=dict)
    doubled: dict[int, int] = msgspec.field(default_factory=dict)
    once: int = 0
    is_contradicted: bool = False

    @property
    def slots(self) -> list[int]:
        return sorted((*self.missing, *self.doubled))


def clock_sign(
    quarters: QuarterHours, own: str, days: tuple[date, date], bar_ns: int
) -> ClockSign | None:
    """Look for zones whose clock changes appear in stamps that are read in another zone.

    A change may occur at any time of the day, by half an hour or any number of whole hours. When
    clocks go forward, a time is missing between full hours; when they go back, one is doubled (or
    appears once, if repeats were removed). Two such times prove the zone if chance hardly explains
    them, given all missing or doubled times of that length; so does one doubled time if every
    change of the zone is visible. A single missing time is a sign.
    """
    if bar_ns > HOUR_NS or len(quarters.counts) < 20:
        return None
    own_changes = () if own == "UTC" else clock_changes(own, days)
    known = {at for at, _ in own_changes}
    runs = _Runs.of(quarters, bar_ns, known | {at + by for at, by in own_changes if by < 0})
    moments = runs.moments()
    if not moments:
        return None
    found: list[tuple[bool, float, _Match, list[str]]] = []
    for changes, zones in _candidates(moments, days).items():
        if known & {at for at, _ in changes}:
            continue  # its clock changes are also visible in the zone of the file
        match = _match(changes, runs)
        if match.is_contradicted or not match.slots:
            continue
        missing, doubled = _alike(match, runs)
        if missing + doubled > _MAX_RUNS:
            continue
        chance = _chance(match, len(changes), runs)
        proof = len(match.slots) >= 2 and chance < UNLIKELY_CHANCE
        proof = proof or (bool(match.doubled) and not match.once and doubled == 1)
        few = _MAX_OTHERS_ONCE if match.once else _MAX_OTHERS
        sign = bool(match.missing) and missing <= few
        if proof or sign or (match.doubled and doubled <= _MAX_OTHERS):
            found.append((proof, chance, match, zones))
    return _best(found, runs)


def _candidates(
    moments: list[tuple[int, int]], days: tuple[date, date]
) -> dict[tuple[tuple[int, int], ...], list[str]]:
    """Return the zones whose clock changes may fit."""
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    tried = [wall_span(*each) for each in moments] if len(moments) <= MAX_SIGNS else None
    for zone in all_zones():
        if tried is None or any(has_change(zone, each) for each in tried):
            groups.setdefault(clock_changes(zone, days), []).append(zone)
    return groups


def _best(found: list[tuple[bool, float, _Match, list[str]]], runs: _Runs) -> ClockSign | None:
    """Return the names of all zones that fit as well as the best one."""
    if not found:
        return None
    proof, _, match, _ = min(found, key=lambda each: (not each[0], each[1]))
    zones = [
        zone
        for is_proof, _, same, names in found
        if is_proof is proof and same.slots == match.slots
        for zone in names
    ]
    shown = tuple(iso((runs.first + each) * runs.slot_ns)[:-1] for each in match.slots)
    return ClockSign(named_zones(zones), len(zones) == 1, shown, proof)


def _match(changes: tuple[tuple[int, int], ...], runs: _Runs) -> _Match:
    found, slot_ns = _Match(), runs.slot_ns
    for at, by in changes:
        row = (at if by > 0 else at + by) // slot_ns - runs.first
        size = max(1, abs(by) // slot_ns)
        odd, shown = (runs.missing, found.missing) if by > 0 else (runs.doubled, found.doubled)
        if odd.get(row) == size:
            shown[row] = size
        elif at % slot_ns == 0 and by % slot_ns == 0 and runs.is_between_full(row, size):
            inside = runs.counts[row : row + size]
            found.is_contradicted |= by > 0 and bool(inside.any())
            found.once += by < 0
    return found


def _alike(match: _Match, runs: _Runs) -> tuple[int, int]:
    """Count the missing and the doubled runs of the data that are as long as those of a match."""
    sizes = {*match.missing.values(), *match.doubled.values()}
    both = (sum(size in sizes for size in each.values()) for each in (runs.missing, runs.doubled))
    missing, doubled = both
    return missing, doubled


def _chance(match: _Match, changes: int, runs: _Runs) -> float:
    """Return the expected number of zones whose clock changes match random runs this well."""
    chance = float(ZONES * comb(changes, len(match.slots)))
    for shown, odd in ((match.missing, runs.missing), (match.doubled, runs.doubled)):
        sizes = list(odd.values())
        chance *= prod(sizes.count(size) / max(runs.there, 1) for size in shown.values())
    return chance
