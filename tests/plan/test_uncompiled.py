"""A plugin without a compiled step still runs: same text, same bits, and the run reports it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._kernel import layout
from septet._plan.plain import COMPILE
from septet._shell.backtest import backtest, run_batch
from septet._shell.session import open_session
from tests.plan.strangers import host_with_strangers

pytestmark = pytest.mark.compiled

STRATEGY = """\
version: 1
name: strange
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 400, volatility: 90%%}}
features:
  far: {use: strangers:%s, period: 4}
signal: {use: rules, long_if: far > 0.001, exit_if: far < -0.001}
risk:
  sizing: {use: fixed_fraction, fraction: 50%%}
  stops: {stop_loss: 2%%}
"""


@pytest.fixture
def loaded(tmp_path):
    def make(use: str):
        path = tmp_path / f"{use}.yaml"
        path.write_text(STRATEGY % use, encoding="utf-8")
        return load(path, host=host_with_strangers())

    return make


def test_a_step_without_a_compiler_gives_the_same_bits(loaded):
    outcomes = []
    for use in ("reach", "reach_plain"):
        session = open_session(loaded(use))
        assert session.plan.compiled
        assert session.plan.assembly.slow_columns == ((use,) if use == "reach_plain" else ())
        with np.errstate(all="ignore"):
            outcomes.append((session.first, run_batch(session)[0]))
    (first, ours), (_, theirs) = outcomes
    assert len(ours.LI) > 30
    assert ours.LI.tobytes() == theirs.LI.tobytes()
    assert ours.LF.tobytes() == theirs.LF.tobytes()
    for row in (layout.G_EQUITY, layout.G_CASH, layout.G_EXPOSURE):
        assert ours.G[row, first:].tobytes() == theirs.G[row, first:].tobytes()


def test_the_run_names_which_part_made_it_slow(loaded, monkeypatch):
    monkeypatch.setenv(COMPILE, "always")
    logged: list[str] = []
    result = backtest(loaded("reach_plain"), log=logged.append)
    assert any("reach_plain has no compiled step" in text for text in logged)
    assert any("reach_plain" in note for note in result.notes)
    assert any("its own column runs uncompiled" in text for text in logged)
    assert result.manifest["compiled"] is True
    assert result.manifest["slow_parts"] == ["reach_plain"]
    quick = backtest(loaded("reach"), log=logged.append)
    assert quick.manifest["slow_parts"] == []


def test_both_engines_run_it(loaded):
    curves = []
    for engine in ("batch", "event"):
        table: Any = backtest(loaded("reach_plain"), engine=engine).equity
        curves.append(np.asarray(table["equity"]).tobytes())
    assert curves[0] == curves[1]
