"""Steps 6 to 8 of a rebalance, and what moves one, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.fidelity.positions.cases import fills, hour, portfolio, what
from tests.fidelity.positions.market import HOUR, START
from tests.fidelity.positions.settings import (
    Costs,
    Forecast,
    Instrument,
    Limits,
    Portfolio,
    Rebalance,
    Stops,
    Take,
    TradingHours,
)
from tests.fidelity.positions.settings import Position as Steps
from tests.fidelity.positions.simulator import Result

NAN = math.nan
FLAT = (100.0,)


def weights(columns: dict[str, list[float]], rows: Any = None, **keys: Any) -> Result:
    """Run `weights: w` over flat prices of 100 unless rows are given."""
    settings = {key: keys.pop(key) for key in list(keys) if key in Portfolio.__dataclass_fields__}
    rebalance = {k: keys.pop(k) for k in list(keys) if k in Rebalance.__dataclass_fields__}
    given = Portfolio(use="weights", weights="w", rebalance=Rebalance(**rebalance), **settings)
    prices = rows or {name: [FLAT] * len(column) for name, column in columns.items()}
    return portfolio(prices, {"w": columns}, portfolio=given, **keys)


# ------------------------------------------------------------------------------ 6 drift


def test_price_alone_changes_no_target_and_the_next_rebalance_trades_the_gap() -> None:
    # 40 units; at 120 equity is 10800: 0.4 * 10800 = 4320 = 36 units.
    rows = {"A": [FLAT, FLAT, (120.0,), (120.0,), (120.0,), (120.0,)]}
    out = weights({"A": [0.4] * 6}, rows, every="4 bars")
    assert fills(out) == [(1.0, 40.0, 100.0), (5.0, -4.0, 120.0)]


def test_smaller_differences_than_the_drift_are_not_traded() -> None:
    columns = {"A": [0.40, 0.42, 0.45, 0.43]}
    assert fills(weights(columns, drift=0.03)) == [(1.0, 40.0, 100.0), (3.0, 5.0, 100.0)]


def test_a_difference_as_large_as_the_drift_is_traded() -> None:
    assert fills(weights({"A": [0.40, 0.43, 0.43]}, drift=0.03))[1] == (2.0, 3.0, 100.0)


def test_to_edge_trades_to_the_edge_of_the_drift() -> None:
    out = weights({"A": [0.40, 0.50, 0.30, 0.30]}, drift=0.03, to="edge")
    # To 0.50 - 0.03, then to 0.30 + 0.03.
    assert fills(out)[1:] == [(2.0, 7.0, 100.0), (3.0, -14.0, 100.0)]


def test_openings_closings_and_changes_of_side_are_always_traded() -> None:
    columns = {"A": [0.02, 0.0, 0.02, -0.02, -0.02]}
    out = weights(columns, drift=0.5, to="edge", account="perpetual")
    assert fills(out) == [
        (1.0, 2.0, 100.0),
        (2.0, -2.0, 100.0),
        (3.0, 2.0, 100.0),
        (4.0, -2.0, 100.0),
        (4.0, -2.0, 100.0),
    ]
    assert [(t.side, t.exit_reason) for t in out.trades] == [(1, "rebalance")] * 2


# ------------------------------------------------------------------------------ 7 quantity


def test_increases_are_floored_with_slippage_and_fee_reductions_at_the_close() -> None:
    costs = Costs(taker=0.001, slippage=0.002)
    out = weights({"A": [0.5, 0.25, 0.25]}, costs=costs, instrument=Instrument(lot=1.0))
    # 5000/(100 * 1.002 * 1.001) = 49.85; bought at 100.2: cash 10000 - 4909.8 - 4.9098.
    assert fills(out)[0] == (1.0, 49.0, pytest.approx(100.2))
    # Equity 5085.2902 + 4900 = 9985.2902; gap 2496.32255 - 4900: 24.04 units.
    assert fills(out)[1] == (2.0, -24.0, pytest.approx(99.8))


def test_a_target_of_zero_sells_all() -> None:
    out = weights({"A": [0.37, 0.0, 0.0]}, instrument=Instrument(lot=0.001), costs=Costs(taker=0.1))
    assert fills(out)[1][1] == -fills(out)[0][1]
    assert len(out.trades) == 1


def test_below_lot_or_minimum_notional_nothing_is_sent_and_nothing_remembered() -> None:
    inst = Instrument(lot=1.0, min_notional=300.0)
    out = weights({"A": [0.5, 0.52, 0.54, NAN, NAN]}, instrument=inst)
    # 200 more is too small; from 0.50 to 0.54 it is 400; then nothing is left to be made up.
    assert fills(out) == [(1.0, 50.0, 100.0), (3.0, 4.0, 100.0)]
    assert what(out) == [(2.0, "too_small", "rebalance")]


def test_only_a_closing_that_was_too_small_is_retried_at_every_time() -> None:
    rows = {"A": [FLAT, FLAT, (50.0,), (50.0,), (90.0,), (90.0,), (90.0,)]}
    inst = Instrument(lot=1.0, min_notional=850.0)
    out = weights({"A": [0.1, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]}, rows, instrument=inst)
    # Closing ten units at 50 is worth 500, at 90 it is 900.
    assert fills(out) == [(1.0, 10.0, 100.0), (5.0, -10.0, 90.0)]
    assert what(out)[0] == (3.0, "too_small", "rebalance")


def test_a_change_of_side_closes_with_its_order_what_is_too_small_to_be_sold_alone() -> None:
    inst = Instrument(lot=0.01, min_notional=20.0)
    columns = {"A": [0.3, 0.0012, -0.3, -0.3]}
    out = weights(columns, account="perpetual", instrument=inst)
    # 0.12 units stay, worth 12: they are bought back by no order of their own.
    assert fills(out) == [
        (1.0, 30.0, 100.0),
        (2.0, -29.88, 100.0),
        (3.0, -0.12, 100.0),
        (3.0, -30.0, 100.0),
    ]
    assert [float(order.asked) for order in out.orders] == [30.0, -29.88, -30.12]
    assert [(t.side, t.exit_reason) for t in out.trades] == [(1, "reversal")]


def test_an_exit_of_an_earlier_rebalance_delays_no_change_of_side() -> None:
    rows = {"A": [(100.0,), (100.0,), (60.0,), (60.0,), (100.0,), (100.0,), (100.0,)]}
    inst = Instrument(lot=1.0, min_notional=900.0)
    columns = {"A": [0.1, 0.1, 0.0, 0.0, -0.2, -0.2, -0.2]}
    out = weights(columns, rows, account="perpetual", instrument=inst)
    # Ten units at 60 are too small to be sold; at 100 they are not, when the side changes.
    assert [each[:2] for each in fills(out)] == [(1.0, 10.0), (5.0, -10.0), (5.0, -20.0)]


# ------------------------------------------------------------------------------ 8 order


def test_reductions_come_first_and_then_increases_from_the_largest_gap() -> None:
    columns = {"A": [0.0, 0.2, 0.2], "B": [0.9, 0.2, 0.2], "C": [0.0, 0.6, 0.6]}
    out = weights(columns)
    orders = [(o.symbol, float(o.units)) for o in out.orders]
    assert orders == [("B", 90.0), ("B", -70.0), ("C", 60.0), ("A", 20.0)]
    assert [f.symbol for f in out.fills] == ["B", "B", "C", "A"]
    assert {f.time_ns for f in out.fills[1:]} == {START + 2 * HOUR}


def test_where_the_open_leaves_too_little_cash_the_last_in_order_gets_the_rest() -> None:
    rows = {"A": [FLAT, (110.0,), (110.0,)], "B": [FLAT, (110.0,), (110.0,)]}
    out = weights({"A": [0.4] * 3, "B": [0.6] * 3}, rows, instrument=Instrument(lot=1.0))
    # 60 of B cost 6600, 3400 are left for 30 of the 40 of A.
    assert fills(out)[:2] == [(1.0, 60.0, 110.0), (1.0, 30.0, 110.0)]
    assert [o.ended_by for o in out.orders][:2] == ["rebalance", "cash"]


def test_equal_gaps_stand_in_universe_order() -> None:
    out = weights({"A": [0.5] * 2, "B": [0.5] * 2})
    assert [o.symbol for o in out.orders] == ["A", "B"]


def test_increases_are_decided_by_the_limits_in_this_order() -> None:
    columns = {"A": [0.3] * 2, "B": [0.5] * 2}
    out = weights(columns, limits=Limits(max_positions=1))
    assert [o.symbol for o in out.orders] == ["B"]
    assert what(out)[0] == (1.0, "max_positions", "rebalance")


def test_a_position_that_a_rebalance_closes_makes_room_for_another_at_the_same_open() -> None:
    columns = {"A": [0.5, 0.0, 0.0], "B": [0.0, 0.5, 0.5]}
    out = weights(columns, limits=Limits(max_positions=1))
    assert fills(out) == [(1.0, 50.0, 100.0), (2.0, -50.0, 100.0), (2.0, 50.0, 100.0)]


# ------------------------------------------------------------------------------ weights: FEATURE


def test_nan_keeps_the_units_and_zero_closes() -> None:
    rows = {"A": [FLAT, FLAT, (200.0,), (200.0,), (200.0,)]}
    out = weights({"A": [0.5, NAN, NAN, 0.0, 0.0]}, rows)
    assert fills(out) == [(1.0, 50.0, 100.0), (4.0, -50.0, 200.0)]


def test_a_sum_above_gross_is_scaled_down_and_reported() -> None:
    out = weights({"A": [0.9] * 2, "B": [0.6] * 2}, gross=0.75)
    assert sorted(fills(out)) == [(1.0, 30.0, 100.0), (1.0, 45.0, 100.0)]
    assert what(out)[0] == (1.0, "scaled_to_gross", "rebalance")


def test_negative_weights_need_a_perpetual_account() -> None:
    assert fills(weights({"A": [-0.5] * 2}, account="perpetual")) == [(1.0, -50.0, 100.0)]
    with pytest.raises(ValueError, match="perpetual"):
        weights({"A": [-0.5] * 2})


# ------------------------------------------------------------------------------ turnover, memory


def test_the_turnover_cap_holds_from_one_target_to_the_next() -> None:
    # From nothing to 0.6 is 0.3 at most, twice.
    out = weights({"A": [0.6] * 4}, max_turnover=0.3)
    assert [round(t.weights["A"], 12) for t in out.rebalances] == [0.3, 0.6, 0.6, 0.6]
    assert fills(out) == [(1.0, 30.0, 100.0), (2.0, 30.0, 100.0)]


def test_targets_remember_what_an_order_too_small_did_not_do() -> None:
    """Steps 1 to 5 never ask the account: the previous target stands though nothing was bought."""
    out = weights({"A": [0.01] * 3}, instrument=Instrument(min_notional=500.0), max_turnover=0.5)
    assert fills(out) == []
    assert [t.turnover for t in out.rebalances][:2] == [0.01, 0.0]


# ------------------------------------------------------------------------------ what moves one


def test_a_rebalance_with_too_few_members_moves_to_the_first_time_that_has_enough() -> None:
    rows = {"A": [FLAT] * 6, "B": [FLAT, None, None, FLAT, FLAT, FLAT]}
    columns = {"A": [0.5] * 6, "B": [0.5] * 6}
    late = weights(columns, rows, every="1d at 02:00")
    assert [t.time_ns for t in late.rebalances] == [START + 4 * HOUR]
    assert what(late) == [(2.0, "quorum", "rebalance"), (3.0, "quorum", "rebalance")]
    assert len(weights(columns, rows, every="1d at 02:00", quorum=0.5).rebalances) == 1


def test_a_symbol_without_a_bar_for_twenty_bars_is_no_member_until_its_next_one() -> None:
    """Bars of B end at 2 h; at 22 h twenty of them are missing, and A alone is the quorum."""
    rows = {"A": [FLAT] * 26, "B": [FLAT, FLAT, *[None] * 22, FLAT, None]}
    columns = {"A": [0.5] * 26, "B": [0.5] * 26}
    out = weights(columns, rows, every="1 bars")
    made = [hour(each.time_ns) for each in out.rebalances]
    assert made == [1.0, 2.0, 22.0, 23.0, 24.0, 25.0]
    assert what(out)[-1] == (26.0, "quorum", "rebalance")


def test_after_a_pause_of_the_whole_market_a_symbol_that_comes_back_later_is_awaited() -> None:
    rows = {"A": [FLAT, *[None] * 30, *[FLAT] * 3], "B": [FLAT, *[None] * 31, *[FLAT] * 2]}
    columns = {"A": [0.5] * 34, "B": [0.5] * 34}
    out = weights(columns, rows, every="1 bars")
    assert [hour(each.time_ns) for each in out.rebalances] == [1.0, 33.0, 34.0]


def test_a_symbol_whose_bars_have_ended_takes_no_share_of_forecasts() -> None:
    rows = {"A": [FLAT, *[(100.0 + n % 3,) for n in range(29)]], "B": [FLAT] * 4 + [None] * 26}
    columns = {"f": {"A": [1.0] * 30, "B": [1.0] * 30}, "vol": {"A": [0.2] * 30, "B": [0.2] * 30}}
    given = Portfolio(
        use="forecast", forecast=Forecast({"f": 1.0}, "vol", 0.1, window=3),
        rebalance=Rebalance(quorum=0.5),
    )  # fmt: skip
    out = portfolio(rows, columns, portfolio=given)
    found = {hour(each.time_ns): each.weights.get("A") for each in out.rebalances}
    assert (found[23.0], found[24.0]) == (0.25, 0.5)


def _against(missing: int) -> dict[str, list[Any]]:
    """Two symbols that move against each other; the second lacks its last bars."""
    prices = [(100.0,), (102.0,)] * 4
    others = [(102.0,), (100.0,)] * 4
    return {"A": list(prices), "B": [*others[: 8 - missing], *[None] * missing]}


@pytest.mark.parametrize(("missing", "expected"), [(0, 2**-0.5), (1, 2**-0.5), (3, 0.5)])
def test_a_symbol_without_a_bar_at_t_stays_in_the_estimate_with_its_last_bars(
    missing: int, expected: float
) -> None:
    """Its 1/n stays, and so does its diversification; three bars are a window without one."""
    columns = {"f": {"A": [1.0] * 8, "B": [1.0] * 8}, "vol": {"A": [0.4] * 8, "B": [0.4] * 8}}
    given = Portfolio(
        use="forecast", forecast=Forecast({"f": 1.0}, "vol", 0.1, window=3),
        rebalance=Rebalance(every="1 bars", quorum=0.5),
    )  # fmt: skip
    out = portfolio(_against(missing), columns, portfolio=given)
    assert hour(out.rebalances[-1].time_ns) == 8.0
    assert out.rebalances[-1].weights["A"] == pytest.approx(expected / 4.0)
    assert ("B" in out.rebalances[-1].fixed) == (missing > 0)


def test_a_rebalance_is_whole_or_moves_for_one_late_row() -> None:
    out = weights(
        {"A": [0.5] * 4, "B": [0.5] * 4}, every="1d at 01:00",
        late=frozenset({("B", START + HOUR)}),
    )  # fmt: skip
    assert [t.time_ns for t in out.rebalances] == [START + 2 * HOUR]
    assert len(out.fills) == 2


def test_a_rebalance_waits_for_open_hours() -> None:
    hours = TradingHours(open="mon-fri 03:00-05:00 UTC")
    out = weights({"A": [0.5] * 6}, every="1d at 01:00", hours=hours)
    assert [t.time_ns for t in out.rebalances] == [START + 3 * HOUR]


def test_two_due_instants_that_have_moved_are_one_rebalance() -> None:
    hours = TradingHours(open="mon-fri 03:00-05:00 UTC")
    out = weights({"A": [0.5] * 8}, every="2h", hours=hours)
    assert [(t.time_ns - START) // HOUR for t in out.rebalances] == [3, 4]


def test_it_is_due_at_the_first_time_at_or_after_the_instant() -> None:
    out = weights({"A": [0.5] * 4}, every="1d at 01:30")
    assert [(t.time_ns - START) // HOUR for t in out.rebalances] == [2]


# ------------------------------------------------------------------------------ between rebalances


def test_a_name_that_a_stop_closed_is_ranked_again_at_the_next_rebalance() -> None:
    rows = {"A": [FLAT, FLAT, (100.0, 100.0, 89.0, 95.0), (95.0,), (95.0,), (95.0,)]}
    out = weights({"A": [0.5] * 6}, rows, every="4 bars", stops=Stops(stop_loss="10%"))
    # Bought at 1 h, stopped inside the third bar, and due again at 5 h: 0.5 * 9500/95.
    assert fills(out) == [(1.0, 50.0, 100.0), (3.0, -50.0, 90.0), (5.0, 50.0, 95.0)]


def test_reentry_can_keep_it_out_longer() -> None:
    rows = {"A": [FLAT, (100.0, 100.0, 89.0, 95.0), *[(95.0,)] * 5]}
    out = weights({"A": [0.5] * 7}, rows, stops=Stops(stop_loss="10%"), reentry=3)
    # Stopped in the bar that ends at 2 h: the decisions of 2, 3 and 4 h are refused.
    assert [each[0] for each in fills(out)] == [1.0, 2.0, 5.0]
    assert [each for each in what(out) if each[1] == "reentry_blocked"] == [
        (2.0, "reentry_blocked", "rebalance"),
        (3.0, "reentry_blocked", "rebalance"),
        (4.0, "reentry_blocked", "rebalance"),
    ]


def test_exit_if_acts_between_rebalances_and_beats_one() -> None:
    given = Portfolio(use="weights", weights="w", exit_if="out > 0", rebalance=Rebalance("4 bars"))
    columns = {"w": {"A": [0.5] * 6}, "out": {"A": [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]}}
    out = portfolio({"A": [FLAT] * 6}, columns, portfolio=given)
    assert fills(out) == [(1.0, 50.0, 100.0), (3.0, -50.0, 100.0), (5.0, 50.0, 100.0)]


def test_a_take_lowers_the_later_weights_of_its_name_until_flat() -> None:
    rows = {"A": [FLAT, FLAT, (100.0, 111.0, 100.0, 110.0), *[(110.0,)] * 4]}
    steps = Steps(take=(Take(size=0.5, at="10%"),))
    columns = {"A": [0.5, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5]}
    out = weights(columns, rows, position=steps, instrument=Instrument(lot=1.0))
    # 50 at 100; 25 sold at 110; equity 10500, target 0.25 * 10500 = 2625 of 2750: one unit sold.
    assert fills(out)[:3] == [(1.0, 50.0, 100.0), (3.0, -25.0, 110.0), (3.0, -1.0, 110.0)]
    # Closed at 5 h, then flat: the next weight is whole again, 5250 of 10500 = 47 units.
    assert fills(out)[3:] == [(5.0, -24.0, 110.0), (6.0, 47.0, 110.0)]


def test_a_name_without_a_bar_is_neither_bought_nor_sold() -> None:
    rows = {"A": [FLAT, FLAT, None, FLAT], "B": [FLAT] * 4}
    columns = {"A": [0.2, 0.2, 0.8, 0.2], "B": [0.2, 0.2, 0.3, 0.3]}
    out = weights(columns, rows, quorum=0.5)
    assert [(f.symbol, float(f.units)) for f in out.fills] == [
        ("A", 20.0),
        ("B", 20.0),
        ("B", 10.0),
    ]


@pytest.mark.parametrize("after", [150.0, 60.0])
def test_a_held_name_without_a_bar_is_brought_to_its_weight_when_its_price_is_known(
    after: float,
) -> None:
    """Rebalances fall on 1 h, 4 h, 7 h and 10 h; A moves at 3 h and has no bar at 4 h."""
    rows = {"A": [FLAT] * 2 + [(after,), None] + [(after,)] * 7, "B": [FLAT] * 11}
    kept = {"A": [2.0] * 11, "B": [1.0] * 11}
    given = Portfolio(by="x", long=2, rebalance=Rebalance(every="3 bars", quorum=0.5))
    out = portfolio(rows, {"x": kept}, portfolio=given)
    traded = [hour(f.time_ns) for f in out.fills if f.symbol == "A"]
    assert [hour(each.time_ns) for each in out.rebalances] == [1.0, 4.0, 7.0, 10.0]
    assert traded == [1.0, 7.0]


def test_increases_may_spend_what_reductions_of_the_same_time_will_bring_after_costs() -> None:
    columns = {"A": [1.0, 0.0, 0.0], "B": [0.0, 1.0, 1.0]}
    costs = Costs(taker=0.02, slippage=0.01)
    wide = Limits(position=2.0, gross=2.0)
    out = weights(columns, costs=costs, instrument=Instrument(lot=1.0), limits=wide, gross=1.0)
    # 97 of A at 101 with a fee of 195.94: cash 7.06. 97 * 100 * 0.99 * 0.98 = 9410.94 will come:
    # 9418 buys 91 of B at 103.02 each, of the 94 that its weight of 9707.06 asks for.
    found = [(f.symbol, float(f.units)) for f in out.fills]
    assert found == [("A", 97.0), ("A", -97.0), ("B", 91.0)]
    assert what(out)[0] == (2.0, "capped_by cash", "rebalance")
