"""Writes the tables and documents of a paper or live run from its journal, and records them in it.

The journal keeps the hash of every file, so that one that was changed later is found: see
`septet._store.files_check`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from septet._files import replacing, size_and_hash
from septet._journal.files_record import write_files_record
from septet._journal.journal_files import sync_folder
from septet._journal.lease import holder_of
from septet._store.journal_view import LiveRun
from septet._store.run_folder import JOURNAL, Run
from septet._text import dump_json
from septet.errors import InputError, RunError, SeptetError

__all__ = ["project", "write_projections"]

_ZSTD: Final[dict[str, Any]] = {"compression": "zstd", "compression_level": 1}


def write_projections(folder: Path | str) -> LiveRun:
    """Rewrite a run's tables, summary and manifest from its journal; return the run.

    Each file is replaced as a whole; the manifest is written last and states the last entry that
    the others include (``journal_seq``). When all are on disk, the journal records their hashes,
    except while a process runs the run, whose files are not read then, and except in a damaged
    journal.

    Raises
    ------
    JournalError
        The journal cannot be read.
    RunError
        A file cannot be written, or the journal cannot record them.
    """
    import polars as pl

    run = LiveRun(Path(folder))
    texts = {
        "findings.json": dump_json(run.findings),
        "resolved.json": dump_json(run.result.resolved),
        "summary.json": dump_json(_unheld(run.summary)),
        "manifest.json": dump_json(run.manifest),
    }
    if run.result.strategy_text:
        texts = {"strategy.yaml": run.result.strategy_text, **texts}
    written: dict[str, tuple[int, str]] = {}
    try:
        for name, frame in run._frames.items():
            with replacing(run.folder / f"{name}.parquet", durable=True) as file:
                frame.write_parquet(file, **_ZSTD)
                written[f"{name}.parquet"] = size_and_hash(file)
        for name, text in texts.items():
            with replacing(run.folder / name, durable=True) as file:
                file.write(data := text.encode())
            written[name] = len(data), hashlib.sha256(data).hexdigest()
        sync_folder(run.folder)
    except (OSError, pl.exceptions.PolarsError) as problem:
        why = (problem.strerror if isinstance(problem, OSError) else None) or problem
        raise RunError(
            f"the tables of {run.folder} cannot be written: {why}",
            hint="the journal is not touched; make room, then: septet runs export RUN",
        ) from problem
    _record(run, written)
    return run


def _record(run: LiveRun, written: Mapping[str, tuple[int, str]]) -> None:
    """Record the files in the journal."""
    if run.finding is not None or holder_of(run.folder) is not None:
        return
    try:
        write_files_record(run.journal, run.fold.seq, written)
    except (SeptetError, OSError) as problem:
        raise RunError(
            f"the tables of {run.folder} are written, but not recorded in its journal: {problem}",
            hint="commands show the run from its journal; when the journal can be written: "
            f"septet runs export {run.folder}",
        ) from problem


def _unheld(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without the process of the run, which does not belong in a file."""
    return {key: value for key, value in summary.items() if key != "holder"}


def project(run: Run, *, force: bool = False) -> list[Path]:
    """Rewrite the tables of a paper or live run in its own folder; return what was written.

    Existing tables may be more complete than a journal that was changed or lacks its end: then they
    are replaced only with `force`.

    Raises
    ------
    InputError
        The run has no journal, only its tables; or the journal is incomplete, and `force` is
        not set.
    """
    if not (run.folder / JOURNAL).is_file():
        raise InputError(
            f"{run.folder} has no journal to make tables from: it is a backtest",
            hint="name a folder to write them to with --to",
        )
    if run.finding is not None and not force:
        raise InputError(
            f"{run.finding.message}; the tables in its folder are not replaced by what is left",
            hint=f"{run.finding.hint}. `septet runs export {run.folder} --to DIR` writes what can "
            "be read to another folder, --force replaces the tables all the same",
        )
    written = write_projections(run.folder)
    return [run.folder / f"{name}.parquet" for name in written._frames]
