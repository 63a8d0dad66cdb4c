"""``septet train``: from a file to a stored model that a run takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from septet._learn.stored import load_model
from septet.cli import main


def _septet(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    code = left.value.code
    assert isinstance(code, int)
    return code


FILE = """\
version: 1
name: learner
seed: 7
universe: {symbols: [AAA/USDT, BBB/USDT], bar: 1h}
data:
  candles: {use: synthetic, bars: 900}
features:
  ret_1: {use: log_return}
  rsi_14: {use: rsi, period: 14}
model:
  use: sklearn
  estimator: LogisticRegression
  scale: standard
  label: {use: direction, horizon: 2 bars}
  training: {train: 20d, step: 5d, min_rows: 200}
signal: {use: confidence, threshold: 0.05}
risk:
  sizing: {use: fixed_fraction, fraction: 10%}
execution:
  venues:
    sim: {use: simulated, fee: 10bps, slippage: 5bps}
"""


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    path = tmp_path / "learner.yaml"
    path.write_text(FILE)
    return path


def test_a_model_is_fitted_on_everything_and_stored(
    strategy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _septet("train", str(strategy), "--json") == 0
    output = json.loads(capsys.readouterr().out)
    folder = strategy.parent / "models" / "learner"
    assert Path(output["folder"]) == folder
    stored = load_model(folder, ["ret_1", "rsi_14"])
    assert stored.card == output["card"]
    assert stored.card["symbols"] == ["AAA/USDT", "BBB/USDT"]
    assert stored.card["rows"] > 1_600
    assert set(stored.card["reference"]) == {"ret_1", "rsi_14"}
    assert 0.0 <= stored.card["scores"]["auc"] <= 1.0
    assert len(stored.card["configuration_sha256"]) == 64
    first = (folder / "model.npz").read_bytes()
    assert _septet("train", str(strategy), "--out", str(folder)) == 0
    out = capsys.readouterr().out
    assert "decides after" in out
    assert f"stored in {folder}" in out
    assert (folder / "model.npz").read_bytes() == first


def test_a_file_without_a_model_has_nothing_to_train(
    strategy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE[: FILE.index("model:")] + FILE[FILE.index("signal:") :]
    rules = "signal: {use: rules, long_if: rsi_14 < 30, exit_if: rsi_14 > 60}"
    strategy.write_text(text.replace("signal: {use: confidence, threshold: 0.05}", rules))
    assert _septet("train", str(strategy)) == 2
    assert "learner has no model: there is nothing to train" in capsys.readouterr().err


def test_a_file_with_a_stored_model_has_nothing_to_train(
    strategy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = "training: {scheme: stored, path: models/x}"
    strategy.write_text(FILE.replace("training: {train: 20d, step: 5d, min_rows: 200}", stored))
    assert _septet("train", str(strategy)) == 2
    assert "decides with a stored model" in capsys.readouterr().err


def test_too_few_rows_are_reported(strategy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strategy.write_text(
        FILE.replace("bars: 900", "bars: 300").replace("min_rows: 200", "min_rows: 900")
    )
    assert _septet("train", str(strategy)) == 1
    assert "the model cannot be trained" in capsys.readouterr().err
    assert not (strategy.parent / "models").exists()
