"""Cross-check of settings of third-party risk plugins whose type accepts any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BeforeValidator

from septet._config.check_context import CheckContext, strangers_of
from septet_schemas.units import parse_cost, parse_fraction

__all__ = ["CHECKS"]

_KINDS: Final = ("limit", "halt", "sizing", "stop")
_LOW: Final = ("ge", "gt")
_HIGH: Final = ("le", "lt")


def check_bare_numbers(context: CheckContext) -> None:
    """A limit below zero, or a halt above all there is, is a slip where no range is declared."""
    for path, block in strangers_of(context.strategy):
        if block.kind not in _KINDS:
            continue
        for name, info in type(block.config).model_fields.items():
            value = getattr(block.config, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            shares = _reads(info.metadata, parse_fraction) or _reads(info.metadata, parse_cost)
            if value < 0 and not shares and not _bounded(info.metadata, _LOW):
                context.warn(
                    (*path, name),
                    f"{value:g} is below zero, and {block.use} declares no range for {name}",
                    hint="write a number of zero or more, if that is what the plugin means",
                )
            if block.kind == "halt" and value > 1.0 and shares and not _bounded(
                info.metadata, _HIGH
            ):  # fmt: skip
                context.warn(
                    (*path, name),
                    f"{value * 100:g}% is more than all: a halt on a loss of equity never trips",
                    hint=f"write a share below 100%, if {name} is one of equity",
                )


def _reads(metadata: Any, parse: Callable[[object], float]) -> bool:
    return any(isinstance(each, BeforeValidator) and each.func is parse for each in metadata)


def _bounded(metadata: Any, names: tuple[str, ...]) -> bool:
    return any(getattr(each, name, None) is not None for each in metadata for name in names)


CHECKS: Final = (check_bare_numbers,)
