"""Wiring of the live core: names for its numbers, rules for its orders, ports to other parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from septet import messages as m
from septet._core import events as core

__all__ = ["IntakePort", "ModelPort", "Names", "OrderRules"]


@dataclass(frozen=True)
class Names:
    """Names of the codes and numbers of the core.

    `halts` are rule, action and what clears it, in the order of the plan; `base` and `quote` the
    currencies of each symbol; `venue_fills` states whether fills come from a venue; `explained`
    names what an order keeps of its sizing.
    """

    symbols: tuple[str, ...]
    reasons: tuple[str, ...]
    halts: tuple[tuple[str, str, str], ...]
    base: tuple[str, ...]
    quote: tuple[str, ...]
    venue_fills: bool
    explained: tuple[str, ...] = ()
    training_times: Callable[[int, int], Sequence[int]] | None = field(default=None, repr=False)
    on_drift: bool = False

    @cached_property
    def sizing(self) -> tuple[str, ...]:
        """Names of what an order keeps of how it was sized: the equity, and what is explained."""
        return ("equity", *self.explained)


class IntakePort(Protocol):
    """Bars in, columns out; see `septet._live.intake.Intake`."""

    def bar(self, event: m.BarClosed) -> None: ...
    def point(self, event: m.SeriesPoint) -> None: ...
    def decision_time(self, event: m.DecisionTimeReached) -> core.DecisionTime: ...
    def snapshot(self) -> bytes: ...
    def restore(self, data: bytes) -> None: ...


class ModelPort(Protocol):
    """Models as they arrive; see `septet._live.model_in_force.Models`."""

    def take(self, event: m.ModelReady | m.ModelFailed) -> None: ...
    def ready(self, number: int) -> int | None: ...
    def at(self, time_ns: int) -> m.ModelReady | m.ModelFailed | None: ...
    def load(self, event: m.ModelReady, /) -> Any: ...
    def snapshot(self) -> bytes: ...
    def restore(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class OrderRules:
    """What an order of the strategy carries to the wire besides the engine's fields.

    `decide_within_ns` (wall time) is how long after its decision an entry may leave;
    `patience_ns` and `max_slippage` are those of `limit_then_market`, 0 for other styles;
    `latency_alarm_ns` (wall time) is how long the venue may take to answer without an alarm;
    `protects` states whether stops are held at the venue, where it can hold them; `fees` are the
    rates expected of an execution, maker and taker. `on_shutdown` states what the end of a run
    does: keep orders and positions, cancel entries, or flatten. `liquidation` is the leverage and
    the maintenance margin of a perpetual, None on spot.
    """

    decide_within_ns: int
    patience_ns: int = 0
    max_slippage: float = 0.0
    protects: bool = False
    latency_alarm_ns: int = 2_000_000_000
    adopts: bool = False
    fees: tuple[float, float] = (0.0, 0.0)
    on_shutdown: str = "keep"
    liquidation: tuple[float, float] | None = None
