"""A backtest in a process of its own, as seen by the server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from septet._jobs.bounds import LONG_WORK, Bounds
from septet._jobs.child_process import result_of
from septet._progress import Progress

__all__ = ["Backtest", "run_in_process"]


@dataclass(frozen=True, slots=True)
class Backtest:
    """A request for a backtest: the text of a strategy, as if it were `file` of a workspace.

    `workspace` and `runs` are folders; `settings` are values by the paths of ``--set``; the other
    fields say who asks.
    """

    workspace: str
    runs: str
    file: str
    text: str
    settings: dict[str, Any]
    face: str
    client: str = ""
    hypothesis: str = ""
    report: bool = True


def run_in_process(wanted: Backtest, progress: Progress, bounds: Bounds = LONG_WORK) -> str:
    """Run and store a backtest in a new process; return the id of the run.

    Raises
    ------
    InputError
        If it exceeds its bounds.
    SeptetError
        If the backtest failed, problems of the file included.
    Cancelled
        If `progress` raised it: the process is killed, and an incomplete run is not stored.
    """
    return str(result_of("septet._jobs.backtest_worker", asdict(wanted), progress, bounds))
