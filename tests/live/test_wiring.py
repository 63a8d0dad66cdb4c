"""A plugin is offered what runs its background tasks, whoever opens it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from septet._host.background_tasks import Tasks
from septet._live.clock import WallClock
from septet._live.wiring import feed_of


class _Feed:
    def __init__(self, clock: Any, tasks: Tasks) -> None:
        self.clock, self.tasks = clock, tasks


class _Streams:
    def stream(self, *, clock: Any, tasks: Tasks) -> Any:
        return _Feed(clock, tasks)


def _loaded() -> Any:
    class Declaration:
        build = _Streams

        def __call__(self, config: Any) -> _Streams:
            return _Streams()

    candles = SimpleNamespace(use="theirs", declaration=Declaration(), config=None)
    strategy = SimpleNamespace(mode="live", data=SimpleNamespace(candles=candles))
    access = SimpleNamespace(reach=lambda config, key: None)
    return SimpleNamespace(strategy=strategy, access=access)


def test_a_feed_that_asks_for_tasks_is_opened_without_a_run() -> None:
    """`check --world` opens it; it ended in a TypeError."""
    clock = WallClock()
    feed: Any = feed_of(_loaded(), clock)
    assert feed.clock is clock
    assert feed.tasks.owner == "feed theirs"


def test_a_run_gives_its_own() -> None:
    owner = Tasks("the run's")
    feed: Any = feed_of(_loaded(), WallClock(), owner)
    assert feed.tasks is owner
