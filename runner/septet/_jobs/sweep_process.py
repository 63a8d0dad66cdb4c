"""A sweep in a process of its own, as seen by the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from septet._jobs.bounds import LONG_WORK, Bounds
from septet._jobs.child_process import result_of
from septet._progress import Progress

__all__ = ["SweepWork", "sweep_in_process"]


@dataclass(frozen=True, slots=True)
class SweepWork:
    """A request for a sweep: `file` of a workspace over `axes`, with `section` as its other keys.

    `face`, `client` and `hypothesis` go to the ledger of trials.
    """

    workspace: str
    file: str
    axes: Mapping[str, Any]
    section: Mapping[str, Any]
    face: str
    client: str
    hypothesis: str


def sweep_in_process(
    wanted: SweepWork, progress: Progress, bounds: Bounds = LONG_WORK
) -> dict[str, Any]:
    """Run and store a sweep, without its page, in a new process; return its document.

    Raises
    ------
    InputError
        If it exceeds its bounds.
    SeptetError
        If the sweep failed, problems of the file included.
    Cancelled
        If `progress` raised it: the process is killed. Settings stored before remain stored.
    """
    found = result_of("septet._jobs.sweep_worker", asdict(wanted), progress, bounds)
    return cast("dict[str, Any]", found)
