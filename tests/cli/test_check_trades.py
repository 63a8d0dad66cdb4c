"""``septet check`` names what keeps a file from ever trading, and ``run`` stops at it as well."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from septet._config import load
from septet._shell.backtest import backtest
from septet._store.tables import as_frame
from tests.cli.conftest import Command
from tests.data.helpers import clean

FILE = """\
version: 1
name: x
account: {{capital: 1000, currency: USDT{account}}}
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: parquet, path: "{{symbol}}.parquet"}}}}
features: {{fast: {{use: sma, period: 5}}}}
signal: {{use: rules, long_if: close > fast, exit_if: close < fast}}
risk: {{{risk}}}
execution: {{{execution}}}
"""
HALF = "sizing: {use: fixed_fraction, fraction: 50%}"
USUAL = "simulation: {fee: 10bps}"


def strategy(folder: Path, *, risk: str = HALF, execution: str = USUAL, account: str = "") -> Path:
    path = folder / "x.yaml"
    path.write_text(FILE.format(risk=risk, execution=execution, account=account), encoding="utf-8")
    if not (folder / "BTCUSDT.parquet").exists():
        clean(120).write_parquet(folder / "BTCUSDT.parquet")
    return path


def checked(septet: Command, path: Path) -> tuple[int, str]:
    outcome = septet("check", path)
    assert "Traceback" not in outcome.err
    return outcome.code, " ".join(outcome.err.split())


def fills_of(path: Path) -> int:
    """Fills of the run that `septet run` refuses: there are none, or `check` is wrong."""
    return as_frame("fills", backtest(load(path)).fills).height


def refused(septet: Command, path: Path) -> str:
    outcome = septet("run", path, "--out", path.parent / "runs")
    assert outcome.code == 2
    assert not (path.parent / "runs").exists()
    return " ".join(outcome.err.split())


def instrument(text: str) -> str:
    return f"instruments: {{BTC/USDT: {{{text}}}}}"


NEVER = {
    "lot": ({"execution": instrument("lot: 50")}, "9:", "is rejected (lot): one lot of 50 costs"),
    "min_notional": (
        {"execution": instrument("min_notional: 600")}, "9:",
        "is rejected (min_notional): min_notional is 600, the largest entry is worth 500 USDT",
    ),
    "min_notional and a cap": (
        {
            "execution": instrument("min_notional: 400"),
            "risk": f"{HALF}, limits: {{position: 30%}}",
        },
        "9:", "the largest entry is worth 300 USDT",
    ),
    "min_notional and a buffer": (
        {"execution": instrument("min_notional: 400"), "risk": f"{HALF}, cash_buffer: 70%"},
        "9:", "the largest entry is worth 300 USDT",
    ),
    "quantity": (
        {"risk": "sizing: {use: fixed_quantity, quantity: 1e-9}"}, "8:", "is rejected (lot)",
    ),
    "no size": ({"risk": "sizing: {use: fixed_fraction, fraction: 0%}"}, "8:", "has a size"),
    "max_order_value": (
        {"risk": f"{HALF}, limits: {{max_order_value: 400}}"}, "8:",
        "above max_order_value 400",
    ),
    "collar": (
        {"execution": "order: {use: limit, offset: 8%}"}, "9:",
        "outside the price_collar of 5 %",
    ),
    "collar of a stop limit": (
        {
            "execution": "order: {use: stop_limit, offset: 1%}",
            "risk": f"{HALF}, limits: {{price_collar: 1bps}}",
        },
        "9:", "outside the price_collar of 0.01 %",
    ),
    "a limit that is not reached": (
        {
            "execution": "order: {use: limit, offset: 40%}",
            "risk": f"{HALF}, limits: {{price_collar: 50%}}",
        },
        "9:", "no bar comes 40 % off the close of a decision in the 1 bars",
    ),
    "a stop that is not reached": (
        {"execution": "order: {use: stop, offset: 40%, time_in_force: 9}"}, "9:",
        "no bar comes 40 % off the close of a decision in the 9 bars",
    ),
    "no target": (
        {"risk": "sizing: {use: volatility_target, of: fast, target: 0%}"}, "8:", "has a size",
    ),
    "participation": (
        {"execution": "simulation: {participation: 1bps}, " + instrument("lot: 1")}, "9:",
        "is less than a lot (1)",
    ),
    "latency": ({"execution": "simulation: {latency: 300}"}, "9:", "nothing is ever filled"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_what_keeps_every_entry_from_trading(septet: Command, tmp_path: Path, name: str) -> None:
    keys, line, text = NEVER[name]
    path = strategy(tmp_path, **keys)
    code, output = checked(septet, path)
    assert (code, text in output, f"{path}:{line}" in output) == (2, True, True), output
    assert "error: " in output
    assert text in refused(septet, path)
    assert fills_of(path) == 0


def test_volume_that_is_zero_throughout(septet: Command, tmp_path: Path) -> None:
    clean(120).with_columns(volume=0.0).write_parquet(tmp_path / "BTCUSDT.parquet")
    path = strategy(tmp_path, execution="simulation: {participation: 10%}")
    code, output = checked(septet, path)
    assert (code, "the volume of BTC/USDT is zero in every bar" in output) == (2, True)
    assert fills_of(path) == 0


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"execution": "simulation: {latency: 12}"}, "12 bars after its decision"),
        ({"execution": instrument("min_notional: 499")}, ""),
        ({"risk": f"{HALF}, limits: {{max_order_value: 500}}"}, ""),
        ({"risk": "sizing: {use: fixed_quantity, quantity: 1}"}, ""),
        ({"execution": "order: {use: limit, offset: 1bps}"}, ""),
        ({"execution": "order: {use: stop, offset: 1bps}"}, ""),
    ],
)
def test_what_trades_is_no_error(
    septet: Command, tmp_path: Path, keys: dict[str, str], text: str
) -> None:
    code, output = checked(septet, strategy(tmp_path, **keys))
    assert code == 0
    assert text in output
    assert bool(output) == bool(text), output


def test_an_instrument_that_became_too_dear_is_a_warning(septet: Command, tmp_path: Path) -> None:
    frame = clean(120)
    rises = pl.int_range(120) * 0.02 + 1.0
    names = ("open", "high", "low", "close")
    frame.with_columns(pl.col(name) * rises for name in names).write_parquet(
        tmp_path / "BTCUSDT.parquet"
    )
    path = strategy(tmp_path, execution=instrument("lot: 4"))
    code, output = checked(septet, path)
    assert code == 0
    assert "the last included: one lot of 4 costs" in output
    assert fills_of(path) > 0


@pytest.mark.parametrize("fills", ["quotes", "book"])
def test_fills_that_a_backtest_cannot_have(septet: Command, tmp_path: Path, fills: str) -> None:
    path = strategy(tmp_path, execution=f"simulation: {{fills: {fills}}}")
    code, output = checked(septet, path)
    assert (code, f"{path}:9:33: error: execution.simulation.fills" in output) == (2, True), output
