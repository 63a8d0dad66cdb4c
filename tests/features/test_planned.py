"""Features through the planner: the generated loops give the bits of the kit's evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from septet._config import load
from septet._core.batch import Batch
from septet._shell.session import Session, open_session
from septet.testing import run_feature, same_bits
from septet.testing.bars import columns_of
from septet.testing.evaluate import resolve
from tests.features.cases import CASES

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
OTHER = {"other": "volume", "close@ETH/USDT": "close@ETH/USDT"}
# One of each way to be planned: stateless, sums, moments, extremes, recursive, replayed, with
# inner features, many outputs, anchored, of another symbol. Each more costs a second to compile.
CHOSEN = (
    "adx", "autocorrelation", "calendar", "correlation", "drawdown", "ema", "kurtosis", "lag",
    "macd", "obv", "parabolic_sar", "rsi", "stochastic", "supertrend", "volatility", "vwap", "wma",
)  # fmt: skip


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, **({"to": OTHER[settings["to"]]} if settings.get("to") in OTHER else {})}


EACH = {
    f"f{n}_{name}": (name, _settings(settings))
    for n, (name, settings) in enumerate(
        (name, settings)
        for name in CHOSEN
        for settings in CASES[name][-2:]
        if settings or name not in ("obv", "drawdown")
    )
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Any]:
    """Open a session with every feature over two symbols with gaps, and compute them all."""
    strategy = {
        "version": 1,
        "name": "every-feature",
        "universe": {"symbols": SYMBOLS, "bar": "1h"},
        "data": {"candles": {"use": "synthetic", "bars": 900, "seed": 5, "gaps": 4}},
        "features": {key: {"use": name, **settings} for key, (name, settings) in EACH.items()},
        "signal": {"use": "rules", "long_if": "close > open"},
        "risk": {"sizing": {"use": "fixed_fraction", "fraction": "10%"}},
        "execution": {"venues": {"sim": {"use": "simulated", "fee": "10bps", "slippage": "0bps"}}},
    }
    path: Path = tmp_path_factory.mktemp("every") / "every.yaml"
    path.write_text(yaml.safe_dump(strategy, sort_keys=False), encoding="utf-8")
    session = open_session(load(path))
    batch = Batch(session.plan, session.aligned, session.plan.state(1.0, session.instruments))
    batch.observe(0, session.aligned.times)
    return session, batch.F


@pytest.mark.parametrize("key", list(EACH))
def test_planned_equals_evaluated(planned: tuple[Session, Any], key: str) -> None:
    session, features = planned
    name, settings = EACH[key]
    step = resolve(name)
    config = step.config(**settings)
    assembly = session.plan.assembly
    ether = session.market.bars["ETH/USDT"]
    for k, symbol in enumerate(SYMBOLS):
        table = session.market.bars[symbol]
        bars = columns_of(table)
        if settings.get("to") == "close@ETH/USDT":
            if len(ether) != len(table):
                continue
            bars["close@ETH/USDT"] = ether.close
        for output, values in run_feature(step, config, bars, bar_ns=table.bar_ns).items():
            row = assembly.features[key if output == "value" else f"{key}_{output}"]
            found = np.ascontiguousarray(features[k, row, : len(table)])
            same = same_bits(found, values)
            assert same.all(), (symbol, output, int(np.argmin(same)), found[~same], values[~same])
