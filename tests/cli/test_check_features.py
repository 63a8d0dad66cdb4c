"""``septet check`` computes the features and the rules, and names those that can never act."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._kernel import layout
from septet._shell.backtest import backtest
from septet._shell.feature_values import last_values
from septet._shell.result_tables import SIGNALS
from septet._shell.session import open_session
from septet._store.tables import as_frame
from tests.cli.conftest import Command
from tests.strangers.package import installed, manifest_of, write_package

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


@pytest.mark.parametrize(
    ("feature", "rule"),
    [
        (CHANNEL, "close > far_upper"),
        ("{use: highest, of: high, period: 3}", "close > far"),
        ("{use: lowest, of: low, period: 3}", "close < far"),
    ],
)
def test_a_channel_that_includes_the_bar_itself_is_named(
    septet: Command, tmp_path: Path, feature: str, rule: str
) -> None:
    assert "compare with prev(..., 1)" in septet("check", written(tmp_path, feature, rule)).err


def test_a_rule_that_is_true_at_times(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, CHANNEL, "close > prev(far_upper, 1)")
    assert septet("check", path).err == ""


def test_a_feature_that_is_never_finite(septet: Command, tmp_path: Path) -> None:
    path = written(tmp_path, "{use: cross_rank, of: fast}", "far > 0.5")
    for words in (("check", path), ("run", path, "--out", tmp_path / "runs")):
        outcome = septet(*words)
        assert outcome.code == 2
        assert f"{path}:7:8: error: features.far: far is finite on none of the" in outcome.err
    assert not (tmp_path / "runs").exists()


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
    ("rule", "exit_rule", "expected"),
    [
        ("close > fast", "close > fast",
         "long_if is true on no bar of the 1,196 looked at on which exit_if, true on "),
        ("close > fast", "close > 1e9", "exit_if is true on no bar of the 1,196 looked at"),
    ],
)  # fmt: skip
def test_rules_that_never_act_for_another(
    septet: Command, tmp_path: Path, rule: str, exit_rule: str, expected: str
) -> None:
    path = written(tmp_path, CHANNEL, rule)
    text = path.read_text(encoding="utf-8").replace("close < fast}", f"{exit_rule}}}")
    path.write_text(text, encoding="utf-8")
    outcome = septet("check", path)
    assert outcome.code == 0
    assert expected in " ".join(outcome.err.split())
    assert outcome.err.count("is true on no bar") == 1


@pytest.mark.parametrize(
    ("account", "rules"),
    [
        ("spot", 'long_if: "crosses_above(close, fast)", exit_if: "close < prev(far_lower, 1)"'),
        ("spot", "long_if: not (close < fast or close > 1e9)"),
        ("perpetual", 'long_if: "between(prev(close, 1), 0, fast)", short_if: close < fast'),
        (
            "perpetual",
            'long_if: "min(close, fast) == fast", short_if: abs(log(close / fast)) > 0.001',
        ),
    ],
)
def test_signals_are_those_of_the_run(tmp_path: Path, account: str, rules: str) -> None:
    path = written(tmp_path, CHANNEL, "close > fast")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [f"signal: {{use: rules, {rules}}}" if "signal" in line else line for line in lines]
    lines += [f"account: {{type: {account}}}"]
    lines += ["perpetual: {funding: {rate: 1bps, every: 8h}}"] * (account == "perpetual")
    path.write_text("\n".join(lines), encoding="utf-8")
    session = open_session(load(path))
    values = last_values(session)
    assert values is not None
    assert values.D is not None
    result = backtest(load(path))
    assert result.decisions is not None
    signal = as_frame("decisions", result.decisions)["signal"].cast(pl.String).to_list()
    found = [SIGNALS[code & layout.SIGNAL] for code in values.D[0, layout.D_SIGNAL].tolist()]
    assert found[session.first :] == signal
    assert len(set(signal)) > 1


STRANGE = '''\
"""A signal of another package."""

import math

from septet.plugin import Config, Input, signal


class Above(Config):
    of: Input = "close"
    level: float = 0.0


@signal(Above)
def above(of, level):
    return (1.0 if of > level else math.nan), 1.0, -1


class Weighed(Config):
    least: float = 0.9


@signal(Weighed)
def weighed(side, least):
    return (side if side > least else math.nan), 1.0, -1
'''


@pytest.mark.parametrize(
    ("use", "silent"),
    [("above, level: 1e9", True), ("above, level: 0", False), ("weighed", False)],
)
def test_signals_of_other_packages(septet: Command, tmp_path: Path, use: str, silent: bool) -> None:
    """One that reads the account is not known before a run, and nothing is reported of it."""
    components = dict.fromkeys(("above", "weighed"), ("signals", "signal"))
    manifest = manifest_of("strange_signals", components)
    files = {"steps.py": STRANGE, "manifest.py": manifest}
    write_package(tmp_path, "strange-signals", files)
    path = written(tmp_path, CHANNEL, "close > fast")
    lines = [
        f"signal: {{use: {use}}}" if line.startswith("signal") else line
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    path.write_text("\n".join([*lines, "plugins: [strange-signals]"]), encoding="utf-8")
    with installed(tmp_path, "strange_signals"):
        outcome = septet("check", path, "--unchecked")
    assert outcome.code == 0, outcome.err
    found = " ".join(outcome.err.split())
    text = f"{path}:8:9: warning: signal: the signal asks for a position on no bar of the 1,200 "
    assert (text in found) == silent, found


def test_the_bars_before_a_gap_are_looked_at_as_well(tmp_path: Path) -> None:
    """Three parts with gaps between them, and a feature that remembers a thousand bars."""
    hour_ns, count = 3_600_000_000_000, 12_000
    number = np.arange(count)
    opened = (number + 50 * (number // 4_000)) * hour_ns + 1_577_836_800_000_000_000
    close = 100.0 + np.sin(number / 7.0)
    bars = dict.fromkeys(("open", "close"), close)
    bars |= {"high": close + 0.5, "low": close - 0.5, "volume": np.ones(count)}
    pl.DataFrame({"timestamp": opened, **bars}).write_parquet(tmp_path / "bars.parquet")
    text = TEXT.replace("FEATURE", "{use: rsi, period: 14}").replace("LONG", "far > 99.9")
    source = "{use: parquet, path: bars.parquet, stamp: open, calendar: 24x7, reset_after: 6}"
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("{use: synthetic, bars: 1200}", source), encoding="utf-8")
    session = open_session(load(path))
    assert int((session.aligned.M[0, layout.AGE] == 0).sum()) == 3, "every gap begins anew"
    values = last_values(session)
    assert values is not None
    assert values.aligned.lengths == (count,)
    assert int(values.ready(session.plan.warmup_bars).sum()) == count - 3 * session.plan.warmup_bars
    assert values.complete
