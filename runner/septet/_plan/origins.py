"""Where the functions of a plan's text come from: file and line of each source."""

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
    """Return a plan's text with a comment at each function: where its source stands.

    A rule of trading stands in `septet._rules`, what wires the plugins in `septet._plan.wiring`,
    and a step where its plugin was written. What a strategy does not use is folded away from a
    rule, so its text here is shorter than its source.
    """
    written = {**_wiring_places(), **rule_places(RULES)}
    imported: dict[str, str] = {}
    made: list[str] = []
    for line in text.splitlines():
        if found := _IMPORTED.match(line):
            imported |= _places(found[1], found[2])
        elif (found := _USED.match(line)) and imported.get(found[2]):
            line += f"  # {imported[found[2]]}"
        elif found := _DEFINED.match(line):
            place = written[_NUMBERED.sub("N", found[1])]
            made.insert(len(made) - 1, f"# {place}")  # above its decorator
        made.append(line)
    return "\n".join(made) + "\n"


def _wiring_places() -> dict[str, str]:
    """Return where what wires the plugins is written: the planner's function, by name."""
    places = {name: _short_place(maker) for maker, names in WIRED.items() for name in names}
    return places


def _short_place(function: object) -> str:
    file, _, line = place_of(function).rpartition(":")
    return f"{_short(file)}:{line}" if file else ""


def _places(module: str, names: str) -> dict[str, str]:
    """Return the places of what a line imports, by the names it gives them."""
    brought = importlib.import_module(module)
    places = {}
    for each in names.split(", "):
        name, _, alias = each.partition(" as ")
        found = getattr(brought, name, None)
        if callable(found) or hasattr(found, "function"):
            places[alias or name] = _short_place(found)
    return places


def _short(file: str) -> str:
    """Leave out the folders above the package."""
    path = Path(file)
    top = path.parent
    while (top.parent / "__init__.py").exists():
        top = top.parent
    return str(path.relative_to(top.parent))
