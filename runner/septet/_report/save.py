"""Store a finished run with its summary and its report, as one step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from septet._store.background_work import Background
from septet._store.find_runs import open_run
from septet._store.run_folder import Run, RunWriter, write_result, write_tables
from septet._store.tables import stored_frames

if TYPE_CHECKING:
    from septet._results.result import RunResult

__all__ = ["save_run"]


def save_run(
    result: RunResult, root: Path | str, *, now_ns: int | None = None, report: bool = True
) -> Run:
    """Write ``root/<strategy>/<run id>/`` and give the stored run.

    The folder appears whole, report included, or not at all: any failure on the way removes
    what was written and is raised. The time this takes is added to `seconds_total`.

    Raises
    ------
    RunError
        If the disk is full, or a file cannot be written for another reason.
    """
    from septet._results.summary import summarise

    began = time.perf_counter()
    with RunWriter(Path(root), result.facts.strategy, now_ns=now_ns) as writer:
        frames = stored_frames(result)
        tables = Background(lambda: write_tables(writer, frames))
        try:
            summary = summarise(result, frames, run_id=writer.run_id)
            write_result(writer, result)
        finally:
            tables.wait()  # the folder goes away when this fails
        tables.result()
        writer.write_json("summary.json", summary)
        if report:
            from septet._report.page import render

            writer.write_text("report.html", render(open_run(writer.folder)))
        spent = time.perf_counter() - began
        writer.write_json(
            "summary.json", {**summary, "seconds_total": summary["seconds_total"] + spent}
        )
        return open_run(writer.commit())
