"""The life of orders at a venue, as a script: what a connection must answer at each step."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from septet import messages as m
from septet._host.background_tasks import Tasks
from septet._host.guarded_arrays import StepError, located
from septet._host.plugin_calls import is_theirs
from septet._host.venues import VenueFacts
from septet.testing.local import Trial

__all__ = ["VENUE", "connect_to", "live_through", "open_without"]

VENUE: Final = (
    "open", "submit", "amend", "cancel", "cancel_all", "query", "open_orders", "fills", "holdings",
    "skew", "refresh_markets", "close",
)  # fmt: skip
PATIENCE_S: Final = 10.0
"""Seconds of wall time that an event which comes by itself may take."""
NOWHERE: Final = "KITNONE"
"""A base currency that no exchange lists."""
OPEN: Final = ("open", "partially_filled")


class _Wall:
    """Wall and market time are the same."""

    speed = 1.0

    def now_ns(self) -> int:
        """Return wall time."""
        return time.time_ns()

    market_ns = now_ns


def connect_to(built: Any, read: Callable[..., str]) -> Any:
    """Connect without opening, and require every method of a live venue."""
    wanted = inspect.signature(built.connect).parameters
    named = any(each.kind is each.VAR_KEYWORD for each in wanted.values())
    more = {"read": read, "tasks": Tasks("kit")}
    given = {name: more[name] for name in more if named or name in wanted}
    try:
        link = built.connect(name="kit", clock=_Wall(), **given)
    except BaseException as error:  # a stranger's method may raise anything
        if not is_theirs(error):
            raise
        raise located(error) from error
    missing = [name for name in VENUE if not inspect.iscoroutinefunction(getattr(link, name, None))]
    if missing:
        raise StepError(
            f"{type(link).__name__} lacks async methods: {', '.join(missing)}; "
            "docs/plugins.md, section 11, states what each does"
        )
    return link


async def live_through(link: Any, trial: Trial) -> dict[str, list[str]]:
    """Open a connection and lead orders through their lives; return the reports on them.

    The reports leave out times, ids and prices: two processes must return the same.

    Raises
    ------
    StepError
        For the first answer that a venue must not give, or an exception, with its line.
    """
    script = _Script(link, trial)
    try:
        await script.check_open()
        await script.check_resting_order()
        await script.check_unknown_order()
        await script.check_fills()
        await script.check_cancel_all()
    finally:
        await script.answer_of("close", link.close())
    return script.reported


async def open_without(link: Any, trial: Trial) -> None:
    """Open a connection with a symbol that no exchange lists; the others must be served.

    Raises
    ------
    StepError
        If it raises, or does not name the symbol.
    """
    script = _Script(link, trial)
    try:
        await script.check_open_with_unlisted()
    finally:
        await script.answer_of("close", link.close())


class _Script:
    """One connection, and the messages it sent unasked."""

    def __init__(self, link: Any, trial: Trial) -> None:
        self.link, self.trial = link, trial
        self.events: list[Any] = []
        self.reported: dict[str, list[str]] = {}
        self.number = 0

    def wrong(self, message: str) -> StepError:
        """Return an error about the connection."""
        return StepError(f"{type(self.link).__name__}.{message}")

    async def answer_of(self, name: str, call: Awaitable[Any]) -> Any:
        """Await one method; what it raises is a fault of the adapter."""
        try:
            return await asyncio.wait_for(call, PATIENCE_S)
        except TimeoutError:
            raise self.wrong(f"{name} gives no answer within {PATIENCE_S:g} s") from None
        except BaseException as error:  # a stranger's method may raise anything
            if not is_theirs(error):
                raise
            raise located(error) from error

    def submit_of(self, kind: str, side: str = "buy", price: float | None = None) -> m.Submit:
        """Return a new order with an id of its own; a half is sold, for fees may take of it."""
        self.number += 1
        quantity = self.trial.quantity * (0.5 if side == "sell" else 1.0)
        return m.Submit(
            client_id=f"kit-{time.time_ns() % 10**9}-{self.number}", parent=self.number, symbol=0,
            side=side, order_type=kind, quantity=quantity, reduces=side == "sell",  # type: ignore[arg-type]
            deadline_ns=time.time_ns() + 60 * 10**9, limit_price=price,
        )  # fmt: skip

    def expect(self, name: str, answer: Any, *kinds: type) -> Any:
        """Require an answer of certain kinds."""
        if not isinstance(answer, kinds):
            words = " or ".join(kind.__name__ for kind in kinds)
            raise self.wrong(f"{name} answers {answer!r:.120}; expected {words}")
        return answer

    # ------------------------------------------------------------------ the script

    async def check_open(self) -> None:
        """Open the connection, and check what it reports of the account and its markets."""
        facts = await self.answer_of("open", self.link.open(self.trial.symbols, self.events.append))
        self.expect("open", facts, VenueFacts)
        missing = [each for each in self.trial.symbols if each not in facts.markets]
        if missing:
            raise self.wrong(f"open knows no market of {', '.join(missing)}")
        if not facts.account or facts.answers_final_after_ns <= 0:
            raise self.wrong("open names no account, or no time after which an answer is final")
        self.market = facts.markets[self.trial.symbols[0]]
        self.reported["what open returns"] = [
            f"exchange {facts.exchange}", f"account {facts.account}",
            *(f"{each} {facts.markets[each]!r}" for each in self.trial.symbols),
            f"orders {sorted(facts.order_types)}", f"withdrawal {facts.can_withdraw}",
            f"test {facts.is_test}", f"answers final after {facts.answers_final_after_ns}",
            f"streams {facts.streams_orders}", f"amends {facts.amends}",
        ]  # fmt: skip
        self.expect("holdings", await self.answer_of("holdings", self.link.holdings()), m.Holdings)

    async def check_open_with_unlisted(self) -> None:
        """Open with an additional symbol that is not listed."""
        nowhere = f"{NOWHERE}/{self.trial.symbols[0].partition('/')[2]}"
        symbols = (*self.trial.symbols, nowhere)
        try:
            facts = await self.answer_of("open", self.link.open(symbols, self.events.append))
        except StepError as error:
            text = "open raises for a symbol that is not listed, which would stop all others"
            raise self.wrong(f"{text}: {error}") from error
        self.expect("open", facts, VenueFacts)
        if nowhere not in facts.unlisted or nowhere in facts.markets:
            raise self.wrong(f"open does not name {nowhere}, which is not listed, in unlisted")
        missing = [each for each in self.trial.symbols if each not in facts.markets]
        if missing:
            raise self.wrong(f"open knows no market of {', '.join(missing)} beside {nowhere}")
        orders = await self.answer_of("open_orders", self.link.open_orders())
        self.expect("open_orders", orders, m.OpenOrders)

    async def submit_accepted(self, order: m.Submit) -> Any:
        """Send an order; each report must be about that order."""
        answer = await self.answer_of("submit", self.link.submit(order))
        self.expect("submit", answer, m.Acked)
        if answer.client_id != order.client_id or answer.side != order.side:
            raise self.wrong("submit answers with another order than it was given")
        if answer.quantity is not None and not math.isclose(answer.quantity, order.quantity):
            raise self.wrong(f"submit answers a quantity of {answer.quantity:g}")
        return answer

    async def query_until(self, order: m.Submit, *kinds: type, wanted: Sequence[str] = ()) -> Any:
        """Ask for an order until it is in a state."""
        query = m.Query(client_id=order.client_id, symbol=0)
        ends = time.monotonic() + PATIENCE_S
        while True:
            answer = await self.answer_of("query", self.link.query(query))
            self.expect("query", answer, *(kinds or (m.OrderSeen,)))
            if not wanted or answer.state in wanted:
                return answer
            if time.monotonic() > ends:
                raise self.wrong(
                    f"query returns {answer.state} for an order; expected {' or '.join(wanted)}"
                )
            await asyncio.sleep(0.02)

    async def open_order_ids(self) -> set[str]:
        """Return the ids of the orders that are open."""
        answer = await self.answer_of("open_orders", self.link.open_orders())
        self.expect("open_orders", answer, m.OpenOrders)
        return {each.client_id for each in answer.orders}

    async def check_resting_order(self) -> None:
        """Place an order that rests, look at it, cancel it, cancel it again."""
        order = self.submit_of("limit", price=self.trial.resting_price)
        await self.submit_accepted(order)
        found = await self.query_until(order, wanted=OPEN)
        if found.client_id != order.client_id or found.filled != 0.0:
            raise self.wrong("query shows another order than it was asked for, or a filled one")
        if order.client_id not in await self.open_order_ids():
            raise self.wrong("open_orders leaves out an order that rests")
        cancel = m.Cancel(client_id=order.client_id, symbol=0)
        answer = await self.answer_of("cancel", self.link.cancel(cancel))
        self.expect("cancel", answer, m.OrderSeen)
        await self.query_until(order, m.OrderSeen, wanted=("cancelled",))
        if order.client_id in await self.open_order_ids():
            raise self.wrong("open_orders shows an order that was cancelled")
        again = await self.answer_of("cancel", self.link.cancel(cancel))
        self.expect("cancel", again, m.OrderSeen, m.NotFound, m.CancelFailed)
        self.reported["a second cancel"] = [type(again).__name__]
        if any(isinstance(each, m.Filled) for each in self.events):
            raise self.wrong("submit fills an order that rests: choose another resting_price")

    async def check_unknown_order(self) -> None:
        """Ask for, and cancel, an order that never was."""
        query = m.Query(client_id="kit-never-was", symbol=0)
        self.expect("query", await self.answer_of("query", self.link.query(query)), m.NotFound)
        cancel = m.Cancel(client_id="kit-never-was", symbol=0)
        answer = await self.answer_of("cancel", self.link.cancel(cancel))
        self.expect("cancel", answer, m.NotFound, m.CancelFailed)
        self.reported["a cancel of what never was"] = [type(answer).__name__]

    async def check_fills(self) -> None:
        """Buy at market, receive each execution, find it in the list; sell a half again."""
        began = time.time_ns() - 60 * 10**9
        for side in ("buy", "sell"):
            order = self.submit_of("market", side)
            await self.submit_accepted(order)
            received = await self.await_executions(order)
            found = await self.query_until(order, wanted=("filled",))
            self.reported[f"a {side} at market"] = [
                *sorted(
                    {
                        f"{each.side} at {each.venue}, fee in {each.fee_currency}"
                        for each in self.events
                        if isinstance(each, m.Filled) and each.client_id == order.client_id
                    }
                ),
                f"{sum(received.values())!r} filled",
            ]
            if not math.isclose(found.filled, order.quantity):
                raise self.wrong(f"query reports {found.filled:g} of {order.quantity:g} as filled")
            listed = await self.answer_of("fills", self.link.fills(0, began))
            own = {
                each.trade_id: each.quantity for each in listed or () if each.client_id in
                (order.client_id, "")
            }  # fmt: skip
            for trade_id, quantity in received.items():
                if not math.isclose(own.get(trade_id, math.nan), quantity):
                    raise self.wrong(
                        f"fills does not list the execution {trade_id} that was reported"
                    )

    async def await_executions(self, order: m.Submit) -> dict[str, float]:
        """Wait for the executions of an order; the same one may come twice."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            own = [e for e in self.events if isinstance(e, m.Filled)]
            mine = [each for each in own if each.client_id == order.client_id]
            by_id = {each.trade_id: each.quantity for each in mine}
            total = sum(by_id.values())
            for each in mine:
                if not each.trade_id or each.side != order.side or not each.price > 0.0:
                    raise self.wrong(f"the sink is given {each!r:.120}: no execution of the order")
            if total > order.quantity * (1.0 + 1e-9):
                raise self.wrong(f"the sink is given {total:g} of an order of {order.quantity:g}")
            if math.isclose(total, order.quantity):
                return by_id
            if time.monotonic() > ends:
                raise self.wrong(
                    f"the sink was given {total:g} of {order.quantity:g} that an order at market "
                    "filled"
                )
            await asyncio.sleep(0.02)

    async def check_cancel_all(self) -> None:
        """Cancel everything; read the clock and the filters."""
        orders = [self.submit_of("limit", price=self.trial.resting_price) for _ in range(2)]
        for order in orders:
            await self.submit_accepted(order)
        await self.answer_of("cancel_all", self.link.cancel_all((0,)))
        ends = time.monotonic() + PATIENCE_S
        while left := {each.client_id for each in orders} & await self.open_order_ids():
            if time.monotonic() > ends:
                raise self.wrong(f"cancel_all leaves {len(left)} of 2 orders open")
            await asyncio.sleep(0.02)
        skew = await self.answer_of("skew", self.link.skew())
        self.expect("skew", skew, m.Skewed, type(None))
        changed = await self.answer_of("refresh_markets", self.link.refresh_markets())
        self.expect("refresh_markets", changed, list, tuple, type(None))
