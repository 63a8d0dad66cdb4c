"""The live shell: events in, the core's commands out, the journal between the two.

One strategy has one shell, and all shells of a process share one loop. A turn takes what is in
the inbox, passes it to the core, stores events and commands in one commit, and only then sends the
commands. The task that took the turn sends the first order itself while another takes over
the inbox, so that a bar's order does not wait for the scheduler.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol

from septet import messages as m
from septet._host.background_tasks import Tasks, Timer
from septet._host.venues import Clock
from septet._live.dispatch import Dispatcher, Send
from septet.errors import JournalError

__all__ = ["Core", "Ended", "Journal", "Limits", "Shell", "Notify"]

DURABLE: Final = frozenset({m.Submit, m.Amend})
"""Commands that must be safe on disk before they leave."""
DROPPABLE: Final = frozenset({m.Quoted, m.Printed})
"""Events of which the latest matter; all others are never dropped."""
MOVE_S: Final = 0.05
"""Delay from the first committed entry until entries are moved on, between two turns."""
_TURNS: Final = "turns"
_FOLD: Final = "what was stored"

Row = tuple[m.Event, Sequence[m.Command]]
Notify = Callable[[str, str, dict[str, Any]], None]
"""Takes a level, the name of what happened, and its fields."""
Watch = Callable[[m.Event, Sequence[m.Command]], None]


class Core(Protocol):
    """The deterministic core: the same events give the same commands."""

    def handle(self, event: m.Event) -> Sequence[m.Command]: ...


class Journal(Protocol):
    """Where events and commands are stored before anything is sent: `_journal.journal_writer`.

    What is appended waits in memory; a commit that fails stores nothing and keeps it waiting.
    `move` transfers committed rows to the database; no order waits for it.
    """

    def append(self, event: m.Event, commands: Sequence[m.Command]) -> int: ...

    def commit(self, durable: bool = False, *, reduces: bool = False) -> int: ...

    def move(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the shell; numbers count events, times are wall time."""

    batch: int = 256
    market_events: int = 10_000
    stored_late: int = 20_000
    first_retry_s: float = 0.1
    longest_retry_s: float = 5.0
    journal_patience_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a shell ended."""

    why: Literal["stopped", "core", "journal"]
    text: str = ""
    error: BaseException | None = None
    event: m.Event | None = None


@dataclass(slots=True)
class _Broken:
    """Commands that wait for a journal that cannot be written; their rows wait in it."""

    since_ns: int
    wait_s: float
    rows: int = 0
    held: dict[str, m.Submit | m.Amend] = field(default_factory=dict)
    cancels: dict[str, m.Cancel] = field(default_factory=dict)
    """Cancels of what protects or reduces a position: they wait until a sale can be stored."""
    flatten: m.CancelAll | None = None
    """The cancel of everything that closing all positions begins with: it waits likewise."""
    trains: list[m.Train] = field(default_factory=list)
    due: bool = False

    def withdrawals(self) -> list[m.Command]:
        """Return the cancels of stops that wait for the row of their reduction."""
        return [*([self.flatten] if self.flatten else []), *self.cancels.values()]


class Shell:
    """One strategy's inbox, core, journal and dispatcher.

    `watch` sees every event with its commands after they have left: logs, limits of the account,
    the count of decisions. `notify` reports what a person should know.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        dispatcher: Dispatcher,
        *,
        clock: Clock,
        notify: Notify,
        watch: Watch | None = None,
        limits: Limits | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        self._tasks = tasks or Tasks("shell")
        self.core = core
        self.journal = journal
        self.dispatcher = dispatcher
        self.dropped = 0
        self.handled = 0
        self._clock = clock
        self._notify = notify
        self._watch = watch
        self._limits = limits or Limits()
        self._vital: deque[m.Event] = deque()
        self._market: deque[m.Event] = deque(maxlen=self._limits.market_events)
        self._waiter: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[Ended] | None = None
        self._broken: _Broken | None = None
        self._retry: Timer | None = None
        self._moving: Timer | None = None
        self._holder: object = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []

    # ------------------------------------------------------------ what others call

    def put(self, event: m.Event) -> None:
        """Put an event into the inbox; if it is full, new quotes replace older ones."""
        if type(event) in DROPPABLE:
            if len(self._market) == self._limits.market_events:
                self.dropped += 1
            self._market.append(event)
        else:
            self._vital.append(event)
        if self._waiter is not None:
            self._wake()

    def put_in_order(self, event: m.Event) -> None:
        """Put a quote into the inbox, to be handled before every event that is put after it."""
        self._vital.extend(self._market)
        self._market.clear()
        self._vital.append(event)
        self._wake()

    def put_first(self, event: m.Event) -> None:
        """Put an operator's request into the inbox, before all waiting events."""
        self._vital.appendleft(event)
        self._wake()

    def start(self) -> asyncio.Future[Ended]:
        """Start the turns; the future gives the reason of their end."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._go_on()
        return self._ended

    def stop(self, text: str = "") -> None:
        """Stop the turns; call `drain` first if events must still be handled."""
        self._end(Ended("stopped", text))

    async def wait_for_calls(self, within_s: float) -> int:
        """Wait for in-flight calls within a time limit; return how many have not returned."""
        if self._pumps and self._has_ended():
            await asyncio.wait(set(self._pumps), timeout=within_s)
        return await self.dispatcher.wait_for_calls(within_s) + len(self._pumps)

    async def drain(self) -> None:
        """Wait until everything in the inbox has been handled, or the shell has ended."""
        while (self._vital or self._market) and not self._has_ended():
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            self._wake()
            await idle

    @property
    def journal_works(self) -> bool:
        """Whether the last write to the journal succeeded."""
        return self._broken is None

    # ------------------------------------------------------------ turns

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _has_ended(self) -> bool:
        return self._ended is not None and self._ended.done()

    def _end(self, ended: Ended) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(ended)
        for timer in (self._retry, self._moving):
            if timer is not None:
                timer.cancel()
        self._wake()

    def _go_on(self) -> None:
        """Start a new task that takes the next turns."""
        if self._has_ended():
            self._let_go()
            return
        self._holder = holder = object()
        ended = partial(self._pump_ended, holder)
        task = self._tasks.once(_TURNS, self._pump(), failed=ended)
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)

    def _pump_ended(self, holder: object, text: str) -> None:
        """Continue after the task of the inbox has ended; entries wait for the next turn."""
        if holder is self._holder and not self._has_ended():
            self._tasks.block(_TURNS, f"the task of the turns ended and is begun anew: {text}")
            self._go_on()

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._has_ended():
            broken = self._broken
            if not (self._vital or self._market or (broken is not None and broken.due)):
                self._let_go()
                self._waiter = waiter = loop.create_future()
                await waiter
                continue
            try:
                sends = self._turn()
            except Exception as bug:  # of the shell itself: its unfinished steps are unknown
                self._end(Ended("core", f"the shell failed: {bug!r}", bug))
                break
            self._tasks.clear(_TURNS)
            if sends:
                # Another takes over the inbox, once this task, which is the order's, has begun.
                self._holder = None
                self._tasks.soon("next turn", self._go_on)
                if len(sends) > 1:
                    for each in sends[1:]:
                        self.dispatcher.start(each, "submit")
                await sends[0]
                return
            await asyncio.sleep(0)  # let sockets be read between two full turns
        self._let_go()

    def _let_go(self) -> None:
        """Wake the callers that wait for an empty inbox."""
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        self._idle.clear()

    def _turn(self) -> list[Send]:
        """Handle a batch, store it, and dispatch its commands."""
        broken = self._broken
        if broken is not None:
            self._market.clear()  # current prices have no use later
        rows, leaving, error = self._handle()
        sends: list[Send] = []
        if broken is not None:
            self._hold(broken, rows)
            sends = self._mend(broken) if broken.due else []
        elif rows:
            if self._commit(_asks_durable(rows, leaving)):
                sends = self._leave(rows, leaving)
            elif self._broken is not None:
                self._hold(self._broken, rows)
        if error is not None:
            self._fail(*error)
        return sends

    def _handle(
        self,
    ) -> tuple[list[Row], list[m.Command], tuple[m.Event, BaseException] | None]:
        """Pass up to a batch of events to the core, and each to the journal."""
        handle, append = self.core.handle, self.journal.append
        vital, market = self._vital, self._market
        rows: list[Row] = []
        leaving: list[m.Command] = []
        error: tuple[m.Event, BaseException] | None = None
        for _ in range(self._limits.batch):
            if vital:
                event = vital.popleft()
            elif market:
                event = market.popleft()
            else:
                break
            try:
                commands = handle(event)
                append(event, commands)
            except JournalError as full:  # too many entries wait: it accepts no more
                self._end(Ended("journal", full.message, full))
                break
            except Exception as bug:  # a strategy's: it halts alone, the others go on
                error = (event, bug)
                break
            rows.append((event, commands))
            if commands:
                leaving += commands
        self.handled += len(rows)
        return rows, leaving, error

    def _leave(self, rows: Sequence[Row], leaving: Sequence[m.Command]) -> list[Send]:
        sends = self.dispatcher.dispatch(leaving) if leaving else []
        if self._watch is not None:
            # Notified after the orders of this turn are sent, before the next turn.
            self._tasks.soon(_FOLD, self._watch_rows, rows)
        if self._moving is None:
            self._moving = self._tasks.later("journal writer", MOVE_S, self._move)
        return sends

    def _watch_rows(self, rows: Sequence[Row]) -> None:
        watch = self._watch
        if watch is not None:
            for event, commands in rows:
                watch(event, commands)

    def _fail(self, event: m.Event, error: BaseException) -> None:
        text = f"{type(error).__name__} at {type(event).__name__}: {error}"
        self._end(Ended("core", text, error, event))

    # ------------------------------------------------------------ the journal

    def _commit(self, durable: bool) -> bool:
        """Commit the journal; return False if it failed and nothing was stored."""
        try:
            self.journal.commit(durable)
        except (JournalError, OSError) as error:
            self._report_broken(error)
            return False
        return True

    def _move(self) -> None:
        self._moving = None
        if self._broken is None:
            try:
                self.journal.move()
            except (JournalError, OSError) as error:
                self._report_broken(error)

    def _report_broken(self, error: Exception) -> None:
        limits, now_ns = self._limits, self._clock.now_ns()
        broken = self._broken
        if broken is None:
            broken = self._broken = _Broken(now_ns, limits.first_retry_s)
            text = f"the journal cannot be written ({error}): no entry is sent until it can"
            self._notify("critical", "journal_failed", {"text": text})
        else:
            broken.wait_s = min(broken.wait_s * 2, limits.longest_retry_s)
        broken.due = False
        lasts_s = (now_ns - broken.since_ns) / 1e9
        if lasts_s > limits.journal_patience_s:
            text = f"the journal could not be written for {lasts_s:.0f} s ({error})"
            self._end(Ended("journal", text, error))
            return
        self._retry = self._tasks.later("journal writer", broken.wait_s, self._try_again)

    def _try_again(self) -> None:
        if self._broken is not None:
            self._broken.due = True
            self._wake()

    def _hold(self, broken: _Broken, rows: Sequence[Row]) -> None:
        """Send cancels and queries, and hold orders until their rows are stored.

        Rows of a reduction are stored at once if the journal has room for these alone. If not, the
        cancel of a stop waits together with the order that follows it, and so does the cancel of
        all orders at the start of a flatten; its entries are cancelled at once.
        """
        self._drop_late(broken)
        if not rows:
            return
        broken.rows += len(rows)
        leaving: list[m.Command] = []
        for _, commands in rows:
            for each in commands:
                if isinstance(each, m.Train):
                    broken.trains.append(each)
                elif isinstance(each, m.Submit):
                    broken.held[each.client_id] = each
                elif isinstance(each, m.Amend):
                    broken.held[each.new_client_id] = each
                elif isinstance(each, m.CancelAll) and each.flattens:
                    self._withdraw(broken, each)
                    broken.flatten = each
                    leaving += each.entries
                elif isinstance(each, m.Cancel) and each.reduces:
                    if not self._withdraw(broken, each):
                        broken.cancels[each.client_id] = each
                elif not self._withdraw(broken, each):
                    leaving.append(each)
        for send in self.dispatcher.dispatch([*leaving, *self._reductions(broken)]):
            self.dispatcher.start(send, "submit")
        self._tasks.soon(_FOLD, self._watch_rows, rows)
        if broken.rows > self._limits.stored_late and not self._has_ended():
            text = f"{broken.rows} events wait for a journal that cannot be written"
            self._end(Ended("journal", text))

    def _drop_late(self, broken: _Broken) -> None:
        """Give up held entries at their deadline: an exit of their symbol waits for them."""
        now_ns = self._clock.now_ns()
        for name, held in list(broken.held.items()):
            if now_ns > held.deadline_ns and not (isinstance(held, m.Submit) and held.reduces):
                del broken.held[name]
                text = "it was past its deadline while the journal could not be written"
                self.dispatcher.reject(held, "deadline", text)

    def _reductions(self, broken: _Broken) -> list[m.Command]:
        """Return the reductions that may be sent: their rows are stored in the tail."""
        orders = [
            each for each in broken.held.values() if isinstance(each, m.Submit) and each.reduces
        ]
        if not (orders or broken.cancels or broken.flatten):
            return []
        try:
            self.journal.commit(durable=True, reduces=True)
        except (JournalError, OSError):  # reported already; the next turn retries it
            return []
        sendable: list[m.Command] = [*broken.withdrawals(), *orders]
        broken.cancels.clear()
        broken.flatten = None
        for each in orders:
            del broken.held[each.client_id]
        return sendable

    def _withdraw(self, broken: _Broken, command: m.Command) -> bool:
        """Drop held orders that are cancelled now; return True if the command meant only those."""
        if isinstance(command, m.CancelAll):
            for held in broken.held.values():
                self.dispatcher.reject(held, "cancelled", "cancelled before it had left")
            broken.held.clear()
            return False
        if isinstance(command, m.Cancel):
            held_one = broken.held.pop(command.client_id, None)
            if held_one is not None:
                self.dispatcher.reject(held_one, "cancelled", "cancelled before it had left")
                return True
        return False

    def _mend(self, broken: _Broken) -> list[Send]:
        """Retry the commit; if it succeeds, send what was held."""
        if not self._commit(True):
            return []
        lasted_s = (self._clock.now_ns() - broken.since_ns) / 1e9
        text = f"the journal works again after {lasted_s:.1f} s; {broken.rows} events stored"
        self._broken = None
        self._notify("warning", "journal_works", {"text": text})
        return self.dispatcher.dispatch(
            [*broken.withdrawals(), *broken.held.values(), *broken.trains]
        )


def _asks_durable(rows: Sequence[Row], leaving: Sequence[m.Command]) -> bool:
    """Whether a batch must be synced: it has orders, or an operator's request."""
    for each in leaving:
        if type(each) in DURABLE or (type(each) is m.Cancel and each.reduces):
            return True
        if type(each) is m.CancelAll and each.flattens:
            return True
    return any(type(event) is m.Operated for event, _ in rows)
