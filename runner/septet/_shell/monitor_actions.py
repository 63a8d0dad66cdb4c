"""The effects of verdicts of monitors, the same for a backtest, for paper and for live.

A reading ``halt`` blocks entries and cancels those that work, until a person resumes the run. A
reading ``block`` blocks entries until the monitor reads the same metric and symbol without it.
Three readings ``retrain`` running, of one metric and symbol, ask for a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from septet._host.monitoring import Reading

__all__ = ["HALT_CLEARS_WHEN", "MODEL", "Act", "Acts", "rule_of"]

HALT_CLEARS_WHEN: Final = "manual"
RUNNING: Final = 3
"""So many verdicts running ask for a model."""
MODEL: Final = "model"
"""Name of the block whose readings are a model's health."""
BLOCK_CLEARS_WHEN: Final = "the monitor reads no alarm"


def rule_of(name: str, *, blocks: bool = False) -> str:
    """Name under which a monitor's halt, or its block, is reported."""
    return f"monitoring.{name}:block" if blocks else f"monitoring.{name}"


class Act(msgspec.Struct, frozen=True):
    """Entries are blocked because of a reading (`on`), or no longer."""

    rule: str
    on: bool
    reading: Reading

    @property
    def cancels(self) -> bool:
        """Whether working entries are cancelled as well."""
        return not self.rule.endswith(":block")

    @property
    def then(self) -> str:
        """Return what it does, in the words of the file's halts."""
        return "cancel_all" if self.cancels else "block_entries"

    @property
    def clears_when(self) -> str:
        """What ends it."""
        return HALT_CLEARS_WHEN if self.cancels else BLOCK_CLEARS_WHEN

    @property
    def text(self) -> str:
        """The reading, in words."""
        each = self.reading
        symbol_text = f" of {each.symbol}" if each.symbol else ""
        return f"{each.metric}{symbol_text} is {each.figures}"


class Acts:
    """Which monitors block entries now."""

    def __init__(self) -> None:
        self.halted: list[str] = []
        self._blocking: dict[str, list[tuple[str, str]]] = {}
        self._running: dict[str, int] = {}
        self.asks = False
        """Whether a monitor has asked for a model since `take_asks`."""

    def take(self, name: str, readings: Sequence[Reading]) -> list[Act]:
        """Process readings of one monitor, in order of time; return what changes."""
        acts = []
        for each in readings:
            self._count(name, each)
            if each.verdict == "halt" and (rule := rule_of(name)) not in self.halted:
                self.halted.append(rule)
                acts.append(Act(rule, True, each))
            acts += self._block(name, each)
        return acts

    def _count(self, name: str, each: Reading) -> None:
        """Count verdicts of `retrain`; the health of a model counts its own."""
        if name == MODEL:
            return
        key = f"{name} {each.metric} {each.symbol}"
        if each.verdict != "retrain":
            self._running.pop(key, None)
            return
        self._running[key] = self._running.get(key, 0) + 1
        self.asks = self.asks or self._running[key] >= RUNNING

    def take_asks(self) -> bool:
        """Return whether a model was asked for since the last call."""
        asks, self.asks = self.asks, False
        return asks

    def retrained(self) -> None:
        """Count anew: a model is fitted."""
        self._running.clear()

    def _block(self, name: str, each: Reading) -> list[Act]:
        rule, key = rule_of(name, blocks=True), (each.metric, each.symbol)
        holding = self._blocking.get(rule, [])
        if (each.verdict == "block") == (key in holding):
            return []
        now = [*holding, key] if each.verdict == "block" else [k for k in holding if k != key]
        self._blocking[rule] = now
        if bool(now) == bool(holding):
            return []
        return [Act(rule, bool(now), each)]

    def resume(self) -> list[str]:
        """End every halt: a person resumes the run. Return their rules."""
        ended, self.halted = self.halted, []
        return ended

    def kept(self) -> Any:
        """Everything that is remembered, as plain data."""
        return [self.halted, self._blocking, self._running]

    def restore(self, state: Any) -> None:
        """Go on from what was kept."""
        self.halted, blocking, self._running = state
        kind = dict[str, list[tuple[str, str]]]
        self._blocking = msgspec.convert(blocking, kind)
