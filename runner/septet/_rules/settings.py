"""The settings of a strategy for the rules, in capitals; the planner inserts the file's values.

A setting is a choice (bool, str), a number that the plan knows when it is made (int), a number
that its text reads from the parameters (float), a list of the strategy's own rules, or a function
that calls one of them. The values here are those of a plain spot strategy of one symbol.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Protocol

from septet._kernel import layout

if TYPE_CHECKING:
    from septet._rules.portfolio_lists import Forecast, Group
    from septet._rules.run_state import Run
    from septet._rules.step_lists import AddWhen, FixedDistance, Rung, TakeAt, TakeWhen


class Level(Protocol):
    """A stop or a target: where it leaves the position, and the number of its reason.

    Of every rule `checked` means that its answers are checked, and `rule` is its number among
    those.
    """

    code: int
    checked: bool
    rule: int
    reads: bool
    """It is read at every decision time, and at the entry's; else it follows from the trade."""
    is_for_long: bool
    """It protects long positions: of one that is read, nothing is entered while it is unknown."""
    is_for_short: bool

    def level(
        self, k: int, side: float, average_price: float, high_water: float, entry_ns: int,
        now_ns: int, known: int, run: Run,
    ) -> float:  # fmt: skip
        """Return the level as it was known at bar `known`; NaN where there is none."""
        ...


class Exit(Protocol):
    """A stop that is decided at a close, and the number of its reason."""

    code: int
    checked: bool
    rule: int

    def is_met(
        self, k: int, i: int, side: float, average_price: float, high_water: float, entry_ns: int,
        now_ns: int, run: Run,
    ) -> bool:  # fmt: skip
        """Whether the position is left at bar `i`."""
        ...


class Limit(Protocol):
    """A limit of entries: the most it leaves (base), and the number of its reason.

    One that `correlates` reads the correlations of the candidate over `window` bars. One that is
    `checked` is of another package: where it answers no quantity of zero or more, nothing is
    entered, and `broken` is the number of the reason. Infinity limits nothing.
    """

    code: int
    checked: bool
    rule: int
    broken: int
    correlates: bool
    window: int
    least: int

    def most(self, k: int, i: int, now_ns: int, run: Run) -> float:
        """Return the largest quantity that it leaves; it reads the candidate's figures."""
        ...


class Explained(Protocol):
    """A number of the sizing's state that every order keeps: where it is, and where it goes."""

    place: int
    column: int


class Halt(Protocol):
    """A halt: its place among the file's halts, what it does, and what clears it.

    `then` is FLATTEN, BLOCK_ENTRIES or CANCEL_ALL of `layout`;
    `resumes` is ``manual``, ``next_day``, or ``after`` the time `resume_ns`.
    """

    number: int
    code: int
    checked: bool
    rule: int
    reads_peak: bool
    then: int
    resumes: str
    resume_ns: int

    def is_met(self, equity: float, now_ns: int, run: Run) -> bool:
        """Whether the account meets the condition of the halt."""
        ...


# ---------------------------------------------------------------- the account and its venue
SPOT: bool = True
VENUE_FILLS: bool = False
"""Fills come from a venue or a paper account; nothing is matched against bars here."""
ONE_SYMBOL: bool = True
SYMBOLS: int = 1
BAR_NS: int = 60_000_000_000
ONE_FEE: bool = True
"""Maker and taker pay the same."""
TAKER_FEE: float = 0.0
MAKER_FEE: float = 0.0
FEE_IN_KIND: bool = False
"""Fees are taken from what is received."""
PARTICIPATION: bool = False
VOLUME_SHARE: float = 1.0
"""Share of a bar's volume that orders may fill."""
LATENCY_NS: int = 0
RESTS: bool = False
"""Entry orders rest: limit, stop and stop-limit orders."""
QUEUES: bool = False
"""With shorts, a resting entry of the opposite side is queued until the position is closed."""

# ---------------------------------------------------------------- perpetuals
LIQUIDATES: bool = False
"""Liquidation is simulated on bars."""
LIQUIDATES_HERE: bool = False
"""Fills come from a paper account, and liquidation is simulated on marks."""
LEVERAGE: float = 1.0
MAINTENANCE: float = 0.0
LIQUIDATION_FEE: float = 0.0
FUNDED: bool = False
FUNDING_ROW: int = 0
"""Row of X that holds the funding rate due at a bar's close."""
FUNDING_BEFORE_ROW: int = 0
"""Row of X that holds the funding due since the time before, while there was no bar."""

# ---------------------------------------------------------------- stops and targets
PROTECTIVE: tuple[Level, ...] = ()
TARGETS: tuple[Level, ...] = ()
PROTECTS: bool = False
"""Bars are matched with stops, targets and liquidation levels."""
LEVELS_READ: bool = False
"""Levels read columns, as of the bar before the one that is matched with them."""
TRACKS_BEST: bool = False
"""The best price of the trade is kept: there is a stop, or a level that follows it."""
REENTRY: str = "immediate"
"""Entries after a stop: ``immediate``, ``rearm`` once the signal has differed, or ``after``."""
COOLDOWN_BARS: int = 0

# ---------------------------------------------------------------- a position in steps
TRACKS_POSITION: bool = False
"""Prices, units and bars of the trade are kept: rules read them, or levels follow from them."""
STEPS: bool = False
"""The stop of a position is kept, and only tightened."""
DISTANCES: tuple[FixedDistance, ...] = ()
SIZES_BY_STOP: bool = False
"""The sizing reads the distance of the close to the first stop."""
TAKES_AT: tuple[TakeAt, ...] = ()
TAKES_WHEN: tuple[TakeWhen, ...] = ()
SENDS_TAKES: bool = False
"""A take may be on its way: decided at a close, or at a price where a venue fills orders."""
RUNGS: tuple[Rung, ...] = ()
ADDS_WHEN: tuple[AddWhen, ...] = ()
BUYS: bool = False
"""All symbols are bought whenever DUE is set; no signal enters."""
BUY_AMOUNT: float = 0.0
"""What one buy costs, fees included (quote)."""
GRID: bool = False
"""Resting orders of a grid enter and leave; no signal does."""
GRID_FIRST: int = layout.B_SLOTS
"""First column of B of its first level."""
GRID_LEVELS: int = 1
"""Levels of one side."""
GRID_ROWS: int = 1
"""Levels of both sides."""
GRID_SIDES: bool = False
"""It has levels of both sides."""
GRID_SHORT_LEVEL: int = layout.B_SLOTS
"""Column of B: a stop that is read at every T, as it was when the short side was laid."""
GRID_STEP: float = 0.0
"""Distance between two levels, a fraction of the nearer one to the centre."""
GRID_SIZE: float = 0.0
"""What one level enters, a fraction of equity."""

# ---------------------------------------------------------------- halts
HALTS: tuple[Halt, ...] = ()

# ---------------------------------------------------------------- what is kept
TABLES: bool = True
"""Rows of decisions are kept, and cash and exposure of every time."""
LEVEL_ROWS: bool = False
"""Rows of decisions have the levels of the position."""
CURVE: bool = True
"""Equity of every time is kept; else at the times of Q alone, and its sum."""

# ---------------------------------------------------------------- signal and exits
SIGNAL_IGNORES_ACCOUNT: bool = True
"""The signal reads no position: it is kept for a stretch of bars before any of them acts."""
HELD_SIGNAL_IS_IDLE: bool = True
"""A signal for the side that is held has no effect."""
IDLE_WHILE_HELD: bool = True
"""Bars have no effect while a position is held: no stop, no funding, no best price is followed."""
IDLE_WHILE_HELD_ALONE: bool = True
"""The same, and halts have no effect either; of one symbol."""
MARKS_IDLE_SPANS: bool = False
"""Times at which nothing but a mark can happen are crossed in one stretch, of one symbol."""
TRADES_ACTIVE_SYMBOLS: bool = False
"""Of several symbols only those are stepped to which more than a mark can happen."""
TILE: int = 2_048
"""Times whose signals are kept before any of them acts."""
OPPOSITE_EXITS: bool = True
EXIT_AFTER: bool = False
EXIT_AFTER_BARS: int = 0
BELOW: bool = False
"""Confidence below a floor leaves."""
CONFIDENCE_FLOOR: float = 0.0
RENEWS: bool = False
"""A signal for the side that is held renews the time after which it is left."""
EXITS: tuple[Exit, ...] = ()

# ---------------------------------------------------------------- entries
MIN_INTERVAL: int = 0
REGIMES: bool = False
REGIME_MASK: int = 0
"""Bits of the regimes in which entries are allowed."""
REBALANCES: bool = False
REBALANCE_BAND: float = 0.0
PRO_RATA: bool = False
KEEPS_CASH: bool = False
CASH_BUFFER: float = 0.0
"""Share of equity that entries leave in cash."""
SLIPPAGE_HINT: float = 0.0
"""Slippage of working orders as far as it is known before they fill, a fraction."""
CAPS: tuple[Limit, ...] = ()
ORDER_LIMITS: tuple[Limit, ...] = ()
CHECKED_SLOT: int = layout.C_SLOTS
"""Where C holds what is counted of rules of other packages: see `septet._rules.checked`."""
CHECKS_SIZE: bool = False
"""The sizing is another package's."""
CHECKED_SIZE: int = 0
"""Its number among the rules that are checked."""
CHECKS_REGIME: bool = False
CHECKED_REGIME: int = 0
REGIME_COUNT: int = 0
"""Labels of the regime."""
BROKEN_REGIME: int = 0
"""Number of the reason for which an entry in a regime without a label is rejected."""
CHECKS_ORDER: bool = False
"""The prices of entry orders come from another package."""
CHECKED_ORDER: int = 0
BROKEN_ORDER: int = 0
"""Number of the reason of an entry whose price is not positive and finite."""
TIME_IN_FORCE: int = 1
"""Bars for which an entry order works."""
NOTIONAL_SLOT: int = layout.A_SLOTS
"""Where A holds the notional of each symbol with its working order."""
CORRELATION_SLOT: int = layout.A_SLOTS
"""Where A holds the correlation of the candidate with each symbol."""
EXPLAINED: tuple[Explained, ...] = ()
LOG_ROOM: int = 32
"""Rows of the log that one decision time may write."""
LEARNS_FROM_TRADES: bool = False
TOUCHES: bool = False
"""The engine tests stops and targets on quotes."""

# ---------------------------------------------------------------- trading hours
HOURS: bool = False
"""Increases are allowed only at certain hours."""
FLAT_AT_CLOSE: bool = False
HOURS_ROW: int = layout.ROW
"""The first of the rows of T, one a symbol, that hold the flags of each decision time."""
HOURS_SLOT: int = layout.C_SLOTS
"""The first of the slots of C, one a symbol, that hold those of the newest."""
LIMITS_POSITIONS: bool = False
MAX_POSITIONS: int = 0
"""Largest number of symbols held or being entered."""

# ---------------------------------------------------------------- a portfolio
HAS_SIGNAL: bool = True  # something signals: not where weights or buys decide without `exit_if`
PORTFOLIO: bool = False
"""All symbols are weighed at one time; no signal enters."""
PORTFOLIO_USE: str = "top"  # how weights are found; or ``weights``, ``forecast``
PORTFOLIO_SLOT: int = layout.C_SLOTS
"""Where C holds what a rebalance counts: see `septet._kernel.layout`."""
LONG_SLOTS: int = 1
SHORT_SLOTS: int = 0
SHORTS: bool = False
HOLD_RANK: int = 0
"""Held names stay while their rank is this or better; 0 keeps none."""
WEIGHT_BY: str = "equal"
"""``equal``, ``score``, ``rank`` or ``inverse_volatility``."""
GROSS: float = 1.0
"""Sum of |weights| with every slot filled."""
HAS_NET: bool = False
NET_TARGET: float = 0.0
HAS_BETA: bool = False
CAPS_WEIGHT: bool = False
MAX_WEIGHT: float = 1.0
LIMITS_POSITION: bool = False
POSITION_LIMIT: float = 1.0
LIMITS_GROSS: bool = False
GROSS_LIMIT: float = 1.0
GROUPS: tuple[Group, ...] = ()
FORECASTS: tuple[Forecast, ...] = ()
FORECAST_COUNT: int = 0
FORECAST_WINDOW: int = 2
"""Bars over which scale and correlations are estimated."""
FORECAST_CAP: float = 2.0
FORECAST_TARGET: float = 0.2
FORECAST_SLOT: int = layout.A_SLOTS
"""Where A holds the scale of each forecast, then its mean."""
DRIFT: float = 0.0
TO_EDGE: bool = False
CAPS_TURNOVER: bool = False
MAX_TURNOVER: float = 1.0
QUORUM: float = 0.9
"""Share of the members that have a bar at a rebalance."""
MEMBERS_ROW: int = layout.ROW
"""Row of T that holds how many symbols are members, of several symbols."""

# ---------------------------------------------------------------- numbers of reasons
R_ENTRY: int = 0
R_EXIT: int = 1
R_OPPOSITE: int = 2
R_AFTER: int = 3
R_BELOW: int = 4
R_REBALANCE: int = 5
R_HALTED: int = 6
R_LATE: int = 7
R_REENTRY_BLOCKED: int = 8
R_MIN_INTERVAL: int = 9
R_REGIME: int = 10
R_SIZE: int = 12
R_CASH: int = 13
R_MARGIN: int = 14
R_LOT: int = 15
R_MIN_NOTIONAL: int = 16
R_NO_MARKET: int = 17
R_UNFILLED: int = 18
R_LIQUIDATION: int = 19
R_REVERSAL: int = 20
R_TOO_SMALL: int = 21
R_LATE_FILL: int = 22
R_ADD: int = 23
R_TAKE: int = 24
R_BREAK_EVEN: int = 25
R_STOP_UNKNOWN: int = 26
R_POSITION_CLOSED: int = 27
R_CLOSED_HOURS: int = 28
R_FLAT_AT_CLOSE: int = 29
R_MAX_POSITIONS: int = 30
R_BUY_EVERY: int = 31
R_GRID: int = 32
R_GRID_EXIT: int = 33
R_GRID_MOVED: int = 34
R_OTHER_SIDE: int = 35
R_GONE: int = 36
R_INCREASE: int = 60  # of a rebalance; `R_REBALANCE` is that of its reductions
R_QUORUM: int = 61
R_DRIFT: int = 62
R_NOT_RANKED: int = 64
R_BELOW_RANK: int = 65
R_WRONG_SIGN: int = 66
R_KEEPS_WEIGHT: int = 67
R_KEEPS_UNITS: int = 68
R_NET_TARGET: int = 69


def observe_features(t0: int, t1: int, run: Run) -> None:
    """Advance the features over times `t0` to `t1`."""


def keep_signals(t0: int, t1: int, run: Run) -> None:
    """Keep the signals of times `t0` to `t1`: see `SIGNAL_IGNORES_ACCOUNT`."""


def slippage_at_fill(k: int, i: int, run: Run) -> float:
    """Return the slippage of a market order that fills in bar `i`, a fraction."""
    return 0.0


def slippage_at_decision(k: int, i: int, run: Run) -> float:
    """Return the slippage that a decision at bar `i` expects, a fraction."""
    return 0.0


def signal_at(k: int, i: int, side: float, run: Run) -> tuple[float, float, int]:
    """Return the target side of the signal at bar `i`, its confidence, and why there is none."""
    return nan, 0.0, -1


def probability_up(k: int, i: int, run: Run) -> float:
    """Return the model's probability that the price goes up; NaN without a model."""
    return nan


def regime(k: int, i: int, run: Run) -> float:
    """Return the number of the regime at bar `i`; NaN where it is unknown."""
    return nan


def size(k: int, i: int, now_ns: int, run: Run) -> float:
    """Return the requested size (base); it reads the candidate's figures."""
    return 0.0


def order_prices(k: int, i: int, run: Run) -> tuple[float, float]:
    """Return limit and trigger of an entry order; NaN for none."""
    return nan, nan


def value_of_rank(k: int, i: int, run: Run) -> float:
    """Return what a symbol is ranked by at bar `i`; high is good."""
    return nan


def may_be_long(k: int, i: int, run: Run) -> float:
    """Return 1 where a symbol may be ranked on the long side, 0 where not, NaN if unknown."""
    return 1.0


def may_be_short(k: int, i: int, run: Run) -> float:
    """Return the same of the short side."""
    return 1.0


def volatility_at(k: int, i: int, run: Run) -> float:
    """Return the volatility by which weights are divided."""
    return nan


def beta_at(k: int, i: int, run: Run) -> float:
    """Return what weights are multiplied by for a net target."""
    return nan


def given_weight(k: int, i: int, run: Run) -> float:
    """Return the weight that the file's feature gives a symbol; NaN keeps its units."""
    return nan


def grid_centre(k: int, i: int, run: Run) -> float:
    """Return the price around which a grid is laid; NaN lays none."""
    return nan


def learn_from_trade(run: Run) -> None:
    """Let the sizing see the result of the trade that has just closed."""


__all__ = [name for name in dir() if name.isupper() and name != "TYPE_CHECKING"]
__all__ += [
    "Level", "beta_at", "given_weight", "grid_centre", "keep_signals", "learn_from_trade",
    "may_be_long", "may_be_short", "observe_features", "order_prices", "probability_up", "regime",
    "signal_at", "size", "slippage_at_decision", "slippage_at_fill", "value_of_rank",
    "volatility_at",
]  # fmt: skip
