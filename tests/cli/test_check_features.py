"""``septet check`` computes the features and the rules, and names those that can never act."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from septet._config import load
from septet._config.expressions import parse_expression
from septet._shell.feature_values import last_values
from septet._shell.session import open_session
from tests.cli.conftest import Command

TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 1200}}
features:
  fast: {use: sma, period: 5}
  far: FEATURE
signal: {use: rules, long_if: "LONG", exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
MODEL = """model: {use: sklearn, estimator: LogisticRegression, training: {train: 25d, step: 5d}}
signal: {use: confidence, threshold: 0.1}"""
CHANNEL = "{use: donchian, period: 20}"


def written(folder: Path, feature: str, rule: str) -> Path:
    path = folder / "x.yaml"
    text = TEXT.replace("FEATURE", feature).replace("LONG", rule)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "rule", ["close > far_upper", "close > 1e9 and fast > 0", "prev(close, 2) < 0 * fast"]
)
def test_a_rule_that_is_never_true(septet: Command, tmp_path: Path, rule: str) -> None:
    path = written(tmp_path, CHANNEL, rule)
    outcome = septet("check", path)
    assert outcome.code == 0
    assert f"{path}:8:31: warning: signal.long_if: long_if is true on no bar of" in outcome.err
    assert "exit_if is true" not in outcome.err


def test_a_rule_that_is_true_at_times(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, CHANNEL, "close > prev(far_upper, 1)")
    assert septet("check", path).err == ""


def test_a_feature_that_is_never_finite(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, "{use: cross_rank, of: fast}", "far > 0.5")
    outcome = septet("check", path)
    assert outcome.code == 2
    assert f"{path}:7:8: error: features.far: far is finite on none of the" in outcome.err


def test_a_model_of_a_feature_that_is_never_finite(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, "{use: cross_rank, of: fast}", "far > 0.5")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [MODEL if line.startswith("signal") else line for line in lines]
    path.write_text("\n".join(lines), encoding="utf-8")
    for words in (("check", path), ("run", path, "--out", tmp_path / "runs")):
        outcome = septet(*words)
        assert outcome.code != 0
        assert f"{path}:7:8: error: features.far: " in outcome.err
        assert "far is finite in" in outcome.err or "far is finite on none" in outcome.err
        assert "lengthen" not in outcome.err


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("crosses_above(close, fast)", lambda c, f: (c > f)[1:] & (c <= f)[:-1]),
        ("not (close < fast or close > 1e9)", lambda c, f: (c >= f)[1:]),
        ("min(close, fast) == fast", lambda c, f: (f <= c)[1:]),
        ("between(prev(close, 1), 0, fast)", lambda c, f: c[:-1] <= f[1:]),
        ("abs(log(close) - log(fast)) > 0.001", lambda c, f: np.abs(np.log(c / f))[1:] > 0.001),
    ],
)
def test_rules_over_arrays(tmp_path: Path, rule: str, expected: object) -> None:
    path = written(tmp_path, CHANNEL, "close > fast")
    values = last_values(open_session(load(path)))
    assert values is not None
    assert values.complete
    close, fast = values.column("close", 0)[30:], values.column("fast", 0)[30:]
    found = values.rule(parse_expression(rule))[31:] == 1.0
    assert callable(expected)
    assert found.any()
    assert not found.all()
    np.testing.assert_array_equal(found, expected(close, fast))
