"""Builds the market data of a run from its file: schedules, rules for bars, and the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from septet import messages as m
from septet._data.day_calendars import written_calendars
from septet._data.load import keys_of
from septet._host.background_tasks import Tasks
from septet._host.venues import FeedFacts, FeedRequest, LiveFeed
from septet._live.circuit_breaker import PluginCaller
from septet._live.clock import LiveClock
from septet._live.dispatch import Trainer
from septet._live.market_data.bars import BarAssembler, BarRules
from septet._live.market_data.decision_times import (
    DecisionTimes,
    Standing,
    default_decide_within_ns,
    default_grace_ns,
)
from septet._live.market_data.feed_grid import Gate, Grid
from septet._live.market_data.feed_shelf import Shelf
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.series import SeriesPoller, make_series
from septet._live.market_data.watchdog import Watchdog
from septet._live.shell import Notify
from septet._live.training import ModelTrainer
from septet._plan.run_terms import simulation_of
from septet._shell.session import warmup_ns_of
from septet.errors import PluginError
from septet_schemas.data import CandlesConfig

__all__ = [
    "grids_of", "history_ns_of", "make_market", "request_of", "require_kinds", "trainer_of",
    "unmarked",
]  # fmt: skip

LONGEST_HISTORY_NS: Final = 5 * 366 * 86_400 * 1_000_000_000


def grids_of(strategy: Any) -> list[Grid]:
    """Return the schedule of each symbol's bars."""
    bar_ns = int(strategy.universe.bar)
    return [Grid(name or "24x7", bar_ns) for name in written_calendars(strategy)]


def history_ns_of(strategy: Any, memory_bars: int = 0) -> int:
    """Return how much market time is read at the first start, and kept for training."""
    return min(LONGEST_HISTORY_NS, warmup_ns_of(strategy, memory_bars))


def request_of(strategy: Any) -> FeedRequest:
    """Return what a run subscribes to: bars, and prices if fills or halts need them."""
    kinds = {"bars"}
    fills = str(simulation_of(strategy).fills)
    if strategy.mode == "live":
        kinds.add("quotes")
    elif fills != "next_open":
        kinds.add(fills)
    return FeedRequest(
        tuple(strategy.universe.symbols), int(strategy.universe.bar), frozenset(kinds)
    )


def require_kinds(request: FeedRequest, facts: FeedFacts) -> FeedFacts:
    """Return the facts of a feed that serves what was requested.

    Raises
    ------
    PluginError
        The feed does not serve it: no data would arrive, and no entry could be sent.
    """
    missing = sorted(request.kinds - set(facts.how))
    if missing:
        served = ", ".join(sorted(facts.how)) or "nothing"
        raise PluginError(
            f"the feed of {facts.exchange} serves {served}, and this run needs "
            f"{' and '.join(missing)}",
            hint="a live run compares its orders with quotes: the plugin of data.candles sends "
            "QuoteSeen and names quotes in its FeedFacts; mode: paper with fills: next_open needs "
            "bars alone",
        )
    return facts


def unmarked(strategy: Any) -> str:
    """Return a notice if a run with halts gets no price between two bars; empty if it does."""
    if not strategy.risk.halts or request_of(strategy).kinds != {"bars"}:
        return ""
    return (
        "halts are tested at the close of each bar and not between: fills: next_open gets bars "
        "alone (fills: quotes, and live, test them at each price)"
    )


def make_market(
    loaded: Any,
    feed: LiveFeed,
    standing: Standing,
    *,
    clock: LiveClock,
    put: Callable[[m.Event], None],
    notify: Notify,
    points: Sequence[m.Event] = (),
    tasks: Tasks | None = None,
    goes_on: bool = False,
) -> MarketDataHandler:
    """Return the handler of a run's market data; `points` are its known series values.

    `goes_on` is whether the run has a history: then an unlisted symbol does not end its start.
    """
    strategy = loaded.strategy
    block, bar_ns = strategy.data.candles, int(strategy.universe.bar)
    grace_ns = default_grace_ns(bar_ns, clock.speed, block.extra["grace"])
    within_ns = default_decide_within_ns(bar_ns, clock.speed, block.extra["decide_within"])
    keys = keys_of(block, CandlesConfig)
    gates = [
        Gate(symbol, grid, keys, block.use)
        for symbol, grid in zip(strategy.universe.symbols, standing.grids, strict=True)
    ]
    rules = BarRules.of(bar_ns, clock.speed, grace_ns)
    bars = BarAssembler(strategy.universe.symbols, standing.grids, gates, rules)
    decision_times = DecisionTimes(standing, clock, grace_ns=grace_ns, decide_within_ns=within_ns)
    names = tuple(strategy.universe.symbols)
    watchdog = Watchdog(
        clock, behind=lambda k: bars.behind(names[k], clock.market_ns()), seed=strategy.seed
    )
    return MarketDataHandler(
        feed, replace(request_of(strategy), goes_on=goes_on), bars, decision_times,
        clock=clock, put=put, notify=notify,
        watchdog=watchdog, max_staleness_ns=block.extra["max_staleness"],
        series=_series_of(loaded, clock, points), tasks=tasks,
    )  # fmt: skip


def _series_of(loaded: Any, clock: LiveClock, points: Sequence[m.Event]) -> SeriesPoller | None:
    strategy = loaded.strategy
    if not strategy.data.series and strategy.data.funding is None:
        return None
    poller = make_series(loaded, clock, PluginCaller(clock.now_ns, seed=strategy.seed))
    return poller.fold(points)


def trainer_of(
    loaded: Any,
    shelf: Shelf,
    folder: Path,
    now_ns: Callable[[], int],
    ready: asyncio.Event,
    notify: Notify,
) -> tuple[ModelTrainer, Trainer]:
    """Return the trainer of models and the function to call it, once its history is read."""

    def log(text: str) -> None:
        notify("warning", "training", {"text": text})

    trainer = ModelTrainer(loaded, shelf, folder, now_ns, log=log)

    async def train(command: m.Train) -> m.Event:
        await ready.wait()
        return await trainer.train(command.number, command.trained_to_ns, command.cause)

    return trainer, train
