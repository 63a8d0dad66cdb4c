"""The local store of downloaded rows: Parquet parts with a small JSON file beside them.

::

    <root>/<source>/<name>/<bar>/meta.json          what is there: parts, covered spans, instrument
    <root>/<source>/<name>/<bar>/<from>-<n>.parquet rows of one download

A part counts once `meta.json` names it; that file is replaced in one step, so an interruption at
any instant leaves the store as it was before or after an append, never between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import msgspec

from septet._files import make_folders, open_lock, replace_file, replacing
from septet._text import decode_json
from septet.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BarStore", "Entry", "default_root"]

_VERSION: Final = 1
_MAX_PARTS: Final = 32


def default_root() -> Path:
    """Return where downloads are kept: `SEPTET_DATA`, else the user's data folder."""
    if chosen := os.environ.get("SEPTET_DATA"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "septet"


class Entry(msgspec.Struct, frozen=True):
    """One series of the store, for a listing."""

    source: str
    name: str
    bar: str
    rows: int
    first_ns: int | None
    last_ns: int | None
    covered: tuple[tuple[int, int], ...]
    size: int
    path: Path


class BarStore:
    """Rows by source, name (symbol or series) and bar; first seen wins."""

    def __init__(self, root: Path | None = None) -> None:
        """Open the store at `root`; nothing is created before the first append."""
        self.root = root or default_root()

    def path(self, source: str, name: str, bar: str) -> Path:
        """Return the folder of one series."""
        parts = [quote(part, safe="") for part in (source, name, bar)]
        if any(part.strip(".") == "" for part in parts):
            raise DataError(f"no name for a folder of the store: {source!r} {name!r} {bar!r}")
        return self.root.joinpath(*parts)

    def meta(self, source: str, name: str, bar: str) -> dict[str, Any]:
        """Return the metadata of a series; empty if the series is not stored.

        Raises
        ------
        DataError
            If the file beside the rows is damaged or of a later version.
        """
        path = self.path(source, name, bar) / "meta.json"
        try:
            found: dict[str, Any] = decode_json(path.read_text(encoding="utf-8"))
            version = found["version"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged: {error}", hint="delete its folder and fetch again"
            ) from error
        if version != _VERSION:
            raise DataError(
                f"{path} is of version {version}, expected {_VERSION}", hint="update septet"
            )
        return found

    def covered(self, source: str, name: str, bar: str) -> list[tuple[int, int]]:
        """Return the spans ``[from, to)`` already downloaded, in order (UTC ns)."""
        return [(int(a), int(b)) for a, b in self.meta(source, name, bar).get("covered", [])]

    def missing(
        self, source: str, name: str, bar: str, start_ns: int, end_ns: int
    ) -> list[tuple[int, int]]:
        """Return the spans of ``[start_ns, end_ns)`` not yet downloaded (UTC ns)."""
        gaps, at = [], start_ns
        for first, last in self.covered(source, name, bar):
            if last <= at or first >= end_ns:
                continue
            if first > at:
                gaps.append((at, first))
            at = max(at, last)
        if at < end_ns:
            gaps.append((at, end_ns))
        return gaps

    def append(
        self, source: str, name: str, bar: str, frame: pl.DataFrame, covered: tuple[int, int]
    ) -> None:
        """Store rows and the span ``[from, to)`` (UTC ns) that they cover; durable when it returns.

        Stored bars are not changed, and not stored again.
        """
        folder = self.path(source, name, bar)
        make_folders(self.root, *folder.relative_to(self.root).parts)
        with _locked(folder):
            parts = self._append(folder, (source, name, bar), frame, covered)
        if parts > _MAX_PARTS:
            self.compact(source, name, bar)

    def _append(
        self, folder: Path, key: tuple[str, str, str], frame: pl.DataFrame, covered: tuple[int, int]
    ) -> int:
        source, name, bar = key
        meta = self.meta(source, name, bar) or {
            "version": _VERSION, "source": source, "name": name, "bar": bar,
            "parts": [], "covered": [], "rows": 0, "serial": 0,
        }  # fmt: skip
        if "seen_ns" not in frame.columns and any(
            first < covered[1] and covered[0] < last for first, last in meta["covered"]
        ):
            there = self.read(source, name, bar, *covered)
            if there is not None:
                frame = frame.join(there, on="timestamp", how="anti")
        if frame.height:
            meta["serial"] += 1
            part = f"{covered[0]}-{meta['serial']}.parquet"
            _write_frame(folder / part, frame)
            meta["parts"].append(part)
            meta["rows"] += frame.height
            first, last = int(frame["timestamp"].min()), int(frame["timestamp"].max())  # type: ignore[arg-type]
            meta["first_ns"] = min(first, meta.get("first_ns", first))
            meta["last_ns"] = max(last, meta.get("last_ns", last))
        meta["covered"] = _merge([*meta["covered"], list(covered)])
        _write_json(folder / "meta.json", meta)
        return len(meta["parts"])

    def describe(self, source: str, name: str, bar: str, **facts: Any) -> None:
        """Add to the metadata of a series: the instrument snapshot, the meaning of its stamps."""
        folder = self.path(source, name, bar)
        if not self.meta(source, name, bar):
            raise DataError(f"the store has no {name} {bar} of {source}")
        with _locked(folder):
            _write_json(folder / "meta.json", {**self.meta(source, name, bar), **facts})

    def read(
        self,
        source: str,
        name: str,
        bar: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> pl.DataFrame | None:
        """Return the rows of ``[start_ns, end_ns)`` by time, each bar once; None if not stored.

        Raises
        ------
        DataError
            If a part is missing or damaged.
        """
        import polars as pl

        frame = self._whole(source, name, bar)
        if frame is None:
            return None
        if "seen_ns" not in frame.columns:  # a series keeps its revisions
            frame = frame.unique("timestamp", keep="first", maintain_order=True)
        frame = frame.sort("timestamp", maintain_order=True)
        if start_ns is not None:
            frame = frame.filter(pl.col("timestamp") >= start_ns)
        if end_ns is not None:
            frame = frame.filter(pl.col("timestamp") < end_ns)
        return frame

    def _whole(self, source: str, name: str, bar: str) -> pl.DataFrame | None:
        """Read all parts; retry if another process has merged them meanwhile."""
        while True:
            parts = self.meta(source, name, bar).get("parts")
            if not parts:
                return None
            try:
                return _read_parts(self.path(source, name, bar), parts)
            except DataError:
                if self.meta(source, name, bar).get("parts") == parts:
                    raise

    def compact(self, source: str, name: str, bar: str) -> None:
        """Merge all parts of a series into one."""
        folder = self.path(source, name, bar)
        if not folder.is_dir():
            return
        with _locked(folder):
            meta, frame = self.meta(source, name, bar), self.read(source, name, bar)
            if frame is None:
                return
            old = list(meta["parts"])
            meta["serial"] += 1
            part = f"all-{meta['serial']}.parquet"
            _write_frame(folder / part, frame)
            _write_json(folder / "meta.json", {**meta, "parts": [part], "rows": frame.height})
            for each in old:
                (folder / each).unlink(missing_ok=True)

    def entries(self) -> Iterator[Entry]:
        """Return all entries of the store, ordered by source, name and bar."""
        for path in sorted(self.root.glob("*/*/*/meta.json")):
            folder = path.parent
            source, name, bar = (unquote(part) for part in folder.relative_to(self.root).parts)
            meta = self.meta(source, name, bar)
            size = sum(each.stat().st_size for each in folder.glob("*.parquet"))
            spans = tuple((int(a), int(b)) for a, b in meta.get("covered", []))
            yield Entry(
                source, name, bar, int(meta.get("rows", 0)), meta.get("first_ns"),
                meta.get("last_ns"), spans, size, folder,
            )  # fmt: skip


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a series against other processes; the system releases the lock of a dead one."""
    try:
        import fcntl
    except ImportError:  # no file locks on this system: the last of two writers wins
        yield
        return
    with os.fdopen(open_lock(folder / "lock"), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _merge(spans: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], last)
        elif last > first:
            merged.append([first, last])
    return merged


def _read_parts(folder: Path, parts: list[str]) -> pl.DataFrame:
    import polars as pl

    frames = []
    for part in parts:
        path = folder / part
        try:
            frames.append(pl.read_parquet(path, glob=False))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            line = (str(error).splitlines() or ["unreadable"])[0]
            raise DataError(
                f"{path} of the store cannot be read: {line}",
                hint=f"delete {folder} and fetch again",
            ) from error
    return pl.concat(frames, how="diagonal_relaxed")


def _write_frame(path: Path, frame: pl.DataFrame) -> None:
    with replacing(path, durable=True) as file:
        frame.write_parquet(file, compression="zstd")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    replace_file(path, json.dumps(value, indent=1, sort_keys=True) + "\n", durable=True)
