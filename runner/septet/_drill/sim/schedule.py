"""One schedule of faults from one seed: a run in simulated time, and the checks of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from septet import messages as m
from septet._core.orders import Orders
from septet._drill.sim.bars import BAR_NS, SimBars
from septet._drill.sim.disk import SimDisk
from septet._drill.sim.end_checks import end_checks, moved, restart_changes
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.market import COARSEST_LOT
from septet._drill.sim.older_copies import COPY
from septet._drill.sim.renamed_checks import unprotected
from septet._drill.sim.shell import SimShell, SubjectFactory
from septet._drill.sim.simulated_time import BEGIN_NS, MS, SECOND, Simulation
from septet._drill.sim.venue import SimVenue
from septet._drill.venue.amounts import SCALE

__all__ = ["ACTIVE_NS", "RECOVERY_NS", "Failure", "Report", "Subjects", "run_schedule"]

ACTIVE_NS: Final = 40 * SECOND
"""How long faults and decisions last."""
RECOVERY_NS: Final = 60 * SECOND
"""Within which everything must be known after the last fault."""
AGAIN_NS: Final = 20 * SECOND
"""How long is looked at what a second restart does."""
_KNOWS_NS: Final = 12 * SECOND
"""How long a process needs after its start until it knows everything."""
QUOTE_NS: Final = 800 * MS
CALM_QUOTE_NS: Final = 5 * SECOND

_NAMES: Final = re.compile(r"\b[a-z]0000000\w*-\w+(?:-\w+)?|(?<=trade )\d+")
"""Ids of orders and trades, as they stand in what is wrong."""

Subjects = Callable[[int], SubjectFactory]
"""Takes the seed, returns what makes a fresh core."""


class Failure(AssertionError):
    """A schedule that broke something: the seed makes it happen again."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a schedule was."""

    seed: int
    steps: int
    rows: int
    writes: int
    starts: int
    orders: int
    fills: int
    faults: Counter[str] = field(default_factory=Counter)


class _Schedule:
    """The run of one seed."""

    def __init__(
        self, seed: int, subjects: Subjects, only: frozenset[str] | None, crash: tuple[int, int],
        active_ns: int,
    ) -> None:  # fmt: skip
        self.simulation = Simulation(seed)
        self.fault_rates = FaultRates(self.simulation, only=only)
        self.venue = SimVenue(self.simulation, self.fault_rates)
        self.disk = SimDisk(self.simulation, self.fault_rates)
        self.disk.crash_at_write, self.disk.phase = crash
        self.shell = SimShell(
            self.simulation, self.fault_rates, self.venue, self.disk, subjects(seed)
        )
        self.active_ns = active_ns
        self.killed = False
        self.bars = SimBars(self.simulation, self.fault_rates, self.venue.market, self.shell)
        self._dark = False
        self._asked: m.Operated | None = None
        self._resume_ns = 0
        self._flattened = False

    def run(self) -> Report:
        simulation, shell = self.simulation, self.shell
        shell.start()
        self._quote()
        self._second()
        self._decision_time()
        simulation.run_until(BEGIN_NS + self.active_ns)
        simulation.note("---- no more faults")
        self.fault_rates.calm = True
        self.venue.stay_calm()
        shell.start()
        simulation.after(10 * SECOND, self._give_back)
        simulation.run_until(simulation.now_ns + RECOVERY_NS)
        self._check_end()
        simulation.note("---- the second restart")
        before = len(shell.rows)
        shell.crash()
        simulation.run_until(simulation.now_ns + AGAIN_NS)
        self._fail(restart_changes(shell.rows, before) if not self.venue.market.working() else [])
        self._check_end()
        shell.replay()
        self._fail(shell.wrongs)
        return Report(
            simulation.seed, simulation.steps, len(shell.rows), self.disk.writes, shell.starts,
            len(self.venue.market.accepted), len(self.venue.market.fills), simulation.counts,
        )  # fmt: skip

    def _give_back(self) -> None:
        """Return what others took of our position: without it no exit can ever be sold."""
        for order in self.venue.market.working(ours=False):
            self.venue.market.cancel(order)
        for of in self.venue.market.listings:
            missing = self._held(of.k) - self.venue.market.balance(of.name)
            if missing > 0:
                self.venue.market.give(of, missing)

    def _held(self, k: int) -> int:
        """Return the position of a symbol in units by the fold of the journal."""
        traded = (
            moved(each)
            for _, commands in self.shell.rows
            for each in commands
            if isinstance(each, m.Traded) and each.symbol == k
        )
        return round(sum(traded) * SCALE)

    def _check_end(self) -> None:
        began_ns = self.shell.started_ns if self.shell.running else self.simulation.now_ns
        if (
            self.simulation.now_ns - began_ns < _KNOWS_NS
        ):  # killed near the end: give the next its time
            self.simulation.run_until(self.simulation.now_ns + RECOVERY_NS)
        if not self.shell.running:
            self._fail(["no process is running"])
        self._fail(end_checks(self.shell, self.venue, killed=self.killed))
        orders = getattr(self.shell.core, "orders", None)
        self._fail(unprotected(orders, self.venue) if isinstance(orders, Orders) else [])
        flattens = self._flattened and hasattr(self.shell.core, "engine")
        for of in self.venue.market.listings if flattens else ():
            held = self._held(of.k)
            if held > COARSEST_LOT:
                self._fail(
                    [f"{held / SCALE} {of.name} are held after the run was asked to flatten"]
                )

    def _fail(self, wrong: list[str]) -> None:
        if wrong:
            shown = "\n".join(f"- {each}" for each in wrong[:8])
            about = {name for each in wrong for name in _NAMES.findall(each)}
            raise Failure(
                f"seed {self.simulation.seed}: {len(wrong)} things are wrong\n{shown}\n"
                f"the last steps:\n{self.simulation.trace(about)}"
            )

    # ------------------------------------------------------------ what goes on

    def _put(self, event: m.Event) -> None:
        self.shell.put(event)

    def _quote(self) -> None:
        """The price moves, and the process sees it unless it is dark."""
        market, now_ns = self.venue.market, self.simulation.now_ns
        market.move()
        dark = now_ns < self.venue.dark_until_ns
        if dark != self._dark:
            self._dark = dark
            for of in market.listings:
                stream = f"book:{of.symbol}"
                state: m.FeedChanged = m.FeedChanged(
                    at_ns=0, stream=stream, symbol=of.k, state="down" if dark else "live"
                )
                self._put(state)
        for of in market.listings if not dark else ():
            self._put(market.quoted(of))
        self.simulation.after(CALM_QUOTE_NS if self.fault_rates.calm else QUOTE_NS, self._quote)

    def _second(self) -> None:
        """A second of faults of the simulation, the process and the operator."""
        simulation, shell, occurs = self.simulation, self.shell, self.fault_rates.occurs
        self.venue.second()
        self._fail([*self.venue.wrongs, *shell.wrongs])
        if occurs("P1 crash"):
            shell.crash(power=simulation.chance.random() < 0.3)
        is_whole = hasattr(shell.core, "engine")  # its history would lack bars
        if not (self.killed or is_whole) and occurs(COPY):
            shell.go_back()
        if not is_whole and shell.running and occurs("P7 clock moved"):
            by_ns = simulation.chance.randint(2, 40) * SECOND
            simulation.jump(by_ns)
            shell.clock_jumped(by_ns)
        if occurs("P4 blocked"):
            shell.sleep(simulation.chance.randint(1, 10) * SECOND)
        is_asked = self.fault_rates.calm and shell.running and shell.asks_a_person()
        if shell.running and occurs("O1 kill"):
            self._operate(simulation.chance.choice(("halt", "flatten")))
        elif is_asked or (
            self.killed and 0 < self._resume_ns <= simulation.now_ns and not self.fault_rates.calm
        ):
            self._operate("resume")
        elif self._asked is not None and shell.running:
            if shell.received(self._asked.reason):
                self._asked = None
            else:  # the file of the switch is still there
                self._put(self._asked)
        if (simulation.now_ns - BEGIN_NS) // SECOND % 5 == 4:
            self.venue.filters(shell.inbox())
            self.venue.holdings(shell.inbox())
            self.venue.open_orders(shell.inbox())
        simulation.after(SECOND, self._second)

    def _operate(self, action: Literal["halt", "flatten", "resume"]) -> None:
        chance, now_ns = self.simulation.chance, self.simulation.now_ns
        self.killed, self._flattened = action != "resume", action == "flatten"
        resumes = self.killed and chance.random() < 0.4
        self._resume_ns = now_ns + chance.randint(1, 15) * SECOND if resumes else 0
        self._asked = m.Operated(
            at_ns=0, action=action, name="operator", reason=f"at {now_ns}"
        )  # fmt: skip
        self._put(self._asked)

    def _decision_time(self) -> None:
        """A bar has closed; a process that was away is given what it missed, and decides late."""
        if self.fault_rates.calm:
            return
        self.bars.close()
        self.simulation.after(BAR_NS, self._decision_time)


def run_schedule(
    seed: int,
    subjects: Subjects | None = None,
    *,
    only: frozenset[str] | None = None,
    crash_at_write: tuple[int, int] = (0, 0),
    active_ns: int = ACTIVE_NS,
) -> Report:
    """Run the schedule of a seed; raise `Failure`, with the seed and the last steps, if it breaks.

    Parameters
    ----------
    seed
        All chances are drawn from it.
    subjects
        What is tried; the order manager with a minimal strategy by default.
    only
        Names of the faults that may happen; None draws them.
    crash_at_write
        Number of the journal's write at which the process is killed, counted from 1, and where:
        0 before it, 1 after it and before the commit, 2 after the commit.
    active_ns
        How long faults and decisions last.
    """
    if subjects is None:
        from septet._drill.sim.sim_strategy import sim_strategies

        subjects = sim_strategies
    schedule = _Schedule(seed, subjects, only, crash_at_write, active_ns)
    try:
        return schedule.run()
    except Failure:
        raise
    except Exception as error:  # a bug of the subject: the seed and the steps must not be lost
        raise Failure(
            f"seed {seed}: {type(error).__name__}: {error}\n"
            f"the last steps:\n{schedule.simulation.trace()}"
        ) from error
