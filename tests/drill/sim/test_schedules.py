"""Random schedules of faults: nothing is lost, doubled or left unknown in any of them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from septet._drill.sim import FAULTS, Failure, Report, run_schedule, run_schedules, schedule
from septet._drill.sim import __main__ as command_line
from septet._drill.sim.market import listed
from septet._drill.sim.run_schedules import Sums, run_many
from septet._drill.sim.schedule import Subjects
from septet._drill.sim.simulated_time import SECOND

SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"
SEEDS = range(1, 111)


def test_schedules_of_every_fault() -> None:
    met: Counter[str] = Counter()
    for seed in SEEDS:
        met += run_schedule(seed).faults
    assert set(FAULTS) == set(met), f"never met: {sorted(set(FAULTS) - set(met))}"
    assert {listed(seed) for seed in SEEDS} == {1, 2, 3}, "accounts of one, two and three symbols"


@pytest.mark.hypothesis
@pytest.mark.skipif(not SOAK, reason="for make soak: schedules until SEPTET_SOAK_SECONDS are over")
def test_schedules_without_end() -> None:
    first = time.time_ns() // SECOND * 1_000_000
    until_s = time.monotonic() + float(os.environ.get("SEPTET_SOAK_SECONDS", "600"))
    done = 0
    while time.monotonic() < until_s:
        run_schedule(first + done)
        done += 1
    assert done


@pytest.mark.parametrize("seed", [3, 14, 15])
def test_a_seed_is_the_whole_schedule(seed: int) -> None:
    assert run_schedule(seed) == run_schedule(seed)


def test_an_older_copy_whose_orders_have_numbers_that_are_known_is_recognised() -> None:
    """Entries went on beside it: its execution was taken for one of an order that was forgotten."""
    assert run_schedule(5).faults["A11 older copy"] == 1


@pytest.mark.hypothesis
@pytest.mark.parametrize("phase", [0, 1, 2], ids=["before", "inside", "after"])
def test_crash_at_every_write_of_the_journal(phase: int) -> None:
    """A process that dies at any write, with nothing else going wrong, loses nothing."""
    faults, active_ns = frozenset({"O1 kill", "E9 partial fill"}), 8 * SECOND
    whole = run_schedule(11, only=faults, active_ns=active_ns)
    assert whole.starts == 2
    for write in range(1, whole.writes + 1, 1 if SOAK else 3):
        report = run_schedule(11, only=faults, active_ns=active_ns, crash_at_write=(write, phase))
        assert report.starts >= 2


def test_a_process_that_begins_near_the_end_is_given_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed in the time without faults, which every order needs before the schedule ends."""
    run_schedule(58, crash_at_write=(247, 0))
    monkeypatch.setattr(schedule, "_KNOWS_NS", 0)
    with pytest.raises(Failure, match="is unknown here and was never at the venue"):
        run_schedule(58, crash_at_write=(247, 0))


def test_command_line_counts_and_states_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--seeds", "1..3"]) == 0
    printed = capsys.readouterr().out
    assert "3 schedules in" in printed
    assert all(name in printed for name in FAULTS)


def test_processes_beside_one_another_give_the_same_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_schedules, "_SEEDS_PER_BATCH", 2)
    alone, beside = (list(run_many(range(1, 6), workers=count)) for count in (1, 2))
    assert alone == beside
    assert [each.schedules for each in alone] == [2, 2, 1]


def test_what_fails_first_is_the_last_that_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Report(seed=1, steps=1, rows=1, writes=1, starts=2, orders=1, fills=1)

    def run(seed: int, subjects: Subjects) -> Report:
        if seed >= 30:
            raise Failure(f"seed {seed}: wrong")
        return sound

    monkeypatch.setattr(run_schedules, "run_schedule", run)
    monkeypatch.setattr(run_schedules, "collector_off", lambda **_: nullcontext())  # of all tests
    first, second = run_many(range(1, 200))
    assert (first.schedules, first.failed) == (20, [])
    assert (second.schedules, second.failed) == (9, [(30, "seed 30: wrong")])
    *_, last = run_many(range(1, 45), keep_going=True)
    assert [seed for seed, _ in last.failed] == [41, 42, 43, 44]


def test_ctrl_c_reports_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> Iterator[Sums]:
        yield Sums(schedules=20)
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "run_many", stopped)
    assert command_line.main([]) == 130
    assert "20 schedules in" in capsys.readouterr().out
