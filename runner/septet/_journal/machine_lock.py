"""A machine-wide name held by one process, whichever user or container it runs as.

On Linux it is a socket in the abstract namespace: no file, so permissions do not matter, and the
kernel frees it when the process ends. Every process sees it that shares the machine's network.
Elsewhere it is a locked file in /tmp. `SEPTET_LEASE_DIR` names a folder in which the name is locked
as well: for containers with networks of their own, which may share a folder.
"""

from __future__ import annotations

import errno
import os
import pwd
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from septet._journal.lock import free, keep, lock
from septet.errors import RunError

__all__ = ["hold_name", "scope_text", "shared_folder"]

_FOLDER_VARIABLE: Final = "SEPTET_LEASE_DIR"
_CREDENTIALS: Final = struct.Struct("3i")
_SHARED_MODE: Final = 0o666


def shared_folder() -> Path | None:
    """Return the folder in which leases are shared beyond the machine's own namespace."""
    named = os.environ.get(_FOLDER_VARIABLE)
    return Path(named) if named else None


def hold_name(name: str) -> list[int]:
    """Hold a name until the process ends; return handles for `free`.

    Raises
    ------
    RunError
        Another process holds it, or it cannot be taken.
    """
    handles = [_bind(name) if sys.platform == "linux" else _lock_file(Path("/tmp"), name)]  # noqa: S108
    folder = shared_folder()
    if folder is not None:
        try:
            handles.append(_lock_file(folder, name))
        except BaseException:
            free(handles[0])
            raise
    return handles


def scope_text() -> str:
    """Describe the machines and users among which a name is held only once."""
    folder = shared_folder()
    also = f", nor beside {folder}" if folder is not None else ""
    scope = "of any user of this machine"
    if sys.platform == "linux":
        scope += ", nor of a container that uses its network"
    exceptions = (
        ""
        if folder
        else f" containers apart from it (name a folder they share in {_FOLDER_VARIABLE}),"
    )
    return f"{scope}{also}; not seen are{exceptions} other machines, and another key of the account"


def _bind(name: str) -> int:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(f"\0septet/{name}")
        bound.listen(8)
    except OSError as problem:
        bound.close()
        if problem.errno == errno.EADDRINUSE:
            raise RunError(_taken(_listener(name)), hint=_HINT) from None
        raise RunError(f"the lease {name} cannot be taken: {problem.strerror}") from problem
    return keep(bound.detach())


def _listener(name: str) -> str:
    """Return the process that holds a name, if the kernel shows it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(1.0)
            probe.connect(f"\0septet/{name}")
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return "another process"
    pid, user, _ = _CREDENTIALS.unpack(credentials)
    return f"process {pid or 'of another container'} of user {_user(user)}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _lock_file(folder: Path, name: str) -> int:
    """Lock a file that every user may lock."""
    path = folder / f"septet-{name}.lock"
    try:
        handle = lock(path, mode=_SHARED_MODE)
    except OSError as problem:
        raise RunError(
            f"the lease {path} cannot be taken: {problem.strerror}",
            hint=f"all users that trade the account must be able to write to {folder}",
        ) from problem
    if handle is None:
        raise RunError(_taken("another process"), hint=_HINT)
    return handle


def _taken(holder: str) -> str:
    return f"the same account is traded by another run: {holder}"


_HINT: Final = (
    "end that process first with SIGTERM, which keeps its stops at the venue; a lease frees itself "
    "when its process ends, and nobody needs to remove it"
)
