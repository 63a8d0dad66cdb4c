"""Cache of trial fits of septet's estimators, one for each settings and library versions.

The trial imports scikit-learn and the compiler, which takes longer than the rest of a check. Only a
success is kept, in the folder of compiled plans and used only if that is the user's alone. What
another package trains is tried every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._cache_folder import cache_folder, claim, is_ours, write_whole
from septet._host.sources import package_digest
from septet._host.versions import installed_version
from septet._learn.rules_of_file import trainer_of

if TYPE_CHECKING:
    from septet._learn.estimator_trial import Refusal
    from septet_schemas.blocks import UseBlock

__all__ = ["trial_fit_once"]

_FORMAT: Final = 1
_OWN_MODULES: Final = ("septet._learn", "septet._kernel", "septet_plugins.models")
"""Code that fits, converts and serves."""
_LIBRARIES: Final = (
    "scikit-learn", "scipy", "numpy", "numba", "llvmlite", "lightgbm", "xgboost", "threadpoolctl",
    "skl2onnx", "onnx", "onnxruntime", "skops",
)  # fmt: skip


def trial_fit_once(block: UseBlock, names: tuple[str, ...], rows: int) -> Refusal | None:
    """Fit the trainer of a `model:` block on synthetic rows, unless an earlier check saw it fit.

    Parameters
    ----------
    block : UseBlock
        The `model:` block of a file.
    names : tuple of str
        The features that the model reads, in order.
    rows : int
        The most rows a window of the file holds.

    Returns
    -------
    Refusal or None
        None if it fits, or fits rows by itself.
    """
    path = _path(block, names, rows) if block.distribution == "septet" else None
    if path is not None and path.is_file() and is_ours(path):
        return None
    from septet._learn.estimator_trial import trial_fit

    refused = trial_fit(trainer_of(block), names, rows)
    if refused is None and path is not None:
        # A disk that is full or read-only costs the next check time, and this one nothing.
        with contextlib.suppress(OSError):
            claim(path.parent)
            write_whole(path, json.dumps({"fits": block.use}))
    return refused


def _path(block: UseBlock, names: tuple[str, ...], rows: int) -> Path:
    """Return the path that stands for everything a trial depends on."""
    settings = (block.use, block.config.model_dump_json(), block.extra.get("scale"))
    made_of = [*map(package_digest, _OWN_MODULES), *map(_version, _LIBRARIES), sys.version]
    parts = [_FORMAT, settings, block.extra.get("calibrate"), names, rows, made_of]
    key = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
    return cache_folder() / "trial-fits" / f"{key}.json"


def _version(library: str) -> str:
    try:
        return installed_version(library)
    except PackageNotFoundError:
        return ""
