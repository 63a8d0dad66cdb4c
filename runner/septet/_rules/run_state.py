"""Every number of a run by its name: one table for the rules, the planner and readers.

The arrays are those of `septet._kernel.layout`; here each slot has a name and a meaning.
``run.cash`` is one number, ``run.units[k]`` one of symbol `k`, ``run.close[k, i]`` one of its bar
`i`, ``run.known_ns[t]`` one of the decision time at cursor `t`. Prices and cash are in the quote
currency; units are whole, `scale` of them make one of the base currency, and are signed where they
are a position or an order. Times are UTC nanoseconds. NaN means that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy.typing as npt

from septet._kernel import layout

__all__ = [
    "NAMES", "WHOLE", "Bar", "BarOf", "Decision", "Halt", "Number", "Run", "Symbol", "Time",
]  # fmt: skip

Table = npt.NDArray[Any]


class _Named:
    """A slot of an array, by the name it has in `layout`; `meaning` is for people."""

    def __init__(self, array: str, slot: str, meaning: str) -> None:
        assert slot in layout.__all__
        self.array, self.slot, self.meaning = array, slot, meaning
        self.place: int = getattr(layout, slot)


class Number(_Named):
    """One number of the run."""

    def __get__(self, run: Run, owner: type) -> Any:
        return run.arrays[self.array][self.place]

    def __set__(self, run: Run, value: float) -> None:
        run.arrays[self.array][self.place] = value


class Symbol(_Named):
    """One number for each symbol."""

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][:, self.place]


class Bar(_Named):
    """One number for each bar of each symbol."""

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][:, self.place]


class Time(_Named):
    """One number for each decision time."""

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][self.place]


class Decision(_Named):
    """One number of the decision at each bar of each symbol; its rows follow the features'."""

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][:, run.arrays["H"][layout.DECISION_ROW] + self.place]


class BarOf(_Named):
    """The bar of each symbol at each decision time."""

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][self.place :]


class Halt(_Named):
    """One number for each halt, `stride` after that of the halt before."""

    def __init__(self, array: str, slot: str, offset: int, stride: int, meaning: str) -> None:
        super().__init__(array, slot, meaning)
        self.offset, self.stride = offset, stride

    def __get__(self, run: Run, owner: type) -> Table:
        return run.arrays[self.array][self.place + self.offset :: self.stride]


class Run:
    """The arrays of a run under the names of what they hold."""

    # ------------------------------------------------------------------ the account
    cash = Number("A", "CASH", "cash (quote)")
    equity = Number("A", "EQUITY", "cash and positions at the last marks (quote)")
    peak = Number("A", "PEAK", "largest equity since the start or a person's resume (quote)")
    day_base = Number("A", "DAY_BASE", "equity at the first decision time of the day (quote)")
    last_pnl = Number("A", "LAST_PNL", "result of the last closed trade (quote)")
    last_return = Number("A", "LAST_RETURN", "the same over its entry notional")
    fees_paid = Number("A", "FEES", "fees so far (quote)")
    slippage_paid = Number("A", "SLIPPAGE", "what fills cost against their decision prices (quote)")
    funding_paid = Number("A", "FUNDING_PAID", "funding so far; below zero it was received (quote)")
    liquidation_paid = Number(
        "A", "LIQUIDATION_PAID", "what liquidations cost beside fills (quote)"
    )
    turnover = Number("A", "TURNOVER", "notional of all fills (quote)")
    gained = Number("A", "GAINED", "what winning trades made, after fees (quote)")
    lost = Number("A", "LOST", "what losing trades lost, after fees; positive (quote)")
    # ------------------------------------------------------------------ the candidate for an entry
    candidate_side = Number("A", "CANDIDATE_SIDE", "side that is to be entered")
    candidate_held = Number("A", "CANDIDATE_HELD", "position before (base, signed)")
    candidate_price = Number("A", "CANDIDATE_PRICE", "close of the bar that decides")
    candidate_cost = Number("A", "CANDIDATE_COST", "the same with slippage and fee")
    candidate_slippage = Number("A", "CANDIDATE_SLIPPAGE", "fraction expected of a market order")
    candidate_fee = Number("A", "CANDIDATE_FEE", "taker fee, a fraction")
    candidate_up = Number("A", "CANDIDATE_UP", "probability up; NaN without a model")
    candidate_requested = Number(
        "A", "CANDIDATE_REQUESTED", "what the sizing asks for (base, signed)"
    )
    candidate_limit = Number("A", "CANDIDATE_LIMIT", "limit price of the order; NaN without one")
    candidate_trigger = Number("A", "CANDIDATE_TRIGGER", "its trigger; NaN without one")
    candidate_equity = Number(
        "A", "CANDIDATE_EQUITY", "equity net of costs of working orders (quote)"
    )
    candidate_gross = Number(
        "A", "CANDIDATE_GROSS", "sum of |notional|, working orders included (quote)"
    )
    candidate_notional = Number(
        "A", "CANDIDATE_NOTIONAL", "notional of its symbol, working orders included (quote)"
    )
    candidate_distance = Number(
        "A", "CANDIDATE_DISTANCE", "distance of the close to the first stop (quote); NaN for none"
    )
    cash_available = Number("A", "CASH_AVAILABLE", "cash that no working order needs (quote)")
    # ------------------------------------------------------------------ what no table keeps
    top_equity = Number("A", "TOP", "largest equity since the start (quote)")
    deepest_drawdown = Number("A", "DEEPEST", "largest fall below it, a fraction")
    summed_exposure = Number("A", "EXPOSED", "sum over times of |notional| / equity")
    summed_equity = Number("A", "SUMMED", "sum over times of equity (quote)")
    unvalued_times = Number("C", "UNVALUED", "times without a finite exposure")
    samples_taken = Number("C", "SAMPLED", "times of Q at which equity was kept")
    # ------------------------------------------------------------------ counters
    blocked = Number("C", "BLOCKED", "halts that are active, a person's included")
    halted_by_hand = Number("C", "BY_HAND", "1 while a person has halted the run")
    is_late = Number("C", "LATE", "1 while a decision is late, `ONLY_MATCHED` where none is taken")
    day_now = Number("C", "DAY_NOW", "number of the day")
    minute = Number("C", "MINUTE", "number of the minute of market time")
    orders_this_minute = Number("C", "SENT", "orders sent in it")
    losses_in_a_row = Number("C", "LOSSES", "closed trades lost in a row")
    trades = Number("C", "TRADES", "closed trades")
    wins = Number("C", "WINS", "closed trades that made money after fees")
    orders = Number("C", "ORDERS", "orders made; the next one has this number")
    log_rows = Number("C", "LOG", "rows written to the log")
    newest_time = Number("C", "NEWEST_TIME", "cursor of the newest decision time")
    # ------------------------------------------------------------------ the instrument
    scale = Symbol("B", "SCALE", "units for one of the base currency")
    lot = Symbol("B", "LOT", "units in a lot")
    tick = Symbol("B", "TICK", "smallest step of the price; 0 where there is none")
    min_notional = Symbol("B", "MIN_NOTIONAL", "worth of the smallest order (quote)")
    min_units = Symbol("B", "MIN_UNITS", "units in the smallest order; 0 where there is none")
    # ------------------------------------------------------------------ the position
    units = Symbol("B", "UNITS", "position (units, signed)")
    units_before = Symbol("B", "HELD_BEFORE", "position at the decision time before (units)")
    average_price = Symbol("B", "AVERAGE", "average entry price without fees; NaN when flat")
    trade_ns = Symbol("I", "TRADE_NS", "first fill of the open trade")
    entry_notional = Symbol("B", "ENTRY_NOTIONAL", "notional of the trade's entries (quote)")
    exit_notional = Symbol("B", "EXIT_NOTIONAL", "notional of its exits so far (quote)")
    closed_units = Symbol("B", "CLOSED_UNITS", "units of it that are closed")
    closed_average_price = Symbol("B", "CLOSED_AVERAGE", "what these cost on average")
    trade_gross = Symbol("B", "TRADE_GROSS", "result of its exits, without costs (quote)")
    trade_fees = Symbol("B", "TRADE_FEES", "its fees (quote)")
    trade_slippage = Symbol("B", "TRADE_SLIPPAGE", "its slippage (quote)")
    trade_funding = Symbol("B", "TRADE_FUNDING", "its funding (quote)")
    trade_liquidation = Symbol("B", "TRADE_LIQUIDATION", "what liquidations of it cost (quote)")
    dust_cost = Symbol("B", "DUST_COST", "what is held of no trade cost, fees included (quote)")
    dust_fees = Symbol("B", "DUST_FEES", "fees that are part of no trade (quote)")
    dust_slippage = Symbol("B", "DUST_SLIPPAGE", "slippage that is part of no trade (quote)")
    dust_funding = Symbol("B", "DUST_FUNDING", "funding that is part of no trade (quote)")
    margin_funding = Symbol("B", "MARGIN_FUNDING", "funding its margin has paid (quote)")
    high_water = Symbol("B", "HIGH_WATER", "best price of the trade up to the bar before")
    mark = Symbol("B", "MARK", "last close or quote")
    open_side = Symbol("I", "OPEN_SIDE", "side of the open trade, 0 when flat")
    entry_ns = Symbol("I", "ENTRY_NS", "time of the entry fill")
    held_bars = Symbol("I", "HELD", "bars since the entry fill, or since a signal renewed it")
    began_in_bar = Symbol("I", "INTRABAR", "1 if the trade began inside this bar, not at its open")
    begins_again = Symbol(
        "I", "BEGINS_AGAIN", "number plus one of an entry into what is too small to be sold, or 0"
    )
    # ------------------------------------------------------------------ the working order
    working = Symbol("I", "WORKING", "1 while an order works")
    order_id = Symbol("I", "ORDER_ID", "its number")
    order_type = Symbol("I", "ORDER_TYPE", "market, limit, stop or stop-limit, as in `layout`")
    order_units = Symbol("B", "ORDER_UNITS", "what is left of it (units, signed)")
    order_reason = Symbol("I", "ORDER_REASON", "number of the reason it was made for")
    limit_price = Symbol("B", "LIMIT_PRICE", "its limit; NaN without one")
    trigger_price = Symbol("B", "TRIGGER", "its trigger; NaN without one")
    decision_price = Symbol("B", "DECISION_PRICE", "the price its decision saw")
    reduces = Symbol("I", "REDUCES", "1 if it can only make the position smaller")
    active_ns = Symbol("I", "ACTIVE_NS", "the time from which it may fill")
    bars_left = Symbol("I", "BARS_LEFT", "bars it may still work; reductions have no end")
    bars_missed = Symbol("I", "BARS_MISSED", "bars of these that did not come since the newest bar")
    volume_used = Symbol(
        "B", "VOLUME_USED", "units filled in this bar, where participation is capped"
    )
    # ------------------------------------------------------------------ the queued entry
    queued_id = Symbol("I", "QUEUED_ID", "number plus one of an entry behind an exit, or 0")
    queued_type = Symbol("I", "QUEUED_TYPE", "its type")
    queued_units = Symbol("B", "QUEUED_UNITS", "its quantity (units, signed); 0 without one")
    queued_limit = Symbol("B", "QUEUED_LIMIT", "its limit; NaN without one")
    queued_trigger = Symbol("B", "QUEUED_TRIGGER", "its trigger; NaN without one")
    queued_price = Symbol("B", "QUEUED_PRICE", "the price its decision saw")
    queued_active_ns = Symbol("I", "QUEUED_ACTIVE_NS", "the time from which it may fill")
    queued_bars = Symbol("I", "QUEUED_BARS", "bars it may still wait and work")
    # ------------------------------------------------------------------ a position in steps
    first_price = Symbol("B", "FIRST_PRICE", "price of the trade's first fill; NaN when flat")
    last_price = Symbol("B", "LAST_PRICE", "price of its last fill that entered; NaN when flat")
    stop_price = Symbol("B", "STOP_PRICE", "its stop, as it was tightened so far; NaN for none")
    stop_reason = Symbol("I", "STOP_REASON", "number of the reason of that stop")
    first_risk = Symbol("B", "FIRST_RISK", "R: from the first fill to the first stop, or NaN")
    level_at_entry = Symbol(
        "B", "LEVEL_AT_ENTRY", "what a stop read at every T was when the entry was decided"
    )
    first_units = Symbol("B", "FIRST_UNITS", "units that its first order has filled")
    entered_units = Symbol("B", "ENTERED_UNITS", "all units that it has entered")
    entry_fees = Symbol("B", "ENTRY_FEES", "entry fees of what is held (quote)")
    trade_bars = Symbol("I", "TRADE_BARS", "bars it has lived through, that of its first included")
    adds = Symbol("I", "ADDS", "adds that it has filled")
    adds_working = Symbol("I", "ADDS_WORKING", "adds that the working order makes at once")
    adds_due = Symbol("I", "ADDS_DUE", "a bit for each add whose condition is true now")
    takes_done = Symbol("I", "TAKES_DONE", "a bit for each take that is done")
    taken_share = Symbol("B", "TAKEN_SHARE", "share of the entered units that these sell")
    break_even = Symbol("I", "BREAK_EVEN", "1 once a take has moved the stop to zero after fees")
    ladder = Symbol("I", "LADDER", "resting adds: 0 not placed, 1 placed in this bar, 2 they rest")
    take_units = Symbol("B", "TAKE_UNITS", "what is left of the take that works (units, signed)")
    take_price = Symbol("B", "TAKE_PRICE", "the price its decision saw")
    take_id = Symbol("I", "TAKE_ID", "its number")
    take_active_ns = Symbol("I", "TAKE_ACTIVE_NS", "the time from which it may fill")
    takes_sent = Symbol("I", "TAKES_SENT", "a bit for each take that it stands for; venue fills")
    takes_halted = Symbol("I", "TAKES_HALTED", "the same while a halt by a person cancels it")
    moved_ns = Symbol("I", "MOVED_NS", "time of a venue's fill that may still move its stop, or 0")
    # ------------------------------------------------------------------ what may happen next
    exit_to_retry = Symbol(
        "I", "EXIT_TO_RETRY", "reason plus one of an exit that waits to be sent, or 0"
    )
    waited_exit = Symbol(
        "I", "WAITED_EXIT", "number plus one of an exit that has blocked its side while it waited"
    )
    blocked_long = Symbol("I", "BLOCKED_LONG", "bars plus one without a long entry, or 0")
    blocked_short = Symbol("I", "BLOCKED_SHORT", "bars plus one without a short entry, or 0")
    bars_since_entry = Symbol("I", "SINCE_ENTRY", "bars since the last accepted entry")
    target_side = Symbol("B", "TARGET_SIDE", "side that a candidate would enter, or 0")
    target_confidence = Symbol("B", "TARGET_CONFIDENCE", "confidence of its signal")
    # ------------------------------------------------------------------ a halt
    halt_is_active = Halt("C", "C_SLOTS", 0, layout.HALT_SLOTS, "1 while it blocks entries")
    halted_ns = Halt("C", "C_SLOTS", 1, layout.HALT_SLOTS, "when it tripped")
    halted_on_day = Halt("C", "C_SLOTS", 2, layout.HALT_SLOTS, "day on which it tripped")
    trades_before = Halt("C", "C_SLOTS", 3, layout.HALT_SLOTS, "closed trades when it was cleared")
    halt_peak = Halt(
        "A", "A_SLOTS", 0, 1, "largest equity since the start, or since it was cleared"
    )
    # ------------------------------------------------------------------ a bar
    open_ns = Bar("M", "OPEN_NS", "open time")
    missing_bars = Bar("M", "MISSING", "scheduled bars that are missing right before it")
    is_synthetic = Bar("M", "SYNTHETIC", "1 if it was made to fill a gap: it never trades")
    open = Bar("X", "OPEN", "price")
    high = Bar("X", "HIGH", "price")
    low = Bar("X", "LOW", "price")
    close = Bar("X", "CLOSE", "price")
    volume = Bar("X", "VOLUME", "base currency")
    signal_code = Bar("D", "D_SIGNAL", "the signal, as in `layout`")
    rejected_code = Bar("D", "D_REJECTED", "number of the reason plus one, or 0")
    capped_code = Bar("D", "D_CAPPED", "number of the limit's reason plus one, or 0")
    is_late_decision = Bar("D", "D_LATE", "1 where the decision was late")
    confidence = Decision("F", "F_CONFIDENCE", "confidence, where it is neither 0 nor 1")
    requested = Decision("F", "F_REQUESTED", "quantity before limits (base, signed)")
    granted = Decision("F", "F_GRANTED", "quantity of the order (base, signed)")
    stop_level = Decision("F", "F_STOP", "nearest stop after the decisions; 0 for none")
    target_price = Decision("F", "F_TARGET", "nearest target or take; 0 for none")
    add_price = Decision("F", "F_ADD", "nearest resting add; 0 for none")
    # ------------------------------------------------------------------ a decision time
    known_ns = Time("T", "KNOWN", "when the bars of this time became known")
    day = Time("T", "DAY", "number of its day")
    bar = BarOf("T", "ROW", "the bar of each symbol, or below zero: see `NO_BAR` in `layout`")
    equity_curve = Time("G", "G_EQUITY", "equity (quote)")
    cash_curve = Time("G", "G_CASH", "cash (quote)")
    exposure_curve = Time("G", "G_EXPOSURE", "sum of |notional| (quote)")
    # ------------------------------------------------------------------ a portfolio
    target_weight = Symbol("B", "TARGET_WEIGHT", "weight of the last rebalance, a share of equity")
    target_close = Symbol("B", "TARGET_CLOSE", "last close when it was set")
    new_weight = Symbol("B", "NEW_WEIGHT", "weight of the rebalance that is being made")
    drifted_weight = Symbol("B", "DRIFTED_WEIGHT", "previous weight as prices have moved it")
    rank_value = Symbol("B", "RANK_VALUE", "what it is ranked by; high is good")
    proportion = Symbol("B", "PROPORTION", "what its weight is proportional to; then its gap")
    beta = Symbol("B", "BETA", "what weights are multiplied by for a net target, as last known")
    long_rank = Symbol("I", "LONG_RANK", "at place n: the symbol of rank n of the long side")
    short_rank = Symbol("I", "SHORT_RANK", "the same of the short side")
    role = Symbol("I", "ROLE", "what a rebalance does with it")
    increased = Symbol("I", "INCREASED", "at place n: the symbol whose increase fills as the n-th")
    weight = Decision("F", "F_WEIGHT", "target weight of a rebalance")
    turnover_factor = Decision("F", "F_TURNOVER", "share of its changes that is made; or 0")
    # ------------------------------------------------------------------ symbols that are stepped
    active_symbol = Time("J", "LISTED", "their numbers, as many as are stepped at this time")
    held_symbol = Time("J", "HOLDERS", "numbers of those of which something is held")
    next_active_time = Time(
        "J", "NEXT_ACTIVE", "of each: the first time at which more than a mark happens"
    )
    first_uncounted_bar = Time("J", "SEEN", "of each: the first bar that was only marked")

    def __init__(self, arrays: Mapping[str, Table]) -> None:
        self.arrays = dict(arrays)

    def __getattr__(self, name: str) -> Table:
        """Return a whole array, by its letter in `layout`."""
        try:
            return self.__dict__["arrays"][name]
        except KeyError:
            raise AttributeError(name) from None


NAMES: Final[Mapping[str, _Named]] = {
    name: slot for name, slot in vars(Run).items() if isinstance(slot, _Named)
}
"""The slots of the table, by name."""
WHOLE: Final = (
    "T", "M", "X", "F", "D", "Y", "G", "S", "P", "PS", "PT", "A", "C", "B", "I", "LI", "LF", "RS",
    "RT", "N", "Q", "J", "W", "H", "U", "ASKED", "DUE",
)  # fmt: skip
"""Letters of the arrays themselves."""
