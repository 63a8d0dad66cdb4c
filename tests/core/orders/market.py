"""A small truthful venue with faults from a seed, and a driver of the order manager.

The venue's own record never lies; what it answers may be late, twice, out of order, old, or not
come at all. Nothing here knows how the order manager works.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from septet import messages as m
from septet._core.checks import Checks, Instrument, Limits
from septet._core.guards import Guards
from septet._core.orders import (
    Booked,
    Corrected,
    Ended,
    Orders,
    Outcome,
    Parent,
    Timing,
    Triggered,
    parse,
)
from septet._core.orders.records import RANK

E = TypeVar("E", bound=m.Event)
TAG = "t0000001"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
LOT, TICK, PRICE = 0.001, 0.01, 100.0
RECEIVES = 3 * SECOND
"""A request that left is accepted within this, or never."""
STALE = 2 * SECOND
"""How old a read may be."""
WIDE = Limits(
    orders_per_minute=1_000_000, reductions_per_minute=1_000_000, repeats=1_000_000,
    flips=1_000_000, turnover=1e12, position=1e6, gross=1e6, price_age_ns=10**18,
)  # fmt: skip


@dataclass
class Faults:
    """How often something goes wrong."""

    lost_before: float = 0.0
    lost_after: float = 0.0
    late_accept: float = 0.0
    rejected: float = 0.0
    dropped: float = 0.0
    doubled: float = 0.0
    stale: float = 0.0
    unanswered: float = 0.0
    partial: float = 0.3
    delay: float = 0.05

    @classmethod
    def drawn(cls, rng: random.Random) -> Faults:
        """Draw how bad a day this is."""
        bad = rng.choice((0.0, 0.1, 0.3, 0.5))
        return cls(
            lost_before=bad * rng.random() * 0.5, lost_after=bad * rng.random(),
            late_accept=bad * rng.random() * 0.5, rejected=bad * rng.random() * 0.4,
            dropped=bad * rng.random(), doubled=bad * rng.random(), stale=bad * rng.random(),
            unanswered=bad * rng.random(), partial=rng.random(),
            delay=rng.choice((0.001, 0.05, 0.5, 2.0)),
        )  # fmt: skip


@dataclass
class Order:
    """An order as the venue has it; `history` is what reads may show."""

    client_id: str
    venue_order_id: str
    symbol: int
    sign: int
    quantity: float
    kind: str
    price: float | None
    filled: float = 0.0
    state: m.OrderState = "open"
    history: list[tuple[int, m.OrderState, float]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return RANK[self.state] < 5


class World:
    """The venue, the wire, the clock, and one order manager."""

    def __init__(self, seed: int, symbols: int = 2, *, amends: bool = False) -> None:
        self.rng = random.Random(seed)
        self.now = START
        self.faults = Faults()
        self.symbols = symbols
        self.timing = Timing(answers_final_after_ns=RECEIVES + STALE + SECOND, amends=amends)
        self.heap: list[tuple[int, int, str, Callable[[], object]]] = []
        self.count = 0
        self.orders: dict[str, Order] = {}
        self.posted: set[str] = set()
        self.fills: list[m.Filled] = []
        self.booked: dict[str, float] = {}
        self.by_parent: defaultdict[int, float] = defaultdict(float)
        self.position = [0.0] * symbols
        self.held = [0.0] * symbols
        self.ended: dict[int, Ended] = {}
        self.parents: dict[int, Parent] = {}
        self.states: dict[str, str] = {}
        self.alerts: list[m.Alerted] = []
        self.triggered: set[str] = set()
        self.commands: list[m.Command] = []
        self.outcomes: list[Outcome] = []
        self.manual = False
        self.dies = 0.0
        self.ways = [1 if k % 2 == 0 else -1 for k in range(symbols)]
        self.core = self.make()

    # ------------------------------------------------------------------ the core

    def make(self) -> Orders:
        instruments = [
            Instrument(symbol=f"S{k}", lot=LOT, tick=TICK, min_notional=0.05)
            for k in range(self.symbols)
        ]
        self.checks = Checks(instruments, WIDE)
        self.checks.equity = 1e9
        for k in range(self.symbols):
            self.checks.priced(k, PRICE, self.now)
        self.guards = Guards([f"S{k}" for k in range(self.symbols)])
        return Orders(TAG, self.checks, self.guards, lambda k: self.position[k], self.timing)

    def twin(self) -> None:
        """Go on with a core that was restored from a snapshot: nothing may change."""
        saved = self.core.snapshot(), self.checks.snapshot(), self.guards.snapshot()
        self.core = self.make()
        self.core.restore(saved[0])
        self.checks.restore(saved[1])
        self.guards.restore(saved[2])
        again = self.core.snapshot(), self.checks.snapshot(), self.guards.snapshot()
        assert saved == again

    def crash(self, id_part: str = "") -> None:
        """The process dies and starts again; whatever was on its way to it is lost."""
        self.twin()
        self.heap = [item for item in self.heap if item[2] != "core"]
        heapq.heapify(self.heap)
        self.handle(
            m.Started(
                at_ns=self.now, session=2, run_id="r", mode="live", strategy="s",
                origin_ns=0, market_ns=self.now, fingerprints={}, id_part=id_part,
            )
        )  # fmt: skip

    def handle(self, event: m.Event) -> list[m.Command]:
        self.core.handle(event)
        self.guards.handle(event)
        return self.proceed()

    def proceed(self) -> list[m.Command]:
        commands = self.core.proceed(self.now, self.apply)
        self.commands += commands
        for command in commands:
            self.watch(command)
        if self.manual:
            return commands
        dies = bool(commands) and self.rng.random() < self.dies
        reached = self.rng.randrange(len(commands)) if dies else len(commands)
        for command in commands[:reached]:
            self.dispatch(command)
        if dies:
            # What was decided is durable; it did not all leave.
            self.crash()
        return commands

    def apply(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if isinstance(outcome, Booked):
            key = f"{outcome.fill.trade_id}|{outcome.client_id}"
            assert key not in self.booked, "a fill was counted twice"
            self.booked[key] = outcome.quantity
            self.by_parent[outcome.parent] += abs(outcome.quantity)
            held = self.position[outcome.symbol] + outcome.quantity
            self.position[outcome.symbol] = round(held, 9)
            if outcome.parent == -1:
                assert outcome.client_id in self.triggered, "a stop filled before it triggered"
        elif isinstance(outcome, Corrected):
            self.name_presumed(outcome)
        elif isinstance(outcome, Ended):
            assert outcome.parent not in self.ended, "a parent ended twice"
            self.ended[outcome.parent] = outcome
        elif isinstance(outcome, Triggered):
            self.triggered.add(outcome.client_id)

    def name_presumed(self, outcome: Corrected) -> None:
        """Name the fill of the venue that was booked, whole or in part, because of the account."""
        presumed, of = (
            f"{name}|{outcome.client_id}" for name in (outcome.of, outcome.fill.trade_id)
        )
        left = round(self.booked.pop(presumed) - outcome.quantity, 9)
        assert of not in self.booked, "a fill was counted twice"
        self.booked[of] = outcome.quantity
        if left:
            self.booked[presumed] = left

    def watch(self, command: m.Command) -> None:
        if isinstance(command, m.Changed) and command.client_id:
            before = self.states.get(command.client_id, "intent")
            assert RANK[command.state] >= RANK[before], (before, command)  # type: ignore[index]
            assert before == command.state or RANK[before] < 5  # type: ignore[index]
            self.states[command.client_id] = command.state
        elif isinstance(command, m.Alerted):
            self.alerts.append(command)

    def place(self, parent: Parent) -> None:
        self.parents[parent.number] = parent
        self.core.place(parent, self.now)

    # ------------------------------------------------------------------ time

    def after(self, delay_ns: int, what: Callable[[], object], kind: str = "venue") -> None:
        self.count += 1
        heapq.heappush(self.heap, (self.now + delay_ns, self.count, kind, what))

    def delay(self) -> int:
        return int(self.rng.expovariate(1.0 / self.faults.delay) * SECOND) + 1_000_000

    def notify(self, event: Callable[[int], m.Event], *, stream: bool = False) -> None:
        """Bring an event to the core some time later; streams lose, double and reorder."""
        rng = self.rng
        if stream and rng.random() < self.faults.dropped:
            return
        times = 2 if stream and rng.random() < self.faults.doubled else 1
        for _ in range(times):
            self.after(self.delay(), lambda: self.handle(event(self.now)) and None, "core")

    def run(self, span_ns: int) -> None:
        until = self.now + span_ns
        while self.heap and self.heap[0][0] <= until:
            at, _, _, what = heapq.heappop(self.heap)
            self.now = max(self.now, at)
            what()
            self.check()
        self.now = until

    def check(self) -> None:
        """What must hold at every moment."""
        for k in range(self.symbols):
            mine = [order for order in self.orders.values() if order.symbol == k and order.is_open]
            way = self.ways[k]
            closing = sum(order.quantity - order.filled for order in mine if order.sign != way)
            held = way * self.held[k]
            assert held >= 0.0
            assert closing <= held + 1e-9, f"{closing} to close of {held}: {mine}"
            opening = [order for order in mine if order.sign == way]
            assert len({parse(TAG, order.client_id) for order in opening}) <= 1, opening
            for order in opening:
                name = parse(TAG, order.client_id)
                assert name is not None
                most = abs(self.parents[name.parent].quantity)
                done = sum(
                    each.filled
                    for each in self.orders.values()
                    if each.client_id.startswith(order.client_id.rsplit("-", 1)[0] + "-")
                )
                assert order.quantity - order.filled + done <= most + 1e-9, f"{mine} of {most}"

    # ------------------------------------------------------------------ the wire

    def dispatch(self, command: m.Command) -> None:
        match command:
            case m.Submit():
                self.submit(command)
            case m.Amend():
                self.amend(command)
            case m.Cancel():
                self.cancel(command)
            case m.CancelAll():
                for order in [each for each in self.orders.values() if each.is_open]:
                    if self.rng.random() >= self.faults.unanswered:
                        self.after(self.delay(), lambda order=order: self.close(order, "cancelled"))  # type: ignore[misc]
            case m.Query():
                self.query(command)
            case m.Refresh(what="fills"):
                self.after(self.delay(), lambda: self.refresh_fills(command))
            case m.Refresh(what="open_orders"):
                self.open_orders()
            case m.Refresh(what="holdings"):
                self.holdings()
            case m.Wake():
                delay = max(1, command.at_ns - self.now)
                tick = lambda: self.handle(m.Ticked(at_ns=self.now, market_ns=self.now)) and None  # noqa: E731
                self.after(delay, tick, "core")

    def uncertain(self, client_id: str) -> None:
        self.notify(lambda now: m.Uncertain(at_ns=now, client_id=client_id, text="lost"))

    def submit(self, command: m.Submit) -> None:
        assert command.client_id not in self.posted, "a second request with the same id"
        self.posted.add(command.client_id)
        assert command.deadline_ns >= self.now
        rng, name = self.rng, command.client_id
        draw = rng.random()
        faults = self.faults
        if draw < faults.lost_before:
            self.uncertain(name)
        elif draw < faults.lost_before + faults.late_accept:
            self.after(rng.randrange(RECEIVES), lambda: self.accept(command))
            self.uncertain(name)
        elif rng.random() < faults.rejected:
            rejection = m.Rejected(at_ns=0, client_id=name, code="filter", text="no")
            self.notify(lambda now: _at(rejection, now))
        else:
            self.after(min(RECEIVES, self.delay()), lambda: self.accept(command, answer=True))

    def accept(self, command: m.Submit, *, answer: bool = False) -> Order:
        sign = 1 if command.side == "buy" else -1
        price = command.limit_price or command.trigger_price
        order = Order(
            command.client_id, f"v{len(self.orders)}", command.symbol, sign, command.quantity,
            command.order_type, price,
        )  # fmt: skip
        self.orders[order.client_id] = order
        self.mark(order)
        if order.kind == "market":
            self.after(self.delay(), lambda: self.fill_some(order))
        if answer:
            self.answer(order)
        return order

    def answer(self, order: Order) -> None:
        if self.rng.random() < self.faults.lost_after:
            self.uncertain(order.client_id)
            return
        state, filled = order.state, order.filled
        self.notify(
            lambda now: m.Acked(
                at_ns=now, client_id=order.client_id, venue_order_id=order.venue_order_id,
                state=state, side="buy" if order.sign > 0 else "sell", quantity=order.quantity,
                price=order.price if order.kind == "limit" else None, filled=filled,
            )
        )  # fmt: skip

    def amend(self, command: m.Amend) -> None:
        old = self.orders.get(command.client_id)
        draw = self.rng.random()
        if draw < self.faults.lost_before:
            self.uncertain(command.new_client_id)
            return
        if old is None or not old.is_open or draw < self.faults.lost_before + self.faults.rejected:
            rejection = m.Rejected(at_ns=0, client_id=command.new_client_id, code="gone", text="")
            self.notify(lambda now: _at(rejection, now))
            return
        rest = round(min(command.quantity, old.quantity - old.filled), 9)
        self.close(old, "cancelled")
        submit = m.Submit(
            client_id=command.new_client_id, parent=command.parent, symbol=command.symbol,
            side=command.side, order_type="limit", quantity=rest, reduces=False,
            deadline_ns=command.deadline_ns, limit_price=command.limit_price,
        )  # fmt: skip
        assert command.new_client_id not in self.posted
        self.posted.add(command.new_client_id)
        self.accept(submit, answer=True)

    def cancel(self, command: m.Cancel) -> None:
        order = self.orders.get(command.client_id)
        if self.rng.random() < self.faults.unanswered:
            if self.rng.random() < 0.5 and order is not None:
                self.close(order, "cancelled")
            return
        if self.rng.random() < self.faults.lost_after:
            if order is not None:
                self.close(order, "cancelled")
            name = command.client_id
            self.notify(lambda now: m.CancelFailed(at_ns=now, client_id=name, text="lost"))
            return
        self.after(self.delay(), lambda: self.cancel_now(command))

    def cancel_now(self, command: m.Cancel) -> None:
        order, asked = self.orders.get(command.client_id), self.now
        if order is None or not order.is_open:
            gone = m.NotFound(at_ns=0, client_id=command.client_id, asked_ns=asked, by="cancel")
            self.notify(lambda now: _at(gone, now))
            return
        self.close(order, "cancelled")
        self.notify(self.seen(order, order.state, order.filled, "cancel"))

    def query(self, command: m.Query) -> None:
        if self.rng.random() < self.faults.unanswered:
            return
        order, asked = self.orders.get(command.client_id), self.now
        as_of = asked - (self.rng.randrange(STALE) if self.rng.random() < self.faults.stale else 0)
        past = [row for row in order.history if row[0] <= as_of] if order else []
        if order is None or not past:
            gone = m.NotFound(at_ns=0, client_id=command.client_id, asked_ns=asked)
            self.notify(lambda now: _at(gone, now))
            return
        _, state, filled = past[-1]
        self.notify(self.seen(order, state, filled, "query"))

    def open_orders(self) -> None:
        if self.rng.random() < self.faults.unanswered:
            return
        asked = self.now
        listed = tuple(
            self.seen(order, order.state, order.filled, "list")(asked)
            for order in self.orders.values()
            if order.is_open
        )
        self.notify(lambda now: m.OpenOrders(at_ns=now, orders=listed, asked_ns=asked))

    def holdings(self) -> None:
        """Read the account: what it holds of each symbol, as it was up to `STALE` ago."""
        if self.rng.random() < self.faults.unanswered:
            return
        asked, held = self.now, list(self.held)
        self.after(self.delay(), lambda: self.read_account(held, asked), "core")

    def read_account(self, held: Sequence[float], asked: int) -> None:
        """Bring a read of the account to the core."""
        for k, gap in enumerate(now - was for now, was in zip(held, self.position, strict=True)):
            self.core.resolve_disputes(k, f"S{k}", gap, LOT, asked, self.now)
            self.proceed()

    def refresh_fills(self, command: m.Refresh) -> None:
        if self.rng.random() < self.faults.unanswered:
            return
        for fill in self.fills:
            if fill.symbol in command.symbols and fill.venue_ns >= command.since_ns:
                listed = msgspec.structs.replace(fill, listed=True)
                self.notify(lambda now, fill=listed: _at(fill, now))  # type: ignore[misc]

    # ------------------------------------------------------------------ the venue

    def seen(
        self, order: Order, state: m.OrderState, filled: float, by: str
    ) -> Callable[[int], m.OrderSeen]:
        return lambda now: m.OrderSeen(
            at_ns=now, client_id=order.client_id, venue_order_id=order.venue_order_id,
            symbol=order.symbol, side="buy" if order.sign > 0 else "sell", state=state,
            quantity=order.quantity, filled=filled,
            price=order.price if order.kind == "limit" else None, by=by,  # type: ignore[arg-type]
        )  # fmt: skip

    def mark(self, order: Order) -> None:
        order.history.append((self.now, order.state, order.filled))
        self.notify(self.seen(order, order.state, order.filled, "stream"), stream=True)

    def close(self, order: Order, state: m.OrderState) -> None:
        if order.is_open:
            order.state = state
            self.mark(order)

    def fill_some(self, order: Order) -> None:
        """Fill a part of a market order, then the rest, or let the rest expire."""
        if not order.is_open:
            return
        if self.rng.random() < self.faults.partial:
            lots = round((order.quantity - order.filled) / LOT)
            self.fill(order, self.rng.randint(1, max(1, lots)) * LOT)
            if order.is_open and self.rng.random() < 0.2:
                self.close(order, "expired")
            self.after(self.delay(), lambda: self.fill_some(order))
        else:
            self.fill(order, order.quantity - order.filled)

    def fill(self, order: Order, quantity: float) -> m.Filled:
        quantity = round(min(quantity, order.quantity - order.filled), 9)
        order.filled = round(order.filled + quantity, 9)
        order.state = "filled" if order.filled >= order.quantity - 1e-9 else "partially_filled"
        self.held[order.symbol] = round(self.held[order.symbol] + order.sign * quantity, 9)
        with_id = self.rng.random() < 0.7
        fill = m.Filled(
            at_ns=0, venue="v", symbol=order.symbol, trade_id=f"x{len(self.fills)}",
            client_id=order.client_id if with_id else "", venue_order_id=order.venue_order_id,
            venue_ns=self.now, market_ns=self.now, side="buy" if order.sign > 0 else "sell",
            quantity=quantity, price=order.price or PRICE, fee=0.0, fee_currency="USDT",
        )  # fmt: skip
        self.fills.append(fill)
        self.mark(order)
        self.notify(lambda now: _at(fill, now), stream=True)
        return fill

    def resting(self) -> Sequence[Order]:
        found = (order for order in self.orders.values() if order.is_open)
        return [order for order in found if order.kind != "market"]


def _at(event: E, now: int) -> E:
    """Return an event as taken in at a time."""

    return msgspec.structs.replace(event, at_ns=now)
