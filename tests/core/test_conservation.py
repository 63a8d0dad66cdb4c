"""What must hold after every step, whatever the strategy and the market."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._kernel import layout
from septet._shell.result_tables import Outcome, trades_of
from tests.core import drawn_cases
from tests.core.settings import Settings
from tests.core.world import Ran, run_core, session_of, steps
from tests.scale import examples

EXAMPLES = 20


def drawn(data: st.DataObject, **fixed: Any) -> tuple[Settings, Any]:
    s = data.draw(drawn_cases.settings(**fixed))
    return s, session_of(s, data.draw(drawn_cases.markets(s)))


def row_of(ran: Ran, t: int, k: int) -> int:
    return int(ran.session.aligned.T[layout.ROW + k, t])


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_cash_and_positions_are_capital_and_the_sum_of_fills(data):
    """Every step: cash from fills, fees and funding; positions from fills; equity from both."""
    s, session = drawn(data)
    cash, units = s.capital, [0.0] * len(s.symbols)
    for t, ran, begun in steps(session):
        LI, LF = ran.log
        B = ran.batch.state.B
        scale = float(B[0, layout.SCALE])
        for kind, k, f in zip(LI[begun:, 0], LI[begun:, 2], LF[begun:].tolist(), strict=True):
            if kind == layout.FILL:
                moved, price, fee, net_units = f[:4]
                in_kind = s.received and moved > 0.0
                cash -= moved / scale * price + (0.0 if in_kind else fee)
                cash -= 0.0 if math.isnan(f[5]) else f[5]  # of a liquidation
                assert net_units == math.floor(net_units)
                assert moved % float(B[k, layout.LOT]) == 0.0
                units[k] += net_units
            elif kind == layout.FUNDING:
                cash -= f[0]
        assert units == B[:, layout.UNITS].tolist()
        worth = float((B[:, layout.UNITS] / scale * B[:, layout.MARK]).sum())
        G = ran.batch.G
        assert math.isclose(G[layout.G_CASH, t], cash, rel_tol=1e-9, abs_tol=1e-7)
        assert math.isclose(G[layout.G_EQUITY, t], cash + worth, rel_tol=1e-9, abs_tol=1e-7)


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_results_of_all_trades_sum_to_what_equity_gained(data):
    """Closed, open and dust, whatever rests: to a billionth of the capital."""
    s, session = drawn(data)
    ran = run_core(session)
    outcome = Outcome(*ran.log, ran.batch.F, ran.batch.D, ran.batch.G, ran.batch.state)
    trades = trades_of(session, outcome)
    equity = float(ran.batch.G[layout.G_EQUITY, -1])
    gained = math.fsum(trades["pnl"])
    assert abs(gained - (equity - s.capital)) <= 1e-9 * max(s.capital, equity)
    fees, slippage = math.fsum(trades["fees"]), math.fsum(trades["slippage"])
    account = ran.batch.state.A
    assert math.isclose(fees, account[layout.FEES], rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(slippage, account[layout.SLIPPAGE], rel_tol=1e-9, abs_tol=1e-6)
    funding = math.fsum(trades["funding"])
    assert math.isclose(funding, account[layout.FUNDING_PAID], rel_tol=1e-9, abs_tol=1e-6)


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_spot_never_owes_cash_and_never_goes_short(data):
    _, session = drawn(data, spot=True)
    for t, ran, _ in steps(session):
        assert ran.batch.G[layout.G_CASH, t] >= -1e-6
        assert ran.batch.state.B[:, layout.UNITS].min() >= 0.0
        assert ran.batch.state.I[:, layout.OPEN_SIDE].min() >= 0


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_limits_hold_after_every_entry(data):
    """As shares of equity after the order, at the decision's prices, working orders included."""
    s, session = drawn(data)
    position = s.limits.get("position", 1.0)
    gross_limit = min(s.limits.get("gross_exposure", 1.0), s.leverage if not s.spot else 1.0)
    rate = (1.0 + s.slippage) * (1.0 + s.taker) - 1.0
    entry = session.plan.assembly.reasons.index("entry")
    for t, ran, begun in steps(session):
        LI, _ = ran.log
        placed = [int(r[2]) for r in LI[begun:] if r[0] == layout.ORDER and r[5] == entry]
        B, whole = ran.batch.state.B, ran.batch.state.I
        works = whole[:, layout.WORKING] == 1
        left = B[:, layout.ORDER_UNITS] * works
        price = B[:, layout.MARK] / B[:, layout.SCALE]
        slack = 1e-9 * s.capital
        while placed:  # the newest first: each was checked with those before it
            after = abs(B[:, layout.UNITS] + left) * price
            cost = rate * float((abs(left) * price).sum())
            equity = float(ran.batch.G[layout.G_EQUITY, t]) - cost
            k = placed.pop()
            assert after[k] <= position * equity + slack
            assert after.sum() <= gross_limit * equity + slack
            left[k] = 0.0


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_no_bar_gives_more_than_its_share_of_volume(data):
    s, session = drawn(data, participation=0.1)
    for t, ran, begun in steps(session):
        LI, LF = ran.log
        traded = [0.0] * len(s.symbols)
        for kind, k, moved in zip(LI[begun:, 0], LI[begun:, 2], LF[begun:, 0], strict=True):
            traded[k] += abs(moved) if kind == layout.FILL else 0.0
        for k, units in enumerate(traded):
            if units:
                room = 0.1 * session.aligned.X[k, layout.VOLUME, row_of(ran, t, k)]
                assert units / float(ran.batch.state.B[k, layout.SCALE]) <= room * (1.0 + 1e-9)


@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_a_signal_to_exit_is_always_answered_by_an_order_for_all_of_it(data):
    """A reduction is never rejected: no limit, halt, budget or other order stands before it.

    One worth less than the minimum notional waits, and its reason is kept.
    """
    s, session = drawn(data)
    for t, ran, _ in steps(session):
        B, whole = ran.batch.state.B, ran.batch.state.I
        for k in range(len(s.symbols)):
            i, side = row_of(ran, t, k), int(whole[k, layout.OPEN_SIDE])
            if i < 0 or side == 0:
                continue
            target = int(ran.batch.D[k, layout.D_SIGNAL, i] & layout.SIGNAL) - 2  # -2 is none
            if target == 0.0 or (s.opposite and target == -side):
                lots = abs(B[k, layout.UNITS]) // B[k, layout.LOT] * B[k, layout.LOT]
                if lots / B[k, layout.SCALE] * B[k, layout.MARK] < s.min_notional:
                    assert whole[k, layout.EXIT_TO_RETRY] > 0 or whole[k, layout.WORKING] == 1
                    continue
                assert whole[k, layout.WORKING] == 1
                assert B[k, layout.ORDER_UNITS] * side < 0.0
                assert abs(B[k, layout.ORDER_UNITS]) >= lots


@pytest.mark.parametrize("spot", [True, False])
@given(st.data())
@settings(max_examples=examples(EXAMPLES))
def test_no_stop_is_ever_blocked(spot, data):
    """A position whose stop the bar touched is closed in that bar.

    Worth less than the minimum notional at its stop, its exit waits instead.
    """
    s, session = drawn(data, spot=spot, participation=None, band=None, time_in_force=1,
                       stops={"stop_loss": 0.01})  # fmt: skip
    before: list[tuple[int, float, int, float]] = [(0, math.nan, 0, 0.0)] * len(s.symbols)
    for t, ran, _ in steps(session):
        B, whole, X = ran.batch.state.B, ran.batch.state.I, session.aligned.X
        for k, (side, average, entered, units) in enumerate(before):
            i = row_of(ran, t, k)
            if side and i >= 0 and not session.aligned.M[k, layout.SYNTHETIC, i]:
                worst = X[k, layout.LOW if side > 0 else layout.HIGH, i]
                level = average * (1.0 - side * 0.01)
                if side * (worst - level) <= 0.0:
                    again = int(whole[k, layout.ENTRY_NS]) != entered
                    lots = abs(units) // B[k, layout.LOT] * B[k, layout.LOT]  # what can be sent
                    small = lots / B[k, layout.SCALE] * level < s.min_notional
                    waits = whole[k, layout.EXIT_TO_RETRY] > 0 or whole[k, layout.WORKING] == 1
                    assert whole[k, layout.OPEN_SIDE] == 0 or again or (small and waits)
        before = [
            (
                int(whole[k, layout.OPEN_SIDE]),
                float(B[k, layout.AVERAGE]),
                int(whole[k, layout.ENTRY_NS]),
                float(B[k, layout.UNITS]),
            )
            for k in range(len(s.symbols))
        ]
