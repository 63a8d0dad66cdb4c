"""What a strategy asks of the rules, by names in capitals; the planner puts in what its file says.

A setting is a choice (bool, str), a number that the plan knows when it is made (int), a number
that its text reads from the parameters (float), a list of the strategy's own rules, or a function
that calls one of them. The values here are those of a plain spot strategy of one symbol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from septet._rules.run import Run


class Level(Protocol):
    """A stop or a target: where it leaves the position, and the number of its reason."""

    code: int

    def level(
        self, k: int, side: float, average_price: float, high_water: float, entry_ns: int,
        now_ns: int, known: int, run: Run,
    ) -> float:  # fmt: skip
        """Return the level as it was known at bar `known`; NaN where there is none."""
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

# ---------------------------------------------------------------- perpetuals
LIQUIDATES: bool = False
"""Bars liquidate a position."""
LIQUIDATES_HERE: bool = False
"""Fills come from a paper account, and marks liquidate a position."""
LEVERAGE: float = 1.0
MAINTENANCE: float = 0.0
LIQUIDATION_FEE: float = 0.0
FUNDED: bool = False
FUNDING_ROW: int = 0
"""Row of X that holds the funding rate due at a bar's close."""
FUNDING_BEFORE_ROW: int = 0
"""Row of X that holds what was due since the time before, while there was no bar."""

# ---------------------------------------------------------------- stops and targets
PROTECTIVE: tuple[Level, ...] = ()
TARGETS: tuple[Level, ...] = ()
PROTECTS: bool = False
"""Bars meet stops, targets or a liquidation."""
LEVELS_READ: bool = False
"""Levels read columns: as of the bar before the one that meets them."""
TRACKS_BEST: bool = False
"""A level follows the best price of the trade."""
REENTRY: str = "immediate"
"""Entries after a stop: ``immediate``, ``rearm`` once the signal has differed, or ``after``."""
COOLDOWN_BARS: int = 0

# ---------------------------------------------------------------- sizing
LEARNS_FROM_TRADES: bool = False

# ---------------------------------------------------------------- numbers of reasons
R_CASH: int = 13
R_REBALANCE: int = 5
R_NO_MARKET: int = 17
R_UNFILLED: int = 18
R_LIQUIDATION: int = 19
R_REVERSAL: int = 20
R_LATE_FILL: int = 22


def slippage_at_fill(k: int, i: int, run: Run) -> float:
    """Return the slippage of a market order that fills in bar `i`, a fraction."""
    return 0.0


def learn_from_trade(run: Run) -> None:
    """Let the sizing see the result of the trade that has just closed."""


__all__ = [name for name in dir() if name.isupper()]
__all__ += ["Level", "learn_from_trade", "slippage_at_fill"]
