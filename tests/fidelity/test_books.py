"""Every equity row, trade and fill of drawn runs, worked out again from the fills alone.

Nothing of the ledger is used: fills come from the table that a run stores, sums are exact
fractions, and funding is counted from the bars by the sentence of the documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet._core.books import check_books, unexplained
from septet._kernel import layout
from septet._shell.project import Outcome, fills_of, trades_of
from septet.errors import ConfigError, RunError
from tests.core import draws
from tests.core.settings import HOUR, Bars, Settings
from tests.core.world import Ran, session_of, steps
from tests.scale import examples

EXAMPLES = 15
SHARE = 1e-9
KINDS: dict[str, dict[str, Any]] = {
    "spot": {"spot": True},
    "perpetual": {"spot": False},
    "small orders on spot": {"spot": True, "min_notional": 800.0, "participation": 0.01},
    "small orders of a perpetual": {"spot": False, "min_notional": 800.0, "participation": 0.1},
    "fees in what is bought": {"spot": True, "received": True, "lot": 0.1, "taker": 0.01},
    "liquidations": {"spot": False, "leverage": 10.0, "maintenance": 0.05, "amount": 0.9,
                     "sizing": "fixed_fraction", "limits": {"position": 3.0}},
}  # fmt: skip


@dataclass
class Audit:
    """An account that knows of fills and bars alone."""

    s: Settings
    bars: list[Bars]
    cash: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    liquidation: Fraction = Fraction(0)
    held: list[Fraction] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cash = Fraction(self.s.capital)
        self.held = [Fraction(0)] * len(self.bars)
        self.marks = [0.0] * len(self.bars)
        self.at = [{int(o) + HOUR: i for i, o in enumerate(b.open_ns)} for b in self.bars]

    def fund(self, k: int, after: int, until: int) -> None:
        """Charge the instants after one time and up to another."""
        every = self.s.funding_every
        count = max(0, until // every - after // every)
        if self.s.spot or not count:
            return
        paid = self.held[k] * Fraction(self.marks[k]) * Fraction(self.s.funding) * count
        self.cash -= paid
        self.funding += paid

    def fill(self, k: int, row: dict[str, Any]) -> None:
        """Book one row of the table of fills."""
        side = 1 if row["side"] == "buy" else -1
        quantity, fee = Fraction(row["quantity"]), Fraction(row["fee"])
        price, charge = Fraction(row["price"]), Fraction(row["liquidation"])
        self.held[k] += side * quantity
        self.cash -= side * quantity * price + charge
        self.liquidation += charge
        if row["fee_currency"] == "USDT":
            self.cash -= fee
            self.fees += fee
        else:
            self.held[k] -= fee
            self.fees += fee * price

    def step(self, before: int, now: int, rows: list[tuple[int, dict[str, Any]]]) -> float:
        """Pass one decision time; return the equity at it."""
        here = {k: at[now] for k, at in enumerate(self.at) if now in at}
        for k in range(len(self.bars)):
            until = int(self.bars[k].open_ns[here[k]]) if k in here else now
            self.fund(k, before, until)
        for k, row in rows:
            self.fill(k, row)
        for k, i in here.items():
            self.marks[k] = float(self.bars[k].close[i])
            self.fund(k, int(self.bars[k].open_ns[i]), now)
        worth = (held * Fraction(mark) for held, mark in zip(self.held, self.marks, strict=True))
        return float(self.cash + sum(worth, Fraction(0)))


def outcome_of(ran: Ran, begun: int = 0) -> Outcome:
    whole, parts = ran.log
    batch = ran.batch
    return Outcome(whole[begun:], parts[begun:], batch.F, batch.D, batch.G, batch.state)


def fill_rows(ran: Ran, begun: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the fills of one step with the number of their symbol."""
    table = fills_of(ran.session, outcome_of(ran, begun), "sim")
    names = list(ran.session.market.symbols)
    columns = {name: list(column) for name, column in table.items()}
    for n, symbol in enumerate(columns["symbol"]):
        yield names.index(symbol), {name: column[n] for name, column in columns.items()}


def in_bar(s: Settings, bars: Bars, i: int, price: float) -> bool:
    """Whether a price lies in a bar, but for slippage and the tick."""
    high = float(bars.high[i]) * (1.0 + s.slippage) + s.tick
    low = float(bars.low[i]) * (1.0 - s.slippage) - s.tick
    return low * (1.0 - 1e-12) <= price <= high * (1.0 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_fills_alone_explain_every_equity_row_and_every_trade(kind: str, data: Any) -> None:
    s: Settings = data.draw(draws.settings(**KINDS[kind]))
    bars: list[Bars] = data.draw(draws.markets(s, 90))
    try:
        session = session_of(s, bars)
    except ConfigError:  # levels that contradict each other are refused by the file's checks
        reject()
    audit, ran, times = Audit(s, bars), None, session.tape.T[layout.KNOWN].tolist()
    for t, ran, begun in steps(session):
        rows = list(fill_rows(ran, begun))
        for k, row in rows:
            i = int(session.tape.T[layout.ROW + k, t])
            assert in_bar(s, bars[k], i, row["price"]), (row, i)
        expected = audit.step(times[t - 1], times[t], rows)
        found = float(ran.batch.G[layout.G_EQUITY, t])
        assert abs(found - expected) <= SHARE * max(s.capital, abs(expected)), times[t]
    assert ran is not None
    trades = trades_of(session, outcome_of(ran))
    check_trades(s, trades)
    gained = math.fsum(trades["pnl"]) - (float(ran.batch.G[layout.G_EQUITY, -1]) - s.capital)
    assert abs(gained) <= SHARE * s.capital * max(
        1.0, ran.batch.G[layout.G_EQUITY].max() / s.capital
    )
    check_books(ran.batch.state, s.capital, trades["pnl"])
    check_books(ran.batch.state, s.capital)
    for name in ("fees", "funding", "liquidation"):
        found, expected = math.fsum(trades[name]), float(getattr(audit, name))
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=SHARE * s.capital), name


def check_trades(s: Settings, trades: dict[str, Any]) -> None:
    """Each row explains its result, and no position lost more than its margin."""
    side = np.where(np.array(list(trades["side"])) == "long", 1.0, -1.0)
    reasons = list(trades["exit_reason"])
    moved = side * (trades["exit_price"] - trades["entry_price"]) * trades["quantity"]
    net = moved - trades["fees"] - trades["funding"] - trades["liquidation"]
    worth = trades["quantity"] * np.maximum(trades["entry_price"], trades["exit_price"])
    for n, reason in enumerate(reasons):
        if reason in ("open", "dust"):
            continue  # what was sold of it before is no part of the row
        assert abs(net[n] - trades["pnl"][n]) <= 1e-9 * max(worth[n], 1.0), (n, reason)
        if reason == "liquidation":
            margin = trades["quantity"][n] * trades["entry_price"][n] / s.leverage
            assert moved[n] - trades["liquidation"][n] >= -margin * (1.0 + 1e-9), n


def test_books_that_do_not_add_up_are_refused() -> None:
    session = session_of(Settings(), data_of_a_walk())
    ran = [each for _, each, _ in steps(session)][-1]
    capital = session.strategy.account.capital
    assert unexplained(ran.batch.state, capital) == 0.0
    ran.batch.state.A[layout.CASH] += 1e-3
    with pytest.raises(RunError, match="the books do not add up"):
        check_books(ran.batch.state, capital)


def data_of_a_walk() -> list[Bars]:
    from tests.core.settings import walk

    return [walk(3)]
