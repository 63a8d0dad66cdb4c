"""Finds the runs under a folder, and the run that a name refers to.

A folder of runs may hold what a stranger put there. Whatever cannot be read is one run that has a
problem when it is read; the others are found all the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from septet._files import require_no_links
from septet._store.damage_messages import JOURNAL, LIVE_SIGNS, damaged
from septet._store.run_folder import Run
from septet._store.run_order import in_order, run_id_in
from septet._store.starting_runs import is_held, is_starting, starting_problem
from septet.errors import InputError, SeptetError

__all__ = [
    "LIVE_SIGNS",
    "UnreadableRun",
    "copies_of",
    "find_folder",
    "find_run",
    "find_to_mend",
    "is_path",
    "list_runs",
    "open_run",
    "run_folders",
]

_HALT: Final = "HALT"
"""The file of a halt: also a start that never began stays halted by it."""
_SIGNS: Final = ("summary.json", "manifest.json", JOURNAL)
"""A folder in which one of these names is taken, by whatever it be, is that of a run."""


class UnreadableRun(Run):
    """A folder that cannot be read as a run: every part of it raises what is wrong."""

    def __init__(self, folder: Path, problem: SeptetError) -> None:
        super().__init__(folder)
        self._problem = problem

    @property
    def run_id(self) -> str:
        """The name of the folder: nothing in it can be read."""
        return self.folder.name

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Raise what is wrong."""
        raise self._problem

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Raise what is wrong."""
        raise self._problem


def open_run(path: Path | str, before: Run | None = None) -> Run:
    """Open the run in a folder; its summary is read at once, the rest when asked for.

    Of the journal of a run that was opened `before`, only the entries since are read; that
    earlier one is not used any more.

    Raises
    ------
    InputError
        The folder is no run, or is damaged.
    """
    folder = Path(path)
    if not os.path.isdir(folder):
        raise InputError(
            f"there is no run in {folder}: no such folder", hint="see `septet runs list`"
        )
    if not any(os.path.lexists(folder / name) for name in _SIGNS):
        if is_starting(folder):
            raise starting_problem(folder)
        raise InputError(
            f"there is no run in {folder}: it has neither summary.json nor manifest.json",
            hint="see `septet runs list`",
        )
    run = _run_in(folder, before)
    run.summary  # noqa: B018 - read now, so that a damaged folder is reported at once
    return run


def _run_in(folder: Path, before: Run | None = None) -> Run:
    """Return the run of a folder, from its journal where that knows more than the tables."""
    require_no_links(folder)
    if is_starting(folder):
        raise starting_problem(folder)
    for name in _SIGNS:
        if os.path.isdir(folder / name):
            raise damaged(folder, f"{name} is a folder, expected a file")
    run = Run(folder)
    run.require_document_sizes()
    if not os.path.isfile(folder / JOURNAL):
        return run
    from septet._store.journal_view import open_live

    return open_live(folder, before)


def _looked(root: Path, signs: Sequence[str] = _SIGNS) -> tuple[list[Path], list[UnreadableRun]]:
    """Return folders of runs under `root`, and what could not be listed."""
    folders: list[Path] = []
    unread: list[UnreadableRun] = []
    for strategy in _folders_in(root, unread):
        for folder in _folders_in(strategy, unread):
            names = _names(folder, unread)
            if any(name in names for name in signs) or is_starting(folder, names):
                folders.append(folder)
    return folders, unread


def _folders_in(folder: Path, unread: list[UnreadableRun]) -> list[Path]:
    """Return the folders in a folder; a link is one that cannot be read, wherever it leads."""
    folders = []
    for name in sorted(_names(folder, unread)):
        path = folder / name
        if name.startswith("."):
            continue
        if os.path.islink(path):
            unread.append(_unread(path, "it is a symbolic link, and none is followed there"))
        elif os.path.isdir(path):
            folders.append(path)
    return folders


def _names(folder: Path, unread: list[UnreadableRun]) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:  # nothing was run yet, or it was removed meanwhile
        return set()
    except OSError as problem:
        unread.append(_unread(folder, problem.strerror or str(problem)))
        return set()


def _unread(folder: Path, why: str) -> UnreadableRun:
    problem = InputError(f"{folder} cannot be read: {why}", hint="remove it, or set its rights")
    return UnreadableRun(folder, problem)


def run_folders(root: Path) -> list[Path]:
    """Folders of runs under `root`, oldest first; of copies of a run the one in use last."""
    return in_order(_looked(root)[0])


def list_runs(root: Path | str) -> list[Run]:
    """List runs under `root`, oldest first. One that cannot be read is listed; its summary raises.

    What cannot be read at all comes first.
    """
    folders, unread = _looked(Path(root))
    return [*unread, *(_listed(folder) for folder in in_order(folders))]


def _listed(folder: Path) -> Run:
    try:
        return _run_in(folder)
    except SeptetError as problem:
        return UnreadableRun(folder, problem)


def copies_of(folder: Path, root: Path | str) -> list[Path]:
    """Return the folders under `root` with the run of one, that among them; the one in use last."""
    run_id = run_id_in(folder)
    return [each for each in run_folders(Path(root)) if run_id_in(each) == run_id]


def find_run(reference: str, root: Path | str) -> Run:
    """Find a run by path, id, unambiguous beginning of an id, strategy name, or ``latest``.

    A strategy's name means its latest run.

    Raises
    ------
    InputError
        Nothing fits, or more than one run does.
    """
    return open_run(find_folder(reference, root))


def find_to_mend(reference: str, root: Path | str) -> Run:
    """Find a run as `find_run` does; if it has a journal, its other files may be damaged.

    Raises
    ------
    InputError
        Nothing fits, more than one run does, or one without a journal is damaged.
    """
    folder = find_folder(reference, root)
    if not os.path.isfile(folder / JOURNAL):
        return open_run(folder)
    require_no_links(folder)
    return Run(folder)


def find_folder(
    reference: str, root: Path | str, *, live: bool = False, to_halt: bool = False
) -> Path:
    """Find the folder of a run as `find_run` does; nothing in it is read but the run's id.

    With `live` only paper and live runs count, by what one leaves behind: a damaged one may have
    lost some of it, and can be halted all the same. With `to_halt` as well, ``latest`` and a
    strategy's name mean the run that a process holds, where none holds the newest.

    Raises
    ------
    InputError
        Nothing fits, or more than one run does.
    """
    if is_path(reference, live=live):
        return Path(reference)
    signs = _SIGNS if not live else (*LIVE_SIGNS, _HALT)
    run_folders, unread = _looked(Path(root), signs)
    folders, where = in_order(run_folders), os.path.abspath(root)
    for each in unread:
        if each.folder.name == reference:
            each.summary  # noqa: B018 - it raises what is wrong
    if not folders and not live:
        raise InputError(
            f"there are no runs in {where}",
            hint="make one with `septet run FILE`, or name the folder with --runs",
        )
    named = [folder for folder in folders if reference in ("latest", folder.parent.name)]
    if named:
        return _to_halt(reference, named) if to_halt else named[-1]
    fitting = [folder for folder in folders if run_id_in(folder).startswith(reference)]
    fitting = fitting or [folder for folder in folders if folder.name.startswith(reference)]
    exact = [folder for folder in fitting if reference in (folder.name, run_id_in(folder))]
    for chosen in (exact, fitting):
        if len({run_id_in(folder) for folder in chosen}) == 1:
            return chosen[-1]  # of copies of one run: the one in use
    if fitting:
        names = ", ".join(folder.name for folder in fitting[:4])
        raise InputError(
            f"{reference!r} fits {len(fitting)} runs: {names}", hint="give more of the id"
        )
    kind = "paper or live run" if live else "run"
    recent = ", ".join(folder.name for folder in folders[-3:]) or "none"
    hint = f"the latest: {recent}" + ("; name the folder with --runs" if live else "")
    raise InputError(f"no {kind} is called {reference!r} in {where}", hint=hint)


def _to_halt(reference: str, folders: Sequence[Path]) -> Path:
    """Return the newest of some folders, or the one that a process holds where none holds that.

    Raises
    ------
    InputError
        Processes hold several, and not the newest.
    """
    newest = folders[-1]
    held = [] if is_held(newest) else [each for each in folders if is_held(each)]
    if len(held) > 1:
        names = ", ".join(str(each) for each in held[-4:])
        raise InputError(
            f"{reference!r} may mean several runs, and nothing was halted: no process runs the "
            f"newest, {newest}; processes run {names}",
            hint="name each run by its id or its folder",
        )
    return held[0] if held else newest


def is_path(reference: str, *, live: bool = False) -> bool:
    """Whether a reference is meant as a folder."""
    if live:
        has_sign = any(os.path.exists(os.path.join(reference, name)) for name in LIVE_SIGNS)
        return has_sign or is_starting(Path(reference))
    has_run = any(
        os.path.isfile(os.path.join(reference, name)) for name in ("summary.json", JOURNAL)
    )
    return has_run or os.sep in reference or reference in (".", "..")
