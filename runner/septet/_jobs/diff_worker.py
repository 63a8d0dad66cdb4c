"""The process that compares two runs for a server: see `diff_process`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from septet._app.run_folder_errors import reading_run
from septet._app.runs import diff_runs, problem_of_run
from septet._jobs.child_side import Reports, serve_one
from septet._store.find_runs import open_run
from septet._text import plain_json

__all__ = ["main"]

_CAUSES: Final = 5


def _diff(given: dict[str, Any], reports: Reports) -> dict[str, Any]:
    """Compare two runs; return the largest causes of each kind."""
    with reading_run():
        live, past = (open_run(Path(given[name])) for name in ("live", "backtest"))
        gap = diff_runs(live, past, log=reports.note, progress=reports.progress)
        document: dict[str, Any] = plain_json(gap.document(_CAUSES))
    if problem := problem_of_run(live):
        document["notes"].insert(0, problem)
    return document


def main() -> None:
    """Compare two runs."""
    serve_one(_diff)
