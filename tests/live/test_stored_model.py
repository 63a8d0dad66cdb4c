"""A stored model decides in paper and live as in a backtest, from a copy that the run keeps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from septet import _learn as learn
from septet import messages as m
from septet._config import load
from septet._journal.reader import Reader
from septet._learn.flat_model import FlatModel
from septet._learn.stored import fingerprint, iso_time
from septet._learn.train_on_all import fit_all
from septet._live.process import LiveResult, run_live
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._live.wiring import Wiring
from septet._shell.backtest import backtest
from septet._shell.model_layer import features
from septet._shell.session import open_session
from septet._store.projections import write_projections
from septet._store.tables import frames_of
from septet.cli import cli
from septet.errors import ConfigError, ModelError, RunError
from tests.live.feeds import HOUR_NS, MARKET_NS, World
from tests.live.test_monitoring import LEARNS, Runner, _before_last

WALKS = "training: {train: 15d, step: 31d, min_rows: 100, min_class: 10, on_drift: true}"
STORED = "training: {scheme: stored, path: models/mine}"
BY_NAME = "model:\n  use: stored\n  path: models/mine\n"
SMALL = LEARNS.replace("bars: 2200", "bars: 740").replace("2020-01-29 01:00", "2020-01-25 01:00")


def _stored_text(text: str, *, by_name: bool = False) -> str:
    assert WALKS in text
    if not by_name:
        return text.replace(WALKS, STORED)
    first, last = text.index("model:\n  use"), text.index("signal:")
    return text[:first] + BY_NAME + text[last:]


def _train(folder: Path, text: str, bars: int = 550) -> Path:
    """Fit the model of a file on its first bars, as `septet train` does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.yaml"
    path.write_text(text.replace("bars: 740", f"bars: {bars}"), encoding="utf-8")
    loaded = load(path, sets=["universe.start=2020-01-02"])
    made = folder / "models" / "mine"
    fit_all(loaded.strategy, loaded.resolved, lambda: features(loaded), made)
    return made


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_COMPILE", "never")


def test_paper_decides_what_the_backtest_decides(tmp_path: Path) -> None:
    """And replay and shadow need the run's own folder alone."""
    home = _train(tmp_path, SMALL)
    path = tmp_path / "stored.yaml"
    path.write_text(_stored_text(SMALL), encoding="utf-8")
    result: Any = backtest(load(path))
    run = tmp_path / "run"
    run.mkdir()
    runner = Runner(load(path, mode="paper"), run, open_session(load(path)), snapshots=211)
    runner.run(int(result.equity["time"][0]))
    shutil.rmtree(home)

    assert not [each for each in runner.commands if isinstance(each, m.Train)]
    decided = [each for each in runner.commands if isinstance(each, m.Decided)]
    text = np.array([each.probability_up for each in decided], float)
    assert np.array_equal(text, np.asarray(result.decisions["probability_up"]), equal_nan=True)
    assert np.isfinite(text).mean() > 0.9
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(result.equity["equity"])
    assert len(result.fills["time"]) > 5
    write_projections(run)
    mine = _before_last(pl.read_parquet(run / "monitoring.parquet"), result)
    assert {"auc", "psi:level", "psi:ret_1"} <= set(mine["metric"])
    assert_frame_equal(
        mine, _before_last(frames_of(result)["monitoring"], result), check_exact=True,
        categorical_as_str=True, check_dtypes=False,
    )  # fmt: skip
    for prove in (replay, shadow):
        found = prove(run)
        assert found.differences == 0, str(found.first)
        assert found.decisions == len(decided)


class Learner(World):
    """Runs in memory of a file with a stored model."""

    text = ""

    def file(self, name: str = "live") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(self.text, encoding="utf-8")
        return path

    def run(self, mode: str, *sets: str, bars: int = 4, **options: Any) -> LiveResult:
        wiring = self.wiring
        if mode == "live":
            wiring = Wiring(self.core, lambda *_: self.venue, self.feed)
        return run_live(
            [self.load("drifting", mode=mode, sets=sets)], self.options(bars=bars, **options),
            confirm=lambda question: True, clock=self.clock, wiring=wiring, signals=False,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learner:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    made = Learner(tmp_path, bar_wall_ns=120_000_000)
    halts = "  halts: {drawdown: {above: 90%, then: flatten, resume: manual}}\nexecution:"
    made.text = _stored_text(SMALL, by_name=True).replace("execution:", halts)
    made.text = made.text.replace("/USD", "/USDT").replace("currency: USD}", "currency: USDT}")
    _train(tmp_path, SMALL)
    return made


def _rows(folder: Path) -> tuple[Any, list[tuple[m.Event, list[m.Command]]]]:
    with Reader(folder / JOURNAL) as journal:
        return journal.head, [(each.event, list(each.commands)) for each in journal.read()]


def _log(folder: Path, event: str) -> list[str]:
    lines = (folder / "log.jsonl").read_text("utf-8").splitlines()
    return [each["text"] for each in map(json.loads, lines) if each["event"] == event]


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_run_serves_its_copy_and_goes_on_without_the_source(world: Learner, mode: str) -> None:
    home = world.folder / "models" / "mine"
    card = json.loads((home / "card.json").read_bytes())
    [(run, end)] = world.run(mode).ends
    assert end.how == "finished", end.text
    folder = run.location.folder
    head, rows = _rows(folder)
    [ready] = [event for event, _ in rows if isinstance(event, m.ModelReady)]
    assert isinstance(rows[1][0], m.ModelReady)
    assert ready.fingerprint == card["model_sha256"]
    assert ready.ready_ns == card["last_label_ns"] + 1
    assert learn.load_model(folder / ready.folder).card == card
    assert head.facts["stored_model"]["model_sha256"] == card["model_sha256"]
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert [each["fingerprint"] for each in manifest["models"]] == [card["model_sha256"]]
    decided = [each for _, caused in rows for each in caused if isinstance(each, m.Decided)]
    assert decided
    assert all(each.probability_up is not None for each in decided)
    assert not [each for _, caused in rows for each in caused if isinstance(each, m.Train)]

    (home / "model.npz").write_bytes(b"damaged")
    [(again, end)] = world.run(mode, bars=6).ends
    assert (again.location.folder, end.how) == (folder, "finished")
    assert "the run goes on with its own copy" in _log(folder, "stored_model")[-1]
    shutil.rmtree(home)
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)
        assert found.decisions > len(decided)


@pytest.mark.parametrize("name", ["model.npz", "card.json"])
def test_a_damaged_copy_is_made_again_from_the_same_model(world: Learner, name: str) -> None:
    """A run that holds positions must not be locked out by a file that exists twice."""
    home = world.folder / "models" / "mine"
    [(run, _)] = world.run("live").ends
    copy = next((run.location.folder / "models").iterdir())
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    [(again, end)] = world.run("live", bars=6).ends
    assert (again.location.folder, end.how) == (run.location.folder, "finished")
    assert str(home) in _log(run.location.folder, "stored_model")[-1]
    assert learn.load_model(copy).card == learn.load_model(home).card
    found = replay(run.location.folder)
    assert found.differences == 0, str(found.first)

    (copy / name).write_bytes(b"damaged")
    (home / name).write_bytes(b"damaged")
    [(lost, end)] = world.run("live", bars=8).ends
    assert (lost.location.folder, end.how) == (run.location.folder, "finished")
    card = (
        json.loads(whole) if name == "card.json" else json.loads((home / "card.json").read_bytes())
    )
    told = _log(run.location.folder, "stored_model")[-1]
    assert card["model_sha256"] in told
    assert str(copy) in told
    assert "Restore the models folder" in _log(run.location.folder, "model_lost")[-1]


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_damaged_model_is_refused_before_anything_is_opened(world: Learner, mode: str) -> None:
    home = world.folder / "models" / "mine"
    data = bytearray((home / "model.npz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (home / "model.npz").write_bytes(bytes(data))
    with pytest.raises(ModelError) as caught:
        world.run(mode)
    assert caught.value.problem is not None
    assert caught.value.problem.key == "model.path"
    assert world.venue.calls == []
    assert not (world.folder / "runs" / "drifting").exists() or not [
        *(world.folder / "runs" / "drifting").iterdir()
    ]
    reported = CliRunner().invoke(cli, ["check", str(world.file("drifting")), "--mode", "paper"])
    assert "model.path" in str(reported.exception)


def test_it_decides_after_its_last_label_only(world: Learner) -> None:
    """A model of a later time than the market's: no entry, and the start reports it."""
    home = world.folder / "models" / "mine"
    stored = learn.load_model(home)
    last_ns = MARKET_NS + 400 * HOUR_NS
    text = iso_time(last_ns)
    later = {"last_label_ns": last_ns, "last_label": text}
    later |= {"trained_to_ns": last_ns, "trained_to": text}
    learn.store_model(home, stored.model, {**stored.card, **later})
    [(run, _)] = world.run("paper").ends
    _, rows = _rows(run.location.folder)
    decided = [each for _, caused in rows for each in caused if isinstance(each, m.Decided)]
    assert {each.rejected_by for each in decided} == {"no_model"}
    assert "the stored model decides from" in _log(run.location.folder, "stored_model")[-1]


def test_another_model_in_the_folder_is_reported_and_not_served(world: Learner) -> None:
    [(run, _)] = world.run("paper").ends
    _train(world.folder, SMALL, bars=400)
    world.run("paper", bars=6)
    folder = run.location.folder
    assert "begin another run with --fresh" in _log(folder, "stored_model")[-1]
    ready = [event for event, _ in _rows(folder)[1] if isinstance(event, m.ModelReady)]
    assert len(ready) == 1


def test_check_reads_the_model_as_a_run_does(tmp_path: Path) -> None:
    """Missing, of other features, or of labels of the span: refused with the key, in every mode."""
    path = tmp_path / "stored.yaml"
    path.write_text(_stored_text(SMALL), encoding="utf-8")

    def reported(*words: str) -> str:
        found = CliRunner().invoke(cli, ["check", str(path), *words])
        assert isinstance(found.exception, ConfigError), found.output
        text = str(found.exception)
        assert "model.training.path" in text
        return text

    paper = ["--mode", "paper", "--set", "data.candles={use: ccxt, venue: binance}"]
    for words in ([], paper):
        assert "no stored model at" in reported(*words)
    _train(tmp_path, SMALL)
    assert CliRunner().invoke(cli, ["check", str(path)]).exit_code == 0
    assert CliRunner().invoke(cli, ["check", str(path), *paper]).exit_code == 0
    assert "would predict what it was fitted on" in reported("--set", "universe.start=2020-01-10")
    inputs = "model.inputs=[level, ret_1]"
    for words in (["--set", inputs], ["--set", inputs, *paper]):
        assert "does not fit the file's features" in reported(*words)


@pytest.mark.parametrize("value", [5.0, -1e308])
def test_answers_that_are_no_probabilities_are_named(tmp_path: Path, value: float) -> None:
    """They left no decision, and the run spoke of data that are too short."""
    trees = SMALL.replace("LogisticRegression", "DecisionTreeClassifier")
    home = _train(tmp_path, trees)
    stored = learn.load_model(home)
    arrays = {name: np.array(each) for name, each in stored.model.arrays().items()}
    arrays["value"][:] = value
    forged = FlatModel.from_arrays(arrays)
    card = {**stored.card, "model_sha256": fingerprint(forged)}
    learn.store_model(home, forged, card)
    path = tmp_path / "stored.yaml"
    path.write_text(_stored_text(trees), encoding="utf-8")
    text = r"the model gives no probabilities: not one of [\d,]+ rows"
    with pytest.raises(RunError, match=text):
        backtest(load(path))
