"""The ledger of trials as a value: what was tried on a run's data, by whom, and how often."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import septet
from tests.cli.conftest import Command
from tests.python.samples import written


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SEPTET_TRIALS", raising=False)


def test_one_run_through_both_faces_is_one_entry(tmp_path: Path, septet_command: Command) -> None:
    file = written(tmp_path)
    printed = json.loads(septet_command("run", file, "--out", tmp_path / "runs", "--json").out)
    run = septet.run(septet.load(file))
    assert run.trials is not None
    assert (printed["tries"]["count"], run.trials.count) == (None, 1), "the first began it"
    found = septet.trials(run)
    assert (found.count, found.complete, found.frame.height) == (1, True, 1)
    assert found.frame["face"].to_list() == ["command line"]


def test_a_run_a_strategy_and_all(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))
    run = septet.run(strategy)
    septet.run(strategy.with_({"features.fast.period": 6}))
    stored = septet.open_run(run.save(tmp_path / "runs"))
    for subject in (run, stored, strategy, None):
        found = septet.trials(subject)
        assert (found.count, found.complete) == (2, True)
        assert found.frame.columns == ["time", "strategy", "face", "client", "hypothesis", "plan"]
        assert found.frame["strategy"].to_list() == ["cross", "cross"]
        assert found.frame["plan"].n_unique() == 2
    assert septet.trials().effective is None
    worth = septet.trials(run).effective
    assert worth is not None
    assert 1.0 <= worth <= 2.0
    other = septet.load(written(tmp_path), settings={"name": "other"})
    assert septet.trials(other).count == 0


def test_settings_of_a_sweep_are_recorded_for_the_face_that_asked(tmp_path: Path) -> None:
    strategy = septet.load(written(tmp_path))
    septet.sweep(strategy, {"features.fast.period": [5, 6]})
    assert septet.trials(strategy).frame["face"].unique().to_list() == ["python"]


def test_what_is_not_known_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = septet.trials()
    assert (new.count, new.complete, new.frame.height) == (None, False, 0)
    assert "not begun" in new.text
    septet.run(septet.load(written(tmp_path)))
    monkeypatch.setenv("SEPTET_TRIALS", "off")
    assert "SEPTET_TRIALS=off" in septet.trials().text
    monkeypatch.delenv("SEPTET_TRIALS")
    for each in (tmp_path / "state").glob("trials.sqlite*"):
        each.unlink()
    (tmp_path / "state" / "trials.sqlite").write_bytes(b"no database" * 200)
    damaged = septet.trials()
    assert (damaged.count, damaged.complete) == (None, False)
    assert "not known" in damaged.text


def test_a_first_ledger_is_made_where_no_folder_is_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "home" / ".local" / "state" / "septet"))
    strategy = septet.load(written(tmp_path))
    septet.run(strategy)
    again = septet.run(strategy).trials
    assert again is not None
    assert again.count == 1


def test_a_saved_run_is_read_again_after_close(tmp_path: Path) -> None:
    run = septet.run(septet.load(written(tmp_path)))
    rows = run.trades
    run.save(tmp_path / "runs")
    run.close()
    assert run.trades.equals(rows)
