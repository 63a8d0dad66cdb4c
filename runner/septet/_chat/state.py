"""The number of a bot's next update: locked by one process, and stored before any act."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from septet._files import make_folders, open_regular, replace_file
from septet._journal.lock import free, lock
from septet._text import decode_json, dump_json
from septet.errors import InputError

__all__ = ["Offsets"]

_IDLE_S: Final = 6 * 86_400.0
"""After a week without updates Telegram numbers them anew."""


class Offsets:
    """The offset of a bot in a state folder."""

    def __init__(self, folder: Path, token: str, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        name = hashlib.sha256(token.partition(":")[0].encode()).hexdigest()[:16]
        try:
            make_folders(folder, "chat", mode=0o700)
            self._path = folder / "chat" / f"{name}.json"
            self._handle = lock(folder / "chat" / f"{name}.lock")
        except OSError as problem:
            raise InputError(f"{folder} cannot be written: {problem.strerror}") from None
        if self._handle is None:
            raise InputError(
                "another septet chat of this bot runs already", hint="end it, or leave it running"
            )
        try:
            self.offset, self._at_s = self._read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            free(self._handle)
            self._handle = None

    def _read(self) -> tuple[int, float]:
        try:
            with open_regular(self._path, follow=False) as file:
                stored = decode_json(file.read(4_096))
            return int(stored["offset"]), float(stored["at_s"])
        except FileNotFoundError:
            return 0, 0.0
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise InputError(
                f"{self._path} cannot be read: {type(problem).__name__}",
                hint="delete it: commands older than a minute are not acted on",
            ) from None

    def next(self) -> int:
        """Return the offset for the next request; 0 after six days without an update."""
        if self.offset and self._now_s() - self._at_s > _IDLE_S:
            self.offset = 0
        return self.offset

    def advance(self, offset: int) -> None:
        """Store the next offset durably."""
        at_s = self._now_s()
        text = dump_json({"offset": offset, "at_s": at_s})
        try:
            replace_file(self._path, text, mode=0o600, durable=True)
        except OSError as problem:  # nothing may be done that a restart would do again
            raise InputError(
                f"{self._path} cannot be written: {problem.strerror}",
                hint="nothing was acted on; septet halt works without it",
            ) from None
        self.offset, self._at_s = offset, at_s
