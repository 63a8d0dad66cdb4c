"""Packages that only some strategies need: named by the extra that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

from septet.errors import InputError

__all__ = ["need"]

_EXTRAS: Final = {
    "argon2": "dashboard",
    "distributed": "dask",
    "exchange_calendars": "calendars",
    "mcp": "mcp",
    "jinja2": "dashboard",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "optuna": "tune",
    "skl2onnx": "onnx",
    "starlette": "dashboard",
    "textual": "terminal",
    "uvicorn": "dashboard",
}
"""The extra of septet that installs a package."""


def need(package: str, what: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    package : str
        Name that is imported, one of those that the extras of septet install.
    what : str
        What needs it, as the beginning of a sentence: ``the method tpe``.

    Raises
    ------
    septet.errors.InputError
        If it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"{what} needs the package {package}: {error}",
            hint=f"pip install 'septet[{_EXTRAS[package]}]'",
        ) from error
