"""The text of one small plan, as a person reads it."""

from __future__ import annotations

from pathlib import Path

from septet._shell.session import plan_of
from tests.core.settings import Settings, walk
from tests.core.world import load_text, session_of
from tests.report.goldens import check_golden

SMALL = """\
version: 1
name: small
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic}}
features:
  fast: {use: sma, period: 20}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
"""


def test_the_text_of_a_small_plan():
    text = plan_of(load_text(SMALL)).assembly.text
    check_golden(Path(__file__).parent / "golden" / "small_plan.txt", text)


def test_what_the_file_does_not_name_is_not_in_the_text():
    text = plan_of(load_text(SMALL)).assembly.text
    absent = (
        "protect", "check_halts", "correlate", "def trim", "meet_within", "pay_funding",
        "regime_allows", "VOLUME_USED", "liquidation_price",
    )  # fmt: skip
    for word in absent:
        assert word not in text, word


def test_values_are_parameters_and_never_change_the_text():
    one = Settings(stops={"stop_loss": 0.01}, amount=0.5, taker=0.002, min_interval=3)
    two = Settings(stops={"stop_loss": 0.07}, amount=0.1, taker=0.009, min_interval=8)
    first, second = (session_of(s, [walk(1, 20)]).plan for s in (one, two))
    assert first.assembly.text == second.assembly.text
    assert first.name == second.name
    assert first.parameters.tolist() != second.parameters.tolist()


def test_another_rule_is_another_plan():
    one = session_of(Settings(stops={"stop_loss": 0.01}), [walk(1, 20)]).plan
    two = session_of(Settings(stops={"trailing": {"distance": 0.01}}), [walk(1, 20)]).plan
    assert one.name != two.name
