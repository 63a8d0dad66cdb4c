"""A run as lines: one every few seconds, for a file, a pipe or a log.

A line has `key=value` pairs in a fixed order. A value with a space, a quote or an equals sign is in
double quotes, as in JSON; an unknown value is `-`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._text import one_line, shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._app.run_follow import Look

__all__ = ["document_of", "line_of", "watch"]

_BARE: Final = re.compile(r"[^\s\"=]+")
_LONGEST: Final = 200


def _value(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.2f}"
    text = shortened(one_line(value), _LONGEST)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def line_of(look: Look, now_ns: int, name: str) -> str:
    """Return a reading of a run as one line; `name` is that of its folder."""
    from septet._data.stamps import iso

    view = look.view
    fields: dict[str, object] = {"time": iso(now_ns // 1_000_000_000 * 1_000_000_000)}
    if view is None:
        state = "gone" if look.gone else "starting" if look.starting else "unreadable"
        fields |= {"run": name, "state": state}
    else:
        dust = sum(each.dust for each in view.positions)
        data_s = round((now_ns - view.last_data_ns) / 1e9, 1) if view.last_data_ns else None
        fields |= {
            "run": view.run_id, "strategy": view.strategy, "mode": view.mode,
            "state": "gone" if look.gone else view.state,
            "equity": None if view.equity is None else f"{view.equity:.2f}",
            "currency": view.currency, "drawdown": view.drawdown, "day": view.day_return,
            "exposure": view.exposure,
            "positions": len(view.positions) - dust if view.is_held_known else None,
            "orders": len(view.orders) if view.is_held_known else None,
            "dust": dust if view.is_held_known else None, "alerts": view.alerts,
            "data_age_s": data_s if view.is_running else None, "entries": view.entries,
        }  # fmt: skip
        fields |= {"problem": view.problem} if view.problem and look.is_current else {}
    if not look.is_current:
        fields |= {"shown_age_s": round(look.age_s(now_ns), 1) if view else None}
        fields |= {"problem": look.problem}
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def document_of(look: Look, now_ns: int, name: str) -> dict[str, Any]:
    """Return a reading of a run as plain data: the view, and how current it is."""
    from septet._data.stamps import iso

    return {
        "time": iso(now_ns), "folder": name, "current": look.is_current, "gone": look.gone,
        "problem": look.problem, "read_at": iso(look.read_ns) if look.read_ns else None,
        "view": None if look.view is None else look.view.document(),
    }  # fmt: skip


def watch(
    folder: Path,
    emit: Callable[[str], None],
    *,
    every_s: float = 10.0,
    once: bool = False,
    as_json: bool = False,
    now_ns: Callable[[], int] = time.time_ns,
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Emit a line of a run every `every_s` seconds until its process ends; return the exit status.

    The status is 0, 1 if the folder was removed meanwhile, and 1 or 2 if the run's journal or files
    cannot be relied on.

    Raises
    ------
    InputError
        If the run cannot be read at first.
    """
    from septet._app.run_follow import RunFollower

    follower = RunFollower(folder, now_ns)
    while True:
        look = follower.look()
        if look.view is None and not look.starting:
            raise InputError(f"{folder.name} cannot be shown: {look.problem}")
        now = now_ns()
        if as_json:
            document = document_of(look, now, folder.name)
            emit(json.dumps(document, ensure_ascii=False, allow_nan=False))
        else:
            emit(line_of(look, now, folder.name))
        if look.gone:
            return 1
        if look.view is None:  # it is starting
            if once:
                return 0
        elif once or (look.is_current and not look.view.is_running):
            return look.view.exit_status
        wait(every_s)
