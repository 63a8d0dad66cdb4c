"""The ledger: the only code that writes cash, positions, trades and the log.

Backtest, paper and live book their fills here; there is no second portfolio. Quantities are
whole units of an instrument's precision (float64, integer-valued), so that closing a position
leaves exactly zero.
"""

import math

from septet._kernel.layout import (
    ACTIVE_NS,
    AVERAGE,
    BARS_LEFT,
    CASH,
    CLOSED_AVERAGE,
    CLOSED_UNITS,
    DECISION_PRICE,
    DUST_COST,
    DUST_FEES,
    DUST_FUNDING,
    DUST_SLIPPAGE,
    ENTRY,
    ENTRY_NOTIONAL,
    ENTRY_NS,
    EXIT_NOTIONAL,
    EXIT_TO_RETRY,
    FEES,
    FILL,
    FUNDING,
    FUNDING_PAID,
    GAINED,
    HELD,
    HIGH_WATER,
    INTRABAR,
    LAST_PNL,
    LAST_RETURN,
    LF_FIXED,
    LIMIT_PRICE,
    LIQUIDATION_PAID,
    LOG,
    LOSSES,
    LOST,
    LOT,
    MARGIN_FUNDING,
    OPEN_SIDE,
    ORDER,
    ORDER_ID,
    ORDER_REASON,
    ORDER_TYPE,
    ORDER_UNITS,
    ORDERS,
    QUEUED_ID,
    QUEUED_UNITS,
    REDUCES,
    REVERSAL,
    SCALE,
    SENT,
    SLIPPAGE,
    STATUS,
    TRADE,
    TRADE_FEES,
    TRADE_FUNDING,
    TRADE_GROSS,
    TRADE_LIQUIDATION,
    TRADE_NS,
    TRADE_SLIPPAGE,
    TRADES,
    TRIGGER,
    TURNOVER,
    UNITS,
    WINS,
    WORKING,
)
from septet._kernel.marks import helper

__all__ = [
    "book_fill",
    "book_amounts",
    "charge_liquidation",
    "end_order",
    "end_queued",
    "floor_units",
    "log_row",
    "mean_price",
    "pay_funding",
    "place_order",
    "reduce_only",
    "round_down",
]

NAN = math.nan


@helper
def round_down(x):
    """Largest whole number not above x, as a float; what is too large for a fraction stays."""
    if not abs(x) < 4_503_599_627_370_496.0:
        return x
    return 1.0 * math.floor(x)


@helper
def floor_units(units, lot):
    """Whole lots in `units`, in units; a value within rounding of a whole lot counts as whole."""
    lots = units if lot == 1.0 else units / lot
    down = round_down(lots)
    up = down + 1.0
    missing = up - lots
    if missing <= 0.5 and missing <= 4e-15 * abs(up):
        return up * lot
    return down * lot


@helper
def log_row(kind, time_ns, k, order_id, code, detail, C, LI, LF):
    """Append a row to the log, its floats NaN, and return its number."""
    row = C[LOG]
    C[LOG] = row + 1
    LI[row, 0] = kind
    LI[row, 1] = time_ns
    LI[row, 2] = k
    LI[row, 3] = order_id
    LI[row, 4] = code
    LI[row, 5] = detail
    LF[row, 0] = NAN
    LF[row, 1] = NAN
    LF[row, 2] = NAN
    LF[row, 3] = NAN
    LF[row, 4] = NAN
    LF[row, 5] = NAN
    LF[row, 6] = NAN
    for column in range(LF_FIXED, LF.shape[1]):
        LF[row, column] = NAN
    return row


@helper
def place_order(
    k,
    kind,
    units,
    limit,
    trigger,
    active_ns,
    bars,
    reduces,
    reason,
    price,
    time_ns,
    C,
    B,
    I,
    LI,
    LF,
):
    """Make an order the symbol's working order, log it, and return its row in the log."""
    order_id = C[ORDERS]
    C[ORDERS] = order_id + 1
    C[SENT] = C[SENT] + 1
    I[k, WORKING] = 1
    I[k, ORDER_ID] = order_id
    I[k, ORDER_TYPE] = kind
    I[k, REDUCES] = reduces
    I[k, ACTIVE_NS] = active_ns
    I[k, BARS_LEFT] = bars
    I[k, ORDER_REASON] = reason
    B[k, ORDER_UNITS] = units
    B[k, LIMIT_PRICE] = limit
    B[k, TRIGGER] = trigger
    B[k, DECISION_PRICE] = price
    row = log_row(ORDER, time_ns, k, order_id, kind, reason, C, LI, LF)
    LF[row, 0] = units
    LF[row, 1] = limit
    LF[row, 2] = trigger
    LF[row, 3] = price
    return row


@helper
def end_order(k, status, reason, time_ns, C, B, I, LI, LF):
    """Take the working order out of work and log why."""
    row = log_row(STATUS, time_ns, k, I[k, ORDER_ID], status, reason, C, LI, LF)
    LF[row, 0] = B[k, ORDER_UNITS]
    I[k, WORKING] = 0
    B[k, ORDER_UNITS] = 0.0


@helper
def end_queued(k, status, reason, time_ns, C, B, I, LI, LF):
    """End the entry that waits for the exit of the other side, and log why."""
    row = log_row(STATUS, time_ns, k, I[k, QUEUED_ID] - 1, status, reason, C, LI, LF)
    LF[row, 0] = B[k, QUEUED_UNITS]
    I[k, QUEUED_ID] = 0
    B[k, QUEUED_UNITS] = 0.0


@helper
def reduce_only(units, held):
    """Clip an order to what closes the position: never through zero."""
    if units > 0.0:
        return min(units, max(0.0, -held))
    return max(units, min(0.0, -held))


@helper
def mean_price(price, weight, other, added):
    """Mean of two prices by their weights, one of them not zero; of equal ones that price."""
    if weight == 0.0 or price == other:
        return other
    return (price * weight + other * added) / (weight + added)


@helper
def _open_trade(k, units, price, fee, slippage, time_ns, intrabar, B, I):
    side = 1 if units > 0.0 else -1
    I[k, OPEN_SIDE] = side
    I[k, TRADE_NS] = time_ns
    I[k, ENTRY_NS] = time_ns
    I[k, HELD] = 0
    I[k, INTRABAR] = intrabar
    B[k, AVERAGE] = price
    B[k, HIGH_WATER] = price
    B[k, ENTRY_NOTIONAL] = abs(units) / B[k, SCALE] * price
    B[k, EXIT_NOTIONAL] = 0.0
    B[k, CLOSED_UNITS] = 0.0
    B[k, CLOSED_AVERAGE] = price
    B[k, TRADE_GROSS] = 0.0
    B[k, TRADE_FEES] = fee
    B[k, TRADE_FUNDING] = 0.0
    B[k, MARGIN_FUNDING] = 0.0
    B[k, TRADE_LIQUIDATION] = 0.0
    B[k, TRADE_SLIPPAGE] = slippage


@helper
def _close_trade(k, reason, time_ns, A, C, B, I, LI, LF):
    quantity = B[k, CLOSED_UNITS] / B[k, SCALE]
    pnl = B[k, TRADE_GROSS] - B[k, TRADE_FEES] - B[k, TRADE_FUNDING] - B[k, TRADE_LIQUIDATION]
    row = log_row(TRADE, time_ns, k, I[k, TRADE_NS], reason, I[k, OPEN_SIDE], C, LI, LF)
    LF[row, 0] = B[k, ENTRY_NOTIONAL]
    LF[row, 1] = B[k, CLOSED_AVERAGE]
    LF[row, 2] = B[k, EXIT_NOTIONAL] / quantity
    LF[row, 3] = quantity
    LF[row, 4] = pnl
    LF[row, 5] = B[k, TRADE_FEES]
    LF[row, 6] = B[k, TRADE_FUNDING]
    LF[row, 7] = B[k, TRADE_LIQUIDATION]
    LF[row, 8] = B[k, TRADE_SLIPPAGE]
    if B[k, UNITS] * I[k, OPEN_SIDE] > 0.0:  # less than a lot: it goes on at what it cost
        B[k, DUST_COST] = B[k, DUST_COST] + B[k, UNITS] / B[k, SCALE] * B[k, AVERAGE]
    A[LAST_PNL] = pnl
    A[LAST_RETURN] = pnl / B[k, ENTRY_NOTIONAL]
    C[TRADES] = C[TRADES] + 1
    if pnl > 0.0:
        C[WINS] = C[WINS] + 1
        A[GAINED] = A[GAINED] + pnl
    elif pnl < 0.0:
        A[LOST] = A[LOST] - pnl
    C[LOSSES] = C[LOSSES] + 1 if pnl < 0.0 else 0
    I[k, OPEN_SIDE] = 0
    I[k, EXIT_TO_RETRY] = 0
    I[k, HELD] = 0
    I[k, INTRABAR] = 0
    B[k, AVERAGE] = NAN


@helper
def _book_dust(k, units, price, fee, slippage, B):
    """Book units that are part of no trade: they stay below one lot."""
    B[k, DUST_COST] = B[k, DUST_COST] + units / B[k, SCALE] * price + fee
    B[k, DUST_FEES] = B[k, DUST_FEES] + fee
    B[k, DUST_SLIPPAGE] = B[k, DUST_SLIPPAGE] + slippage


@helper
def _charge(units, price, rate, received, scale):
    """Fee of a fill by a rate: the units that arrive, and what it costs (quote)."""
    fee = abs(units) / scale * price * rate
    net_units = units
    if units > 0.0 and received == 1:
        taken = -round_down(-units * rate)
        net_units = units - taken
        fee = taken / scale * price
    return net_units, fee


@helper
def _pay(units, price, net_units, fee, scale, A):
    """Move the cash of a fill; a fee kept back from what arrives costs none."""
    notional = abs(units) / scale * price
    if units > 0.0:
        A[CASH] = A[CASH] - notional
    else:
        A[CASH] = A[CASH] + notional
    if net_units == units:
        A[CASH] = A[CASH] - fee
    A[FEES] = A[FEES] + fee
    A[TURNOVER] = A[TURNOVER] + notional


@helper
def book_fill(
    k,
    units,
    price,
    rate,
    received,
    maker,
    time_ns,
    order_id,
    reason,
    intrabar,
    reference,
    A,
    C,
    B,
    I,
    LI,
    LF,
):
    """Book one fill whose fee is a rate; return 1 if it closed a trade, else 0.

    `units` is signed; `rate` the fee as a fraction of the notional, taken in what is received
    when `received` is 1 (a buy then brings fewer units), else in the quote currency. `reference`
    is the price the decision saw; the difference is counted as slippage.
    """
    net_units, fee = _charge(units, price, rate, received, B[k, SCALE])
    return book_amounts(
        k,
        units,
        price,
        net_units,
        fee,
        maker,
        time_ns,
        order_id,
        reason,
        intrabar,
        reference,
        A,
        C,
        B,
        I,
        LI,
        LF,
    )


@helper
def book_amounts(
    k, units, price, net_units, fee, maker, time_ns, order_id, reason, intrabar, reference,
    A, C, B, I, LI, LF,
):  # fmt: skip
    """Book one fill whose fee is known; return 1 if it closed a trade, else 0.

    `net_units` are the units that arrived, signed. Where they are not `units` the fee was kept back
    in the base currency and `fee` (quote) only says what it was worth; else `fee` is paid in cash.
    """
    scale = B[k, SCALE]
    _pay(units, price, net_units, fee, scale, A)
    slippage = (price - reference) * (units / scale)
    A[SLIPPAGE] = A[SLIPPAGE] + slippage
    row = log_row(FILL, time_ns, k, order_id, maker, reason, C, LI, LF)
    LF[row, 0] = units
    LF[row, 1] = price
    LF[row, 2] = fee
    LF[row, 3] = net_units
    LF[row, 4] = reference

    held = B[k, UNITS]
    after = held + net_units
    B[k, UNITS] = after
    side = I[k, OPEN_SIDE]
    if side == 0:
        if abs(after) < B[k, LOT] or after * net_units <= 0.0:  # dust before, dust after
            _book_dust(k, net_units, price, fee, slippage, B)
            return 0
        if held != 0.0:  # dust joins the trade at the trade's price
            B[k, DUST_COST] = B[k, DUST_COST] - held / scale * price
        opened = net_units if held * net_units >= 0.0 else after
        _open_trade(k, opened, price, fee, slippage, time_ns, intrabar, B, I)
        return 0
    if net_units * side > 0.0:
        B[k, AVERAGE] = (B[k, AVERAGE] * abs(held) + price * abs(net_units)) / abs(after)
        B[k, ENTRY_NOTIONAL] = B[k, ENTRY_NOTIONAL] + abs(net_units) / scale * price
        B[k, TRADE_FEES] = B[k, TRADE_FEES] + fee
        B[k, TRADE_SLIPPAGE] = B[k, TRADE_SLIPPAGE] + slippage
        return 0
    closing = min(abs(net_units), abs(held))
    share = closing / abs(net_units)
    B[k, TRADE_GROSS] = B[k, TRADE_GROSS] + (price - B[k, AVERAGE]) * side * (closing / scale)
    B[k, TRADE_FEES] = B[k, TRADE_FEES] + fee * share
    B[k, TRADE_SLIPPAGE] = B[k, TRADE_SLIPPAGE] + slippage * share
    B[k, EXIT_NOTIONAL] = B[k, EXIT_NOTIONAL] + closing / scale * price
    B[k, CLOSED_AVERAGE] = mean_price(
        B[k, CLOSED_AVERAGE], B[k, CLOSED_UNITS], B[k, AVERAGE], closing
    )
    B[k, CLOSED_UNITS] = B[k, CLOSED_UNITS] + closing
    if reason == ENTRY:  # of the other side
        reason = REVERSAL
    if after * side > 0.0 and abs(after) >= B[k, LOT]:
        B[k, MARGIN_FUNDING] = B[k, MARGIN_FUNDING] * (abs(after) / abs(held))
        return 0
    if abs(after) < B[k, LOT]:  # flat is less than one lot, and nothing else is
        _close_trade(k, reason, time_ns, A, C, B, I, LI, LF)
        if after * side < 0.0:
            _book_dust(k, after, price, fee * (1.0 - share), slippage * (1.0 - share), B)
        return 1
    _close_trade(k, REVERSAL, time_ns, A, C, B, I, LI, LF)
    fee, slippage = fee * (1.0 - share), slippage * (1.0 - share)
    _open_trade(k, after, price, fee, slippage, time_ns, intrabar, B, I)
    return 1


@helper
def charge_liquidation(k, charge, A, B):
    """Take what a liquidation costs beside its fill, before the fill; below zero it is given."""
    A[CASH] = A[CASH] - charge
    A[LIQUIDATION_PAID] = A[LIQUIDATION_PAID] + charge
    B[k, TRADE_LIQUIDATION] = B[k, TRADE_LIQUIDATION] + charge


@helper
def pay_funding(k, units, rate, price, time_ns, A, C, B, I, LI, LF):
    """Pay (or receive) the funding rate on the units that were held, on their mark."""
    if rate == 0.0 or rate != rate or units == 0.0:
        return
    paid = units / B[k, SCALE] * price * rate
    A[CASH] = A[CASH] - paid
    A[FUNDING_PAID] = A[FUNDING_PAID] + paid
    if I[k, OPEN_SIDE] != 0:
        B[k, TRADE_FUNDING] = B[k, TRADE_FUNDING] + paid
        B[k, MARGIN_FUNDING] = B[k, MARGIN_FUNDING] + paid
    else:
        B[k, DUST_COST] = B[k, DUST_COST] + paid
        B[k, DUST_FUNDING] = B[k, DUST_FUNDING] + paid
    row = log_row(FUNDING, time_ns, k, -1, 0, 0, C, LI, LF)
    LF[row, 0] = paid
    LF[row, 1] = rate
    LF[row, 2] = price
