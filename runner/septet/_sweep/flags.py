"""The flags of a sweep on the command line, as settings laid over the file.

`--sweep features.fast.period=5,10,20` is a list, `5..50:5` a range, `1%..10%` a draw and
`1%..10%:log` one in the logarithm; a YAML list or block is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from septet._config.overlay import Setting, parse_path
from septet._config.read import parse_text
from septet._config.tree import Mark, Node, dotted
from septet.errors import ConfigError, Problem

__all__ = ["axis_setting", "flag_settings"]

_SPAN: Final = re.compile(r"^\s*([^:{\[]+?)\s*\.\.\s*([^:]+?)\s*(?::\s*(.+?)\s*)?$")
_EXPECTED: Final = (
    "path=values, such as features.fast.period=5,10,20 or features.fast.period=5..50:5"
)


def axis_setting(text: str) -> Setting:
    """Read one ``--sweep path=values``.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise ConfigError(
            [Problem("this key cannot be swept", file="--sweep", expected=_EXPECTED, found=text)]
        )
    path = dotted(parse_path(key))
    flag = f"--sweep {path}"
    node, problems = parse_text(_as_yaml(values.strip()), flag, flag=True)
    if problems:
        raise ConfigError(problems)
    return Setting(("sweep", "over", path), _labelled(node, flag))


def _as_yaml(values: str) -> str:
    """Convert the short forms to YAML."""
    if values[0] in "[{":
        return values
    span = _SPAN.match(values)
    if span is None:
        return f"[{values}]"
    low, high, step = span.groups()
    if step is None:
        return f"{{low: {low}, high: {high}}}"
    if step == "log":
        return f"{{low: {low}, high: {high}, log: true}}"
    return f"{{from: {low}, to: {high}, step: {step}}}"


def _labelled(node: Node, flag: str) -> Node:
    children = {key: _labelled(child, flag) for key, child in node.children.items()}
    return replace(node, children=children, layer="--set", key=Mark(flag))


def flag_settings(axes: Sequence[str], options: Mapping[str, Any]) -> list[Setting]:
    """Return every setting of the command line; an option that is None adds none.

    Raises
    ------
    ConfigError
        With every flag that cannot be read, or that names a key twice.
    """
    settings: list[Setting] = []
    problems: list[Problem] = []
    seen: set[tuple[str, ...]] = set()
    for text in axes:
        try:
            setting = axis_setting(text)
        except ConfigError as error:
            problems += error.problems
            continue
        flag = f"--sweep {setting.path[-1]}"
        if setting.path in seen:
            hint = "put all its values into one flag"
            problems.append(Problem("this key is swept twice", file=flag, hint=hint))
        seen.add(setting.path)
        # an empty block first: it replaces the file's values of this key
        settings.append(Setting(setting.path, Node("map", Mark(flag), key=Mark(flag))))
        settings.append(setting)
    for name, value in options.items():
        if value is not None:
            mark = Mark(f"--{name}")
            node = Node("scalar", mark, value, key=mark, text=str(value), layer="--set")
            settings.append(Setting(("sweep", name), node))
    if problems:
        raise ConfigError(problems)
    return settings
