"""Rules of a file that may return a value that their kind does not allow, and their names.

Rules of septet are tried here; another package's are tried by the kit on drawn data only, so that
its plan asks of every answer whether it is one. A sizing needs no name: `size` rejects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from septet_schemas.base import marks_of
from septet_schemas.blocks import UseBlock

__all__ = ["INVALID", "Checked", "CheckedRules", "checks_of_signal", "invalid_reason", "is_checked"]

INVALID: Final = "invalid:"
"""Begins the reason of a rejection for an invalid answer; the key path of the rule follows."""


def invalid_reason(path: str) -> str:
    """Return the name of the reason for which an answer of the rule at a key path is rejected."""
    return f"{INVALID}{path}"


def is_checked(block: UseBlock) -> bool:
    """Whether the plugin of a block comes from another package than septet."""
    return block.distribution not in ("", "septet")


class Checked(NamedTuple):
    """A rule whose answers are checked: its number among those, and that of its reason or -1."""

    rule: int
    reason: int


class CheckedRules:
    """The rules of a strategy whose answers are checked, by key path and kind, in their order."""

    def __init__(self, reason: Callable[[str], int]) -> None:
        self._reason = reason
        self.rules: list[tuple[str, str]] = []

    def number(
        self, block: UseBlock, path: str, kind: str, *, rejects: bool = False, reads: bool = False
    ) -> Checked | None:
        """Number a rule of another package; None for one of septet.

        With `rejects` its invalid answers have a reason. With `reads` a rule of septet that reads
        columns or expressions is checked as well.
        """
        if not (is_checked(block) or (reads and marks_of(type(block.config)))):
            return None
        self.rules.append((path, kind))
        reason = self._reason(invalid_reason(path)) if rejects else -1
        return Checked(len(self.rules) - 1, reason)

    def texts(self, block: UseBlock, path: str, kind: str, **options: bool) -> dict[str, str]:
        """Number a rule, and return what an element of a list of rules has of it."""
        checked = self.number(block, path, kind, **options)
        rule, reason = (-1, -1) if checked is None else checked
        return {"checked": str(checked is not None), "rule": str(rule), "broken": str(reason)}


def checks_of_signal(
    checked: Checked | None, reasons: int, bar_ns: int, arguments: str
) -> tuple[str, ...]:
    """Return the lines that turn an invalid answer of a signal into none, with a reason of its own.

    `reasons` is how many the signal declares: its invalid answer has the number that follows.
    None are needed where it is septet's. `bar_ns` is the length of a bar.
    """
    if checked is None:
        return ()
    return (
        f"if why >= {reasons} or (target == target and target != 0.0 and "
        "(abs(target) != 1.0 or not 0.0 <= confidence <= 1.0)):",
        f"    target, confidence, why = nan, 0.0, {reasons}",
        f"    count_invalid({checked.rule}, k, M[k, OPEN_NS, i] + {bar_ns}, {arguments})",
    )
