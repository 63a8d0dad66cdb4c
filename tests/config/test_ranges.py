"""Conditions that no bar satisfies are found, and nothing that some bar satisfies is called so."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._config.load import load
from septet._config.ranges import ALL, can_hold, range_of, text_of
from septet._expressions import And, Compare, Expr, Name, Not, Number, Or, parse_expression
from septet.errors import ConfigError
from tests.scale import examples

KNOWN = {"rsi": (0.0, 100.0), "corr": (-1.0, 1.0), "close": (0.0, math.inf)}


def known(name: Name) -> tuple[float, float]:
    return KNOWN.get(name.name, ALL)


@pytest.mark.parametrize(
    "text",
    [
        "rsi > 155",
        "rsi < 30 and rsi > 70",
        "rsi >= 100.5",
        "155 < rsi",
        "rsi > 100",
        "rsi - 50 > 60",
        "corr * 2 > 2",
        "abs(corr) > 1",
        "close < 0",
        "fast > slow and fast < slow",
        "fast > slow and slow >= fast",
        "fast == slow and fast > slow",
        "between(rsi, 70, 30)",
        "between(x, 70, 30)",
        "crosses_above(rsi, 155)",
        "crosses_above(fast, slow) and fast < slow",
        "crosses_above(fast, slow) and crosses_below(fast, slow)",
        "not (rsi <= 100)",
        "not (rsi < 30 or rsi >= 30)",
        "(rsi < 30 or rsi > 155) and rsi > 50",
        "rsi < 30 and (x > 0 or y > 0) and rsi > 40",
        "min(rsi, 20) > 20",
        "prev(rsi, 3) > 100",
        "x < 5 and x > 5",
        "x < 5 and x >= 5",
        "rsi / 100 > 1",
        "x ** 2 < 0",
    ],
)
def test_impossible(text: str) -> None:
    assert not can_hold((parse_expression(text, "condition"),), known)


@pytest.mark.parametrize(
    "text",
    [
        "rsi > 70",
        "rsi >= 100",
        "rsi < 30 or rsi > 70",
        "rsi > 30 and prev(rsi, 1) < 30",
        "x <= 5 and x >= 5",
        "fast > slow and slow > other and other > fast",
        "fast > slow and fast@ETH/USD < slow@ETH/USD",
        "crosses_above(fast, slow) and prev(fast, 2) > prev(slow, 2)",
        "not crosses_above(fast, slow) and fast > slow",
        "rsi / x > 5",
        "max(rsi, 120) > 110",
        "x ** 3 < 0",
    ],
)
def test_possible_or_not_known(text: str) -> None:
    assert can_hold((parse_expression(text, "condition"),), known)


NAMES = ("a", "b")
GRID = (-2.0, -1.0, 0.0, 1.0, 2.0)
side = st.sampled_from(
    [*(Name(name) for name in NAMES), *(Number(each) for each in (-1.0, 0.0, 1.0))]
)
compare = st.builds(Compare, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), side, side)
condition = st.recursive(
    compare,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=6,
)


def true(expression: Expr, values: dict[str, float]) -> bool:
    return bool(eval(text_of(expression), {"__builtins__": {}}, dict(values)))


@settings(max_examples=examples(300), deadline=None)
@given(condition)
def test_what_some_bar_satisfies_is_never_called_impossible(expression: Expr) -> None:
    reach = {"a": (-2.0, 2.0), "b": (-1.0, 1.0)}
    bars = [
        dict(zip(NAMES, values, strict=True))
        for values in itertools.product(GRID, GRID)
        if -1.0 <= values[1] <= 1.0
    ]
    if any(true(expression, bar) for bar in bars):
        assert can_hold((expression,), lambda name: reach[name.name])


number = st.recursive(
    side,
    lambda inner: st.builds(
        lambda sign, left, right: parse_expression(f"({text_of(left)}) {sign} ({text_of(right)})"),
        st.sampled_from(["+", "-", "*", "/"]), inner, inner,
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(number, st.sampled_from(GRID), st.sampled_from((-1.0, 0.0, 0.5, 1.0)))
def test_a_value_lies_in_its_range(expression: Expr, a: float, b: float) -> None:
    reach = {"a": (-2.0, 2.0), "b": (-1.0, 1.0)}
    low, high = range_of(expression, lambda name: reach[name.name])
    try:
        value = eval(text_of(expression), {"__builtins__": {}}, {"a": a, "b": b})
    except ZeroDivisionError:
        return
    assert low <= value <= high


def test_a_feature_made_of_others_alone_keeps_the_range_of_its_input(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "version: 1\nname: x\nuniverse: {symbols: [BTC/USD], bar: 15m}\n"
        "data: {candles: {use: sample}}\n"
        "features: {rsi: {use: rsi}, before: {use: lag, of: rsi, by: [1, 2]}}\n"
        "signal: {use: rules, long_if: before_2 > 155}\n"
        "risk: {sizing: {use: fixed_fraction, fraction: 5%}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="before_2 lies between 0 and 100"):
        load(path)
