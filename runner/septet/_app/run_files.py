"""Files of a run's folder: its log, and stamps that show whether something was written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from septet._text import decode_json

__all__ = ["FileStamps", "file_stamps_of", "log_lines", "settled_stamps_of"]

FileStamps: TypeAlias = tuple[tuple[int, int, int], ...]

_LOG_LINES: Final = 100
_LOG_BYTES: Final = 1 << 20
_SHOWN_ONCE: Final = ("run", "strategy")
"""Fields of a log line that are shown only once per run."""
_WAL: Final = "journal.sqlite-wal"
_TICK_NS: Final = 20_000_000
"""Two writes within a tick of the system's clock may give a file the same time."""


def log_lines(folder: Path, trace: str = "") -> list[dict[str, str]]:
    """Return the last lines of a run's log, the latest first; with `trace` only those that have it.

    The last MiB of the file is read. A line that is not a JSON object is returned unchanged.
    """
    from septet._files import open_regular
    from septet._live.logs import FILE

    try:
        with open_regular(folder / FILE, follow=False) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            raw = file.read(_LOG_BYTES)
    except FileNotFoundError:
        return []
    except OSError as problem:
        return [_plain(f"log.jsonl cannot be read: {problem.strerror or problem}")]
    texts = raw.decode("utf-8", "replace").splitlines()[1 if size > _LOG_BYTES else 0 :]
    found: list[dict[str, str]] = []
    for text in reversed(texts):
        if len(found) == _LOG_LINES:  # lines that are not shown are not decoded
            break
        if text.strip():
            line = _logged(text)
            if trace in ("", line["trace"]):
                found.append(line)
    return found


def _plain(text: str) -> dict[str, str]:
    return {"time": "", "level": "", "event": "", "text": text, "trace": ""}


def _logged(text: str) -> dict[str, str]:
    try:
        value = decode_json(text)
    except ValueError:
        return _plain(text)
    if not isinstance(value, dict):
        return _plain(text)
    named = {
        name: str(value.pop(key, ""))
        for name, key in (
            ("time", "timestamp"), ("level", "level"), ("event", "event"), ("trace", "trace")
        )
    }  # fmt: skip
    parts = [str(value.pop("text"))] if "text" in value else []
    rest = (f"{key}={each}" for key, each in value.items() if key not in _SHOWN_ONCE)
    return {**named, "text": ", ".join([*parts, *rest])}


def file_stamps_of(folder: Path) -> FileStamps | None:
    """Return stamps that change when a run writes or its process ends.

    None if its folder is gone.
    """
    from septet._journal.lease import RUN_LOCK
    from septet._journal.lock import is_locked
    from septet._live.kill_switch import HALT, RESUME
    from septet._store.files_check import FILES
    from septet._store.find_runs import LIVE_SIGNS

    if not folder.is_dir():
        return None
    found = [(0, 0, int(is_locked(folder / RUN_LOCK)))]  # a killed process writes nothing
    for name in (*LIVE_SIGNS, _WAL, *FILES, HALT, RESUME):
        try:
            state = (folder / name).lstat()
            changed_ns = 0 if name == _WAL else state.st_ctime_ns  # readers set its owner
            found.append((state.st_mtime_ns, changed_ns, state.st_size))
        except OSError:
            found.append((0, 0, 0))  # a missing file counts as a change as well
    return tuple(found)


def settled_stamps_of(
    folder: Path,
    now_ns: Callable[[], int] = time.time_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> FileStamps | None:
    """Return the stamps of a run's files; None if a later write may leave them unchanged.

    A file written within the last tick may be written again with the same time. So this waits one
    tick, once; only for a run that writes continuously it returns None.
    """
    for _ in range(2):
        found = file_stamps_of(folder)
        if found is None:
            return None
        age_ns = now_ns() - max(max(each[:2]) for each in found)
        if age_ns > _TICK_NS:
            return found
        sleep(min(_TICK_NS, _TICK_NS - age_ns) / 1e9)
    return None
