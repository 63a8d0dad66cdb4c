"""Monitors of trading: excessive turnover, excessive costs, and series of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from septet.plugin import Config, Fraction, MarketDuration, Trades
from septet.plugin.live import Reading, RunView, Verdict, monitor

__all__ = [
    "CostShare", "CostShareMonitor", "LosingStreak", "LosingStreakMonitor", "Turnover",
    "TurnoverMonitor", "cost_share", "losing_streak", "turnover",
]  # fmt: skip

Alarm = Literal["warn", "halt"]


def _last_of_each(time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the last row of every time: the values known at that time."""
    return np.flatnonzero(np.append(np.diff(time_ns) > 0, True)) if len(time_ns) else time_ns


class Turnover(Config):
    """Notional traded within `window` of market time, as a share of equity.

    The monitor stops excessive trading. It is computed at every fill; `1000%` means that ten times
    the equity was bought or sold. With `verdict: block` entries wait until the turnover in the
    moving window is no longer above the bound.
    """

    window: MarketDuration = Field(default="1d")  # type: ignore[assignment]
    """Length of the window in market time."""
    above: Annotated[Fraction, Field(gt=0.0)] = Field(default="1000%")  # type: ignore[assignment]
    """Turnover as a share of equity above which the verdict applies."""
    verdict: Literal["warn", "block", "halt"] = "halt"
    """Action: warn only, block entries, or halt."""


@dataclass(frozen=True, slots=True)
class TurnoverMonitor:
    """Sums fills over the window, and divides by the last known equity."""

    config: Turnover

    @property
    def follows(self) -> frozenset[str]:
        """Kinds of new rows of a run that may give a reading: a block ends as time passes."""
        return frozenset({"fills", "times"} if self.config.verdict == "block" else {"fills"})

    def read(self, run: RunView) -> list[Reading]:
        """Compute the turnover at the time of every fill; the window excludes its start."""
        fills, config = run.fills, self.config
        last = _last_of_each(fills.time_ns)
        new = int(np.searchsorted(fills.time_ns[last], run.since_ns, side="left"))
        last = last[max(0, new - 1) :]  # a block may end after the last fill read
        times = fills.time_ns[last]
        first = np.searchsorted(fills.time_ns, times - config.window, side="right")
        notional = fills.quantity * fills.price
        equity_rows = np.searchsorted(run.time_ns, times, side="right") - 1
        readings = []
        for low, high, row in zip(first.tolist(), last.tolist(), equity_rows.tolist(), strict=True):
            traded = float(notional[low : high + 1].sum())
            share = traded / float(run.equity[row])
            verdict: Verdict = config.verdict if not 0.0 <= share <= config.above else "ok"
            time_ns = int(fills.time_ns[high])
            readings.append(Reading(time_ns, "", share, config.above, verdict, high + 1 - low))
            if verdict == "block":
                readings += self._over(run, notional, high)
        return readings

    def _over(self, run: RunView, notional: NDArray[np.float64], last: int) -> list[Reading]:
        """Return the first decision time after a fill at which the turnover is in bounds again.

        None if the next fill is earlier.
        """
        times, fills, config = run.time_ns, run.fills, self.config
        first_row = int(np.searchsorted(times, fills.time_ns[last], side="right"))
        end = len(times)
        if last + 1 < len(fills.time_ns):
            end = int(np.searchsorted(times, fills.time_ns[last + 1], side="left"))
        for row in range(first_row, end):
            time_ns = int(times[row])
            low = int(np.searchsorted(fills.time_ns, time_ns - config.window, side="right"))
            share = float(notional[low : last + 1].sum()) / float(run.equity[row])
            if 0.0 <= share <= config.above:
                return [Reading(time_ns, "", share, config.above, "ok", max(0, last + 1 - low))]
        return []


@monitor(Turnover)
def turnover(config: Turnover) -> TurnoverMonitor:
    """Return the monitor."""
    return TurnoverMonitor(config)


class CostShare(Config):
    """Costs of the last trades, as a share of the gross gains of the profitable ones.

    Costs are fees, funding, liquidation and slippage; gains are before costs. Without a profitable
    trade there is no reading; `losing_streak` covers that case.
    """

    trades: Trades = 50
    """Number of closed trades."""
    above: Annotated[Fraction, Field(gt=0.0)] = 0.5
    """Costs as a share of gains above which the monitor warns."""


@dataclass(frozen=True, slots=True)
class CostShareMonitor:
    """Compares costs with gross gains at the end of every trade, once there are enough trades."""

    config: CostShare
    follows: ClassVar[frozenset[str]] = frozenset({"trades"})

    def read(self, run: RunView) -> list[Reading]:
        """Compute the share at the end of every trade, from trade number `trades` on."""
        trades, config = run.trades, self.config
        # Profit includes slippage: without costs it would have been higher.
        costs = trades.fees + trades.funding + trades.liquidation + trades.slippage
        gains = np.maximum(trades.pnl + costs, 0.0)
        readings = []
        for last in _last_of_each(trades.exit_ns).tolist():
            low = last + 1 - config.trades
            if low < 0 or trades.exit_ns[last] < run.since_ns:
                continue
            span = slice(low, last + 1)
            gained, paid = float(gains[span].sum()), float(costs[span].sum())
            if not gained > 0.0:
                continue
            share = paid / gained
            verdict: Verdict = "warn" if share > config.above else "ok"
            time_ns = int(trades.exit_ns[last])
            readings.append(Reading(time_ns, "", share, config.above, verdict, config.trades))
        return readings


@monitor(CostShare)
def cost_share(config: CostShare) -> CostShareMonitor:
    """Build the monitor."""
    return CostShareMonitor(config)


class LosingStreak(Config):
    """Consecutive losing trades over all symbols; `trades` of them raise the alarm."""

    trades: Trades = 8
    """Number of consecutive losing trades at which the verdict applies."""
    verdict: Alarm = "warn"
    """Warn only, block entries, or halt."""


@dataclass(frozen=True, slots=True)
class LosingStreakMonitor:
    """Counts losing trades since the last trade that was not a loss."""

    config: LosingStreak
    follows: ClassVar[frozenset[str]] = frozenset({"trades"})

    def read(self, run: RunView) -> list[Reading]:
        """Return the length of the streak at the end of every trade."""
        config, streak, readings = self.config, 0, []
        trades = run.trades
        ends = set(_last_of_each(trades.exit_ns).tolist())
        for row, pnl in enumerate(trades.pnl.tolist()):
            streak = streak + 1 if pnl < 0.0 else 0
            if row in ends and trades.exit_ns[row] >= run.since_ns:
                verdict: Verdict = config.verdict if streak >= config.trades else "ok"
                time_ns, bound = int(trades.exit_ns[row]), float(config.trades)
                readings.append(Reading(time_ns, "", float(streak), bound, verdict, streak))
        return readings


@monitor(LosingStreak)
def losing_streak(config: LosingStreak) -> LosingStreakMonitor:
    """Build the monitor."""
    return LosingStreakMonitor(config)
