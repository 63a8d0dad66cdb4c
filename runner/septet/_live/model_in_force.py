"""Which model is in force: the rule of `Walk.at`, one event at a time.

A model decides from its `ready_ns` on, or from its arrival if that was later; until then the
previous one continues, up to its own expiry. A window without a model leaves none in force.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._data.bars import Floats
from septet._learn.walk_forward_models import EXPIRED, NO_MODEL, NOT_FINITE, OK, predict_checked
from septet.errors import ModelError

__all__ = ["Models"]

_FOR_EVER_NS: Final = 1 << 63
_NOBODY: Final = (0, -1, None)
Load = Callable[[m.ModelReady], Any]
"""Reads a model that was announced; its fingerprint is checked."""


class _Entry(msgspec.Struct):
    ready_ns: int
    event: m.ModelReady | m.ModelFailed


class Models:
    """Models in order of their training times.

    Parameters
    ----------
    load
        Reads the model of an event; must give the same model for the same fingerprint.
    ready_at
        From a window's end to its first decision (UTC ns), for windows without a model.

    With `tolerates` a model that cannot be read is `lost` (why, by fingerprint): while the journal
    is folded its predictions are those that were `recorded`, and otherwise there is none.
    """

    def __init__(self, load: Load, ready_at: Callable[[int], int]) -> None:
        self._load, self.ready_at = load, ready_at
        self._entries: list[_Entry] = []
        self._served: dict[str, Any] = {}
        self._current: _Entry | None = None
        self._until_ns = -1
        self._in_force: tuple[int, int, Any] = _NOBODY  # from (ns), to (ns), and the model
        self.tolerates = False
        self.lost: dict[str, str] = {}
        self.replaced: dict[int, m.ModelReady] = {}
        self._recorded: deque[float] = deque()

    def take(self, event: m.ModelReady | m.ModelFailed) -> None:
        """Store a window's result; of two results of one window the later one counts."""
        if isinstance(event, m.ModelReady):
            ready_ns = event.ready_ns
            self._served[event.fingerprint] = self.load(event)
        else:
            ready_ns = self.ready_at(event.trained_to_ns)
        for each in self._entries:
            if each.event.number == event.number and isinstance(each.event, m.ModelReady):
                self.replaced[event.number] = each.event
        known = [each for each in self._entries if each.event.number != event.number]
        entries = [*known, _Entry(ready_ns, event)]
        self._entries = sorted(entries, key=lambda each: (each.ready_ns, each.event.number))
        self._until_ns, self._in_force = -1, _NOBODY

    def load(self, event: m.ModelReady) -> Any:
        """Return the model that an event announced."""
        try:
            return self._load(event)
        except ModelError as error:
            if not self.tolerates:
                raise
            self.lost[event.fingerprint] = error.message
            return None

    def record(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Take over what a lost model has predicted, from the row that is folded next."""
        self._recorded.clear()
        if self.lost and isinstance(event, m.DecisionTimeReached):
            rows = (each for each in commands if isinstance(each, m.Decided))
            up = (each.probability_up for each in rows)
            self._recorded.extend(math.nan if each is None else each for each in up)

    def entries(self) -> list[m.ModelReady | m.ModelFailed]:
        """Return the results that are in force or follow, in the order of their times."""
        return [each.event for each in self._entries]

    @property
    def newest(self) -> int:
        """Return the number of the newest window with a result, -1 for none."""
        return max((each.event.number for each in self._entries), default=-1)

    def ready(self, number: int) -> int | None:
        """Return the market time (UTC ns) from which a window decides; None without a result."""
        for each in self._entries:
            if each.event.number == number and isinstance(each.event, m.ModelReady):
                return each.ready_ns
        return None

    def at(self, time_ns: int) -> m.ModelReady | m.ModelFailed | None:
        """Return the model in force at a decision time; older windows are forgotten."""
        if self._current is not None and self._current.ready_ns <= time_ns < self._until_ns:
            return self._current.event
        ready = [each for each in self._entries if each.ready_ns <= time_ns]
        if not ready:
            return None
        current, after = ready[-1], self._entries[len(ready) :]
        self._until_ns = after[0].ready_ns if after else _FOR_EVER_NS
        if current is not self._current:
            self._current = current
            self._entries = self._entries[len(ready) - 1 :]
            fingerprints = {getattr(each.event, "fingerprint", "") for each in self._entries}
            self._served = {
                name: each for name, each in self._served.items() if name in fingerprints
            }
        return current.event

    def predict_row(self, time_ns: int, vector: Floats) -> tuple[float, int]:
        """Return the probability up of a feature vector, and the model's state.

        `vector` is float64 of shape (inputs,), `time_ns` market time. The probability is NaN
        without a model, with an expired one, or for a vector that is not finite; the state is a
        code of `septet._kernel.layout`.
        """
        first_ns, last_ns, served = self._in_force
        if not first_ns <= time_ns <= last_ns:
            event = self.at(time_ns)
            if event is None or isinstance(event, m.ModelFailed):
                return math.nan, NO_MODEL
            if time_ns > event.expires_ns:
                return math.nan, EXPIRED
            served = self._served[event.fingerprint]
            self._in_force = (time_ns, min(self._until_ns - 1, event.expires_ns), served)
        if served is None:
            up = self._recorded.popleft() if self._recorded else None
            if up is None:
                return math.nan, NO_MODEL
            return up, NOT_FINITE if math.isnan(up) else OK
        return predict_checked(served, vector)

    def snapshot(self) -> bytes:
        """Return all state needed to continue; the models themselves stay in the run's folder."""
        kept = (self.replaced.get(each.event.number) for each in self._entries)
        replaced = [each for each in kept if each is not None]
        return msgspec.json.encode([*replaced, *(each.event for each in self._entries)])

    def restore(self, data: bytes) -> None:
        """Restore a snapshot; models are read again."""
        self._entries, self._served, self._current = [], {}, None
        self.replaced, self.lost = {}, {}
        self._until_ns, self._in_force = -1, _NOBODY
        for event in msgspec.json.decode(data, type=list[m.ModelReady | m.ModelFailed]):
            self.take(event)
