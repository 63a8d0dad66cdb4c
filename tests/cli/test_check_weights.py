"""``septet check`` names given weights that are unknown, below zero on spot, or beyond gross."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._shell.backtest import backtest
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
def test_weights_within_gross_give_no_finding(
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


def test_a_run_states_how_many_rebalances_were_scaled_down(septet: Command, tmp_path: Path) -> None:
    checked(septet, tmp_path, "0.9 * sign(close - slow)", "perpetual")
    notes = backtest(load(tmp_path / "x.yaml")).notes
    made = next(each for each in notes if each.endswith(" rebalances were made"))
    count = made.partition(" ")[0]
    assert f"given weights were above gross and scaled down at {count} rebalances" in notes
    checked(septet, tmp_path, "0.3 * sign(close - slow)", "perpetual")
    assert not any("scaled down" in each for each in backtest(load(tmp_path / "x.yaml")).notes)


def test_a_run_states_how_often_a_rebalance_had_to_wait(septet: Command, tmp_path: Path) -> None:
    checked(septet, tmp_path, "0.5 * sign(max(close - slow, 0))")
    path = tmp_path / "x.yaml"
    text = path.read_text("utf-8").replace(
        "bar: 1h}", "bar: 1h, trading_hours: {open: mon-fri 09:00-17:00 UTC}}"
    )
    path.write_text(text, "utf-8")
    notes = backtest(load(path)).notes
    assert any(
        each.startswith("a rebalance that was due could not act whole at ")
        and each.endswith(" times: closed_hours")
        for each in notes
    ), notes


@pytest.mark.parametrize(("bars", "waits"), [(226, True), (180, False)])
def test_a_run_states_that_no_rebalance_could_be_made_any_more(
    septet: Command, tmp_path: Path, bars: int, waits: bool
) -> None:
    """One of two symbols ends: half of them are fewer than the quorum, until it is no member."""
    for number, symbol in enumerate("AB"):
        rows = ["time,open,high,low,close,volume"]
        for hour in range(240 if symbol == "A" else bars):
            close = 100.0 + number + (hour % 7)
            stamp = f"2024-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
            rows.append(f"{stamp},{close},{close + 1},{close - 1},{close},1000")
        (tmp_path / f"{symbol}.csv").write_text("\n".join(rows), "utf-8")
    checked(septet, tmp_path, "0.5 * sign(close)")
    path = tmp_path / "x.yaml"
    text = path.read_text("utf-8").replace(
        "{use: synthetic, bars: 1200}", '{use: csv, path: "{symbol}.csv", stamp: open}'
    )
    path.write_text(text.replace("A/USDT, B/USDT", "A, B").replace("period: 50", "period: 5"))
    notes = backtest(load(path)).notes
    ends = [each for each in notes if each.startswith("no rebalance was made after ")]
    if not waits:
        assert ends == []
        assert "a rebalance that was due could not act whole at 19 times: quorum" in notes
        return
    (found,) = ends
    assert found.startswith("no rebalance was made after 2024-01-10T")
    assert "waited to the end (quorum)" in found


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("portfolio.rebalance.every", "no rebalance falls due"),
        ("risk.position.buy_every.every", "no buy falls due"),
    ],
)
def test_what_never_falls_due_is_an_error(
    septet: Command, tmp_path: Path, place: str, text: str
) -> None:
    checked(septet, tmp_path, "0.5 * sign(max(close - slow, 0))")
    path = tmp_path / "x.yaml"
    file = path.read_text("utf-8").replace("every: 12 bars", "every: 9000 bars")
    if "buy" in place:
        lines = [each for each in file.splitlines() if not each.startswith(("portfolio", "risk"))]
        file = "\n".join([*lines, "risk:", "  position:"])
        file += "\n    buy_every: {every: 9000 bars, amount: 50}\n"
    path.write_text(file, "utf-8")
    outcome, line = septet("check", path), 12 if "buy" in place else 9
    assert outcome.code == 2
    assert f"{path}:{line}:" in outcome.err
    assert f"error: {place}: {text} between the first decision and the last" in outcome.err
    assert "write a shorter interval, or extend the data" in outcome.err


@pytest.mark.parametrize(("every", "first"), [("20d at 12:00", True), ("1d at 12:00", False)])
def test_a_long_wait_for_the_first_rebalance_is_reported(
    septet: Command, tmp_path: Path, every: str, first: bool
) -> None:
    """The data begin between two instants; the one before does not count."""
    checked(septet, tmp_path, "0.5 * sign(max(close - slow, 0))")
    path = tmp_path / "x.yaml"
    path.write_text(path.read_text("utf-8").replace("every: 12 bars", f"every: {every}"), "utf-8")
    outcome = septet("check", path)
    assert outcome.code == 0
    line = f"{path}:9:"
    found = [each for each in outcome.err.splitlines() if each.startswith(line) and "falls" in each]
    assert len(found) == first
    if first:
        assert "warning: portfolio.rebalance.every: the first rebalance falls due at " in found[0]
        assert " of the run; an instant before the first decision does not count" in found[0]
