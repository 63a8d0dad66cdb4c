"""``septet check`` finds training that cannot give a model, before a run does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from septet import load
from tests.cli.conftest import Command
from tests.data.helpers import clean

FILE = """\
version: 1
name: x
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: parquet, path: "{{symbol}}.parquet"}}}}
features: {{one: {{use: log_return}}, two: {{use: rsi, period: 5}}}}
model:
  use: sklearn
  estimator: {estimator}
  {params}
  label: {label}
  training: {{train: 5d, step: 1d, min_rows: 60, min_class: 20}}
signal: {{use: confidence, threshold: 0.1}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""
DIRECTION = "{use: direction, horizon: 2 bars}"


def strategy(
    folder: Path,
    estimator: str = "LogisticRegression",
    params: str = "scale: standard",
    label: str = DIRECTION,
) -> Path:
    path = folder / "x.yaml"
    text = FILE.format(estimator=estimator, params=params, label=label)
    path.write_text(text, encoding="utf-8")
    if not (folder / "BTCUSDT.parquet").exists():
        clean(300).write_parquet(folder / "BTCUSDT.parquet")
    return path


def checked(septet: Command, path: Path, *words: str) -> tuple[int, str]:
    outcome = septet("check", path, *words)
    assert "Traceback" not in outcome.err
    return outcome.code, " ".join(outcome.err.split())


def test_a_file_that_trains(septet: Command, tmp_path: Path) -> None:
    assert checked(septet, strategy(tmp_path)) == (0, "")


@pytest.mark.parametrize(
    ("estimator", "params", "text"),
    [
        ("LogisticRegression", "penalty: elasticnet", "got elasticnet penalty"),
        ("LogisticRegression", "penalty: l1", "got l1 penalty"),
        ("LogisticRegression", "dual: true", "got dual=True"),
        ("LogisticRegressionCV", "penalty: elasticnet, solver: saga", "l1_ratios"),
        ("LinearDiscriminantAnalysis", "shrinkage: 0.5", "shrinkage not supported"),
        ("RandomForestClassifier", "bootstrap: false, oob_score: true", "Out of bag"),
        ("KNeighborsClassifier", "n_neighbors: 700", "Expected n_neighbors"),
        ("NearestCentroid", "priors: [3]", "index 1 is out of bounds"),
        ("VotingClassifier", "", "missing 1 required positional argument"),
        ("LabelPropagation", "", "cannot be exported to ONNX"),
        ("Perceptron", "", "gives no probabilities"),
    ],
)
def test_parameters_that_do_not_fit_each_other(
    septet: Command, tmp_path: Path, estimator: str, params: str, text: str
) -> None:
    path = strategy(tmp_path, estimator, f"params: {{{params}}}")
    code, found = checked(septet, path, "--no-data")
    assert (code, text in found) == (2, True), found
    assert f"{path}:9:11: error: model.params: " in found


def test_a_run_names_the_parameters_too(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path, "LinearDiscriminantAnalysis", "params: {shrinkage: 0.5}")
    outcome = septet("run", path, "--out", tmp_path / "runs")
    assert outcome.code == 2
    assert f"{path}:9:11: error: model.params: LinearDiscriminantAnalysis cannot" in outcome.err


def test_values_that_a_feature_may_have_are_a_warning(septet: Command, tmp_path: Path) -> None:
    code, found = checked(septet, strategy(tmp_path, "MultinomialNB", "params: {alpha: 1.0}"))
    assert code == 0
    assert "warning: model.params: MultinomialNB cannot be fitted: Negative values" in found
    assert checked(septet, strategy(tmp_path, "MultinomialNB", "scale: minmax")) == (0, "")


@pytest.mark.parametrize("weights", ["{up: 1, down: 2}", "{0: 1, 1: 1, 5: 3}", "{0: 1, 1: 0}"])
def test_class_weights_are_of_the_labels(septet: Command, tmp_path: Path, weights: str) -> None:
    path = strategy(tmp_path, params=f"params: {{class_weight: {weights}}}")
    code, found = checked(septet, path, "--no-data")
    assert code == 2
    assert "a number above 0 for each label: 0 (down) and 1 (up)" in found


@pytest.mark.parametrize("weights", ["{0: 1.0, 1: 2.5}", "{'0': 1, \"1\": 2.5}"])
def test_class_weights_are_written_in_every_way(
    septet: Command, tmp_path: Path, weights: str
) -> None:
    path = strategy(tmp_path, params=f"params: {{class_weight: {weights}}}")
    assert checked(septet, path, "--no-data") == (0, "")
    swept = "sweep={over: {model.params.class_weight.1: [1.0, 3]}}"
    for setting in ("class_weight.1=3", "class_weight={0: 2, 1: 1}", "class_weight={'1': 4}"):
        words = ("--no-data", "--set", f"model.params.{setting}", "--set", swept)
        assert checked(septet, path, *words) == (0, "")
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    weighed = load(mapping)
    for settings in ({"class_weight": {0: 1.0, 1: 3.0}}, {"class_weight.1": 3.0}):
        changed = weighed.with_({f"model.params.{key}": each for key, each in settings.items()})
        rows = changed.explain().filter(pl.col("path") == "model.params.class_weight.1")
        assert [float(each) for each in rows["value"]] == [3.0]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("{use: threshold, horizon: 2 bars, above: 90%}",
         "too few rows are labelled up; there is none in any window"),
        ("{use: triple_barrier, take_profit: 80%, stop_loss: 1bps, time_limit: 50 bars}",
         "too few rows are labelled up"),
        ("{use: direction, horizon: 100 bars}",
         "the fullest holds 20 rows with a label"),
    ],
)  # fmt: skip
def test_a_class_that_never_occurs(septet: Command, tmp_path: Path, label: str, text: str) -> None:
    code, found = checked(septet, strategy(tmp_path, label=label))
    assert (code, text in found) == (2, True), found
    assert f"{tmp_path / 'x.yaml'}:1" in found


def test_rising_closes_have_one_class(septet: Command, tmp_path: Path) -> None:
    up = pl.Series(100.0 * np.exp(0.001 * np.arange(300)))
    frame = clean(300).with_columns(open=up, high=up * 1.001, low=up * 0.999, close=up)
    frame.write_parquet(tmp_path / "BTCUSDT.parquet")
    code, found = checked(septet, strategy(tmp_path))
    assert code == 2
    assert "too few rows are labelled down; there is none in any window" in found


@pytest.mark.parametrize("words", [("--no-data",), ("--mode", "paper"), ()])
def test_a_damaged_stored_model_is_read_without_data(
    septet: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = strategy(tmp_path)
    text = path.read_text(encoding="utf-8")
    lines = [each for each in text.splitlines() if not each.startswith("  ")]
    stored = [each.replace("model:", "model: {use: stored, path: mine}") for each in lines]
    paper = "paper: {data: {candles: {use: ccxt, venue: binance}}}"
    path.write_text("\n".join([*stored, paper, ""]), encoding="utf-8")
    (tmp_path / "mine").mkdir()
    for name in ("card.json", "model.npz"):
        (tmp_path / "mine" / name).write_bytes(b"\x00damaged")
    code, found = checked(septet, path, *words)
    assert code == 2
    assert f"{path}:6:28: error: model.path: " in found


def test_the_rows_of_the_windows_are_shown(septet: Command, tmp_path: Path) -> None:
    path = strategy(tmp_path)
    outcome = septet("check", path)
    assert outcome.out.splitlines()[1] == (
        "training: 8 training windows; usable rows: 113 in the first (to 2020-01-06 00:00), 113 in "
        "the smallest (to 2020-01-06 00:00), 118 in the last (to 2020-01-13 00:00); min_rows 60"
    )
    document = json.loads(septet("check", path, "--json").out)["training"]
    first = document.pop("first")
    assert first.pop("up") > 20
    assert first == {"trained_to": "2020-01-06T00:00:00Z", "rows": 113}
    assert document["last"]["trained_to"] == "2020-01-13T00:00:00Z"
    assert (document["looked_at"], document["without_model"], document["min_rows"]) == (8, 0, 60)


def test_windows_that_a_gap_leaves_too_few_rows(septet: Command, tmp_path: Path) -> None:
    frame = clean(600)
    pl.concat([frame[:250], frame[330:]]).write_parquet(tmp_path / "BTCUSDT.parquet")
    path = strategy(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace("min_rows: 60", "min_rows: 100"))
    code, found = checked(septet, path)
    assert code == 0
    assert f"{path}:11:21: warning: model.training.train: 7 of 20 training windows give" in found
    assert "rows to train on, fewer than 100" in found
    run = septet("run", path, "--out", tmp_path / "runs", "--json")
    models = json.loads(run.out)
    assert models["rejections"]["no_model"] > 0
