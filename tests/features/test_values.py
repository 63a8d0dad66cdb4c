"""What features compute: by the kit, by the planner, beside TA-Lib and beside plain twins.

One file, so that one process compiles each step once for all of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from septet._config import load
from septet._core.batch import Batch
from septet._shell.session import Session, open_session
from septet.testing import (
    check_component,
    check_rule,
    features_of,
    flat_bars,
    run_feature,
    same_bits,
    sample_bars,
)
from septet.testing.bars import HOUR_NS, Columns, columns_of
from septet.testing.evaluate import resolve
from tests.features import exact
from tests.features.cases import ABSORBS, CASES
from tests.features.oracle import COMPARISONS, Comparison, Outcome, compare, count_excused
from tests.features.twins import BARS, FIRST, TWINS, Twin

# ------------------------------------------------------------ the kit that strangers use

FEATURES = features_of("septet")
EACH = [(name, settings) for name, rows in CASES.items() for settings in rows]


def test_every_feature_has_a_case() -> None:
    assert sorted(CASES) == sorted(FEATURES)


@pytest.mark.parametrize(("name", "settings"), EACH, ids=[f"{n}-{s}" for n, s in EACH])
def test_conforms(name: str, settings: dict[str, Any]) -> None:
    declaration = FEATURES[name]
    config = declaration.config(**settings)
    if declaration.kind == "across":
        check_rule(declaration, config)
    else:
        check_component(declaration, config, absorbs_nan=name in ABSORBS)


# ------------------------------------------- the planner: the bits of the kit's evaluator

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


PLANNED = {
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
        "features": {key: {"use": name, **settings} for key, (name, settings) in PLANNED.items()},
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


@pytest.mark.parametrize("key", list(PLANNED))
def test_planned_equals_evaluated(planned: tuple[Session, Any], key: str) -> None:
    session, features = planned
    name, settings = PLANNED[key]
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


# ---------------------------------- TA-Lib: where it does not agree, exact arithmetic decides


def _bars(seed: int, *, tick: float) -> Columns:
    """Moving bars; prices on a tick grid, as real ones are, where `tick` is not zero."""
    bars = sample_bars(4_200, seed=seed, gaps=False, flats=False)
    bars["other"] = sample_bars(4_200, seed=seed + 1, gaps=False, flats=False)["close"]
    if tick:
        for name in ("open", "high", "low", "close", "other"):
            bars[name] = np.round(bars[name] / tick) * tick
    return bars


MOVING = [_bars(3, tick=0.0), _bars(5, tick=0.01)]


@pytest.mark.parametrize("each", COMPARISONS, ids=lambda each: each.feature)
def test_agrees_with_talib(each: Comparison) -> None:
    for bars in MOVING:
        outcome = compare(each, bars, Outcome())
        assert outcome.rows > 1_000
        assert outcome.flat == 0
        assert len(outcome.beyond) == count_excused(each, bars, outcome), outcome.beyond[:3]


def test_most_features_have_an_exact_oracle() -> None:
    for each in COMPARISONS:
        if each.feature not in ("mfi", "correlation"):
            assert not compare(each, MOVING[0], Outcome()).beyond, each.feature


def test_talib_drifts_where_exact_arithmetic_does_not() -> None:
    bars = sample_bars(2_000, gaps=False, flats=False)
    # A quiet stretch at a high price: squares of prices leave nothing but rounding.
    quiet = np.random.default_rng(2).normal(0.0, 1e-5, 1_000)
    bars["close"][1_000:] = 60_000.0 + quiet
    each = next(each for each in COMPARISONS if each.feature == "bollinger_percent")
    outcome = compare(each, bars, Outcome())
    assert len(outcome.beyond) > 900
    assert count_excused(each, bars, outcome) == len(outcome.beyond)


@pytest.mark.parametrize(
    "name",
    ["bollinger_percent", "stochastic_fast", "williams_r", "cci", "rsi_simple", "rsi", "zscore",
     "mfi", "dx", "skew", "kurtosis", "autocorrelation"],
)  # fmt: skip
def test_a_flat_market_has_no_answer(name: str) -> None:
    step = resolve(name)
    values = run_feature(step, step.config(), flat_bars(300))["value"]
    assert np.isnan(values).all()


@pytest.mark.parametrize("name", ["deviation", "bollinger_width", "volatility", "momentum", "roc"])
def test_a_flat_market_has_no_spread(name: str) -> None:
    step = resolve(name)
    values = run_feature(step, step.config(), flat_bars(300))["value"]
    assert (values[40:] == 0.0).all()


def test_exact_roots_are_exact() -> None:
    from fractions import Fraction

    assert float(exact.root(Fraction(2))) == 2.0**0.5
    assert exact.root(Fraction(49, 64)) == Fraction(7, 8)


# -------------------------------------------- a twin written from the feature's definition


@pytest.mark.parametrize(
    ("name", "settings", "twin"), TWINS, ids=[f"{name}-{settings}" for name, settings, _ in TWINS]
)
def test_agrees_with_its_twin(name: str, settings: dict[str, Any], twin: Twin) -> None:
    step = resolve(name)
    found = list(run_feature(step, step.config(**settings), BARS).values())
    for i in range(FIRST, 260):
        expected = twin(BARS, i)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for values, each in zip(found, expected, strict=True):
            assert values[i] == pytest.approx(each, rel=1e-9, abs=1e-9)


def test_supertrend_agrees_with_its_twin() -> None:
    step = resolve("supertrend")
    found = run_feature(step, step.config(), BARS)
    atr = run_feature(resolve("atr"), resolve("atr").config(period=10), BARS)["value"]
    high, low, close = BARS["high"], BARS["low"], BARS["close"]
    middle = (high + low) / 2
    upper, lower, side = math.inf, -math.inf, 0
    flips = 0
    for i in range(10, 260):
        above, below = middle[i] + 3 * atr[i], middle[i] - 3 * atr[i]
        if i == 10:
            upper, lower, side = above, below, 1 if close[i] >= middle[i] else -1
        else:
            upper = above if above < upper or close[i - 1] > upper else upper
            lower = below if below > lower or close[i - 1] < lower else lower
            before = side
            side = 1 if close[i] > upper else -1 if close[i] < lower else side
            # A close beyond the level it trails turns it; the other level cannot turn it.
            if before == 1 and side == 1 and close[i] < lower:
                side = -1
            flips += side != before
        assert found["direction"][i] == side
        assert found["level"][i] == pytest.approx(lower if side > 0 else upper)
    assert flips > 3


def test_lag_of_one_number_keeps_the_features_name() -> None:
    step = resolve("lag")
    assert step.output_names(step.config(by=3)) == ("",)
    assert step.output_names(step.config(by=[3, 5])) == ("3", "5")


def test_a_missing_value_stays_missing_unless_set() -> None:
    step = resolve("series")
    values = run_feature(step, step.config(of="mood"), BARS)["value"]
    assert np.array_equal(values, BARS["mood"], equal_nan=True)


def test_rank_across_the_universe() -> None:
    from septet._host.plugin_registry import Host
    from septet._kernel.step import compile_step

    step = Host().declaration("features", "cross_rank")
    values = np.array([3.0, 1.0, np.nan, 3.0, 9.0])
    expected = [0.5, 0.0, math.nan, 0.5, 1.0]
    for function in (step.function, compile_step(step.function)):
        found = [function(k, values) for k in range(5)]
        assert np.array_equal(found, expected, equal_nan=True)
        assert math.isnan(function(0, np.array([2.0, np.nan])))


@pytest.mark.parametrize("step", ["obv", "macd"])
def test_settings_that_contradict_are_refused(step: str) -> None:
    from pydantic import ValidationError

    wrong: dict[str, dict[str, Any]] = {
        "obv": {"window": 5, "anchor": "day"},
        "macd": {"fast": 26, "slow": 12},
    }
    with pytest.raises(ValidationError, match="expected"):
        resolve(step).config(**wrong[step])


def test_annualised_by_the_bar() -> None:
    step = resolve("volatility")
    config = step.config(annualise="252d")
    daily = run_feature(step, config, BARS, bar_ns=24 * HOUR_NS)["value"]
    plain = run_feature(step, step.config(), BARS)["value"]
    assert daily[-1] == pytest.approx(plain[-1] * math.sqrt(252))
