"""Levels of a position and what meets them, one rule at a time."""

from __future__ import annotations

import math

import pytest

from septet._kernel import layout
from septet._kernel.match import liquidation_price
from septet._rules import bars, levels, reentry, steps, stops, venue_fills
from septet._rules.ledger import book_fill, pay_funding, place_order
from septet._rules.run_state import Run
from septet._rules.settings import R_LATE_FILL, R_LIQUIDATION
from tests.rules.small_run import Fixed, bar, fill_of, order_of, run_of, set_to, status

NAN = math.nan


def holding(units: float, price: float = 100.0) -> Run:
    run = run_of()
    book_fill(0, fill_of(units, price), 0.0, 0, run)
    return run


def trades(run: Run) -> list[tuple[float, int]]:
    """Return exit price and reason of the closed trades."""
    rows = range(int(run.log_rows))
    return [(run.LF[n, 2], int(run.LI[n, 4])) for n in rows if run.LI[n, 0] == layout.TRADE]


def test_the_nearest_level_is_met_first_whatever_the_side():
    for units, prices, nearest in ((2.0, (90.0, 95.0), 95.0), (-2.0, (110.0, 105.0), 105.0)):
        with set_to(PROTECTIVE=tuple(map(Fixed, prices, (30, 31)))):
            assert levels.protective_level(0, 0, 0, holding(units)) == (nearest, 31)


def test_without_a_position_there_is_no_level():
    with set_to(PROTECTIVE=(Fixed(90.0),), TARGETS=(Fixed(110.0),)):
        for level in (levels.protective_level, levels.target_level):
            price, reason = level(0, 0, 0, run_of())
            assert (math.isnan(price), reason) == (True, -1)


def test_a_target_is_rounded_against_the_position():
    for units, price in ((2.0, 111.0), (-2.0, 110.0)):
        run = holding(units)
        run.tick[0] = 1.0
        with set_to(TARGETS=(Fixed(110.4, 33),)):
            found = levels.target_level(0, 0, 0, run)
        assert found == (price, 33)


@pytest.mark.parametrize(
    ("prices", "exit_"),
    [
        ((100.0, 104.0, 96.0, 100.0), []),
        ((100.0, 104.0, 95.0, 100.0), [(95.0, 30)]),
        ((93.0, 104.0, 90.0, 100.0), [(93.0, 30)]),
        ((100.0, 105.0, 96.0, 100.0), []),
        ((100.0, 105.1, 96.0, 100.0), [(105.0, 31)]),
        ((107.0, 108.0, 90.0, 100.0), [(107.0, 31)]),
        ((100.0, 106.0, 94.0, 100.0), [(95.0, 30)]),
    ],
    ids=["neither", "stop", "gap", "target touched", "target", "gap up", "both"],
)
def test_a_bar_meets_stop_and_target(prices, exit_):
    run = holding(2.0)
    bar(run, 1, *prices)
    with set_to(PROTECTIVE=(Fixed(95.0, 30),), TARGETS=(Fixed(105.0, 31),)):
        stops.protect(0, 1, 120, 0, run)
    assert trades(run) == exit_


@pytest.mark.parametrize(
    ("level", "high_water", "close", "entry_ns", "seen"),
    [
        (95.0, 100.0, 100.0, 0, 95.0),
        (101.0, 102.0, 101.5, 0, 101.0),
        (103.0, 102.0, 103.0, 0, 93.0),
        (math.inf, 102.0, 100.0, 0, 93.0),
        (94.0, 100.0, 100.0, 60, 93.0),
        (101.0, 102.0, 100.5, 0, 93.0),
        (101.0, 102.0, 101.0, 0, 93.0),
    ],
    ids=["gap", "trailing, gap", "never a price", "infinite", "beyond the entry",
         "passed by the close before", "at the close before"],
)  # fmt: skip
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_decision_price_of_a_stop_is_one_that_the_market_had(
    side, level, high_water, close, entry_ns, seen
):
    if side < 0.0:  # the same, mirrored at 100
        level, high_water, close, seen = (200.0 - each for each in (level, high_water, close, seen))
    opened = 100.0 - 7.0 * side
    run = holding(2.0 * side)
    bar(run, 0, 100.0, max(100.0, high_water, close), min(100.0, high_water, close), close)
    bar(run, 1, opened, opened + 1.0, opened - 3.0, opened)
    run.high_water[0], run.entry_ns[0] = high_water, entry_ns
    with set_to(PROTECTIVE=(Fixed(level, 30),)):
        stops.protect(0, 1, 120, 0, run)
    assert trades(run) == [(opened, 30)]
    assert run.decision_price[0] == seen


@pytest.mark.parametrize(("close", "waits"), [(101.5, 0), (100.5, 31)])
def test_a_stop_that_never_rested_is_checked_at_what_the_market_pays(close, waits):
    run = holding(2.0)
    run.high_water[0], run.min_notional[0] = 102.0, 200.0
    bar(run, 0, 100.0, 102.0, 100.0, close)
    bar(run, 1, 93.0, 94.0, 90.0, 92.0)
    with set_to(PROTECTIVE=(Fixed(101.0, 30),)):
        stops.protect(0, 1, 120, 0, run)
    # two units are worth 202 at the level, and 186 at the open
    assert run.exit_to_retry[0] == waits
    assert trades(run) == ([] if waits else [(93.0, 30)])


@pytest.mark.parametrize(
    ("close", "notional", "exit_", "waits"),
    [(105.0, 0.0, [], 0), (105.1, 0.0, [(105.0, 31)], 0), (105.1, 300.0, [], 32)],
    ids=["not certain", "certain", "certain and too small"],
)
def test_a_trade_that_began_inside_its_bar_meets_a_target_that_the_close_is_beyond(
    close, notional, exit_, waits
):
    run = holding(2.0)
    run.began_in_bar[0], run.min_notional[0] = 1, notional
    bar(run, 1, 90.0, 106.0, 90.0, close)
    with set_to(TARGETS=(Fixed(105.0, 31),)):
        stops.protect(0, 1, 120, 0, run)
    assert (trades(run), run.exit_to_retry[0]) == (exit_, waits)


def test_the_open_alone_meets_what_it_jumped_over():
    run = holding(2.0)
    bar(run, 1, 100.0, 104.0, 90.0, 100.0)
    with set_to(PROTECTIVE=(Fixed(95.0, 30),)):
        stops.protect(0, 1, 120, 1, run)
        assert trades(run) == []
        bar(run, 2, 94.0, 104.0, 90.0, 100.0)
        stops.protect(0, 2, 180, 1, run)
    assert trades(run) == [(94.0, 30)]


def test_a_stop_blocks_its_side_and_a_target_does_not():
    for level, name in ((95.0, "PROTECTIVE"), (105.0, "TARGETS")):
        run = holding(2.0)
        bar(run, 1, 100.0, 106.0 if level > 100.0 else 100.0, 94.0 if level < 100.0 else 100.0, 100)
        with set_to(**{name: (Fixed(level),)}, REENTRY="after", COOLDOWN_BARS=4):
            stops.protect(0, 1, 120, 0, run)
        expected = (5, 0) if level < 100.0 else (0, 0)
        assert (run.blocked_long[0], run.blocked_short[0]) == expected
        assert run.open_side[0] == 0


@pytest.mark.parametrize("side", [1, -1])
def test_each_side_keeps_its_own_block(side: int):
    run = run_of()
    with set_to(REENTRY="after", COOLDOWN_BARS=4):
        reentry.block_side(0, side, run)
        bars.match_intrabar(0, 1, 60, run)
        reentry.block_side(0, -side, run)
        bars.match_intrabar(0, 1, 120, run)
    left = (run.blocked_long[0], run.blocked_short[0])
    assert left == ((3, 4) if side > 0 else (4, 3))


def test_a_level_at_which_nothing_can_be_sold_does_not_rest():
    run = holding(2.0)
    run.min_notional[0] = 195.0
    bar(run, 1, 100.0, 101.0, 94.0, 100.0)
    with set_to(PROTECTIVE=(Fixed(95.0, 30),)):
        stops.protect(0, 1, 120, 0, run)
    assert (trades(run), run.exit_to_retry[0]) == ([], 31)


def test_a_liquidation_comes_before_a_stop_beyond_it():
    run = holding(20.0)
    bar(run, 1, 100.0, 101.0, 40.0, 100.0)
    with set_to(
        SPOT=False, LIQUIDATES=True, LEVERAGE=5.0, MAINTENANCE=0.01, PROTECTIVE=(Fixed(50.0),)
    ):
        stops.protect(0, 1, 120, 0, run)
    assert trades(run) == [(liquidation_price(1.0, 100.0, 5.0, 0.01, 0.0), R_LIQUIDATION)]


def test_a_part_that_is_closed_takes_its_share_of_the_funding_out_of_the_margin_with_it():
    run = holding(20.0)
    pay_funding(0, 20.0, 0.01, 100.0, 0, run)
    with set_to(SPOT=False, LEVERAGE=5.0, MAINTENANCE=0.01):
        level = stops.price_of_liquidation(0, run)
        assert level == pytest.approx((80.0 + 1.0) / 0.99)
        book_fill(0, fill_of(-5.0, 100.0), 0.0, 0, run)
        assert run.margin_funding[0] == pytest.approx(15.0)
        assert stops.price_of_liquidation(0, run) == pytest.approx(level)
        book_fill(0, fill_of(15.0, 100.0), 0.0, 0, run)
        assert stops.price_of_liquidation(0, run) == pytest.approx((80.0 + 0.5) / 0.99)
        book_fill(0, fill_of(-40.0, 100.0), 0.0, 0, run)
        assert stops.price_of_liquidation(0, run) == pytest.approx(120.0 / 1.01)


def test_a_quote_at_the_stop_sends_an_exit_once():
    run = holding(2.0)
    with set_to(PROTECTIVE=(Fixed(95.0, 30),), TARGETS=(Fixed(105.0, 31),)):
        stops.touch(0, 96.0, 60, run)
        assert run.working[0] == 0
        stops.touch(0, 95.0, 61, run)
        stops.touch(0, 94.0, 62, run)
    assert (run.order_units[0], run.order_reason[0], run.order_id[0]) == (-2.0, 30, 0)


def test_a_late_fill_of_an_order_that_was_given_up_is_sold():
    run = run_of()
    closed = venue_fills.book_venue_fill(
        0, fill_of(2.0, 100.0, time_ns=60, order_id=9, reason=7), 2.0, 0.1, 1, run
    )
    assert closed == 0
    assert (run.units[0], run.order_units[0], run.order_reason[0]) == (2.0, -2.0, R_LATE_FILL)


@pytest.mark.parametrize(("code", "retried"), [(31, 0), (30, 31)], ids=["target", "stop"])
def test_a_target_that_a_venue_ended_rests_again_and_a_stop_goes_on(code: int, retried: int):
    run = holding(2.0)
    with set_to(PROTECTIVE=(Fixed(95.0, 30),), TARGETS=(Fixed(105.0, 31),)):
        venue_fills.venue_triggered(0, code, 60, run)
        venue_fills.venue_ended(0, int(run.order_id[0]), layout.STATUS_EXPIRED, 61, run)
    assert (run.working[0], run.exit_to_retry[0]) == (0, retried)


def test_what_is_left_of_an_order_works_on_after_a_fill():
    run = run_of()
    place_order(0, order_of(layout.MARKET, 5.0), 0, 1, 0, 0, run)
    for units, left in ((2.0, 3.0), (3.0, 0.0)):
        venue_fills.book_venue_fill(
            0, fill_of(units, 100.0, time_ns=60, decision_price=0.0), units, 0.0, 0, run
        )
        assert run.order_units[0] == left
    assert status(run) == [(layout.STATUS_FILLED, 0)]


@pytest.mark.parametrize(("price", "reason"), [(89.0, 30), (111.0, 33)])
@pytest.mark.parametrize("small", [False, True])
def test_a_level_that_is_touched_between_bars_cancels_an_entry_only_for_an_exit(
    price, reason, small
):
    run = holding(2.0)
    run.min_notional[0] = 500.0 if small else 0.0
    place_order(0, order_of(layout.LIMIT, 8.0, limit=80.0), 0, 9, 0, 0, run)
    with set_to(PROTECTIVE=(Fixed(90.0),), TARGETS=(Fixed(110.0, 33),)):
        stops.touch(0, price, 0, run)
    exits = run.reduces[0] == 1
    assert (exits, run.exit_to_retry[0] - 1) == ((False, reason) if small else (True, -1))
    assert run.order_units[0] == (8.0 if small else -2.0)
    venue_filled = 8.0 if small else -2.0
    with set_to(PROTECTIVE=(Fixed(90.0),), TARGETS=(Fixed(110.0, 33),)):
        venue_fills.take_in_fill(
            0,
            fill_of(venue_filled, 80.0, maker=1, order_id=int(run.order_id[0])),
            venue_filled,
            0.0,
            0,
            run,
        )
    assert (run.units[0], run.exit_to_retry[0]) == ((10.0, 0) if small else (0.0, 0))


LEVERAGED = {"LIQUIDATES": True, "LEVERAGE": 10.0, "MAINTENANCE": 0.01, "SPOT": False}


@pytest.mark.parametrize(("units", "before", "beyond"), [(2.0, 92.0, 90.0), (-2.0, 108.0, 110.0)])
def test_an_open_beyond_the_liquidation_price_ends_the_position_before_any_order(
    units: float, before: float, beyond: float
) -> None:
    run = holding(units)
    with set_to(**LEVERAGED):
        for opened, bust in ((before, False), (beyond, True)):
            bar(run, 1, opened, opened, opened, opened)
            assert stops.is_bust(0, 1, run) == bust
        run.is_synthetic[0, 1] = 1
        assert not stops.is_bust(0, 1, run), "a bar made up to fill a gap ends nothing"
        run.is_synthetic[0, 1] = 0
        place_order(0, order_of(layout.MARKET, -units, reason=R_LIQUIDATION), 0, 0, 1, 0, run)
        assert not stops.is_bust(0, 1, run), "it is being liquidated"
        assert not stops.is_bust(0, 1, run_of()), "nothing is held"


@pytest.mark.parametrize(("units", "before", "beyond"), [(2.0, 92.0, 90.0), (-2.0, 108.0, 110.0)])
def test_a_mark_at_the_liquidation_price_sends_the_exit_and_blocks_the_side(
    units: float, before: float, beyond: float
) -> None:
    run = holding(units)
    with set_to(**LEVERAGED, REENTRY="after", COOLDOWN_BARS=3):
        stops.liquidate(0, before, 60, run)
        assert (run.working[0], run.blocked_long[0], run.blocked_short[0]) == (0, 0, 0)
        stops.liquidate(0, beyond, 60, run)
    assert (run.order_units[0], run.order_reason[0]) == (-units, R_LIQUIDATION)
    assert (run.blocked_long[0] > 0, run.blocked_short[0] > 0) == (units > 0, units < 0)
    empty = run_of()
    with set_to(**LEVERAGED):
        stops.liquidate(0, 1.0, 60, empty)
    assert empty.log_rows == 0


def test_the_stop_or_the_liquidation_is_met_that_is_reached_first():
    run = holding(2.0)
    with set_to(**LEVERAGED):
        liquidated = stops.price_of_liquidation(0, run)
        for stop, opened, found in (
            (95.0, 100.0, (95.0, 30)),
            (NAN, 100.0, (liquidated, R_LIQUIDATION)),
            (85.0, 100.0, (liquidated, R_LIQUIDATION)),
            (95.0, 80.0, (liquidated, R_LIQUIDATION)),
        ):
            run.stop_price[0], run.stop_reason[0] = stop, 30
            assert steps.nearest_stop(0, opened, run) == found


@pytest.mark.parametrize("low", [96.0, 90.0])
@pytest.mark.parametrize("waits", [0, 8])
def test_a_liquidation_in_steps_does_not_wait_though_a_stop_does(low, waits):
    run = holding(2.0)
    run.min_notional[0], run.exit_to_retry[0] = 1_000.0, waits
    run.stop_price[0], run.stop_reason[0] = 97.0, 30
    bar(run, 1, 100.0, 100.0, low, low)
    with set_to(**LEVERAGED, STEPS=True):
        steps.meet_levels_within(0, 1, 120, run)
        liquidated = stops.price_of_liquidation(0, run) if run.open_side[0] else NAN
    if low == 90.0:
        assert (run.open_side[0], trades(run)[-1][1]) == (0, R_LIQUIDATION)
    else:
        assert (run.open_side[0], run.exit_to_retry[0]) == (1, waits or 31)
        assert liquidated < low


def test_a_touched_stop_that_is_too_small_waits_unless_an_exit_of_all_was_sent():
    run = holding(2.0)
    assert not stops.all_is_leaving(0, run)
    place_order(0, order_of(layout.MARKET, -2.0, reason=1), 600, 0, 1, 60, run)
    assert stops.all_is_leaving(0, run)
    run.min_notional[0] = 1_000.0
    run.stop_price[0], run.stop_reason[0] = 97.0, 30
    bar(run, 1, 100.0, 100.0, 96.0, 96.0)
    with set_to(REENTRY="rearm"):
        steps.meet_levels_within(0, 1, 120, run)
    assert (run.exit_to_retry[0], run.blocked_long[0]) == (0, 1)


@pytest.mark.parametrize("venue", [False, True])
def test_a_take_that_sells_all_leaves_nothing_to_wait_for_unless_a_venue_has_it(venue):
    run = holding(2.0)
    run.take_units[0] = -2.0
    with set_to(SENDS_TAKES=True, VENUE_FILLS=venue):
        stops.retry_exit(0, 7, run)
    assert run.exit_to_retry[0] == (8 if venue else 0)


def test_an_exit_that_has_met_the_open_leaves_no_volume_to_the_stop():
    run = holding(2.0)
    place_order(0, order_of(layout.MARKET, -2.0, reason=1), 60, 0, 1, 60, run)
    bar(run, 1, 90.0, 90.0, 90.0, 90.0)
    assert [bool(steps.exit_has_met(0, i, run)) for i in (0, 1)] == [False, True]
    with set_to(**LEVERAGED):
        assert not steps.exit_has_met(0, 1, run), "a liquidation comes before it"


def test_a_liquidation_comes_before_an_exit_that_was_sent():
    with set_to(LIQUIDATES_HERE=True, LEVERAGE=10.0, MAINTENANCE=0.01):
        run = holding(2.0)
        place_order(0, order_of(layout.MARKET, -2.0, reason=31), 50, 0, 1, 20, run)
        sent = int(run.order_id[0])
        level = liquidation_price(1.0, 100.0, 10.0, 0.01, 0.0)
        stops.liquidate(0, level * 1.01, 30, run)
        assert run.order_id[0] == sent, "above its level it changes nothing"
        for _ in range(2):  # once is enough
            stops.liquidate(0, level, 30, run)
            assert (run.order_reason[0], run.order_units[0]) == (R_LIQUIDATION, -2.0)
            assert run.order_id[0] == sent + 1
            assert status(run) == [(layout.STATUS_CANCELLED, R_LIQUIDATION)]
