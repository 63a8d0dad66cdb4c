"""The units of a plan that are compiled separately: features, signal, and trading.

An edited rule compiles the signal again, a feature the features; trading is compiled again only
for a new shape of strategy. Trading calls the signal over a stretch of times, or for one bar, at
an address of this process that is stored in H; the host calls the other two.

A text that runs as plain Python has all three parts in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from septet._plan.binding import FEATURES, SIGNAL

__all__ = ["CALLS", "ENTRIES", "calls_text", "is_of"]

ENTRIES: Final[Mapping[str, tuple[str, ...]]] = {
    FEATURES.name: ("observe",),
    SIGNAL.name: ("signals", "signal"),
}
"""What is called of these units; every other entry is one of trading's."""
CALLS: Final = ("signals_over", "ask_signal")
"""Functions in place of which trading calls the unit of the signal."""


def is_of(unit: str, entry: str) -> bool:
    """Whether an entry is one of a unit."""
    named = {name for names in ENTRIES.values() for name in names}
    return entry in ENTRIES[unit] if unit in ENTRIES else entry not in named


def calls_text(arguments: str) -> str:
    """Write the calls that replace the signal in trading; `arguments` are a function's arrays."""
    return f'''\
@kernel
def signals_over(t0, t1, {arguments}):
    """Find the target sides of every symbol over times t0 to t1."""
    call_unit(H, CALL_SIGNALS, t0, t1)


@kernel
def ask_signal(k, i, side, {arguments}):
    """The target side at bar i of k, its confidence, and why there is none."""
    ASKED[ASKED_SIDE] = side
    rejected = call_unit(H, CALL_SIGNAL, k, i) - 1
    return ASKED[ASKED_TARGET], ASKED[ASKED_CONFIDENCE], rejected'''
