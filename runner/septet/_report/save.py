"""Store a finished run with its summary and its report, as one step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from septet._store.background_work import Background
from septet._store.find_runs import open_run
from septet._store.memory_run import MemoryRun, WrittenRun
from septet._store.run_folder import Run, RunWriter

if TYPE_CHECKING:
    import polars as pl

    from septet._results.result import RunResult

__all__ = ["save_run"]


def save_run(
    result: RunResult,
    root: Path | str,
    *,
    now_ns: int | None = None,
    report: bool = True,
    keeps_tables: bool = False,
) -> Run:
    """Write ``root/<strategy>/<run id>/`` and return the stored run.

    With `keeps_tables` that run holds its tables in memory, and does not read them again.

    The folder is created complete, report included, or not at all: after a failure what was
    written is removed, and the error raised. The time this takes is added to `seconds_total`.

    Raises
    ------
    RunError
        If the disk is full, or a file cannot be written for another reason.
    """
    began = time.perf_counter()
    with RunWriter(Path(root), result.facts.strategy, now_ns=now_ns) as writer:
        run = MemoryRun(result, now_ns=writer.now_ns, run_id=writer.run_id)
        frames = run.frames
        tables = Background(lambda: _write_tables(writer, frames))
        try:
            summary = run.summary
            _write_documents(writer, run)
        finally:
            tables.wait()  # the folder goes away when this fails
        tables.result()
        writer.write_json("summary.json", summary)
        if report:
            from septet._report.page import render

            writer.write_text("report.html", render(run))
        spent = time.perf_counter() - began
        writer.write_json(
            "summary.json", {**summary, "seconds_total": summary["seconds_total"] + spent}
        )
        folder = writer.commit()
        return WrittenRun(folder, run) if keeps_tables else open_run(folder)


def _write_tables(writer: RunWriter, frames: Mapping[str, pl.DataFrame]) -> None:
    for name, frame in frames.items():
        writer.write_table(name, frame)


def _write_documents(writer: RunWriter, run: MemoryRun) -> None:
    """Write everything of a run but its tables, summary and report."""
    bars, _ = run.display
    writer.write_table("bars", bars)
    writer.write_json("findings.json", run.findings)
    writer.write_json("resolved.json", run.result.resolved)
    writer.write_text("strategy.yaml", run.strategy_text)
    for name, data in run.result.model_files.items():
        writer.write_bytes(f"models/{name}", data)
    writer.write_json("manifest.json", run.manifest)
