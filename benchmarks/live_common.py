"""What the live benchmarks share: figures with their targets, this disk's sync, spent time."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT

__all__ = [
    "WORK",
    "Figure",
    "Report",
    "folder",
    "median",
    "quantile",
    "resident",
    "sleep_until",
    "sync_times_ns",
]

WORK = ROOT / ".cache" / "bench" / "live"
"""Journals are measured on the disk of the checkout, never on one that lives in memory."""
_PAGE = 4_096


@dataclass(frozen=True)
class Figure:
    """One measured number. `bound` is the target, `most` states whether it may not be passed."""

    part: str
    name: str
    value: float
    unit: str
    bound: float | None = None
    most: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.bound is None:
            return None
        return self.value <= self.bound if self.most else self.value >= self.bound

    @property
    def missed_by(self) -> float:
        """Share of the target that is missing; 0 where it is met."""
        if self.bound is None or self.met:
            return 0.0
        return abs(self.value - self.bound) / abs(self.bound)


@dataclass
class Report:
    """Figures of a part, and lines that explain how they came about."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        figures = [
            {
                "part": each.part, "name": each.name, "value": each.value, "unit": each.unit,
                "bound": each.bound, "most": each.most, "note": each.note,
            }
            for each in self.figures
        ]  # fmt: skip
        return {"figures": figures, "notes": self.notes}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Report:
        """Read it back."""
        return cls([Figure(**each) for each in document["figures"]], list(document["notes"]))


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return float(statistics.median(values))


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the others does not pass."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


@contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder on the checkout's disk, and take it away afterwards."""
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as place:
        yield Path(place)


def sync_times_ns(place: Path, count: int = 200, *, every_ns: int = 0) -> list[int]:
    """Return how long this disk takes to make a page safe: rewritten in place, `fdatasync`.

    The pages are there before, as those of a journal's tail are. `every_ns` is the time from one
    sync to the next: a disk that rested for some milliseconds takes longer than one that did not.
    """
    path, page, found = place / "sync.bin", os.urandom(_PAGE), []
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(handle, page * 64)
        os.fsync(handle)
        due_ns = time.perf_counter_ns()
        for number in range(count):
            due_ns = max(due_ns + every_ns, time.perf_counter_ns())
            sleep_until(due_ns)
            os.pwrite(handle, page, number % 64 * _PAGE)
            began = time.perf_counter_ns()
            os.fdatasync(handle)
            found.append(time.perf_counter_ns() - began)
    finally:
        os.close(handle)
        path.unlink()
    return found


def sleep_until(due_ns: int) -> None:
    """Let the thread sleep until a time of `time.perf_counter_ns`."""
    if (left_ns := due_ns - time.perf_counter_ns()) > 0:
        time.sleep(left_ns / 1e9)


def resident() -> int:
    """Return the memory this process holds now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
