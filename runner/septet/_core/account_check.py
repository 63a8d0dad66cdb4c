"""Compares booked positions and cash with the account, and accounts for the cash of entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from septet import messages as m
from septet._core.checks import Checks
from septet._core.guards import Guards
from septet._core.orders import Orders
from septet._core.wiring import Names

__all__ = ["Account", "Books", "unreported_cash"]

UNREPORTED_SHARE: Final = 1e-3
"""A shortfall below this share of equity is not reported: a venue may name no fee of a fill."""
MOVED: Final = 1.05
"""Orders on their way may cost more than at the price that is known, by this factor at most."""


class Books(Protocol):
    """The engine's books: cash, and the position of a symbol."""

    @property
    def cash(self) -> float: ...

    def held(self, k: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Account:
    """Compares reads of the account with the books.

    Parameters
    ----------
    names
        Names of symbols and their currencies.
    guards
        Begin and end the blocks.
    orders, checks
        The order manager, which may explain a difference, and the last check, which knows prices.
    """

    names: Names
    guards: Guards
    orders: Orders
    checks: Checks

    def compare(
        self, event: m.Holdings, books: Books, close_gone: Callable[[int, float, float], None],
        keep_fee: Callable[[str], None],
        adopt: Callable[[int, float], None] | None = None,
    ) -> list[m.Command]:  # fmt: skip
        """Compare every position, then the cash.

        `adopt` accepts a position that differs; `close_gone` books a part of a position as closed,
        at a price, that a person has accepted as gone. `keep_fee` books what was deducted as an
        expected fee from a fill, named by its key, and that the account has kept.
        """
        commands: list[m.Command] = []
        orders, others, disputed = self.orders, event.others_fills, False
        for k, base in enumerate(self.names.base):
            free, locked = event.balances.get(base, (0.0, 0.0))
            account_units = free + locked - event.others.get(base, 0.0)
            booked_units = books.held(k)
            lot = self.checks.symbols[k].instrument.lot
            if adopt is not None and abs(account_units - booked_units) >= lot:
                adopt(k, account_units - booked_units)
                continue
            gap = (
                account_units - booked_units - self.guards.accepted(k)
            )  # others' balances prove no fill
            if orders.resolve_disputes(k, base, gap, lot, event.asked_ns, event.at_ns):
                disputed = True  # a fill was booked just now, and its cash with it
                continue
            lags = orders.lags(k, event.asked_ns, others.get(base, ()))
            stale = any(low or high for low, high in lags)
            if not (stale or event.others.get(base)) and orders.explains_nothing(k):
                for key in self.guards.expected_fees.not_taken(k, gap, lot):
                    keep_fee(key)
                booked_units = books.held(k)
            commands += self.guards.compare(
                k, booked_units, account_units, tolerance=lot, band=orders.band(k),
                lags=lags, now_ns=event.at_ns, others=event.others_open.get(base, (0.0, 0.0)),
                complete_until_ns=orders.complete_until_ns(event.asked_ns),
                price=self.checks.symbols[k].price, unread=partial(orders.band, k),
            )  # fmt: skip
            if not event.others.get(base) and orders.explains_nothing(k):
                missing, price = self.guards.gone(
                    k, booked_units, account_units, tolerance=lot, asked_ns=event.asked_ns,
                    price=self.checks.symbols[k].price,
                )  # fmt: skip
                if missing:
                    self.guards.booked_gone(k, missing, price)
                    close_gone(k, missing, price)
                    booked_units = books.held(k)
            short = self.guards.differs(k) and 0.0 <= account_units < booked_units
            orders.account_holds(k, account_units if short else None)
        return commands if disputed else commands + self._compare_cash(event, books.cash)

    def _compare_cash(self, event: m.Holdings, cash: float) -> list[m.Command]:
        """Compare the ledger's cash with the account's: free, and locked in own orders.

        A shortfall blocks entries, which could not be paid; a surplus belongs to somebody else.
        """
        currencies = set(self.names.quote)
        if len(currencies) != 1:
            return []
        (currency,) = currencies
        free, locked = event.balances.get(currency, (0.0, 0.0))
        buying, returning = unreported_cash(self.orders, self.checks, event.asked_ns)
        buying -= event.others_open.get(currency, (0.0, 0.0))[0]
        returning += sum(max(0.0, moved) for _, _, moved, _ in event.others_fills.get(currency, ()))
        in_orders = min(locked, buying)
        return self.guards.compare_funds(
            cash, free + in_orders - event.others.get(currency, 0.0),
            tolerance=UNREPORTED_SHARE * max(self.guards.equity, 0.0), unread=buying + returning,
            now_ns=event.at_ns,
            holdings=f"{free:.12g} {currency} free and {in_orders:.12g} in open orders of its own",
        )  # fmt: skip


def unreported_cash(orders: Orders, checks: Checks, asked_ns: int) -> tuple[float, float]:
    """Return the amounts of cash that a read of the account may not show yet, each positive.

    The first is cash that open buy orders may have locked or spent unreported, the second the
    proceeds of the newest sales, without a bound if there were too many fills to keep them all.
    """
    records, since_ns = orders.records, orders.complete_until_ns(asked_ns)
    buying = returning = 0.0
    for name in records.live:
        child = records.children[name]
        if child.sign > 0:
            limit = child.limit_price or child.trigger_price
            buying += child.rest * (limit or checks.symbols[child.symbol].price * MOVED)
    for k, recent in records.recent_fills.items():
        if recent.dropped_ns >= since_ns:
            return buying, math.inf
        sold = sum(max(0.0, -each[2]) for each in recent.fills if each[0] >= since_ns)
        returning += sold * checks.symbols[k].price * MOVED
    return buying, returning
