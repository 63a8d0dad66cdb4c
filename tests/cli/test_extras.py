"""What a first run does not need is installed by extras, and missed by name, with the command."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from septet import _extras
from septet._data.calendars import load_calendar
from septet._learn.onnx_model import OnnxModel, convert
from septet.errors import InputError
from septet_plugins.exchange.clients import Terms, make_client
from tests.cli.conftest import Command

HOURS = """\
version: 1
name: hours
account: {capital: 10000, currency: USD}
universe:
  symbols: [BTC/USD]
  bar: 15m
  trading_hours: {open: XNYS}
data: {candles: {use: sample}}
signal: {use: rules, long_if: close > 1}
risk: {sizing: {use: fraction, fraction: 10%}}
execution: {simulation: {fee: 10bps, slippage: 0}}
"""


def test_each_is_installed_by_the_extra_that_is_named() -> None:
    asked = importlib.metadata.metadata("septet").get_all("Requires-Dist") or []
    for package, extra in _extras._EXTRAS.items():
        distribution = package.replace("_", "-")
        assert any(
            each.startswith(distribution) and f"extra == '{extra}'" in each.replace('"', "'")
            for each in asked
        ), package


def test_a_calendar_without_its_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, septet: Command
) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(InputError, match="the calendar XNYS needs the package exchange_") as missed:
        load_calendar("XNYS", 0, 10**15)
    assert missed.value.hint == "pip install 'septet[calendars]'"
    assert load_calendar("24x7", 0, 10**15).name == "24x7"
    assert load_calendar("XFX", 0, 10**15).name == "XFX"
    file = tmp_path / "hours.yaml"
    file.write_text(HOURS, "utf-8")
    done = septet("check", file)
    assert done.code == 2
    assert ":7:" in done.err + done.out
    assert "pip install 'septet[calendars]'" in done.err + done.out


def test_an_exchange_without_its_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, septet: Command
) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(InputError, match="the exchange binance needs the package ccxt") as missed:
        make_client(Terms("binance"))
    assert missed.value.hint == "pip install 'septet[ccxt]'"
    done = septet(
        "data", "fetch", "--exchange", "binance", "--symbol", "BTC/USDT", "--bar", "1h",
        "--since", "2024-01-01", "--store", tmp_path,
    )  # fmt: skip
    assert done.code == 2
    assert "the exchange binance needs the package ccxt" in done.err
    assert "pip install 'septet[ccxt]'" in done.err


def test_an_estimator_without_the_converter(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    chance = np.random.default_rng(1)
    x, y = chance.normal(size=(50, 3)), chance.integers(0, 2, 50)
    fitted = KNeighborsClassifier().fit(x, y)
    data = np.frombuffer(convert(fitted, "probability", 3, double=True), dtype=np.uint8)
    arrays = {
        "plan": np.array([3, 0, 1, 0, 0]), "numbers": np.zeros(1), "session_0": data,
    }  # fmt: skip
    for package in ("skl2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=f"needs the package {package}") as missed:
            convert(fitted, "probability", 3, double=True)
        assert missed.value.hint == "pip install 'septet[onnx]'"
        monkeypatch.undo()
    for package in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match="a model in ONNX format needs the package onnx"):
            OnnxModel.from_arrays(arrays)
        monkeypatch.undo()


def test_agents_without_the_extra_get_its_name(
    septet: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    done = septet("mcp", str(tmp_path))
    assert done.code == 2
    assert "septet mcp needs the package mcp" in done.err
    assert "pip install 'septet[mcp]'" in done.err
