"""The imports from the kernel that a plan may have; those that it does not use are left out."""

from __future__ import annotations

from septet._kernel import forecast_sums, layout, ledger, match, maths, time_frames, touch
from septet._plan.binding import Binder

__all__ = ["import_kernel"]


def import_kernel(binder: Binder) -> None:
    """Import the arithmetic that the rules of trading call, and the names of all slots."""
    for module in (forecast_sums, ledger, match, touch):
        for name in module.__all__:
            binder.helper(getattr(module, name))
    for function in (
        time_frames.bars_of,
        time_frames.clear,
        time_frames.put_right,
        maths.logarithm,
    ):
        binder.helper(function)
    binder.imports["septet._kernel.layout"] = set(layout.__all__)
