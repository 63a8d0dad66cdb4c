"""A minimal strategy and ledger around the real order manager, checks and guards.

It decides at random, from the time of the decision alone, so that a replay decides the same. What
it asks of the order manager is varied: entries of every kind, additions, exits, flips from one
kind of order to another, amends, cancels and protective stops.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from operator import mul
from typing import Final

import msgspec

from septet import messages as m
from septet._core.checks import Checks, Instrument, Limits
from septet._core.guards import Guards
from septet._core.orders import (
    Booked,
    Ended,
    NeverSentOrder,
    Orders,
    Outcome,
    Parent,
    Timing,
    Triggered,
)
from septet._drill.sim.market import BASES, LOT, QUOTE, listed
from septet._drill.sim.shell import SubjectFactory
from septet._drill.sim.simulated_time import MS, SECOND
from septet._drill.sim.venue import ANSWERS_FINAL_AFTER_NS, TIMEOUT_NS
from septet._drill.venue.amounts import SCALE

__all__ = ["TIMING", "SimStrategy", "sim_strategies"]

TAG: Final = "t0000000"
TIMING: Final = Timing(
    answers_final_after_ns=ANSWERS_FINAL_AFTER_NS,
    query_first_ns=250 * MS, query_longest_ns=4 * SECOND,
    answer_within_ns=TIMEOUT_NS + 2 * SECOND, send_within_ns=2 * SECOND, review_ns=10 * SECOND,
    wait_alarm_ns=20 * SECOND, retry_most_ns=8 * SECOND,
)  # fmt: skip
AMENDING: Final = msgspec.structs.replace(TIMING, amends=True)
_KINDS: Final[tuple[m.OrderKind, ...]] = ("market", "market", "limit", "stop", "stop_limit")


class _Kept(msgspec.Struct):
    orders: bytes
    checks: bytes
    guards: bytes
    units: list[int]
    cash: float
    placed: int
    working: list[dict[int, None]]
    prices: list[float]


class SimStrategy:
    """The subject: decisions at decision times, orders between them, fills into a ledger."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._names = [f"{base}/{QUOTE}" for base in BASES[: listed(seed)]]
        instruments = [Instrument(symbol=name, lot=LOT / SCALE, tick=0.01) for name in self._names]
        limits = Limits(orders_per_minute=40, position=0.8, repeats=6)
        self.checks = Checks(instruments, limits)
        self.guards = Guards(self._names)
        timing = AMENDING if seed % 3 == 0 else TIMING
        self.orders = Orders(TAG, self.checks, self.guards, self._position, timing)
        self._units = [0 for _ in self._names]
        self._cash = 1_000.0
        self._placed = 0
        self._working: list[dict[int, None]] = [{} for _ in self._names]
        self._prices = [0.0 for _ in self._names]
        self._out: list[m.Command] = []

    def _position(self, k: int) -> float:
        return self._units[k] / SCALE

    # ------------------------------------------------------------ events

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        """Take one event; return what must happen because of it."""
        self._out = []
        now_ns = event.at_ns
        self._out += self.guards.handle(event)
        self.orders.handle(event)
        match event:
            case m.Quoted():
                self._prices[event.symbol] = 0.5 * (event.bid + event.ask)
                self.checks.priced(event.symbol, self._prices[event.symbol], now_ns)
                self.checks.equity = self._cash + sum(map(mul, self._units, self._prices)) / SCALE
                self._watch(event.symbol, event.bid, now_ns)
            case m.DecisionTimeReached():
                for k in event.present if event.decides else ():
                    self._decide(k, event)
            case m.Holdings():
                self._compare(event)
        self._out += self._proceed(now_ns)
        return self._out

    def _proceed(self, now_ns: int) -> Sequence[m.Command]:
        reported: list[m.Command] = []
        commands = self.orders.proceed(now_ns, lambda each: self._apply(each, now_ns, reported))
        return [*commands, *reported]

    def _compare(self, event: m.Holdings) -> None:
        for k, units in enumerate(self._units):
            base, held, lot = BASES[k], units / SCALE, LOT / SCALE
            theirs, asked_ns = sum(event.balances[base]), event.asked_ns
            gap = theirs - held
            if self.orders.resolve_disputes(k, base, gap, lot, asked_ns, event.at_ns):
                continue
            self._out += self.guards.compare(
                k, held, theirs, tolerance=lot,
                band=self.orders.band(k), lags=self.orders.lags(k, asked_ns),
                now_ns=event.at_ns,
            )  # fmt: skip

    def _apply(self, outcome: Outcome, now_ns: int, reported: list[m.Command]) -> None:
        if isinstance(outcome, Booked):
            reported.append(self._book(outcome))
        elif isinstance(outcome, Ended):
            del self._working[outcome.symbol][outcome.parent]
        elif isinstance(outcome, Triggered):
            reported.append(m.Alerted(level="info", event="stop", text=outcome.client_id))
        elif isinstance(outcome, NeverSentOrder):
            reported += self.guards.trip("safe_mode", now_ns, text=outcome.text)

    def _book(self, booked: Booked) -> m.Traded:
        fill, k = booked.fill, booked.symbol
        units = round(booked.quantity * SCALE)
        self._cash -= booked.quantity * fill.price
        if fill.fee_currency == BASES[k]:
            units -= round(fill.fee * SCALE)
        else:
            self._cash -= fill.fee
        self._units[k] += units
        return m.Traded(
            order=booked.parent, symbol=k, trade_id=fill.trade_id, side=fill.side,
            quantity=fill.quantity, price=fill.price, fee=fill.fee,
            fee_currency=fill.fee_currency, position=self._units[k] / SCALE,
            market_ns=fill.market_ns,
        )  # fmt: skip

    # ------------------------------------------------------------ decisions

    def _watch(self, k: int, bid: float, now_ns: int) -> None:
        """Sell at the level of a stop that does not stand: no venue takes one beyond its price."""
        stop = self.orders.records.stops.get(k)
        if stop is None or not 0.0 < bid <= stop.trigger or self.orders.protected(k):
            return
        if self._units[k] >= LOT:
            self.orders.protect(k, 0.0, 0.0)
            self._exit(k, now_ns, closes_all=True)

    def _decide(self, k: int, event: m.DecisionTimeReached) -> None:
        chance = random.Random(event.time_ns // MS ^ (self._seed * 7_919) ^ k)
        now_ns, drawn, price = event.at_ns, chance.random(), self._prices[k]
        held, working = self._units[k], self._working[k]
        if self.orders.records.kill:  # a halted engine decides exits alone
            if held >= LOT and drawn < 0.2:
                self._exit(k, now_ns, closes_all=True)
            return
        for number in list(working):
            if chance.random() < 0.15:
                self.orders.request_cancel(number, "expired", now_ns)
            elif chance.random() < 0.3:
                self.orders.amend(number, price * chance.uniform(0.99, 1.01), now_ns)
        if price <= 0.0:
            return
        if held < LOT:
            if drawn < 0.6 and len(working) < 3:
                self._enter(k, chance, now_ns)
            return
        if drawn < 0.3:
            self._exit(k, now_ns, closes_all=True)
        elif drawn < 0.4:
            self._exit(k, now_ns, closes_all=False)
        elif drawn < 0.6 and len(working) < 3:
            self._enter(k, chance, now_ns)
        elif drawn < 0.8:
            self.orders.protect(k, held / SCALE, price * chance.uniform(0.97, 0.999))
        elif drawn < 0.85:
            self.orders.protect(k, 0.0, 0.0)

    def _place(self, parent: Parent, now_ns: int) -> None:
        self._working[parent.symbol][parent.number] = None
        self._placed += 1
        self.orders.place(parent, now_ns)

    def _enter(self, k: int, chance: random.Random, now_ns: int) -> None:
        kind, price = chance.choice(_KINDS), self._prices[k]
        quantity = chance.randint(1, 1_500) * LOT / SCALE
        limit = price * chance.uniform(0.99, 1.004)
        trigger = price * chance.uniform(1.0, 1.005)
        patient = kind == "market" and chance.random() < 0.4
        self._place(
            Parent(
                number=self._placed, symbol=k, quantity=quantity, kind=kind,
                limit_price=limit if "limit" in kind else None,
                trigger_price=trigger if "stop" in kind else None,
                decided_price=price, deadline_ns=now_ns + 2 * SECOND,
                spends=chance.random() < 0.3,
                patience_ns=3 * SECOND if patient else 0,
                max_slippage=0.01 if patient else 0.0, reason="entry",
                trace=f"entry of {quantity}",
            ),
            now_ns,
        )  # fmt: skip

    def _exit(self, k: int, now_ns: int, *, closes_all: bool) -> None:
        lots = self._units[k] // LOT
        quantity = (lots if closes_all else max(1, lots // 2)) * LOT / SCALE
        self._place(
            Parent(
                number=self._placed, symbol=k, quantity=-quantity, reduces=True,
                closes_all=closes_all, decided_price=self._prices[k], reason="exit",
            ),
            now_ns,
        )  # fmt: skip

    # ------------------------------------------------------------ what is kept

    def snapshot(self) -> bytes:
        """Return everything that is remembered."""
        return msgspec.msgpack.encode(
            _Kept(
                self.orders.snapshot(), self.checks.snapshot(), self.guards.snapshot(),
                self._units, self._cash, self._placed, self._working, self._prices,
            )
        )  # fmt: skip

    def restore(self, data: bytes) -> None:
        """Take the place of the strategy that gave a snapshot."""
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.orders.restore(kept.orders)
        self.checks.restore(kept.checks)
        self.guards.restore(kept.guards)
        self._units, self._cash, self._placed = kept.units, kept.cash, kept.placed
        self._working, self._prices = kept.working, kept.prices


def sim_strategies(seed: int) -> SubjectFactory:
    """Return what makes the strategy of a seed."""
    return lambda: SimStrategy(seed)
