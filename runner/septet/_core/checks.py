"""The last check of an order before it is sent.

`Checks.check` returns the first rule that an order breaks, or "". The usual case compares plain
numbers and allocates nothing. An order that can only reduce a position is checked only against its
parent, the lot and the hard rate limit: nothing blocks a stop.
=================  ===============================================================================
reason             what it means
=================  ===============================================================================
child              more than the unfilled rest of the parent
lot, tick          not a whole number of lots or ticks
rate               too many orders within a minute; reductions: of this symbol
throttled          the same order too often; off until it is re-armed
turnover           too many changes of side, or too much traded, within the window; until resumed
no_price           no price of the market, or one that is too old
collar             too far from the market, or the market from where it was decided
max_order_value    the order's value exceeds the limit of one order
max_quantity       more than the venue takes in one order
min_quantity       less than the venue takes
min_notional       worth less than the venue takes
equity             the equity is unknown or gone
position, gross    the worst case of positions and open orders passes the limit: what the order's
                   own side could become, and for gross all other symbols at their worst
=================  ===============================================================================
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

import msgspec

from septet._core.newest_quote import NewestQuote
from septet._core.price_range import PriceRange

__all__ = ["Checks", "Instrument", "Limits", "floor_to_lot", "inward", "outward"]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
MICRO = 1_000_000
"""Sums of money are stored in whole millionths: adding and subtracting the same amount gives 0."""
BUCKETS = 60
EXACT = 1 << 50
"""Below this count a float64 is exact to the last decimal."""
FUZZ = 1e-6  # part of a step that is taken for an error of rounding
NEAR = 1.0 - 1e-12  # share of an amount that counts as the amount: `TOLERANCE` of the rules


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on an order. Shares are of equity, windows are wall time.

    `slack` is by how much an order may exceed the limits on position and gross exposure here:
    prices move between the decision, which applies the exact limits, and the request. Half of
    `orders_per_minute` is for entries; `reductions_per_minute` is for each symbol on its own.
    """

    price_collar: float = 0.05
    price_age_ns: int = 120 * SECOND_NS
    max_order_value: float = math.inf
    orders_per_minute: int = 60
    reductions_per_minute: int = 60
    repeats: int = 10
    repeat_window_ns: int = MINUTE_NS
    position: float = 1.0
    gross: float = 1.0
    slack: float = 0.05
    flips: int = 60
    turnover: float = 20.0
    breaker_window_ns: int = 60 * MINUTE_NS


@lru_cache(maxsize=1024)
def _digits(step: float) -> int:
    """Return how many decimals a step has."""
    if step <= 0.0:
        return 12
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 12


@lru_cache(maxsize=1024)
def _parts(step: float) -> tuple[int, float]:
    """Return a step as an integer number of decimal parts, and the parts per unit."""
    digits = _digits(step)
    if digits > 22:  # a power of ten that is not exact as a float: no quantity is below `EXACT`
        return EXACT, 1.0
    return round(step * 10**digits), 10.0**digits


def floor_to_lot(quantity: float, lot: float) -> float:
    """Return the largest multiple of a lot that is not above a quantity.

    Parameters
    ----------
    quantity
        In the base currency, not negative.
    lot
        The smallest step; 0 means none.
    """
    if lot <= 0.0 or not math.isfinite(quantity):
        return quantity
    count, (lot_parts, parts) = math.floor(quantity / lot + FUZZ), _parts(lot)
    if count * lot_parts < EXACT:  # one division rounds as decimals do, in a fraction of the time
        return count * lot_parts / parts
    return round(count * lot, _digits(lot))


def inward(price: float, tick: float, sign: int) -> float:
    """Round a limit price to a tick that is never worse: down for a buy (+1), up for a sell."""
    if tick <= 0.0 or not math.isfinite(price):
        return price
    steps = price / tick
    count = math.floor(steps + FUZZ) if sign > 0 else math.ceil(steps - FUZZ)
    return round(count * tick, _digits(tick))


def outward(price: float, tick: float, sign: int) -> float:
    """Round a trigger to the first tick that touches it: up for a buy (+1), down for a sell."""
    return inward(price, tick, -sign)


class Instrument(msgspec.Struct, kw_only=True):
    """The filters of a symbol at a venue; 0 means no limit."""

    symbol: str = ""
    lot: float = 1e-8
    tick: float = 0.0
    min_notional: float = 0.0
    min_quantity: float = 0.0
    max_quantity: float = 0.0
    trading: bool = True

    def is_too_small(self, quantity: float, price: float) -> bool:
        """Whether a quantity is below the venue's minimum; a price of zero is unknown."""
        return quantity < self.min_quantity or 0.0 < price * quantity < self.min_notional * NEAR


class _Symbol(msgspec.Struct):
    """State of a symbol: its newest price, position and open orders."""

    instrument: Instrument
    price: float = 0.0
    price_ns: int = 0
    held: float = 0.0
    buys: float = 0.0
    sells: float = 0.0
    worst: int = 0
    side: int = 0
    range: PriceRange = msgspec.field(default_factory=PriceRange)
    quote: NewestQuote = msgspec.field(default_factory=NewestQuote)


class _Saved(msgspec.Struct):
    """Content of a snapshot of the checks."""

    symbols: list[_Symbol]
    equity: float
    gross: int
    throttled: bool
    broken: bool
    entries: list[int]
    amends: list[int]
    reductions: list[list[int]]
    repeats: list[tuple[int, int, float, list[int]]]
    flips: list[int]
    buckets: list[tuple[int, int]]


def _trim(times: deque[int], after_ns: int) -> int:
    """Drop times up to `after_ns`; return how many are left."""
    while times and times[0] <= after_ns:
        times.popleft()
    return len(times)


def _off_step(value: float, step: float) -> bool:
    """Return whether a value is not a multiple of a step."""
    steps = value / step
    return not abs(steps - math.floor(steps + 0.5)) <= FUZZ + 1e-12 * steps


class Checks:
    """The last check of an order, and its state.

    Parameters
    ----------
    instruments
        One for each symbol of the universe, in order.
    limits
        Limits on each order.
    """

    def __init__(self, instruments: Sequence[Instrument], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.symbols = [_Symbol(instrument) for instrument in instruments]
        self.equity = 0.0
        self.gross = 0
        self.throttled = False
        self.broken = False
        self._half = max(1, self.limits.orders_per_minute // 2)
        self._entries: deque[int] = deque()
        self._amends: deque[int] = deque()
        self._reductions: list[deque[int]] = [deque() for _ in instruments]
        self._repeats: dict[tuple[int, int, float], deque[int]] = {}
        self._flips: deque[int] = deque(maxlen=self.limits.flips + 1)
        self._buckets: deque[tuple[int, int]] = deque()
        self._traded = 0

    # ------------------------------------------------------------------ updates

    def priced(
        self, k: int, price: float, now_ns: int, low: float = math.inf, high: float = 0.0
    ) -> None:  # fmt: skip
        """Set the newest price of a symbol (quote): a close, a mark price or a mid price.

        After an invalid price (NaN, infinite or not positive) the symbol has no price until the
        next valid one, and its position the last valid one. `low` and `high`: bid and ask if known.
        """
        state = self.symbols[k]
        if not 0.0 < price < math.inf:
            state.price_ns = now_ns - self.limits.price_age_ns - 1
            return
        state.price, state.price_ns = price, now_ns
        state.range.widen(min(price, low), max(price, high), now_ns)
        if state.held or state.buys or state.sells or state.worst:
            self._weigh(state)

    def quoted(self, k: int, bid: float, ask: float, now_ns: int) -> bool:
        """Take a quote; return whether it may be used: one that bars contradict may not."""
        if not self.symbols[k].quote.take(bid, ask, now_ns):
            return False
        self.priced(k, 0.5 * (bid + ask), now_ns, bid, ask)
        return True

    def printed(self, k: int, price: float, now_ns: int) -> None:
        """Take the price of a public trade."""
        self.symbols[k].quote.received_ns = now_ns
        self.priced(k, price, now_ns)

    def closed(
        self, k: int, low: float, high: float, close: float, now_ns: int, volume: float = math.nan
    ) -> None:  # fmt: skip
        """Take a bar that has ended; its close is the price if no quote or trade is fresh.

        A fresh quote is kept: a bad bar must not be the reference for the order it caused. Bars and
        quotes that contradict each other set no price, and entries are rejected without one.
        """
        state = self.symbols[k]
        state.range.widen(low, high, now_ns)
        state.quote.is_traded = volume != 0.0
        if not (state.quote.is_fresh(now_ns) or state.quote.is_contradicted):
            self.priced(k, close, now_ns)

    def price_bounds(self, k: int, now_ns: int) -> tuple[float, float]:
        """Return the range of plausible execution prices of a symbol, by the known prices."""
        state = self.symbols[k]
        fresh = now_ns - state.price_ns <= self.limits.price_age_ns
        return state.range.bounds(state.price, now_ns, fresh=fresh)

    def held(self, k: int, held: float, buys: float, sells: float) -> None:
        """Set the position of a symbol and its open orders, third parties' included."""
        state = self.symbols[k]
        if state.held != held or state.buys != buys or state.sells != sells:
            state.held, state.buys, state.sells = held, buys, sells
            self._weigh(state)

    def _weigh(self, state: _Symbol) -> None:
        """Compute the exposure of the symbol if one side of its orders filled."""
        exposed = max(abs(state.held + state.buys), abs(state.held - state.sells), abs(state.held))
        value = exposed * state.price
        worst = round(value * MICRO) if math.isfinite(value) else state.worst
        self.gross += worst - state.worst
        state.worst = worst

    def sent(
        self, k: int, sign: int, quantity: float, reduces: bool, now_ns: int, *,
        changes: bool = False,
    ) -> None:  # fmt: skip
        """Count an order that is sent; one that changes another was counted by `amended`."""
        state = self.symbols[k]
        if state.side == -sign:
            self._flips.append(now_ns)
        state.side = sign
        if reduces:
            self._reductions[k].append(now_ns)
            return
        if changes:
            return
        self._entries.append(now_ns)
        if len(self._repeats) > 4 * len(self.symbols) + 64:
            before_ns = now_ns - self.limits.repeat_window_ns
            self._repeats = {key: t for key, t in self._repeats.items() if t and t[-1] > before_ns}
        key = (k, sign, quantity)
        self._repeats.setdefault(key, deque(maxlen=self.limits.repeats + 1)).append(now_ns)

    def not_sent(self, k: int, sign: int, quantity: float) -> None:
        """Forget an order that never left the process: the next one does not repeat it."""
        if same := self._repeats.get((k, sign, quantity)):
            same.pop()

    def amended(self, now_ns: int) -> None:
        """Count an amend that is sent."""
        self._amends.append(now_ns)

    def booked(self, k: int, quantity: float, price: float, now_ns: int, at_ns: int) -> None:
        """Count the traded value, for the turnover breaker; an execution of `at_ns` has a price."""
        self.symbols[k].quote.executed, self.symbols[k].quote.executed_ns = price, at_ns
        value = round(quantity * price * MICRO)
        bucket = now_ns // max(1, self.limits.breaker_window_ns // BUCKETS)
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = (bucket, self._buckets[-1][1] + value)
        else:
            self._buckets.append((bucket, value))
        self._traded += value
        self._trim_buckets(now_ns)

    def rearm(self) -> None:
        """Clear the block of repeated orders after an operator's resume."""
        self.throttled = False
        self._repeats.clear()

    def resume(self) -> None:
        """Clear the turnover block after an operator's resume."""
        self.rearm()
        self.broken = False
        self._flips.clear()
        self._buckets.clear()
        self._traded = 0

    def _trim_buckets(self, now_ns: int) -> None:
        oldest = now_ns // max(1, self.limits.breaker_window_ns // BUCKETS) - BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            self._traded -= self._buckets.popleft()[1]

    # ------------------------------------------------------------------ the check of an order

    def reductions_left(self, k: int, now_ns: int) -> int:
        """Return how many more reductions of a symbol, stops among them, fit into this minute."""
        return self.limits.reductions_per_minute - _trim(self._reductions[k], now_ns - MINUTE_NS)

    def may_amend(self, now_ns: int) -> bool:
        """Return whether another amend fits into this minute."""
        entries = _trim(self._entries, now_ns - MINUTE_NS)
        amends = _trim(self._amends, now_ns - MINUTE_NS)
        return entries + amends < self.limits.orders_per_minute

    def check(
        self, k: int, sign: int, quantity: float, rest: float, limit: float | None,
        trigger: float | None, reduces: bool, decided: float, now_ns: int, *,
        changes: bool = False, replaces: float = 0.0,
    ) -> str:  # fmt: skip
        """Return the rule an order breaks, or "".

        Parameters
        ----------
        k, sign
            Symbol and side, +1 to buy.
        quantity, rest
            Quantity of the order, and unfilled quantity of its parent (base currency).
        limit, trigger
            Limit and trigger price (quote); None if the order has none.
        reduces
            Whether the order can only reduce a position.
        decided
            Decision price (quote); 0 if there is none.
        now_ns
            Wall time.
        changes
            Whether the order replaces another to change its price: it is not counted as a
            further order, and `may_amend` has allowed it.
        replaces
            Open quantity on its side that it replaces (base currency).
        """
        state = self.symbols[k]
        lot = state.instrument.lot
        if not 0.0 < quantity <= rest + FUZZ * lot + 1e-12 * rest < math.inf:
            return "child"
        if lot > 0.0 and _off_step(quantity, lot):
            return "lot"
        if reduces:
            sent = self._reductions[k]
            while sent and sent[0] <= now_ns - MINUTE_NS:
                sent.popleft()
            return "rate" if len(sent) >= self.limits.reductions_per_minute else ""
        return (
            self._busy(k, sign, quantity, now_ns, changes)
            or self._dear(state, quantity, limit, trigger, decided, now_ns)
            or self._large(state, sign, quantity, replaces)
        )

    def _busy(self, k: int, sign: int, quantity: float, now_ns: int, changes: bool) -> str:
        """Return the rate limit that is exceeded, or ""."""
        if self.throttled:
            return "throttled"
        if self.broken:
            return "turnover"
        limits = self.limits
        if not changes:
            times = self._entries
            while times and times[0] <= now_ns - MINUTE_NS:
                times.popleft()
            if len(times) >= self._half or (self._amends and not self.may_amend(now_ns)):
                return "rate"
            # Old times are dropped only if those kept would exceed the limit.
            same = self._repeats.get((k, sign, quantity))
            since_ns = now_ns - limits.repeat_window_ns
            if same and len(same) >= limits.repeats and _trim(same, since_ns) >= limits.repeats:
                self.throttled = True
                return "throttled"
        if not 0.0 < self.equity < math.inf:  # before a share of it is taken
            return "equity"
        most = limits.turnover * self.equity * MICRO
        if self._traded > most:
            self._trim_buckets(now_ns)
        flips, since_ns = self._flips, now_ns - limits.breaker_window_ns
        flipped = len(flips) > limits.flips and _trim(flips, since_ns) > limits.flips
        if flipped or self._traded > most:
            self.broken = True
            return "turnover"
        return ""

    def _dear(
        self, state: _Symbol, quantity: float, limit: float | None, trigger: float | None,
        decided: float, now_ns: int,
    ) -> str:  # fmt: skip
        """Return the price or value rule that is broken, or ""; comparisons with NaN reject."""
        limits, instrument, price = self.limits, state.instrument, state.price
        if not price > 0.0 or now_ns - state.price_ns > limits.price_age_ns:
            return "no_price"
        tick, collar = instrument.tick, limits.price_collar
        if state.quote.is_executed_off(price, collar, now_ns):
            return "collar"
        order_price = price if trigger is None else trigger
        if limit is not None:
            order_price = limit
            if not abs(limit - price) <= collar * price:
                return "collar"
            if tick > 0.0 and _off_step(limit, tick):
                return "tick"
        if trigger is not None:
            if not abs(trigger - price) <= collar * price:
                return "collar"
            if tick > 0.0 and _off_step(trigger, tick):
                return "tick"
        elif decided != 0.0 and not abs(price - decided) <= collar * decided:
            return "collar"
        value = quantity * order_price
        if not value <= limits.max_order_value:
            return "max_order_value"
        if 0.0 < instrument.max_quantity < quantity:
            return "max_quantity"
        if quantity < instrument.min_quantity:
            return "min_quantity"
        return "min_notional" if value < instrument.min_notional * NEAR else ""

    def _large(self, state: _Symbol, sign: int, quantity: float, replaces: float) -> str:
        """Return the limit that the worst case on the side of the order would exceed, or ""."""
        limits = self.limits
        others = (state.buys if sign > 0 else state.sells) - replaces
        exposed = quantity + (state.held + others if sign > 0 else others - state.held)
        value = exposed * state.price
        if value <= 0.0:  # all of it only reduces the position
            return ""
        if not value < math.inf:
            return "position"
        room, worth = self.equity * (1.0 + limits.slack) * MICRO, round(value * MICRO)
        if worth > room * limits.position:
            return "position"
        return "gross" if self.gross - state.worst + worth > room * limits.gross else ""

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> bytes:
        """Return the state of the checks, without the limits."""
        saved = _Saved(
            self.symbols, self.equity, self.gross, self.throttled, self.broken,
            list(self._entries), list(self._amends), [list(each) for each in self._reductions],
            [(*key, list(times)) for key, times in self._repeats.items()],
            list(self._flips), list(self._buckets),
        )  # fmt: skip
        return msgspec.msgpack.encode(saved)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot of the checks."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self.symbols, self.equity, self.gross = saved.symbols, saved.equity, saved.gross
        self.throttled, self.broken = saved.throttled, saved.broken
        self._entries, self._amends = deque(saved.entries), deque(saved.amends)
        self._reductions = [deque(each) for each in saved.reductions]
        self._repeats = {
            (k, sign, quantity): deque(times, maxlen=self.limits.repeats + 1)
            for k, sign, quantity, times in saved.repeats
        }
        self._flips = deque(saved.flips, maxlen=self.limits.flips + 1)
        self._buckets = deque(saved.buckets)
        self._traded = sum(value for _, value in saved.buckets)
