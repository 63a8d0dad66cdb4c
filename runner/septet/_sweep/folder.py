"""The folder of a sweep: its manifest, and the rows of settings that are done.

``sweeps/<strategy>/<sweep id>/`` holds manifest.json, while it runs ``parts/NNNNN.parquet`` (each
written under another name and renamed, so that a part is whole or not there), and in the end
settings.parquet and sweep.html. A sweep that was stopped, by whatever means, is its parts.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from septet._config.explain import flatten
from septet._config.tree import dotted
from septet._data.parquet_bounds import columns_within_memory
from septet._data.stamps import iso
from septet._files import (
    make_folder,
    make_folders,
    open_lock,
    read_bounded,
    replace_file,
    require_no_links,
)
from septet._store.run_folder import folder_name, run_id_at
from septet._sweep.setting_row import FIGURES, STATUSES
from septet._text import decode_json, dump_json, one_line
from septet.errors import DataError, InputError, RunError

if TYPE_CHECKING:
    import polars as pl

    from septet._data.bars import Ints
    from septet._sweep.space import Space

__all__ = ["FORMAT", "SweepFolder", "differences", "open_unfinished", "start_folder"]

FORMAT: Final = 1
_COMPARED_KEYS: Final = (
    "septet", "python", "plugins", "plugin_sources", "plugin_checks", "libraries", "resolved",
    "space", "data_hashes", "first_decision",
)  # fmt: skip
_NAMES: Final[Mapping[str, str]] = {
    "resolved": "",
    "space": "sweep.",
    "plugins": "plugin ",
    "plugin_sources": "source of ",
    "plugin_checks": "check of ",
    "libraries": "",
    "data_hashes": "data of ",
}
_SHOWN_ITEMS: Final = 6
_MAX_MANIFEST_BYTES: Final = 256 << 20
"""Most bytes of a manifest, which includes the table of the whole space."""


class SweepFolder:
    """One sweep on disk. Used as a context manager: one process at a time works on it."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self._lock: Any = None
        self._next = 0

    @property
    def sweep_id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def parts(self) -> Path:
        """The folder of finished blocks while the sweep runs."""
        return self.folder / "parts"

    def __enter__(self) -> SweepFolder:
        with self.write_errors():
            make_folder(self.parts)
        self._lock = _locked(self.folder / "lock")
        for unfinished in self.parts.glob(".*"):
            unfinished.unlink()
        names = [path.stem for path in self.parts.glob("*.parquet")]
        numbers = [int(name) for name in names if name.isascii() and name.isdigit()]
        self._next = max(numbers, default=-1) + 1
        return self

    def __exit__(self, *problem: object) -> None:
        self._lock.close()
        (self.folder / "lock").unlink(missing_ok=True)

    def finished(
        self, like: pl.DataFrame, space: Space, log: Callable[[str], None]
    ) -> list[pl.DataFrame]:
        """Return the stored parts; remove files that are not parts, whose rows are then run again.

        Parameters
        ----------
        like
            An empty table with the columns that a part has.
        space
            The sweep's settings: a part may hold rows of these, with their values, and no others.
        say
            Called with a sentence for each file that is removed, and why.
        """
        frames, done = [], np.zeros(0, np.int64)
        for path in sorted(self.parts.glob("*.parquet")):
            frame, problem = _part(path, like, space, done)
            if frame is None:
                log(f"{path} {problem}: its settings are run again")
                path.unlink()
            else:
                frames.append(frame)
                done = np.concatenate((done, frame.get_column("setting").to_numpy()))
        return frames

    def add(self, frame: pl.DataFrame) -> None:
        """Store the rows of a block; durable when it returns.

        Raises
        ------
        RunError
            If it cannot be written.
        """
        self._write(self.parts / f"{self._next:05d}.parquet", frame)
        self._next += 1

    def complete(self, table: pl.DataFrame) -> None:
        """Store the whole table and mark the sweep as complete; the parts are removed."""
        self._write(self.folder / "settings.parquet", table)
        self.manifest["status"] = "complete"
        self.manifest["finished"] = iso(time.time_ns())
        self.write_manifest()
        shutil.rmtree(self.parts, ignore_errors=True)

    def write_manifest(self) -> None:
        """Write the manifest."""
        with self.write_errors():
            _replace(self.folder / "manifest.json", dump_json(self.manifest).encode())

    def _write(self, path: Path, frame: pl.DataFrame) -> None:
        data = io.BytesIO()
        frame.write_parquet(data, compression="zstd", compression_level=3)
        with self.write_errors():
            _replace(path, data.getvalue())

    @contextlib.contextmanager
    def write_errors(self) -> Iterator[None]:
        """Convert an OSError of a write into a `RunError` that names the folder."""
        try:
            yield
        except OSError as error:
            raise RunError(
                f"results cannot be written to {self.folder}: {error.strerror or error}",
                hint="what was stored before stays; make room and go on with --resume",
            ) from error


def _part(
    path: Path, like: pl.DataFrame, space: Space, done: Ints
) -> tuple[pl.DataFrame | None, str]:
    """Return a part, or None and its fault; `done` are settings of other parts."""
    import polars as pl

    try:
        columns_within_memory(path)
        if pl.scan_parquet(path, glob=False).collect_schema() != like.schema:
            return None, "has other columns than a part of this sweep"
        frame = pl.scan_parquet(path, glob=False).head(len(space) + 1).collect()
    except (OSError, DataError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None, "cannot be read"
    problem = _foreign(frame, space, done)
    return (None, problem) if problem else (frame, "")


def _foreign(frame: pl.DataFrame, space: Space, done: Ints) -> str:
    """Describe content that no process of these settings can have written; empty if none.

    A part that was damaged or changed would otherwise become rows of the result.
    """
    numbers = frame.get_column("setting").to_numpy()
    if len(numbers) > len(space) or not np.isin(numbers, space.numbers).all():
        return "has rows that are no settings of this sweep"
    if len(np.unique(numbers)) < len(numbers) or np.isin(numbers, done).any():
        return "has a second row of a setting"
    for key, expected in space.columns(numbers.astype(np.int64)).items():
        if not np.array_equal(frame.get_column(key).to_numpy(), expected):
            return f"has values of {one_line(key)} that its settings do not have"
    status = frame.get_column("status")
    known = STATUSES if space.method == "tpe" else STATUSES[:2]
    if not status.is_in(known).fill_null(value=False).all():
        return "has a status that no sweep writes"
    done_rows = status == "done"
    reported = frame.get_column("problem").is_null() == done_rows
    if not reported.all() or any(
        each.is_not_null().any() for each in frame.filter(~done_rows).select(FIGURES)
    ):
        return "has figures of settings that did not run, or problems of settings that did"
    return ""


def _replace(path: Path, data: bytes) -> None:
    """Write a file under another name, make it durable, and put it in place in one step."""
    replace_file(path, data, durable=True)


def _locked(path: Path) -> Any:
    """Lock a sweep against other processes; the system releases the lock of a dead one."""
    file = os.fdopen(open_lock(path), "r+b")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return file  # no file locks on this system: a second start is not detected
    except OSError:
        file.close()
        raise InputError(
            f"another process works on the sweep in {path.parent}",
            hint="wait for it, or stop it first",
        ) from None
    return file


def start_folder(
    root: Path, strategy: str, manifest: dict[str, Any], *, now_ns: int | None = None
) -> SweepFolder:
    """Make the folder of a new sweep.

    Raises
    ------
    InputError
        If nothing can be written there.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    parent = Path(root) / folder_name(strategy)
    try:
        make_folders(parent.parent, parent.name)
        for attempt in range(10_000):
            folder = parent / run_id_at(strategy, now_ns, attempt)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            break
    except OSError as problem:
        raise InputError(
            f"the sweep cannot be stored in {parent}: {problem.strerror}",
            hint="name a folder you may write to with --out",
        ) from problem
    sweep_folder = SweepFolder(
        folder,
        {
            "format": FORMAT,
            "sweep_id": folder.name,
            "created": iso(now_ns),
            "status": "running",
            **manifest,
        },
    )
    sweep_folder.write_manifest()
    return sweep_folder


def open_unfinished(root: Path, strategy: str) -> SweepFolder:
    """Open the latest sweep of a strategy that is not complete.

    Raises
    ------
    InputError
        If there is none.
    """
    parent, unreadable = Path(root) / folder_name(strategy), ""
    for path in sorted(parent.glob("*/manifest.json"), reverse=True):
        require_no_links(path.parent)
        try:
            manifest = decode_json(read_bounded(path, _MAX_MANIFEST_BYTES))
            if not isinstance(manifest, dict):
                raise ValueError("it is no mapping")
        except (OSError, ValueError) as problem:  # not a sweep that can be resumed
            reason = getattr(problem, "strerror", None) or str(problem)
            unreadable = unreadable or f"; {path} cannot be read: {one_line(reason)[:200]}"
            continue
        if manifest.get("status") == "running" and manifest.get("format") == FORMAT:
            return SweepFolder(path.parent, manifest)
    raise InputError(
        f"no sweep of {strategy} is unfinished in {parent}{unreadable}",
        hint="leave --resume out to start one, or name its folder with --out",
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between a sweep's start and now, one line each."""
    lines = []
    for name in _COMPARED_KEYS:
        old, new = _leaves(name, before.get(name)), _leaves(name, now.get(name))
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key) != new.get(key):
                lines.append(f"{key} was {_short(old.get(key))}, is {_short(new.get(key))}")
    return lines


def _leaves(name: str, value: Any) -> dict[str, Any]:
    """Return plain data by readable names."""
    if name == "plugin_checks" and isinstance(value, list):
        rows = [each for each in value if isinstance(each, dict)]
        value = {str(each.get("plugin")): each.get("state") for each in rows}
    if not isinstance(value, Mapping):
        return {name: value}
    plain = decode_json(dump_json(value))
    if name == "space":
        axes = {f"over.{axis['key']}": axis for axis in plain.pop("over", [])}
        plain = {**axes, **plain}
        return {f"sweep.{key}": each for key, each in plain.items()}
    return {f"{_NAMES.get(name, '')}{dotted(path)}": each for path, each in flatten(plain)}


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("values") or value.get("ends")
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = [str(each) for each in value[:_SHOWN_ITEMS]]
        return f"[{', '.join(shown)}{', ...' if len(value) > _SHOWN_ITEMS else ''}]"
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
