"""The entry points of a plan with venue fills: fills, prices, orders that ended."""

from __future__ import annotations

from math import nan

from septet._rules.compile_marks import entry
from septet._rules.levels import protective_level
from septet._rules.orders import go_on
from septet._rules.records import Fill
from septet._rules.run_state import Run
from septet._rules.settings import STEPS, TOUCHES
from septet._rules.stops import newest_bar
from septet._rules.venue_fills import book_venue_fill, take_price, venue_ended, venue_triggered
from septet._rules.venue_steps import stop_with_fills

__all__ = ["book", "protection", "reprice", "respond"]


@entry(
    "int64(int64, float64, float64, int64, int64, int64, int64, float64, int64, float64, float64, "
    "int64, int64[:, ::1])"
)
def book(k, fill: Fill, net_units, fee, given_up, run: Run):
    """Book a fill of the venue; 1 if it closed a trade."""
    return book_venue_fill(k, fill, net_units, fee, given_up, run)


@entry("int64(int64, float64, float64, float64, int64, int64[:, ::1])")
def reprice(k, price, exit_price, entry_price, now_ns, run: Run):
    """Process a price of k between bars: mark the position, test halts and levels."""
    take_price(k, price, exit_price, entry_price, now_ns, run)
    return run.log_rows


@entry("int64(int64, int64, float64[::1], int64[:, ::1])")
def protection(k, now_ns, level_out, run: Run):
    """Return the level of a stop that a venue may hold for k, and its reason."""
    if TOUCHES and STEPS:
        level_out[0], reason = nan, -1
        if run.open_side[k] != 0:
            level_out[0], reason = stop_with_fills(k, run)
        return reason
    if TOUCHES:
        level_out[0], reason = protective_level(k, newest_bar(k, run), now_ns, run)
        return reason
    level_out[0] = nan
    return -1


@entry("int64(int64, int64, int64, int64, int64, int64[:, ::1])")
def respond(deed, k, order_id, code, time_ns, run: Run):
    """Process an order that the venue ended (0) or triggered (1), or a retry of an exit (2)."""
    if deed == 0:
        venue_ended(k, order_id, code, time_ns, run)
    elif deed == 1:
        venue_triggered(k, code, time_ns, run)
    elif run.exit_to_retry[k] > 0:
        go_on(k, time_ns, run)
    return run.log_rows
