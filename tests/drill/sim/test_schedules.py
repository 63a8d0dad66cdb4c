"""Random schedules of faults: nothing is lost, doubled or left unknown in any of them."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from septet._drill.sim import FAULTS, run_schedule
from septet._drill.sim.__main__ import main
from septet._drill.sim.market import listed
from septet._drill.sim.world import SECOND

SOAK = os.environ.get("SEPTET_HYPOTHESIS") == "soak"
SEEDS = range(1, 161)


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


@pytest.mark.hypothesis
@pytest.mark.parametrize("phase", [0, 1, 2], ids=["before", "inside", "after"])
def test_crash_at_every_write_of_the_journal(phase: int) -> None:
    """A process that dies at any write, with nothing else going wrong, loses nothing."""
    faults, active_ns = frozenset({"O1 kill", "E9 partial fill"}), 8 * SECOND
    whole = run_schedule(11, only=faults, active_ns=active_ns)
    assert whole.starts == 2
    for write in range(1, whole.writes + 1, 1 if SOAK else 2):
        report = run_schedule(11, only=faults, active_ns=active_ns, crash_at_write=(write, phase))
        assert report.starts >= 2


def test_command_line_counts_and_says_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1..3"]) == 0
    printed = capsys.readouterr().out
    assert "3 schedules in" in printed
    assert all(name in printed for name in FAULTS)
