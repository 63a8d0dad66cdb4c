"""Input and output types of the engine.

Time arrives as an event like everything else; the core reads no clock.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "BY_HAND", "Cleared", "Command", "Curve", "Decision", "DecisionTime", "Event", "Funded",
    "Halted", "NewOrder", "OrderEnded", "Traded", "Working",
]  # fmt: skip

BY_HAND = -1
"""Number of the halt that a person makes."""


class DecisionTime(msgspec.Struct, frozen=True, gc=False):
    """A decision time is reached: every symbol has delivered, or its grace has passed.

    `columns` (symbols, c) holds the values of the plan's columns and `facts` (symbols, 4) the open
    time, age, missing bars and synthetic flag of each bar, as `septet._kernel.layout` lays out X
    and M; a symbol without a bar has an age below zero, which is what T holds of it (see `NO_BAR`
    there). `decides` False only advances the features:
    history before the first decision. With `matches` the bars, which were missed, are also matched
    with resting orders, without decisions. `late` decisions exit but do not enter. `hours` are the
    flags of the trading hours of each symbol, if the strategy has any; `members` is how many
    symbols are members of its portfolio, 0 where nothing counts them.
    """

    time_ns: int
    day: int
    columns: npt.NDArray[np.float64]
    facts: npt.NDArray[np.int64]
    decides: bool = True
    late: bool = False
    matches: bool = False
    hours: npt.NDArray[np.int64] | int = 0
    members: int = 0


Event = DecisionTime


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """A new order to send; `price` is the decision price (quote), `units` are signed.

    `limit_price` and `trigger_price` are not finite if the order has none. `sizing` holds the
    equity and the values that the sizing rule keeps, as the plan names them. A reduction with
    `closes_all` closes the whole position held when it is sent, whatever `units` is.
    """

    time_ns: int
    symbol: int
    order: int
    kind: int
    units: float
    limit_price: float
    trigger_price: float
    reason: int
    price: float
    reduces: bool
    confidence: float
    probability_up: float
    sizing: tuple[float, ...]
    closes_all: bool = True


class OrderEnded(msgspec.Struct, frozen=True, gc=False):
    """An order is filled, cancelled or expired; with venue fills: its cancel is requested."""

    time_ns: int
    symbol: int
    order: int
    status: int
    reason: int


class Traded(msgspec.Struct, frozen=True, gc=False):
    """A fill of an order: `net_units` is the change of the position, `held` the position after it.

    Where `net_units` differs from `units`, the fee was withheld in the base currency, and `fee`
    (quote) is its value. `liquidation` is charged in addition (quote).
    """

    time_ns: int
    symbol: int
    order: int
    units: float
    price: float
    fee: float
    net_units: float
    held: float
    maker: bool
    reason: int
    liquidation: float


class Funded(msgspec.Struct, frozen=True, gc=False):
    """Funding left the cash: `amount` (quote), `rate` of what was held, valued at `price`."""

    time_ns: int
    symbol: int
    amount: float
    rate: float
    price: float


class Halted(msgspec.Struct, frozen=True, gc=False):
    """A halt tripped; `BY_HAND` is a manual halt."""

    time_ns: int
    halt: int
    equity: float


class Cleared(msgspec.Struct, frozen=True, gc=False):
    """A halt was cleared."""

    time_ns: int
    halt: int


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The decision for a symbol: a row of the decision table.

    `features` are the bits of the float64 row; `signal` is 0 none, 1 short, 2 flat, 3 long;
    `capped` and `rejected` are numbers of reasons or -1; quantities are in the base currency.
    """

    time_ns: int
    symbol: int
    features: bytes
    probability_up: float
    signal: int
    confidence: float
    requested: float
    granted: float
    capped: int
    rejected: int
    late: bool


class Curve(msgspec.Struct, frozen=True, gc=False):
    """The account at a decision time; `exposure` is the sum of |notional| (quote)."""

    time_ns: int
    equity: float
    cash: float
    exposure: float


class Working(msgspec.Struct, frozen=True, gc=False):
    """The working order of a symbol; `units` (signed) is its unfilled quantity."""

    order: int
    kind: int
    units: float
    limit_price: float
    trigger_price: float
    reduces: bool
    reason: int


Command = NewOrder | OrderEnded | Traded | Funded | Halted | Cleared
