"""Explains a loaded file: every effective value and its origin, or its generated program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from septet._config.explain import Entry
    from septet._config.load import Loaded

__all__ = ["PlanText", "explain_plan", "explain_values"]


@dataclass(frozen=True, slots=True)
class PlanText:
    """The program generated from a file, and the numbers that it reads: ``(key, value)`` in order.

    `marked` is the text with a line above each function that names the place of its source.
    """

    name: str
    text: str
    marked: str
    parameters: tuple[tuple[str, float], ...]

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        keys = [{"key": key, "value": value} for key, value in self.parameters]
        return {"name": self.name, "text": self.text, "parameters": keys}


def explain_values(loaded: Loaded, key: str | None = None) -> list[Entry]:
    """Return the effective value of every key, or of `key` and the keys below it.

    Raises
    ------
    ConfigError
        If there is no such key.
    """
    from septet._config.explain import explained

    return list(explained(loaded.resolved, loaded.origins, key, host=loaded.host))


def explain_plan(loaded: Loaded) -> PlanText:
    """Return the program generated from a file, without compiling it."""
    from septet._plan.origins import with_origins
    from septet._shell.session import plan_of

    plan = plan_of(loaded)
    numbers = tuple((each.key, each.value) for each in plan.assembly.parameters)
    text = plan.assembly.text
    return PlanText(plan.name, text, with_origins(text), numbers)
