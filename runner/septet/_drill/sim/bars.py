"""Bars of the market, as a process is given them: in order of their symbol, and some too late.

The decision times of the live shell itself determine when a bar decides, and who is missing.
"""

from __future__ import annotations

from typing import Final

from septet import messages as m
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.market import Market
from septet._drill.sim.shell import SimShell
from septet._drill.sim.simulated_time import MS, SECOND, SPEED, Simulation
from septet._drill.venue.amounts import SCALE
from septet._live.clock import MarketOrigin
from septet._live.market_data.decision_times import (
    DecisionTimes,
    Standing,
    default_decide_within_ns,
    default_grace_ns,
)
from septet._live.market_data.feed_grid import Grid

__all__ = ["BAR_NS", "SimBars"]

BAR_NS: Final = SECOND
_BAR_MARKET_NS: Final = BAR_NS * SPEED
_LATEST_NS: Final = 3_000 * MS


class _Clock:
    """The simulation's time, as decision times ask for it."""

    speed = float(SPEED)

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._origin = MarketOrigin(simulation.now_ns, simulation.market_ns, self.speed)

    def now_ns(self) -> int:
        return self._simulation.now_ns

    def market_ns(self) -> int:
        return self._simulation.market_ns

    def wall_of_market(self, market_ns: int) -> int:
        return self._origin.wall_of(market_ns)

    def ahead_ns(self) -> int:
        return 0

    def uncertainty_ns(self) -> int:
        """Return nothing: this clock is right."""
        return 0


class SimBars:
    """All bars so far, and what the process that runs has had of them."""

    def __init__(
        self, simulation: Simulation, fault_rates: FaultRates, market: Market, shell: SimShell
    ) -> None:
        self._simulation, self._fault_rates, self._market, self._shell = (
            simulation,
            fault_rates,
            market,
            shell,
        )
        self._clock = _Clock(simulation)
        self._grids = [Grid("24x7", _BAR_MARKET_NS) for _ in market.listings]
        self._bars: list[list[m.BarClosed]] = [[] for _ in market.listings]
        self._comes_ns = [0 for _ in market.listings]
        self._starts = 0
        self._decision_times: DecisionTimes | None = None

    def close(self) -> None:
        """A bar of every symbol ends now; with several symbols some are reported later."""
        simulation = self._simulation
        for of, bars in zip(self._market.listings, self._bars, strict=True):
            close, known_ns = self._market.price(of) / SCALE, simulation.market_ns
            opens = bars[-1].close if bars else close
            bars.append(
                m.BarClosed(
                    at_ns=0, symbol=of.k, open_ns=known_ns - _BAR_MARKET_NS, known_ns=known_ns,
                    open=opens, high=max(opens, close), low=min(opens, close), close=close,
                    volume=1.0,
                )
            )  # fmt: skip
            if len(self._bars) > 1 and self._fault_rates.occurs("D2 bar late"):
                self._comes_ns[of.k] = simulation.now_ns + simulation.chance.randint(1, _LATEST_NS)
                simulation.after(self._comes_ns[of.k] - simulation.now_ns, self._give)
        self._give()

    def _give(self) -> None:
        """Give the process the bars that have arrived, and the decision times that are reached."""
        if not self._shell.running:
            return
        decision_times, now_ns = self._of_process(), self._simulation.now_ns
        for k, bars in enumerate(self._bars):
            since_ns = decision_times.standing.accounted_ns[k]
            for bar in bars if now_ns >= self._comes_ns[k] else ():
                if bar.known_ns > since_ns:
                    decision_times.take(bar)
                    self._shell.put(bar)
        for decision_time in decision_times.advance():
            self._shell.put(decision_time)
        due_ns = decision_times.next_wall_ns()
        if due_ns is not None and any(map(self._waits, self._comes_ns)):
            self._simulation.after(due_ns - now_ns, self._give)

    def _waits(self, comes_ns: int) -> bool:
        return comes_ns > self._simulation.now_ns

    def _of_process(self) -> DecisionTimes:
        """Return the decision times of the process; a new one goes on from the journal."""
        if self._decision_times is None or self._starts != self._shell.starts:
            self._starts = self._shell.starts
            standing = Standing(self._grids).fold(event for event, _ in self._shell.rows)
            if not self._shell.rows:
                standing.time_ns = self._bars[0][0].open_ns
            self._decision_times = DecisionTimes(
                standing, self._clock, grace_ns=default_grace_ns(_BAR_MARKET_NS, SPEED),
                decide_within_ns=default_decide_within_ns(_BAR_MARKET_NS, SPEED),
            )  # fmt: skip
        return self._decision_times
