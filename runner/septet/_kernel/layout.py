"""The layout of a run's state: the rows and slots of the plan's flat arrays.

=====  ============================  ==========================================================
array  shape                         holds
=====  ============================  ==========================================================
T      int64 (2 + symbols, times)    decision times, day numbers, each symbol's row or, without
                                     one, -1 or below (`NO_BAR`); with trading hours one row
                                     more, their flags
M      int64 (symbols, 4, bars)      a bar's open time, its age since history (re)started, how
                                     many scheduled bars are missing right before it, and
                                     whether it is synthetic (fills a gap)
X      float64 (symbols, c, bars)    bar columns and series
F      float64 (symbols, f, bars)    features, predictions, sizes of decisions
D      int8 (symbols, 4, bars)       decisions as codes; the first row alone without tables
Y      float64 (symbols, y, bars)    bars and features of higher time frames
G      float64 (3, times)            the curve; equity alone without tables
S      float64 (symbols, s)          state of the features
P      float64 (p,)                  parameters of the features
PS PT  float64 (p,)                  those of the signal, and of all that trades
A      float64 (a,)                  the account, and the state of risk components
C      int64 (c,)                    counters, blocks, halts
B      float64 (symbols, b)          the book: instrument, position, working order
I      int64 (symbols, i)            the book's whole numbers
LI LF  int64, float64 (rows, 6 / 7+) the log: orders, fills, trades, halts, append-only
RS RT  int64 (r,)                    rows of F that the signal reads, and all that trades
N      int64 (symbols,)              where the next bar of each symbol goes in a window
Q      int64 (samples,)              times at which equity is kept, where no curve is
J W    int64 (4, symbols), float64   work space of a stretch of times: which symbols are stepped,
       (times, symbols)              closes by time; nothing in it outlives a call
U      float64 (symbols, times)      funding due since the time before, for symbols without a bar
H      int64 (6,)                    addresses of what the text calls; where decisions stand in F
ASKED  float64 (3,)                  the side that a signal is asked for, and its answer
DUE    int64 (times,)                with a portfolio: 1 where a rebalance falls due
=====  ============================  ==========================================================

`snapshot` of a run is S, A, C, B and I; everything else is input or output.
"""

from typing import Final

__all__ = [
    "ACTIVE_NS", "ADDS", "ADDS_DUE", "ADDS_WORKING", "AFTER_FILL", "AGE", "ASKED_CONFIDENCE",
    "ASKED_SIDE", "ASKED_SLOTS", "ASKED_TARGET", "AVERAGE", "A_SLOTS", "BARS_LEFT", "BARS_MISSED",
    "BEGINS_AGAIN", "BLOCKED", "BLOCKED_LONG", "BLOCKED_SHORT", "BREAK_EVEN", "BY_HAND", "B_SLOTS",
    "BLOCK_ENTRIES", "CALL_OUTSIDE", "CANCEL_ALL",
    "CALL_ROWS", "CALL_SIGNAL", "CALL_SIGNALS", "CALL_TABLE", "CANDIDATE_COST",
    "CANDIDATE_DISTANCE", "CANDIDATE_EQUITY", "CANDIDATE_FEE", "CANDIDATE_GROSS", "CANDIDATE_HELD",
    "CANDIDATE_LIMIT", "CANDIDATE_NOTIONAL", "CANDIDATE_PRICE", "CANDIDATE_REQUESTED",
    "CANDIDATE_SIDE", "CANDIDATE_SLIPPAGE", "CANDIDATE_TRIGGER", "CANDIDATE_UP", "CASH",
    "CASH_AVAILABLE", "CERTAIN", "CHECKED_FIRST", "CHECKED_REPORTED", "CHECKED_SLOTS",
    "CHECKED_TIMES", "CLEAR", "CLOSE", "CLOSED_AVERAGE", "CLOSED_UNITS", "C_SLOTS", "DAY",
    "DAY_BASE", "DAY_NOW", "DECISION_PRICE", "DECISION_ROW", "DEEPEST", "DUST_COST", "DUST_FEES",
    "DUST_FUNDING", "DUST_SLIPPAGE", "D_CAPPED", "D_LATE", "D_REJECTED", "D_ROWS", "D_SIGNAL",
    "ENTERED_UNITS", "ENTRY", "ENTRY_FEES", "ENTRY_NOTIONAL", "ENTRY_NS", "EQUITY", "EXIT_NOTIONAL",
    "EXIT_TO_RETRY", "EXPOSED", "FEES", "FILL", "FIRST_PRICE", "FIRST_RISK", "FIRST_UNITS",
    "FLATTEN", "FUNDING", "FUNDING_PAID", "F_ADD", "F_CONFIDENCE", "F_DECISION", "F_GRANTED",
    "F_LEVELS", "F_REQUESTED", "F_STOP", "F_TARGET", "GAINED",
    "GRID_ACTIVE", "GRID_BOUGHT", "GRID_CHANGED", "GRID_ENTRY", "GRID_EXIT", "GRID_ORDER",
    "GRID_OUT", "GRID_PRICE", "GRID_RESTED", "GRID_UNITS", "GRID_WIDTH", "G_CASH", "G_EQUITY",
    "G_EXPOSURE", "G_ROWS", "HALT", "HALT_SLOTS", "HELD", "HELD_BEFORE",
    "HIGH", "HIGH_WATER", "HOLDERS", "HOURS_CLOSED", "HOURS_FLAT", "HOURS_HELD_OVER", "HOURS_LAST",
    "H_SLOTS", "INTRABAR", "I_SLOTS", "J_ROWS", "KNOWN", "LADDER",
    "LAST_PNL", "LAST_PRICE", "LAST_RETURN", "LATE", "LEVEL_AT_ENTRY", "LF_FIXED", "LF_LEAST",
    "LIMIT", "LIMIT_PRICE", "LIQUIDATION_PAID", "LISTED", "LI_COLUMNS", "LOG", "LOSSES", "LOST",
    "LOT", "LOW", "MARGIN_FUNDING", "MARK", "MARKET", "MINUTE", "MIN_NOTIONAL", "MIN_UNITS",
    "MEMBER_BARS", "MISSING",
    "MOVED_NS", "M_ROWS", "NEWEST_TIME", "NO_BAR",
    "NEXT_ACTIVE", "ONLY_MATCHED", "OPEN", "OPEN_NS", "OPEN_SIDE", "ORDER", "ORDERS", "ORDER_ID",
    "ORDER_REASON", "ORDER_TYPE", "ORDER_UNITS", "PEAK", "QUEUED_ACTIVE_NS", "QUEUED_BARS",
    "QUEUED_ID", "QUEUED_LIMIT", "QUEUED_PRICE", "QUEUED_TRIGGER", "QUEUED_TYPE", "QUEUED_UNITS",
    "REDUCES", "REVERSAL", "ROW", "SAMPLED", "SCALE", "SEEN", "SENT", "SIGNAL", "SINCE_ENTRY",
    "SLIPPAGE", "STATUS", "STATUS_CANCELLED", "STATUS_EXPIRED", "STATUS_FILLED", "STATUS_PARTIAL",
    "STOP", "STOP_LIMIT", "STOP_PRICE", "STOP_REASON", "SUMMED", "SYNTHETIC", "TABLE_COLUMNS",
    "TAKEN_SHARE", "TAKES_DONE", "TAKES_HALTED", "TAKES_SENT", "TAKE_ACTIVE_NS", "TAKE_ID",
    "TAKE_PRICE", "TAKE_UNITS",
    "TARGET_CONFIDENCE", "TARGET_SIDE", "TICK", "TOP", "TRADE", "TRADES", "TRADE_BARS",
    "TRADE_FEES", "TRADE_FUNDING", "TRADE_GROSS", "TRADE_LIQUIDATION", "TRADE_NS", "TRADE_SLIPPAGE",
    "TRIGGER", "TURNOVER", "UNITS", "UNVALUED", "VOLUME", "VOLUME_USED", "WAITED_EXIT", "WINS",
    "WORKING",
    "X_FIXED",
    "TARGET_WEIGHT", "TARGET_CLOSE", "NEW_WEIGHT", "DRIFTED_WEIGHT", "RANK_VALUE", "PROPORTION",
    "BETA", "B_PORTFOLIO", "LONG_RANK", "SHORT_RANK", "ROLE", "INCREASED", "I_PORTFOLIO",
    "REBALANCE_DUE", "INCREASES", "C_PORTFOLIO", "F_TURNOVER", "F_WEIGHT", "REBALANCE",
    "KEEPS_WEIGHT", "KEEPS_UNITS", "BELOW_RANK", "TOLERANCE", "WEIGHT_EDGE",
]  # fmt: skip

# T
KNOWN: Final = 0
DAY: Final = 1
ROW: Final = 2
NO_BAR: Final = -(2**62)  # plus the open of the newest scheduled bar that did not come, if any
# flags of trading hours, where a strategy has some: rows of T after ROW, and slots of C
HOURS_CLOSED: Final = 1  # no increase may be decided: its fill lies outside, or in a blackout
HOURS_LAST: Final = 2  # nor here: the last fill inside closes what is held
HOURS_FLAT: Final = 4  # what is held is closed, and what is on its way into it cancelled
HOURS_HELD_OVER: Final = 8  # what is still held from the session before is closed
# M
OPEN_NS: Final = 0
AGE: Final = 1
MISSING: Final = 2
SYNTHETIC: Final = 3
M_ROWS: Final = 4
# X: the first columns of every plan; others follow as the plan needs them
OPEN: Final = 0
HIGH: Final = 1
LOW: Final = 2
CLOSE: Final = 3
VOLUME: Final = 4
X_FIXED: Final = 5
# G
G_EQUITY: Final = 0
G_CASH: Final = 1
G_EXPOSURE: Final = 2
G_ROWS: Final = 3
# D: zero where nothing was signalled, rejected or late, so that idle spans touch no memory
D_SIGNAL: Final = 0  # 0 none, 1 short, 2 flat, 3 long; and CERTAIN if the confidence is one
D_REJECTED: Final = 1  # number of a reason plus one
D_CAPPED: Final = 2  # number of a reason plus one
D_LATE: Final = 3
D_ROWS: Final = 4
SIGNAL: Final = 3  # the bits of D_SIGNAL that hold the target side
CERTAIN: Final = 4
# decision rows of F, after the features; zero unless written
F_CONFIDENCE: Final = 0  # where it is neither zero nor one
F_REQUESTED: Final = 1  # quantity (base)
F_GRANTED: Final = 2
F_DECISION: Final = 3
# of plans with a portfolio or with levels: the weight has its row in both, levels may have none
F_WEIGHT: Final = 3  # target weight, at rebalances
F_STOP: Final = 4  # nearest stop after the decisions; zero for none, as of the two that follow
F_TARGET: Final = 5  # nearest target or take
F_ADD: Final = 6  # nearest resting add
F_LEVELS: Final = 7
F_TURNOVER: Final = 7  # share of each change that a turnover limit let through, at rebalances
# A
CASH: Final = 0
EQUITY: Final = 1
PEAK: Final = 2
DAY_BASE: Final = 3
FEES: Final = 4
TURNOVER: Final = 5
SLIPPAGE: Final = 6
LAST_PNL: Final = 7
LAST_RETURN: Final = 8
FUNDING_PAID: Final = 9
GAINED: Final = 10  # what winning trades made, after fees
LOST: Final = 11  # what losing trades lost, after fees; positive
TOP: Final = 12  # largest equity since the start; these three only without tables
DEEPEST: Final = 13  # largest fall below it, as a fraction
EXPOSED: Final = 14  # sum over times of |notional| / equity
SUMMED: Final = 15  # sum of equity over times, where no curve is kept
LIQUIDATION_PAID: Final = 16
# of the candidate for an entry, while it is decided: see `septet._rules.run_state`
CANDIDATE_SIDE: Final = 17
CANDIDATE_HELD: Final = 18
CANDIDATE_PRICE: Final = 19
CANDIDATE_COST: Final = 20
CANDIDATE_SLIPPAGE: Final = 21
CANDIDATE_FEE: Final = 22
CANDIDATE_UP: Final = 23
CANDIDATE_REQUESTED: Final = 24
CANDIDATE_LIMIT: Final = 25
CANDIDATE_EQUITY: Final = 26
CANDIDATE_GROSS: Final = 27
CANDIDATE_NOTIONAL: Final = 28
CASH_AVAILABLE: Final = 29
CANDIDATE_TRIGGER: Final = 30
CANDIDATE_DISTANCE: Final = 31
A_SLOTS: Final = 32  # then the peak of each halt, and what the plan adds
# C
LOG: Final = 0  # rows written to the log
ORDERS: Final = 1
DAY_NOW: Final = 2
BLOCKED: Final = 3  # number of active halts, a person's included
MINUTE: Final = 4
SENT: Final = 5  # orders sent in this minute
LOSSES: Final = 6  # closed trades lost in a row
LATE: Final = 7  # 1 while a decision is late (exits act, entries do not), or ONLY_MATCHED
TRADES: Final = 8  # closed
WINS: Final = 9
UNVALUED: Final = 10  # times without a finite exposure, without tables
SAMPLED: Final = 11  # samples of equity taken, where no curve is kept
BY_HAND: Final = 12  # 1 while a person has halted the run; counted in BLOCKED too
ONLY_MATCHED: Final = 2  # bars that were missed meet resting orders; nothing is decided
NEWEST_TIME: Final = 13  # cursor of the newest decision time, where fills come from the venue
C_SLOTS: Final = 14  # then, for each halt, the `HALT_SLOTS` of `septet._rules.run_state`
HALT_SLOTS: Final = 4
# C, after the halts: of each rule that is checked, then the newest such time of each symbol
CHECKED_TIMES: Final = 0  # symbols and times at which it gave an invalid answer
CHECKED_FIRST: Final = 1  # the first of these times
CHECKED_REPORTED: Final = 2  # how many of them were reported
CHECKED_SLOTS: Final = 3
# B
SCALE: Final = 0  # units for one of the base currency
LOT: Final = 1  # units in a lot
TICK: Final = 2
MIN_NOTIONAL: Final = 3
UNITS: Final = 4  # position, signed, whole
AVERAGE: Final = 5  # average entry price without fees
HIGH_WATER: Final = 6  # best price of the trade, up to the bar before
MARK: Final = 7  # last close
ENTRY_NOTIONAL: Final = 8
EXIT_NOTIONAL: Final = 9
CLOSED_UNITS: Final = 10
TRADE_GROSS: Final = 11
TRADE_FEES: Final = 12
ORDER_UNITS: Final = 13  # what is left of the working order, signed
LIMIT_PRICE: Final = 14
TRIGGER: Final = 15
DECISION_PRICE: Final = 16
TARGET_SIDE: Final = 17
TARGET_CONFIDENCE: Final = 18
VOLUME_USED: Final = 19  # units filled in this bar; counted where participation is capped
TRADE_FUNDING: Final = 20  # of the open trade (quote), as the two that follow
TRADE_LIQUIDATION: Final = 21
TRADE_SLIPPAGE: Final = 22
DUST_COST: Final = 23  # what units below one lot cost, less what they had gained (quote)
DUST_FEES: Final = 24  # of fills that opened no trade, as the one that follows
DUST_SLIPPAGE: Final = 25
DUST_FUNDING: Final = 26  # due on a position that was closed before it was booked
HELD_BEFORE: Final = 27  # units at the decision time before, where fills come from the venue
CLOSED_AVERAGE: Final = 28  # mean entry price of the units of the trade that were closed
QUEUED_UNITS: Final = 29  # of an entry that waits for the exit of the other side, signed; or 0
QUEUED_LIMIT: Final = 30
QUEUED_TRIGGER: Final = 31
QUEUED_PRICE: Final = 32  # the price its decision saw
MARGIN_FUNDING: Final = 33  # funding paid out of the margin of what is held (quote)
# of a position in steps; see `septet._rules.levels`
FIRST_PRICE: Final = 34  # of the first fill that entered, NaN when flat
LAST_PRICE: Final = 35  # of the last fill that entered
STOP_PRICE: Final = 36  # the stop as it was tightened so far, NaN for none
FIRST_RISK: Final = 37  # from the first fill to the first stop (R), NaN for none
LEVEL_AT_ENTRY: Final = 38  # what a stop that is read at every T was at the entry's T
FIRST_UNITS: Final = 39  # that the first order has filled
ENTERED_UNITS: Final = 40  # all that the trade has entered
ENTRY_FEES: Final = 41  # of what is held (quote)
TAKEN_SHARE: Final = 42  # of the entered units, by the takes that are done
TAKE_UNITS: Final = 43  # of the take that works, signed; 0 without one
TAKE_PRICE: Final = 44  # the price its decision saw
MIN_UNITS: Final = 45  # units in the smallest order, 0 for no bound
B_SLOTS: Final = 46  # then what the plan adds: distances, resting adds, levels of a grid
# columns of one level of a grid, from its first on; see `septet._rules.grid`
GRID_PRICE: Final = 0  # at which its entry rests, 0 while it is not laid
GRID_OUT: Final = 1  # at which its exit rests: the level before
GRID_UNITS: Final = 2  # units of its entry
GRID_ENTRY: Final = 3  # of the entry that rests, signed; or 0
GRID_EXIT: Final = 4  # of the exit that rests, signed; or 0
GRID_BOUGHT: Final = 5  # units that it has entered and not left
GRID_ORDER: Final = 6  # number of the order that rests
GRID_ACTIVE: Final = 7  # milliseconds from which on it may fill
GRID_RESTED: Final = 8  # 1 once it has worked in a bar
GRID_CHANGED: Final = 9  # 1 where it has filled since it was placed
GRID_WIDTH: Final = 10
# I
OPEN_SIDE: Final = 0  # side of the open trade, 0 when flat
ENTRY_NS: Final = 1  # entry fill; or the newest entry into a position below the minimum
HELD: Final = 2  # bars since the entry fill, or since a signal renewed it
BLOCKED_LONG: Final = 3  # bars plus one for which this side may not be entered, or 0
BLOCKED_SHORT: Final = 4
SINCE_ENTRY: Final = 5  # bars since the last accepted entry
WORKING: Final = 6  # 1 while an order works
ORDER_ID: Final = 7
ORDER_TYPE: Final = 8
REDUCES: Final = 9
ACTIVE_NS: Final = 10  # the order may fill from this time on
BARS_LEFT: Final = 11  # bars the order may still work; reductions have no end
ORDER_REASON: Final = 12
INTRABAR: Final = 13  # 1 if the trade began inside this bar, not at its open
EXIT_TO_RETRY: Final = (
    14  # reason plus one of an exit that could not be sent, or ended before it was done
)
TRADE_NS: Final = 15  # first fill of the open trade
QUEUED_ID: Final = 16  # number plus one of an entry that waits for the exit of the other side, or 0
QUEUED_TYPE: Final = 17
QUEUED_ACTIVE_NS: Final = 18
QUEUED_BARS: Final = 19  # bars it may still wait and work
TRADE_BARS: Final = 20  # bars that the trade has lived through, that of its first fill included
ADDS: Final = 21  # adds that the trade has filled
ADDS_WORKING: Final = 22  # that the working order makes at once
STOP_REASON: Final = 23  # number of the reason of the tightened stop
TAKES_DONE: Final = 24  # a bit for each take of the file
BREAK_EVEN: Final = 25  # 1 once a take has moved the stop there, or AFTER_FILL
AFTER_FILL: Final = 2  # a take that works will do so when it fills
TAKE_ID: Final = 26  # number of the take that works
TAKE_ACTIVE_NS: Final = 27
LADDER: Final = 28  # resting adds: 0 not placed, 1 placed in this bar, 2 rest
ADDS_DUE: Final = 29  # a bit for each add whose condition is true now
MOVED_NS: Final = 30  # time of the newest fill that may still move the stop, or 0; venue fills
TAKES_SENT: Final = 31  # a bit for each take that the one that works stands for; venue fills
TAKES_HALTED: Final = 32  # the same while a halt by a person cancels it
BARS_MISSED: Final = 33  # bars that did not come since the newest, of those the entry may work
BEGINS_AGAIN: Final = 34  # number plus one of the entry that begins a position again, or 0
WAITED_EXIT: Final = 35  # number plus one of an exit that has blocked its side while it waited
I_SLOTS: Final = 36
# plans with a portfolio: B and I go on after the slots of every plan, C after all that is checked,
# F after the decision rows; DUE holds 1 for each time at which a rebalance falls due
TARGET_WEIGHT: Final = B_SLOTS  # of the last rebalance: the previous target of the next
TARGET_CLOSE: Final = B_SLOTS + 1  # the close that it was set at
NEW_WEIGHT: Final = B_SLOTS + 2  # of the rebalance that is being made, as all that follow
DRIFTED_WEIGHT: Final = B_SLOTS + 3  # the previous target as prices have moved it
RANK_VALUE: Final = B_SLOTS + 4
PROPORTION: Final = B_SLOTS + 5  # what its weight is proportional to; then what it lacks (quote)
BETA: Final = B_SLOTS + 6
B_PORTFOLIO: Final = 7
LONG_RANK: Final = I_SLOTS  # symbols of the long side, the highest first
SHORT_RANK: Final = I_SLOTS + 1  # symbols of the short side, the lowest first
ROLE: Final = I_SLOTS + 2  # what a rebalance does with a symbol: see `septet._rules.ranking`
INCREASED: Final = I_SLOTS + 3  # symbols whose increases work, in the order in which they fill
I_PORTFOLIO: Final = 4
REBALANCE_DUE: Final = 0  # 1 while a rebalance is due that has not been made
INCREASES: Final = 1  # how many symbols INCREASED lists
C_PORTFOLIO: Final = 2
# ROLE: 1 or -1 where a symbol is chosen for a side, 0 where it is not ranked, or
KEEPS_WEIGHT: Final = 2  # held, without a bar or a rank
KEEPS_UNITS: Final = 3  # nothing is known of its weight
BELOW_RANK: Final = 4  # ranked, and not chosen
MEMBER_BARS: Final = 20  # so many bars without one, and a symbol's bars have ended
TOLERANCE: Final = 1e-12
"""Relative difference of a price and a level, or of two shares, that counts as none."""
WEIGHT_EDGE: Final = 1e-12  # what weights may miss a bound by, and what counts as none
# J: which symbols are stepped at a time, while times are crossed
LISTED: Final = 0  # their numbers, as many as there are
NEXT_ACTIVE: Final = 1  # of each symbol: the first time at which more can happen to it than a mark
SEEN: Final = 2  # of each symbol: the first bar that was not counted yet
HOLDERS: Final = 3  # numbers of the symbols of which something is held
J_ROWS: Final = 4
# the table of arrays that entries are given: an address, then up to three lengths
TABLE_COLUMNS: Final = 4
# H
CALL_OUTSIDE: Final = 0  # of features without a compiled form
CALL_SIGNALS: Final = 1  # of the signal's unit: over times
CALL_SIGNAL: Final = 2  # for one bar
CALL_TABLE: Final = 3  # of the table of arrays that both are given
CALL_ROWS: Final = 4  # how many rows that table has
DECISION_ROW: Final = 5  # the first row of F that holds decisions
H_SLOTS: Final = 6
# ASKED
ASKED_SIDE: Final = 0  # side that is held or entered
ASKED_TARGET: Final = 1
ASKED_CONFIDENCE: Final = 2
ASKED_SLOTS: Final = 3
# the log
LI_COLUMNS: Final = 6
LF_FIXED: Final = 7  # then what the sizing's state held, in rows of orders
LF_LEAST: Final = 9  # columns that a trade needs
# order types
MARKET: Final = 0
LIMIT: Final = 1
STOP: Final = 2
STOP_LIMIT: Final = 3
# kinds of log rows
ORDER: Final = 1
FILL: Final = 2
STATUS: Final = 3
TRADE: Final = 4
HALT: Final = 5
CLEAR: Final = 6
FUNDING: Final = 7
REBALANCE: Final = 8
# what a halt does: close every position, block entries only, or cancel what works as well
FLATTEN: Final = 0
BLOCK_ENTRIES: Final = 1
CANCEL_ALL: Final = 2
# reasons that the ledger knows, among those of every plan: of an entry, and of a trade that the
# entry of the other side has closed
ENTRY: Final = 0
REVERSAL: Final = 20
# order states in log rows
STATUS_PARTIAL: Final = 1
STATUS_FILLED: Final = 2
STATUS_CANCELLED: Final = 3
STATUS_EXPIRED: Final = 4
