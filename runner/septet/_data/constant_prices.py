"""Detection of a symbol whose close never changes: only costs can arise in it."""

from __future__ import annotations

from typing import Final

from septet._data.defects import Findings

__all__ = ["CONSTANT_PRICE", "warn_constant"]

CONSTANT_PRICE: Final = "constant_price"
_MIN_BARS: Final = 2


def warn_constant(findings: Findings, lowest: float, highest: float, bars: int) -> None:
    """Warn of a series whose closes are all equal."""
    if bars >= _MIN_BARS and lowest == highest:
        text = "bars, and the close is the same in all of them"
        findings.warn(CONSTANT_PRICE, bars, (f"close {lowest:g}",), text)
