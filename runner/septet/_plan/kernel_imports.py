"""What the text of a plan may import of the kernel; what it does not use is left out of it."""

from __future__ import annotations

from septet._kernel import frames, layout, ledger, match, maths
from septet._plan.binding import Binder

__all__ = ["import_kernel"]


def import_kernel(binder: Binder) -> None:
    """Let a plan call the arithmetic that the rules of trading call, and name every slot."""
    for function in (
        ledger.fee_of_fill, ledger.floor_units, ledger.mean_price, ledger.reduce_only,
        match.round_against, match.cap_units, match.liquidation_charge, match.liquidation_price,
        match.match_open, match.match_within, match.regime_allows, match.stop_price,
        match.target_price, match.too_small, frames.bars_of, frames.clear, frames.put_right,
        maths.logarithm,
    ):  # fmt: skip
        binder.helper(function)
    binder.imports["septet._kernel.layout"] = set(layout.__all__)
