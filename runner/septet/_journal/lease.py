"""One instance per run and folder, and one per account, on this machine.

The lock is the operating system's (`flock`), on files in a state folder: a killed process frees
it at once, and no stale lock remains. The content of the file only names the holder. The
account's name is held for the machine as well (`septet._journal.machine_lock`), since users and
containers have state folders of their own. Linux and macOS; Windows has no `flock` and is not
supported. The run's folder holds a lock of its own, so that a run is seen from every state folder.
Another machine is not seen by the locks: the lease row in the journal shows one that wrote to the
same folder a moment ago.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from septet._files import make_folders, read_bounded
from septet._journal.lock import free, is_locked, lock
from septet._journal.machine_lock import hold_name
from septet._journal.reader import Reader
from septet._journal.state_folder import state_folder
from septet.errors import JournalError, RunError, SeptetError

__all__ = [
    "RUN_LOCK",
    "Holder",
    "Lease",
    "starting_process_in",
    "boot_id",
    "holder_of",
    "require_no_other_machine",
    "mark_path",
]

_COPY_HINT: Final = (
    "one process makes a run: stop that one and go on here, or begin a run of its own with --fresh"
)
RUN_LOCK: Final = "run.lock"
_LARGEST_NAME: Final = 65_536
"""The lock in a run's own folder; what stands in it names the last holder."""
ALIVE_NS: Final = 60_000_000_000
"""A heartbeat this young, from another machine, means that the run goes on there."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lease: a process, its run, and since when."""

    pid: int
    host: str
    boot: str
    run_id: str
    strategy: str
    folder: str
    since_ns: int
    mode: str = ""

    @classmethod
    def this_process(
        cls, *, run_id: str, strategy: str, folder: Path, now_ns: int, mode: str = ""
    ) -> Holder:
        """Describe this process, whose run is of a mode."""
        return cls(
            pid=os.getpid(), host=socket.gethostname(), boot=boot_id(), run_id=run_id,
            strategy=strategy, folder=str(folder.resolve()), since_ns=now_ns, mode=mode,
        )  # fmt: skip

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ns // 1_000_000_000, UTC)
        return (
            f"process {self.pid} on {self.host} (strategy {self.strategy}, run {self.run_id}, "
            f"{self.folder}), since {since:%Y-%m-%d %H:%M:%S} UTC"
        )


@cache
def boot_id() -> str:
    """Return the boot id of the machine; empty if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def mark_path(run_id: str) -> Path:
    """Return the path of a journal's mark, which detects an old copy of the run's folder."""
    return state_folder() / "marks" / _short(run_id)


def _short(text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")  # a folder may have a name that is no Unicode
    return hashlib.sha256(data).hexdigest()[:32]


class Lease:
    """The right to run: held until `release`, or until the process ends in any way."""

    def __init__(self, holder: Holder, locks: ExitStack) -> None:
        self.holder = holder
        self._held = locks

    @classmethod
    def take(cls, holder: Holder, *, account: str = "") -> Self:
        """Take the lease of the holder's run folder, and of the account if there is one.

        `account` is `VenueFacts.account`; an account may be known later, see `take_account`.

        Raises
        ------
        RunError
            Another process holds one of them; the message names it. Nothing is held then.
        """
        with ExitStack() as locks:
            goes_on = f"the run in {holder.folder} goes on"
            locks.callback(free, _locked(f"folder-{_short(holder.folder)}", holder, goes_on))
            folder_lock = _lock_run(Path(holder.folder), holder, goes_on)
            if folder_lock is not None:
                locks.callback(free, folder_lock)
            copied = f"{holder.folder} is a copy of run {holder.run_id}, which goes on elsewhere"
            run = _locked(f"run-{_short(holder.run_id)}", holder, copied, hint=_COPY_HINT)
            locks.callback(free, run)
            lease = cls(holder, locks.pop_all())
        if account:
            try:
                lease.take_account(account)
            except BaseException:
                lease.release()
                raise
        return lease

    def take_account(self, account: str, *, machine: bool = True) -> None:
        """Take the lease of an account as well; if that fails, other leases stay held.

        `machine` takes it for the whole machine; without it other state folders are not seen.
        """
        name = f"account-{_short(account)}"
        handle = _locked(name, self.holder, "the same account is traded by another run")
        try:
            names = hold_name(name) if machine else []
        except BaseException:
            free(handle)
            raise
        for each in (handle, *names):
            self._held.callback(free, each)

    def release(self) -> None:
        """Release all locks."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()


def _locked(name: str, holder: Holder, refusal: str, *, hint: str = "") -> int:
    """Lock a file of the state folder and write the holder's name into it; return its handle."""
    path = state_folder() / "leases" / f"{name}.lock"
    try:
        make_folders(path.parent.parent, path.parent.name)
        handle = lock(path)
    except OSError as problem:
        raise RunError(
            f"the lease {path} cannot be made: {problem.strerror}",
            hint="name a folder you may write to in SEPTET_STATE_DIR",
        ) from problem
    return _written(handle, path, holder, refusal, hint)


def _lock_run(folder: Path, holder: Holder, refusal: str) -> int | None:
    """Lock the run's own folder; None if it does not exist or its file system has no locks."""
    path = folder / RUN_LOCK
    try:
        handle = lock(path)
    except OSError:
        return None
    return _written(handle, path, holder, refusal)


def _written(handle: int | None, path: Path, holder: Holder, refusal: str, hint: str = "") -> int:
    """Write the holder's name into the locked file; RunError if another process holds it."""
    if handle is None:
        raise RunError(
            f"{refusal}: {_named(path) or 'another process'}",
            hint=hint
            or "end that process first with SIGTERM (kill PID, or its service manager): its orders "
            "stay at the venue, the protective stops too; a lease frees itself when its process "
            "ends",
        )
    os.ftruncate(handle, 0)
    os.pwrite(handle, msgspec.json.encode(asdict(holder)), 0)
    return handle


def _named(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(read_bounded(path, _LARGEST_NAME), type=Holder)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None  # the holder is unknown: it has the lock and is about to write its name


def starting_process_in(folder: Path) -> Holder | None:
    """Return the process that has locked a run's folder and may have no journal yet, or None."""
    path = folder / RUN_LOCK
    return _named(path) if is_locked(path) else None


def holder_of(folder: Path) -> Holder | None:
    """Return the process that holds a run's folder now; None if there is none.

    The lock in the folder shows it, whatever the state folder. Where that file is gone or another
    one, the journal names its writer: of this machine a process that has it open, of another
    machine one with a recent heartbeat.
    """
    state = state_folder() / "leases" / f"folder-{_short(str(folder.resolve()))}.lock"
    for path in (folder / RUN_LOCK, state):
        if is_locked(path):
            return _named(path)
    with suppress(SeptetError, OSError):
        return _writer(folder)
    return None


def _writer(folder: Path) -> Holder | None:
    """Return the process that writes the journal of a run, without relying on the lock beside it.

    A process of this machine counts while it has the journal open, one of another machine while its
    heartbeat is recent.
    """
    path = folder / "journal.sqlite"
    if not path.is_file():
        return None
    with Reader(path) as journal:
        row = _lease_row(journal)
        if row is None:
            return None
        if row.host != socket.gethostname():
            is_there = -ALIVE_NS < time.time_ns() - row.heartbeat_ns < ALIVE_NS
        else:
            is_there = row.boot == boot_id() and _has_open(row.pid, path)
        if not is_there:
            return None
        head = journal.head
    return Holder(
        pid=row.pid,
        host=row.host,
        boot=row.boot,
        run_id=head.run_id,
        strategy=head.strategy,
        folder=str(folder.resolve()),
        since_ns=row.since_ns,
    )


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open; for a process of another user, whether it exists.

    Where the system does not list what a process has open, the lock of the journal shows it.
    """
    opened = Path(f"/proc/{pid}/fd")
    try:
        handles = list(opened.iterdir())
    except PermissionError:
        return True
    except OSError:
        return not opened.parent.parent.is_dir() and is_locked(path.with_name(f"{path.name}-lock"))
    status = path.stat()
    for each in handles:
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(each.stat(), status):
                return True
    return False


@dataclass(frozen=True, slots=True)
class _LeaseRow:
    pid: int
    host: str
    boot: str
    since_ns: int
    heartbeat_ns: int


def _lease_row(journal: Reader) -> _LeaseRow | None:
    """Return the last writer that did not end: process, machine, start and last heartbeat."""
    row = journal._one(
        "reading the lease", "SELECT pid, host, boot, since_ns, heartbeat_ns FROM lease"
    )
    if row is None:
        return None
    pid, host, boot, since_ns, heartbeat_ns = row
    return _LeaseRow(pid, str(host, "utf-8"), str(boot, "utf-8"), since_ns, heartbeat_ns)


def require_no_other_machine(journal: Reader, *, now_ns: int) -> None:
    """Refuse a folder to which another machine wrote a recent heartbeat.

    Raises
    ------
    JournalError
        Another machine wrote one; the message names it.
    """
    row = _lease_row(journal)
    if row is None:
        return
    if row.host != socket.gethostname() and now_ns - row.heartbeat_ns < ALIVE_NS:
        since = datetime.fromtimestamp(row.since_ns // 1_000_000_000, UTC)
        ago = (now_ns - row.heartbeat_ns) // 1_000_000_000
        raise JournalError(
            f"{journal.path}: process {row.pid} on {row.host} writes this run since "
            f"{since:%Y-%m-%d %H:%M:%S} UTC (its last heartbeat was {ago} s ago)",
            hint="stop it there; a machine that is gone frees the run after a minute",
        )
