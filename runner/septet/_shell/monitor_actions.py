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
"""Number of consecutive verdicts that ask for a model."""
MODEL: Final = "model"
"""Name of the block whose readings are the health of a model."""
BLOCK_CLEARS_WHEN: Final = "the monitor reads no alarm"


def rule_of(name: str, *, blocks: bool = False) -> str:
    """Return the name under which a monitor's halt, or its block, is reported."""
    return f"monitoring.{name}:block" if blocks else f"monitoring.{name}"


class Act(msgspec.Struct, frozen=True):
    """Entries are blocked because of a reading (`on`), or no longer blocked."""

    rule: str
    on: bool
    reading: Reading

    @property
    def cancels(self) -> bool:
        """Whether working entries are cancelled as well."""
        return not self.rule.endswith(":block")

    @property
    def then(self) -> str:
        """The effect, in the words of the file's halts."""
        return "cancel_all" if self.cancels else "block_entries"

    @property
    def clears_when(self) -> str:
        """The condition that ends the block."""
        return HALT_CLEARS_WHEN if self.cancels else BLOCK_CLEARS_WHEN

    @property
    def text(self) -> str:
        """The reading as text."""
        each = self.reading
        symbol_text = f" of {each.symbol}" if each.symbol else ""
        return f"{each.metric}{symbol_text} is {each.figures}"


class Acts:
    """The monitors that block entries now."""

    def __init__(self) -> None:
        self.halted: list[str] = []
        self._blocking: dict[str, list[tuple[str, str]]] = {}
        self._running: dict[str, int] = {}
        self.asks = False
        """Whether a monitor has asked for a model since the last `take_asks`."""

    def take(self, name: str, readings: Sequence[Reading]) -> list[Act]:
        """Process the readings of one monitor, in time order; return the changes."""
        acts = []
        for each in readings:
            self._count(name, each)
            if each.verdict == "halt" and (rule := rule_of(name)) not in self.halted:
                self.halted.append(rule)
                acts.append(Act(rule, True, each))
            acts += self._block(name, each)
        return acts

    def _count(self, name: str, each: Reading) -> None:
        """Count verdicts of `retrain`; the health of a model keeps its own count."""
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
        """Reset the counts, since a model was fitted."""
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
        """Clear every halt when a person resumes the run; return their rules."""
        ended, self.halted = self.halted, []
        return ended

    def kept(self) -> Any:
        """The whole state, as plain data."""
        return [self.halted, self._blocking, self._running]

    def restore(self, state: Any) -> None:
        """Restore a stored state."""
        self.halted, blocking, self._running = state
        kind = dict[str, list[tuple[str, str]]]
        self._blocking = msgspec.convert(blocking, kind)
