"""Sweeps in a process of their own: bounded, ended when cancelled, and silent about figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from septet._app.trial_records import listed_tries
from septet._jobs.bounds import Bounds
from septet._jobs.sweep_process import SweepWork, sweep_in_process
from septet.errors import Cancelled, ConfigError, InputError
from tests.dashboard.test_strategies import TEXT

AXES = {"features.fast.period": [5, 8], "features.slow.period": "20..40:20"}
LARGE = TEXT.replace("{use: sample}", "{use: synthetic, bars: 10000000}").replace("15m", "1m")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def wanted(folder: Path, text: str = TEXT, axes: object = None) -> SweepWork:
    (folder / "cross.yaml").write_text(text)
    return SweepWork(
        workspace=str(folder), file="cross.yaml", axes=axes or AXES,  # type: ignore[arg-type]
        section={"method": None, "trials": None, "goal": None, "where": None},
        face="agent", client="one", hypothesis="A fast average leads.",
    )  # fmt: skip


def silent(stage: str, done: int, total: int | None, text: str, /) -> None:
    """Go on."""


def test_it_reports_how_far_it_is_and_no_figure_before_its_tries_are_counted(
    folder: Path,
) -> None:
    reported = list[tuple[str, int, str]]()

    def progress(stage: str, done: int, total: int | None, text: str, /) -> None:
        reported.append((stage, done, text))

    found = sweep_in_process(wanted(folder), progress, Bounds().here())
    assert (found["settings"], found["failed"], len(found["best"])) == (4, 0, 4)
    assert [each.name for each in (folder / "sweeps").iterdir()] == ["cross"]
    assert len(listed_tries()[1]) == 4
    swept = [each for each in reported if each[0] == "sweep"]
    assert swept
    assert {text for _, _, text in swept} == {""}


def test_one_that_takes_too_long_is_ended(folder: Path) -> None:
    """Less than the process needs to begin."""
    with pytest.raises(InputError, match=r"longer than 0\.2 s and was ended") as ended:
        sweep_in_process(wanted(folder), silent, Bounds(seconds=0.2))
    assert "fewer symbols" in ended.value.hint
    assert not (folder / "sweeps").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the bound of memory is Linux's")
def test_one_that_takes_too_much_memory_ends_with_a_message(folder: Path) -> None:
    with pytest.raises(InputError, match=r"more than 0\.5 GiB of memory"):
        sweep_in_process(wanted(folder, LARGE), silent, Bounds(memory=512 << 20))


def test_one_that_is_cancelled_ends_at_once(folder: Path) -> None:
    def progress(stage: str, done: int, total: int | None, text: str, /) -> None:
        raise Cancelled("a person has cancelled it")

    with pytest.raises(Cancelled):
        sweep_in_process(wanted(folder), progress, Bounds())
    assert not (folder / "sweeps").exists()


def test_its_problems_are_those_of_the_file(folder: Path) -> None:
    with pytest.raises(ConfigError) as found:
        sweep_in_process(wanted(folder, TEXT, {"features.fast.perid": [1]}), silent, Bounds())
    assert "perid" in str(found.value)
