"""Generated plans on disk: named by everything that could change what they compute.

The name hashes the text, every source file of each wired distribution, the kernel room, the
planner, and the versions of Python and numba; so stale code cannot be found under it. A folder
that cannot be read is made again; where nothing can be written, a temporary folder serves.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from septet._host.declare import Step

__all__ = ["cache_folder", "load_text", "plan_name"]


def cache_folder() -> Path:
    """Folder of compiled plans: ``$SEPTET_CACHE``, else the user's cache folder."""
    named = os.environ.get("SEPTET_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "septet" / "plans"


@cache
def _package_digest(package: str) -> str:
    """Hash every source file of a package (or of a single module)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not (spec.submodule_search_locations or spec.origin):
        return "none"
    roots = [Path(each) for each in spec.submodule_search_locations or []]
    files = sorted(path for root in roots for path in root.rglob("*.py"))
    if not files and spec.origin:
        files = [Path(spec.origin)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _versions() -> str:
    numbers = [sys.version, platform.machine(), platform.processor()]
    for name in ("numba", "llvmlite", "numpy"):
        try:
            numbers.append(version(name))
        except PackageNotFoundError:
            numbers.append("none")
    return "|".join(numbers)


def plan_name(text: str, steps: Iterable[tuple[Step, str]]) -> str:
    """Name of a plan: ``plan_`` and a hash of all it is made of."""
    packages = {"septet._kernel", "septet._plan"}
    for step, _ in steps:
        module = step.function.__module__ if step.function else ""
        packages.add(module.partition(".")[0])
    parts = [text, _versions(), *(_package_digest(each) for each in sorted(packages))]
    return "plan_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def load_text(text: str, name: str, say: Any = None) -> ModuleType:
    """Import a plan's text as a module, compiling it if this machine has not done so before.

    `say(message)` is told when something is compiled, when the cache cannot be written, and
    when a damaged one is made again.
    """
    if name in sys.modules:
        return sys.modules[name]
    tell = say or (lambda message: None)
    folder = _writable(cache_folder() / name, text, tell)
    path = folder / f"{name}.py"
    fresh = not any(folder.glob("__pycache__/*.nb*"))
    if fresh:
        tell(f"compiling the plan ({text.count(chr(10))} lines), once for this shape of strategy")
    try:
        return _import(path, name)
    except Exception as error:  # a damaged cache raises whatever pickle likes
        if fresh:
            raise
        tell(f"the compiled plan in {folder} is damaged ({type(error).__name__}); making it again")
        sys.modules.pop(name, None)
        shutil.rmtree(folder, ignore_errors=True)
        return _import(_writable(folder, text, tell) / f"{name}.py", name)


def _writable(folder: Path, text: str, tell: Any) -> Path:
    try:
        _write(folder, text)
    except OSError as error:
        tell(
            f"cannot write compiled plans to {folder.parent} ({error.strerror}); using memory only"
        )
        folder = Path(tempfile.mkdtemp(prefix="septet-")) / folder.name
        _write(folder, text)
    return folder


def _write(folder: Path, text: str) -> None:
    """Write the text unless it is there already; whole or not at all."""
    path = folder / f"{folder.name}.py"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(temporary, path)


def _import(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
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
