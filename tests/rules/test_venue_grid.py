"""A grid where a venue fills orders: what sends a level, and what its fills and ends do."""

from __future__ import annotations

from typing import Any

import pytest

from septet._kernel import layout
from septet._kernel.layout import GRID_BOUGHT, GRID_ENTRY, GRID_EXIT, GRID_ORDER, GRID_PRICE
from septet._rules import grid, grid_orders, orders, stops, venue_fills, venue_grid
from septet._rules.run_state import Run
from septet._rules.settings import R_GRID, R_GRID_EXIT, R_GRID_MOVED, R_OTHER_SIDE
from tests.rules.small_run import fill_of, rows, set_to, status
from tests.rules.test_grid import BOTH, CANCELLED, FILLED, MINUTE, ONE, laid, level

VENUE = {**ONE, "VENUE_FILLS": True}
TWO_SIDED = {**BOTH, "GRID_SIZE": 0.2, "VENUE_FILLS": True}
NAN = float("nan")


def pass_price(run: Run, settings: dict[str, Any], price: float, now_ns: int = 2 * MINUTE) -> None:
    """Let one price be seen, of both sides."""
    run.mark[0] = price
    with set_to(**settings):
        venue_grid.touch_grid(0, price, price, now_ns, run)


def fill(run: Run, settings: dict[str, Any], n: int, units: float, price: float) -> None:
    """Let the venue fill some of the order of level n."""
    order = int(level(run, n, GRID_ORDER))
    with set_to(**settings):
        venue_fills.book_venue_fill(
            0,
            fill_of(units, price, time_ns=3 * MINUTE, order_id=order, reason=R_GRID),
            units,
            0.0,
            0,
            run,
        )


def rest(run: Run, settings: dict[str, Any], centre: float = 100.0) -> None:
    """Let the next close decide what waits."""
    with set_to(**settings, grid_centre=lambda *_: centre):
        grid.rest_grids(1, 4 * MINUTE, run)


def sent(run: Run) -> list[tuple[int, ...]]:
    """Return the kinds and reasons of the orders that were made."""
    return [row[1:] for row in rows(run, layout.ORDER)]


def test_a_level_is_sent_once_when_a_price_has_traded_through_it() -> None:
    run = laid(VENUE)
    assert sent(run) == [], "nothing rests at the venue"
    pass_price(run, VENUE, level(run, 0, GRID_PRICE))
    assert sent(run) == [], "a level that is met is not passed"
    for price in (89.9, 89.0):
        pass_price(run, VENUE, price)
    assert sent(run) == [(layout.MARKET, R_GRID)]
    pass_price(run, VENUE, 80.0)
    assert len(sent(run)) == 2


@pytest.mark.parametrize("prices", [(NAN, 80.0), (80.0, NAN)])
def test_of_a_flat_symbol_both_prices_must_be_known(prices: tuple[float, float]) -> None:
    run = laid(VENUE)
    with set_to(**VENUE):
        venue_grid.touch_grid(0, *prices, 2 * MINUTE, run)
        assert sent(run) == []
        venue_grid.touch_grid(0, 80.0, 80.0, 2 * MINUTE, run)
    assert len(sent(run)) == 2


def test_a_buy_is_sent_at_the_ask_and_a_short_sale_at_the_bid() -> None:
    run = laid(TWO_SIDED)
    with set_to(**TWO_SIDED):
        venue_grid.touch_grid(0, 95.0, 89.0, 2 * MINUTE, run)  # ask, bid
        assert sent(run) == []
        venue_grid.touch_grid(0, 112.0, 105.0, 2 * MINUTE, run)
        assert sent(run) == []
        venue_grid.touch_grid(0, 112.0, 111.5, 2 * MINUTE, run)
    assert [level(run, n, GRID_ORDER) >= 0.0 for n in range(4)] == [False, False, True, False]


def test_an_order_shows_the_level_that_it_was_decided_at() -> None:
    run = laid(VENUE)
    pass_price(run, VENUE, 89.0)
    fill(run, VENUE, 0, 5.0, 89.0)
    rest(run, VENUE)
    pass_price(run, VENUE, 100.1)
    orders = run.LI[: int(run.log_rows), 0] == layout.ORDER
    levels = run.LF[: int(run.log_rows), 1][orders].tolist()
    assert levels == [pytest.approx(90.0), pytest.approx(100.0)]


def test_a_level_holds_what_was_filled_of_it_and_sells_that_one_level_up() -> None:
    run = laid(VENUE)
    pass_price(run, VENUE, 89.0)
    fill(run, VENUE, 0, 2.0, 89.0)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_ENTRY)) == (2.0, 3.0)
    order = int(level(run, 0, GRID_ORDER))
    with set_to(**VENUE):
        venue_fills.venue_ended(0, order, layout.STATUS_CANCELLED, 3 * MINUTE, run)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_ENTRY)) == (2.0, 0.0)
    assert status(run)[-1] == (CANCELLED, R_GRID)
    rest(run, VENUE)
    assert level(run, 0, GRID_EXIT) == -2.0
    pass_price(run, VENUE, 100.0)
    assert len(sent(run)) == 1
    pass_price(run, VENUE, 100.1)
    assert sent(run)[-1] == (layout.MARKET, R_GRID_EXIT)
    fill(run, VENUE, 0, -0.5, 100.1)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (1.5, -1.5)
    fill(run, VENUE, 0, -1.5, 100.1)
    assert (run.units[0], level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (0.0, 0.0, 0.0)
    assert status(run)[-1] == (FILLED, R_GRID_EXIT)


def test_a_flat_grid_stays_while_an_order_of_it_is_on_its_way() -> None:
    run = laid(VENUE)
    pass_price(run, VENUE, 89.0)
    rest(run, VENUE, 120.0)
    assert level(run, 0, GRID_PRICE) == pytest.approx(90.0)
    assert R_GRID_MOVED not in [reason for _, reason in status(run)]
    with set_to(**VENUE):
        order = int(level(run, 0, GRID_ORDER))
        venue_fills.venue_ended(0, order, layout.STATUS_CANCELLED, 3 * MINUTE, run)
    rest(run, VENUE, 120.0)
    assert level(run, 0, GRID_PRICE) == pytest.approx(108.0)


def test_the_first_fill_of_a_side_ends_what_was_sent_of_the_other() -> None:
    run = laid(TWO_SIDED)
    pass_price(run, TWO_SIDED, 111.0)
    pass_price(run, TWO_SIDED, 89.0)
    fill(run, TWO_SIDED, 0, 1.0, 89.0)
    assert (CANCELLED, R_OTHER_SIDE) in status(run)
    assert len(status(run)) == 1, "a level that was only watched has no order to cancel"
    assert [level(run, n, GRID_ENTRY) for n in (2, 3)] == [0.0, 0.0]


def test_a_block_sends_no_entry_and_ends_none() -> None:
    run = laid(VENUE)
    run.blocked = 1
    pass_price(run, VENUE, 80.0)
    assert sent(run) == []
    run.blocked = 0
    pass_price(run, VENUE, 80.0)
    assert len(sent(run)) == 2


def test_levels_never_sell_more_than_is_held() -> None:
    run = laid(VENUE)
    pass_price(run, VENUE, 80.0)
    for n in (0, 1):
        fill(run, VENUE, n, 5.0, 80.0)
    rest(run, VENUE)
    run.units[0] = 7.0  # a take has sold the rest
    pass_price(run, VENUE, 101.0)
    assert [level(run, n, GRID_EXIT) for n in (0, 1)] == [-5.0, -2.0]


def test_what_is_held_without_a_grid_is_laid_under_and_leaves_at_the_centre() -> None:
    run = laid(VENUE)
    with set_to(**VENUE):
        grid_orders.remove_grid(0, R_GRID_MOVED, MINUTE, run)
        venue_fills.book_venue_fill(
            0, fill_of(5.0, 95.0, time_ns=2 * MINUTE, order_id=77, reason=R_GRID), 5.0, 0.0, 0, run
        )
    rest(run, VENUE)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (5.0, -5.0)
    assert level(run, 1, GRID_ENTRY) > 0.0


def remaining(run: Run, units: float) -> None:
    """Let level 0 buy so many units, which are worth less than the venue takes."""
    run.min_notional[0] = 300.0
    pass_price(run, VENUE, 89.0)
    fill(run, VENUE, 0, units, 89.0)
    with set_to(**VENUE):
        order = int(level(run, 0, GRID_ORDER))
        venue_fills.venue_ended(0, order, layout.STATUS_CANCELLED, 3 * MINUTE, run)


def test_what_is_too_little_to_be_sold_stops_no_level_and_no_centre() -> None:
    """What a grid holds was stuck for good, as were its levels, far from the price."""
    run = laid(VENUE)
    remaining(run, 2.0)
    run.mark[0] = 120.0
    rest(run, VENUE, 120.0)
    assert run.exit_to_retry[0] == R_GRID_EXIT + 1
    assert level(run, 0, GRID_PRICE) == pytest.approx(108.0)
    assert (level(run, 0, GRID_EXIT), level(run, 0, GRID_ENTRY)) == (0.0, 4.0)
    run.mark[0] = 107.0
    with set_to(**VENUE):
        orders.go_on(0, 5 * MINUTE, run)
    assert level(run, 0, GRID_ENTRY) == 4.0, "asking again for the exit ends no level"
    pass_price(run, VENUE, 107.0)
    fill(run, VENUE, 0, 4.0, 107.0)
    assert (run.units[0], run.exit_to_retry[0]) == (6.0, 0)
    rest(run, VENUE, 120.0)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (6.0, -6.0)
    pass_price(run, VENUE, 120.1)
    fill(run, VENUE, 0, -6.0, 120.1)
    assert (run.units[0], run.open_side[0]) == (0.0, 0)


def test_a_stop_that_is_too_small_ends_no_level() -> None:
    run = laid(VENUE)
    remaining(run, 2.0)
    with set_to(**VENUE):
        stops.leave_touched(0, 30, 3 * MINUTE, run)
    assert run.exit_to_retry[0] == 31
    rest(run, VENUE, 80.0)
    assert level(run, 0, GRID_PRICE) == pytest.approx(72.0)
    assert level(run, 0, GRID_ENTRY) > 0.0
    pass_price(run, VENUE, 71.0)
    assert sent(run)[-1] == (layout.MARKET, R_GRID)
    fill(run, VENUE, 0, 5.0, 71.0)
    assert run.exit_to_retry[0] == 0


def test_levels_follow_a_lot_and_a_minimum_that_have_grown() -> None:
    run = laid(VENUE)
    run.lot[0] = 2.0
    pass_price(run, VENUE, 89.0)
    assert level(run, 0, GRID_ENTRY) == 4.0
    fill(run, VENUE, 0, 4.0, 89.0)
    rest(run, VENUE)
    assert level(run, 0, GRID_EXIT) == -4.0
    run.min_notional[0] = 500.0
    rest(run, VENUE)
    assert level(run, 0, GRID_EXIT) == 0.0
    assert run.exit_to_retry[0] == R_GRID_EXIT + 1


def test_a_position_below_a_lot_that_has_grown_stops_no_level() -> None:
    run = laid(VENUE)
    remaining(run, 2.0)
    run.lot[0] = 4.0
    run.mark[0] = 120.0
    rest(run, VENUE, 120.0)
    assert level(run, 0, GRID_PRICE) == pytest.approx(108.0)
    pass_price(run, VENUE, 107.0)
    assert sent(run)[-1] == (layout.MARKET, R_GRID)


def test_a_fill_of_no_order_of_ours_is_of_no_level_that_is_watched() -> None:
    run = laid(VENUE)
    with set_to(**VENUE):
        venue_fills.book_venue_fill(
            0, fill_of(5.0, 95.0, time_ns=2 * MINUTE, order_id=-1, reason=R_GRID), 5.0, 0.0, 0, run
        )
    assert (run.units[0], level(run, 0, GRID_BOUGHT), level(run, 0, GRID_ENTRY)) == (5.0, 0.0, 5.0)


def test_a_side_without_levels_is_closed() -> None:
    run = laid(VENUE)
    with set_to(**VENUE):
        venue_fills.book_venue_fill(
            0,
            fill_of(-5.0, 95.0, time_ns=2 * MINUTE, order_id=77, reason=R_GRID),
            -5.0,
            0.0,
            0,
            run,
        )
    rest(run, VENUE)
    assert (run.working[0], run.order_units[0]) == (1, 5.0)


def test_what_no_level_has_bought_leaves_with_the_nearest() -> None:
    """A fill that comes after the end of its order belongs to no level."""
    run = laid(VENUE)
    pass_price(run, VENUE, 89.0)
    fill(run, VENUE, 0, 5.0, 89.0)
    run.units[0] = 8.0
    rest(run, VENUE)
    assert (level(run, 0, GRID_BOUGHT), level(run, 0, GRID_EXIT)) == (8.0, -8.0)
    assert grid_orders.column_of_level(0) == layout.B_SLOTS
