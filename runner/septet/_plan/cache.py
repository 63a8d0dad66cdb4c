"""The cache of generated plans on disk, named by a hash of everything that they depend on.

The name hashes the text, every source file of each package whose code is wired or called, every
value that this code reads by a name, the kernel room, the planner, and the versions of Python and
numba; so stale code cannot be found under it. A folder is sealed with a hash of its content; one
that does not match is written again, and where nothing can be written a temporary folder is used.

Code in the cache runs as the user, so it is used only if the folder and all files in it belong to
the user and nobody else can write there. The text is compiled as it was rendered; bytecode beside
it is never read.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from septet._cache_folder import cache_folder, claim, is_ours, write_whole
from septet._files import open_lock
from septet._host.declare import Step
from septet._host.sources import packages_and_values
from septet._host.versions import installed_version
from septet._kernel.garbage_collection import collector_off
from septet._plan import native
from septet._plan.source_digest import meaning_digest

fcntl: Any
try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

__all__ = ["load_entries", "load_text", "plan_name"]

SEAL: Final = "seal"
COMPILED: Final = {
    "plan": ("the plan", "ten to forty seconds"),
    "features": ("the features", "two to ten seconds"),
    "signal": ("the signal", "one or two seconds"),
    "trading": ("the rules of trading", "five to thirty seconds"),
}
"""What a plan that is compiled as a whole, and each unit, is called, and how long it takes."""


@cache
def _versions() -> str:
    numbers = [sys.version, platform.machine()]  # numba and `native` keep processors apart
    for name in ("numba", "llvmlite", "numpy"):
        try:
            numbers.append(installed_version(name))
        except PackageNotFoundError:
            numbers.append("none")
    return "|".join(numbers)


def plan_name(text: str, steps: Iterable[tuple[Step, str]]) -> str:
    """Return the name of a plan: ``plan_`` and a hash of everything that it is made of.

    Raises
    ------
    PluginError
        If a step reads a value of which no hash can be made: what is compiled with it could not
        be distinguished from what is compiled with another.
    """
    packages = {"septet._kernel", "septet._plan", "septet._host.named_state"}
    values = set[str]()
    for step in {id(step): step for step, _ in steps}.values():  # a step may be wired often
        module = step.function.__module__ if step.function else ""
        packages.add(module.partition(".")[0])
        reached, digest = packages_and_values(step)
        packages.update(reached)
        values.add(digest)
    digests = [*(meaning_digest(each) for each in sorted(packages)), *sorted(values)]
    parts = [text, _versions(), *digests]
    return "plan_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def load_text(text: str, name: str, log: Any = None, kind: str = "plan") -> ModuleType:
    """Import a plan's text as a module, compiling it if this machine has not done so before.

    `log(message)` is called when something is compiled, when the cache cannot be written, and
    when a damaged one is written again. One process compiles a plan; others that need it meanwhile
    wait, and then read its result.
    """
    if name in sys.modules:
        return sys.modules[name]
    log = log or (lambda message: None)
    folder = _writable(cache_folder() / name, text, log)
    if _sealed(folder):
        stored = _stored(folder)
        try:
            module = _import(folder / f"{name}.py", name, text)
            if _stored(folder) != stored:  # another kind of processor has added its own code
                _seal(folder)
            return module
        except Exception as error:  # whole, yet made by what this process cannot read
            _damaged(folder, type(error).__name__, log)
            _clear(folder)
    with _alone(folder):
        return _make(folder, text, name, log, kind)


def _make(folder: Path, text: str, name: str, log: Any, kind: str) -> ModuleType:
    """Compile a plan, unless another process has done so while this one waited."""
    path = folder / f"{name}.py"
    if _sealed(folder):
        return _import(path, name, text)
    if _stored(folder):
        _damaged(folder, "it does not match its seal", log)
    _clear(folder)
    lines, (named, seconds) = text.count("\n"), COMPILED[kind]
    log(f"compiling {named} ({lines} lines), once for strategies of this shape: {seconds}")
    with collector_off():
        try:
            module = _import(path, name, text)
            native.keep(module, folder)
            _seal(folder)
        except OSError as error:
            _unwritable(folder, error, log)
            module = _import(_elsewhere(folder, text) / f"{name}.py", name, text)
    return module


def load_entries(name: str, log: Any = None) -> native.Entries | None:
    """Link the machine code that an earlier run stored for a plan; None where there is none.

    If the file is damaged the folder of the plan is cleared, and all is compiled again.
    """
    folder = cache_folder() / name
    if not is_ours(folder):
        return None
    try:
        return native.load(folder)
    except ValueError as error:
        _damaged(folder, str(error), log or (lambda message: None))
        _clear(folder)
        return None


def _damaged(folder: Path, why: str, log: Any) -> None:
    log(f"the compiled plan in {folder} is damaged ({why}); making it again")


def _unwritable(folder: Path, error: OSError, log: Any) -> None:
    log(f"cannot write compiled plans to {folder.parent} ({error.strerror}); using memory only")


def _stored(folder: Path) -> list[Path]:
    """Compiled code in a plan's folder, in order."""
    return sorted(folder.glob("__pycache__/*.nb[ic]"))


def _digest(folder: Path) -> str:
    """Hash the text and all compiled code of a plan's folder.

    Compiled code that was cut or altered on disk is not read: it would run, and do anything.
    """
    digest = hashlib.sha256()
    for path in [folder / f"{folder.name}.py", *_stored(folder)]:
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def _sealed(folder: Path) -> bool:
    """Return whether a plan's folder is unchanged since it was written."""
    if not is_ours(folder):
        return False
    try:
        return (folder / SEAL).read_text(encoding="utf-8") == _digest(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _seal(folder: Path) -> None:
    write_whole(folder / SEAL, _digest(folder))


def _clear(folder: Path) -> None:
    """Remove what was compiled; another process may be doing the same."""
    (folder / SEAL).unlink(missing_ok=True)
    for path in (*folder.glob("__pycache__/*"), *folder.glob("*.code")):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock a plan's folder; where locks are missing or refused, no process waits."""
    with ExitStack() as stack:
        try:
            if fcntl is not None:
                lock = stack.enter_context(os.fdopen(open_lock(folder / "lock"), "r+b"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: two processes may compile the same, no more
        yield


def _writable(folder: Path, text: str, log: Any) -> Path:
    try:
        _write(folder, text)
    except OSError as error:
        _unwritable(folder, error, log)
        folder = _elsewhere(folder, text)
    return folder


def _elsewhere(folder: Path, text: str) -> Path:
    """Return a folder of this process alone, with what was compiled before if that is whole."""
    copied = Path(tempfile.mkdtemp(prefix="septet-")) / folder.name
    if _sealed(folder):
        shutil.copytree(folder, copied)
    else:
        _write(copied, text)
    return copied


def _write(folder: Path, text: str) -> None:
    """Write the text unless it is there already, into a folder where more can be written."""
    path = folder / f"{folder.name}.py"
    claim(folder)
    if folder.is_relative_to(cache_folder()) and not is_ours(folder):
        raise PermissionError(errno.EPERM, "what is in it is not yours alone", str(folder))
    if path.exists() and path.read_bytes() == text.encode():
        os.close(open_lock(folder / "lock"))  # tests whether compiled code can be written beside it
        return
    (folder / SEAL).unlink(missing_ok=True)
    write_whole(path, text)


class _TextLoader(SourceFileLoader):
    """Compiles the text it was given; neither reads nor writes bytecode."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> Any:
        """Return the code of the text."""
        return compile(self._text, self.path, "exec", dont_inherit=True)


def _import(path: Path, name: str, text: str) -> ModuleType:
    loader = _TextLoader(name, str(path), text)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
