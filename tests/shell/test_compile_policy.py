"""Short histories run as plain Python, long ones compile; an error of arithmetic compiles too."""

from __future__ import annotations

import linecache
import math
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._kernel.three_valued_logic import raised
from septet._plan.plain import COMPILE
from septet._shell import backtest as shell
from septet._shell.backtest import backtest
from septet._shell.compile_policy import PLAIN_BARS, _last, choose_plain, plain_bars
from septet._shell.session import open_session
from septet.errors import InputError
from tests.plan.strangers import host_with_strangers

ROOT = Path(__file__).resolve().parents[2]
STRATEGY = """\
version: 1
name: short
universe: {symbols: [BTC/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: %d, volatility: 90%%}}
features:
  fast: {use: sma, period: 5}
  slow: {use: %s}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 50%%}
  stops: {stop_loss: 2%%}
"""


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))

    def make(bars: int = 400, slow: str = "sma, period: 20") -> Any:
        path = tmp_path / "strategy.yaml"
        path.write_text(STRATEGY % (bars, slow), encoding="utf-8")
        return open_session(load(path, host=host_with_strangers()))

    return make


@pytest.mark.parametrize(
    ("setting", "bars", "plain"),
    [("auto", 400, True), ("auto", PLAIN_BARS + 1, False), ("always", 400, False),
     ("never", PLAIN_BARS + 1, True), ("", 400, True)],
)  # fmt: skip
def test_the_length_of_the_history_decides(setting, bars, plain, opened, monkeypatch):
    monkeypatch.setenv(COMPILE, setting)
    session = opened(bars)
    assert plain_bars(session) == bars
    choose_plain(session)
    assert session.plan.plain is plain
    assert session.plan.compiled is not plain


def test_a_window_that_is_read_whole_counts_as_more_bars(opened):
    """A rank reads its window on every bar, a mean keeps its sum."""
    assert plain_bars(opened(400, "sma, period: 300")) == 400
    assert plain_bars(opened(400, "rank, period: 300")) > 5 * 400


def test_a_window_of_an_inner_feature_is_not_read_again(opened):
    """A rank of 30 values reads 30, however far back each of them looks."""
    assert plain_bars(opened(400, "rank, of: fast, period: 30")) == 600
    assert plain_bars(opened(400, "rank, period: 30")) == 600


def test_a_window_that_plain_python_reads_by_numpy_counts_no_more():
    """The regime of the demo reads 1,344 values a bar, in some microseconds."""
    session = open_session(load(ROOT / "strategies" / "demo.yaml"))
    assert max(node.reach for node in session.plan.assembly.graph.nodes) == 1_344
    assert plain_bars(session) == sum(session.aligned.lengths)


def test_correlations_are_of_entries_and_not_of_every_bar():
    """Of the bundled shares one bar in 25 asks for a size; 12,154 bars stay a short history."""
    session = open_session(load(ROOT / "strategies" / "us-stocks.yaml"))
    assert session.plan.assembly.lookback_times > 100
    assert sum(session.aligned.lengths) < plain_bars(session) < PLAIN_BARS


def test_windows_of_forecasts_count_at_each_rebalance():
    """Once a week they are read at once by numpy; on each day it is as much as a long history."""
    file = ROOT / "strategies" / "us-stocks-forecasts.yaml"
    weekly = open_session(load(file))
    assert sum(weekly.aligned.lengths) < plain_bars(weekly) < PLAIN_BARS
    daily = open_session(load(file, sets=["portfolio.rebalance.every=1 bars"]))
    assert plain_bars(daily) > PLAIN_BARS


@pytest.mark.parametrize("slow", ["rsi", "parabolic_sar", "ema, period: 300"])
def test_an_average_that_renews_itself_now_and_then_is_no_window(slow, opened):
    """Its memory of hundreds of bars is worked through once in as many, and not on each."""
    name = f"{slow}, period: 14" if slow == "rsi" else slow
    assert plain_bars(opened(400, name)) == 400


def test_another_word_is_refused(opened, monkeypatch):
    monkeypatch.setenv(COMPILE, "sometimes")
    with pytest.raises(InputError, match="SEPTET_COMPILE is 'sometimes'") as caught:
        choose_plain(opened())
    assert caught.value.hint == "it may be auto (the default), always or never"


def test_a_plain_run_records_it_and_compiles_nothing(opened, monkeypatch):
    monkeypatch.setenv(COMPILE, "auto")
    logged: list[str] = []
    result = backtest(opened().loaded, log=logged.append)
    assert result.manifest["compiled"] is False
    assert result.manifest["slow_parts"] == []
    assert result.manifest["work_bars"] == 400
    assert not any("compil" in text for text in logged)


def test_what_plain_python_cannot_divide_is_compiled(opened, monkeypatch):
    """Compiled code answers inf where plain Python raises: the run is that of compiled code."""
    monkeypatch.setenv(COMPILE, "auto")
    session, ways, logged = opened(), list[bool](), list[str]()

    def run_batch(session: Any, *_: Any) -> Any:
        ways.append(session.plan.plain)
        if session.plan.plain:
            raise RuntimeError("a step failed") from ZeroDivisionError("float division by zero")
        raise _Reached

    monkeypatch.setattr(shell, "run_batch", run_batch)
    monkeypatch.setattr(type(session.plan), "entries", property(lambda plan: None))
    with pytest.raises(_Reached):
        backtest(session.loaded, log=logged.append)
    assert ways == [True, False]
    assert logged[-1] == (
        "compiling after all: plain Python stops at ZeroDivisionError: float division by zero"
    )


class _Reached(Exception):
    """The second run was begun."""


def test_a_traceback_shows_the_lines_of_the_text(opened):
    plan = opened().plan
    plan.run_plain()
    with pytest.raises(TypeError):
        plan.module.observe()
    assert "def observe(" in "".join(linecache.getlines(f"<{plan.name}>"))


def test_causes_that_go_in_a_circle_end() -> None:
    error, cause = ValueError("one"), ZeroDivisionError("two")
    error.__cause__, cause.__cause__ = cause, error
    assert _last(error) == "ZeroDivisionError: two"


def test_a_power_without_a_finite_exponent_is_nan() -> None:
    for exponent in (math.inf, -math.inf, math.nan):
        assert math.isnan(raised(2.0, exponent))
    assert raised(9999.0, 9999.0) == math.inf
