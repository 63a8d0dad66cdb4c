"""A live process: strategies on one account and one loop, from the command to the exit status."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from septet import messages as m
from septet._host.background_tasks import Kept, race
from septet._host.venues import LiveFeed, LiveVenue, VenueFacts
from septet._journal.machine_lock import scope_text
from septet._journal.state_folder import state_folder
from septet._live import start as begin
from septet._live.clock import LiveClock, WallClock
from septet._live.funds_check import require_capital
from septet._live.metrics import MetricsServer, addresses_of
from septet._live.run_location import find_run_location, only_start
from septet._live.run_steps import MeasurePace, agree, check_books, doubts, ended
from septet._live.scheduled_reports import reports
from septet._live.shared_account import AccountGate, SharedVenue
from septet._live.stop import LoopWatch, RunEnd, Signals, StopBound, project
from septet._live.stored_model import with_label_of_run
from septet._live.strategy_run import StrategyRun
from septet._live.supervisor import Supervisor
from septet._live.venue_gate import GatedVenue
from septet._live.wiring import WIRING, Wiring
from septet.errors import InputError, SeptetError

__all__ = ["Confirm", "LiveResult", "keep_apart", "new_loop", "run_live", "tidy"]

_TEND_S, _DOUBT_EVERY_S = 0.5, 5.0
_ACCOUNT_EVERY_S: Final = 60.0
"""How often the account is read though nothing is wrong: somebody else may have acted on it."""
_READ: Final = ("account_unread", "insufficient_funds", "position_mismatch", "rejected_entry")
"""Blocks that end by a read of the account: one read may have been wrong."""
_NS: Final = 1_000_000_000
_YOUNG: Final = 5_000
"""So many new objects may wait for `tidy`; more are looked through at once, whatever goes on."""
_WHOLE_AFTER: Final = 1_200
"""Collections of the young generation before one of all objects: ten minutes of them."""

Confirm = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class LiveResult:
    """How every strategy's run ended; `exit_code` is that of the process."""

    ends: tuple[tuple[StrategyRun, RunEnd], ...]
    netting: str = ""

    @property
    def exit_code(self) -> int:
        """Return 1 if a strategy failed or did not flatten, 3 if a halt stopped one, else 0."""
        hows = {"failed" if end.held else end.how for _, end in self.ends}
        return 1 if "failed" in hows else 3 if "halted" in hows else 0

    def document(self) -> dict[str, Any]:
        """Return the result as plain data."""
        runs = [
            {
                "strategy": run.strategy.name, "run_id": run.location.run_id,
                "folder": str(run.location.folder), "mode": run.strategy.mode, "how": end.how,
                "text": end.text, "decisions": run.known.decisions,
                "open_orders": end.open_orders, "held": list(end.held),
            }
            for run, end in self.ends
        ]  # fmt: skip
        code = self.exit_code
        return {"ok": code == 0, "exit_code": code, "runs": runs, "netting": self.netting}


def run_live(
    files: Sequence[Any],
    options: begin.Options,
    *,
    confirm: Confirm = lambda question: False,
    clock: LiveClock | None = None,
    wiring: Wiring = WIRING,
    signals: bool = True,
) -> LiveResult:
    """Run strategies in paper or live mode until they are stopped.

    Parameters
    ----------
    files
        Loaded files, all of one mode; several share one account.
    confirm
        Asked before real orders may leave.
    clock
        Wall and market time; by default they are the same.

    Raises
    ------
    SeptetError
        The run could not start; nothing is left running.
    """
    _report_crashes()
    _require_one_account(files)
    process = _Process(files, options, confirm, clock or WallClock(), wiring, signals=signals)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(process.run())


def new_loop() -> asyncio.AbstractEventLoop:
    """Return asyncio's own loop, also where uvloop is installed (ccxt requires it).

    libuv, which uvloop is built on, ends the process by `abort()`, without a message, where a
    file descriptor was closed while the loop watched it. A connection that is given up while it
    is dialled is enough. asyncio's own loop forgets the descriptor and goes on.
    """
    return asyncio.SelectorEventLoop()


def _report_crashes() -> None:
    """Make a signal that ends the process (SIGABRT, SIGSEGV) leave a traceback on stderr."""
    if not faulthandler.is_enabled():
        with suppress(AttributeError, OSError, RuntimeError, ValueError):  # no stderr, or no file
            faulthandler.enable()


def keep_apart() -> None:
    """Exclude the objects of the start from later garbage collections: each would take 0.1 s.

    What comes later is for `tidy`, so that hardly any collection falls between a bar and its
    order.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def tidy() -> None:
    """Collect garbage cycles now, while nothing waits; to be called several times a second."""
    gc.collect(2 if gc.get_count()[2] > _WHOLE_AFTER else 1)


def _require_one_account(files: Sequence[Any]) -> None:
    first = files[0].strategy
    names = [each.strategy.name for each in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two files are called {', '.join(twice)}", hint="give each strategy its own name"
        )
    for each in (loaded.strategy for loaded in files[1:]):
        if each.mode != first.mode:
            raise InputError(
                f"{each.name} is in mode {each.mode} and {first.name} in mode {first.mode}",
                hint="name one with --mode",
            )
        if first.mode == "live" and each.execution.venues != first.execution.venues:
            raise InputError(
                f"{each.name} and {first.name} name different venues, and one process has one "
                "account",
                hint="write the same execution.venues in both, or start them separately",
            )
        if each.account.currency != first.account.currency:
            raise InputError(
                f"{each.name} counts in {each.account.currency}, {first.name} in "
                f"{first.account.currency}",
                hint="strategies on one account share its currency",
            )


class _Process:
    """State that the strategies of one process share."""

    def __init__(
        self,
        files: Sequence[Any],
        options: begin.Options,
        confirm: Confirm,
        clock: LiveClock,
        wiring: Wiring,
        *,
        signals: bool,
    ) -> None:
        self.files, self.options, self.confirm = files, options, confirm
        self.clock, self.wiring, self.signals = clock, wiring, signals
        self.runs: list[StrategyRun] = []
        self.ends: dict[str, RunEnd] = {}
        self.reason = ""
        self._measuring, self._account_s = MeasurePace(), 0.0
        self._venue: LiveVenue | None = None
        self._servers: list[MetricsServer] = []
        self.supervisor = Supervisor(
            clock, self._notify, lambda: [run.put for run in self._running()]
        )
        self.tasks = self.supervisor.of()
        self._serving = self.supervisor.of()
        self._periodic: list[Kept] = []

    # ------------------------------------------------------------ the whole

    async def run(self) -> LiveResult:
        """Start, trade until everything has ended, and close in order."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.supervisor.unowned)
        self.stopping = asyncio.Event()
        self._signals = Signals(self._stop, self._halt)
        watch = LoopWatch(
            lambda seconds: self._stood_still(seconds, "the process stood still"), self._notify,
            tasks=self.tasks,
        )  # fmt: skip
        if self.signals:
            self._signals.install(loop)
            self._signals.came_early(self.options.early())
        schedule, thresholds = None, gc.get_threshold()
        try:
            await self._begin()
            keep_apart()
            watch.start()
            schedule = reports(self.runs)
            await self._trade()
        except begin.Stopped:
            self.reason = self.reason or "asked to stop"
        except Exception as error:
            self._gave_up(error)
            raise
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            watch.close()
            if schedule is not None:
                schedule.shutdown(wait=False)
            await self._serving.close()
            await asyncio.gather(*(each.closed() for each in self._periodic))
            await self._end_all()
            for server in self._servers:
                await server.close()
            await self.supervisor.close()
            if self.signals:
                self._signals.forget(loop)
        ends = tuple((run, self.ends[run.strategy.name]) for run in self.runs)
        return LiveResult(ends, self._netting())

    def _gave_up(self, error: Exception) -> None:
        """Write the reason to every log, because later readers have not seen the terminal."""
        fields = {"text": f"{type(error).__name__}: {error}"}
        if isinstance(error, SeptetError):
            fields = {"text": error.message} | ({"hint": error.hint} if error.hint else {})
            error.is_alerted = any(not run.location.fresh for run in self._running())
        self.reason = self.reason or f"gave up: {fields['text']}"
        for run in self._running():
            if not run.location.fresh:  # it may hold positions, and nobody may read the terminal
                run.start_alerts()
            run.notify("error", "gave_up", fields)

    def _netting(self) -> str:
        if len(self.files) < 2:
            return ""
        return (
            "positions of these strategies add up on one account: an order of one may close what "
            "another holds there, and each is booked its own; the account's limits hold for the sum"
        )

    async def _begin(self) -> None:
        gate = AccountGate(now_ns=self.clock.now_ns)
        # First the checks that refuse a file: nothing has been created or locked yet.
        feeds = [self._feed(k, loaded) for k, loaded in enumerate(self.files)]
        if self.files[0].strategy.mode == "live":
            name, block = next(iter(self.files[0].strategy.execution.venues.items()))
            tasks = self.supervisor.of(f"{block.use} ({name})", "venue")
            venue = self.wiring.venue(self.files[0], self.clock, {}, tasks)
            self._venue = None if venue is None else GatedVenue(venue, self.clock)
        for loaded in self.files:
            strategy = loaded.strategy
            with only_start(self.options.out, strategy.name):
                location = find_run_location(
                    self.options.out, strategy.name, strategy.mode, fresh=self.options.fresh,
                    now_ns=self.clock.now_ns(),
                )  # fmt: skip
                run = StrategyRun(
                    with_label_of_run(loaded, location), location, self.options, gate=gate,
                    wiring=self.wiring, clock=self.clock, stopping=self.stopping,
                    supervisor=self.supervisor,
                )  # fmt: skip
                self.runs.append(run)
                run.take_lease()
            run.prepare()
        await self._serve()
        self._periodic = [
            *(self._every(f"care of {run.strategy.name}", run.tend) for run in self.runs),
            self._every("venue's clock", self._measure_skew),
            self._every("reads of the account", self._read_account),
        ]  # fmt: skip
        await self._open(dict(zip(self.runs, feeds, strict=True)), self._venues(gate))
        if text := self._netting():
            self._notify("warning", "netting", {"text": text})

    async def _open(
        self, feeds: dict[StrategyRun, LiveFeed], venues: list[LiveVenue | None]
    ) -> None:
        """Reconcile the resumed runs at the venue, then start all strategies."""
        live = self.runs[0].strategy.mode == "live"
        reached = dict(zip(self.runs, venues, strict=True))
        # Market data may be unavailable for long: positions are managed without it.
        before = [run for run in self.runs if live and run.resumed]
        after = [run for run in self.runs if run not in before]
        for run in before:
            venue = reached[run]
            assert venue is not None
            await run.reach(venue)
        if before:
            await self._require_start_conditions(before[0])
            await agree(before)
        for run in after:
            await self._step(run.connect(feeds[run], reached[run]))
        if live and not before:
            await self._require_start_conditions(self.runs[0])
        await self._step(agree(after))
        for run in before:
            await self._step(run.connect(feeds[run], reached[run]))
        for run in self.runs:
            await self._step(run.go_live())

    async def _step(self, call: Coroutine[Any, Any, None]) -> None:
        """Wait for a step of the start, until a running strategy has failed."""
        first, _ = await race(call, *(ended(run) for run in self._awake()))
        if first:
            for run in self._awake():
                run.require_running_strategy()

    async def _serve(self) -> None:
        """Serve metrics and health at the addresses of the files.

        A new run is refused where it cannot listen. A resumed one may hold positions: it starts,
        logs the failure, and tries again.
        """
        for address in addresses_of(self.runs):
            server = MetricsServer(address, lambda: self.runs)
            try:
                await server.open()
            except InputError as error:
                if all(run.location.fresh for run in self.runs):
                    raise
                self._notify("error", "metrics", {"text": error.message})
            server.keep(self._serving)
            self._servers.append(server)

    def _feed(self, number: int, loaded: Any) -> LiveFeed:
        """Make a strategy's feed; its tasks belong to this strategy alone."""

        def notify(level: str, event: str, fields: dict[str, Any]) -> None:
            self.runs[number].notify(level, event, fields)

        use = loaded.strategy.data.candles.use
        tasks = self.supervisor.of(use, "feed", notify=notify, puts=lambda: [self.runs[number].put])
        return self.wiring.feed(loaded, self.clock, tasks)

    def _venues(self, gate: AccountGate) -> list[LiveVenue | None]:
        """Return each strategy's view of the account; paper venues are made by each itself."""
        if self.runs[0].strategy.mode != "live":
            return [None] * len(self.runs)
        venue = self._venue
        if venue is None or len(self.runs) == 1:
            return [venue]
        shared = SharedVenue(venue, gate)
        return [shared.share(run.member, run.location.tag) for run in self.runs]

    async def _require_start_conditions(self, run: StrategyRun) -> None:
        """Refuse a start with real money without sufficient rights, funds or confirmation."""
        facts, strategy = run.facts, run.strategy
        assert facts is not None
        assert run.venue is not None
        assert run.lease is not None
        block = next(iter(strategy.execution.venues.values()))
        allowed = bool(getattr(block.config, "allow_withdrawal", False))
        begin.require_allowed_rights(
            facts, allowed=allowed, goes_on=any(each.resumed for each in self.runs),
            notify=run.notify,
        )  # fmt: skip
        run.lease.take_account(facts.account, machine=not facts.is_test)
        beyond = f"no run at a test venue beside this one's in {state_folder()}"
        text = f"this account is shared by {beyond if facts.is_test else f'no run {scope_text()}'}"
        run.notify("info", "account_lease", {"text": text})
        for each in self.runs:
            each.require_same_account(facts)
        capitals = {each.strategy.name: each.member.booked_cash for each in self.runs}
        if not any(each.resumed for each in self.runs):
            await require_capital(self.runs, run.venue, capitals, self.stopping)
        if not self._confirmed(self._question(facts, capitals)):
            raise InputError(
                "nobody confirmed that real orders may be sent",
                hint="answer yes on the terminal, or start with --yes",
            )

    def _confirmed(self, question: str) -> bool:
        """Ask the operator; Ctrl-C counts as an answer, and the loop continues."""
        loop = asyncio.get_running_loop()
        if self.signals:
            self._signals.forget(loop)
        try:
            return self.confirm(question)
        finally:
            if self.signals:
                self._signals.install(loop)

    def _question(self, facts: VenueFacts, capitals: dict[str, float]) -> str:
        shares = ", ".join(f"{name} with {capital:.2f}" for name, capital in capitals.items())
        money = "a test venue" if facts.is_test else "real money"
        currency = self.files[0].strategy.account.currency
        return f"Trade {shares} {currency} on {facts.exchange} ({money})?"

    # ------------------------------------------------------------ while it runs

    async def _trade(self) -> None:
        self._periodic += [self._every("memory", tidy), self._every("clock", self._check_clock)]
        await self._untilended()

    def _every(self, name: str, care: Callable[[], object]) -> Kept:
        """Run a periodic check twice a second; after any failure, again after a pause."""

        async def work() -> None:
            while True:
                care()
                periodic.works()
                await asyncio.sleep(_TEND_S)

        periodic = self.tasks.keep(name, work, works_after_s=None)
        return periodic

    async def _untilended(self) -> None:
        while not self.stopping.is_set() and len(self.ends) < len(self.runs):
            for run in self._running():
                if run.ended is not None and run.ended.done():
                    await self._end(run, "the strategy failed")
                elif run.finished.is_set():
                    await self._end(run, "as far as it was asked to go")
            waits: list[Any] = [run.finished.wait() for run in self._running()]
            waits += [ended(run) for run in self._running()]
            if waits:
                await race(self.stopping.wait(), *waits)

    def _running(self) -> list[StrategyRun]:
        return [run for run in self.runs if run.strategy.name not in self.ends]

    def _check_clock(self) -> None:
        jump = getattr(self.clock, "check", lambda: None)()
        if jump is not None:
            for run in self._awake() if jump.by_ns > 0 else ():  # before anything has a new stamp
                run.clock_jumped(jump.by_ns)
            self._notify("error", "clock", {"text": str(jump)})
            self._stood_still(abs(jump.by_ns) / _NS, "the clock jumped")

    def _measure_skew(self) -> None:
        """Query the clock and filters of the venue periodically."""
        if self._measuring.is_due(asyncio.get_running_loop().time(), self._running()):
            for run in self._awake():
                run.measure()

    def _read_account(self) -> None:
        """Let the core compare its books with the account, periodically."""
        now_s = asyncio.get_running_loop().time()
        is_open = any(doubts(run, _READ) for run in self._running())
        if now_s - self._account_s < (_DOUBT_EVERY_S if is_open else _ACCOUNT_EVERY_S):
            return
        first, self._account_s = not self._account_s, now_s
        for run in [] if first else self._awake():
            run.dispatcher.dispatch([m.Refresh(what="holdings"), m.Refresh(what="open_orders")])

    def _awake(self) -> list[StrategyRun]:
        """Return the strategies that run and have begun."""
        return [run for run in self._running() if run.ended is not None]

    def _stood_still(self, seconds: float, why: str) -> None:
        for run in self._running():
            run.stood_still(seconds, why)

    def _notify(self, level: str, event: str, fields: dict[str, Any]) -> None:
        for run in self.runs[:1]:
            run.notify(level, event, fields)

    def _stop(self, name: str) -> None:
        self.reason = f"{name} was received"
        self.stopping.set()

    def _halt(self, name: str) -> None:
        for run in self._running():
            run.switch.signal(name)

    # ------------------------------------------------------------ the end

    async def _end(self, run: StrategyRun, reason: str) -> None:
        bound = StopBound()
        self.ends[run.strategy.name] = await run.end(reason, bound)
        check_books(run)
        if run.location.journal.is_file():
            await project(run.location.folder, run.notify, bound.for_tables_s)
        run.log.close()
        run.location.forget_unbegun()

    async def _end_all(self) -> None:
        reason = self.reason or "the process could not begin"
        await asyncio.gather(*(self._end(run, reason) for run in self._running()))
