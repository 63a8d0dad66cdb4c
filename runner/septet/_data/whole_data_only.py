"""What of the file needs all bars at once, and is refused where they are read in stretches."""

from __future__ import annotations

from septet.errors import DataError
from septet_schemas.data import CandlesConfig

__all__ = ["refuse_unserved"]


def refuse_unserved(keys: CandlesConfig) -> None:
    """Reject settings of the file that need bars which have not been read yet."""
    if keys.policy.gap == "fill":
        raise DataError(
            "policy: {gap: fill} needs the bar after a gap, which a stretch may not hold",
            hint="write policy: {gap: keep}, or run without --chunk",
            key=".data.candles.policy.gap",
        )
    if keys.adjust == "splits":
        raise DataError(
            "adjust: splits needs every split to come, which a stretch does not hold",
            hint="write adjust: total, or run without --chunk",
            key=".data.candles.adjust",
        )
