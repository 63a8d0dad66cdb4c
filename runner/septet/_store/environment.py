"""Environment on which a result may depend: versions of libraries, and the machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._host.versions import installed_version

if TYPE_CHECKING:
    from septet._data.bars import BarTable

__all__ = ["environment", "hash_bars", "library_versions"]

# Libraries whose version can change a number in a run.
_LIBRARIES: Final = (
    "numpy",
    "numba",
    "llvmlite",
    "polars",
    "scikit-learn",
    "scipy",
    "onnxruntime",
    "skl2onnx",
    "lightgbm",
    "exchange-calendars",
    "ccxt",
    "pydantic",
)


def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that can change a number."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = installed_version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "cpu model")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _llvm_version() -> str:
    """LLVM's version if a compiler was loaded for the run; loading one to ask costs too much."""
    binding: Any = sys.modules.get("llvmlite.binding")
    return ".".join(map(str, binding.llvm_version_info)) if binding is not None else "not loaded"


def environment() -> dict[str, Any]:
    """Describe the machine and the interpreter, as the manifest records them."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "libm": " ".join(part for part in platform.libc_ver() if part) or "unknown",
        "llvm": _llvm_version(),
    }


def hash_bars(tables: Mapping[str, BarTable]) -> dict[str, str]:
    """SHA-256 of each symbol's bars: times, prices and volumes, in that order."""
    hashes = {}
    for symbol, bars in tables.items():
        digest = hashlib.sha256(symbol.encode())
        columns = (bars.open_ns, bars.known_ns, bars.open, bars.high, bars.low, bars.close)
        for column in (*columns, bars.volume):
            digest.update(column.data)
        hashes[symbol] = digest.hexdigest()
    return hashes
