"""A backtest in a process of its own: what is run, and for whom."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from septet._jobs.bounds import LONG_WORK, Bounds
from septet._jobs.child_process import result_of
from septet._progress import Progress

__all__ = ["Backtest", "run_in_process"]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What is run: the text of a strategy as if it were `file` of a workspace, and for whom.

    `workspace` and `runs` are folders, `settings` values by the paths of ``--set``.
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
    """Run and store a backtest in a new process, and return the id of the run.

    Raises
    ------
    InputError
        If it takes more than its bounds.
    SeptetError
        What ended it, problems included.
    Cancelled
        What `progress` raised: the process is killed. A run that is not stored whole is not stored.
    """
    return str(result_of("septet._jobs.backtest_worker", asdict(wanted), progress, bounds))
