"""The whole live core, with a compiled plan, under the same schedules."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial

import msgspec
import pytest

from septet import messages as m
from septet._core.events import NewOrder
from septet._core.live_core import LiveCore
from septet._core.orders import unexplained
from septet._core.orders.records import StopEnded
from septet._drill.sim import Failure, core_subject, run_schedule
from septet._drill.sim.core_subject import FORMS, ORDERS, core_subjects
from septet._drill.sim.simulated_time import SECOND
from septet._kernel import layout

SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"
SEEDS = range(1, 41)


def test_schedules_of_the_whole_core() -> None:
    orders = sum(run_schedule(seed, core_subjects).orders for seed in SEEDS)
    assert orders > 5 * len(SEEDS)


@pytest.mark.parametrize("form", FORMS[1:])
def test_schedules_of_positions_in_steps_buys_and_portfolios(form: str) -> None:
    whole = partial(core_subjects, shapes=ORDERS, forms=(form,))
    orders = sum(run_schedule(seed, whole).orders for seed in range(1, 25))
    assert orders > 5 * 24


@pytest.mark.parametrize("form", ["steps", "buys"])
def test_a_take_that_closes_all_is_found(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reduction of a part that takes what is held for its quantity is a whole exit."""
    made = LiveCore._place

    def whole(core: LiveCore, each: NewOrder) -> None:
        made(core, msgspec.structs.replace(each, closes_all=True))

    monkeypatch.setattr(LiveCore, "_place", whole)
    with pytest.raises(Failure, match=r"wanted|takes have sold"):
        _run(range(1, 25), form)


def test_a_take_that_is_sent_again_after_its_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = LiveCore.handle

    def forget(core: LiveCore, event: m.Event) -> list[m.Command]:
        if isinstance(event, m.Started):
            core.engine.state.I[:, layout.TAKES_DONE] = 0
        return handle(core, event)

    monkeypatch.setattr(LiveCore, "handle", forget)
    with pytest.raises(Failure, match=r"is take number 3 of a trade|second restart .*take"):
        _run(range(1, 200), "steps", "P1 crash")


def test_a_level_of_a_grid_that_is_sent_while_its_order_works_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle, order = LiveCore.handle, layout.GRID_ORDER - layout.GRID_WIDTH

    def forget(core: LiveCore, event: m.Event) -> list[m.Command]:
        if isinstance(event, m.Quoted):
            core.engine.state.B[:, order :: -layout.GRID_WIDTH][:, :4] = -1.0
        return handle(core, event)

    monkeypatch.setattr(LiveCore, "handle", forget)
    with pytest.raises(
        Failure, match=r"whose order still works|of a grid of 4 levels work at once"
    ):
        _run_with_all_faults(range(10, 23), "grid")


def test_an_entry_filled_under_another_id_is_not_absent_after_restarts_without_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The journal lost what the stream had reported of it (S2), and no read came (N12)."""
    whole = partial(core_subjects, shapes=ORDERS)
    run_schedule(351, whole)
    monkeypatch.setattr(unexplained, "_is_covered", lambda lifecycle, child: True)
    with pytest.raises(Failure, match="counts as never placed, unconfirmed"):
        run_schedule(351, whole)


def test_levels_of_one_size_in_a_coarser_lot_are_two_levels() -> None:
    """The venue makes its lot ten times as large (E7): neighbouring levels buy the same."""
    run_schedule(6743, partial(core_subjects, shapes=ORDERS, forms=("grid",)))


def test_a_remainder_that_a_finer_lot_makes_a_position_again_is_no_execution() -> None:
    """It is booked as sold and bought (E7): neither is an order of the venue."""
    run_schedule(2274, partial(core_subjects, shapes=ORDERS))


def test_a_resume_takes_no_sale_of_another_order_for_that_of_a_stop() -> None:
    """The stop was never placed, its exit is listed under another id (E23), a part was withdrawn.

    Exit and withdrawal together are just what the stop would have sold.
    """
    run_schedule(243, partial(core_subjects, shapes=ORDERS))


def test_what_is_left_by_a_stop_that_was_too_small_goes_on_as_an_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A part of an entry was filled, its stop stood and was hit while the rest came."""
    whole, ended = partial(core_subjects, shapes=ORDERS), LiveCore._stop_ended
    run_schedule(55, whole)

    def forget(core: LiveCore, outcome: StopEnded) -> None:
        if outcome.rest > 0.0:
            ended(core, outcome)

    monkeypatch.setattr(LiveCore, "_stop_ended", forget)
    core_subject._built.cache_clear()  # a core keeps what it calls
    try:
        with pytest.raises(Failure, match="was to be held together"):
            run_schedule(55, whole)
    finally:
        core_subject._built.cache_clear()


def test_symbols_that_take_more_together_than_they_may_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loose = {
        **core_subject._SEVERAL_SYMBOLS,
        "limits": core_subject._SEVERAL_SYMBOLS["limits"].replace("max: 0.8", "max: 1"),
    }
    monkeypatch.setattr(core_subject, "_SEVERAL_SYMBOLS", loose)
    core_subject._loaded.cache_clear()
    core_subject._built.cache_clear()
    try:
        with pytest.raises(Failure, match="was to be held together"):
            _run(range(0, 61, 5))
    finally:
        core_subject._loaded.cache_clear()
        core_subject._built.cache_clear()


def _run(seeds: Iterable[int], form: str = "plain", *faults: str) -> None:
    for seed in seeds:
        run_schedule(seed, partial(core_subjects, forms=(form,)), only=frozenset(faults))


def _run_with_all_faults(seeds: Iterable[int], form: str) -> None:
    for seed in seeds:
        run_schedule(seed, partial(core_subjects, forms=(form,)))


@pytest.mark.hypothesis
@pytest.mark.parametrize(("form", "seed"), [("plain", 4), ("steps", 6), ("buys", 9), ("grid", 7)])
def test_crash_at_every_write_of_the_journal(form: str, seed: int) -> None:
    """A process that dies at any write, with nothing else going wrong, loses nothing."""
    faults, active_ns = frozenset({"E9 partial fill"}), (8 if form == "plain" else 20) * SECOND
    subjects = partial(core_subjects, forms=(form,))
    whole = run_schedule(seed, subjects, only=faults, active_ns=active_ns)
    for write in range(1, whole.writes + 1, 1 if SOAK else 8):
        place = (write, write % 3)
        run_schedule(seed, subjects, only=faults, active_ns=active_ns, crash_at_write=place)


@pytest.mark.hypothesis
@pytest.mark.skipif(not SOAK, reason="for make soak: schedules until SEPTET_SOAK_SECONDS are over")
def test_schedules_without_end() -> None:
    first = time.time_ns() // SECOND * 1_000_000
    until_s = time.monotonic() + float(os.environ.get("SEPTET_SOAK_SECONDS", "600"))
    done = 0
    while time.monotonic() < until_s:
        run_schedule(first + done, partial(core_subjects, shapes=ORDERS, forms=FORMS))
        done += 1
    assert done
