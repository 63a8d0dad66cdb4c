"""Signals from rules over features."""

import math

from septet.plugin import Config, Expression, signal

__all__ = ["Rules", "rules"]


class Rules(Config):
    """Target sides from conditions: a condition acts only while it is known to be true.

    `exit_if` beats entries; long and short both true is no target side, reason `conflict`.
    """

    long_if: Expression | None = None
    """Condition of a long signal."""
    short_if: Expression | None = None
    """Condition of a short signal, on a perpetual account."""
    exit_if: Expression | None = None
    """Condition of a flat signal; it has priority over both."""


@signal(Rules, reasons=("conflict", "no_rule_true"))
def rules(long_if, short_if, exit_if):
    """Return the target side of the conditions, confidence 1."""
    if exit_if == 1.0:
        return 0.0, 1.0, -1
    if long_if == 1.0:
        if short_if == 1.0:
            return math.nan, 0.0, 0
        return 1.0, 1.0, -1
    if short_if == 1.0:
        return -1.0, 1.0, -1
    return math.nan, 0.0, 1
