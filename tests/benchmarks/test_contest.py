"""A contest between small processes: the turns, those that are missing, those that break."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FOLDER

WORKER = """
import sys
sys.path.insert(0, {peers!r})
import numpy as np
from protocol import Answer, Unavailable, Work, serve

def make(setup, market):
    {start}
    def run():
        with open(setup.folder / "turns", "a") as out:
            out.write({name!r} + " ")
        print("a library that chatters")
        {run}
        return setup.bars
    def look(left):
        return Answer(left, 1.5, lambda: np.array([[1, 2]]))
    return Work(run, look, warm=lambda: None)

serve("numpy", {{"w": make}})
"""


def _module(name: str) -> Any:
    return __import__(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "bars.npy", np.ones((5, 4)))
    np.save(tmp_path / "time.npy", np.arange(4))
    setup = {
        "bars": 4, "capital": 1.0, "fee": 0.0, "fast": 1, "slow": 2, "fasts": [1], "slows": [2],
        "first": 1, "threads": 1,
    }  # fmt: skip
    (tmp_path / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
    return tmp_path


def _compete(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rounds: int = 2, **scripts: dict[str, str]
) -> list[Any]:
    contest = _module("contest")
    monkeypatch.setattr(contest, "WORKERS", folder)
    for name, parts in scripts.items():
        filled = {"start": "pass", "run": "pass", **parts}
        text = WORKER.format(peers=str(FOLDER / "peers"), name=name, **filled)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    who = [contest.Contestant(n, n.upper(), "here", f"{n}.py", "w") for n in scripts]
    pythons = {"here": Path(sys.executable)}
    results: list[Any] = contest.compete(who, pythons, folder, rounds, lambda message: None)
    return results


def test_contestants_take_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = _compete(folder, monkeypatch, rounds=3, a={}, b={})
    assert (folder / "turns").read_text(encoding="utf-8").split() == ["a", "b"] * 3
    for each in (one, two):
        assert each.there
        assert len(each.seconds) == 3
        assert (each.trades, each.final_equity) == (4, 1.5)
        assert np.load(each.detail).tolist() == [[1, 2]]
        assert each.peak_bytes > 0
        assert each.version == np.__version__


def test_a_peer_that_is_not_installed_is_named_and_the_others_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, unable, there = _compete(
        folder, monkeypatch,
        gone={"start": "import no_such_peer"},
        unable={"start": "raise Unavailable('it needs a newer Python')"},
        there={},
    )  # fmt: skip
    assert gone.missing == "no_such_peer is not installed"
    assert unable.missing == "it needs a newer Python"
    assert not gone.there
    assert there.there
    assert (folder / "turns").read_text(encoding="utf-8").split() == ["there"] * 2


def test_a_peer_that_breaks_is_left_out_with_its_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late, dead, fine = _compete(
        folder, monkeypatch,
        early={"start": "raise ValueError('no such setting')"},
        late={"run": "raise ValueError('in the middle')"},
        dead={"run": "import os; os._exit(3)"},
        fine={},
    )  # fmt: skip
    assert early.missing == "ValueError: no such setting"
    assert late.missing == "ValueError: in the middle"
    assert dead.missing == "left with status 3"
    assert [each.there for each in (early, late, dead, fine)] == [False, False, False, True]


def test_without_an_environment_nobody_is_started(folder: Path) -> None:
    contest = _module("contest")
    who = contest.Contestant("a", "A", "elsewhere", "a.py", "w")
    (result,) = contest.compete([who], {"elsewhere": None}, folder, 1, lambda message: None)
    assert result.missing == "its environment could not be made"
