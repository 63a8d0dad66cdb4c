"""Matching of an order with a bar: the same rule for backtest and paper.

Prices are pessimistic: what takes liquidity pays slippage, a limit fills only when traded
through, a gap through a stop fills at the open, and where stop and target are both touched the
stop wins.
"""

import math

from septet._kernel.layout import LIMIT, MARKET, STOP
from septet._kernel.ledger import floor_units, round_down
from septet._kernel.marks import helper
from septet._kernel.touch import falls_short, passes, touches

__all__ = [
    "round_against",
    "break_even_price",
    "cap_units",
    "liquidation_charge",
    "liquidation_price",
    "match_open",
    "match_within",
    "price_of_ticks",
    "regime_allows",
    "slippage_of",
    "stop_price",
    "target_price",
    "too_small",
]

NAN = math.nan


@helper
def price_of_ticks(count, tick):
    """Price of `count` ticks of size `tick` (quote): the float nearest to its decimal text.

    A plain product may lie one float beside it (1018 * 0.1 is above 101.8), and a limit there
    would fill in a bar that only touches its price.
    """
    scale = 1.0
    for _ in range(15):
        scaled_tick = round_down(tick * scale + 0.5)
        if scaled_tick >= 1.0 and abs(tick * scale - scaled_tick) <= 1e-9:
            return count * scaled_tick / scale
        scale *= 10.0
    return count * tick


@helper
def round_against(price, side, tick):
    """Round a price to the tick against the order: up for a buy (`side` +1), down for a sell (-1).

    Price and tick in the quote currency; a `tick` of 0 rounds nothing, and NaN stays NaN.
    A price above zero is never rounded to zero: the lowest price is one tick.
    """
    if tick <= 0.0 or price != price:
        return price
    steps = price / tick
    if steps > 0.0 and steps < 1.0:
        return tick
    nearest = round_down(steps + 0.5)
    if abs(steps - nearest) <= 1e-9 + 1e-15 * abs(steps):  # and what the quotient is off by
        return price_of_ticks(nearest, tick)
    return price_of_ticks(round_down(steps) + (1.0 if side > 0.0 else 0.0), tick)


@helper
def match_open(kind, side, limit, trigger, open_, slippage, tick, arrives):
    """Price of a fill at the bar's open, or NaN; an order that takes liquidity pays slippage.

    `side` is +1 for a buy, -1 for a sell; `kind` one of `MARKET`, `LIMIT`, `STOP`, `STOP_LIMIT`.
    Prices and `tick` (0: none) are in the quote currency, `slippage` is a fraction.
    A limit order that `arrives` at an open better than its limit takes liquidity, as a stop-limit
    order does whose trigger the open has passed: their slippage ends at the limit. A limit order
    that rested before fills at the open.
    """
    price = round_against(open_ * (1.0 + side * slippage), side, tick)
    if kind == MARKET:
        return price
    if kind != LIMIT:
        if passes(-side, open_, trigger):
            return NAN
        if kind == STOP:
            return price
    if touches(-side, open_, limit):
        return NAN
    if kind == LIMIT and arrives == 0:
        return open_
    return price if side * (limit - price) > 0.0 else limit


@helper
def match_within(kind, side, limit, trigger, high, low, slippage, tick):
    """Price at which an order fills inside the bar, or NaN; open-triggered orders come first.

    Parameters as in `match_open`; `high` and `low` are those of the bar (quote).
    """
    best = low if side > 0.0 else high
    worst = high if side > 0.0 else low
    if kind == LIMIT:
        return limit if passes(-side, best, limit) else NAN
    if kind == MARKET or passes(-side, worst, trigger):
        return NAN
    price = round_against(trigger * (1.0 + side * slippage), side, tick)
    if kind == STOP:
        return price
    if side * (limit - trigger) < 0.0:
        return NAN
    return price if side * (limit - price) > 0.0 else limit


@helper
def stop_price(side, level, open_, high, low, slippage, tick):
    """Fill price (quote) of a protective stop, or NaN if the bar does not touch its `level`.

    `side` is +1 for a long position, -1 for a short one; `slippage` is a fraction of the price.
    """
    if touches(side, open_, level):
        return round_against(open_ * (1.0 - side * slippage), -side, tick)
    if touches(side, low if side > 0.0 else high, level):
        return round_against(level * (1.0 - side * slippage), -side, tick)
    return NAN


@helper
def target_price(side, level, open_, high, low):
    """Fill price (quote) of a profit target (a limit), or NaN: it must be traded through.

    `side` is +1 for a long position, -1 for a short one.
    """
    if passes(side, open_, level):
        return open_
    if passes(side, high if side > 0.0 else low, level):
        return level
    return NAN


@helper
def break_even_price(side, average_price, entry_fee, taker_fee):
    """Price (quote) at which a position closes at zero after its entry fees and a taker fee.

    `side` is +1 for a long position, -1 for a short one; `average_price` is that of its entries
    (quote). `entry_fee` was paid per unit of the base currency (quote); `taker_fee` is a fraction
    of the notional of the exit. Slippage and funding are not counted. NaN gives NaN.
    """
    return (average_price + side * entry_fee) / (1.0 - side * taker_fee)


@helper
def cap_units(units, used, volume, scale, lot, share):
    """Largest part of `units` (signed) within a share of the bar's volume, in whole lots.

    `volume` is in the base currency, `scale` units of it each; `lot` and `used` (units of the same
    bar that were filled before) are in units, `share` is a fraction.
    """
    room = max(0.0, floor_units(share * volume * scale, lot) - used)
    if units > room:
        return room
    return -room if units < -room else units


@helper
def liquidation_price(side, average_price, leverage, maintenance, funding):
    """Mark (quote) at which an isolated linear position is liquidated (Binance's formula).

    `side` is +1 for a long position, -1 for a short one; `maintenance` is a fraction of the
    notional. `funding` was paid out of its margin per unit of the base currency (quote); below
    zero it was paid into it.
    """
    margin_gone = average_price * (1.0 - side / leverage) + side * funding
    return margin_gone / (1.0 - side * maintenance)


@helper
def liquidation_charge(
    side, amount, price, average_price, leverage, fee, liquidation_fee, funding
):  # fmt: skip
    """Cost of a liquidation beside its fill and that fill's `fee` (quote); may be negative.

    `amount` is in the base currency, prices, `fee` and `funding` are in the quote currency,
    `liquidation_fee` is a fraction of the notional. The result is the liquidation fee less the
    loss that the venue bears: the loss of `amount`, with the fees of closing and the `funding` that
    its margin has paid, never exceeds its isolated margin.
    """
    charge = amount * price * liquidation_fee
    lost = side * (average_price - price) * amount + fee + charge + funding
    return charge - max(0.0, lost - amount * average_price / leverage)


@helper
def regime_allows(label, mask):
    """Whether the bit of a regime's label is set; an unknown regime allows nothing."""
    if label != label:
        return False
    return (int(mask) >> int(label)) & 1 == 1


@helper
def slippage_of(fraction, factor, volatility):
    """Slippage of a market order, a fraction: `fraction` plus `factor` times `volatility`.

    `volatility` is that of one bar, a fraction; where it is NaN or 0, `fraction` alone counts.
    """
    return fraction + factor * volatility if volatility > 0.0 else fraction


@helper
def too_small(units, scale, price, min_notional, min_units):
    """Whether an order is below the venue's smallest quantity or notional.

    `units` are signed, `scale` of them make one of the base currency; `price` and `min_notional`
    are in the quote currency.
    """
    return abs(units) < min_units or falls_short(abs(units) / scale * price, min_notional)
