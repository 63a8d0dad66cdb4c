"""A core that does what the test sets, a venue in memory, a journal that can refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from septet import messages as m
from septet._host.venues import Market, VenueFacts
from septet._live.clock import ManualClock
from septet._live.dispatch import Dispatcher
from septet._live.shell import Limits, Shell
from septet.errors import JournalError

NS = 1_000_000_000
FAR = 2**62
START_NS = 1_790_000_000 * NS


def submit(client_id: str = "t1-0", parent: int = 1, **changes: Any) -> m.Submit:
    fields: dict[str, Any] = {
        "client_id": client_id, "parent": parent, "symbol": 0, "side": "buy",
        "order_type": "market", "quantity": 1.0, "reduces": False, "deadline_ns": FAR,
    }  # fmt: skip
    return m.Submit(**(fields | changes))


def tick(at_ns: int = START_NS) -> m.Ticked:
    return m.Ticked(at_ns=at_ns, market_ns=at_ns)


def quote(at_ns: int = START_NS, bid: float = 1.0) -> m.Quoted:
    return m.Quoted(
        at_ns=at_ns, symbol=0, venue_ns=at_ns, bid=bid, bid_quantity=1.0, ask=bid + 1,
        ask_quantity=1.0,
    )  # fmt: skip


class ScriptedCore:
    """Answers events by a script: a function, or nothing."""

    def __init__(self, script: Callable[[m.Event], Sequence[m.Command]] | None = None) -> None:
        self.script = script or (lambda event: ())
        self.seen: list[m.Event] = []
        self.unwanted: set[str] = set()

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        self.seen.append(event)
        return list(self.script(event))

    def may_send(self, client_id: str) -> bool:
        return client_id not in self.unwanted


class MemoryJournal:
    """Keeps rows; refuses to store while `broken`."""

    def __init__(self) -> None:
        self.rows: list[tuple[m.Event, Sequence[m.Command]]] = []
        self.stored = 0
        self.commits: list[bool] = []
        self.broken = False
        self.room = False

    def append(self, event: m.Event, commands: Sequence[m.Command]) -> int:
        self.rows.append((event, commands))
        return len(self.rows)

    def commit(self, durable: bool = False, *, reduces: bool = False) -> int:
        if self.broken and not (reduces and self.room):
            raise JournalError("the disk is full")
        count, self.stored = len(self.rows) - self.stored, len(self.rows)
        self.commits.append(durable)
        return count

    def move(self) -> None:
        if self.broken:
            raise JournalError("the disk is full")

    @property
    def stored_commands(self) -> list[m.Command]:
        return [each for _, commands in self.rows[: self.stored] for each in commands]


class MemoryVenue:
    """A venue that accepts everything and states what it was asked, in order."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(START_NS)
        self.calls: list[tuple[str, Any]] = []
        self.open_ids: dict[str, m.Submit] = {}
        self.before: Callable[[str, Any], None] = lambda call, what: None
        self.wait: asyncio.Event | None = None
        self.fails: set[str] = set()
        self.is_test = True
        self.sink: Callable[[Any], None] = lambda event: None
        self.closed = False

    def _called(self, call: str, what: Any) -> None:
        self.before(call, what)
        self.calls.append((call, what))
        if call in self.fails:
            raise ZeroDivisionError(call)

    def named(self, call: str) -> list[Any]:
        return [what for name, what in self.calls if name == call]

    async def open(self, symbols: Sequence[str], sink: Callable[[Any], None]) -> VenueFacts:
        self.sink = sink
        self._called("open", tuple(symbols))
        markets = {
            name: Market(name, name.split("/")[0], name.split("/")[1], 1e-6, 0.01)
            for name in symbols
        }
        return VenueFacts(
            venue="memory", exchange="memory", account="a1", markets=markets,
            order_types=frozenset({"market", "limit"}), can_withdraw=False, is_test=self.is_test,
            answers_final_after_ns=NS, streams_orders=True, amends=True,
        )  # fmt: skip

    async def submit(self, order: m.Submit) -> m.Event:
        self._called("submit", order)
        if self.wait is not None:
            await self.wait.wait()
        self.open_ids[order.client_id] = order
        return m.Acked(
            at_ns=self.clock.now_ns(), client_id=order.client_id, venue_order_id="v1",
            state="open", side=order.side, quantity=order.quantity,
        )  # fmt: skip

    async def amend(self, order: m.Amend) -> Sequence[m.Event]:
        self._called("amend", order)
        return []

    async def cancel(self, order: m.Cancel) -> m.Event:
        self._called("cancel", order)
        self.open_ids.pop(order.client_id, None)
        return m.NotFound(
            at_ns=self.clock.now_ns(), client_id=order.client_id, asked_ns=0, by="cancel"
        )

    async def cancel_all(self, symbols: Sequence[int]) -> Sequence[m.Event]:
        self._called("cancel_all", tuple(symbols))
        self.open_ids = {
            name: order for name, order in self.open_ids.items() if order.symbol not in symbols
        }
        return []

    async def query(self, order: m.Query) -> m.Event | None:
        self._called("query", order)
        return m.NotFound(at_ns=self.clock.now_ns(), client_id=order.client_id, asked_ns=0)

    async def open_orders(self) -> m.OpenOrders | None:
        self._called("open_orders", None)
        orders = tuple(
            m.OrderSeen(
                at_ns=0, client_id=name, venue_order_id="v", symbol=order.symbol, side=order.side,
                state="open", quantity=order.quantity, filled=0.0, by="list",
            )
            for name, order in self.open_ids.items()
        )  # fmt: skip
        now_ns = self.clock.now_ns()
        return m.OpenOrders(at_ns=now_ns, orders=orders, asked_ns=now_ns)

    async def fills(self, symbol: int, since_ns: int) -> Sequence[m.Filled] | None:
        self._called("fills", (symbol, since_ns))
        return []

    async def holdings(self) -> m.Holdings | None:
        self._called("holdings", None)
        now_ns = self.clock.now_ns()
        return m.Holdings(at_ns=now_ns, balances={"USDT": (1e4, 0.0)}, asked_ns=now_ns)

    async def skew(self) -> m.Skewed | None:
        self._called("skew", None)
        return m.Skewed(at_ns=self.clock.now_ns(), venue="memory", skew_ns=0)

    async def refresh_markets(self) -> Sequence[m.FiltersChanged] | None:
        return []

    async def close(self) -> None:
        self.closed = True


class Bench:
    """A shell with everything around it in memory."""

    def __init__(
        self,
        script: Callable[[m.Event], Sequence[m.Command]] | None = None,
        *,
        limits: Limits | None = None,
        gate: Any = None,
        journal: Any = None,
        watch: Callable[[m.Event, Sequence[m.Command]], None] | None = None,
    ) -> None:
        self.clock = ManualClock(START_NS)
        self.core = ScriptedCore(script)
        self.journal = journal if journal is not None else MemoryJournal()
        self.venue = MemoryVenue(self.clock)
        self.reported: list[tuple[str, str, dict[str, Any]]] = []
        self.faults: list[tuple[str, BaseException]] = []
        self.watched: list[m.Event] = []
        self.dispatcher = Dispatcher(
            self.venue, clock=self.clock, put=lambda event: self.shell.put(event), gate=gate,
            fault=lambda call, error: self.faults.append((call, error)),
            may_send=self.core.may_send,
        )  # fmt: skip
        self.shell = Shell(
            self.core, self.journal, self.dispatcher, clock=self.clock,
            notify=lambda level, name, fields: self.reported.append((level, name, fields)),
            watch=watch or (lambda event, commands: self.watched.append(event)), limits=limits,
        )  # fmt: skip

    async def wait_until_idle(self) -> None:
        """Let everything that can happen without time passing happen."""
        for _ in range(100):
            await asyncio.sleep(0)
            if not self.dispatcher.in_flight:
                await self.shell.drain()
        for _ in range(5):
            await asyncio.sleep(0)

    def seen(self, kind: type[m.Event]) -> list[Any]:
        return [each for each in self.core.seen if isinstance(each, kind)]
