"""Safe writing: the only module of septet that creates or changes a file.

A folder may come from a stranger, and any name in it may be a symbolic link to something of the
user's. So a file is written in one of these ways and in no other:

- `replacing` and `replace_file`: into a fresh temporary file beside the target, created with
  ``O_EXCL`` and ``O_NOFOLLOW``, and then renamed. A link that has the target's name is replaced
  and never followed, and a reader sees the old file or the new one, whole.
- `create_file`: the name must be free.
- `open_append` and `open_lock`: an existing file is used if it is a regular file and not a link.
  A lock never truncates.
- `make_folder` for a folder inside such a folder: an existing name must be a real folder.
  `make_folders` for several below one that a person named, which itself may be a link.

`read_private_tables` reads a file of the user's own secrets and rights.

`read_bounded` reads a file whole, up to a bound: how large a stranger's file is,
the stranger wrote. `require_regular_files` is for files that a library opens itself, such as a
database.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from septet.errors import InputError

__all__ = [
    "LARGEST_PRIVATE", "NOT_REGULAR", "alone_in", "create_file", "require_no_links",
    "require_private", "require_regular_files", "require_file_size", "make_folder", "make_folders",
    "occupy_with_null_device", "open_append", "open_lock", "open_regular", "read_bounded",
    "read_private_tables", "replace_file", "replacing", "size_and_hash",
]  # fmt: skip

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_REGULAR: Final = "it is not a regular file"
LARGEST_PRIVATE: Final = 1_048_576
"""Bytes of a private file of the user."""
_LINK: Final = "it is a symbolic link"
_NO_FOLDER: Final = "it is not a folder, or a symbolic link"


def _refuse(path: Path, why: str, number: int = errno.EINVAL) -> OSError:
    return OSError(number, why, str(path))


def _require_regular_handle(handle: int, path: Path) -> None:
    """Close a handle and raise unless it is a regular file with one name."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise _refuse(path, NOT_REGULAR)


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a file to read it; a pipe, a socket or a device raises OSError and is never waited for.

    A symbolic link is followed: reading what a user named is harmless. `follow` false is for a
    file of a folder that may come from a stranger, who would choose what is read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as problem:
        if not follow and problem.errno == errno.ELOOP:
            raise _refuse(path, _LINK, errno.ELOOP) from None
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _refuse(path, "it is a folder" if stat.S_ISDIR(mode) else NOT_REGULAR)
    return os.fdopen(handle, "rb")


def require_file_size(file: BinaryIO, most: int) -> int:
    """Return the size of an open file; raise OSError if it is larger than `most` bytes."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        shown = f"{most >> 20:,} MiB" if most >= 1 << 20 else f"{most:,} bytes"
        raise OSError(errno.EFBIG, f"it is larger than {shown}", str(file.name))
    return size


def read_bounded(path: Path, most: int, *, follow: bool = True) -> bytes:
    """Read a whole file of at most `most` bytes; one that grows meanwhile is not read further.

    Every file of a folder that may be a stranger's is read so: a sparse file of any size costs
    its author nothing. `follow` is as for `open_regular`.

    Raises
    ------
    OSError
        If it is larger, is no regular file, or cannot be read.
    """
    with open_regular(path, follow=follow) as file:
        require_file_size(file, most)
        data = file.read(most + 1)
        if len(data) > most:
            require_file_size(file, most)
        return data[:most]


def size_and_hash(file: BinaryIO) -> tuple[int, str]:
    """Return the size of an open file and its SHA-256, in hexadecimal."""
    found, size = hashlib.sha256(), 0
    file.seek(0)
    while block := file.read(1 << 20):
        found.update(block)
        size += len(block)
    return size, found.hexdigest()


def require_private(path: Path, found: os.stat_result, holds: str) -> None:
    """Refuse a file that others may read, or that is not the user's own.

    `holds` is what is in it, as the end of a sentence: "holds credentials".

    Raises
    ------
    InputError
        With the mode that is expected.
    """
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid() or mode & 0o077:
        raise InputError(
            f"{path} {holds}, and others may read it or own it (mode {mode:04o}, expected 0600)",
            hint=f"chmod 600 {path}",
        )


def _require_private_folder(path: Path, holds: str) -> None:
    """Refuse a folder in which another user could put a file of the same name."""
    found = path.parent.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (os.geteuid(), 0) or (mode & 0o022 and not mode & stat.S_ISVTX):
        raise InputError(
            f"{path.parent} has {path.name}, which {holds}, and others may write to it or own it "
            f"(mode {mode:04o})",
            hint=f"chmod 700 {path.parent}",
        )


def read_private_tables(
    path: Path, holds: str, *, known: Sequence[str] = (), hint: str = "", follow: bool = False
) -> dict[str, Any] | None:
    """Read a private TOML file of the user; None where there is none.

    `holds` is what is in it, as the end of a sentence; `known` are the keys that it may have, any
    if none are given; `hint` is how it is written. Messages repeat no line of the file.

    Raises
    ------
    InputError
        Others may read or replace it, or it is too large, no TOML, or has another key.
    """
    try:
        with open_regular(path, follow=follow) as file:
            require_private(path, os.fstat(file.fileno()), holds)
            data = file.read(LARGEST_PRIVATE + 1)
        _require_private_folder(path, holds)
    except FileNotFoundError:
        return None
    except OSError as problem:
        why = problem.strerror or problem
        raise InputError(f"{path} cannot be read: {why}", hint=hint) from problem
    if len(data) > LARGEST_PRIVATE:
        raise InputError(f"{path} is larger than {LARGEST_PRIVATE >> 20} MiB", hint=hint)
    import tomllib  # few files are TOML, and every command imports this module

    try:
        tables = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as problem:  # its text may repeat a part of the file
        raise InputError(f"{path} is not TOML: {type(problem).__name__}", hint=hint) from None
    unknown = sorted(set(tables) - set(known)) if known else []
    if unknown:
        raise InputError(
            f"{path} has the unknown key {unknown[0][:40]!r}: known are {', '.join(known)}",
            hint=hint,
        )
    return tables


def _no_more_open(path: Path, mode: int) -> int:
    """Return a mode for what is made in a folder: no more open to others than the folder is."""
    try:
        return mode & (path.parent.stat().st_mode | 0o700)
    except OSError:
        return mode  # making it raises the error with the cause


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o666, durable: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write; it takes the name `path` when the block ends without an exception.

    `mode` is reduced by the umask and by what the folder denies others: what is made in a folder
    of one user is that user's alone, wherever it is moved later. `durable` syncs the file before
    it is renamed. After an exception nothing is left.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)  # of a dead process that had this id; a link itself goes
    try:
        handle = os.open(draft, os.O_RDWR | _NEW, _no_more_open(path, mode))
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            draft.unlink(missing_ok=True)
        raise


def replace_file(
    path: Path, data: bytes | str, *, mode: int = 0o666, durable: bool = False
) -> Path:
    """Write a file whole or not at all, in the place of what has its name; return its path."""
    with replacing(path, mode=mode, durable=durable) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def create_file(path: Path, *, mode: int = 0o666) -> BinaryIO:
    """Open a new file to write it; FileExistsError if its name is taken, by a link as well."""
    return os.fdopen(os.open(path, os.O_RDWR | _NEW, _no_more_open(path, mode)), "w+b")


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: of all processes and threads one at a time is inside.

    Where the folder cannot be opened, or there are no locks on this system, it holds none.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (ImportError, AttributeError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def open_append(path: Path, *, mode: int = 0o666) -> int:
    """Return the handle of a file to append to, made if it is missing; a link is refused."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, _no_more_open(path, mode))
    _require_regular_handle(handle, path)
    return handle


def open_lock(path: Path, *, make: bool = True, mode: int = 0o600) -> int:
    """Return the handle of a file to lock, made if it is missing; its content is left alone.

    `mode` is that of a file that is made, whatever the umask is: others may have to lock it.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if make:
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            os.fchmod(handle, mode)
            return handle
    handle = os.open(path, flags)
    _require_regular_handle(handle, path)
    return handle


def occupy_with_null_device(number: int) -> int:
    """Open the null device as a file descriptor that is free; return its number.

    Another one where the descriptor is in use.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        return number
    try:
        os.fstat(number)
    except OSError:
        os.dup2(nowhere, number)
        os.close(nowhere)
        return number
    return nowhere


def make_folder(path: Path, *, mode: int = 0o777) -> Path:
    """Make a folder inside one that may be a stranger's; what has its name must be a real folder.

    Raises
    ------
    OSError
        If it is a symbolic link or no folder.
    """
    try:
        path.mkdir(mode=_no_more_open(path, mode))
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise _refuse(path, _NO_FOLDER, errno.ENOTDIR) from None
    return path


def make_folders(typed: Path, *below: str, mode: int = 0o777) -> Path:
    """Make a folder that a person named, and folders below it that septet names; return the last.

    What was typed may go through links and be one. None of `below` may: what is written there
    would lie where a stranger chose.

    Raises
    ------
    OSError
        If one of `below` is a symbolic link or no folder, or a folder cannot be made.
    """
    typed.mkdir(parents=True, exist_ok=True)
    for name in below:
        typed = make_folder(typed / name, mode=mode)
    return typed


def require_regular_files(*paths: Path) -> None:
    """Raise OSError if a name is taken by anything but a regular file; a free name is fine."""
    for path in paths:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            raise _refuse(path, NOT_REGULAR)


def require_no_links(folder: Path) -> None:
    """Refuse a run's folder in which anything, at any depth, is neither a file nor a folder.

    A link in a folder from a stranger could bring a private file into a report, and a read of a
    pipe would never end. The folder itself is no link either: a report would be written to where
    it leads. Folders above it may be links.

    Raises
    ------
    InputError
        There is one, or a folder cannot be listed.
    """
    if folder.is_symlink():
        raise InputError(
            f"{folder} cannot be read: the folder of a run is no symbolic link",
            hint="name the folder itself, or remove the link if it is not yours",
        )
    waiting = [folder]
    while waiting:
        try:
            for path in sorted(waiting.pop().iterdir()):
                mode = _mode(path)
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif not stat.S_ISREG(mode):
                    raise _refuse(path, NOT_REGULAR)
        except OSError as problem:
            raise InputError(
                f"{problem.filename} cannot be read: {problem.strerror}",
                hint="the folder of a run holds files and folders only: no links, no pipes",
            ) from problem


def _mode(path: Path) -> int:
    """Return a file's mode, links not followed; that of a file where it has gone meanwhile."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:  # a run that goes on replaces its files
        return stat.S_IFREG
