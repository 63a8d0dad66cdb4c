"""Copies a stored backtest to another root."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from septet._files import make_folders, open_regular, replacing, require_no_links
from septet.errors import InputError, RunError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = ["copy_run"]


def copy_run(run: Run, root: Path) -> Path:
    """Copy a stored backtest to ``root/STRATEGY/ID``, and return that folder; it appears whole.

    Raises
    ------
    InputError
        If it is a paper or live run, whose journal has one place.
    RunError
        If a file cannot be read or written.
    """
    from septet._store.find_runs import LIVE_SIGNS

    source = run.folder
    if any((source / name).exists() for name in LIVE_SIGNS):
        raise InputError(
            f"run {source.name} is a paper or live run, and stays in {source}",
            hint="septet runs export writes its tables; no run goes on in a copy of a journal",
        )
    try:
        require_no_links(source)
        parent = make_folders(root, source.parent.name)
        target, partial = parent / source.name, parent / f".{source.name}.partial"
        if target.is_dir():
            return target
        partial.mkdir()
        try:
            for path in sorted(source.rglob("*")):
                at = path.relative_to(source)
                if path.is_dir():
                    make_folders(partial, *at.parts)
                    continue
                with open_regular(path, follow=False) as old, replacing(partial / at) as new:
                    shutil.copyfileobj(old, new)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as problem:
        raise RunError(
            f"run {source.name} could not be copied to {root}: {problem.strerror or problem}",
            hint="name another root, or make room there; nothing of the copy was left behind",
        ) from problem
    return target
