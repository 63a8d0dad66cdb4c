"""One strategy of a live process: everything around its shell, from start to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._data.bars import Instrument
from septet._host.venues import LiveFeed, LiveVenue, VenueFacts
from septet._journal.lease import Holder, Lease, boot_id, insist_alone, mark_path
from septet._journal.log import Durability, Journal
from septet._live import start as begin
from septet._live.account import AccountGate, AccountLimits, Member
from septet._live.alerts import Alerts
from septet._live.build import currencies
from septet._live.clock import LiveClock
from septet._live.dispatch import Dispatcher
from septet._live.facts import describe, head_of, instruments_in
from septet._live.kill import Switch, read_halt
from septet._live.known import Known
from septet._live.lane_end import end_run
from septet._live.listen import history_ns_of, make_market, trainer_of
from septet._live.logs import RunLog, lines_of
from septet._live.market import MarketDesk
from septet._live.metrics import Seen
from septet._live.shell import Ended, Shell
from septet._live.stop import LaneEnd
from septet._live.supervisor import Supervisor
from septet._live.wiring import Wiring, core_terms, core_with, instruments_of, markets_of, take_up
from septet.errors import InputError, JournalError, RunError

__all__ = ["Lane"]

SNAPSHOT_ENTRIES: Final = 50_000
SNAPSHOT_NS: Final = 600 * 1_000_000_000
HEARTBEAT_NS: Final = 10 * 1_000_000_000
CATCH_UP_NS: Final = 30 * 1_000_000_000

Rows = list[tuple[m.Event, Sequence[m.Command]]]


class Lane:
    """A strategy in paper or live mode.

    `prepare` is local; `connect` reaches feed and venue; `begin` starts, reconciles and goes
    live; `end` leaves everything whole.
    """

    def __init__(
        self,
        loaded: Any,
        place: begin.Place,
        options: begin.Options,
        *,
        wiring: Wiring,
        clock: LiveClock,
        gate: AccountGate,
        stopping: asyncio.Event,
        supervisor: Supervisor,
    ) -> None:
        self.loaded, self.place, self.options = loaded, place, options
        self.strategy = loaded.strategy
        self.symbols: tuple[str, ...] = tuple(self.strategy.universe.symbols)
        self.clock, self.wiring, self.stopping = clock, wiring, stopping
        self.log = RunLog(
            place.folder, now_ns=clock.now_ns, level=options.level, quiet=options.quiet,
            stream=options.stream, run=place.run_id, strategy=self.strategy.name,
        )  # fmt: skip
        self.alerts = Alerts(
            self.strategy.monitoring.alerts, f"{self.strategy.name} {self.strategy.mode}",
            loaded.base_dir, self.log.tell,
        )  # fmt: skip
        self.seen, self.live_ns = Seen(), -1
        self.supervisor = supervisor
        self.tasks = supervisor.of(tell=self.tell, puts=lambda: [self.put])
        self.member = self._member(gate)
        self.known = Known(self.loaded, keep_ns=history_ns_of(self.strategy))
        # From the first moment: a signal that comes while this compiles must halt as well.
        self.switch = Switch(place.folder, now_ns=clock.now_ns, act=self._put_first)
        self.finished = asyncio.Event()
        self.ready = asyncio.Event()
        self.venue: LiveVenue | None = None
        self.facts: VenueFacts | None = None
        self.ended: asyncio.Future[Ended] | None = None
        self.lease: Lease | None = None
        self.journal: Journal | None = None
        self.market: MarketDesk | None = None
        self.build: Any = None
        self.training: Any = None
        self._reconciling: Rows | None = None
        self._history: list[m.Event] = []
        self._early: list[m.Event] | None = []
        self._terms: Mapping[str, Any] = {}
        self._snapshot_ns, self._snapshot_seq = clock.now_ns(), 0
        self._heartbeat_ns = 0

    def _member(self, gate: AccountGate) -> Member:
        account = self.strategy.account
        bases = [currencies(each, account.currency)[0] for each in self.symbols]
        return gate.member(
            self.strategy.name, self.symbols, bases=bases, quote=account.currency,
            capital=account.capital, limits=AccountLimits.of(self.strategy),
        )  # fmt: skip

    def tell(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Log something that is no row of the journal; a failure is an alert as well."""
        self.log.tell(level, event, fields)
        if level in ("error", "critical"):
            self.alerts.failed(event, str(fields.get("text", "")))

    @property
    def switch_holds(self) -> bool:
        """Whether a person has halted the run."""
        return read_halt(self.place.folder) is not None

    @property
    def durability(self) -> Durability:
        """What a committed order is safe against."""
        default: Durability = "power" if self.strategy.mode == "live" else "process"
        return self.options.durability or default

    @property
    def halted(self) -> bool:
        """Whether a person's halt, or a rule that only a person lifts, holds."""
        return self.switch_holds or bool(self.known.held())

    # ------------------------------------------------------------ local

    def prepare(self) -> None:
        """Take the lease, open the journal and fold it: everything that needs nobody else."""
        now_ns = self.clock.now_ns()
        holder = Holder.this_process(
            run_id=self.place.run_id, strategy=self.strategy.name, folder=self.place.folder,
            now_ns=now_ns,
        )  # fmt: skip
        self.lease = Lease.take(holder)
        if self.place.fresh:  # compile now: while connected, a minute would be a minute of deafness
            self._make_core([Instrument(each) for each in self.symbols], core_terms(None, 1.0))
            self.build = None
            return
        self.journal = Journal.open(
            self.place.journal, durability=self.durability, mark=mark_path(self.place.run_id)
        )
        insist_alone(self.journal, now_ns=now_ns)
        if not self.journal.findings.ok:
            self.tell("warning", "journal", {"text": str(self.journal.findings)})
        begin.insist_on_newest(self.journal)
        facts = self.journal.head.facts
        self._make_core(instruments_in(facts), facts["core"])
        self._make_shell(self.journal)
        self._fold(self.journal)

    def _make_core(self, instruments: Sequence[Instrument], terms: Mapping[str, Any]) -> None:
        self._terms = terms
        self.build = self.wiring.core(
            self.loaded, tag=self.place.tag, instruments=instruments,
            run_folder=self.place.folder, **core_with(terms),
            say=lambda text: self.tell("info", "build", {"text": text}),
        )  # fmt: skip

    def put(self, event: m.Event) -> None:
        """Take an event in; before there is a shell it waits for it."""
        if self._early is None:
            self.shell.put(event)
        else:
            self._early.append(event)

    def _put_first(self, event: m.Event) -> None:
        if self._early is None:
            self.shell.put_first(event)
        else:
            self._early.insert(0, event)

    def _make_shell(self, journal: Journal) -> None:
        train = None
        if self.strategy.model is not None:
            self.training, train = trainer_of(
                self.loaded, self.known.shelf, self.place.folder, self.clock.now_ns, self.ready,
                self.tell,
            )  # fmt: skip
        self.dispatcher = Dispatcher(
            None, clock=self.clock, put=self.put, gate=self.member,
            train=train, fault=self._fault, wants=self.build.core.wants,
            tasks=self.tasks,
        )  # fmt: skip
        self.shell = Shell(
            self.build.core, journal, self.dispatcher, clock=self.clock, tell=self.tell,
            watch=self._watch, tasks=self.tasks,
        )  # fmt: skip

    def _fault(self, call: str, error: BaseException) -> None:
        text = f"{call}: {type(error).__name__}: {error}"
        self.tell("critical", "adapter_failed", {"text": text})

    def _fold(self, journal: Journal) -> None:
        def restored(kept: begin.Kept, seq: int) -> None:
            self.known.restore(kept, journal, seq)
            self.member.positions = dict(kept.positions)
            self.member.cash, self.member.equity = kept.cash, kept.equity
            self.dispatcher.remember_ids(kept.sent)

        def each(event: m.Event, commands: Sequence[m.Command]) -> None:
            self.known.take(event, commands)
            self.member.watch(event, commands)
            self.dispatcher.remember(commands)

        now = begin.fingerprints_of(self.loaded, self.build.plan.name)
        found = begin.recover(
            self.build.core, journal, now, restored=restored, each=each, tell=self.tell
        )
        self.known.settled()
        self._snapshot_seq = found.from_seq
        text = f"{found.last_seq} entries, the last {found.entries} of them folded"
        self.tell("info", "recovered", {"text": text})

    # ------------------------------------------------------------ connected

    async def connect(self, feed: LiveFeed, venue: LiveVenue | None) -> None:
        """Listen to the feed, open the venue; a new run reads its history."""
        self.alerts.start(self.tasks)
        left = self.options.bars and self.options.bars - self.known.decisions
        self.market = make_market(
            self.loaded, feed, self.known.standing, clock=self.clock, tell=self.tell,
            put=begin.until_enough(self.put, left), points=self.known.points,
            tasks=self.tasks,
        )  # fmt: skip
        heard = await begin.persist(
            "the feed", self.market.open, tell=self.tell, stopping=self.stopping
        )
        for want, how in heard.how.items():
            self.tell("info", "feed", {"text": f"{want} of {heard.exchange} come by {how}"})
        for note in heard.notes:
            self.tell("info", "feed", {"text": note})
        if venue is not None:
            open_it = partial(venue.open, self.symbols, self.put)
            self.facts = await begin.persist(
                "the venue", open_it, tell=self.tell, stopping=self.stopping
            )
        if self.build is None:
            markets = self.facts.markets if self.facts is not None else heard.markets
            instruments = instruments_of(self.loaded, markets)
        else:
            instruments = self.build.instruments
        if venue is None:
            listed = markets_of(self.loaded, instruments)
            venue = self.wiring.venue(self.loaded, self.clock, listed, self.tasks)
            if venue is not None:  # in this process: it fills against what the feed shows
                self.facts = await venue.open(self.symbols, self.put)
                self.market.quoted = getattr(venue, "quoted", None)
                if not self.place.fresh:
                    take_up(venue, self.build.core)
        if self.build is None:
            self._make_core(instruments, core_terms(self.facts, self.clock.speed))
        self.venue = venue
        if self.known.standing.time_ns < 0:
            since_ns = self._since_ns()
            market = self.market
            self._history = await begin.persist(
                "history", lambda: market.history(since_ns), tell=self.tell,
                stopping=self.stopping,
            )  # fmt: skip
        else:
            self.known.resume(self.market.bars)
        self._history = [*await self.market.points(), *self._history]

    def _since_ns(self) -> int:
        bar_ns = int(self.strategy.universe.bar)
        since_ns = self.clock.market_ns() - history_ns_of(self.strategy, self.build.bars_needed)
        return since_ns - since_ns % bar_ns

    def _create(self) -> Journal:
        head = head_of(
            self.loaded, self.build, self.place, clock=self.clock, terms=self._terms,
            account=self.facts.account if self.facts is not None else "",
            history=self._history,
        )  # fmt: skip
        describe(self.place, self.loaded, head)
        return Journal.create(
            self.place.journal, head, durability=self.durability,
            mark=mark_path(self.place.run_id),
        )  # fmt: skip

    def insist_on_account(self, facts: VenueFacts) -> None:
        """Refuse to go on with another account than the run began with.

        Raises
        ------
        InputError
            The journal names another one.
        """
        known = self.journal.head.account if self.journal is not None else ""
        if known and known != facts.account:
            raise InputError(
                f"the run in {self.place.folder} trades another account of {facts.exchange}",
                hint="put its key back, or begin another run with --fresh",
            )

    # ------------------------------------------------------------ trading

    async def begin(self) -> None:
        """Start, read the account, agree, and go live; a new run makes its journal."""
        assert self.market is not None
        if self.journal is None:
            self.journal = self._create()
            self._make_shell(self.journal)
        self.dispatcher.venue = self.venue
        journal, now_ns = self.journal, self.clock.now_ns()
        owed, tail = list(self.known.trains.values()), journal.tail_facts()
        assert self.lease is not None
        holder = self.lease.holder
        session = journal.begin(pid=holder.pid, host=holder.host, boot=boot_id(), now_ns=now_ns)
        self.ended = self.shell.start()
        early, self._early = self._early or [], None
        self.shell.put(
            m.Started(
                at_ns=now_ns, session=session, run_id=self.place.run_id, mode=self.strategy.mode,
                strategy=self.strategy.name, origin_ns=journal.head.origin_ns,
                market_ns=self.clock.market_ns(), fingerprints=journal.head.fingerprints,
            )
        )  # fmt: skip
        for event in early:
            self.shell.put(event)
        self.switch.look(agreed=False)
        for doubt in begin.doubts(journal, now_ns):
            self._safe_mode(doubt)
        fresh = self.known.standing.time_ns < 0
        self.market.give(self._history, catch_up_ns=CATCH_UP_NS, fresh=fresh)
        self._history = []
        await self._handled()
        if self.venue is not None:
            await self._reconcile(self.venue, tail.at_ns, first=tail.seq == 0)
        self.switch.look()
        self.ready.set()
        self._go_on(owed)
        if fresh and await begin.first_model(self.known.trains, self.stopping, self.tell):
            self.market.barriers.begin_here()
        self.market.listen()
        self.live_ns = self.clock.market_ns()
        self.tell("info", "live", {"text": f"{self.strategy.name} is live"})

    def _safe_mode(self, doubt: str) -> None:
        reason = f"safe mode: {doubt}"
        self.tell("critical", "safe_mode", {"text": f"{reason}; septet resume lifts it"})
        event = m.Operated(
            at_ns=self.clock.now_ns(), action="halt", name="safe_mode", reason=reason
        )
        self.shell.put(event)

    async def _reconcile(self, venue: LiveVenue, last_ns: int, *, first: bool) -> None:
        self._reconciling = []
        await begin.reconcile(
            venue, self.symbols, since_ns=max(0, last_ns - begin.OVERLAP_NS), first=first,
            put=self.shell.put, tell=self.tell, stopping=self.stopping,
        )  # fmt: skip
        await self._handled()
        rows, self._reconciling = self._reconciling, None
        if not first and self.strategy.execution.at_start == "refuse_if_different":
            begin.insist_on_agreement(rows, self.place.folder)

    async def _handled(self) -> None:
        await self.shell.drain()
        await asyncio.sleep(0)  # what was handled is told to `_watch` a step later
        if self.ended is not None and self.ended.done():
            raise RunError(f"{self.strategy.name} ended while it began: {self.ended.result().text}")

    def _go_on(self, owed: Sequence[m.Train]) -> None:
        """Ask again for what was asked for before a restart and never came."""
        for at_ns in list(self.known.wakes):
            self.dispatcher.wake(at_ns)
        self.dispatcher.dispatch(owed)

    def _watch(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """See what was stored: the fold beside the core, the account, the switch, the log."""
        self.known.take(event, commands)
        self.member.watch(event, commands)
        self.switch.stored(event)
        if self._reconciling is not None:
            self._reconciling.append((event, commands))
        self.seen.take(event, commands, self.symbols)
        self.alerts.row(event, commands, self.symbols)
        for level, name, fields in lines_of(event, commands, self.symbols):
            self.log.tell(level, name, fields)
        bars, until_ns = self.options.bars, self.options.until_ns
        if (bars is not None and self.known.decisions >= bars) or (
            until_ns is not None and self.clock.market_ns() >= until_ns
        ):
            self.finished.set()

    # ------------------------------------------------------------ now and then

    def tend(self) -> None:
        """Look after what is not urgent, several times a second."""
        self.switch.look()
        journal, now_ns = self.journal, self.clock.now_ns()
        if journal is None or self.ended is None or self.ended.done():
            return
        if self.options.until_ns is not None and self.clock.market_ns() >= self.options.until_ns:
            self.finished.set()
        try:
            if now_ns - self._heartbeat_ns > HEARTBEAT_NS:
                self._heartbeat_ns = now_ns
                journal.heartbeat(now_ns)
            if self.shell.journal_works and (
                journal.seq - self._snapshot_seq > SNAPSHOT_ENTRIES
                or now_ns - self._snapshot_ns > SNAPSHOT_NS
            ):
                self.snapshot()
            journal.quiet()
        except JournalError as error:
            self.tell("warning", "journal", {"text": error.message})

    def snapshot(self) -> None:
        """Keep the state, if the core stands exactly where the journal does."""
        journal = self.journal
        if journal is None or self.known.entries != self.shell.handled:
            return  # the next time
        kept = self.known.kept(self.build.core.snapshot(), self.member, self.dispatcher.recent())
        journal.snapshot(msgspec.msgpack.encode(kept))
        self._snapshot_ns, self._snapshot_seq = self.clock.now_ns(), journal.seq

    def measure(self) -> None:
        """Ask the venue for its clock and its filters; the answers come as events."""
        if self.venue is not None:
            self.dispatcher.start(self._measured(self.venue), "clock and filters")

    async def _measured(self, venue: LiveVenue) -> None:
        try:
            found = [await venue.skew(), *(await venue.refresh_markets() or ())]
        except Exception as error:  # a bug of the adapter: the next time may do better
            self._fault("skew", error)
            return
        for each in found:
            if each is not None:
                self.put(each)

    def stood_still(self, seconds: float, why: str) -> None:
        """Let entries wait for fresh data after a pause."""
        text = f"{why} for {seconds:.1f} s: entries wait for fresh data"
        self.tell("error", "stood_still", {"text": text})
        if self.market is not None:
            self.market.stood_still(text, CATCH_UP_NS)

    # ------------------------------------------------------------ end

    async def end(self, reason: str) -> LaneEnd:
        """Leave the run whole, and free its folder for another start; see `lane_end`.

        The log stays open for who has more to say.
        """
        try:
            return await end_run(self, reason)
        finally:
            await self.alerts.close()
            await self.tasks.close()
            if self.lease is not None:
                self.lease.release()
