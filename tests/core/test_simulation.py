"""SEMANTICS, "Simulation", "Time" and "Size, checks": one test a sentence."""

from __future__ import annotations

import pytest

from septet._data.funding import FundingRates
from tests.core.cases import CALM, bars_of, simulate
from tests.core.settings import HOUR


def test_a_market_order_fills_at_the_next_open_with_slippage():
    out = simulate("L-", bars_of([CALM, (103, 104, 99, 100)]), slippage=0.01)
    assert out.fills == [(1, 1.0, pytest.approx(104.03))]


def test_quantity_is_fixed_at_the_decision_with_fee_and_slippage_included():
    out = simulate("L-", bars_of([CALM, CALM]), sizing="fixed_fraction", amount=0.5, taker=0.01,
               slippage=0.02)  # fmt: skip
    assert out.requested[0] == pytest.approx(5_000 / (100 * 1.02 * 1.01))


def test_if_cash_falls_short_at_the_fill_the_rest_is_cancelled():
    out = simulate("L-", bars_of([CALM, (200, 201, 199, 200)]), sizing="fixed_fraction", amount=1.0)
    assert out.fills == [(1, 50.0, 200.0)]
    assert out.ended == [(1, "cancelled", "cash")]
    assert out.cash[1] == pytest.approx(0.0, abs=1e-6)


def test_a_limit_fills_only_when_traded_through_at_the_better_of_limit_and_open():
    keys = {"order": "limit", "offset": 0.02, "time_in_force": 3}
    assert simulate("L--", bars_of([CALM, (100, 101, 98, 99), CALM]), **keys).fills == []
    inside = simulate("L--", bars_of([CALM, (100, 101, 97.9, 99), CALM]), **keys)
    assert inside.fills == [(2, 1.0, 98.0)]
    assert inside.makers == [True]
    assert simulate("L--", bars_of([CALM, (95, 96, 94, 95), CALM]), **keys).fills == [
        (1, 1.0, 95.0)
    ]


def test_an_entry_that_is_not_filled_expires_after_its_time_in_force():
    out = simulate("L---", bars_of([CALM] * 4), order="limit", offset=0.04, time_in_force=2)
    assert out.ended == [(3, "expired", "unfilled")]


def test_a_stop_order_enters_beyond_its_trigger():
    rows = [CALM, (100, 106, 99, 105), CALM]
    out = simulate("L--", bars_of(rows), order="stop", offset=0.05, slippage=0.01)
    assert out.fills == [(2, 1.0, pytest.approx(105 * 1.01))]


def test_a_stop_limit_pays_no_more_than_its_limit():
    rows = [CALM, (100, 106, 99, 105), CALM]
    out = simulate(
        "L--", bars_of(rows), order="stop_limit", offset=0.04, slack=0.001, slippage=0.01
    )
    assert out.fills == [(2, 1.0, pytest.approx(104 * 1.001))]


def test_an_entry_that_finds_no_open_within_one_bar_expires():
    for order in ("market", "limit"):
        out = simulate("L---", bars_of([CALM] * 4, skip=[1]), order=order)
        assert out.fills == []
        assert out.ended == [(2, "expired", "no_market")]


def test_a_reduction_waits_for_the_market():
    out = simulate("LS--", bars_of([CALM] * 4, skip=[2, 3]))
    assert out.fills[1][:2] == (4, -1.0)


def test_what_a_flip_would_close_waits_for_the_market_too():
    out = simulate("LS--", bars_of([CALM] * 4, skip=[2, 3]), spot=False)
    assert out.fills[1][:2] == (4, -1.0)


def test_latency_delays_the_fill_by_bars():
    assert simulate("L----", bars_of([CALM] * 5), latency=2).fills[0][0] == 3


def test_participation_caps_a_fill_and_the_rest_of_an_entry_expires():
    out = simulate("L--", bars_of([CALM] * 3, volume=10.0), amount=5.0, participation=0.1)
    assert out.fills == [(1, 1.0, 100.0)]
    assert out.ended == [(2, "expired", "unfilled")]


def test_reductions_go_on_until_done():
    out = simulate("L-S----", bars_of([CALM] * 7, volume=10.0), amount=3.0, participation=0.1,
               time_in_force=2)  # fmt: skip
    assert [(t, q) for t, q, _ in out.fills] == [(1, 1.0), (2, 1.0), (3, -1.0), (4, -1.0)]


TARGET = {"amount": 3.0, "participation": 0.1, "stops": {"take_profit": 0.1}, "maker": 0.001,
          "taker": 0.002}  # fmt: skip
ABOVE = (105, 111, 104, 106)


def after_entry(*rows: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Return bars in which three are bought, then others with volume for one."""
    return [(*CALM, 1e3), (*CALM, 1e3), *[(*row, 10.0) for row in rows]]


@pytest.mark.parametrize(
    ("rows", "fills"),
    [
        ([ABOVE] * 4, [(3, 110), (4, 110), (5, 110)]),
        ([ABOVE, CALM, ABOVE, CALM], [(3, 110), (5, 110)]),
        ([(115, 116, 114, 115), CALM, ABOVE], [(2, 115), (5, 110)]),
        ([ABOVE, (111, 112, 110, 110.5), CALM], [(3, 110), (3, 111)]),
    ],
    ids=["each bar", "only where traded through", "open beyond", "better open"],
)
def test_the_rest_of_a_target_that_was_cut_stays_a_limit_at_its_level(rows, fills):
    rows = after_entry(*rows)
    out = simulate("L" + "-" * (len(rows) - 1), bars_of(rows), **TARGET)
    assert [(t, round(p, 9)) for t, _, p in out.fills[1:]] == fills
    assert all(out.makers[1:])
    assert {o[1] for o in out.orders[1:]} == {"limit"}
    assert len(out.orders) == len(out.fills), "no order where the volume lets nothing through"


def test_what_is_left_of_a_target_is_still_stopped_and_still_leaves_by_the_signal():
    keys = TARGET | {"stops": {"take_profit": 0.1, "stop_loss": 0.05}}
    rows = after_entry((115, 116, 94, 95), CALM, CALM, CALM)
    for markets in (1, 2):
        signals = ["L-----", "------"][:markets]
        out = simulate(signals, *[bars_of(rows)] * markets, **keys)
        exits = [(o[1], o[2], o[3]) for o in out.orders[1:]]
        assert exits == [("limit", -3.0, "take_profit"), ("stop", -2.0, "stop_loss")]
        assert [(t, p) for t, _, p in out.fills[1:]] == [(2, 115.0), (3, 100.0), (4, 100.0)]
    out = simulate("L-S---", bars_of(after_entry(ABOVE, CALM, CALM, CALM)), **TARGET)
    assert [o[1:] for o in out.orders[1:]] == [
        ("limit", -3.0, "take_profit"), ("market", -2.0, "exit")
    ]  # fmt: skip
    rows = [*[(*CALM, 1e3)] * 4, *after_entry(ABOVE, CALM, CALM)[2:]]
    late = simulate("L--S---", bars_of(rows), latency=1, **TARGET)
    assert [o[3] for o in late.orders[1:]] == ["exit", "take_profit", "exit"]
    assert late.ended[1:3] == [(5, "cancelled", "take_profit"), (5, "expired", "unfilled")]
    assert [t for t, _, _ in late.fills[1:]] == [5, 5, 6]


def test_the_reduction_inside_a_partly_filled_flip_goes_on():
    rows = [CALM, CALM, *[(*CALM, 1.0)] * 6]
    out = simulate(
        "LS------", bars_of(rows, volume=1e6), amount=1.0, participation=0.25, spot=False
    )
    assert sum(q for _, q, _ in out.fills) == pytest.approx(0.0)


def test_an_exit_replaces_a_smaller_trim_that_still_works():
    rows = [CALM, CALM, (200, 201, 199, 200, 1e6), *[(200, 201, 199, 200, 100.0)] * 5]
    out = simulate("LLLS----", bars_of(rows), sizing="fixed_fraction", amount=0.5, band=0.01,
               participation=0.01)  # fmt: skip
    assert [o[3] for o in out.orders] == ["entry", "rebalance", "exit"]
    exits = [o for o in out.orders if o[3] in ("exit", "opposite")]
    assert len(exits) == 1
    assert abs(exits[0][2]) > 10.0


def test_fees_paid_in_what_is_received_bring_fewer_units():
    out = simulate("LS-", bars_of([CALM] * 3), taker=0.01, received=True)
    assert out.fills == [(1, 1.0, 100.0), (2, -0.99, 100.0)]
    assert out.fees == [pytest.approx(1.0), pytest.approx(0.99)]


def test_dust_below_a_lot_never_blocks_an_entry():
    out = simulate("LSLS-", bars_of([CALM] * 5), taker=0.001, received=True, lot=0.5, amount=2.0)
    assert [q for _, q, _ in out.fills] == [2.0, -1.5, 2.0, -2.0]
    assert len(out.trades) == 2


def test_buying_one_lot_less_the_fee_is_dust_not_a_position():
    out = simulate("LS-", bars_of([CALM] * 3), taker=0.001, received=True, lot=1.0)
    assert out.fills == [(1, 1.0, 100.0)]
    assert out.trades == []


def test_minimum_notional_rejects_an_entry():
    assert simulate("L-", bars_of([CALM] * 2), min_notional=101.0).rejected[0] == "min_notional"


def test_a_remainder_below_the_minimum_notional_is_a_position_until_it_is_sold():
    rows = [CALM, CALM, *[(*CALM, 18.0)] * 5]
    out = simulate(
        "LS-----", bars_of(rows), amount=1.0, participation=0.05, min_notional=50.0, lot=0.1
    )
    assert out.fills == [(1, 1.0, 100.0), (2, -0.9, 100.0), (3, pytest.approx(-0.1), 100.0)]
    assert [t[:2] for t in out.trades] == [(1, "exit")]


THIN = [CALM, (*CALM, 3.0), *[CALM] * 6]
"""An entry for ten units that may take a tenth of the volume of its bar gets three tenths."""


def test_an_exit_below_the_minimum_notional_waits_and_is_reported():
    out = simulate("L-S---", bars_of(THIN[:6]), amount=10.0, participation=0.1, min_notional=50.0,
               lot=0.1)  # fmt: skip
    assert out.fills == [(1, pytest.approx(0.3), 100.0)]
    assert out.rejected[2:] == ["too_small"] * 4
    assert [t[:2] for t in out.trades] == []


def test_an_exit_that_waits_is_sent_once_it_is_worth_the_minimum():
    rows = [*THIN[:4], (170, 171, 169, 170), (180, 181, 179, 180), CALM]
    out = simulate("L-S----", bars_of(rows), amount=10.0, participation=0.1, min_notional=50.0,
               lot=0.1)  # fmt: skip
    assert out.fills[1:] == [(5, pytest.approx(-0.3), 180.0)]
    assert [t[:2] for t in out.trades] == [(1, "exit")]


def test_a_stop_of_a_position_below_the_minimum_acts_as_soon_as_it_may_be_sent():
    rows = [*THIN[:2], (100, 101, 80, 100), CALM, (170, 171, 169, 170), (180, 181, 179, 180)]
    out = simulate("L-----", bars_of(rows), amount=10.0, participation=0.1, min_notional=50.0,
               lot=0.1, stops={"stop_loss": 0.1})  # fmt: skip
    assert out.fills[1:] == [(5, pytest.approx(-0.3), 180.0)]
    assert [t[:2] for t in out.trades] == [(1, "stop_loss")]


def test_a_stop_that_the_market_has_passed_is_worth_what_the_market_pays():
    low = (80, 81, 79, 80)
    rows = [*THIN[:2], CALM, low, (*low, 3.0), (*low, 3.0), low, (120, 121, 119, 120)]
    out = simulate("L---L---", bars_of(rows), amount=10.0, participation=0.1, min_notional=48.3,
               lot=0.1, stops={"stop_loss": 0.03}, reentry="immediate")  # fmt: skip
    # 0.6 at a trigger of 87.3 are worth 52, and 48 on the market
    assert out.fills == [(1, pytest.approx(0.3), 100.0), (5, pytest.approx(0.3), 80.0)]
    assert out.rejected[5:7] == ["too_small"] * 2


def test_a_trailing_level_that_its_close_has_passed_is_worth_what_the_market_pays():
    keys = {"amount": 1.01, "lot": 0.01, "min_notional": 100.0,
            "stops": {"trailing": {"distance": 0.02, "after": 0.02}}}  # fmt: skip
    # 2 % below 103 first exists at a close beyond it: worth 102 there, and 95 at the open
    rows = [CALM, (100, 103, 93, 94), (94.5, 95, 93.5, 94), (94, 94.3, 93.7, 94)]
    out = simulate("L---", bars_of(rows), **keys)
    assert out.fills == [(1, 1.01, 100.0)]
    assert out.rejected[2:] == ["too_small"] * 2
    # of a short 2 % above 97: worth less than 100 there, and more at the open
    rows = [CALM, (100, 107, 97, 106), (105.5, 106.5, 105, 106), (106, 106.3, 105.7, 106)]
    out = simulate("S---", bars_of(rows), spot=False, **keys)
    assert out.fills == [(1, -1.01, 100.0), (2, 1.01, 105.5)]


def test_a_stop_that_rested_is_taken_at_its_trigger_however_far_the_open_lies():
    rows = [CALM, (100, 103, 100, 103), (94.5, 95, 93.5, 94), (94, 94.3, 93.7, 94)]
    out = simulate("L---", bars_of(rows), amount=1.01, lot=0.01, min_notional=100.0,
                   stops={"trailing": {"distance": 0.02, "after": 0.02}})  # fmt: skip
    # 1.01 at a trigger of 100.94 are worth more than the minimum, and 95 at the open
    assert out.fills[1:] == [(2, -1.01, 94.5)]


@pytest.mark.parametrize("signals", ["L-SL----", "L--L----"])
def test_a_position_below_the_minimum_notional_blocks_no_entry(signals):
    out = simulate(
        signals, bars_of(THIN), amount=10.0, participation=0.1, min_notional=50.0, lot=0.1
    )
    assert out.fills == [(1, pytest.approx(0.3), 100.0), (4, 10.0, 100.0)]
    assert out.trades == []  # it is one trade, and it is open


def test_the_same_signal_adds_nothing_to_a_position_below_the_minimum_notional():
    out = simulate("LLLLL", bars_of(THIN[:5]), amount=10.0, participation=0.1, min_notional=50.0,
               lot=0.1)  # fmt: skip
    assert out.fills == [(1, pytest.approx(0.3), 100.0)]


def test_a_resize_below_the_minimum_notional_waits():
    rows = [CALM, CALM, (110, 111, 109, 110), CALM, CALM]
    keys = {"sizing": "fixed_fraction", "amount": 0.5, "band": 0.01, "lot": 0.1}
    free = simulate("LLL--", bars_of(rows), **keys)
    assert any(q < 0.0 for _, q, _ in free.fills)
    out = simulate("LLL--", bars_of(rows), min_notional=1_000.0, **keys)
    assert not any(q < 0.0 for _, q, _ in out.fills)
    assert "too_small" in out.rejected


def test_the_minimum_notional_never_holds_up_a_liquidation():
    rows = [*THIN[:2], (100, 100, 50, 60), CALM]
    out = simulate(
        "L---", bars_of(rows), amount=10.0, participation=0.1, min_notional=50.0, lot=0.1,
        spot=False, leverage=2.0, stops={"stop_loss": 0.4},
    )  # fmt: skip
    assert [t[:2] for t in out.trades] == [(1, "liquidation")]


def test_prices_are_whole_ticks_against_the_order():
    out = simulate("LS-", bars_of([CALM, (100.2, 101, 99, 100), (100.2, 101, 99, 100)]), tick=0.5)
    assert [p for _, _, p in out.fills] == [100.5, 100.0]
    out = simulate("L--", bars_of([CALM, CALM, (100, 130, 99, 100)]), tick=0.5,
               stops={"take_profit": 0.003})  # fmt: skip
    assert out.fills[1][2] == 100.5


def test_a_market_order_with_a_tick_stays_a_market_order():
    out = simulate("L-", bars_of([CALM] * 2), tick=0.1)
    assert out.orders == [(1, "market", 1.0, "entry")]


def test_capped_by_names_the_tightest_cap_ties_to_the_earlier():
    keys = {"sizing": "fixed_fraction", "amount": 1.0}
    limits = {"gross_exposure": 0.2, "position": 0.3}
    assert simulate("L-", bars_of([CALM] * 2), limits=limits, **keys).capped[0] == "gross_exposure"
    limits = {"gross_exposure": 0.2, "position": 0.2}
    out = simulate("L-", bars_of([CALM] * 2), limits=limits, **keys)
    assert out.capped[0] == "position"
    assert out.granted[0] == pytest.approx(20.0)


def test_a_group_does_not_concern_symbols_outside_it():
    limits = {"groups": {"one": {"symbols": ["BBB/USDT"], "max": 0.001}}}
    out = simulate(["L-", "L-"], bars_of([CALM] * 2), bars_of([CALM] * 2), limits=limits)
    assert out.fills[0] == (1, 1.0, 100.0)
    assert out.capped[:2] == ["", "groups"]


def test_entries_go_by_confidence_and_each_sees_those_before():
    markets = [bars_of([CALM] * 2)] * 2
    out = simulate(["l-", "L-"], *markets, sizing="fixed_fraction", amount=0.7)
    assert [o[2] for o in out.orders] == [pytest.approx(70.0), pytest.approx(30.0)]
    assert out.capped[:2] == ["gross_exposure", ""]


def test_pro_rata_scales_all_alike():
    markets = [bars_of([CALM] * 2)] * 2
    out = simulate(["l-", "L-"], *markets, sizing="fixed_fraction", amount=0.8, pro_rata=True)
    assert [o[2] for o in out.orders] == [pytest.approx(50.0), pytest.approx(50.0)]


def granted_of(moment: int, *args, **keys):
    """Return what is granted at the decision of a bar, by symbol."""
    out = simulate(*args, sizing="fixed_fraction", amount=0.8, pro_rata=True, **keys)
    return out.granted[moment * len(args[0]) :][: len(args[0])]


@pytest.mark.parametrize("places", [None, 2, 3])
def test_a_rejected_entry_has_no_part_of_what_pro_rata_divides(places):
    """A is stopped and blocked, or has no room in its group: B and C share all the cash."""
    markets = [bars_of([CALM, (100, 100, 90, 100), CALM, CALM]), *[bars_of([CALM] * 4)] * 2]
    keys = {"max_positions": places, "stops": {"stop_loss": 0.05}}
    assert granted_of(2, ["LLLL", "--L-", "--L-"], *markets, **keys) == [
        0.0, *[pytest.approx(48.0)] * 2,
    ]  # fmt: skip
    markets = [bars_of([CALM] * 2)] * 3
    full = {"groups": {"none": {"symbols": ["AAA/USDT"], "max": 1e-9}}}
    keys = {"max_positions": places, "limits": full, "lot": 0.01}
    assert granted_of(0, ["L-", "L-", "L-"], *markets, **keys) == [
        0.0, *[pytest.approx(50.0)] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("most", [4_500.0, 5_500.0])
def test_max_order_value_sees_what_pro_rata_sends(most):
    """Both request all of the capital, and half of it is sent of each."""
    markets = [bars_of([CALM] * 3)] * 2
    out = simulate(["L-?", "L-?"], *markets, sizing="fixed_fraction", amount=1.0, pro_rata=True,
                   limits={"max_order_value": most})  # fmt: skip
    sent = most > 5_000.0
    assert out.granted[:2] == pytest.approx([50.0 * sent] * 2)
    assert out.rejected[:2] == ["" if sent else "max_order_value"] * 2


def test_pro_rata_rounds_to_lots_once():
    """80 are asked for and 50 are paid for: with lots of 45 that is one, not a part of one."""
    markets = [bars_of([CALM] * 2)] * 2
    assert granted_of(0, ["L-", "L-"], *markets, lot=45.0) == [pytest.approx(45.0)] * 2


def test_the_cash_buffer_and_the_costs_of_other_orders_come_off_equity_side_by_side():
    """Equity 10,000 less 1,000 for the buffer and 45 for the first order's fee, undiminished."""
    markets = [bars_of([CALM] * 2)] * 2
    out = simulate(
        ["L-", "L-"], *markets, amount=45.0, spot=False, taker=0.01, slippage=0.0, cash_buffer=0.1
    )
    # 9,000 - 45 - 4,500 = 4,455, and each lot needs 101
    assert out.granted[:2] == pytest.approx([45.0, 4_455.0 / 101.0], abs=1e-6)


def test_pro_rata_counts_an_entry_with_the_size_that_its_limit_leaves():
    limits = {"groups": {"one": {"symbols": ["AAA/USDT"], "max": 0.2}}}
    markets = [bars_of([CALM] * 2)] * 2
    assert granted_of(0, ["L-", "L-"], *markets, limits=limits) == pytest.approx([20.0, 80.0])


@pytest.mark.parametrize("turning", [0, 1])
def test_pro_rata_scales_a_flip_and_an_entry_alike_in_either_order(turning):
    wishes = ["-L-", "SL-"] if turning else ["SL-", "-L-"]
    markets = [bars_of([CALM] * 3)] * 2
    assert granted_of(1, wishes, *markets, spot=False) == [pytest.approx(50.0)] * 2


def test_split_equal_divides_the_fraction():
    markets = [bars_of([CALM] * 2)] * 2
    out = simulate(["L-", "--"], *markets, sizing="fixed_fraction", amount=1.0, split=True)
    assert out.orders[0][2] == pytest.approx(50.0)


def test_entries_may_spend_the_proceeds_of_reductions_decided_at_the_same_time():
    markets = [bars_of([CALM] * 3)] * 2
    out = simulate(["LS-", "-L-"], *markets, amount=100.0, limits={"gross_exposure": 1.0})
    assert [(t, q) for t, q, _ in out.fills] == [(1, 100.0), (2, -100.0), (2, 100.0)]


def test_half_of_the_rate_budget_is_kept_for_reductions():
    markets = [bars_of([CALM] * 3)] * 3
    limits = {"orders_per_minute": 4}
    out = simulate(["LS-", "LS-", "LS-"], *markets, limits=limits)
    assert out.rejected[:3] == ["", "", "orders_per_minute"]
    assert sum(o[3] == "exit" for o in out.orders) == 2


def test_a_maker_fee_is_paid_from_cash_that_is_there():
    """Sizing counts on the taker's fee; a dearer maker's fee shortens the fill, never the cash."""
    keys = {"order": "limit", "offset": 0.005, "maker": 0.02}
    out = simulate("L-", bars_of([CALM] * 2), sizing="fixed_fraction", amount=1.0, **keys)
    (_, quantity, price), (fee,) = out.fills[0], out.fees
    assert out.makers == [1]
    assert quantity * price + fee == pytest.approx(10_000.0)
    assert out.cash[-1] >= 0.0


def test_a_limit_price_on_the_collar_is_inside_it():
    assert simulate("L-", bars_of([CALM] * 2), order="limit", offset=0.05).rejected[0] == ""


def test_a_price_collar_rejects_a_limit_too_far_away():
    out = simulate("L-", bars_of([CALM] * 2), order="limit", offset=0.06)
    assert out.rejected[0] == "price_collar"


def test_a_reduction_skips_max_order_value_and_halts():
    out = simulate("L--S--", bars_of([CALM] * 2 + [(50, 51, 49, 50)] * 4), amount=50.0,
               limits={"max_order_value": 5_000.0, "orders_per_minute": 1},
               halts={"drawdown": {"above": 0.1, "then": "block_entries"}})  # fmt: skip
    assert out.fills[-1] == (4, -50.0, 50.0)


def test_funding_of_a_gap_is_paid_at_the_last_mark_on_what_was_held():
    rows = [CALM, CALM, (150, 151, 149, 150), CALM]
    keys = {"spot": False, "funding": 0.01, "funding_every": HOUR}
    out = simulate("L---", bars_of(rows, skip=[2, 3]), **keys)
    # bar 1 at its close of 100; of the gap two instants at 100; then 150, then 100
    assert out.fundings == [pytest.approx(1.0 + 2.0 + 1.5 + 1.0)]


def test_a_position_opened_after_a_gap_pays_nothing_of_it():
    rows = [CALM, CALM, CALM, CALM]
    keys = {"spot": False, "funding": 0.01, "funding_every": HOUR, "time_in_force": 9}
    rests = {"order": "stop", "offset": 0.0}
    out = simulate("-L--", bars_of(rows, skip=[2, 3]), **rests, **keys)
    assert [time for time, _, _ in out.fills] == [4]
    assert out.fundings == [pytest.approx(2.0)]
    left = simulate("LS--", bars_of(rows, skip=[2, 3]), **keys)  # sold at the open after the gap
    assert left.fundings[0] == pytest.approx(1.0 + 2.0)


@pytest.mark.parametrize("time_in_force", [1, 9])
def test_a_market_entry_that_meets_no_open_within_one_bar_expires(time_in_force: int):
    """`time_in_force` is about what is left of an entry, and about orders that rest."""
    out = simulate("-L----", bars_of([CALM] * 6, skip=[2, 3]), time_in_force=time_in_force)
    assert out.fills == []
    assert [why for _, _, why in out.ended] == ["no_market"]


def test_funding_is_due_while_other_symbols_have_bars():
    there, gone = bars_of([CALM] * 6), bars_of([CALM, CALM, (150, 151, 149, 150)], skip=[2, 3, 4])
    keys = {"spot": False, "funding": 0.01, "funding_every": HOUR}
    out = simulate(["------", "L--"], there, gone, **keys)
    paid = [before - after for before, after in zip(out.cash, out.cash[1:], strict=False)]
    assert paid == pytest.approx([101.0, 1.0, 1.0, 1.0, 1.5])


def test_aligned_bars_and_a_live_intake_sum_funding_by_one_function():
    rates = FundingRates()
    for stamp, value in ((5, 1e16), (7, 1.0), (9, -1e16)):
        rates.add(stamp, value)
    assert rates.due(4, 9) == 1.0  # a running sum would lose it
    assert (rates.due(5, 7), rates.due(9, 9), rates.due(9, 4)) == (1.0, 0.0, 0.0)
    assert FundingRates(0.5, 8).due(7, 24) == 1.5


def test_funding_is_charged_on_the_position_held_at_the_instant():
    out = simulate("L" + "-" * 9, bars_of([CALM] * 10), spot=False, funding=0.01)
    assert out.equity[7] == pytest.approx(10_000 - 1.0)
    assert out.equity[6] == pytest.approx(10_000)
    short = simulate("S" + "-" * 9, bars_of([CALM] * 10), spot=False, funding=0.01)
    assert short.equity[7] == pytest.approx(10_000 + 1.0)


def test_bars_without_volume_fill_nothing_where_participation_is_capped():
    rows = [CALM, (*CALM, 0.0), CALM]
    assert simulate("L--", bars_of(rows), participation=0.5, time_in_force=1).fills == []


def test_a_cheap_coin_does_not_overflow():
    price = 1e-6
    rows = [(price, price * 1.01, price * 0.99, price)] * 3
    out = simulate(
        "LS-", bars_of(rows, volume=1e20), sizing="fixed_fraction", amount=0.5, capital=1e9
    )
    assert out.fills[0][1] == pytest.approx(5e14)
    assert out.trades[0][:2] == (1, "exit")
