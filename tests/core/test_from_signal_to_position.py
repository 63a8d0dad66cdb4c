"""SEMANTICS, "From signal to position": one test a sentence."""

from __future__ import annotations

import math

import pytest

from tests.core.cases import CALM, bars_of, simulate
from tests.core.settings import Bars


def calm(count: int) -> Bars:
    return bars_of([CALM] * count)


def test_none_keeps_what_is_there():
    assert simulate("L---", calm(4)).fills == [(1, 1.0, 100.0)]


def test_same_signal_while_held_adds_nothing():
    assert simulate("LLLL", calm(4)).fills == [(1, 1.0, 100.0)]


def test_rebalance_resizes_outside_its_band_only():
    rows = [CALM, CALM, (100, 151, 99, 150), (150, 151, 149, 150), (150, 151, 149, 150)]
    out = simulate("LLLLL", bars_of(rows), sizing="fixed_fraction", amount=0.1, band=0.2)
    assert [(t, q) for t, q, _ in out.fills[:1]] == [(1, 10.0)]
    assert out.orders[1][1] == "market"
    assert out.orders[1][3] == "rebalance"
    assert out.fills[1][1] < 0.0
    assert len(simulate("LLLLL", bars_of(rows), sizing="fixed_fraction", amount=0.1).fills) == 1


@pytest.mark.parametrize("price", [150, 60])
def test_none_neither_adds_nor_resizes(price):
    rows = [CALM, CALM, *[(price, price + 1, price - 1, price)] * 3]
    keys = {"sizing": "fixed_fraction", "amount": 0.1, "band": 0.2, "spot": False}
    for signals, fills in (("L----", 1), ("LL-L-", 2), ("S----", 1), ("SS-S-", 2)):
        assert len(simulate(signals, bars_of(rows), **keys).fills) == fills
    assert simulate("LL?--", bars_of(rows), **keys).requested[1:] == [0.0] * 4


@pytest.mark.parametrize(("side", "price"), [("L", 150), ("S", 150), ("L", 60), ("S", 60)])
def test_a_resize_shows_what_it_asks_for_and_gets(side, price):
    rows = [CALM, CALM, *[(price, price + 1, price - 1, price)] * 3]
    out = simulate(side * 5, bars_of(rows), sizing="fixed_fraction", amount=0.1, band=0.2, lot=0.1,
               spot=False)  # fmt: skip
    held, sign = out.fills[0][1], 1.0 if side == "L" else -1.0
    equity = out.equity[2]
    assert out.requested[2] == pytest.approx(sign * 0.1 * equity / price - held)
    assert out.granted[2] == pytest.approx(out.fills[1][1])
    assert abs(out.granted[2] - out.requested[2]) < 0.1


def test_opposite_signal_is_one_flip_order_booked_as_two_trades():
    out = simulate("LSS", calm(3), spot=False)
    assert out.fills == [(1, 1.0, 100.0), (2, -2.0, 100.0)]
    assert [t[:2] for t in simulate("LSSL-", calm(5), spot=False).trades] == [
        (1, "reversal"),
        (-1, "reversal"),
    ]


def test_opposite_signal_of_a_working_entry_takes_its_place():
    out = simulate("LS-", calm(3), spot=False, order="limit", offset=0.04, time_in_force=3)
    assert [o[2] for o in out.orders] == [1.0, -1.0]
    assert out.ended[0] == (2, "cancelled", "opposite")


def test_exit_opposite_false_keeps_the_position():
    assert len(simulate("LSS", calm(3), spot=False, opposite=False).fills) == 1


def test_a_working_entry_counts_as_held():
    out = simulate("LLL", calm(3), order="limit", offset=0.04, time_in_force=3)
    assert len(out.orders) == 1


def test_after_a_stop_reentry_is_blocked_until_the_signal_has_differed():
    rows = [CALM, (100, 101, 80, 90), *[(90, 91, 89, 90)] * 4]
    out = simulate("LLL-LL", bars_of(rows), stops={"stop_loss": 0.1})
    assert out.rejected[1:3] == ["reentry_blocked", "reentry_blocked"]
    assert out.fills == [(1, 1.0, 100.0), (2, -1.0, 90.0), (5, 1.0, 90.0)]


def test_a_target_blocks_no_reentry():
    rows = [CALM, (100, 120, 99, 115), *[(115, 116, 114, 115)] * 2]
    out = simulate("LLL-", bars_of(rows), stops={"take_profit": 0.1})
    assert [round(p) for _, _, p in out.fills] == [100, 110, 115]


def test_reentry_immediate_and_after_bars_change_it():
    rows = [CALM, (100, 101, 80, 90), *[(90, 91, 89, 90)] * 5]
    at_once = simulate("LLLLLLL", bars_of(rows), stops={"stop_loss": 0.1}, reentry="immediate")
    assert at_once.fills[2][0] == 2
    later = simulate("LLLLLLL", bars_of(rows), stops={"stop_loss": 0.1}, reentry=3)
    assert later.rejected[1:5] == ["reentry_blocked"] * 3 + [""]


INSIDE = [CALM, CALM, (100, 101, 80, 90), *[(90, 91, 89, 90)] * 6]
AT_OPEN = [CALM, CALM, (80, 81, 79, 80), *[(80, 81, 79, 80)] * 6]


@pytest.mark.parametrize("bars", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "keys", "filled"),
    [
        (INSIDE, {"stops": {"stop_loss": 0.1}}, 3),
        (AT_OPEN, {"stops": {"stop_loss": 0.1}}, 2),
        ([CALM] * 9, {"stops": {"time_limit": 1}}, 2),
        ([CALM] * 9, {"stops": {"time_limit": 1}, "latency": 1}, 4),
        (AT_OPEN, {"halts": {"drawdown": {"above": 0.001, "resume": 1}}, "amount": 10.0}, 3),
    ],
    ids=["stop inside the bar", "stop at the open", "time limit", "time limit, late", "halt"],
)
def test_after_bars_rejects_so_many_decisions_from_the_close_of_the_bar_of_the_fill(
    rows, keys, filled, bars
):
    """`filled` is the time of the fill; the close of its bar is the first decision after it."""
    out = simulate("L" * 9, bars_of(rows), reentry=bars, **keys)
    assert out.fills[1][0] == filled
    first = filled - (rows is INSIDE)  # a fill inside a bar has the time of its close
    assert out.rejected[first : first + bars + 1] == ["reentry_blocked"] * bars + [""]


def test_a_time_limit_blocks_reentry():
    out = simulate("LLLLLL", calm(6), stops={"time_limit": 2})
    assert out.fills == [(1, 1.0, 100.0), (3, -1.0, 100.0)]
    assert out.rejected[3:] == ["reentry_blocked"] * 3


def test_a_halt_blocks_reentry():
    rows = [CALM, (100, 101, 79, 80), *[(80, 81, 79, 80)] * 5]
    keys = {"then": "flatten", "above": 0.001, "resume": 1}
    out = simulate("LLLLLLL", bars_of(rows), halts={"drawdown": keys}, amount=10.0)
    assert out.rejected[3:] == ["reentry_blocked"] * 4


@pytest.mark.parametrize("why", ["time_limit", "drawdown"])
def test_an_exit_that_waits_blocks_its_side_once_when_it_is_decided(why):
    """Too small at 97 from 2 h on, worth enough at 5 h, filled at the open after it."""
    rows = [CALM, (100, 101, 96, 97), *[(97, 98, 96, 97)] * 2, *[CALM] * 4]
    keys = {"min_notional": 99.0, "stops": {"time_limit": 1}}
    if why == "drawdown":
        halt = {"then": "flatten", "above": 0.0002, "resume": 1}
        keys = {"min_notional": 99.0, "halts": {"drawdown": halt}}
    out = simulate("LLLLLLLL", bars_of(rows), **keys)
    assert out.fills == [(1, 1.0, 100.0), (5, -1.0, 100.0)]
    assert out.rejected[2:4] + out.rejected[5:] == ["reentry_blocked"] * 5
    differed = simulate("LLL-LLLL", bars_of(rows), **keys)
    assert differed.fills[:3] == [*out.fills, (6, 1.0, 100.0)], "its fill blocks nothing anew"
    counted = simulate("LLLLLLLL", bars_of(rows), reentry=4, **keys)
    assert counted.fills[:3] == [*out.fills, (7, 1.0, 100.0)], "rejected: 3, 4, 6; 5 h sends it"


def test_reentry_is_blocked_for_each_side_by_itself():
    rows = [CALM, (100, 101, 80, 100), (100, 120, 99, 100), *[CALM] * 7]
    keys = {"stops": {"stop_loss": 0.1}, "spot": False}
    out = simulate("LSLLLLLL--", bars_of(rows), reentry=5, **keys)
    assert [t[:2] for t in out.trades] == [(1, "stop_loss"), (-1, "stop_loss")]
    assert out.rejected[2:8] == ["reentry_blocked"] * 4 + ["", ""]
    assert out.fills[4][:2] == (7, 1.0)


@pytest.mark.parametrize("why", ["time_limit", "drawdown"])
@pytest.mark.parametrize("latency", [1, 3])
@pytest.mark.parametrize("side", ["LS", "SL"])
def test_an_exit_drops_only_what_a_flip_on_its_way_would_have_opened(side, latency, why):
    """What the flip closes fills when the flip was due: the exit, decided at 7, delays nothing."""
    held, other = side
    moved = 90 if held == "L" else 110
    rows = [*[CALM] * 6, *[(moved, moved + 1, moved - 1, moved)] * 8]
    keys = {"stops": {"time_limit": 6 - latency}}
    if why == "drawdown":
        keys = {"halts": {"drawdown": {"then": "flatten", "above": 0.00001, "resume": 99}}}
    signals = held * 5 + other + "-" * 8
    out = simulate(signals, bars_of(rows), spot=False, latency=latency, **keys)
    sign = 1.0 if held == "L" else -1.0
    assert [each[:2] for each in out.fills] == [(latency + 1, sign), (latency + 6, -sign)]
    assert (7, "cancelled", why) in [each[:3] for each in out.ended]


def test_min_interval_counts_bars_between_accepted_entries():
    out = simulate("LSLLLL", calm(6), min_interval=4)
    assert out.rejected[2:4] == ["min_interval", "min_interval"]
    assert [t for t, _, _ in out.fills] == [1, 2, 5]


def test_min_interval_never_delays_an_exit():
    out = simulate("LS", calm(2), spot=False, min_interval=9)
    assert out.rejected[1] == "min_interval"
    assert out.orders[-1] == (2, "market", -1.0, "opposite")


def test_exit_after_counts_from_the_fill_and_a_same_side_signal_renews_it():
    assert [t for t, _, _ in simulate("L-----", calm(6), after=2).fills] == [1, 3]
    assert [t for t, _, _ in simulate("L-L---", calm(6), after=2).fills] == [1, 5]


def test_exit_after_defaults_to_the_horizon_of_the_label():
    assert [t for t, _, _ in simulate("L-----", calm(6), after=None).fills] == [1, 4]


def test_exit_below_leaves_when_confidence_falls_under_it():
    out = simulate("Ll--", calm(4), below=0.5, threshold=0.7)
    assert [t for t, _, _ in out.fills] == [1, 3]
    assert out.orders[-1][3] == "below"


def test_on_spot_a_short_signal_means_flat():
    out = simulate("LS-", calm(3))
    assert out.rejected[1] == "short_as_flat"
    assert out.signals[1] == 0.0
    assert out.fills[1] == (2, -1.0, 100.0)


def test_an_unknown_answer_acts_on_nothing():
    out = simulate("L???", calm(4))
    assert out.fills == [(1, 1.0, 100.0)]
    assert all(math.isnan(each) for each in out.signals[1:])


@pytest.mark.parametrize("side", "LS")
def test_where_a_flip_is_cancelled_the_position_is_resized(side: str):
    """Decided at the third close, in flight; at the fourth the signal has the old side again."""
    other = {"L": "S", "S": "L"}[side]
    rows = [CALM, CALM, *[(110, 111, 109, 110)] * 5]
    out = simulate(
        f"{side}-{other}{side}---", bars_of(rows), sizing="fixed_fraction", amount=0.5, band=0.01,
        lot=0.1, spot=False, latency=1,
    )  # fmt: skip
    assert [each[3] for each in out.orders] == ["entry", "entry", "rebalance"]
    assert out.trades == []
