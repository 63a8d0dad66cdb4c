"""Dispatches commands: one adapter call for each, and its answer comes back as an event.

An order is posted at most once in the life of its id, never after its deadline, and never before
the shell has made it durable. A send that has begun is never cancelled.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from septet import messages as m
from septet._host.background_tasks import Tasks, Timer
from septet._host.venues import Clock, LiveVenue, leaving
from septet._live.own_orders import cancel_own

__all__ = ["Alarm", "Dispatcher", "Gate", "REMEMBERED_IDS", "Send", "Trainer"]

REMEMBERED_IDS: Final = 65_536
"""Client ids kept to reject a second POST; older parents are rejected by their number."""
_NS: Final = 1_000_000_000
_LONGEST_SLEEP_S: Final = 3_600.0

Put = Callable[[m.Event], None]
Send = Coroutine[Any, Any, None]
Trainer = Callable[[m.Train], Awaitable[m.Event]]
Fault = Callable[[str, BaseException], None]
"""Called when an adapter raised: with the name of the call, and the exception."""
MaySend = Callable[[str], bool]
"""Whether an order that was not sent yet may still be sent, by its client id."""


class Gate(Protocol):
    """A last check before an order is sent: a limit over several strategies."""

    def rejection(self, order: m.Submit | m.Amend) -> str:
        """Return why the order must not be sent; an empty text allows and counts it."""
        ...

    def update(self, command: m.Changed | m.Traded) -> None:
        """Count a fill or the end of an order before a later order of the turn is checked."""
        ...


class Alarm:
    """Sends `Ticked` at the requested times, with one timer for all of them."""

    def __init__(self, clock: Clock, put: Put, tasks: Tasks | None = None) -> None:
        self._tasks = tasks or Tasks("alarm")
        self._clock = clock
        self._put = put
        self._times: list[int] = []
        self._scheduled: set[int] = set()
        self._new: list[int] = []
        self._timer: Timer | None = None

    def ask(self, wake: m.Wake) -> None:
        """Send `Ticked` at a wall time, or at once if it has passed; once for equal requests."""
        if not self._new:  # setting a timer would delay an order of the same turn too long
            self._tasks.soon("alarm", self._take)
        self._new.append(wake.at_ns)

    def close(self) -> None:
        """Cancel the timer."""
        self._new.clear()
        self._times.clear()
        self._scheduled.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self) -> None:
        """Add the requested times; set the timer again if one of them is the earliest."""
        new, self._new = set(self._new) - self._scheduled, []
        first = self._times[0] if self._times else None
        self._scheduled |= new
        for at_ns in new:
            heapq.heappush(self._times, at_ns)
        if self._times and self._times[0] != first:
            self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # The wall clock may jump while the loop's does not, so a long sleep is taken in parts.
        wait_s = min(max(0.0, (self._times[0] - self._clock.now_ns()) / _NS), _LONGEST_SLEEP_S)
        self._timer = self._tasks.later("alarm", wait_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now_ns = self._clock.now_ns()
        rings = False
        while self._times and self._times[0] <= now_ns:
            self._scheduled.discard(heapq.heappop(self._times))
            rings = True
        if rings:
            self._put(m.Ticked(at_ns=now_ns, market_ns=self._clock.market_ns()))
        if self._times:
            self._set()


class Dispatcher:
    """Carries the commands of one strategy to its venue.

    Parameters
    ----------
    venue
        Where orders go; None in a run whose fills are simulated inside the core.
    clock
        Wall time for deadlines.
    put
        The inbox of the shell.
    gate
        The limits of the account over all its strategies, if there are any.
    train
        Fits a model outside the process and returns the event with its result.
    fault
        Called when an adapter raised, which is a fault of the adapter.
    may_send
        Asked of the core immediately before an order is sent: one that a halt or a guard withdrew
        while it waited for the journal or in the adapter is not sent.
    tag
        How the client ids of this run begin: a kill cancels those orders and no others. Without
        one it cancels everything on the symbols.
    """

    def __init__(
        self,
        venue: LiveVenue | None,
        *,
        clock: Clock,
        put: Put,
        gate: Gate | None = None,
        train: Trainer | None = None,
        fault: Fault | None = None,
        may_send: MaySend | None = None,
        tasks: Tasks | None = None,
        tag: str = "",
    ) -> None:
        self._owned = tasks or Tasks("orders")
        self._tag = tag
        self.venue = venue
        self.posts = 0
        self._clock = clock
        self._put = put
        self._gate = gate
        self._train = train
        self._fault = fault or (lambda call, error: None)
        self._may_send = may_send or (lambda client_id: True)
        self._alarm = Alarm(clock, put, self._owned)
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._entries: set[str] = set()
        self._floor = -1
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[Any] = set()
        self._routes: dict[type[m.Command], Callable[[Any], object]] = {
            m.Cancel: lambda each: self._start("cancel", self._cancel(each)),
            m.Query: lambda each: self._once(
                ("query", each.client_id or each.venue_order_id), self._query(each)
            ),
            m.Refresh: lambda each: self._once(each, self._refresh(each)),
            m.Wake: self._alarm.ask,
            m.Train: lambda each: self._start("train", self._fit(each)),
        }
        if gate is not None:
            self._routes |= {m.Changed: gate.update, m.Traded: gate.update}

    # ------------------------------------------------------------ what the shell calls

    def dispatch(self, commands: Sequence[m.Command]) -> list[Send]:
        """Dispatch commands whose rows are stored; return the sends that must run at once.

        The kill switch precedes everything else of the same turn. A fill or the end of an order is
        passed to the gate first if an order follows it: an entry often replaces one whose cancel
        the venue has just confirmed. Decisions and curves need no action.
        """
        sends: list[Send] = []
        for each in commands:
            if type(each) is m.CancelAll:
                self._start("cancel all", self.cancel_all(each.symbols))
        routes = self._routes
        for each in commands:
            if type(each) is m.Submit:
                if self._claim(each, each.client_id):
                    sends.append(self._submit(each))
            elif type(each) is m.Amend:
                if self._claim(each, each.new_client_id):
                    sends.append(self._amend(each))
            elif (route := routes.get(type(each))) is not None:
                route(each)
        return sends

    def remember(self, commands: Iterable[m.Command]) -> None:
        """Remember the orders of a journal, so that none is posted again."""
        for each in commands:
            if isinstance(each, m.Submit):
                self._note(each.client_id, each.parent, enters=not each.reduces)
            elif isinstance(each, m.Amend):
                self._note(each.new_client_id, each.parent, enters=True)

    def remember_ids(self, sent: Mapping[str, int], entries: Iterable[str] = ()) -> None:
        """Remember ids and their parents as `recent` returned them before a restart.

        `entries` are those of them that are open and reduce nothing.
        """
        for client_id, parent in sent.items():
            self._note(client_id, parent)
        self._entries.update(entries)

    def recent(self, count: int = 1_024) -> dict[str, int]:
        """Return the last ids that were sent, and their parents; the core remembers older ones."""
        names = list(self._sent)[-count:]
        return {name: self._sent[name] for name in names}

    def is_entry(self, client_id: str) -> bool:
        """Whether an order is known to be an entry: neither a reduction nor a protective stop."""
        return client_id in self._entries

    def wake(self, at_ns: int) -> None:
        """Request the ticks again that were requested before a restart."""
        self._alarm.ask(m.Wake(at_ns=at_ns))

    def reject(self, order: m.Submit | m.Amend, code: str, text: str) -> None:
        """Report to the core that an order was not sent and never will be."""
        client_id = order.client_id if isinstance(order, m.Submit) else order.new_client_id
        self._note(client_id, order.parent)
        self._rejected(client_id, code, text)

    def start(self, send: Send, name: str = "send") -> asyncio.Task[None]:
        """Run a send as a task that only this object holds, so that nothing cancels it."""
        return self._start(name, send)

    @property
    def in_flight(self) -> int:
        """Return the number of calls that have not returned."""
        return len(self._tasks)

    async def wait_for_calls(self, within_s: float) -> int:
        """Wait for in-flight calls within a time limit; return how many have not returned."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=within_s)
        return len(self._tasks)

    def close(self) -> None:
        """Cancel the timer; in-flight calls continue."""
        self._alarm.close()

    # ------------------------------------------------------------ orders

    def _claim(self, order: m.Submit | m.Amend, client_id: str) -> bool:
        """Claim the only post of an id; a second claim is an error of the core and is rejected."""
        if client_id in self._sent:
            self._fault("submit", RuntimeError(f"order {client_id} was already sent once"))
            return False
        # Too old to be known: the venue is queried instead. Protective stops (-1) have no number.
        if 0 <= order.parent <= self._floor:
            error = RuntimeError(f"order {client_id} is older than the ids that are remembered")
            self._fault("submit", error)
            self._put(self._uncertain(client_id, error))
            return False
        enters = isinstance(order, m.Amend) or not order.reduces
        self._note(client_id, order.parent, enters=enters)
        if self._gate is not None and (reason := self._gate.rejection(order)):
            self._rejected(client_id, "gate", reason, by="gate")
            return False
        return True

    def _note(self, client_id: str, parent: int, *, enters: bool = False) -> None:
        self._sent[client_id] = parent
        if enters:
            self._entries.add(client_id)
        if len(self._sent) > REMEMBERED_IDS:
            name, oldest = self._sent.popitem(last=False)
            self._entries.discard(name)
            self._floor = max(self._floor, oldest)

    def _rejected(self, client_id: str, code: str, text: str, by: Any = "local") -> None:
        at_ns = self._clock.now_ns()
        self._put(m.Rejected(at_ns=at_ns, client_id=client_id, code=code, text=text, by=by))

    async def _submit(self, order: m.Submit) -> None:
        late_ns = self._clock.now_ns() - order.deadline_ns
        if late_ns > 0:
            text = f"the order was {late_ns / 1e6:.0f} ms past its deadline before it left"
            self._rejected(order.client_id, "deadline", text)
            return
        if self.venue is None:
            self._rejected(order.client_id, "no_venue", "this run has no venue to send orders to")
            return
        if not self._may_send(order.client_id):
            self._rejected(order.client_id, "cancelled", "withdrawn before it had left")
            return
        self.posts += 1
        try:
            with leaving(lambda: self._may_send(order.client_id)):
                answer = await self.venue.submit(order)
        except asyncio.CancelledError as error:  # the order may have been sent
            self._put(self._uncertain(order.client_id, error))
            raise
        except Exception as error:  # a bug of the adapter: the order may have been sent
            self._fault("submit", error)
            answer = self._uncertain(order.client_id, error)
        self._put(answer)

    async def _amend(self, order: m.Amend) -> None:
        if self._clock.now_ns() > order.deadline_ns or self.venue is None:
            self._rejected(order.new_client_id, "deadline", "the change was past its deadline")
            return
        if not self._may_send(order.new_client_id):
            self._rejected(order.new_client_id, "cancelled", "withdrawn before it had left")
            return
        self.posts += 1
        try:
            with leaving(lambda: self._may_send(order.new_client_id)):
                answers = await self.venue.amend(order)
        except asyncio.CancelledError as error:
            self._put(self._uncertain(order.new_client_id, error))
            raise
        except Exception as error:  # a bug of the adapter: both orders must be queried
            self._fault("amend", error)
            answers = [self._uncertain(order.new_client_id, error)]
        for each in answers:
            self._put(each)

    def _uncertain(self, client_id: str, error: BaseException) -> m.Uncertain:
        text = f"the adapter failed: {type(error).__name__}"
        return m.Uncertain(at_ns=self._clock.now_ns(), client_id=client_id, text=text)

    # ------------------------------------------------------------ everything else

    async def cancel_all(self, symbols: Sequence[int]) -> bool:
        """Cancel all orders of the run; return False if the adapter failed."""
        if self.venue is None:
            return True
        try:
            if self._tag:
                answers: Sequence[m.Event] = await cancel_own(self.venue, self._tag, symbols)
            else:
                answers = await self.venue.cancel_all(symbols)
        except Exception as error:  # the core repeats it until the venue shows no open order
            self._fault("cancel_all", error)
            return False
        for each in answers:
            self._put(each)
        return True

    async def _cancel(self, order: m.Cancel) -> None:
        if self.venue is None:
            return
        try:
            answer = await self.venue.cancel(order)
        except asyncio.CancelledError as error:
            self._put(self._not_cancelled(order, error))
            raise
        except Exception as error:  # the order must be queried
            self._fault("cancel", error)
            answer = self._not_cancelled(order, error)
        self._put(answer)

    def _not_cancelled(self, order: m.Cancel, error: BaseException) -> m.CancelFailed:
        text = f"the adapter failed: {type(error).__name__}"
        return m.CancelFailed(at_ns=self._clock.now_ns(), client_id=order.client_id, text=text)

    async def _query(self, order: m.Query) -> None:
        answer = await self._read("query", lambda venue: venue.query(order))
        if answer is not None:
            self._put(answer)

    async def _refresh(self, request: m.Refresh) -> None:
        if request.what == "fills":
            for symbol in request.symbols:
                fills = await self._read(
                    "fills", lambda venue, k=symbol: venue.fills(k, request.since_ns)
                )
                for each in fills or ():
                    self._put(each)
            return
        if request.what == "filters":
            read = await self._read("refresh_markets", lambda venue: venue.refresh_markets())
            for changed in read or ():
                self._put(changed)
            return
        if request.what == "holdings":
            answer = await self._read("holdings", lambda venue: venue.holdings())
        else:
            answer = await self._read("open_orders", lambda venue: venue.open_orders())
        if answer is not None:
            self._put(answer)

    async def _read(self, call: str, ask: Callable[..., Awaitable[Any]]) -> Any:
        if self.venue is None:
            return None
        try:
            return await ask(self.venue)
        except Exception as error:  # nothing is known: the core repeats the query
            self._fault(call, error)
            return None

    async def _fit(self, command: m.Train) -> None:
        text = "this run has nobody to train a model"
        if self._train is not None:
            try:
                self._put(await self._train(command))
                return
            except asyncio.CancelledError:
                self._put(self._untrained(command, "training was cancelled"))
                raise
            except Exception as error:  # the old model stays
                self._fault("train", error)
                text = f"training failed: {type(error).__name__}: {error}"
        self._put(self._untrained(command, text))

    def _untrained(self, command: m.Train, text: str) -> m.ModelFailed:
        at_ns, to_ns = self._clock.now_ns(), command.trained_to_ns
        return m.ModelFailed(at_ns=at_ns, number=command.number, trained_to_ns=to_ns, text=text)

    # ------------------------------------------------------------ tasks

    def _once(self, key: Any, call: Coroutine[Any, Any, None]) -> None:
        """Send a request unless the same one is in flight."""
        if key in self._asking:
            call.close()
            return
        self._asking.add(key)
        name = key[0] if isinstance(key, tuple) else f"read {key.what}"
        self._start(name, call).add_done_callback(lambda task: self._asking.discard(key))

    def _start(self, name: str, call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The state of an order is not reported here: the core queries it again.
        task = self._owned.once(name, call, failed=_nothing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _nothing(text: str) -> None:
    """Do nothing."""
