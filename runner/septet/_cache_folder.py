"""The folder of compiled plans, which is used only if it is the user's alone.

What is in it runs as the user: the folder and all in it belong to the user, and nobody else can
write there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from septet._files import make_folders, replace_file

__all__ = ["cache_folder", "claim", "is_ours", "write_whole"]


def cache_folder() -> Path:
    """Folder of compiled plans: ``$SEPTET_CACHE``, else the user's cache folder."""
    named = os.environ.get("SEPTET_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "septet" / "plans"


def is_ours(path: Path) -> bool:
    """Whether the cache is this user's alone, and so is a file or folder in it with all it has."""
    root = cache_folder()
    try:
        inside = path.rglob("*") if path.is_dir() else ()
        return _is_private(root) and _is_own(path) and all(map(_is_own_or_gone, inside))
    except OSError:
        return False


def _is_own_or_gone(path: Path) -> bool:
    """Whether a listed file is this user's; another process may have replaced it meanwhile."""
    try:
        return _is_own(path)
    except FileNotFoundError:
        return True


def _is_private(root: Path) -> bool:
    found = root.lstat()
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return own and not found.st_mode & 0o077


def _is_own(path: Path, others_write: int = 0) -> bool:
    found = path.lstat()
    plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return plain and found.st_uid == os.geteuid() and not found.st_mode & others_write


def claim(folder: Path) -> None:
    """Make a folder of the cache, which becomes this user's alone; OSError where it is not.

    What is in the folder is not looked at: whoever runs or reads it asks `is_ours` of that.

    A cache that others could read becomes private, with every folder and file in it, if nobody
    else could write anything in it.
    """
    root = cache_folder()
    if folder.is_relative_to(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            root.mkdir(mode=0o700)
        if not _is_private(root):
            inside = list(root.rglob("*"))
            if not all(_is_own(each, 0o022) for each in (root, *inside)):
                raise PermissionError(errno.EPERM, "it is not yours alone", str(root))
            root.chmod(0o700)  # first: from here on nobody else can come in
            for each in inside:
                with contextlib.suppress(FileNotFoundError):  # another process replaced it
                    _make_private(each)
        make_folders(root, *folder.relative_to(root).parts, mode=0o700)
    else:
        folder.mkdir(parents=True, exist_ok=True)
    if folder.is_relative_to(root) and not _is_own(folder):
        raise PermissionError(errno.EPERM, "it is not yours alone", str(folder))


def _make_private(path: Path) -> None:
    path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~0o077)


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    replace_file(path, text, mode=0o600)
