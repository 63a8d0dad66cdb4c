"""Drift asks for a model: a process fits it, and it decides from its time on, as in a backtest."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._journal.reader import Reader
from septet._live.process import run_live
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._live.training import ModelTrainer
from septet._shell.backtest import backtest
from septet._shell.session import open_session
from tests.live import feeds
from tests.live.test_monitoring import LEARNS, Runner

HOUR = 3_600 * 10**9
DAY = 24 * HOUR
FILE = (
    LEARNS.replace("bars: 2200", "bars: 420")
    .replace("2020-01-29 01:00", "2020-01-09 02:00")
    .replace("train: 15d, step: 31d", "train: 6d, step: 14d")
    .replace("psi_window: 120", "psi_window: 100")
)


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile nothing, in the training processes either."""
    monkeypatch.setenv("SEPTET_COMPILE", "never")


class Trained(Runner):
    """A run whose models are fitted by the trainer of a live run, in processes of their own."""

    def train(self) -> None:
        trainer = ModelTrainer(self.loaded, self.shelf, self.folder, lambda: 1)
        while self.trains:
            asked = self.trains.pop(0)
            event = asyncio.run(trainer.train(asked.number, asked.trained_to_ns, asked.cause))
            assert isinstance(event, m.ModelReady), event
            self.handle(event)


def test_the_model_that_drift_asked_for_decides_from_its_time_on(tmp_path: Path) -> None:
    path = tmp_path / "strategy.yaml"
    path.write_text(FILE, encoding="utf-8")
    result: Any = backtest(load(path))
    folder = tmp_path / "run"
    folder.mkdir()
    runner = Trained(load(path, mode="paper"), folder, open_session(load(path)), snapshots=131)
    runner.run(int(result.equity["time"][0]))

    with Reader(folder / JOURNAL) as journal:
        entries = list(journal.read())
    asked = [each for entry in entries for each in entry.commands if isinstance(each, m.Train)]
    ready = {
        entry.event.number: entry.event for entry in entries
        if isinstance(entry.event, m.ModelReady)
    }  # fmt: skip
    drift = [each for each in asked if each.cause == "drift"]
    assert drift
    assert [each.number for each in asked] == list(ready) == list(range(len(asked)))
    for each in drift:
        event = ready[each.number]
        assert event.trained_to_ns == each.trained_to_ns
        assert event.ready_ns == each.trained_to_ns + HOUR  # ready_after: 1 bar
        assert (folder / event.folder / "model.npz").is_file()
        read = [
            watched for entry in entries for watched in entry.commands
            if isinstance(watched, m.Watched) and watched.time_ns == each.trained_to_ns
        ]  # fmt: skip
        assert {"retrain", "halt"} & {watched.verdict for watched in read}
    theirs = [(each["trained_to_ns"], each["model_sha256"]) for each in result.models]
    assert [(event.trained_to_ns, event.fingerprint) for event in ready.values()] == theirs
    decided = [each for each in runner.commands if isinstance(each, m.Decided)]
    assert [each.probability_up for each in decided] == [
        None if up != up else up for up in result.decisions["probability_up"]
    ]
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(result.equity["equity"])
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)


LIVE = (
    FILE.replace("/USD", "/USDT")
    .replace("currency: USD}", "currency: USDT}")
    .replace(', start: "2020-01-09 02:00"', "")
    .replace("train: 6d, step: 14d", "train: 6d, step: 3d")
)


class Learning(feeds.World):
    """Whole runs on paper of a file with a model."""

    def file(self, name: str = "live") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(LIVE, encoding="utf-8")
        return path


def test_a_whole_run_asks_its_process_for_a_model_and_decides_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wiring of a run: command, process, event, decisions; all of it again from the journal."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    world = Learning(tmp_path, bar_wall_ns=150_000_000)
    result = run_live(
        [world.load("drifting")], world.options(bars=3), clock=world.clock, wiring=world.wiring,
        signals=False,
    )  # fmt: skip
    [(run, end)] = result.ends
    assert end.how == "finished", end.text
    folder = run.location.folder
    with Reader(folder / JOURNAL) as journal:
        entries = list(journal.read())
    [asked, *_] = [e for entry in entries for e in entry.commands if isinstance(e, m.Train)]
    [ready, *_] = [each.event for each in entries if isinstance(each.event, m.ModelReady)]
    assert (ready.number, ready.trained_to_ns) == (asked.number, asked.trained_to_ns)
    card = json.loads((folder / ready.folder / "card.json").read_bytes())
    assert card["model_sha256"] == ready.fingerprint
    decided = [e for entry in entries for e in entry.commands if isinstance(e, m.Decided)]
    assert all(each.probability_up is not None for each in decided)
    assert decided
    found = replay(folder)
    assert found.differences == 0, str(found.first)
