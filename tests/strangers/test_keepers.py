"""What a step keeps beside its state is refused; answers that nobody can mean are doubted."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet.testing.static import faults_of
from septet.testing.verdict import decisive, state_of
from tests.cli.conftest import Command, septet  # noqa: F401 - a fixture
from tests.strangers.keepers import DOUBTED, FROM_THE_END, KEEPERS, MEANT
from tests.strangers.package import installed, manifest_of, write_package


@pytest.mark.parametrize(("step", "words"), KEEPERS.values(), ids=KEEPERS)
def test_a_step_that_keeps_something_beside_its_state_is_refused(step, words: str) -> None:
    assert any(words in str(each) for each in faults_of(step)), faults_of(step)
    assert state_of(decisive(step, step.config())) == "failed"


def test_a_read_from_the_end_shows_what_is_written() -> None:
    [fault] = faults_of(FROM_THE_END)
    assert "keepers.py:" in fault.place
    assert fault.message == (
        "last reads of[-1], which counts from the end of the array: the future; expected of[i - 1]"
    )


@pytest.mark.parametrize("step", DOUBTED.values(), ids=DOUBTED)
def test_an_answer_that_nobody_can_mean_is_doubted(step) -> None:
    checks = decisive(step, step.config())
    assert state_of(checks) == "doubtful"
    [doubt] = [each.message for each in checks if each.state == "doubtful"]
    assert "keepers.py:" in doubt


@pytest.mark.parametrize("step", MEANT.values(), ids=MEANT)
def test_an_answer_that_can_be_meant_is_kept(step) -> None:
    assert state_of(decisive(step, step.config())) == "kept"


STEPS = """\
from septet.plugin import Config, Fraction, sizing

class S(Config):
    share: Fraction = 0.5

@sizing(S)
def money(equity, share):
    return equity * share
"""
FILE = """\
version: 1
name: doubted
plugins: [odd-size]
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 400, volatility: 90%}}
features: {mean: {use: sma, period: 5}}
signal: {use: rules, long_if: close > mean, exit_if: close < mean}
risk: {sizing: {use: money}}
"""


def test_a_doubt_is_a_warning_and_stands_in_the_verdict(
    tmp_path: Path,
    septet: Command,  # noqa: F811 - the fixture
) -> None:
    files = {"manifest.py": manifest_of("odd_size", {"money": ("risk", "sizing")})}
    write_package(tmp_path, "odd-size", {**files, "steps.py": STEPS})
    path = tmp_path / "s.yaml"
    path.write_text(FILE, encoding="utf-8")
    with installed(tmp_path, "odd_size"):
        checked = septet("check", path)
        ran = septet("run", path, "--out", tmp_path / "runs")
    assert checked.code == ran.code == 0, (checked, ran)
    assert "warning: risk.sizing: odd-size:money: " in checked.err
    assert "does it return money?" in checked.err
    assert "odd-size:money: S asks for twice as much" in " ".join(ran.out.split())
