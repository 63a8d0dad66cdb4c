"""The process that runs a backtest: input on stdin, progress and result on stdout.

It reads one JSON document (`backtest_process.Backtest`); its result is the id of the stored run. No
line contains a figure of the backtest before the try is in the ledger: whenever the process is
killed, every figure that could be seen is counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from septet._app.run import BacktestRequest, compute_backtest, store_backtest
from septet._app.workspace import Workspace
from septet._jobs.child_side import Reports, serve_one

__all__ = ["main"]


def _run(given: dict[str, Any], reports: Reports) -> str:
    """Run the requested backtest, store it and return its id."""
    workspace = Workspace(Path(given["workspace"]))
    loaded = workspace.load(
        text=given["text"], beside=given["file"], settings=given["settings"]
    )  # fmt: skip
    request = BacktestRequest(
        face=given["face"], client=given["client"], hypothesis=given["hypothesis"]
    )  # fmt: skip
    result = compute_backtest(loaded, request, log=reports.note, progress=reports.progress)
    reports.progress("store", 0, None, "")
    return store_backtest(result, Path(given["runs"]), report=given["report"]).run_id


def main() -> None:
    """Run one backtest."""
    serve_one(_run)
