"""The verdict of a run without trades gives the reason, from its decisions and orders.

`septet run` refuses what `check` knows beforehand; such a run is then one of a sweep.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from septet._config import load
from septet._report.save import save_run
from septet._shell.backtest import backtest
from tests.cli.conftest import Command

TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 200}}
features: {fast: {use: sma, period: 5}}
signal: {use: rules, RULES}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
execution:
  order: ORDER
  instruments: {BTC/USDT: {lot: 0.00001, min_notional: LEAST}}
"""
NEVER = "close > 1e9"
LIMIT = "{use: limit, offset: 4.5%, time_in_force: 1 bars}"


def verdict_of(
    septet: Command | None,
    folder: Path,
    rules: str,
    *words: str,
    order: str = "{use: market}",
    least: str = "10",
) -> str:
    path = folder / "x.yaml"
    text = TEXT.replace("RULES", rules).replace("ORDER", order).replace("LEAST", least)
    path.write_text(text, encoding="utf-8")
    if septet is not None:
        run = septet("run", path, "--out", folder / "runs", "--json", *words)
        assert run.code == 0, run.err
        return str(json.loads(run.out)["verdict"])
    result = backtest(load(path), tables="--fast" not in words)
    return str(save_run(result, folder / "runs", report=False).summary["verdict"])


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (f"long_if: {NEVER}, exit_if: {NEVER}", "long_if was true on no bar."),
        ("long_if: close > fast, exit_if: close > fast",
         "long_if was true on no bar on which exit_if was not, and exit_if was true on "),
    ],
)  # fmt: skip
def test_rules_that_are_never_true(
    septet: Command, tmp_path: Path, rules: str, expected: str
) -> None:
    verdict = verdict_of(septet, tmp_path, rules)
    assert verdict.startswith("0 trades, too few to judge. ")
    assert expected in verdict


def test_entries_that_are_all_rejected(tmp_path: Path) -> None:
    verdict = verdict_of(None, tmp_path, "long_if: close > fast", least="6000")
    entries = verdict.partition("judge. ")[2].split()[0]
    rejected = f"all of them were rejected (min_notional {entries} times)."
    assert f"{entries} decisions asked for a position: {rejected}" in verdict


@pytest.mark.parametrize("words", [(), ("--fast",)])
def test_orders_that_are_never_filled(tmp_path: Path, words: tuple[str, ...]) -> None:
    verdict = verdict_of(None, tmp_path, "long_if: close > fast", *words, order=LIMIT)
    assert "one of " in verdict
    assert "was filled (unfilled " in verdict


def test_without_decisions_and_orders_nothing_is_known(septet: Command, tmp_path: Path) -> None:
    verdict = verdict_of(septet, tmp_path, f"long_if: {NEVER}", "--fast")
    assert "Why is not known: the decisions were left out (--fast)." in verdict
