"""SEMANTICS, "Stops, halts": one test a sentence."""

from __future__ import annotations

import pytest

from tests.core.cases import CALM, bars_of, simulate
from tests.core.settings import HOUR

STOP = {"stop_loss": 0.1}
BOTH = {"stop_loss": 0.1, "take_profit": 0.1}


def second(*row: float, **keys: object):
    """Enter at 100, then meet one bar."""
    return simulate("L--", bars_of([CALM, CALM, row]), **{"stops": BOTH, **keys})


def test_stop_basis_is_the_average_entry_fill_without_fees():
    out = second(95, 96, 90.5, 95, taker=0.01, slippage=0.0)
    assert len(out.fills) == 1
    assert second(95, 96, 90, 95, taker=0.01).fills[1][2] == 90.0


def test_a_stop_is_active_from_the_fill_same_bar_included():
    out = simulate("L-", bars_of([CALM, (100, 101, 80, 85)]), stops=STOP)
    assert out.fills == [(1, 1.0, 100.0), (2, -1.0, 90.0)]


def test_open_beyond_the_stop_fills_at_the_open_minus_slippage():
    out = second(80, 85, 70, 75, slippage=0.01)
    assert out.fills[1][2] == pytest.approx(80 * 0.99)
    assert out.fills[1][0] == 2


def test_low_at_the_stop_fills_at_the_stop_minus_slippage_as_taker():
    out = second(95, 96, 89, 95, slippage=0.01, taker=0.002, maker=0.0)
    assert out.fills[1][2] == pytest.approx(101 * 0.9 * 0.99)
    assert out.makers[1] is False


def test_a_target_needs_a_high_strictly_above():
    assert len(second(105, 110.00000000000001, 104, 106).fills) == 1
    assert second(105, 110.1, 104, 106).fills[1][2] == pytest.approx(110.0)
    assert second(105, 110.1, 104, 106).makers[1] is True


def test_open_beyond_the_target_fills_it_first_at_the_open():
    out = second(120, 121, 80, 85)
    assert out.fills[1] == (2, -1.0, 120.0)


def test_both_touched_later_in_the_bar_is_the_stop():
    assert second(100, 115, 85, 100).fills[1][2] == 90.0


LIMIT = {"order": "limit", "offset": 0.02, "time_in_force": 3, "stops": {"take_profit": 0.05}}
TRIGGER = {**LIMIT, "order": "stop"}


@pytest.mark.parametrize(
    ("keys", "row", "exits"),
    [
        (LIMIT, (100, 116, 97, 115), [(2, -1.0, 98 * 1.05)]),
        (LIMIT, (100, 116, 97, 98 * 1.05), [(2, -1.0, 118.0)]),
        (LIMIT, (100, 116, 97, 99), [(2, -1.0, 118.0)]),
        (LIMIT | {"stops": BOTH}, (100, 116, 97, 115), [(2, -1.0, 98 * 1.1)]),
        (LIMIT | {"stops": BOTH}, (100, 116, 87, 115), [(2, -1.0, 98 * 0.9)]),
        (TRIGGER, (100, 116, 99, 115), [(2, -1.0, 102 * 1.05)]),
        (TRIGGER, (100, 116, 99, 103), [(2, -1.0, 118.0)]),
    ],
)
@pytest.mark.parametrize("side", ["L", "S"])
def test_a_target_fills_in_the_bar_of_its_entry_if_the_close_is_beyond_it(keys, row, exits, side):
    rows, sign = [CALM, row, (118, 119, 117, 118)], 1.0
    if side == "S":  # mirrored at 100
        opened, high, low, close = row
        rows = [CALM, (200 - opened, 200 - low, 200 - high, 200 - close), (82, 83, 81, 82)]
        sign = -1.0
        exits = [(time, -units, _mirrored(price, keys)) for time, units, price in exits]
    out = simulate(side + "--", bars_of(rows), spot=False, **keys)
    assert [fill[1] for fill in out.fills] == [sign, -sign]
    assert out.fills[1:] == [(t, u, pytest.approx(price)) for t, u, price in exits]
    assert out.makers[1] is (out.trades[0][1] == "take_profit")


def _mirrored(price: float, keys: dict[str, object]) -> float:
    """Return what a long's exit price is for the short of the mirrored market."""
    entry = 98.0 if keys["order"] == "limit" else 102.0
    short = 200.0 - entry
    return 82.0 if price == 118.0 else short * (2.0 - price / entry)


def test_shorts_are_mirrored():
    rows = [CALM, CALM, (100, 115, 85, 100)]
    out = simulate("S--", bars_of(rows), spot=False, stops=BOTH)
    assert out.fills == [(1, -1.0, 100.0), (3, 1.0, pytest.approx(110.0))]
    rows[2] = (80, 115, 79, 100)
    assert simulate("S--", bars_of(rows), spot=False, stops=BOTH).fills[1][2] == 80.0


def test_a_trailing_level_uses_highs_up_to_the_bar_before():
    rows = [CALM, CALM, (100, 150, 99, 140), (140, 141, 130, 138), (138, 139, 137, 138)]
    out = simulate("L----", bars_of(rows), stops={"trailing": {"distance": 0.1}})
    assert out.fills[1] == (4, -1.0, 135.0)


def test_a_trailing_stop_waits_for_its_profit():
    rows = [CALM, CALM, (100, 103, 90, 95), (95, 106, 94, 105), (105, 106, 94, 95)]
    keys = {"trailing": {"distance": 0.05, "after": 0.05}}
    assert simulate("L----", bars_of(rows), stops=keys).fills[1] == (5, -1.0, pytest.approx(100.7))


def test_time_limit_is_the_first_time_at_the_fill_plus_the_limit_then_the_next_open():
    out = simulate("L----", bars_of([CALM] * 5), stops={"time_limit": 2})
    assert out.orders[1] == (3, "market", -1.0, "time_limit")
    assert out.fills[1][0] == 3


def test_drawdown_trips_at_the_threshold_once_until_cleared():
    rows = [CALM, CALM, *[(50, 51, 49, 50)] * 4]
    keys = {"above": 0.25, "then": "block_entries"}
    out = simulate("L-----", bars_of(rows), amount=50.0, halts={"drawdown": keys})
    assert out.halts == [(3, "drawdown", "tripped")]


def test_flatten_cancels_closes_at_market_and_blocks():
    rows = [CALM, CALM, *[(50, 51, 49, 50)] * 4]
    keys = {"above": 0.25, "then": "flatten"}
    out = simulate("L--L-L", bars_of(rows), amount=50.0, halts={"drawdown": keys})
    assert out.fills[1] == (3, -50.0, 50.0)
    assert out.rejected[3] == "halted"
    assert len(out.fills) == 2


def test_block_entries_leaves_exits_free():
    rows = [CALM, CALM, *[(50, 51, 49, 50)] * 4]
    keys = {"above": 0.25, "then": "block_entries"}
    out = simulate("L--S--", bars_of(rows), amount=50.0, halts={"drawdown": keys})
    assert out.fills[1] == (4, -50.0, 50.0)


def test_cancel_all_takes_working_entries_back():
    rows = [CALM, CALM, *[(50, 51, 49, 50)] * 4]
    keys = {"above": 0.1, "then": "cancel_all"}
    other = [CALM, CALM, *[(105, 106, 104, 105)] * 4]
    out = simulate(["L-----", "-L----"], bars_of(rows), bars_of(other), amount=40.0,
               halts={"drawdown": keys}, order="limit", offset=0.005, time_in_force=9)  # fmt: skip
    assert out.halts == [(3, "drawdown", "tripped")]
    assert out.ended[1] == (3, "cancelled", "drawdown")
    assert len(out.fills) == 1


def test_resume_sets_the_peak_to_the_current_equity():
    rows = [CALM, CALM, *[(50, 51, 49, 50)] * 6]
    keys = {"above": 0.25, "then": "block_entries", "resume": 2}
    out = simulate("L-------", bars_of(rows), amount=50.0, halts={"drawdown": keys})
    assert out.halts == [(3, "drawdown", "tripped"), (5, "drawdown", "cleared")]


def test_the_daily_base_is_the_first_equity_of_the_day_and_the_next_day_clears():
    rows = [*[CALM] * 22, (80, 81, 79, 80), *[(80, 81, 79, 80)] * 5]
    keys = {"above": 0.05, "then": "block_entries", "resume": "next_day"}
    out = simulate("L" + "-" * 27, bars_of(rows), amount=50.0, halts={"daily_loss": keys})
    assert out.halts == [(23, "daily_loss", "tripped"), (24, "daily_loss", "cleared")]


def test_losses_in_a_row_start_again_when_cleared():
    rows = [CALM, *[(100, 101, 98, 99), (99, 100, 97, 98)] * 5]
    keys = {"count": 1, "then": "block_entries", "resume": 2}
    out = simulate("LS---------", bars_of(rows), halts={"losses_in_a_row": keys})
    assert [h[2] for h in out.halts] == ["tripped", "cleared"]


def test_of_stop_and_liquidation_the_nearer_to_the_open_comes_first():
    rows = [CALM, CALM, (95, 96, 60, 70)]
    far = {"trailing": {"distance": 0.3}}
    wide = simulate("L--", bars_of(rows), spot=False, leverage=5.0, stops=far)
    assert wide.trades[0][1] == "liquidation"
    near = simulate("L--", bars_of(rows), spot=False, leverage=5.0, stops={"stop_loss": 0.1})
    assert near.trades[0][:2] == (1, "stop_loss")


def test_an_open_beyond_both_is_a_liquidation_that_costs_no_more_than_the_margin():
    rows = [CALM, CALM, (50, 55, 45, 50)]
    out = simulate("L--", bars_of(rows), spot=False, leverage=5.0, stops={"stop_loss": 0.1},
               liquidation_fee=0.0)  # fmt: skip
    assert out.trades == [(1, "liquidation", pytest.approx(-20.0))]
    assert out.fills[1] == (2, -1.0, 50.0)  # the open: beyond what the margin covers


def test_a_liquidation_through_a_gap_fills_inside_its_bar_and_costs_the_margin():
    rows = [CALM, CALM, (86, 86, 80, 81), (81, 82, 80, 81)]
    keys = {"spot": False, "leverage": 10.0, "taker": 0.001, "liquidation_fee": 0.005}
    out = simulate("L---", bars_of(rows), slippage=0.01, **keys)
    bought, sold = 101.0, 86.0 * 0.99
    assert [price for _, _, price in out.fills] == [pytest.approx(bought), pytest.approx(sold)]
    ((_, reason, pnl),) = out.trades
    margin = bought / 10.0
    assert (reason, pnl) == ("liquidation", pytest.approx(-margin - 0.001 * bought))
    borne = (bought - sold) + 0.006 * sold - margin  # what is beyond is the venue's
    assert out.liquidations == [pytest.approx(0.005 * sold - borne)]
    assert out.equity[-1] == pytest.approx(10_000.0 + pnl)


@pytest.mark.parametrize(
    ("rate", "time", "price", "charge"),
    [(0.02, 6, 100.0, 0.0), (0.04, 4, 100.0, -2.0), (0.025, 5, 100.0, 0.0), (-0.02, None, 0, 0)],
)
def test_funding_that_has_used_up_the_margin_liquidates_and_the_rest_is_the_venues(
    rate, time, price, charge
):
    """A margin of 10: the open after funding has left less than the maintenance margin."""
    keys = {"spot": False, "leverage": 10.0, "funding": rate, "funding_every": HOUR}
    for markets in (1, 2):
        signals = ["L" + "-" * 12, "-" * 13][:markets]
        out = simulate(signals, *[bars_of([CALM] * 13)] * markets, **keys)
        if time is None:
            assert len(out.fills) == 1
            return
        assert out.fills[1:] == [(time, -1.0, price)]
        assert out.liquidations == [pytest.approx(charge)]
        assert out.trades == [(1, "liquidation", pytest.approx(-10.0))]
        assert out.equity[-1] == pytest.approx(10_000.0 - 10.0)


def test_a_short_that_pays_funding_is_liquidated_nearer():
    keys = {"spot": False, "leverage": 10.0, "funding": -0.02, "funding_every": HOUR}
    out = simulate("S" + "-" * 9, bars_of([CALM] * 10), **keys)
    level = (110.0 - 8.0) / 1.01
    assert out.fills[1:] == [(6, 1.0, pytest.approx(level))]
    assert out.trades == [(-1, "liquidation", pytest.approx(100.0 - level * 1.005 - 8.0))]


def test_an_exit_that_meets_an_open_beyond_the_margin_is_a_liquidation():
    rows = [CALM, CALM, CALM, (70, 71, 69, 70), CALM]
    for markets in (1, 2):
        signals = ["L-S--", "-----"][:markets]
        out = simulate(signals, *[bars_of(rows)] * markets, spot=False, leverage=10.0, taker=0.001)
        assert [t[:2] for t in out.trades] == [(1, "liquidation")]
        assert out.trades[0][2] == pytest.approx(-10.0 - 0.1)


def test_a_liquidation_that_the_margin_covers_charges_its_fee_alone():
    rows = [CALM, CALM, (100, 100, 90.5, 92), CALM]
    out = simulate("L---", bars_of(rows), spot=False, leverage=10.0, liquidation_fee=0.0001)
    level = 100.0 * 0.9 / 0.99
    assert out.liquidations == [pytest.approx(0.0001 * level)]
    assert out.trades == [(1, "liquidation", pytest.approx(level - 100.0 - 0.0001 * level))]


def test_a_trade_that_a_flip_closes_states_reversal():
    out = simulate("LS-L-", bars_of([CALM] * 5), spot=False)
    assert [reason for _, reason, _ in out.trades] == ["reversal", "reversal"]
