"""The ledger: the only code that writes cash, positions, trades and the log.

Backtest, paper and live book their fills here; there is no second portfolio. Quantities are
whole units of an instrument's precision (float64, integer-valued), so that closing a position
leaves exactly zero.
"""

from __future__ import annotations

from math import nan

from septet._kernel.layout import ENTRY, FILL, FUNDING, LF_FIXED, ORDER, REVERSAL, STATUS, TRADE
from septet._kernel.ledger import fee_of_fill, mean_price
from septet._rules.compile_marks import kernel
from septet._rules.records import Fill, Order
from septet._rules.run_state import Run
from septet._rules.settings import TRACKS_POSITION

__all__ = [
    "book_amounts", "book_dust", "book_fill", "charge_liquidation", "close_trade", "end_order",
    "end_queued", "log_order", "log_row", "move_cash", "open_trade", "pay_funding", "place_order",
    "track_entry",
]  # fmt: skip


@kernel
def log_row(kind, time_ns, k, order_id, code, detail, run: Run):
    """Append a row to the log, its floats NaN, and return its number."""
    row = run.log_rows
    run.log_rows = row + 1
    run.LI[row, 0] = kind
    run.LI[row, 1] = time_ns
    run.LI[row, 2] = k
    run.LI[row, 3] = order_id
    run.LI[row, 4] = code
    run.LI[row, 5] = detail
    run.LF[row, 0] = nan
    run.LF[row, 1] = nan
    run.LF[row, 2] = nan
    run.LF[row, 3] = nan
    run.LF[row, 4] = nan
    run.LF[row, 5] = nan
    run.LF[row, 6] = nan
    for column in range(LF_FIXED, run.LF.shape[1]):
        run.LF[row, column] = nan
    return row


@kernel
def log_order(k, order: Order, time_ns, run: Run):
    """Number an order, count it among those of this minute, log it, and return its row."""
    order_id = run.orders
    run.orders = order_id + 1
    run.orders_this_minute = run.orders_this_minute + 1
    row = log_row(ORDER, time_ns, k, order_id, order.kind, order.reason, run)
    run.LF[row, 0] = order.units
    run.LF[row, 1] = order.limit
    run.LF[row, 2] = order.trigger
    run.LF[row, 3] = order.decision_price
    return row


@kernel
def place_order(k, order: Order, active_ns, bars, reduces, time_ns, run: Run):
    """Make an order the symbol's working order, log it, and return its row in the log.

    It may fill from `active_ns` on and is in force for so many `bars`; `reduces` is 1 if it can
    only make the position smaller, and such an order has no end.
    """
    row = log_order(k, order, time_ns, run)
    run.working[k] = 1
    run.order_id[k] = run.LI[row, 3]
    run.order_type[k] = order.kind
    run.reduces[k] = reduces
    run.active_ns[k] = active_ns
    run.bars_left[k] = bars
    run.order_reason[k] = order.reason
    run.order_units[k] = order.units
    run.limit_price[k] = order.limit
    run.trigger_price[k] = order.trigger
    run.decision_price[k] = order.decision_price
    return row


@kernel
def end_order(k, status, reason, time_ns, run: Run):
    """Remove the working order and log the reason."""
    row = log_row(STATUS, time_ns, k, run.order_id[k], status, reason, run)
    run.LF[row, 0] = run.order_units[k]
    run.working[k] = 0
    run.order_units[k] = 0.0


@kernel
def end_queued(k, status, reason, time_ns, run: Run):
    """End the entry queued behind the exit of the other side, and log the reason."""
    row = log_row(STATUS, time_ns, k, run.queued_id[k] - 1, status, reason, run)
    run.LF[row, 0] = run.queued_units[k]
    run.queued_id[k] = 0
    run.queued_units[k] = 0.0


@kernel
def open_trade(k, units, price, fee, slippage, time_ns, intrabar, run: Run):
    """Open a trade with units at a price, and with the costs of that fill (quote)."""
    side = 1 if units > 0.0 else -1
    run.open_side[k] = side
    run.trade_ns[k] = time_ns
    run.entry_ns[k] = time_ns
    run.held_bars[k] = 0
    run.began_in_bar[k] = intrabar
    run.average_price[k] = price
    run.high_water[k] = price
    run.entry_notional[k] = abs(units) / run.scale[k] * price
    run.exit_notional[k] = 0.0
    run.closed_units[k] = 0.0
    run.closed_average_price[k] = price
    run.trade_gross[k] = 0.0
    run.trade_fees[k] = fee
    run.trade_funding[k] = 0.0
    run.margin_funding[k] = 0.0
    run.trade_liquidation[k] = 0.0
    run.trade_slippage[k] = slippage
    if TRACKS_POSITION:
        run.first_price[k] = price
        run.last_price[k] = price
        run.first_units[k] = abs(units)
        run.entered_units[k] = abs(units)
        run.entry_fees[k] = fee
        run.trade_bars[k] = 0
        run.adds[k] = 0


@kernel
def track_entry(k, units, price, fee, reason, run: Run):
    """Update the entry figures of the position after a further fill of an entry."""
    run.last_price[k] = price
    run.entered_units[k] = run.entered_units[k] + abs(units)
    run.entry_fees[k] = run.entry_fees[k] + fee
    if reason == ENTRY:
        run.first_units[k] = run.first_units[k] + abs(units)


@kernel
def close_trade(k, reason, time_ns, run: Run):
    """Log the trade of k with its result, and count it; the remainder is less than a lot."""
    quantity = run.closed_units[k] / run.scale[k]
    pnl = run.trade_gross[k] - run.trade_fees[k] - run.trade_funding[k] - run.trade_liquidation[k]
    row = log_row(TRADE, time_ns, k, run.trade_ns[k], reason, run.open_side[k], run)
    run.LF[row, 0] = run.entry_notional[k]
    run.LF[row, 1] = run.closed_average_price[k]
    run.LF[row, 2] = run.exit_notional[k] / quantity
    run.LF[row, 3] = quantity
    run.LF[row, 4] = pnl
    run.LF[row, 5] = run.trade_fees[k]
    run.LF[row, 6] = run.trade_funding[k]
    run.LF[row, 7] = run.trade_liquidation[k]
    run.LF[row, 8] = run.trade_slippage[k]
    if run.units[k] * run.open_side[k] > 0.0:  # less than a lot: kept at its cost
        run.dust_cost[k] = run.dust_cost[k] + run.units[k] / run.scale[k] * run.average_price[k]
    run.last_pnl = pnl
    run.last_return = pnl / run.entry_notional[k]
    run.trades = run.trades + 1
    if pnl > 0.0:
        run.wins = run.wins + 1
        run.gained = run.gained + pnl
    elif pnl < 0.0:
        run.lost = run.lost - pnl
    run.losses_in_a_row = run.losses_in_a_row + 1 if pnl < 0.0 else 0
    run.open_side[k] = 0
    run.exit_to_retry[k] = 0
    run.held_bars[k] = 0
    run.began_in_bar[k] = 0
    run.average_price[k] = nan
    if TRACKS_POSITION:
        run.first_price[k] = nan
        run.last_price[k] = nan


@kernel
def book_dust(k, units, price, fee, slippage, run: Run):
    """Book units below one lot, which belong to no trade."""
    run.dust_cost[k] = run.dust_cost[k] + units / run.scale[k] * price + fee
    run.dust_fees[k] = run.dust_fees[k] + fee
    run.dust_slippage[k] = run.dust_slippage[k] + slippage


@kernel
def move_cash(units, price, net_units, fee, scale, run: Run):
    """Book the cash of a fill; a fee withheld in the base currency costs no cash."""
    notional = abs(units) / scale * price
    if units > 0.0:
        run.cash = run.cash - notional
    else:
        run.cash = run.cash + notional
    if net_units == units:
        run.cash = run.cash - fee
    run.fees_paid = run.fees_paid + fee
    run.turnover = run.turnover + notional


@kernel
def book_fill(k, fill: Fill, rate, received, run: Run):
    """Book one fill whose fee is a rate; return 1 if it closed a trade, else 0.

    `rate` is the fee as a fraction of the notional, taken in what is received when `received` is 1
    (a buy then brings fewer units), else in the quote currency.
    """
    net_units, fee = fee_of_fill(fill.units, fill.price, rate, received, run.scale[k])
    return book_amounts(k, fill, net_units, fee, run)


@kernel
def book_amounts(k, fill: Fill, net_units, fee, run: Run):
    """Book one fill whose fee is known; return 1 if it closed a trade, else 0.

    `net_units` are the units that arrived, signed. Where they are not the fill's units, the fee was
    withheld in the base currency and `fee` (quote) is only its value; else `fee` is paid in cash.
    """
    price, reason, time_ns = fill.price, fill.reason, fill.time_ns
    scale, held, side = run.scale[k], run.units[k], run.open_side[k]
    move_cash(fill.units, price, net_units, fee, scale, run)
    slippage = (price - fill.decision_price) * (fill.units / scale)
    run.slippage_paid = run.slippage_paid + slippage
    row = log_row(FILL, time_ns, k, fill.order_id, fill.maker, reason, run)
    run.LF[row, 0] = fill.units
    run.LF[row, 1] = price
    run.LF[row, 2] = fee
    run.LF[row, 3] = net_units
    run.LF[row, 4] = fill.decision_price
    after = held + net_units
    run.units[k] = after
    if side == 0:
        if abs(after) < run.lot[k] or after * net_units <= 0.0:  # dust before, dust after
            book_dust(k, net_units, price, fee, slippage, run)
            return 0
        if held != 0.0:  # dust joins the trade at the trade's price
            run.dust_cost[k] = run.dust_cost[k] - held / scale * price
        opened = net_units if held * net_units >= 0.0 else after
        open_trade(k, opened, price, fee, slippage, time_ns, fill.intrabar, run)
        return 0
    if net_units * side > 0.0:
        run.average_price[k] = (run.average_price[k] * abs(held) + price * abs(net_units)) / abs(
            after
        )
        run.entry_notional[k] = run.entry_notional[k] + abs(net_units) / scale * price
        run.trade_fees[k] = run.trade_fees[k] + fee
        run.trade_slippage[k] = run.trade_slippage[k] + slippage
        if TRACKS_POSITION:
            track_entry(k, net_units, price, fee, reason, run)
        return 0
    closing = min(abs(net_units), abs(held))
    share = closing / abs(net_units)
    run.trade_gross[k] = run.trade_gross[k] + (price - run.average_price[k]) * side * (
        closing / scale
    )
    run.trade_fees[k] = run.trade_fees[k] + fee * share
    run.trade_slippage[k] = run.trade_slippage[k] + slippage * share
    run.exit_notional[k] = run.exit_notional[k] + closing / scale * price
    run.closed_average_price[k] = mean_price(
        run.closed_average_price[k], run.closed_units[k], run.average_price[k], closing
    )
    run.closed_units[k] = run.closed_units[k] + closing
    if reason == ENTRY:  # of the other side
        reason = REVERSAL
    if after * side > 0.0 and abs(after) >= run.lot[k]:
        if TRACKS_POSITION:
            run.entry_fees[k] = run.entry_fees[k] * (abs(after) / abs(held))
        run.margin_funding[k] = run.margin_funding[k] * (abs(after) / abs(held))
        return 0
    if abs(after) < run.lot[k]:  # flat means less than one lot
        close_trade(k, reason, time_ns, run)
        if after * side < 0.0:
            book_dust(k, after, price, fee * (1.0 - share), slippage * (1.0 - share), run)
        return 1
    close_trade(k, REVERSAL, time_ns, run)
    fee, slippage = fee * (1.0 - share), slippage * (1.0 - share)
    open_trade(k, after, price, fee, slippage, time_ns, fill.intrabar, run)
    return 1


@kernel
def charge_liquidation(k, charge, run: Run):
    """Charge the cost of a liquidation before its fill is booked; a negative cost is received."""
    run.cash = run.cash - charge
    run.liquidation_paid = run.liquidation_paid + charge
    run.trade_liquidation[k] = run.trade_liquidation[k] + charge


@kernel
def pay_funding(k, units, rate, price, time_ns, run: Run):
    """Pay (or receive) the funding rate on the units held, at their mark."""
    if rate == 0.0 or rate != rate or units == 0.0:
        return
    paid = units / run.scale[k] * price * rate
    run.cash = run.cash - paid
    run.funding_paid = run.funding_paid + paid
    if run.open_side[k] != 0:
        run.trade_funding[k] = run.trade_funding[k] + paid
        run.margin_funding[k] = run.margin_funding[k] + paid
    else:
        run.dust_cost[k] = run.dust_cost[k] + paid
        run.dust_funding[k] = run.dust_funding[k] + paid
    row = log_row(FUNDING, time_ns, k, -1, 0, 0, run)
    run.LF[row, 0] = paid
    run.LF[row, 1] = rate
    run.LF[row, 2] = price
