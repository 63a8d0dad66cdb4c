"""Numbers that no rule may answer: refused or acted on as documented, and counted."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._host.guarded_arrays import StepError
from septet._results.invalid_answers import invalid_answer_rows
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from septet.testing.ranges import answers_of, try_rule
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

SOURCE = """
from septet.plugin import order, regime

VALUES = (math.nan, math.inf, -math.inf, -1.0, -1e300, 1e300, 5e-324, 0.0, 7.0, 0.5)


@helper
def odd(price, sound):
    number = int(price * 100.0) % 20
    return VALUES[number] if number < 10 else sound


@sizing(Plain)
def odd_size(equity, price, share):
    return odd(price, share * equity / price)


@limit(Plain)
def odd_limit(requested, price, share):
    return odd(price, abs(requested))


@order(Plain)
def odd_limit_price(side, price, share):
    return odd(price, price * (1.0 + 0.001 * side)), math.nan


@order(Plain)
def odd_trigger(side, price, share):
    return math.nan, odd(price, price * (1.0 + 0.001 * side))


@signal(Plain)
def odd_side(price, share):
    return odd(price, 1.0), 0.5, -1.0


@signal(Plain)
def odd_confidence(price, share):
    return 1.0, odd(price, 0.5), -1.0


@signal(Plain)
def odd_reason(price, share):
    return math.nan if int(price) % 2 else 1.0, 0.5, odd(price, -1.0)


@stop(Plain)
def odd_stop(average_price, high_water, side, now_ns, entry_ns, share):
    sound = average_price * (1.0 - 0.05 * side)
    if now_ns - entry_ns < 7_200_000_000_000:
        return sound
    return odd(average_price, sound)


@stop(Plain)
def late_stop(average_price, high_water, side, now_ns, entry_ns, share):
    if now_ns - entry_ns > 7_200_000_000_000:
        return high_water * (1.0 + 30.0 * side)
    return average_price * (1.0 - 0.1 * side)


@stop(Plain)
def low_stop(average_price, high_water, side, share):
    below = -1.0 if int(average_price) % 2 else -math.inf
    return below if side > 0.0 else math.inf


@stop(Plain, role="target")
def odd_target(average_price, side, share):
    return math.inf if int(average_price) % 2 else average_price * (1.0 + 0.02 * side)


@stop(Plain, role="target")
def wrong_target(average_price, side, share):
    return average_price * (1.0 - 0.02 * side)


@stop(Plain, role="exit")
def odd_exit(average_price, side, now_ns, entry_ns, share):
    return math.nan if now_ns > entry_ns else 0.0


@halt(Plain)
def odd_halt(equity, peak, share):
    return math.nan if equity < 0.999 * peak else 0.0


@regime(Plain, reasons=("calm", "wild"))
def odd_regime(i, close, share):
    return VALUES[int(close[i] * 100.0) % 10] if int(close[i]) % 2 else 1.0
"""
KINDS = {
    "odd_size": ("risk", "sizing"), "odd_limit": ("risk", "limit"),
    "odd_limit_price": ("execution", "order"), "odd_trigger": ("execution", "order"),
    "odd_side": ("signals", "signal"), "odd_confidence": ("signals", "signal"),
    "odd_reason": ("signals", "signal"), "odd_stop": ("risk", "stop"),
    "late_stop": ("risk", "stop"), "low_stop": ("risk", "stop"),
    "odd_target": ("risk", "stop"), "wrong_target": ("risk", "stop"),
    "odd_exit": ("risk", "stop"), "odd_halt": ("risk", "halt"),
    "odd_regime": ("signals", "regime"),
}  # fmt: skip
NAMED = {"odd_target": "target", "wrong_target": "target", "odd_exit": "exit"}
SIZING, STOPS = "{use: fixed_fraction, fraction: 50%}", "{stop_loss: 2%}"
RULES = "{use: rules, long_if: far > 0.001, exit_if: far < -0.001}"


def strategy_with(name: str) -> str:
    kind = KINDS[name][1]
    text = STRATEGY.format(plugins="plugins: [odd-answers]", feature="{use: roc, period: 2}")
    if kind == "sizing":
        return text.replace(SIZING, f"{{use: {name}}}")
    if kind == "limit":
        return text + f"  limits: {{mine: {{use: {name}}}}}\n"
    if kind == "stop":
        return text.replace(STOPS, f"{{mine: {{use: {name}}}}}")
    if kind == "halt":
        halts = f"  halts: {{mine: {{use: {name}, then: block_entries, resume: 20h}}}}\n"
        return text + halts
    if kind == "regime":
        return text.replace(RULES, f"{RULES[:-1]}, regime: {{use: {name}, trade_in: [wild]}}}}")
    if kind == "signal":
        return text.replace(RULES, f"{{use: {name}}}")
    return text + f"execution: {{order: {{use: {name}}}}}\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    files = {"steps.py": HEAD + SOURCE, "manifest.py": manifest_of("odd_answers", KINDS)}
    write_package(folder, "odd-answers", files)
    return folder


def ran(package: Path, name: str, engine: str) -> tuple[Any, dict[str, pl.DataFrame]]:
    path = package / f"{name}.yaml"
    path.write_text(strategy_with(name), encoding="utf-8")
    with installed(package, "odd_answers"):
        result = backtest(load(path, unchecked=True), engine=engine)
    return result, frames_of(result)


def assert_books_agree(result: Any, frames: dict[str, pl.DataFrame]) -> None:
    """Fills lie in their bars but for slippage; trades sum to equity; costs are of prices."""
    (table,) = result.bars.values()
    slip = 0.01
    for time, price in frames["fills"].select(pl.col("time").to_physical(), "price").iter_rows():
        n = int(np.searchsorted(table.known_ns, time))
        assert table.low[n] * (1.0 - slip) <= price <= table.high[n] * (1.0 + slip)
    summary = summarise(result, frames, run_id="r")
    gained = summary["final_equity"] - summary["initial_capital"]
    total = float(frames["trades"].get_column("pnl").sum())
    assert total == pytest.approx(gained, abs=1e-9 * summary["initial_capital"])
    turned_over = float((frames["fills"]["price"] * frames["fills"]["quantity"]).sum() or 0.0)
    assert abs(summary["slippage"]) <= 0.1 * turned_over


@pytest.mark.parametrize("name", list(KINDS))
def test_invalid_answers_are_counted_and_the_books_hold(package: Path, name: str) -> None:
    result, frames = ran(package, name, "batch")
    assert_books_agree(result, frames)
    (found,) = invalid_answer_rows(result)
    assert (found["plugin"], found["kind"]) == (name, NAMED.get(name, KINDS[name][1]))
    assert int(found["times"]) > 0
    assert str(found["first"]).startswith("20")
    other, events = ran(package, name, "event")
    for table in ("decisions", "orders", "fills", "trades", "equity"):
        assert frames[table].equals(events[table], null_equal=True), table
    assert invalid_answer_rows(other) == [found]


def test_no_invalid_size_is_granted(package: Path) -> None:
    _, frames = ran(package, "odd_size", "batch")
    for side in frames["decisions"].filter(pl.col("granted") != 0.0)["requested"]:
        assert 0.0 < side < math.inf


DIVIDES = """
@sizing(Over)
def bare(equity, price, of, period):
    return equity * 0.001 / of / price


@sizing(Over)
def guarded(equity, price, of, period):
    return equity * 0.001 / of / price if of > 1e-9 else 0.0
"""


def test_the_kit_divides_by_a_volatility_of_zero(tmp_path: Path) -> None:
    files = {"steps.py": HEAD + DIVIDES, "manifest.py": manifest_of("odd_zero", {})}
    write_package(tmp_path, "odd-zero", files)
    with installed(tmp_path, "odd_zero"):
        steps = import_module("odd_zero.steps")
        for name, fails in (("bare", True), ("guarded", False)):
            step = getattr(steps, name)
            config = step.config()
            assert len(answers_of(step, config)) > 60
            if fails:
                with pytest.raises(StepError, match="asks for a quantity of inf"):
                    try_rule(step, config)
            else:
                try_rule(step, config)
