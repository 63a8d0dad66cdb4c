"""Snapshot of a run as bytes: the state from which an engine continues bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from septet._core.window import Window
from septet._kernel import layout
from septet.errors import RunError

__all__ = ["freeze", "thaw"]

VERSION: Final = 5
WHOLE: Final = ("S", "A", "C", "B", "I", "N", "Y")
BY_TIME: Final = ("T", "G")
BY_BAR: Final = ("M", "X", "F", "D")


class Snapshot(msgspec.Struct):
    """Content of a snapshot: arrays by name, up to the newest bar, and the plan's identity."""

    version: int
    plan: str
    parameters: bytes
    shape: tuple[int, ...]
    base: list[int]
    time_base: int
    time: int
    room: int
    arrays: dict[str, bytes]
    kept: dict[str, Any]


def freeze(window: Window, outside: Mapping[str, Any]) -> bytes:
    """Write a window with its state, and `outside`, the state outside of the arrays."""
    arrays = {name: np.ascontiguousarray(_part(window, name)) for name in _names()}
    arrays["C"] = arrays["C"].copy()
    arrays["C"][layout.LOG] = 0  # the log has been read
    return msgspec.msgpack.encode(
        Snapshot(
            VERSION, window.plan.name, _digest(window), _shape(window), window.base,
            window.time_base, window.time, window.room,
            {name: array.tobytes() for name, array in arrays.items()}, dict(outside),
        )
    )  # fmt: skip


def thaw(window: Window, data: bytes) -> dict[str, Any]:
    """Fill a window from a snapshot; return the state outside of the arrays.

    Raises
    ------
    RunError
        If the snapshot cannot be read, or is of another plan, window or version.
    """
    try:
        snapshot = msgspec.msgpack.decode(data, type=Snapshot)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RunError(f"a snapshot cannot be read: {error}", hint=_HINT) from None
    expected = (VERSION, window.plan.name, _digest(window), _shape(window))
    stored = (snapshot.version, snapshot.plan, snapshot.parameters, snapshot.shape)
    for subject, expected_value, stored_value in zip(
        ("version", "plan", "values", "shape"), expected, stored, strict=True
    ):
        if expected_value != stored_value:
            raise RunError(f"a snapshot is of another {subject} than this run", hint=_HINT)
    window.base, window.time_base = list(snapshot.base), snapshot.time_base
    window.time, window.room = snapshot.time, snapshot.room
    window.arrays["N"][:] = np.frombuffer(snapshot.arrays["N"], np.int64)
    for name in _names():
        part = _part(window, name)
        part[...] = np.frombuffer(snapshot.arrays[name], part.dtype).reshape(part.shape)
    return snapshot.kept


_HINT: Final = "the run is rebuilt from its journal without it"


def _names() -> tuple[str, ...]:
    return (*WHOLE, *BY_TIME, *BY_BAR)


def _part(window: Window, name: str) -> Any:
    """Return the part of an array that has been written; the cursors must be right."""
    array = window.arrays[name]
    if name in BY_TIME:
        return array[:, : window.time]
    if name in BY_BAR:
        return array[:, :, : int(window.arrays["N"].max())]
    return array


def _shape(window: Window) -> tuple[int, ...]:
    return (window.columns, window.keep, window.size, *window.arrays["Y"].shape)


def _digest(window: Window) -> bytes:
    """Hash the values of the file: with another stop it is another run."""
    return hashlib.sha256(window.plan.parameters.tobytes()).digest()
