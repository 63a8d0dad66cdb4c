"""Ids sort by the time at which a run was made, also within one second."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import septet
from septet._live.run_location import find_run_location
from septet._store.find_runs import find_folder, run_folders
from septet._store.run_folder import RunWriter, run_id_at
from septet._sweep.folder import start_folder
from tests.python.samples import written

T0 = 1_772_000_000 * 10**9
STEP_NS = 20_000
"""Longer than one of 65,536 parts of a second."""


@given(st.integers(0, 4 * 10**18), st.integers(STEP_NS, 10**12), st.text(), st.text())
def test_a_later_run_has_an_id_that_sorts_later(
    now_ns: int, after_ns: int, one: str, other: str
) -> None:
    assert run_id_at(one, now_ns) < run_id_at(other, now_ns + after_ns)


def test_a_further_attempt_at_one_time_sorts_later() -> None:
    made = [run_id_at("s", T0, attempt) for attempt in range(100)]
    assert made == sorted(set(made))


def test_the_latest_of_many_runs_of_one_second_is_the_one_made_last(tmp_path: Path) -> None:
    for number in range(32):
        with RunWriter(tmp_path, f"s{number % 3}", now_ns=T0 + number * STEP_NS) as writer:
            writer.write_json("summary.json", {})
            made = writer.commit()
        assert find_folder("latest", tmp_path) == made
        assert run_folders(tmp_path)[-1] == made


def test_runs_that_a_loop_saves_are_listed_in_the_order_of_the_loop(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))
    root, made = tmp_path / "runs", []
    for period in range(5, 13):
        run = septet.run(strategy.with_({"features.fast.period": period}))
        run.save(root, report=False)
        made.append(run.id)
        assert septet.open_run("latest", root=root).id == run.id
    assert [each.id for each in septet.runs(root=root)] == made


def test_sweeps_and_live_runs_of_one_second_sort_by_time(tmp_path: Path) -> None:
    times = [T0 + number * STEP_NS for number in range(8)]
    swept = [start_folder(tmp_path / "a", f"s{each}", {}, now_ns=each).folder for each in times]
    assert [each.name for each in swept] == sorted(each.name for each in swept)
    live = [
        find_run_location(tmp_path / "b", f"s{each}", "paper", fresh=True, now_ns=each).run_id
        for each in times
    ]
    assert live == sorted(live)


@pytest.mark.parametrize("old", ["20260301T115000Z-ffffff", "20260301T115000Z-000000"])
def test_ids_from_before_are_still_found(tmp_path: Path, old: str) -> None:
    folder = tmp_path / "s" / old
    folder.mkdir(parents=True)
    (folder / "summary.json").touch()
    with RunWriter(tmp_path, "s", now_ns=T0 + 10**15) as writer:
        writer.write_json("summary.json", {})
        made = writer.commit()
    assert [find_folder(each, tmp_path) for each in (old, old[:20], "latest")] == [
        folder, folder, made
    ]  # fmt: skip
