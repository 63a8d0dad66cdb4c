"""A stranger's model: it trains, answers one row with the same bits, and runs to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from septet import _learn as learn
from septet._config import load
from septet._host.plugin_registry import Host
from septet._learn.fitting import check_served
from septet._learn.train_on_all import fit_all
from septet._shell.backtest import backtest
from septet._shell.model_layer import features
from septet.errors import InputError, ModelError, RunError
from septet.plugin import Component, Config, hookimpl
from septet.plugin.model import Fitted, Restores, Served, Trainer, Untrainable, Window, model
from septet_plugins import manifest
from tests.learn.sample import dataset, rule

Floats = npt.NDArray[np.float64]

FILE = """
version: 1
name: strange
seed: 4
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD], bar: 1h}
data:
  candles: {use: synthetic, bars: 1500, seed: 3, volatility: 60%}
features:
  ret_1: {use: log_return}
  ret_5: {use: log_return, period: 5}
model:
  use: septet-strange:constant
  training: {train: 20d, step: 10d, min_rows: 100}
signal: {use: confidence, threshold: 0.01, exit: {after: 6 bars}}
risk:
  sizing: {use: fixed_fraction, fraction: 45%}
"""


class Constant(Config):
    """The share of rows that went up, whatever the row; `fault` is for the tests."""

    fault: str = ""


@dataclass(frozen=True)
class ConstantModel:
    share: float
    width: int
    fault: str = ""
    format: str = "constant"

    def predict(self, x: Floats) -> Floats:
        up = np.full(len(x), self.share)
        if self.fault == "depends on its neighbours":
            up *= 1.0 - 1e-16 * len(x)
        if self.fault == "shape":
            return up[:, None]
        return up + 2.0 if self.fault == "no probability" else up

    def predict_row(self, vector: Floats) -> float:
        return float(self.predict(vector[None, :])[0])

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"share": np.array(self.share), "width": np.array(self.width)}


@dataclass(frozen=True)
class ConstantTrainer:
    fault: str
    name: str = "constant"

    def fit(self, window: Window) -> Fitted:
        if self.fault == "never":
            raise Untrainable("it is not in the mood")
        width = window.x.shape[1] + (self.fault == "width")
        share = float(window.y.mean())
        return Fitted(ConstantModel(share, width, self.fault), facts={"share": share})

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Served:
        return ConstantModel(float(arrays["share"]), int(arrays["width"]))


@model(Constant)
def constant(config: Constant) -> Trainer:
    return ConstantTrainer(config.fault)


class ForgetfulTrainer:
    """As above, but it cannot read its models back."""

    name = "forgetful"

    def fit(self, window: Window) -> Fitted:
        return ConstantTrainer("").fit(window)


@model(Constant)
def forgetful(config: Constant) -> Trainer:
    return ForgetfulTrainer()


@dataclass(frozen=True)
class CentroidModel:
    up: Floats
    down: Floats
    format: str = "centroid"
    width: int = 2

    def predict(self, x: Floats) -> Floats:
        return np.array([self.predict_row(row) for row in x])

    def predict_row(self, vector: Floats) -> float:
        near = [
            (value - down) ** 2 - (value - up) ** 2
            for value, up, down in zip(vector, self.up, self.down, strict=True)
        ]
        return 0.5 + 0.5 * math.tanh(1e4 * float(sum(near)))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"up": self.up, "down": self.down}


class CentroidTrainer:
    """The nearer of two means."""

    name = "centroid"

    def fit(self, window: Window) -> Fitted:
        up, down = (window.x[window.y == side].mean(axis=0) for side in (1, 0))
        return Fitted(CentroidModel(up, down))


@model(Constant)
def centroid(config: Constant) -> Trainer:
    return CentroidTrainer()


def _host() -> Host:
    @hookimpl
    def septet_models() -> list[Component]:
        return [
            Component("models", name, f"{__name__}:{name}", "model")
            for name in ("constant", "forgetful", "centroid")
        ]

    stranger = SimpleNamespace(__name__="stranger", septet_models=septet_models)
    return Host([("septet", "0", manifest), ("septet-strange", "1", stranger)])


def _loaded(folder: Path, old: str = "", new: str = "") -> Any:
    path = folder / "strategy.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new) if old else FILE, encoding="utf-8")
    return load(path, host=_host(), unchecked=True)


def test_it_is_what_the_door_asks_for() -> None:
    trainer: Restores = ConstantTrainer("")
    assert (
        learn.trainer_of(
            SimpleNamespace(declaration=lambda config: trainer, config=None, extra={})  # type: ignore[arg-type]
        )
        is trainer
    )


def test_it_walks_forward_and_answers_one_row_with_the_same_bits() -> None:
    rows = dataset()
    labels = learn.make_labels(rows, learn.LabelRule("direction", 1))
    walk = learn.walk_forward(rows, ConstantTrainer(""), labels, rule(), seed=1)
    decided = np.flatnonzero(walk.row_state == learn.OK)
    assert len(decided) > 1_000
    for row in decided[::83]:
        up, state = walk.predict_row(int(rows.time_ns[row]), rows.x[row])
        assert (up, state) == (walk.row_up[row], learn.OK)
    shares = {each.card["facts"]["share"] for each in walk.models}
    assert shares == set(walk.row_up[decided].tolist())
    assert {each.card["format"] for each in walk.models} == {"constant"}


def test_it_runs_to_the_end_on_both_paths(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, "use: septet-strange:constant", "use: septet-strange:centroid")
    batch: Any = backtest(loaded, engine="batch")
    event: Any = backtest(loaded, engine="event")
    assert len(batch.fills["time"]) > 10
    for table in ("fills", "equity"):
        for name, column in getattr(batch, table).items():
            assert list(column) == list(getattr(event, table)[name]), (table, name)
    up = np.asarray(batch.decisions["probability_up"])
    assert np.array_equal(up, np.asarray(event.decisions["probability_up"]), equal_nan=True)
    assert len(np.unique(up)) > 100
    # Whatever a model is, the run keeps it.
    kept = [name for name in batch.model_files if name.endswith("card.json")]
    assert len(kept) == len(batch.models) > 2
    assert json.loads(batch.model_files[kept[0]])["estimator"] == "centroid"


def test_a_daily_cron_gives_the_run_of_a_step_of_a_day(tmp_path: Path) -> None:
    ran: list[Any] = []
    for step in ("1d", '"0 0 * * *"'):
        text = FILE.replace("use: septet-strange:constant", "use: septet-strange:centroid").replace(
            "step: 10d", f"step: {step}"
        )
        text = text.replace("bar: 1h", "bar: 1h, start: 2020-02-05")
        path = tmp_path / "strategy.yaml"
        path.write_text(text, encoding="utf-8")
        ran.append(backtest(load(path, host=_host(), unchecked=True), engine="batch"))
    one, other = ran
    assert len(one.models) > 20
    assert [card["model_sha256"] for card in one.models] == [
        card["model_sha256"] for card in other.models
    ]
    assert np.array_equal(one.equity["equity"], other.equity["equity"])
    assert other.resolved["model"]["training"]["step"] == "0 0 * * *"


def test_a_stored_one_is_read_back_by_its_plugin(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path)
    home = tmp_path / "kept"
    card = fit_all(loaded.strategy, loaded.resolved, lambda: features(loaded), home)
    assert (card["estimator"], card["format"]) == ("constant", "constant")
    found = learn.load_model(home, ["ret_1", "ret_5"], ConstantTrainer("").restore)
    assert found.model.predict_row(np.zeros(2)) == card["facts"]["share"]
    with pytest.raises(ModelError, match="only the plugin that made it"):
        learn.load_model(home)
    with pytest.raises(ModelError, match="cannot be read by its plugin: KeyError: 'up'"):
        learn.load_model(home, restore=lambda arrays: arrays["up"])  # type: ignore[arg-type,return-value]


def test_a_stored_one_decides_after_what_it_has_seen(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, "bars: 1500", "bars: 900")
    fit_all(loaded.strategy, loaded.resolved, lambda: features(loaded), tmp_path / "kept")
    stored = "training: {scheme: stored, path: kept}"
    again = _loaded(tmp_path, "training: {train: 20d, step: 10d, min_rows: 100}", stored)
    ran: Any = backtest(again, engine="batch")
    up = np.asarray(ran.decisions["probability_up"])
    card = json.loads((tmp_path / "kept" / "card.json").read_text("utf-8"))
    assert set(up.tolist()) == {card["facts"]["share"]}


def test_one_that_cannot_be_read_back_is_not_stored_in_vain(tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, "use: septet-strange:constant", "use: septet-strange:forgetful")
    with pytest.raises(InputError, match="models of forgetful cannot be read back"):
        fit_all(loaded.strategy, loaded.resolved, lambda: features(loaded), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("never", "it is not in the mood"),
        ("width", "states that it reads 3 features, and was fitted on 2"),
        ("shape", r"gave shape \(\d+, 1\)"),
        ("no probability", "as many probabilities from 0 to 1"),
        ("depends on its neighbours", "answers a row alone with"),
    ],
)
def test_a_fault_is_reported_and_ends_the_run(tmp_path: Path, fault: str, words: str) -> None:
    loaded = _loaded(
        tmp_path, "use: septet-strange:constant", f"use: septet-strange:constant\n  fault: {fault}"
    )
    with pytest.raises(RunError, match=words):
        backtest(loaded, engine="batch")


def test_nothing_but_probabilities_passes() -> None:
    x = np.zeros((5, 2))
    check_served("fine", ConstantModel(0.5, 2), x)
    with pytest.raises(RunError, match="probabilities"):
        check_served("nan", ConstantModel(float("nan"), 2), x)
