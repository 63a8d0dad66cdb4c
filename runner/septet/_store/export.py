"""Exports a run's tables to files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from septet._files import replacing
from septet._results.result import TABLES
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["export_tables", "missing_tables"]


def missing_tables(run: Run) -> list[str]:
    """Return the tables that a run should have and has not: they were removed, or lost."""
    from septet._store.run_folder import OPTIONAL_TABLES

    expected = (name for name in TABLES if name not in (*OPTIONAL_TABLES, *run.left_out))
    return [name for name in expected if not run.has(name)]


def export_tables(run: Run, folder: Path, kind: str, *, force: bool = False) -> list[Path]:
    """Write every table of a run as ``csv`` or ``parquet``; text columns come as plain text.

    Raises
    ------
    InputError
        A file is there already and `force` is not set, or the folder cannot be written.
    """
    names = [name for name in TABLES if run.has(name)]
    paths = {name: folder / f"{name}.{kind}" for name in names}
    existing = [path.name for path in paths.values() if path.exists()]
    if existing and not force:
        raise InputError(
            f"{folder} has {', '.join(existing[:3])} already",
            hint="name another folder, or replace the files with --force",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            table = run.table(name)
            with replacing(path) as file:
                table.write_csv(file) if kind == "csv" else table.write_parquet(file)
    except OSError as problem:
        raise InputError(f"the tables cannot be written to {folder}: {problem}") from problem
    return list(paths.values())
