"""The steps of a run that its process calls: start, continue and end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from septet._core.ledger_check import overflowed, unexplained

if TYPE_CHECKING:
    from septet._live.strategy_run import StrategyRun

__all__ = ["agree", "check_books", "doubts", "ended"]


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
