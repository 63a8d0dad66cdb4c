"""Every equity row, order, trade and fill of drawn runs, worked out again from the fills alone.

Nothing of the ledger is used: fills come from the table that a run stores, sums are exact
fractions, and funding is counted from the bars by the sentence of the documents.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet._core.ledger_check import check_books, unexplained
from septet._kernel import layout
from septet._shell.result_tables import Outcome, fills_of, orders_of, trades_of
from septet._shell.session import Session
from septet.errors import ConfigError, RunError
from tests.core import drawn_cases
from tests.core.paths import Left, begin, finish, plainly, stretch
from tests.core.settings import Bars, Settings, walk
from tests.core.world import session_of, steps
from tests.fidelity.audit import Audit, Round
from tests.fidelity.positions.in_engine import assert_same_by_events, inputs_of
from tests.scale import examples

EXAMPLES = 8
SHARE = 1e-9
LIQUIDATED: dict[str, Any] = {
    "spot": False, "leverage": 10.0, "maintenance": 0.05, "amount": 0.9,
    "sizing": "fixed_fraction", "limits": {"position": 3.0},
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "spot": {"spot": True},
    "perpetual": {"spot": False},
    "small orders on spot": {"spot": True, "min_notional": 800.0, "participation": 0.01},
    "small orders of a perpetual": {"spot": False, "min_notional": 800.0, "participation": 0.1},
    "fees in what is bought": {"spot": True, "received": True, "lot": 0.1, "taker": 0.01},
    "resizes": {"spot": True, "band": 0.02, "received": False, "exit_back": 3, "long_back": 1,
                "sizing": "fixed_fraction", "amount": 0.5, "order": "market"},
    "flips and resizes": {"spot": False, "band": 0.02, "participation": 0.01, "exit_back": 0,
                          "short_back": 2, "opposite": True, "funding": 0.001, "leverage": 3.0},
    "liquidations": LIQUIDATED,
}  # fmt: skip


def fill_rows(session: Session, outcome: Outcome) -> list[tuple[int, dict[str, Any]]]:
    """Fills with the number of their symbol."""
    names = list(session.market.symbols)
    columns = {name: list(each) for name, each in fills_of(session, outcome, "sim").items()}
    return [
        (names.index(symbol), {name: column[n] for name, column in columns.items()})
        for n, symbol in enumerate(columns["symbol"])
    ]


def in_bar(s: Settings, bars: Bars, i: int, price: float) -> bool:
    """Whether a price lies in a bar, but for slippage and the tick."""
    high = float(bars.high[i]) * (1.0 + s.slippage) + s.tick
    low = float(bars.low[i]) * (1.0 - s.slippage) - s.tick
    return low * (1.0 - 1e-12) <= price <= high * (1.0 + 1e-12)


def run_and_audit(session: Session, audit: Audit) -> Left:
    """Run time by time; check every fill against its bar and every equity row against the fills."""
    batch, aligned, s = begin(plainly(session)), session.aligned, audit.s
    times = aligned.T[layout.KNOWN].tolist()
    for t in range(aligned.times):
        begun = int(batch.state.C[layout.LOG])
        with np.errstate(all="ignore"):
            stretch(session, batch, t, t + 1)
        if t < session.first:
            continue
        last = int(batch.state.C[layout.LOG])
        log = batch.LI[begun:last], batch.LF[begun:last]
        rows = fill_rows(session, Outcome(*log, batch.F, batch.D, batch.G, batch.state))
        for k, row in rows:
            i = int(aligned.T[layout.ROW + k, t])
            assert in_bar(s, audit.bars[k], i, row["price"]), (row, i)
        expected = audit.step(times[t - 1], times[t], rows)
        found = float(batch.G[layout.G_EQUITY, t])
        assert abs(found - expected) <= SHARE * max(s.capital, abs(expected)), times[t]
    return finish(session, batch, "batch")


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_fills_alone_explain_every_equity_row_order_and_trade(kind: str, data: Any) -> None:
    s: Settings = data.draw(drawn_cases.settings(**KINDS[kind]))
    bars: list[Bars] = data.draw(drawn_cases.markets(s, 90))
    try:
        session = session_of(s, bars)
    except ConfigError:  # levels that contradict each other are refused by the file's checks
        reject()
    audit, before = Audit(s, bars), inputs_of(session)
    left = run_and_audit(session, audit)
    assert inputs_of(session) == before, "the batch path has written to its bars"
    assert_same_by_events(left, 40)
    outcome, curve = left.outcome, left.outcome.G[layout.G_EQUITY]
    trades = trades_of(session, outcome)
    check_trades(s, trades)
    check_orders(s, session, outcome)
    if not s.received:  # a fee in the base leaves dust, which is part of no trade
        check_rounds(session, outcome, audit, trades)
    gained = math.fsum(trades["pnl"]) - (float(curve[-1]) - s.capital)
    assert abs(gained) <= SHARE * max(s.capital, curve[session.first :].max())
    check_books(outcome.state, s.capital, trades)
    check_books(outcome.state, s.capital)
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
        assert reason != "entry", n
        if reason == "dust":
            continue  # what no trade explains; it has no entry of its own
        assert abs(net[n] - trades["pnl"][n]) <= 1e-9 * max(worth[n], 1.0), (n, reason)
        if reason == "liquidation":
            margin = trades["quantity"][n] * trades["entry_price"][n] / s.leverage
            lost = trades["funding"][n] + trades["liquidation"][n] - moved[n]
            assert lost <= margin * (1.0 + 1e-9), n


def check_orders(s: Settings, session: Session, outcome: Outcome) -> None:
    """An order that is filled is filled in full; one that is not gives the reason."""
    orders = orders_of(session, outcome)
    done: dict[str, float] = {}
    for _, row in fill_rows(session, outcome):
        done[row["order_id"]] = done.get(row["order_id"], 0.0) + row["quantity"]
    columns = (orders[n] for n in ("order_id", "quantity", "filled", "status", "ended_by"))
    for order_id, quantity, filled, status, reason in zip(*map(list, columns), strict=True):
        assert math.isclose(filled, done.get(order_id, 0.0), rel_tol=1e-12), order_id
        missing = quantity - filled
        if status == "filled":
            assert missing < s.lot * (1.0 + 1e-9), (order_id, missing)
        elif status in ("expired", "cancelled"):
            assert missing > 0.0, order_id
            assert reason not in ("", "entry"), order_id


def check_rounds(session: Session, outcome: Outcome, audit: Audit, trades: dict[str, Any]) -> None:
    """Prices and quantity of each row are the means and the sum of its fills."""
    names, reasons = list(session.market.symbols), session.plan.assembly.reasons
    orders = outcome.rows(layout.ORDER)
    sent = {f"o{n + 1}": reasons[why] for n, why in outcome.LI[orders][:, [3, 5]].tolist()}
    marked = [each.marked(audit.marks[k]) for k, each in enumerate(audit.rounds)]
    expected = {
        k: [*each.closed, *([still] if still else [])]
        for k, (each, still) in enumerate(zip(audit.rounds, marked, strict=True))
    }
    columns = {name: list(column) for name, column in trades.items()}
    for n, symbol in enumerate(columns["symbol"]):
        row = {name: column[n] for name, column in columns.items()}
        if row["exit_reason"] == "dust":
            assert abs(row["pnl"]) <= SHARE * audit.s.capital
            continue
        made: Round = expected[names.index(symbol)].pop(0)
        assert row["side"] == ("long" if made.side > 0 else "short")
        assert math.isclose(row["quantity"], float(made.entered), rel_tol=1e-9)
        assert math.isclose(row["entry_price"], made.entry_price, rel_tol=1e-9)
        assert math.isclose(row["exit_price"], made.exit_price, rel_tol=1e-9)
        assert (row["exit_reason"] == "open") == (made.ended_by == "")
        if made.ended_by:  # an entry of the other side closes a trade as a reversal
            why = sent[made.ended_by]
            assert row["exit_reason"] == ("reversal" if why == "entry" else why)
    assert not any(expected.values())


def test_books_that_do_not_add_up_are_refused() -> None:
    session = session_of(Settings(), [walk(3)])
    ran = [each for _, each, _ in steps(session)][-1]
    capital = session.strategy.account.capital
    assert unexplained(ran.batch.state, capital) == 0.0
    ran.batch.state.A[layout.CASH] += 1e-3
    with pytest.raises(RunError, match="the books do not add up"):
        check_books(ran.batch.state, capital)


def test_equity_that_overflows_names_what_made_it() -> None:
    session = session_of(Settings(), [walk(3)])
    ran = [each for _, each, _ in steps(session)][-1]
    state, capital = ran.batch.state, session.strategy.account.capital
    trades = {
        "symbol": ["A", "B", "B"], "exit_time": [0, 3_600_000_000_000, 7_200_000_000_000],
        "pnl": [1.0, 9e300, math.nan], "fees": [0.0, 1e299, math.inf],
        "funding": [0.0, -8e300, -math.inf],
    }  # fmt: skip
    for cash in (math.inf, -math.inf, math.nan):
        state.A[layout.CASH] = cash
        assert math.isnan(unexplained(state, capital))
        with pytest.raises(
            RunError,
            match="has overflowed: its largest trade .* B until 1970-01-01"
            r"T01:00:00Z, made 9e\+300, most of it by funding, of which it received",
        ):
            check_books(state, capital, trades)
        with pytest.raises(RunError, match=r"has overflowed: cash (nan|-?inf), funding paid 0"):
            check_books(state, capital)


def test_finite_results_whose_sum_overflows_are_reported() -> None:
    session = session_of(Settings(), [walk(3)])
    state = [each for _, each, _ in steps(session)][-1].batch.state
    assert math.isnan(unexplained(state, 1.0, [1.7e308, 1.7e308]))
