"""A fill that was booked at a guess is corrected to what the venue lists."""

from __future__ import annotations

import math

import pytest

from septet import messages as m
from septet._core.ledger_check import unexplained
from septet._journal.fill_rows import correct_rows
from septet._journal.trades import Instrument, TradeBook
from septet._kernel import layout
from tests.core.engine_harness import MINUTE, EngineHarness

GUESS, TRUE, LEFT, FEE = 103.0, 101.0, 99.0, 0.25
SUMS = (layout.CASH, layout.FEES, layout.TURNOVER)
OF_TRADE = (
    layout.AVERAGE, layout.TRADE_GROSS, layout.TRADE_FEES, layout.EXIT_NOTIONAL, layout.UNITS,
)  # fmt: skip


def booked(
    side: float, entry: float, exit_: float | None, fee: float, part: float = 1.0
) -> tuple[EngineHarness, int]:
    """Return an engine that has entered and, in part or all, left; and when it entered."""
    moves = "++====" if side > 0.0 else "--===="
    harness = EngineHarness(moves, spot=False, short_back=1, exit_back=0)
    order = harness.order(harness.step(2))
    harness.fill(order, order.units, entry, fee=fee)
    entered_ns = harness.now_ns
    if exit_ is not None:
        harness.fill(-1, -part * order.units, exit_)
    return harness, entered_ns


def same(ours: EngineHarness, theirs: EngineHarness) -> None:
    one, other = ours.engine.state, theirs.engine.state
    for place in SUMS:
        assert one.A[place] == pytest.approx(other.A[place]), place
    made = [state.A[layout.GAINED] - state.A[layout.LOST] for state in (one, other)]
    assert made[0] == pytest.approx(made[1])
    if other.I[0, layout.OPEN_SIDE]:
        for place in OF_TRADE:
            assert one.B[0, place] == pytest.approx(other.B[0, place], nan_ok=True), place
    assert unexplained(one, 10_000.0) == 0.0


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_an_entry_of_an_open_trade_moves_its_average_price(side: float) -> None:
    ours, entered_ns = booked(side, GUESS, None, 0.0)
    quantity = side * abs(ours.engine.held(0))
    cash = ours.engine.correct(0, quantity, GUESS, TRUE, FEE, entered_ns)
    assert cash == pytest.approx(quantity * (GUESS - TRUE) - FEE)
    same(ours, booked(side, TRUE, None, FEE)[0])


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("part", [0.5, 1.0])
def test_an_exit_is_corrected_whether_its_trade_is_open_or_closed(side: float, part: float) -> None:
    ours, entered_ns = booked(side, TRUE, GUESS, FEE, part)
    whole = abs(booked(side, TRUE, None, FEE)[0].engine.held(0))
    ours.engine.correct(0, -side * part * whole, GUESS, LEFT, 0.0, entered_ns + MINUTE)
    same(ours, booked(side, TRUE, LEFT, FEE, part)[0])


def test_a_fill_of_an_earlier_trade_leaves_the_open_one_alone() -> None:
    ours, entered_ns = booked(1.0, TRUE, None, FEE)
    before = ours.engine.state.B[0].copy()
    ours.engine.correct(0, 1.0, GUESS, LEFT, 0.5, entered_ns - MINUTE)
    assert (ours.engine.state.B[0] == before)[~(before != before)].all()
    assert ours.engine.state.A[layout.GAINED] == pytest.approx(GUESS - LEFT - 0.5)
    assert unexplained(ours.engine.state, 10_000.0) == 0.0


@pytest.mark.parametrize("part", [None, 0.5, 1.0])
def test_a_fee_in_the_base_is_worth_what_the_true_price_states(part: float | None) -> None:
    """Its units were booked with the fill; fees, average price and result follow the price."""

    def entered(price: float) -> tuple[EngineHarness, int, float]:
        harness = EngineHarness("++====", spot=False, short_back=1, exit_back=0)
        order = harness.order(harness.step(2))
        taken = 0.001 * order.units
        scale = harness.engine.state.B[0, layout.SCALE]
        net_units, fee = order.units - taken, taken / scale * price
        harness.fill(order, order.units, price, net_units=net_units, fee=fee)
        entered_ns = harness.now_ns
        if part is not None:
            harness.fill(-1, -part * net_units, LEFT)
        return harness, entered_ns, order.units / scale

    (ours, entered_ns, quantity), (theirs, _, _) = entered(GUESS), entered(TRUE)
    revalued = 0.001 * quantity * (TRUE - GUESS)
    cash = ours.engine.correct(0, quantity, GUESS, TRUE, 0.0, entered_ns, revalued)
    assert cash == pytest.approx(quantity * (GUESS - TRUE))
    if part == 0.5:  # the average of a trade that was sold in part stays, and its sum is right
        one, other = ours.engine.state, theirs.engine.state
        assert one.A[layout.FEES] == pytest.approx(other.A[layout.FEES])
        assert one.B[0, layout.TRADE_FEES] == pytest.approx(other.B[0, layout.TRADE_FEES])
        assert unexplained(one, 10_000.0) == 0.0
    else:
        same(ours, theirs)


def test_the_tables_of_the_journal_follow_a_fee_in_the_base() -> None:
    def row(price: float) -> TradeBook:
        trades = TradeBook({0: Instrument()})
        trades.fill(0, 1.998e8, price, 0.002 * price, 10, "entry")
        trades.fill(0, -1.998e8, LEFT, 0.0, 20, "stop_loss")
        return trades

    guessed, true = row(GUESS), row(TRUE)
    guessed.correct(0, 2.0, GUESS, TRUE, 0.0, 10, 0.002 * (TRUE - GUESS))
    assert guessed.rows[0][3:9] == pytest.approx(true.rows[0][3:9])


def book(entry: float, exit_: float, fee: float, left: float = 0.0) -> TradeBook:
    trades = TradeBook({0: Instrument()})
    trades.fill(0, 2e8, entry, fee, 10, "entry")
    trades.fill(0, -2e8 + left, exit_, 0.0, 20, "stop_loss")
    return trades


@pytest.mark.parametrize("left", [0.0, 1e8])
def test_the_tables_of_the_journal_are_corrected_alike(left: float) -> None:
    guessed, true = book(TRUE, GUESS, FEE, left), book(TRUE, LEFT, FEE, left)
    guessed.correct(0, -(2e8 - left) / 1e8, GUESS, LEFT, 0.0, 20)
    marks = {0: 105.0}
    for ours, theirs in zip(
        guessed.rows + guessed.still_open(marks, 30), true.rows + true.still_open(marks, 30),
        strict=True,
    ):  # fmt: skip
        for one, other in zip(ours[:11], theirs[:11], strict=True):
            assert one == pytest.approx(other) if isinstance(other, float) else one == other


def test_an_entry_of_a_closed_trade_corrects_its_row() -> None:
    guessed, true = book(GUESS, LEFT, 0.0), book(TRUE, LEFT, FEE)
    guessed.correct(0, 2.0, GUESS, TRUE, FEE, 10)
    assert guessed.rows[0][3:9] == pytest.approx(true.rows[0][3:9])
    guessed.correct(0, 1.0, GUESS, TRUE, FEE, 5)
    (rest,) = guessed.still_open({}, 30)
    assert rest[7] == pytest.approx(GUESS - TRUE - FEE), "of no trade, and not lost"


def test_the_fills_show_what_the_venue_lists() -> None:
    row = (5, 0, "v", "o1", "account-x", "sell", 1.0, GUESS, 0.0, "BTC", 0.0, 0.0, "taker")
    fills = [row, (6, 0, "v", "o2", "t9", "buy", 1.0, 90.0, 0.0, "USDT", 0.0, 0.0, "taker")]
    for trade_id, quantity in (("t1", 0.25), ("t2", 0.75)):
        correct_rows(
            fills,
            m.Corrected(
                order=0, symbol=0, of="account-x", trade_id=trade_id, side="sell",
                quantity=quantity, booked_price=GUESS, booked_ns=5, price=TRUE, fee=0.1,
                fee_currency="USDT", fee_quote=0.1, cash=0.0, market_ns=7,
            ),
        )  # fmt: skip
    assert [each[4] for each in fills] == ["t1", "t2", "t9"]
    assert [each[6:11] for each in fills[:2]] == [
        (0.25, TRUE, 0.1, "USDT", 0.1), (0.75, TRUE, 0.1, "USDT", 0.1)
    ]  # fmt: skip
    assert math.fsum(each[6] for each in fills) == 2.0
