"""The comparison of two runs in a process of its own, as seen by the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from septet._jobs.bounds import LONG_WORK, Bounds
from septet._jobs.child_process import result_of
from septet._progress import Progress

__all__ = ["diff_in_process"]


def diff_in_process(
    live: Path, backtest: Path, progress: Progress, bounds: Bounds = LONG_WORK
) -> dict[str, Any]:
    """Return why a paper or live run differs from a backtest, in the form of `Gap.document`.

    It has the largest causes of each kind.

    Raises
    ------
    InputError
        If it exceeds its bounds.
    SeptetError
        If the two cannot be compared.
    Cancelled
        If `progress` raised it: the process is killed.
    """
    arguments = {"live": str(live), "backtest": str(backtest)}
    return cast(
        "dict[str, Any]", result_of("septet._jobs.diff_worker", arguments, progress, bounds)
    )
