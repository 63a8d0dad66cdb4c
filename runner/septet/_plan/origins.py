"""Adds to a plan's text where each function comes from: the file and line of its source."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Final

from septet._host.sources import place_of
from septet._plan.rule_choices import RULES
from septet._plan.specialise import rule_places
from septet._plan.wiring import WIRED

__all__ = ["with_origins"]

_DEFINED: Final = re.compile(r"^def (\w+)\(")
_IMPORTED: Final = re.compile(r"^from (\S+) import (.+)$")
_USED: Final = re.compile(r"^(\w+) = use\((\w+)")
_NUMBERED: Final = re.compile(r"(?<=_)\d+$")
"""What ends the name of a function that is written several times."""


def with_origins(text: str) -> str:
    """Return a plan's text with a comment at each function that names its source.

    A rule of trading is written in `septet._rules`, the calls of plugins in `septet._plan.wiring`,
    and a step in the package of its plugin. Parts of a rule that a strategy does not use are
    removed, so its text here is shorter than its source.
    """
    written = {**_wiring_places(), **rule_places(RULES)}
    imported: dict[str, str] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if match := _IMPORTED.match(line):
            imported |= _places(match[1], match[2])
        elif (match := _USED.match(line)) and imported.get(match[2]):
            line += f"  # {imported[match[2]]}"
        elif match := _DEFINED.match(line):
            origin = written[_NUMBERED.sub("N", match[1])]
            lines.insert(len(lines) - 1, f"# {origin}")  # above its decorator
        lines.append(line)
    return "\n".join(lines) + "\n"


def _wiring_places() -> dict[str, str]:
    """Return the function of the planner that writes each wiring function, by name."""
    origins = {name: _short_place(maker) for maker, names in WIRED.items() for name in names}
    return origins


def _short_place(function: object) -> str:
    file, _, line = place_of(function).rpartition(":")
    return f"{_short(file)}:{line}" if file else ""


def _places(module: str, names: str) -> dict[str, str]:
    """Return the sources of the functions that a line imports, by their names in the text."""
    brought = importlib.import_module(module)
    origins = {}
    for each in names.split(", "):
        name, _, alias = each.partition(" as ")
        target = getattr(brought, name, None)
        if callable(target) or hasattr(target, "function"):
            origins[alias or name] = _short_place(target)
    return origins


def _short(file: str) -> str:
    """Leave out the folders above the package."""
    path = Path(file)
    top = path.parent
    while (top.parent / "__init__.py").exists():
        top = top.parent
    return str(path.relative_to(top.parent))
