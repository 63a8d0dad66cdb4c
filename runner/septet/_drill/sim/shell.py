"""The rules of the live shell without its loop: inbox, core, journal, and only then the wire.

A crash drops everything but the disk and what is already at the venue. A start folds the journal
through a fresh core, and every command must come out as it was stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from septet import messages as m
from septet._core.orders.ids import START_LENGTH, base36
from septet._core.orders.lifecycle import UNEXPLAINED
from septet._drill.sim.disk import DiskFull, ProcessCrash, Row, SimDisk, encode
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.simulated_time import BEGIN_NS, MS, SECOND, Simulation
from septet._drill.sim.venue import SimVenue

__all__ = ["SubjectFactory", "SimShell", "Subject", "reported"]

_SNAPSHOT_ROWS: Final = 60
_RETRY_NS: Final = 200 * MS
_REPORTED_COMMANDS: Final = (
    m.Submit, m.Cancel, m.Amend, m.CancelAll, m.Query, m.Changed, m.Traded, m.Tripped, m.Cleared,
)  # fmt: skip
_UNREPORTED_EVENTS: Final = (
    m.Quoted, m.Ticked, m.OpenOrders, m.Holdings, m.BarClosed, m.FiltersChanged,
    m.DecisionTimeReached,
)  # fmt: skip


class Subject(Protocol):
    """What is tried: a deterministic core that can be kept and restored."""

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        """Take one event; return what must happen because of it."""
        ...

    def snapshot(self) -> bytes:
        """Return everything that is remembered."""
        ...

    def restore(self, data: bytes) -> None:
        """Take the place of the one that gave a snapshot."""
        ...


SubjectFactory = Callable[[], Subject]


class SimShell:
    """One run of one strategy, through as many processes as the crashes make of it.

    Parameters
    ----------
    make
        Makes a fresh core; called at every start.
    """

    def __init__(
        self,
        simulation: Simulation,
        fault_rates: FaultRates,
        venue: SimVenue,
        disk: SimDisk,
        make: SubjectFactory,
    ) -> None:
        self._simulation, self._fault_rates, self._venue, self._disk = (
            simulation,
            fault_rates,
            venue,
            disk,
        )
        self._make = make
        self.core: Subject | None = None
        self.rows: list[tuple[m.Event, Sequence[m.Command]]] = []
        self._read_for_person = 0
        self._unexplained = set[str]()
        self.starts = 0
        self.started_ns = 0
        self.wrongs: list[str] = []
        self._kept: tuple[int, bytes] | None = None
        self._epoch = 0
        self._inbox: deque[m.Event] = deque()
        self._due = False
        self._asleep_until_ns = 0
        self._waiting: list[tuple[m.Event, Sequence[m.Command]]] = []
        self._held: dict[str, m.Submit | m.Amend] = {}
        self._broken = False
        self._sent: set[str] = set()
        self._wakes: set[int] = set()

    # ------------------------------------------------------------ the process

    @property
    def running(self) -> bool:
        """Whether a process is there."""
        return self.core is not None

    def start(self) -> None:
        """Read the journal, be who the last process was, and ask the venue."""
        if self.running:
            return
        self.starts += 1
        self._epoch += 1
        self._simulation.note(f"process {self.starts} starts")
        if self._fault_rates.occurs("P2 crash in recovery"):
            self._simulation.after(SECOND, self.start)
            return
        if self._fault_rates.occurs("N11 dark start"):
            self._venue.dark(self._simulation.chance.randint(2, 15) * SECOND)
        stored = self._disk.read()
        self.core = self._fold(stored)
        self._sent = {name for _, commands in self.rows for each in commands if (name := _id(each))}
        session = 1 + sum(isinstance(event, m.Started) for event, _ in self.rows)
        self.started_ns = now_ns = self._simulation.now_ns
        self.put(
            m.Started(
                at_ns=now_ns, session=session, run_id="sim", mode="live", strategy="sim",
                origin_ns=BEGIN_NS, market_ns=self._simulation.market_ns, fingerprints={},
                id_part=base36(self.starts).zfill(START_LENGTH),
            )
        )  # fmt: skip
        for filters in self._venue.filters_now():
            self.put(filters)
        self._venue.stream.listen(self.inbox())
        self.put(m.VenueChanged(at_ns=0, venue="sim", state="up"))
        self._venue.holdings(self.inbox(), first=True)
        self._venue.open_orders(self.inbox())
        if self._venue.market.copied_ids:
            self._ask_for_copies()

    def crash(self, *, power: bool = False) -> None:
        """Lose everything that is not on the disk; another process starts soon."""
        if not self.running:
            return
        self._simulation.note("process killed" + (", power lost" if power else ""))
        self._epoch += 1
        self.core = None
        self._disk.crashed()
        if power:
            self._disk.lose_power()
            if self._kept is not None and self._kept[0] > len(self._disk.read()):
                self._kept = None  # a snapshot of rows that are gone would be of another history
        self._venue.stream.leave()
        self._inbox.clear()
        self._waiting, self._held, self._broken = [], {}, False
        self._wakes.clear()
        self._simulation.after(self._simulation.chance.randint(1, 6_000) * MS, self.start)

    def go_back(self) -> bool:
        """Go on from an older copy of the journal; return whether there is one.

        What a person has ordered since stays known, and so do the events of the market.
        """
        rows = self.rows
        last = max(
            (n for n, (event, _) in enumerate(rows) if isinstance(event, m.Operated)), default=-1
        )
        first = max(last + 1, len(rows) // 2)
        if not self.running or self._broken or first >= len(rows):
            return False
        kept = self._simulation.chance.randint(first, len(rows) - 1)
        self.crash()
        market = self._venue.market
        lost = (each for _, commands in rows[kept:] for each in commands)
        market.copied_ids |= {name for each in lost if (name := _id(each))}
        market.copied_ns = self._simulation.now_ns
        self._disk.cut(kept)
        self.rows = rows[:kept]
        if self._kept is not None and self._kept[0] > kept:
            self._kept = None
        self._simulation.note(f"the journal is an older copy, of {kept} rows")
        return True

    def _ask_for_copies(self) -> None:
        """Read all executions, again until they are answered, as a start does."""
        put, epoch, answered = self.inbox(), self._epoch, list[m.Event]()

        def again() -> None:
            if self._epoch != epoch or answered:
                return
            self._venue.fills(0, take)
            self._simulation.after(5 * SECOND, again)

        def take(event: m.Event) -> None:
            if isinstance(event, m.Filled):
                answered.append(event)
            put(event)

        again()

    def clock_jumped(self, by_ns: int) -> None:
        """Report a jump of the clock before anything that has a stamp after it."""
        self._asleep_until_ns += by_ns
        self.put(m.Ticked(at_ns=0, market_ns=self._simulation.market_ns, jumped_ns=by_ns))
        self._inbox.rotate(1)

    def sleep(self, for_ns: int) -> None:
        """Stand still: events wait."""
        self._asleep_until_ns = self._simulation.now_ns + for_ns

    def _fold(self, stored: Sequence[Row]) -> Subject:
        """Return a core that has seen the journal; every command must be what was stored."""
        core = self._make()
        first = 0
        if self._kept is not None and self._kept[0] <= len(stored):
            first, data = self._kept
            core.restore(data)
        self.rows, self._read_for_person = self.rows[:first], 0
        for number, row in enumerate(stored[first:], first):
            event = row.read()
            commands = core.handle(event)
            if encode(commands) != row.commands:
                self.wrongs.append(
                    f"replay differs at row {number} ({type(event).__name__}): "
                    f"{encode(commands)!r} was {row.commands!r}"
                )
            self.rows.append((event, commands))
        return core

    def replay(self) -> None:
        """Fold the whole journal through a fresh core and compare."""
        self._kept, self.rows = None, []
        self._fold(self._disk.read())

    def received(self, reason: str) -> bool:
        """Whether the operator's word is safe in the journal."""
        return any(
            isinstance(event, m.Operated) and event.reason == reason
            for event, _ in reversed(self.rows)
        )

    def asks_a_person(self) -> bool:
        """Whether an order may be at the venue under another id, as far as the journal shows."""
        if self._read_for_person == 0:
            self._unexplained.clear()
        for _, commands in islice(self.rows, self._read_for_person, None):
            for each in commands:
                if isinstance(each, m.Tripped) and self._is_for_a_person(each.rule):
                    self._unexplained.add(each.rule)
                elif isinstance(each, m.Cleared):
                    self._unexplained.discard(each.rule)
        self._read_for_person = len(self.rows)
        return bool(self._unexplained)

    def _is_for_a_person(self, rule: str) -> bool:
        is_of_copy = rule == "safe_mode" and bool(self._venue.market.copied_ids)
        return is_of_copy or rule.startswith(UNEXPLAINED)

    # ------------------------------------------------------------ events in

    def put(self, event: m.Event) -> None:
        """Take an event in; it is stamped when it is handled."""
        if not self.running:
            return
        self._inbox.append(event)
        if not self._due:
            self._due = True
            self._simulation.after(
                max(0, self._asleep_until_ns - self._simulation.now_ns), self._turn
            )

    def inbox(self) -> Callable[[m.Event], None]:
        """Return the inbox of this process: what comes after its death is lost."""
        epoch = self._epoch
        return lambda event: self.put(event) if self._epoch == epoch else None

    def _turn(self) -> None:
        self._due = False
        if not self.running or not self._inbox:
            return
        try:
            self._handle_all()
        except ProcessCrash:
            self.crash(power=self._simulation.chance.random() < 0.3)

    def _handle_all(self) -> None:
        assert self.core is not None
        now_ns = self._simulation.now_ns
        rows: list[tuple[m.Event, Sequence[m.Command]]] = []
        while self._inbox:
            event = msgspec.structs.replace(self._inbox.popleft(), at_ns=now_ns)
            commands = self.core.handle(event)
            rows.append((event, commands))
            if commands or not isinstance(event, _UNREPORTED_EVENTS):
                self._simulation.note(partial(reported, event, commands))
        if self._broken or not self._store(rows):
            self._hold(rows)
            return
        self.rows += rows
        self._leave([each for _, commands in rows for each in commands])
        if len(self.rows) - (self._kept[0] if self._kept else 0) >= _SNAPSHOT_ROWS:
            self._kept = (len(self.rows), self.core.snapshot())

    # ------------------------------------------------------------ the journal

    def _store(self, rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> bool:
        try:
            for event, commands in rows:
                self._disk.append(event, commands)
            durable = any(
                isinstance(event, m.Operated)
                or any(isinstance(each, m.Submit | m.Amend) for each in commands)
                for event, commands in rows
            )
            self._disk.commit(durable=durable)
        except DiskFull:
            self._disk.rollback()
            return False
        return True

    def _hold(self, rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> None:
        """Keep rows that cannot be stored; let cancels and questions go, keep orders back."""
        if not self._broken:
            self._broken = True
            self._retry()
        self._waiting += rows
        leaving: list[m.Command] = []
        for each in (each for _, commands in rows for each in commands):
            if name := _id(each):
                self._held[name] = each  # type: ignore[assignment]
                continue
            if isinstance(each, m.CancelAll):
                for name in [*self._held]:
                    if self._held[name].symbol in each.symbols:
                        del self._held[name]
                        self._reject(name, "cancelled")
            if isinstance(each, m.Cancel) and self._held.pop(each.client_id, None) is not None:
                self._reject(each.client_id, "cancelled")
                continue
            leaving.append(each)
        self._leave(leaving)

    def _retry(self) -> None:
        epoch = self._epoch

        def again() -> None:
            if self._epoch != epoch:
                return
            waiting = self._waiting
            try:
                stored = self._store(waiting)
            except ProcessCrash:
                self.crash()
                return
            if not stored:
                self._retry()
                return
            held, self._held = self._held, {}
            self._waiting, self._broken = [], False
            self.rows += waiting
            self._leave(list(held.values()))

        self._simulation.after(_RETRY_NS, again)

    # ------------------------------------------------------------ commands out

    def _leave(self, commands: Sequence[m.Command]) -> None:
        """Let stored commands go: the kill switch first."""
        put, venue = self.inbox(), self._venue
        for each in commands:
            if isinstance(each, m.CancelAll):
                venue.cancel_all(each.symbols, put)
        for each in commands:
            match each:
                case m.Submit() | m.Amend():
                    self._post(each, put)
                case m.Cancel():
                    venue.cancel(each, put)
                case m.Query():
                    venue.query(each, put)
                case m.Refresh():
                    self._refresh(each, put)
                case m.Wake():
                    self._wake(each.at_ns)

    def _post(self, order: m.Submit | m.Amend, put: Callable[[m.Event], None]) -> None:
        name = _id(order)
        if name in self._sent:
            self.wrongs.append(f"the core asked twice to post {name}")
            return
        self._sent.add(name)
        if self._simulation.now_ns > order.deadline_ns:
            self._reject(name, "deadline")
        elif isinstance(order, m.Submit):
            self._venue.submit(order, put)
        else:
            self._venue.amend(order, put)

    def _refresh(self, what: m.Refresh, put: Callable[[m.Event], None]) -> None:
        if what.what == "fills":
            self._venue.fills(what.since_ns, put)
        elif what.what == "holdings":
            self._venue.holdings(put)
        elif what.what == "filters":
            self._venue.filters(put)
        else:
            self._venue.open_orders(put)

    def _reject(self, client_id: str, code: str) -> None:
        self._sent.add(client_id)
        self.put(m.Rejected(at_ns=0, client_id=client_id, code=code, text="", by="local"))

    def _wake(self, at_ns: int) -> None:
        if at_ns in self._wakes:
            return
        self._wakes.add(at_ns)
        epoch = self._epoch

        def ring() -> None:
            if self._epoch == epoch:
                self._wakes.discard(at_ns)
                self.put(m.Ticked(at_ns=0, market_ns=self._simulation.market_ns))

        self._simulation.after(at_ns - self._simulation.now_ns, ring)


def _id(command: m.Command) -> str:
    """Return the id that an order posts, or nothing."""
    if isinstance(command, m.Submit):
        return command.client_id
    return command.new_client_id if isinstance(command, m.Amend) else ""


def reported(event: m.Event, commands: Sequence[m.Command]) -> str:
    """Return an event and what it caused as one readable line; nothing if it did nothing."""
    words = [_words(each) for each in commands if isinstance(each, _REPORTED_COMMANDS)]
    if not words and isinstance(event, _UNREPORTED_EVENTS):
        return ""
    return _words(event) + (" => " + "; ".join(words) if words else "")


def _words(each: Any) -> str:
    names = (
        "client_id", "new_client_id", "venue_order_id", "trade_id", "state", "side", "quantity",
        "filled", "order_type", "reduces", "code", "rule", "action", "text", "reason", "position",
    )  # fmt: skip
    found = {
        name: value for name in names if (value := getattr(each, name, None)) not in ("", None)
    }
    shown = " ".join(f"{name}={value}" for name, value in found.items())
    return f"{type(each).__name__}({shown})"
