"""The files of a run's folder as they change: its log, and the signs that something was written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from septet._text import decode_json

__all__ = ["log_lines", "file_stamps_of"]

_LOG_LINES: Final = 100
_LOG_BYTES: Final = 1 << 20
_SHOWN_ONCE: Final = ("run", "strategy")
"""Fields of a line that whoever shows a run shows once."""


def log_lines(folder: Path, trace: str = "") -> list[dict[str, str]]:
    """Return the last lines of a run's log, the latest first; with `trace` those that have it.

    The last MiB of the file is read. A line that is no JSON object is shown as it is.
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
        if len(found) == _LOG_LINES:  # what is not shown is not decoded
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


def file_stamps_of(folder: Path) -> tuple[tuple[int, int], ...] | None:
    """Return what changes when a run writes; None where its folder is gone."""
    from septet._live.kill_switch import HALT, RESUME
    from septet._store.files_check import FILES
    from septet._store.find_runs import LIVE_SIGNS

    if not folder.is_dir():
        return None
    found = []
    for name in (*LIVE_SIGNS, "journal.sqlite-wal", *FILES, HALT, RESUME):
        try:
            state = (folder / name).lstat()
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:
            found.append((0, 0))  # it is not there: that is a sign as well
    return tuple(found)
