"""The kit catches what it claims to catch: each component here breaks one rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from septet.errors import PluginError
from septet.hookspecs import Component, Layer, hookimpl
from septet.plugin import Config, Step, fading, feature, limit, window
from septet.plugin.numeric import divide, finite, roll, window_sum
from septet.testing import (
    ConformanceError,
    check_component,
    check_package,
    check_rule,
    flat_bars,
    memory_of,
    run_feature,
    sample_bars,
)
from septet.testing.evaluate import resolve
from tests.testing.bad_plugins import (
    Over,
    divides_by_nothing,
    keeps_a_nan,
    leaves_its_range,
    reads_before_the_first,
    reads_the_future,
)


@feature(Over, lookback=lambda c: c.period)
def sound(i: int, of: Any, period: int) -> Any:
    return of[i] - of[i - period]


def _misnamed(i: int, of: Any, perod: int) -> Any:
    return of[i] - of[i - perod]


def _stateless(i: int, of: Any, state: Any) -> Any:
    return of[i] + state[0]


misnamed = Step("feature", Over, _misnamed, lookback=lambda c: c.period)  # past the decorator
stateless = Step("feature", Over, _stateless)


@feature(Over, lookback=lambda c: 1)
def hoards(i: int, of: Any, age: int, period: int) -> Any:
    return of[i] - of[i - min(age, 3 * period)]


@feature(Over, state=("one",))
def overflows(i: int, of: Any, state: Any) -> Any:
    state[1] = of[i]
    return state[1]


@feature(Over, state=("value",), memory=lambda c: fading(36 * (c.period + 1)))
def naive_ema(i: int, of: Any, state: Any, period: int) -> Any:
    if not finite(of[i]):
        return of[i]
    if state[0] == 0.0:
        state[0] = of[i]
    state[0] += (of[i] - state[0]) * 2.0 / (period + 1)
    return state[0]


@feature(
    Over,
    state=("count", "total"),
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def naive_sma(i: int, of: Any, state: Any, period: int) -> Any:
    if state[0] == 0.0 or not finite(state[1]):
        state[0] = 1.0
        state[1] = 0.0
        for back in range(period):
            state[1] += of[i - back]
    else:
        state[1] += of[i] - of[i - period]
    return state[1] / period


@feature(
    Over,
    state=("anchor", "total"),
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(3 * c.period),
)
def late_renewal(i: int, of: Any, slot: Any, state: Any, period: int) -> Any:
    if slot[i] >= state[0] or not finite(state[1]):
        state[0] = (slot[i] // (2 * period) + 1) * 2 * period
        state[1] = 0.0
        for back in range(period):
            state[1] += of[i - back]
    else:
        state[1] += of[i] - of[i - period]
    return state[1] / period


@feature(Over, lookback=lambda c: 1)
def late(i: int, of: Any, period: int) -> Any:
    return divide(of[i], of[i - 1]) if of[i - 1] > 1e9 else np.nan


@feature(Over, lookback=lambda c: c.period)
def allocates(i: int, of: Any, period: int) -> Any:
    return np.zeros(3)[0] + of[i]


@feature(Over)
def rewrites(i: int, of: Any) -> Any:
    of[i] = 1.0
    return of[i]


@feature(Over)
def measures(i: int, of: Any) -> Any:
    return of[i] * (len(of) - len(of) + 1)


BROKEN = [
    (leaves_its_range, "at bar 0, and its value_range is 0 to 1"),
    (misnamed, "parameter 'perod' binds to nothing; did you mean period"),
    (stateless, "parameter 'state' binds to nothing .it declares no state"),
    (reads_the_future, r"reads of\[i \+ 1\]: the future"),
    (reads_before_the_first, "before its first; declare a larger lookback"),
    (hoards, "farther than the 2 bars it declares"),
    (overflows, r"uses state\[1\]; it declares 1 slots"),
    (divides_by_nothing, "is infinite in a flat market"),
    (naive_ema, "fading memory of 1116 bars that stand still"),
    (naive_sma, "window memory of 8 bars"),
    (late_renewal, "does not begin anew where it `renews`"),
    (late, "declare a longer lookback or warmup"),
    (keeps_a_nan, "is still NaN"),
    (rewrites, "writes to its input of"),
    (measures, "asks how long of is"),
]


def test_a_sound_component_passes() -> None:
    check_component(sound)


@pytest.mark.parametrize(("declaration", "message"), BROKEN, ids=lambda x: str(x)[:12])
def test_a_broken_rule_is_named(declaration: Any, message: str) -> None:
    periods = {naive_ema.function: 30}
    columns = dict.fromkeys((naive_sma.function, late_renewal.function), "volume")
    function = declaration.function
    config = Over(of=columns.get(function, "close"), period=periods.get(function, 4))
    with pytest.raises(ConformanceError, match=message):
        check_component(declaration, config)


def test_allocation_is_refused_and_reported() -> None:
    with pytest.raises(ConformanceError, match="does not compile"):
        check_component(allocates)


class Cap(Config):
    most: float = 10.0


@limit(Cap)
def cap(requested: Any, price: Any, most: Any) -> Any:
    return min(abs(requested), most / price) if price > 0.0 else 0.0


def _unknown_word(requested: Any, prise: Any) -> Any:
    return requested * prise


unknown_word = Step("limit", Cap, _unknown_word)


def test_a_decorator_refuses_what_nothing_gives_with_its_line() -> None:
    cases: list[Any] = [
        (feature(Over), _misnamed, "asks for 'perod'", "did you mean period"),
        (feature(Over), _stateless, "it declares no state", ""),
        (limit(Cap), _unknown_word, "asks for 'prise'", "did you mean price"),
        (limit(Cap), lambda requested, *more: requested, "takes *more; expected names only", ""),
    ]
    for decorator, function, message, hint in cases:
        with pytest.raises(PluginError) as caught:
            decorator(function)
        line = function.__code__.co_firstlineno
        assert caught.value.message.startswith(f"{__file__}:{line}: ")
        assert message in caught.value.message
        assert hint in caught.value.hint


def test_rules_are_checked_like_features() -> None:
    check_rule(cap)
    with pytest.raises(ConformanceError, match="'prise' binds to nothing; did you mean price"):
        check_rule(unknown_word)


def test_built_in_rules_conform() -> None:
    from septet._host.plugin_registry import Host

    host = Host()
    chosen: tuple[tuple[Layer, str], ...] = (
        ("risk", "kelly"), ("risk", "position"), ("risk", "price_collar"), ("risk", "correlated"),
        ("signals", "confidence"), ("signals", "rules"), ("execution", "limit"),
    )  # fmt: skip
    for layer, name in chosen:
        declaration = host.declaration(layer, name)
        check_rule(declaration, draws=50)


def test_run_feature_agrees_with_the_window_it_sums() -> None:
    bars = sample_bars(60)
    declaration = resolve("sma")
    for compiled in (True, False):
        value = run_feature(declaration, declaration.config(period=7), bars, compiled=compiled)
        assert np.isnan(value["value"][:6]).all()
        assert value["value"][59] == pytest.approx(bars["close"][53:60].mean(), rel=1e-14)


def test_memory_adds_up_along_inner_features() -> None:
    macd = resolve("macd")
    assert memory_of(macd, macd.config()).bars == 36 * 27 + 36 * 10 - 1
    obv = resolve("obv")
    assert memory_of(obv, obv.config()).kind == "unbounded"
    assert memory_of(obv, obv.config(window=5)).kind == "window"
    assert memory_of(obv, obv.config(anchor="week")).kind == "anchored"


def test_a_distribution_is_checked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import septet.testing.package as package
    from septet._host.plugin_registry import Host

    class Manifest:
        @hookimpl
        def septet_features(self) -> list[Component]:
            return [
                Component("features", "sound", f"{__name__}:sound"),
                Component("features", "wraps", f"{__name__}:reads_before_the_first"),
            ]

    monkeypatch.setattr(package, "Host", lambda: Host([("mine", "1", Manifest())]))
    assert sorted(package.features_of("mine")) == ["sound", "wraps"]
    with pytest.raises(ConformanceError, match="reads_before_the_first"):
        check_package("mine", {"sound": [{"period": 3}, {"period": 5}]})
    with pytest.raises(KeyError, match="brings no step 'sond'; it brings sound, wraps"):
        check_package("mine", {"sond": [{}]})


def test_bars_are_seeded_and_valid() -> None:
    bars = sample_bars(500)
    again = sample_bars(500)
    assert all((bars[name] == again[name]).all() for name in bars)
    assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
    assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
    assert (np.diff(bars["slot"]) >= 1).all()
    assert (np.diff(bars["slot"]) > 1).any()
    assert np.ptp(flat_bars(9)["close"]) == 0.0


def test_helpers_are_public() -> None:
    assert callable(roll)
    assert callable(window_sum)


def test_a_step_inside_a_function_is_refused_with_its_module() -> None:
    @feature(Over)
    def inner(i: int, of: Any) -> Any:
        return of[i]

    expected = f"inner is not a name of its module {__name__}; declare it at the top level"
    with pytest.raises(ConformanceError, match=expected):
        check_component(inner)
