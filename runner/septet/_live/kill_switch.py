"""The kill switch: a file in the run's folder, so that it is durable and needs no process.

``HALT`` blocks the run from the time it exists in the folder; the process checks twice a second
and at a signal. ``RESUME`` clears it, with a name and a reason. Both survive restarts; the later
one counts. Anything called ``HALT`` is a halt: an empty file, a folder, a dangling link.
A flatten stays a flatten until a person resumes; a plain halt after it does not change that.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from septet import messages as m
from septet._files import replace_file
from septet.errors import InputError, RunError

__all__ = [
    "Asked",
    "HALT",
    "RESUME",
    "Switch",
    "ask_halt",
    "ask_resume",
    "moved_aside",
    "moved_aside_text",
    "read_halt",
    "read_resume",
]

HALT: Final = "HALT"
RESUME: Final = "RESUME"
POLL_S: Final = 0.5
_LARGEST: Final = 65_536
_WAITS_S: Final = 1.0
"""How long another that writes here is waited for; a halt is written after that all the same."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's request; `asked_ns` is wall time and identifies it.

    `reference` is what the run was called, where a person did not name its folder: ``latest``,
    a strategy's name, an id.
    """

    action: Literal["halt", "flatten", "resume"] = "halt"
    name: str = ""
    reason: str = ""
    asked_ns: int = 0
    reference: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it was read."""

    number: int
    changed_ns: int
    size: int


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the files of the switch, if the lock is free within a second."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # the write reports the error
        return
    try:
        until = time.monotonic() + _WAITS_S
        while time.monotonic() < until:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
            else:
                break
        yield
    finally:
        os.close(handle)


def _write(path: Path, request: Asked) -> None:
    """Write a file that is complete and synced before it gets its name."""
    try:
        if path.is_dir() and not path.is_symlink():
            _set_aside(path)
        replace_file(path, msgspec.json.encode(request) + b"\n", mode=0o600, durable=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(
            f"{path} could not be written: {error.strerror}",
            hint="if the run goes on, send its process SIGUSR1, which halts it without a file; "
            f"otherwise free some space, or: touch {path}",
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _set_aside(path: Path) -> None:
    """Rename a folder that has the name of a file of the switch."""
    for number in range(1, 1_000):
        free_name = path.with_name(f"{path.name}.folder-{number}")
        if not os.path.lexists(free_name):
            path.rename(free_name)
            return
    raise FileExistsError(17, "a thousand folders of that name were set aside", str(path))


def moved_aside(folder: Path) -> list[str]:
    """Return the names of folders that had the name of a switch file and were renamed."""
    names = [each.name for each in folder.glob("*.folder-*")]
    return sorted(each for each in names if each.partition(".folder-")[0] in (HALT, RESUME))


def moved_aside_text(name: str) -> str:
    """Return a text that explains a renamed folder, and what to do with it."""
    return (
        f"{name} is a folder that was called {name.partition('.')[0]} and was moved aside: it "
        "halts nothing; look into it, then remove it"
    )


def _remove(path: Path) -> None:
    """Remove the file or folder of a name."""
    if path.is_dir() and not path.is_symlink():
        _set_aside(path)
    else:
        path.unlink(missing_ok=True)


def _read(path: Path) -> Asked | None:
    """Read a file of the switch; anything of its name counts as present."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Asked(name="file", reason=f"{path.name} cannot be read: {error.strerror}")
    changed_ns = status.st_mtime_ns
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "entry that is no file"
        reason = f"a {kind} called {path.name} appeared in the run's folder"
        return Asked(name="file", reason=reason, asked_ns=changed_ns)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = f"{path.name} cannot be read: {error.strerror}"
        return Asked(name="file", reason=reason, asked_ns=changed_ns)
    try:
        return msgspec.json.decode(data, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = data.decode("utf-8", "replace").strip()[:200]
        reason = text or f"a file {path.name} appeared in the run's folder"
        return Asked(name="file", reason=reason, asked_ns=changed_ns)


def _read_resume(path: Path) -> Asked | None:
    """Read a resume: one without an action, a name and a reason clears nothing."""
    request = _read(path)
    if request is None or request.action != "resume" or not (request.name and request.reason):
        return None
    return request


def _insists(action: str) -> Literal["halt", "flatten"]:
    """Return the request of a file called HALT, whatever its content."""
    return "flatten" if action == "flatten" else "halt"


def ask_halt(
    folder: Path, *, flatten: bool, name: str, reason: str, now_ns: int, reference: str = ""
) -> Asked:
    """Block a run, durably and at once; repeated calls have no further effect.

    `now_ns` is wall time (UTC ns), `reference` what a person called the run. A plain halt after a
    flatten keeps the flatten until a resume.
    """
    with _alone(folder):
        standing = read_halt(folder)
        flattens = flatten or (standing is not None and standing.action == "flatten")
        action: Literal["halt", "flatten"] = "flatten" if flattens else "halt"
        resume = _read_resume(folder / RESUME)
        later_ns = max(
            now_ns, standing.asked_ns if standing is not None else 0,
            resume.asked_ns + 1 if resume is not None else 0,
        )  # fmt: skip
        request = Asked(
            action=action, name=name, reason=reason, asked_ns=later_ns, reference=reference
        )
        _write(folder / HALT, request)
        with contextlib.suppress(OSError):  # the halt is later than a resume that stays
            _remove(folder / RESUME)
    return request


def ask_resume(folder: Path, *, name: str, reason: str, now_ns: int) -> Asked:
    """Request that blocks which wait for a person are cleared.

    Raises
    ------
    InputError
        Without a name or a reason.
    RunError
        The folder cannot be written to: the halt stands.
    """
    for option, text in (("name", name), ("reason", reason)):
        if not text.strip():
            raise InputError(f"a resume needs a {option}", hint=f"write --{option} with some text")
    with _alone(folder):
        standing = read_halt(folder)
        later_ns = max(now_ns, standing.asked_ns + 1 if standing else 0)
        request = Asked(
            action="resume", name=name.strip(), reason=reason.strip(), asked_ns=later_ns
        )
        _write(folder / RESUME, request)  # before the halt is removed: a crash loses neither
        try:
            _remove(folder / HALT)
        except OSError as error:
            raise RunError(
                f"{folder / HALT} could not be removed: {error.strerror}",
                hint="the halt stands for every later start: remove it, then resume again",
            ) from error
    return request


def read_halt(folder: Path) -> Asked | None:
    """Return the halt in a run's folder."""
    request = _read(folder / HALT)
    if request is None or request.action == _insists(request.action):
        return request
    return msgspec.structs.replace(request, action="halt")


def read_resume(folder: Path) -> Asked | None:
    """Return the resume in a run's folder that no process has taken yet."""
    return _read_resume(folder / RESUME)


class Switch:
    """Checks the folder of a run and turns the requests in it into events.

    Parameters
    ----------
    folder
        The run's folder.
    now_ns, market_ns
        Wall time, and market time where that is known.
    act
        Takes the event; it precedes all waiting events.
    """

    def __init__(
        self, folder: Path, *, now_ns: Callable[[], int], act: Callable[[m.Operated], None],
        market_ns: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.halted = False
        self.agreed = True
        self._now_ns, self._market_ns = now_ns, market_ns
        self._act = act
        self._handed: _Seen | None = None
        self._waits: _Seen | None = None
        self._flattens = False
        self._resumed: Asked | None = None

    def look(self) -> m.Operated | None:
        """Check once; pass on a new request and return it.

        Until venue and journal have `agreed`, the positions to close are unknown: a flatten only
        halts, and is passed on by the first check after that.
        """
        halt_path, resume_path = self.folder / HALT, self.folder / RESUME
        resume = _read_resume(resume_path) if os.path.lexists(resume_path) else None
        halt = read_halt(self.folder)
        if resume is not None and (halt is None or resume.asked_ns > halt.asked_ns):
            return self._resume(resume)
        if halt is None:
            return None
        seen = self._stamp(halt_path)
        if seen is None or seen == self._handed:
            return None
        self.halted = True
        self._flattens |= halt.action == "flatten"
        if self._flattens:
            halt = msgspec.structs.replace(halt, action="flatten")
        if self._flattens and not self.agreed:
            if seen == self._waits:
                return None
            self._waits = seen
            return self._hand(msgspec.structs.replace(halt, action="halt"))
        self._handed = seen
        return self._hand(halt)

    def signal(self, reason: str) -> None:
        """Halt on a signal: the file is written first, so that a restart is halted as well."""
        with contextlib.suppress(RunError):  # a full disk: blocked in this process all the same
            ask_halt(
                self.folder, flatten=False, name="signal", reason=reason, now_ns=self._now_ns()
            )
        if self.look() is None:
            self.halted = True
            self._hand(Asked(name="signal", reason=reason))

    async def watch(self) -> None:
        """Check twice a second, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(POLL_S)

    def stored(self, event: m.Event) -> None:
        """Remove the files once their requests are journalled."""
        resume = self._resumed
        if resume is None or not isinstance(event, m.Operated) or event.action != "resume":
            return
        self._resumed = None
        halt = read_halt(self.folder)
        with contextlib.suppress(OSError):  # reading them again clears nothing new
            if halt is not None and halt.asked_ns < resume.asked_ns:
                _remove(self.folder / HALT)
            if _read_resume(self.folder / RESUME) == resume:
                _remove(self.folder / RESUME)

    def _resume(self, request: Asked) -> m.Operated | None:
        if request == self._resumed:
            return None
        self.halted = self._flattens = False
        self._handed = self._waits = None
        self._resumed = request
        return self._hand(request)

    def _hand(self, request: Asked) -> m.Operated:
        event = m.Operated(
            at_ns=self._now_ns(), action=request.action, name=request.name or "file",
            reason=request.reason or "no reason was given", market_ns=self._market_ns(),
        )  # fmt: skip
        self._act(event)
        return event

    @staticmethod
    def _stamp(path: Path) -> _Seen | None:
        try:
            status = path.lstat()
        except OSError:
            return None
        return _Seen(status.st_ino, status.st_mtime_ns, status.st_size)
