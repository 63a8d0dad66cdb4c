"""Faults that begin without a request or change the messages of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from septet._drill.venue.amounts import SCALE, floor_to, units
from septet._drill.venue.data_faults import DataFaults
from septet._drill.venue.false_values import false_report
from septet._drill.venue.faults import PlannedFault
from septet._drill.venue.orders import Asked, Order, Rejection

if TYPE_CHECKING:
    from septet._drill.venue.server import LocalVenue
    from septet._drill.venue.sockets import Socket

__all__ = ["StreamFaults"]

_FOREIGN_PREFIX = "web_somebody"


class StreamFaults:
    """Injects the timed faults of the plan into sockets, streams, orders and filters."""

    def __init__(self, venue: LocalVenue) -> None:
        self._venue = venue
        self._wake = asyncio.Event()
        self._undo: dict[int, Callable[[], None]] = {}
        self._foreign = 0
        self.bending = DataFaults(venue.faults, venue.market, venue.streams)
        venue.streams.bend = self.bending.bend
        venue.faults.begin = self._begin
        venue.faults.end = self._end
        venue.market.on_bar = self._bar
        self._do: dict[str, Callable[[PlannedFault], None]] = {
            "N7": self._close_sockets, "N8": self._silence, "N9": self._silence,
            "N10": self._flap, "N11": self._refuse, "N12": self._stop_answering,
            "E7": self._new_rules, "E8": self._halt, "E17": lambda planned: venue.users.terminate(),
            "E18": self._foreign_order, "E19": self._cancel_some, "E20": self._close_sockets,
            "E22": self._other_fee, "E24": self._delist,
            "D1": self.bending.expect, "D2": self.bending.expect,
            "D3": self.bending.mute, "D4": self.bending.expect, "D5": self._malformed,
            "A5": self.bending.expect,
        }  # fmt: skip

    @property
    def dark(self) -> bool:
        """Whether all connections are closed."""
        return self._venue.faults.lasting("N12") is not None

    def look(self) -> None:
        """Begin the faults whose time has come, now and whenever the plan has grown."""
        self._venue.faults.tick()
        self._wake.set()

    async def run(self) -> None:
        """Begin and end faults as time passes."""
        faults, clock = self._venue.faults, self._venue.clock
        while True:
            due = faults.next_ns()
            wait = None if due is None else max((due - clock.wall_ns()) / 1e9, 0.001)
            try:
                await asyncio.wait_for(self._wake.wait(), wait)
            except TimeoutError:
                faults.tick()
            self._wake.clear()

    def _bar(self, bar: int) -> None:
        self._venue.faults.tick(bar)
        self._wake.set()

    def _begin(self, planned: PlannedFault) -> None:
        do = self._do.get(planned.fault.code)
        if do is not None:
            do(planned)

    def _end(self, planned: PlannedFault) -> None:
        undo = self._undo.pop(planned.number, None)
        if undo is not None:
            undo()

    def _symbols(self, planned: PlannedFault) -> list[str]:
        return [planned.fault.symbol] if planned.fault.symbol else list(self._venue.engine.rules)

    # ------------------------------------------------------------ the user stream

    def pass_on(self, events: list[dict[str, Any]]) -> None:
        """Send the account's events, changed by the active faults."""
        users = self._venue.users
        for event in events:
            planned, owner = None, event.get("C") or event.get("c", "")
            if event.get("x") == "NEW":
                only = frozenset({"A18", "A19"})
                planned = self._venue.faults.due_fault("report", event["s"], owner, only)
            elif event.get("x") == "TRADE":
                planned = self._venue.faults.due_fault("trade", event["s"], owner)
                if planned is None:
                    planned = self._venue.faults.due_fault("report", event["s"], owner)
            code = planned.fault.code if planned is not None else ""
            if planned is not None and code in {"A2", "A3", "A18", "A19"}:
                for each in false_report(event, planned, planned.count):
                    users.notify(each)
            elif planned is not None and code == "E13":
                delay = planned.number_of("delay_ms", 150) / 1000
                asyncio.get_running_loop().call_later(delay, users.notify, event)
            elif code != "E14":
                users.notify(event)
                if code == "E12":
                    users.notify(event)

    # ------------------------------------------------------------ sockets

    def _sockets(self, planned: PlannedFault) -> list[Socket]:
        target = planned.fault.target
        return [s for s in self._venue.sockets if target in {"", "all", s.kind}]

    def welcome(self, socket: Socket) -> None:
        """Apply the active faults to a new socket."""
        for code in ("N8", "N9"):
            planned = self._venue.faults.lasting(code)
            if planned is not None and planned.fault.target in {"", "all", socket.kind}:
                socket.silent = socket.silent or code == "N8"
                socket.deaf = True

    def _close_sockets(self, planned: PlannedFault) -> None:
        if planned.fault.target in {"rest", "all"}:
            self._venue.cut_all()
            return
        for socket in self._sockets(planned):
            if planned.word_of("mode", "close") == "reset":
                socket.reset()
            else:
                asyncio.ensure_future(socket.close()).add_done_callback(_seen)

    def _silence(self, planned: PlannedFault) -> None:
        for socket in self._sockets(planned):
            socket.deaf = True
            socket.silent = planned.fault.code == "N8"

    def _flap(self, planned: PlannedFault) -> None:
        """Cut the sockets again and again until it ends."""
        period = planned.number_of("period_ms", 200) / 1000
        loop = asyncio.get_running_loop()

        def cut() -> None:
            if self._venue.faults.lasting("N10") is planned:
                for socket in self._sockets(planned):
                    socket.reset()
                loop.call_later(period, cut)

        cut()

    def _refuse(self, planned: PlannedFault) -> None:
        self._venue.refuse()

        def undo() -> None:
            self._venue.watch(asyncio.ensure_future(self._venue.listen()))

        self._undo[planned.number] = undo

    def _stop_answering(self, planned: PlannedFault) -> None:
        self._venue.cut_all()

    def _malformed(self, planned: PlannedFault) -> None:
        frame = planned.word_of("frame", '{"e":"trade","s":')
        if planned.fault.target == "user":
            self._venue.users.raw(frame)
            return
        for socket in self._venue.sockets:
            if socket.kind == "market":
                socket.send(frame)

    # ------------------------------------------------------------ rules, orders, money

    def _change(self, planned: PlannedFault, symbol: str, **new: int | bool) -> None:
        engine = self._venue.engine
        before = engine.change_rules(symbol, **new)
        again = {name: getattr(before, name) for name in new}
        earlier = self._undo.get(planned.number)

        def undo() -> None:
            if earlier is not None:
                earlier()
            engine.change_rules(symbol, **again)

        self._undo[planned.number] = undo

    def _new_rules(self, planned: PlannedFault) -> None:
        """Change filters: those named among the parameters, otherwise a tenfold lot and tick."""
        for symbol in self._symbols(planned):
            rules = self._venue.engine.rules[symbol]
            new: dict[str, int | bool] = {
                name: units(planned.word_of(name))
                for name in ("tick", "lot", "min_quantity", "max_quantity", "min_notional")
                if name in planned.fault.parameters
            }
            lot = rules.lot * 10
            self._change(
                planned,
                symbol,
                **(new or {"tick": rules.tick * 10, "lot": lot, "min_quantity": lot}),
            )

    def _halt(self, planned: PlannedFault) -> None:
        for symbol in self._symbols(planned):
            self._change(planned, symbol, trading=False)

    def _delist(self, planned: PlannedFault) -> None:
        """End the orders of a symbol, and match nothing of it; requests do not know it."""
        engine, now = self._venue.engine, self._venue.trading.now_ms()
        symbols = self._symbols(planned)
        for order in [each for each in engine.open.values() if each.asked.symbol in symbols]:
            engine.expire(order, now)
        self._halt(planned)

    def _other_fee(self, planned: PlannedFault) -> None:
        engine = self._venue.engine
        before = engine.fees
        engine.fees = msgspec.structs.replace(
            before, fee_currency=planned.word_of("fee_currency", "base")
        )

        def undo() -> None:
            engine.fees = before

        self._undo[planned.number] = undo

    def _mine(self, planned: PlannedFault) -> list[Order]:
        prefix, symbols = planned.word_of("client_prefix"), self._symbols(planned)
        return [
            order
            for order in self._venue.engine.open.values()
            if order.asked.symbol in symbols and order.asked.client_id.startswith(prefix)
        ]

    def _cancel_some(self, planned: PlannedFault) -> None:
        """End open orders without a reason: CANCELED, or EXPIRED by the parameters."""
        engine, now = self._venue.engine, self._venue.trading.now_ms()
        for order in self._mine(planned)[: int(planned.number_of("most", 1_000_000))]:
            if planned.word_of("status") == "EXPIRED":
                engine.expire(order, now)
            else:
                engine.cancel(order, now, by="venue")

    def _foreign_order(self, planned: PlannedFault) -> None:
        """Make a third party act on the account: an order, a fill, a deposit, a withdrawal."""
        kind, engine = planned.word_of("kind", "order"), self._venue.engine
        now, symbol = self._venue.trading.now_ms(), self._symbols(planned)[0]
        rules = engine.rules[symbol]
        try:
            if kind in {"deposit", "withdrawal"}:
                asset = planned.word_of("asset", rules.quote)
                amount = units(planned.word_of("amount", "100"))
                engine.transfer(asset, amount if kind == "deposit" else -amount, now)
                return
            self._foreign += 1
            last, side = engine.last[symbol], planned.word_of("side", "BUY")
            far = last * 9 // 10 if side == "BUY" else last * 11 // 10
            price = floor_to(far, rules.tick) if kind == "order" else 0
            least = rules.min_notional * 2 * SCALE // max(price or last, 1)
            amount = max(floor_to(least, rules.lot) + rules.lot, rules.min_quantity)
            if "amount" in planned.fault.parameters:
                amount = units(planned.word_of("amount"))
            asked = Asked(
                symbol, side, "LIMIT" if price else "MARKET", f"{_FOREIGN_PREFIX}{self._foreign}",
                amount, price=price, by="other",
            )  # fmt: skip
            engine.place(asked, now)
        except Rejection as rejection:
            self._venue.faults.note(planned, symbol, detail=f"rejected: {rejection}", counts=False)


def _seen(task: asyncio.Future[Any]) -> None:
    """Read a task's result, so that a closed connection is not reported as an unread error."""
    if not task.cancelled():
        task.exception()
