"""Writes tables and reports of an active run, at the time of day set in its file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from septet._live.stop import project

if TYPE_CHECKING:
    from septet._live.strategy_run import StrategyRun

__all__ = ["reports"]

_NS: Final = 1_000_000_000


def reports(runs: Sequence[StrategyRun]) -> Any:
    """Rewrite the tables at the time of day a file sets; None where none does."""
    daily = [(run, run.strategy.schedule.report) for run in runs]
    daily = [(run, at) for run, at in daily if at is not None]
    if not daily:
        return None
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    scheduler = AsyncIOScheduler(event_loop=asyncio.get_running_loop())
    for run, at in daily:
        seconds = at.at_ns // _NS
        scheduler.add_job(
            project, "cron", (run.location.folder, run.notify), hour=seconds // 3_600,
            minute=seconds // 60 % 60, second=seconds % 60, timezone=at.time_zone,
            misfire_grace_time=3_600, coalesce=True,
        )  # fmt: skip
    scheduler.start()
    return scheduler
