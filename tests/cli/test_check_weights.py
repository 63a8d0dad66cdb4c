"""``septet check`` names given weights that are unknown, below zero on spot, or beyond gross."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

TEXT = """\
version: 1
name: weighed
account: {capital: 10000, type: ACCOUNT}
universe: {symbols: [A/USDT, B/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 1200}}
features:
  slow: {use: sma, period: 50}
  target: {use: expr, formula: "FORMULA"}
portfolio: {use: weights, weights: target, gross: GROSS, rebalance: {every: 12 bars}}
risk: {}
perpetual: {funding: {rate: 1bps, every: 8h}}
"""


def checked(
    septet: Command, folder: Path, formula: str, account: str = "spot", gross: str = "100%"
) -> tuple[int, str]:
    path = folder / "x.yaml"
    text = TEXT.replace("FORMULA", formula).replace("ACCOUNT", account).replace("GROSS", gross)
    path.write_text(text.replace("perpetual: {", "#") if account == "spot" else text, "utf-8")
    outcome = septet("check", path)
    return outcome.code, outcome.err.replace(f"{path}:", "")


@pytest.mark.parametrize(
    ("formula", "account", "gross"),
    [
        ("0.5 * sign(max(close - slow, 0))", "spot", "100%"),
        ("0.5 * sign(close - slow)", "perpetual", "100%"),
        ("0.9 * sign(close - slow)", "perpetual", "200%"),
    ],
)
def test_weights_within_gross_are_quiet(
    septet: Command, tmp_path: Path, formula: str, account: str, gross: str
) -> None:
    code, err = checked(septet, tmp_path, formula, account, gross)
    assert code == 0
    assert "portfolio.weights" not in err


def test_weights_beyond_gross_are_a_warning_with_its_place(septet: Command, tmp_path: Path) -> None:
    code, err = checked(septet, tmp_path, "0.9 * sign(close - slow)", "perpetual")
    assert code == 0
    assert "9:36: warning: portfolio.weights: the weights sum to more than gross (100%) at " in err
    assert "rebalances looked at, to 180% at most: they are scaled down to it" in err
    assert "or write a larger portfolio.gross" in err


@pytest.mark.parametrize(
    ("formula", "code", "severity"),
    [("0.3 * sign(close - slow)", 0, "warning"), ("0 - 0.1 * close / slow", 2, "error")],
)
def test_weights_below_zero_on_a_spot_account(
    septet: Command, tmp_path: Path, formula: str, code: int, severity: str
) -> None:
    found, err = checked(septet, tmp_path, formula)
    assert found == code
    assert f"9:36: {severity}: portfolio.weights: " in err
    assert "of the weights are below zero, and a spot account cannot go short" in err
    assert "write account: {type: perpetual}" in err
    outcome = septet("run", tmp_path / "x.yaml", "--out", tmp_path / "runs")
    assert outcome.code == code, outcome.err


def test_weights_that_are_never_known_are_an_error(septet: Command, tmp_path: Path) -> None:
    code, err = checked(septet, tmp_path, "log(0 - close)")
    assert code == 2
    assert "8:11: error: features.target: target is finite on none of the " in err


@pytest.mark.parametrize(
    "portfolio",
    [
        "{use: top, by: target, long: 1, rebalance: {every: 12 bars}}",
        "{use: top, by: slow, weight: {inverse_volatility: target}, long: 1, "
        "rebalance: {every: 12 bars}}",
        "{use: forecast, forecast: {of: {target: 100%}, volatility: slow, target: 9%, "
        "window: 50 bars}, rebalance: {every: 12 bars}}",
        "{use: forecast, forecast: {of: {slow: 100%}, volatility: target, target: 9%, "
        "window: 50 bars}, rebalance: {every: 12 bars}}",
    ],
)
def test_what_a_portfolio_cannot_do_without_is_an_error(
    septet: Command, tmp_path: Path, portfolio: str
) -> None:
    lines = TEXT.replace("FORMULA", "log(0 - close)").replace("ACCOUNT", "spot").splitlines()
    lines = [f"portfolio: {portfolio}" if each.startswith("portf") else each for each in lines]
    path = tmp_path / "x.yaml"
    path.write_text("\n".join(lines[:-1]), "utf-8")
    outcome = septet("check", path)
    assert outcome.code == 2
    assert "error: features.target: target is finite on none of the " in outcome.err
