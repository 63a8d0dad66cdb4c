"""The folder of a run: which one a start continues, and the folder of a new run.

A run is named by the head of its journal. A folder may be renamed or copied: of several folders
with one run the one with the most entries counts. Only one process at a time creates a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from septet._files import alone_in, make_folders, open_regular, require_no_links
from septet._journal.lease import RUN_LOCK, starting_process_in
from septet._journal.reader import Reader
from septet._store.run_folder import folder_name, id_end
from septet._text import decode_json
from septet.errors import InputError, RunError, SeptetError

__all__ = ["JOURNAL", "RunLocation", "find_run_location", "only_start", "tag_of"]

JOURNAL: Final = "journal.sqlite"
PRIVATE: Final = 0o700
_LONGEST: Final = 64 << 20
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class RunLocation:
    """Where a run is kept. `fresh` means that there is no journal yet.

    `copies` are other folders beside it with the same run, which are left alone.
    """

    folder: Path
    run_id: str
    fresh: bool
    copies: tuple[Path, ...] = ()

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.folder / JOURNAL

    @property
    def tag(self) -> str:
        """Prefix of every client order id of the run."""
        return tag_of(self.run_id)

    def notes(self) -> list[str]:
        """Return notices about the folder for the operator, before the run is resumed."""
        notes = []
        if self.copies:
            names = ", ".join(each.name for each in self.copies)
            notes.append(
                f"run {self.run_id} goes on in {self.folder.name}; its copies stay: {names}"
            )
        if not self.fresh and self.folder.name != self.run_id:
            notes.append(f"{self.folder.name} is the folder of run {self.run_id}")
        with contextlib.suppress(OSError):
            mode = self.folder.stat().st_mode & 0o777
            if mode & ~PRIVATE:
                notes.append(
                    f"{self.folder} is open to other users of this machine (mode {mode:o}): "
                    f"chmod 700 keeps it to yourself"
                )
        return notes

    def forget_unbegun(self) -> None:
        """Remove the folder of a new run that never began: the next start is the first one."""
        if self.fresh and not self.journal.exists():
            with contextlib.suppress(OSError):  # it has other content, and is kept
                for name in ("log.jsonl", RUN_LOCK):
                    (self.folder / name).unlink(missing_ok=True)
                self.folder.rmdir()


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder with a journal; `problem` is why that cannot be read."""

    folder: Path
    run_id: str
    mode: str
    problem: SeptetError | None = None


def tag_of(run_id: str) -> str:
    """Return a letter and seven characters that name a run in client order ids."""
    number = int.from_bytes(hashlib.sha256(f"septet|{run_id}".encode()).digest()[:8], "big")
    text = ""
    for _ in range(7):
        number, digit = divmod(number, 36)
        text += _LETTERS[digit]
    return f"s{text}"


@contextlib.contextmanager
def only_start(out: Path, strategy: str) -> Iterator[None]:
    """Let no other start look for the run of a strategy until this one has its lease."""
    parent = Path(out) / folder_name(strategy)
    with contextlib.suppress(OSError):  # `find_run_location` raises the error
        make_folders(parent.parent, parent.name)
    with alone_in(parent):
        yield


def _require_no_start(parent: Path, strategy: str, mode: str) -> None:
    """Refuse a start while another one of the same mode has a folder and no journal yet.

    Raises
    ------
    RunError
        Another process begins a run.
    """
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        if folder.is_dir() and not (folder / JOURNAL).exists():
            beginner = starting_process_in(folder)
            if beginner is not None and beginner.mode in ("", mode):
                raise RunError(
                    f"another start of {strategy} in {mode} mode begins its run in {folder}: "
                    f"{beginner}",
                    hint="wait until it has begun, or end that process; --fresh begins another run",
                )


def find_run_location(
    out: Path, strategy: str, mode: str, *, fresh: bool, now_ns: int
) -> RunLocation:
    """Return the newest run of a strategy in a mode, or a new folder where there is none.

    Raises
    ------
    InputError, JournalError
        The folder cannot be made, or the newest journal cannot be read.
    RunError
        Another start of the same strategy and mode is about to begin a run.
    """
    parent = Path(out) / folder_name(strategy)
    if parent.is_symlink():
        raise InputError(
            f"the run cannot be stored in {parent}: it is a symbolic link",
            hint="remove the link, or name another folder with --out",
        )
    if not fresh:
        _require_no_start(parent, strategy, mode)
        if (location := _newest(parent, mode)) is not None:
            return location
    stamp = _stamp_after(parent, now_ns)
    for attempt in range(1_000):
        run_id = f"{stamp}-{id_end(f'{strategy}|{mode}|{os.getpid()}', now_ns, attempt)}"
        try:
            make_folders(parent.parent, parent.name)
            (parent / run_id).mkdir(mode=PRIVATE)
        except FileExistsError:
            continue
        except OSError as problem:
            raise InputError(
                f"the run cannot be stored in {parent}: {problem.strerror}",
                hint="name a folder you may write to with --out",
            ) from problem
        return RunLocation(parent / run_id, run_id, fresh=True)
    raise AssertionError("a thousand run ids in one second are taken")


def _stamp_after(parent: Path, now_ns: int) -> str:
    """Return the time that a new run's id begins with: later than that of every run in the folder.

    The newest run is the one whose id sorts last, so two runs of one second, or one that was begun
    while the clock ran ahead, must not leave that to chance.
    """
    moment = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    beside = [_look(each).run_id.partition("-")[0] for each in _folders(parent)]
    for stamp in beside:
        with contextlib.suppress(ValueError, OverflowError):
            written = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            moment = max(moment, written + timedelta(seconds=1))
    return f"{moment:{_STAMP}}"


def _newest(parent: Path, mode: str) -> RunLocation | None:
    locations = [_look(each) for each in _folders(parent)]
    fitting = [each for each in locations if each.problem is None and each.mode == mode]
    newest = max((each.run_id for each in fitting), default="")
    for each in locations:
        if each.problem is not None and each.mode in ("", mode) and each.run_id > newest:
            raise InputError(each.problem.message, hint=each.problem.hint) from each.problem
    same = [each.folder for each in fitting if each.run_id == newest]
    if not same:
        return None
    same.sort(key=lambda folder: _progress(folder, newest))
    return RunLocation(same[-1], newest, fresh=False, copies=tuple(same[:-1]))


def _folders(parent: Path) -> Iterable[Path]:
    if not parent.is_dir():
        return ()
    names = (each for each in parent.iterdir() if not each.name.startswith("."))
    return sorted(each for each in names if (each / JOURNAL).is_file())


def _look(folder: Path) -> _Found:
    try:
        require_no_links(folder)
        with Reader(folder / JOURNAL) as journal:
            return _Found(folder, journal.head.run_id, journal.head.mode)
    except SeptetError as problem:
        run_id, mode = _written(folder)
        return _Found(folder, run_id or folder.name, mode, problem)


def _written(folder: Path) -> tuple[str, str]:
    """Return the run of a folder whose journal cannot be read, by the other files in it."""
    try:
        with open_regular(folder / "manifest.json") as file:
            written = decode_json(file.read(_LONGEST))
        return str(written["run_id"]), str(written["mode"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "", ""


def _progress(folder: Path, run_id: str) -> tuple[int, bool, str]:
    """Return how many entries a copy of a run has; of equals the one with the run's name counts."""
    with Reader(folder / JOURNAL) as journal:
        return journal.last_seq, folder.name == run_id, folder.name
