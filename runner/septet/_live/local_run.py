"""The local part of a strategy's run: its lease, its journal, its core, and the fold."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from septet import messages as m
from septet._data.bars import Instrument
from septet._host.venues import LiveVenue, VenueFacts
from septet._journal.journal_writer import Durability, Journal
from septet._journal.lease import Holder, Lease, mark_path, require_no_other_machine
from septet._learn.stored import StoredModel
from septet._live import start as begin
from septet._live.alerts import Alerts
from septet._live.build_core import currencies, has_venue_fills
from septet._live.clock import LiveClock
from septet._live.dispatch import Dispatcher
from septet._live.journal_fold import Known
from septet._live.journal_head import instruments_in
from septet._live.kill_switch import Switch, read_halt
from septet._live.logs import RunLog
from septet._live.lost_models import changes_of, instructions
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.opening import history_ns_of, trainer_of
from septet._live.metrics import Seen
from septet._live.model_in_force import Models
from septet._live.run_location import RunLocation
from septet._live.shared_account import AccountGate, AccountLimits, Member
from septet._live.shell import Ended, Shell
from septet._live.starting_halts import take_up_halts
from septet._live.stored_model import (
    announce_stored,
    changed_source,
    idle_now,
    mended_copy,
    stored_of,
)
from septet._live.supervisor import Supervisor
from septet._live.unwatched import UnwatchedPositions
from septet._live.wiring import Wiring, core_terms, core_with
from septet.errors import ModelError

__all__ = ["LocalRun", "Rows"]

Rows = list[tuple[m.Event, Sequence[m.Command]]]


class LocalRun(ABC):
    """The folder, journal and core of a strategy in paper or live mode; `prepare` opens them."""

    def __init__(
        self,
        loaded: Any,
        location: RunLocation,
        options: begin.Options,
        *,
        wiring: Wiring,
        clock: LiveClock,
        gate: AccountGate,
        stopping: asyncio.Event,
        supervisor: Supervisor,
    ) -> None:
        self.loaded, self.location, self.options = loaded, location, options
        self.strategy = loaded.strategy
        self.symbols: tuple[str, ...] = tuple(self.strategy.universe.symbols)
        self.clock, self.wiring, self.stopping = clock, wiring, stopping
        self.log = RunLog(
            location.folder, now_ns=clock.now_ns, level=options.level, quiet=options.quiet,
            stream=options.stream, run=location.run_id, strategy=self.strategy.name,
        )  # fmt: skip
        self.alerts = Alerts(
            self.strategy.monitoring.alerts, f"{self.strategy.name} {self.strategy.mode}",
            loaded.base_dir, self.log.notify, loaded.access, goes_on=not location.fresh,
        )  # fmt: skip
        self.seen, self.live_ns, self._alerting = Seen(), -1, False
        self._unwatched = UnwatchedPositions(self.notify)
        self.supervisor = supervisor
        self.tasks = supervisor.of(notify=self.notify, puts=lambda: [self.put])
        self.member = self._member(gate)
        self.known = Known(self.loaded, keep_ns=history_ns_of(self.strategy))
        # From the first moment: a signal that comes while this compiles must halt as well.
        self.switch = Switch(
            location.folder, now_ns=clock.now_ns, market_ns=clock.market_ns, act=self._put_first
        )
        self.switch.agreed = False
        self.finished = asyncio.Event()
        self.ready = asyncio.Event()
        self.venue: LiveVenue | None = None
        self.facts: VenueFacts | None = None
        self.ended: asyncio.Future[Ended] | None = None
        self.lease: Lease | None = None
        self.journal: Journal | None = None
        self.resumed = False
        self.market: MarketDataHandler | None = None
        self.build: Any = None
        self.training: Any = None
        self._charge: Callable[[m.Funded | m.Traded], None] | None = None
        self._reconciling: Rows | None = None
        self._history: list[m.Event] = []
        self._homeless = False
        self._begins, self._history_given, self._first = True, False, True
        self._owed: list[m.Train] = []
        self._early: list[m.Event] | None = []
        self._terms: Mapping[str, Any] = {}
        self._stored: StoredModel | None = None
        self._snapshot_ns, self._snapshot_seq = clock.now_ns(), 0
        self._heartbeat_ns = 0

    def _member(self, gate: AccountGate) -> Member:
        account = self.strategy.account
        bases = [currencies(each, account.currency)[0] for each in self.symbols]
        return gate.member(
            self.strategy.name, self.symbols, bases=bases, quote=account.currency,
            capital=account.capital, limits=AccountLimits.of(self.strategy),
            fills_inside=not has_venue_fills(self.strategy),
        )  # fmt: skip

    def notify(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Log an event that is not in the journal; a failure is also an alert."""
        self.log.notify(level, event, fields)
        if level in ("error", "critical"):
            self.alerts.failed(event, str(fields.get("text", "")))

    def start_alerts(self) -> None:
        """Start sending alerts, including queued ones."""
        if not self._alerting:
            self._alerting = True
            self.alerts.start(self.tasks)

    @property
    def switch_holds(self) -> bool:
        """Whether a person has halted the run."""
        return read_halt(self.location.folder) is not None

    @property
    def durability(self) -> Durability:
        """Return what a committed order is safe against: the end of the process, or of power."""
        default: Durability = "power" if self.strategy.mode == "live" else "process"
        return self.options.durability or default

    @property
    def halted(self) -> bool:
        """Whether a person's halt, or a rule that only a person clears, is active."""
        return self.switch_holds or bool(self.known.held())

    # ------------------------------------------------------------ local

    def take_lease(self) -> None:
        """Take the lease of the run's folder: no other start finds it free from here on."""
        holder = Holder.this_process(
            run_id=self.location.run_id, strategy=self.strategy.name, folder=self.location.folder,
            now_ns=self.clock.now_ns(), mode=self.strategy.mode,
        )  # fmt: skip
        self.lease = Lease.take(holder)
        self.take_up_halts()

    def take_up_halts(self) -> None:
        """Halt this run by a request for a starting run that lies in another folder."""
        texts = take_up_halts(
            self.location.folder, began_ns=self.options.began_ns, now_ns=time.time_ns()
        )
        for text in texts:
            self.notify("warning", "halted_before_start", {"text": text})

    def prepare(self) -> None:
        """Open the journal and fold it: all steps that need no connection; the lease is taken."""
        now_ns = self.clock.now_ns()
        for note in self.location.notes():
            self.notify("warning", "folder", {"text": note})
        if self.location.fresh:  # compiled now: once connected it could not read messages meanwhile
            self._make_core([Instrument(each) for each in self.symbols], core_terms(None, 1.0))
            self._stored = self._new_stored()
            self.build = None
            return
        self.journal = Journal.open(
            self.location.journal, durability=self.durability, mark=mark_path(self.location.run_id)
        )
        require_no_other_machine(self.journal, now_ns=now_ns)
        if not self.journal.findings.ok:
            self.notify("warning", "journal", {"text": str(self.journal.findings)})
        begin.require_newest_copy(self.journal)
        facts = self.journal.head.facts
        self._mend_copy(facts.get("stored_model"))
        self._make_core(instruments_in(facts), facts["core"])
        if isinstance(models := getattr(self.build.core, "models", None), Models):
            models.tolerates = True  # positions may be held
        self._make_shell(self.journal)
        self._fold(self.journal)
        self._begins = self.known.standing.time_ns < 0
        self.resumed = self.journal.seq > 0
        self._read_stored(facts.get("stored_model"))
        self.member.take_up(self.build.core)

    def _mend_copy(self, known: Mapping[str, Any] | None) -> None:
        """Make a damaged copy of the stored model again; without one the run goes on."""
        try:
            text = mended_copy(self.loaded, self.location.folder, known)
        except ModelError as error:
            text = f"{error.message}: {error.hint}"
        if text:
            self.notify("warning", "stored_model", {"text": text})

    def _new_stored(self) -> StoredModel | None:
        stored = stored_of(self.loaded, self.build.plan)
        for text in () if stored is None else stored.doubts:
            self.notify("warning", "stored_model", {"text": text})
        return stored

    def _read_stored(self, known: Mapping[str, Any] | None) -> None:
        """Read the stored model of a run that has not announced it; else check for changes."""
        models = getattr(self.build.core, "models", None)
        if models is not None and models.newest < 0:
            self._stored = self._new_stored()
        elif not getattr(models, "lost", {}) and (text := changed_source(self.loaded, known)):
            self.notify("warning", "stored_model", {"text": text})

    def _announce_stored(self) -> None:
        """Announce the stored model to the core, unless the journal contains it already.

        Models that cannot be read any more, or can be read again, are announced as well.
        """
        for change in changes_of(getattr(self.build.core, "models", None), self.clock.now_ns()):
            level, text = instructions(change)
            self.notify(level, "model_lost", {"text": text})
            self.put(change)
        stored, self._stored = self._stored, None
        if stored is None:
            return
        event = announce_stored(self.loaded, stored, self.location.folder, self.clock.now_ns())
        if text := idle_now(event, self.clock.market_ns()):
            self.notify("warning", "stored_model", {"text": text})
        self.put(event)

    @abstractmethod
    def _watch(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Process a stored row."""

    def _make_core(self, instruments: Sequence[Instrument], terms: Mapping[str, Any]) -> None:
        self._terms = terms
        self.build = self.wiring.core(
            self.loaded, tag=self.location.tag, instruments=instruments,
            run_folder=self.location.folder, **core_with(terms),
            log=lambda text: self.notify("info", "build", {"text": text}),
        )  # fmt: skip
        self.member.core = self.build.core

    def put(self, event: m.Event) -> None:
        """Put an event into the inbox; it waits until there is a shell."""
        if self._early is None:
            self.shell.put(event)
        else:
            self._early.append(event)

    def put_in_order(self, event: m.Event) -> None:
        """Put a quote into the inbox, to be handled before every event that is put after it."""
        if self._early is None:
            self.shell.put_in_order(event)
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
                self.loaded, self.known.shelf, self.location.folder, self.clock.now_ns, self.ready,
                self.notify,
            )  # fmt: skip
        self.dispatcher = Dispatcher(
            None, clock=self.clock, put=self.put, gate=self.member,
            train=train, fault=self._fault, may_send=self.build.core.may_send,
            tasks=self.tasks, tag=self.location.tag,
        )  # fmt: skip
        self.shell = Shell(
            self.build.core, journal, self.dispatcher, clock=self.clock, notify=self.notify,
            watch=self._watch, tasks=self.tasks,
        )  # fmt: skip

    def entries(self) -> list[str]:
        """Return the entries of the core that are open or in flight."""
        records = getattr(getattr(self.build.core, "orders", None), "records", None)
        if records is None:  # next-open fills: no order leaves the core
            return []
        children = (records.children[name] for name in records.live)
        return [each.client_id for each in children if not each.reduces]

    def _fault(self, call: str, error: BaseException) -> None:
        text = f"{call}: {type(error).__name__}: {error}"
        self.notify("critical", "adapter_failed", {"text": text})

    def _fold(self, journal: Journal) -> None:
        def restored(snapshot: begin.Kept, seq: int) -> None:
            self.known.restore(snapshot, journal, seq)
            self.member.positions = dict(snapshot.positions)
            self.member.cash, self.member.equity = snapshot.cash, snapshot.equity
            self.dispatcher.remember_ids(snapshot.sent, self.entries())

        def each(event: m.Event, commands: Sequence[m.Command]) -> None:
            self.known.take(event, commands)
            self.member.watch(event, commands)
            self.dispatcher.remember(commands)

        def prepare(event: m.Event, commands: Sequence[m.Command]) -> bool:
            models = getattr(self.build.core, "models", None)
            if not isinstance(models, Models):
                return False
            models.record(event, commands)
            return bool(models.lost)

        now = begin.fingerprints_of(self.loaded, self.build.plan.name)
        recovered = begin.recover(
            self.build.core, journal, now, restored=restored, each=each, notify=self.notify,
            prepare=prepare,
        )  # fmt: skip
        self.known.finish()
        self._snapshot_seq = recovered.from_seq
        text = f"{recovered.last_seq} entries, the last {recovered.entries} of them folded"
        self.notify("info", "recovered", {"text": text})
