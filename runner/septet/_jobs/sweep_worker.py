"""The process that runs a sweep: input on stdin, progress and result on stdout.

It reads one JSON document (`sweep_process.SweepWork`); its result is the document of the sweep. No
line contains a figure of a setting before its try is in the ledger: whenever the process is killed,
every figure that could be seen is counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from septet._app.sweep import SweepRequest, sweep_document, sweep_file
from septet._app.workspace import Workspace
from septet._jobs.child_side import Reports, serve_one
from septet._text import plain_json

__all__ = ["main"]


def _sweep(given: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Run the requested sweep, store it and return its document."""
    workspace = Workspace(Path(given["workspace"]))
    loaded = workspace.load_sweep(given["file"], given["axes"], given["section"])
    request = SweepRequest(
        out=workspace.folder("sweeps"), page=False, face=given["face"], client=given["client"],
        hypothesis=given["hypothesis"],
    )  # fmt: skip

    def progress(stage: str, done: int, total: int | None, best: str, /) -> None:
        reports.progress(stage, done, total, "")  # the best so far is a figure

    outcome = sweep_file(loaded, request, log=reports.note, progress=progress)
    found: dict[str, Any] = plain_json(sweep_document(outcome))
    return found


def main() -> None:
    """Run one sweep."""
    serve_one(_sweep)
