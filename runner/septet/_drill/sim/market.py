"""The drill's matching engine under seeded prices, with faults, and its reports as messages.

Accounts, orders, matching, fills, statuses and filters are those of `MatchingEngine`, which the
local venue serves as well. This module adds the prices, the faults of the market and of single
executions, and the messages of the core. Amounts are whole hundred-millionths, as in the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

import msgspec

from septet import messages as m
from septet._drill.sim.fault_rates import FaultRates
from septet._drill.sim.simulated_time import MS, Simulation
from septet._drill.venue.amounts import SCALE, text
from septet._drill.venue.config import Fees, SymbolConfig
from septet._drill.venue.engine import MatchingEngine, Report
from septet._drill.venue.orders import FINAL, WHOLE_PPM, Asked, Fill, Order, Rejection

__all__ = [
    "BASES", "COARSEST_LOT", "KINDS", "LOT", "QUOTE", "STATES", "THIRD", "TICK", "GROUP_SHARE",
    "Listing", "Market", "listed", "was_open",
]  # fmt: skip

TICK: Final = SCALE // 100
LOT: Final = SCALE // 1_000
COARSEST_LOT: Final = 10 * LOT
"""The largest lot that a change of filters brings."""
BASES: Final = ("BTC", "ETH", "SOL")
QUOTE, THIRD = "USDT", "BNB"
STATES: Final[dict[str, m.OrderState]] = {
    "NEW": "open", "PARTIALLY_FILLED": "partially_filled", "FILLED": "filled",
    "CANCELED": "cancelled", "EXPIRED": "expired",
}  # fmt: skip
GROUP_SHARE: Final = 0.8
"""Share of equity that a strategy of several symbols may hold of those that move together."""
_OPENING_BALANCES: Final = {QUOTE: "1000", THIRD: "1000", **dict.fromkeys(BASES, "0")}
_TYPES: Final[dict[m.OrderKind, str]] = {
    "market": "MARKET", "limit": "LIMIT", "stop": "STOP_LOSS", "stop_limit": "STOP_LOSS_LIMIT",
}  # fmt: skip
KINDS: Final[dict[str, m.OrderKind]] = {type_: kind for kind, type_ in _TYPES.items()}
"""Types of orders at the venue, in the words of the messages."""
_FIRST_PRICE, _MIN_PRICE = 10_000 * TICK, 2_000 * TICK
_FALSE_STATES: Final[tuple[Callable[[int, int], tuple[m.OrderState, int]], ...]] = (
    lambda part, whole: ("filled", 0),
    lambda part, whole: ("filled", part),
    lambda part, whole: ("partially_filled", 0),
    lambda part, whole: ("partially_filled", whole),
    lambda part, whole: ("open", part),
)
"""What cannot be of an order: its state and its executed units contradict each other."""
_FINAL_STATES: Final[tuple[m.OrderState, ...]] = ("cancelled", "expired", "rejected")
_OWN_TICKS: Final = 8
"""Ticks by which a symbol's step may differ from the one that all take: they move together."""
_CHANGED_IDS: Final = ("x-{}", "{}-b7", "x-{}:web")
"""How a gateway lengthens a client id."""
_UNNAMED_PREFIX: Final = "unnamed"
"""How the client id of an order begins that is shown without one."""


def listed(seed: int) -> int:
    """Return how many symbols the account of a seed trades: one, or in two of five several."""
    return (3, 1, 2, 1, 1)[seed % 5]


@dataclass(slots=True)
class Listing:
    """One symbol of the account: its number, and what others moved of its base."""

    k: int
    name: str
    halted_until_ns: int = 0
    given: int = 0
    withdrawn: list[int] = field(default_factory=list)

    @property
    def id(self) -> str:
        """What the venue calls it."""
        return self.name + QUOTE

    @property
    def symbol(self) -> str:
        """What it is called in a universe."""
        return f"{self.name}/{QUOTE}"


class Market:
    """One account at the matching engine, against seeded price paths.

    Its symbols share the cash, and their prices move together. `notify` is called with every
    message of the user stream at the instant of its cause.
    """

    def __init__(
        self, simulation: Simulation, fault_rates: FaultRates, notify: Callable[[m.Event], None]
    ) -> None:
        self._simulation, self._fault_rates, self._notify = simulation, fault_rates, notify
        self.listings = [Listing(k, BASES[k]) for k in range(listed(simulation.seed))]
        self.by_id = {each.id: each for each in self.listings}
        configs = [
            SymbolConfig(
                base=each.name, quote=QUOTE, tick="0.01", lot=text(LOT), min_quantity=text(LOT),
                min_notional="0", spread_ticks=2, levels=3, level_notional="400",
            )
            for each in self.listings
        ]  # fmt: skip
        self._fees = Fees(
            fee_currency="received" if simulation.seed % 2 else "quote", third_price="1"
        )
        self.engine = MatchingEngine(
            configs, _OPENING_BALANCES, fees=self._fees, seed=simulation.seed,
            notify=self._reported, before_execution=self._before_execution,
        )  # fmt: skip
        self.begun_cash = self.engine.ledger.free[QUOTE]
        self.fills: list[Fill] = []
        self.invented: set[str] = set()
        self.accepted: dict[str, int] = {}
        self.left_to_others: set[int] = set()
        self.copied_ids: set[str] = set()
        self.copied_ns = 0
        """Orders of ours, by the venue's id, that the run counts as never placed."""
        self._foreign = 0
        for each in self.listings:
            self.engine.move(each.id, _FIRST_PRICE, 0, self._now_ms)

    @property
    def _now_ms(self) -> int:
        return self._simulation.now_ns // MS

    # ------------------------------------------------------------ prices

    def price(self, of: Listing) -> int:
        """Return the last price of a symbol."""
        return self.engine.last[of.id]

    def quoted(self, of: Listing) -> m.Quoted:
        """Return the best bid and ask of a symbol."""
        market_ns = self._simulation.market_ns
        bid, bid_quantity, ask, ask_quantity = self.engine.books[of.id].best()
        return m.Quoted(
            at_ns=0, symbol=of.k, venue_ns=market_ns, market_ns=market_ns, bid=bid / SCALE,
            bid_quantity=bid_quantity / SCALE, ask=ask / SCALE, ask_quantity=ask_quantity / SCALE,
        )  # fmt: skip

    def halt(self, until_ns: int, listings: Sequence[Listing]) -> None:
        """Halt symbols until a time."""
        for each in listings:
            each.halted_until_ns = max(each.halted_until_ns, until_ns)
            self.engine.change_rules(each.id, trading=False)
        self._simulation.after(until_ns - self._simulation.now_ns, self.reopen)

    def reopen(self) -> None:
        """Let symbols trade again whose halt is over."""
        for each in self.listings:
            if self._simulation.now_ns >= each.halted_until_ns:
                self.engine.change_rules(each.id, trading=True)

    def move(self) -> None:
        """Let the prices take a step, the books be renewed and orders meet them.

        While the fault_rates is calm, prices stay where they are.
        """
        chance, moves = self._simulation.chance, not self._fault_rates.calm
        step = chance.randint(-40, 40) if moves else 0
        for each in self.listings:
            own = chance.randint(-_OWN_TICKS, _OWN_TICKS) if moves and len(self.listings) > 1 else 0
            price = max(_MIN_PRICE, self.price(each) + (step + own) * TICK)
            self.engine.move(each.id, price, 0, self._now_ms)

    # ------------------------------------------------------------ orders

    def working(self, *, ours: bool = True) -> list[Order]:
        """Return open orders: ours, or of others."""
        return [each for each in self.engine.open.values() if (each.asked.by == "client") == ours]

    def place(self, order: m.Submit) -> Order:
        """Place an order of ours, executed now or soon; Rejection if it is not accepted."""
        chance, units = self._simulation.chance, round(order.quantity * SCALE)
        of = self.listings[order.symbol]
        lot = self.engine.rules[of.id].lot
        if units >= 2 * lot and self._fault_rates.occurs("E21 ack differs"):
            units = units // 2 // lot * lot
        stop = round((order.trigger_price or 0.0) * SCALE)
        if stop and self._fault_rates.occurs("E21 trigger differs"):
            stop += chance.choice((-1, 1)) * chance.randint(1, 50) * TICK
        renamed = self._listed_as(order.client_id)
        asked = Asked(
            of.id, order.side.upper(), _TYPES[order.order_type],
            renamed or order.client_id, units,
            price=round((order.limit_price or 0.0) * SCALE), stop=stop,
            sent_as=order.client_id if renamed else "",
        )  # fmt: skip
        soon = not asked.stop and chance.random() < 0.5
        made = self.engine.place(
            asked, self._now_ms, portion=0 if soon else WHOLE_PPM, then="rest" if soon else ""
        )
        if soon:
            self._resume_after(chance.randint(1, 500), made)
        return made

    def _listed_as(self, client_id: str) -> str:
        """Return another client id under which an order is listed, if it is."""
        if self._fault_rates.occurs("E23 longer id"):
            return self._simulation.chance.choice(_CHANGED_IDS).format(client_id)
        return (
            f"x-{crc32(client_id.encode()):08x}" if self._fault_rates.occurs("E23 other id") else ""
        )

    def _resume_after(self, delay_ms: int, order: Order) -> None:
        """Resume an order that waits after a delay, again and again until its symbol trades."""

        def resume() -> None:
            self.engine.resume(order.order_id, self._now_ms)
            if order.then == "rest" and order.status not in FINAL:
                self._resume_after(delay_ms, order)

        self._simulation.after(delay_ms * MS, resume)

    def cancel(self, order: Order, *, by: str = "client") -> None:
        """Take an order out of the book."""
        self.engine.cancel(order, self._now_ms, by=by)

    def execute(self, order: Order) -> None:
        """Fill what is left of a resting order."""
        self.engine.execute(order, self._now_ms)

    def give(self, of: Listing, units: int) -> None:
        """Move a balance from outside: a deposit or a withdrawal of what is free."""
        units = max(units, -self.engine.ledger.free[of.name])
        of.given += units
        if units < 0:
            of.withdrawn.append(-units)
        self.engine.transfer(of.name, units, self._now_ms)

    def place_external(self, of: Listing) -> Order | None:
        """Let somebody else place an order on the account, where it holds enough for one."""
        chance, self._foreign = self._simulation.chance, self._foreign + 1
        names = (f"{_UNNAMED_PREFIX}{self._foreign}", f"web_x{self._foreign}")
        lot = self.engine.rules[of.id].lot
        sign = chance.choice((1, -1)) if self.engine.ledger.has(of.name, lot) else 1
        asked = Asked(
            of.id, "BUY" if sign > 0 else "SELL", "LIMIT", chance.choice(names), lot, by="other",
            price=self.price(of) - sign * chance.randint(5, 60) * TICK,
        )  # fmt: skip
        try:
            return self.engine.place(asked, self._now_ms)
        except Rejection:
            return None

    # ------------------------------------------------------------ what happens in the engine

    def _before_execution(self, order: Order, quantity: int) -> None:
        """Draw which part of an order is executed, what becomes of the rest, and the fee."""
        occurs, engine, lots = self._fault_rates.occurs, self.engine, quantity // LOT
        cut = order.portion > 0 and lots >= 2 and order.asked.by == "client"
        if cut and occurs("E9 partial fill"):
            part = self._simulation.chance.randint(1, lots - 1) * LOT
            order.portion = -(-part * WHOLE_PPM // quantity)
            order.then = "rest"
            if order.at_market and occurs("E10 rest expired"):
                order.then = "expire"
        engine.fees = self._fees
        if occurs("E22 third fee"):
            engine.fees = msgspec.structs.replace(self._fees, fee_currency=THIRD)
        elif not order.buys:
            of = self.by_id[order.asked.symbol]
            spare = engine.ledger.free[of.name] - (0 if order.locked else quantity)
            if spare * 1_000 >= quantity and occurs("E22 base fee"):
                engine.fees = msgspec.structs.replace(self._fees, fee_currency="base")

    def _reported(self, report: Report) -> None:
        """Send a change of an order to the user stream, an execution before the new state."""
        order, fill = report.order, report.fill
        if order is None:
            return
        ours = order.asked.by == "client"
        if report.execution == "NEW" and ours:
            name = order.asked.own_id
            self.accepted[name] = self.accepted.get(name, 0) + 1
        if fill is not None:
            self.fills.append(fill)
            self._notify_filled(order, fill)
        by_venue = report.by == "venue" and report.execution == "CANCELED"
        self._notify(self.seen(order, text="by the venue" if by_venue else ""))
        named = ours and not order.asked.sent_as
        if fill is not None and named and self._fault_rates.occurs("A3 overfill"):
            self._notify(self._false_execution(order, fill))
        if order.then == "rest" and order.executed and order.status not in FINAL:
            self._resume_after(self._simulation.chance.randint(1, 2_000), order)

    def _notify_filled(self, order: Order, fill: Fill) -> None:
        self._simulation.note(
            f"  venue fills {order.asked.client_id} {order.asked.side} {text(fill.quantity)} "
            f"{fill.symbol} at {text(fill.price)} (trade {fill.trade_id}, {order.status})"
        )
        cumulative = order.executed / SCALE
        unnamed = self._fault_rates.occurs("E14 fill unnamed")
        if order.asked.by == "client" and self._fault_rates.occurs("A18 false status"):
            cumulative = self._simulation.chance.choice((0.0, fill.quantity / SCALE / 2))
        reported = self.filled(fill, unnamed=unnamed)
        self._notify(msgspec.structs.replace(reported, cumulative=cumulative))

    def _false_execution(self, order: Order, fill: Fill) -> m.Filled:
        """Return an execution that was none and cannot be of its order."""
        reported, chance = self.filled(fill), self._simulation.chance
        name, side, units = f"{90_000 + len(self.invented)}", reported.side, fill.quantity
        match chance.randint(0, 2):
            case 0:
                units = 2 * order.quantity + chance.randint(100, 200) * LOT
            case 1:
                side = "sell" if reported.side == "buy" else "buy"
            case _:
                name = f"-{1 + len(self.invented)}"
        self.invented.add(name)
        return msgspec.structs.replace(reported, trade_id=name, side=side, quantity=units / SCALE)

    # ------------------------------------------------------------ questions

    def balance(self, asset: str) -> int:
        """Return what the account holds of an asset, free and locked."""
        return sum(self.engine.ledger.balances()[asset])

    def is_ours(self, fill: Fill) -> bool:
        """Whether an execution is of an order of ours, and not of one that was left to others."""
        asked = self.engine.orders[fill.order_id].asked
        return asked.by == "client" and fill.order_id not in self.left_to_others

    def client_id(self, fill: Fill) -> str:
        """Return the client id that the order had which an execution is of, when it was sent."""
        return self.engine.orders[fill.order_id].asked.own_id

    # ------------------------------------------------------------ as messages

    def seen(self, order: Order, *, as_of_ms: int = -1, by: str = "stream", text: str = "") -> (
        m.OrderSeen
    ):  # fmt: skip
        """Return how the venue shows an order, now or as of a time."""
        asked, was = order.asked, order.as_of(as_of_ms) if as_of_ms >= 0 else None
        status, executed = was[:2] if was else (order.status, order.executed)
        may_end = by == "stream"
        state, executed = self.falsified(order, STATES[status], executed, may_end=may_end)
        return m.OrderSeen(
            at_ns=0, client_id=_shown(asked), venue_order_id=f"v{order.order_id}",
            symbol=self.by_id[asked.symbol].k, side="buy" if order.buys else "sell", state=state,
            quantity=order.quantity / SCALE, filled=executed / SCALE,
            price=asked.price / SCALE if asked.price else None, by=by, text=text,  # type: ignore[arg-type]
            trigger_price=asked.stop / SCALE if asked.stop else None, order_type=KINDS[asked.type],
        )  # fmt: skip

    def falsified(
        self, order: Order, state: m.OrderState, executed: int, *, may_end: bool = False
    ) -> tuple[m.OrderState, int]:  # fmt: skip
        """Return a state and executed units that contradict each other, or those given.

        If it `may_end`, they may also be those of an order that ended before it was filled.
        """
        may_end = may_end and order.asked.by == "client" and state not in _FINAL_STATES
        if may_end and self._fault_rates.occurs("A19 false end"):
            return self._simulation.chance.choice(_FINAL_STATES), 0
        if order.asked.by != "client" or not self._fault_rates.occurs("A18 false status"):
            return state, executed
        part, whole = max(1, order.quantity // 2), order.quantity
        return self._simulation.chance.choice(_FALSE_STATES)(part, whole)

    def filled(self, fill: Fill, *, unnamed: bool = False) -> m.Filled:
        """Return an execution as the venue reports it; `unnamed` without our id."""
        asked, fee = self.engine.orders[fill.order_id].asked, fill.fee / SCALE
        return m.Filled(
            at_ns=0, venue="sim", symbol=self.by_id[fill.symbol].k, trade_id=str(fill.trade_id),
            client_id="" if unnamed else _shown(asked), venue_order_id=f"v{fill.order_id}",
            venue_ns=fill.at_ms * MS, market_ns=self._simulation.market_at(fill.at_ms * MS),
            side="buy" if fill.buys else "sell", quantity=fill.quantity / SCALE,
            price=fill.price / SCALE, fee=fee, fee_currency=fill.fee_asset, maker=fill.maker,
            fee_quote=fee if fill.fee_asset == THIRD else None,
        )  # fmt: skip


def _shown(asked: Asked) -> str:
    """Return the client id under which an order is shown."""
    return (
        ""
        if asked.by != "client" and asked.client_id.startswith(_UNNAMED_PREFIX)
        else asked.client_id
    )


def was_open(order: Order, first_ns: int, last_ns: int) -> bool:
    """Return whether an order was open at any time of a span, its first instant left out."""
    closed_ns = order.past[-1][0] * MS if order.status in FINAL else last_ns
    return order.past[0][0] * MS < last_ns and closed_ns > first_ns
