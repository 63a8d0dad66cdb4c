"""The steps of a run that its process calls: start, continue and end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from septet._core.ledger_check import overflowed, unexplained

if TYPE_CHECKING:
    from septet._live.strategy_run import StrategyRun

__all__ = ["MeasurePace", "agree", "check_books", "doubts", "ended"]

_USUALLY_S: Final = 300.0
_DOUBT_S: Final = 5.0
_CLOCK: Final = ("clock_skew",)
_FILTERS: Final = ("filters_changed", "symbol_halted", "unprotected")
"""Blocks that may end when the venue's filters are read again; no other task reads them."""


def check_books(run: StrategyRun) -> None:
    """Log an error if the trades of a run do not sum to the gain of its equity."""
    engine = getattr(run.build.core, "engine", None) if run.build is not None else None
    if engine is None:
        return
    missing = unexplained(engine.state, run.strategy.account.capital)
    if math.isnan(missing):
        run.notify("error", "books", {"text": f"equity has overflowed: {overflowed(engine.state)}"})
    elif missing != 0.0:
        text = f"the books do not add up: the results of all trades are {missing:+.12g} away"
        run.notify("error", "books", {"text": f"{text} from what the equity gained"})


def doubts(run: StrategyRun, rules: Sequence[str]) -> bool:
    """Whether entries wait for a state that is known only after another query."""
    if run.build is None:
        return False
    return any(each.rule in rules for each in run.build.core.guards.active())


class MeasurePace:
    """When the venue's clock and filters are queried: more often while a block waits for them.

    A clock may be right again at any moment. A symbol may be halted for days, and an answer about
    every symbol of an exchange is large: it is asked for ever less often.
    """

    def __init__(self) -> None:
        self._last_s, self._wait_s = 0.0, _DOUBT_S

    def is_due(self, now_s: float, runs: Sequence[StrategyRun]) -> bool:
        """Whether to query now, by the time of the loop; then the next query is timed from now."""
        clock = any(doubts(run, _CLOCK) for run in runs)
        filters = any(doubts(run, _FILTERS) for run in runs)
        wait_s = _DOUBT_S if clock else self._wait_s if filters else _USUALLY_S
        if not filters:
            self._wait_s = _DOUBT_S
        if now_s - self._last_s < wait_s:
            return False
        self._last_s = now_s
        if filters:
            self._wait_s = min(2.0 * self._wait_s, _USUALLY_S)
        return True


async def agree(runs: Sequence[StrategyRun]) -> None:
    """Start all strategies; each books its missed fills before any compares the account."""
    for run in runs:
        await run.wake()
    for run in runs:
        await run.agree()


async def ended(run: StrategyRun) -> None:
    if run.ended is not None:
        await asyncio.wait([run.ended])
    else:  # only between two starts: nothing has ended
        await asyncio.Event().wait()
