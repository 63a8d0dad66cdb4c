"""The kill switch: a file in the run's folder, so that it is durable and needs no process.

``HALT`` blocks the run from the moment it stands in the folder; the process looks twice a second
and at a signal. ``RESUME`` lifts it, and names who and why. Both survive restarts; the later one
counts. A file made by hand, empty, is a halt as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from septet import messages as m
from septet._files import open_regular, replace_file
from septet.errors import InputError, RunError

__all__ = ["Asked", "HALT", "RESUME", "Switch", "ask_halt", "ask_resume", "read_halt"]

HALT: Final = "HALT"
RESUME: Final = "RESUME"
POLL_S: Final = 0.5
_LARGEST: Final = 65_536


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for; `asked_ns` is wall time and tells one asking from the next."""

    action: Literal["halt", "flatten", "resume"] = "halt"
    name: str = ""
    reason: str = ""
    asked_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it was taken."""

    changed_ns: int
    size: int


def _write(path: Path, asked: Asked) -> None:
    """Write a file that is whole and on the disk before it has its name."""
    try:
        replace_file(path, msgspec.json.encode(asked) + b"\n", durable=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(
            f"{path} could not be written: {error.strerror}",
            hint=f"stop the process instead: kill -TERM its id, or: touch {path}",
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> Asked | None:
    """Read a file of the switch; whatever stands in it, that it is there counts."""
    try:
        with open_regular(path) as handle:
            data = handle.read(_LARGEST)
        changed_ns = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        return Asked(name="file", reason=f"{path.name} cannot be read: {error.strerror}")
    try:
        return msgspec.json.decode(data, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = data.decode("utf-8", "replace").strip()[:200]
        reason = text or f"a file {path.name} appeared in the run's folder"
        return Asked(name="file", reason=reason, asked_ns=changed_ns)


def ask_halt(folder: Path, *, flatten: bool, name: str, reason: str, now_ns: int) -> Asked:
    """Block a run, durably and at once; asking twice changes nothing that matters."""
    action: Literal["halt", "flatten"] = "flatten" if flatten else "halt"
    asked = Asked(action=action, name=name, reason=reason, asked_ns=now_ns)
    _write(folder / HALT, asked)
    (folder / RESUME).unlink(missing_ok=True)
    return asked


def ask_resume(folder: Path, *, name: str, reason: str, now_ns: int) -> Asked:
    """Lift what waits for a person.

    Raises
    ------
    InputError
        Without a name or a reason.
    """
    for what, text in (("name", name), ("reason", reason)):
        if not text.strip():
            raise InputError(f"a resume needs a {what}", hint=f"write --{what} with some text")
    standing = read_halt(folder)
    later_ns = max(now_ns, standing.asked_ns + 1 if standing else 0)
    asked = Asked(action="resume", name=name.strip(), reason=reason.strip(), asked_ns=later_ns)
    _write(folder / RESUME, asked)  # before the halt goes: a crash between must not lose either
    (folder / HALT).unlink(missing_ok=True)
    return asked


def read_halt(folder: Path) -> Asked | None:
    """Return the halt that stands in a run's folder."""
    return _read(folder / HALT)


class Switch:
    """Looks at the folder of a run and turns what is asked there into events.

    Parameters
    ----------
    folder
        The run's folder.
    now_ns
        Wall time.
    act
        Takes the event; it goes before everything else that waits.
    """

    def __init__(
        self, folder: Path, *, now_ns: Callable[[], int], act: Callable[[m.Operated], None]
    ) -> None:
        self.folder = folder
        self.halted = False
        self._now_ns = now_ns
        self._act = act
        self._taken: _Seen | None = None
        self._resumed: Asked | None = None

    def look(self, *, agreed: bool = True) -> m.Operated | None:
        """Look once; hand over what is new and return it.

        Until venue and journal have `agreed`, nobody knows what there is to close: a flatten
        only halts, and is handed over by the first look after that.
        """
        halt_path, resume_path = self.folder / HALT, self.folder / RESUME
        resume = _read(resume_path) if resume_path.exists() else None
        halt = _read(halt_path)
        if resume is not None and (halt is None or resume.asked_ns > halt.asked_ns):
            return self._resume(resume)
        if halt is None:
            return None
        seen = self._stamp(halt_path)
        if seen is None or seen == self._taken:
            return None
        self.halted = True
        if halt.action == "flatten" and not agreed:
            return self._hand(msgspec.structs.replace(halt, action="halt"))
        self._taken = seen
        return self._hand(halt)

    def signal(self, reason: str) -> None:
        """Halt because a signal came: the file first, so that a restart is halted too."""
        with contextlib.suppress(RunError):  # a full disk: blocked in this process all the same
            ask_halt(
                self.folder, flatten=False, name="signal", reason=reason, now_ns=self._now_ns()
            )
        if self.look() is None:
            self.halted = True
            self._hand(Asked(name="signal", reason=reason))

    async def watch(self) -> None:
        """Look twice a second, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(POLL_S)

    def stored(self, event: m.Event) -> None:
        """Take the files away once the journal holds what they asked for."""
        asked = self._resumed
        if asked is None or not isinstance(event, m.Operated) or event.action != "resume":
            return
        self._resumed = None
        halt = read_halt(self.folder)
        with contextlib.suppress(OSError):  # read again they lift nothing that was not lifted
            if halt is not None and halt.asked_ns < asked.asked_ns:
                (self.folder / HALT).unlink(missing_ok=True)
            if _read(self.folder / RESUME) == asked:
                (self.folder / RESUME).unlink(missing_ok=True)

    def _resume(self, asked: Asked) -> m.Operated | None:
        if asked == self._resumed:
            return None
        self.halted = False
        self._taken = None
        self._resumed = asked
        return self._hand(asked)

    def _hand(self, asked: Asked) -> m.Operated:
        event = m.Operated(
            at_ns=self._now_ns(), action=asked.action, name=asked.name or "file",
            reason=asked.reason or "no reason was given",
        )  # fmt: skip
        self._act(event)
        return event

    @staticmethod
    def _stamp(path: Path) -> _Seen | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return _Seen(found.st_mtime_ns, found.st_size)
