"""Many schedules, one after the other or beside one another: the same sums in the same order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from septet._drill.sim.schedule import Failure, Subjects, run_schedule
from septet._drill.sim.sim_strategy import sim_strategies
from septet._kernel.garbage_collection import collector_off

__all__ = ["Sums", "run_many"]

_SEEDS_PER_BATCH: Final = 20
"""Seeds that a process takes at a time; memory is tidied once for all of them."""
_SHAPES: Final = 300
"""Seeds in a row that have every shape of a core: form, orders, symbols and stops."""


@dataclass(slots=True)
class Sums:
    """What some schedules were, and which of them failed with what words."""

    schedules: int = 0
    steps: int = 0
    orders: int = 0
    fills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)


def run_many(
    seeds: Sequence[int], *, whole: bool = False, keep_going: bool = False, workers: int = 1
) -> Iterator[Sums]:
    """Run the schedules of seeds; yield the sums of a few at a time, in the order of the seeds.

    Parameters
    ----------
    seeds
        Whose schedules are run.
    whole
        The whole live core instead of the order manager with a minimal strategy.
    keep_going
        Whether others follow the first that fails.
    workers
        How many processes run schedules; 1 runs them in this one.
    """
    few = [seeds[at : at + _SEEDS_PER_BATCH] for at in range(0, len(seeds), _SEEDS_PER_BATCH)]
    run = partial(_run, whole=whole, keep_going=keep_going)
    if whole:  # compiled once here, and found by every process
        _warm(seeds[:_SHAPES])
    if workers == 1 or len(few) < 2:
        yield from _until_failed(map(run, few), keep_going=keep_going)
        return
    # None inherits anything: a process that was copied would have threads that are not there.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(few)), _begin) as pool:
        yield from _until_failed(pool.imap(run, few), keep_going=keep_going)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others


def _until_failed(sums: Iterator[Sums], *, keep_going: bool) -> Iterator[Sums]:
    for each in sums:
        yield each
        if each.failed and not keep_going:
            return


def _subjects(whole: bool) -> Subjects:
    if not whole:  # a plan is compiled: only where it is used
        return sim_strategies
    from septet._drill.sim.core_subject import FORMS, ORDERS, core_subjects

    return partial(core_subjects, shapes=ORDERS, forms=FORMS)


def _warm(seeds: Sequence[int]) -> None:
    for seed in seeds:
        _subjects(True)(seed)


def _run(seeds: Sequence[int], whole: bool, keep_going: bool) -> Sums:
    sums, subjects = Sums(), _subjects(whole)
    with collector_off(collects=True):
        for seed in seeds:
            try:
                report = run_schedule(seed, subjects)
            except Failure as failure:
                sums.failed.append((seed, str(failure)))
                if not keep_going:
                    break
                continue
            sums.schedules += 1
            sums.steps += report.steps
            sums.orders += report.orders
            sums.fills += report.fills
            sums.faults += report.faults
    return sums
