"""The whole live core, with a compiled plan, under the same schedules."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial

import pytest

from septet._core.live_core import LiveCore
from septet._core.orders.records import StopEnded
from septet._drill.sim import Failure, core_subject, run_schedule
from septet._drill.sim.core_subject import ORDERS, cores
from septet._drill.sim.world import SECOND

SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"
SEEDS = range(1, 41)


def test_schedules_of_the_whole_core() -> None:
    orders = sum(run_schedule(seed, cores).orders for seed in SEEDS)
    assert orders > 5 * len(SEEDS)


def test_what_is_left_by_a_stop_that_was_too_small_goes_on_as_an_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A part of an entry was filled, its stop stood and was hit while the rest came."""
    whole, ended = partial(cores, shapes=ORDERS), LiveCore._stop_ended
    run_schedule(55, whole)

    def forget(core: LiveCore, outcome: StopEnded) -> None:
        if outcome.rest > 0.0:
            ended(core, outcome)

    monkeypatch.setattr(LiveCore, "_stop_ended", forget)
    with pytest.raises(Failure, match="was to be held together"):
        run_schedule(55, whole)


def test_symbols_that_take_more_together_than_they_may_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loose = {
        **core_subject._SEVERAL,
        "limits": core_subject._SEVERAL["limits"].replace("max: 0.8", "max: 1"),
    }
    monkeypatch.setattr(core_subject, "_SEVERAL", loose)
    core_subject._loaded.cache_clear()
    core_subject._built.cache_clear()
    try:
        with pytest.raises(Failure, match="was to be held together"):
            _run(range(0, 61, 5))
    finally:
        core_subject._loaded.cache_clear()
        core_subject._built.cache_clear()


def _run(seeds: Iterable[int]) -> None:
    for seed in seeds:
        run_schedule(seed, cores, only=frozenset())


@pytest.mark.hypothesis
def test_crash_at_every_write_of_the_journal() -> None:
    """A process that dies at any write, with nothing else going wrong, loses nothing."""
    faults, active_ns = frozenset({"E9 partial fill"}), 8 * SECOND
    whole = run_schedule(4, cores, only=faults, active_ns=active_ns)
    for write in range(1, whole.writes + 1, 1 if SOAK else 5):
        place = (write, write % 3)
        run_schedule(4, cores, only=faults, active_ns=active_ns, crash_at_write=place)


@pytest.mark.hypothesis
@pytest.mark.skipif(not SOAK, reason="for make soak: schedules until SEPTET_SOAK_SECONDS are over")
def test_schedules_without_end() -> None:
    first = time.time_ns() // SECOND * 1_000_000
    until_s = time.monotonic() + float(os.environ.get("SEPTET_SOAK_SECONDS", "600"))
    done = 0
    while time.monotonic() < until_s:
        run_schedule(first + done, partial(cores, shapes=ORDERS))
        done += 1
    assert done
