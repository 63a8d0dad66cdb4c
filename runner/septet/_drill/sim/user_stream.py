"""The user stream: messages that are lost, doubled and overtaken, on a pipe that may be dead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from septet import messages as m
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.simulated_time import MS, SECOND, Simulation

__all__ = ["WATCHDOG_NS", "UserStream"]

WATCHDOG_NS: Final = 5 * SECOND
"""After how long the adapter takes silence for a dead pipe."""
_RESPONSE_NS: Final = 50 * MS


class UserStream:
    """One connection at a time; events without a listener are lost."""

    def __init__(self, simulation: Simulation, fault_rates: FaultRates) -> None:
        self._simulation, self._fault_rates = simulation, fault_rates
        self._put: Callable[[m.Event], None] | None = None
        self._epoch = 0
        self._silent = False
        self._last_ns = 0
        self._until_ns = 0

    def listen(self, put: Callable[[m.Event], None]) -> None:
        """Connect a listener; the one before receives nothing more."""
        self._epoch += 1
        self._put, self._silent = put, False

    def leave(self) -> None:
        """Disconnect the listener."""
        self._epoch += 1
        self._put = None

    def happened(self, event: m.Event) -> None:
        """Report what happened at the venue, as far as the injected faults let it."""
        put, chance, occurs = self._put, self._simulation.chance, self._fault_rates.occurs
        if put is None or self._silent:
            return
        if isinstance(event, m.Filled) and occurs("E14 fill lost"):
            return
        delay_ns = chance.randint(1, 60) * MS
        arrives_ns = max(self._simulation.now_ns + delay_ns, self._last_ns)
        if isinstance(event, m.Filled) and occurs("E15 fill first"):
            arrives_ns = self._simulation.now_ns + MS
        elif occurs("E13 disorder"):
            arrives_ns += chance.randint(0, 3_000) * MS
        else:
            self._last_ns = arrives_ns
        self._deliver(put, event, arrives_ns)
        if isinstance(event, m.Filled) and occurs("E12 fill twice"):
            self._deliver(put, event, arrives_ns + chance.randint(0, 2_000) * MS)

    def _deliver(self, put: Callable[[m.Event], None], event: m.Event, arrives_ns: int) -> None:
        epoch = self._epoch

        def arrive() -> None:
            if self._epoch == epoch and not self._silent:
                put(event)

        self._simulation.after(arrives_ns - self._simulation.now_ns, arrive)

    def cut(self, *, silent: bool, until_ns: int) -> None:
        """Break the pipe: at once and openly, or silently until the watchdog looks."""
        if self._put is None:
            return
        put, epoch = self._put, self._epoch
        self._silent = True
        self._until_ns = max(self._until_ns, until_ns)
        notice_ns = WATCHDOG_NS if silent else _RESPONSE_NS

        def noticed() -> None:
            if self._epoch == epoch:
                put(self._changed("down"))
                self._dial(put, epoch)

        self._simulation.after(notice_ns, noticed)

    def _dial(self, put: Callable[[m.Event], None], epoch: int) -> None:
        def dialled() -> None:
            if self._epoch != epoch:
                return
            if self._simulation.now_ns < self._until_ns and not self._fault_rates.calm:
                self._dial(put, epoch)
                return
            self.listen(put)
            put(self._changed("up"))

        self._simulation.after(self._simulation.chance.randint(100, 2_000) * MS, dialled)

    def _changed(self, state: Any) -> m.VenueChanged:
        return m.VenueChanged(at_ns=0, venue="sim", state=state, reason="user stream")
