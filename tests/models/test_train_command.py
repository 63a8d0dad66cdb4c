"""`septet train` with every trainer of septet: fitted, stored, and read back to decide."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from septet._host.plugin_registry import BUILT_IN, Host
from septet.cli import main

FILE = """\
version: 1
name: trained
seed: 4
account: {{capital: 10000, currency: USD}}
universe: {{symbols: [A/USD], bar: 1h}}
data: {{candles: {{use: synthetic, bars: {bars}, seed: 3, volatility: 60%}}}}
features: {{ret: {{use: log_return}}, ret_5: {{use: log_return, period: 5}}}}
model: {{use: {model}, training: {training}}}
signal: {{use: confidence, threshold: 0.0001, exit: {{after: 6 bars}}}}
risk: {{sizing: {{use: fixed_fraction, fraction: 45%}}}}
"""
SMALL = {
    "sklearn": "sklearn, estimator: DecisionTreeClassifier, params: {max_depth: 3}",
    "lightgbm": "lightgbm, params: {n_estimators: 3, num_leaves: 4}",
}
NOTHING = {"series": "series, of: ret", "stored": "stored, path: kept"}
"""Models of septet that learn nothing, or have learnt."""
NAMES = [
    str(each.component.name)
    for each in Host().components("models")
    if each.distribution == BUILT_IN
]
TRAINERS = [name for name in NAMES if name not in NOTHING]


def command(*words: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return left.value.code


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_is_trained_stored_and_decides(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    training = "{train: 10d, step: 10d, min_rows: 100}"
    text = FILE.format(bars=500, model=SMALL[name], training=training)
    Path("strategy.yaml").write_text(text, encoding="utf-8")
    assert command("train", "strategy.yaml", "--out", "kept", "--json") == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["features"] == ["ret", "ret_5"]
    assert card["rows"] > 400
    text = FILE.format(bars=700, model=SMALL[name], training="{scheme: stored, path: kept}")
    Path("strategy.yaml").write_text(text, encoding="utf-8")
    assert command("run", "strategy.yaml", "--out", "out", "--no-report") == 0
    (table,) = Path("out").rglob("decisions.parquet")
    up = pl.read_parquet(table)["probability_up"].drop_nulls().drop_nans()
    assert len(up) > 100
    assert up.n_unique() > 1


@pytest.mark.parametrize("name", NOTHING)
def test_a_model_that_learns_nothing_is_reported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = FILE.format(bars=500, model=NOTHING[name], training="{}").replace(", training: {}", "")
    Path("strategy.yaml").write_text(text, encoding="utf-8")
    assert command("train", "strategy.yaml") == 2
    assert "nothing to train" in capsys.readouterr().err


def test_what_cannot_be_read_back_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nearest neighbours are served by a graph with a loop, which no stored model may have."""
    monkeypatch.chdir(tmp_path)
    model = "sklearn, estimator: KNeighborsClassifier, scale: standard"
    training = "{train: 10d, step: 10d, min_rows: 100}"
    Path("strategy.yaml").write_text(
        FILE.format(bars=500, model=model, training=training), encoding="utf-8"
    )
    assert command("check", "strategy.yaml") == 0
    output = " ".join(capsys.readouterr().err.split())
    assert "warning: model: models of KNeighborsClassifier cannot be stored and read back" in output
    assert command("train", "strategy.yaml", "--out", "kept") != 0
    output = " ".join(capsys.readouterr().err.split())
    assert "models of KNeighborsClassifier cannot be stored and read back: its ONNX graph" in output
    assert "the operator Scan" in output
    assert not Path("kept").exists()
