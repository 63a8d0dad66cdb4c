"""When this process began."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

__all__ = ["process_began_ns"]

_START_TICKS: Final = 19
"""The position of the start time in /proc/self/stat, after the name of the program."""
_NS: Final = 1_000_000_000


def process_began_ns() -> int:
    """Return the wall time (UTC ns) at which this process began; now where it is not known."""
    now_ns = time.time_ns()
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        since_boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        age_ns = since_boot_ns - int(fields[_START_TICKS]) * _NS // ticks_per_second
    except (AttributeError, IndexError, OSError, ValueError):  # not Linux
        return now_ns
    return now_ns - max(0, age_ns)
