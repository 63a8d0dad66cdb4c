"""Command-line options of a drill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["BARS_PER_FAULT", "Options"]

NS: Final = 1_000_000_000
BARS_PER_FAULT: Final = 24
"""Bars within which a fault has occurred, or was not reached."""
BARS_TO_START: Final = 200
"""Bars that pass at most until the run is live."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a drill from the command line; `bars` 0 is as many as the faults need."""

    seed: int
    codes: tuple[str, ...]
    folder: Path
    mode: str = "live"
    times: int = 1
    kills: int = 0
    bars: int = 0
    bar_wall_ns: int = NS
    synthetic: bool = False
    keep_going: bool = False
    sets: tuple[str, ...] = ()

    @property
    def bars_needed(self) -> int:
        """Return the largest number of bars to replay."""
        each = max(BARS_PER_FAULT, 20 * NS // self.bar_wall_ns)
        asked = self.bars or each * (len(self.codes) * self.times + self.kills)
        return BARS_TO_START + asked
