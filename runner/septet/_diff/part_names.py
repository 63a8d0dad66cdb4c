"""Names and meanings of the parts of a gap."""

from __future__ import annotations

from typing import Final

__all__ = ["MEANS", "NAMES"]

NAMES: Final = {
    "revision": "revision", "late_or_missed": "late or missed bars", "timing": "timing",
    "fill": "fill", "cost": "cost",
}  # fmt: skip
MEANS: Final = {
    "revision": "bars, series or models of the history differ from those that were seen",
    "late_or_missed": "bars that came late or never, decisions taken late or not at all",
    "timing": "orders that traded something else than simulated, and what persons did",
    "fill": "prices other than the simulated ones",
    "cost": "fees other than the simulated ones",
}
