"""Which keys change only numbers of the plan: checked against plans of whole settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet._config.load import Loaded, variant
from septet._shell.session import plan_of
from septet._sweep.space import Space, space_of
from septet._sweep.swept_parameters import Numbers, numbers_of
from tests.sweep.files import BASE, swept

pytestmark = pytest.mark.compiled

OVER_A_FEATURE = BASE.replace(
    "  slow: {use: sma, period: 100}",
    "  slow: {use: sma, period: 100}\n  smooth: {use: sma, of: slow, period: 7}",
).replace("long_if: fast > slow", "long_if: fast > smooth")


def asked(tmp_path: Path, section: str, **more: Any) -> tuple[Loaded, Space, Numbers]:
    loaded = swept(tmp_path, section, **more)
    space = space_of(loaded)
    return loaded, space, numbers_of(loaded, space)


def assert_exact(loaded: Loaded, space: Space, numbers: Numbers) -> None:
    """The numbers of every setting are those of its own plan, which has the same text."""
    assert numbers.enough, numbers.reasons
    settings = list(space.settings())
    vectors = numbers.vectors(settings)
    assert vectors.shape == (len(settings), len(numbers.plan.parameters))
    for setting, vector in zip(settings, vectors, strict=True):
        changed = variant(loaded, space.changes(setting))
        plan = plan_of(changed)
        assert plan.assembly.text == numbers.plan.assembly.text
        assert vector.tobytes() == plan.parameters.tobytes(), space.sets(setting)
        assert numbers.capital(setting) == changed.strategy.account.capital
        assert numbers.vector(setting).tobytes() == vector.tobytes()


def test_separate_keys(tmp_path: Path) -> None:
    loaded, space, numbers = asked(
        tmp_path,
        "{over: {features.fast.period: [5, 20], features.slow.period: [50, 100, 150], "
        "risk.stops.stop_loss: [2%, 4%], execution.simulation.fee: [0bps, 10bps, 20bps]}}",
    )
    assert_exact(loaded, space, numbers)
    assert not numbers.joints
    fast, slow, stop, fee = numbers.axes
    assert fast.touched.isdisjoint(slow.touched | stop.touched | fee.touched)
    assert fast.changes[1] == {}, "the value of the file changes nothing"
    assert slow.warmup_bars == (49, 99, 149)
    assert slow.memory_bars[0] < slow.memory_bars[2]


def test_capital_is_cash_and_no_number_of_the_plan(tmp_path: Path) -> None:
    loaded, space, numbers = asked(
        tmp_path, "{over: {account.capital: [500, 10000, 2e6], features.fast.period: [5, 20]}}"
    )
    assert_exact(loaded, space, numbers)
    capital = numbers.axes[0]
    assert capital.changes == ({}, {}, {})
    assert capital.capital == (500.0, 10_000.0, 2e6)
    assert {numbers.capital(each) for each in space.settings()} == {500.0, 10_000.0, 2e6}
    _, space, numbers = asked(tmp_path, "{over: {features.fast.period: [5, 20]}}")
    assert {numbers.capital(each) for each in space.settings()} == {10_000.0}


def test_two_keys_may_change_the_same_number(tmp_path: Path) -> None:
    """The warm-up of a mean of a mean is the sum of both: one number, two keys."""
    loaded, space, numbers = asked(
        tmp_path,
        "{over: {features.slow.period: [50, 100, 150], features.smooth.period: [7, 20], "
        "features.fast.period: [5, 20]}}",
        base=OVER_A_FEATURE,
    )
    slow, smooth, fast = numbers.axes
    assert slow.touched & smooth.touched
    assert not fast.touched & (slow.touched | smooth.touched)
    (joint,) = numbers.joints
    assert joint.keys == ("features.slow.period", "features.smooth.period")
    assert joint.axes == (0, 1)
    assert len(joint.changes) == 6
    assert_exact(loaded, space, numbers)


GAP = BASE.replace("  slow:", "  gap: {use: expr, formula: fast - slow}\n  slow:").replace(
    "long_if: fast > slow", "long_if: gap > 0"
)


def test_the_larger_of_two_numbers_is_seen_as_shared(tmp_path: Path) -> None:
    """Neither key alone moves the warm-up of the gap beyond the other; together they do."""
    loaded, space, numbers = asked(
        tmp_path,
        "{over: {features.fast.period: [5, 90], features.slow.period: [30, 100]}}",
        base=GAP,
    )
    fast, slow = numbers.axes
    assert not fast.touched & slow.touched
    (joint,) = numbers.joints
    assert joint.keys == ("features.fast.period", "features.slow.period")
    assert_exact(loaded, space, numbers)


def test_where_keeps_combinations_from_being_asked(tmp_path: Path) -> None:
    section = "{over: {features.fast.period: [5, 50, 90], features.slow.period: [30, 100]}"
    loaded, space, numbers = asked(
        tmp_path, section + ", where: fast.period < slow.period}", base=GAP
    )
    (joint,) = numbers.joints
    assert sorted(joint.changes) == [(0, 0), (0, 1), (1, 1), (2, 1)]
    assert_exact(loaded, space, numbers)


def test_what_the_file_refuses_is_known_beforehand(tmp_path: Path) -> None:
    base = BASE.replace("slow: {use: sma, period: 100}", "slow: {use: macd, fast: 12, slow: 26}")
    base = base.replace("fast > slow", "fast > slow_line")
    _, space, numbers = asked(
        tmp_path,
        "{over: {features.slow.fast: [5, 24], features.slow.slow: [20, 40]}}",
        base=base.replace("fast < slow", "fast < slow_line"),
    )
    refused = {setting.places: numbers.refused(setting) for setting in space.settings()}
    assert refused.pop((1, 0)) == "expected fast below slow, found 24 and 20"
    assert set(refused.values()) == {""}


def test_draws_are_not_loaded_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = swept(
        tmp_path,
        "{over: {risk.stops.stop_loss: {low: 1%, high: 10%, log: true}, "
        "account.capital: {low: 1000, high: 90000}}, trials: 300}",
    )
    space = space_of(loaded)
    loads: list[object] = []

    def counted(*given: Any, **more: Any) -> Any:
        loads.append(given)
        return plan_of(*given, **more)

    monkeypatch.setattr("septet._sweep.swept_parameters.plan_of", counted)
    numbers = numbers_of(loaded, space)
    assert len(loads) < 60
    monkeypatch.undo()
    assert_exact(loaded, space, numbers)


def test_windows_that_are_drawn_are_exact(tmp_path: Path) -> None:
    loaded, space, numbers = asked(
        tmp_path,
        "{over: {features.fast.period: {low: 2, high: 60}, features.slow.period: {low: 61, "
        "high: 200}, risk.sizing.fraction: {low: 10%, high: 90%}}, trials: 60}",
    )
    assert_exact(loaded, space, numbers)
    slow = numbers.axes[1]
    values = [value.number for value in space.axes[1].values]
    for value, bars in zip(values, slow.warmup_bars, strict=True):
        assert bars >= value - 1


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("{over: {features.slow.bar: [1h, 2h]}}", "features.slow.bar changes the bars"),
        ("{over: {data.candles.reset_after: [10, 20]}}", "reaches beyond the plan"),
        (
            "{over: {execution.instruments.BTC/USD.lot: [0.01, 0.1]}}",
            "execution.instruments.BTC/USD.lot reaches beyond the plan",
        ),
        (
            "{over: {signal.exit.after: [5, 10]}}",
            "signal.exit.after=5 changes the text of the plan",
        ),
    ],
)
def test_keys_that_are_more_than_numbers(tmp_path: Path, section: str, reason: str) -> None:
    base = BASE + "".join(
        "  instruments: {BTC/USD: {lot: 0.01, tick: 0.01, min_notional: 1}}\n"
        if "instruments" in section
        else ""
    )
    _, _, numbers = asked(tmp_path, section, base=base)
    assert not numbers.enough
    assert any(reason in each for each in numbers.reasons), numbers.reasons


def test_a_model_learns_from_its_features(tmp_path: Path) -> None:
    base = BASE.replace(
        "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}",
        "signal: {use: confidence, threshold: 0.1}\n"
        "model: {use: sklearn, estimator: LogisticRegression, label: {use: direction}}",
    )
    _, _, numbers = asked(
        tmp_path, "{over: {features.fast.period: [5, 20], signal.threshold: [0.1, 0.2]}}", base=base
    )
    assert numbers.reasons == ("features.fast.period changes what the model learns from",)
    assert list(numbers.axes[1].changes[1].values()) == [0.2]
