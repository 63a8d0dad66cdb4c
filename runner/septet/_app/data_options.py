"""Keys of a data block as options of commands that read a file without a strategy."""

from __future__ import annotations

import re
from typing import Any, Final

from septet.errors import InputError

__all__ = ["hint_of_options", "yaml_value"]

_OPTIONS: Final = {
    "stamp": "--stamp", "time_zone": "--time-zone", "calendar": "--calendar", "adjust": "--adjust",
    "time_format": "--time-format", "columns": "--column OURS=THEIRS", "bar": "--bar",
    "symbols": "--symbol",
}  # fmt: skip
"""Keys that have a separate option."""
_OTHERS: Final = (
    "encoding", "delimiter", "decimal", "header", "names", "time_columns", "skip_lines", "comment",
    "time_unit", "volume_in", "max_bad", "policy",
)  # fmt: skip
_KEY: Final = re.compile(rf"\b({'|'.join((*_OPTIONS, *_OTHERS))}):")


def hint_of_options(hint: str) -> str:
    """Return a hint that names keys of a strategy file with the corresponding options."""
    named = dict.fromkeys(_KEY.findall(hint))
    if not named:
        return hint
    options = [_OPTIONS.get(name, f"--key {name}=...") for name in named]
    return f"{hint}. On the command line these keys are options: {', '.join(options)}"


def yaml_value(option: str, text: str) -> Any:
    """Return the value of an option, which is written as in a strategy file.

    Raises
    ------
    InputError
        If it is not valid YAML.
    """
    from septet._config.read import parse_text

    if not text.strip():
        raise InputError(f"{option} has no value", hint=f"such as {option}=... with one after it")
    node, problems = parse_text(text, option, flag=True)
    if problems:
        raise InputError(f"{option}: {problems[0].message}", hint=problems[0].hint or "")
    return node.plain()
