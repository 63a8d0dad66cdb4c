"""Sums of forecasts: plain Python by numpy, the loops, and compiled code give the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._kernel import forecast_sums, layout
from septet._kernel.step import compile_step
from tests.scale import examples

HELPERS = (
    "add_clipped", "add_products", "all_finite", "common_products", "median_size",
    "returns_finite",
)  # fmt: skip
"""Those that plain Python computes by numpy."""
ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, -1e308)


class Case:
    """A drawn market of some symbols: the arguments of each helper, by its name."""

    def __init__(self, seed: int, arguments: dict[str, tuple[Any, ...]]) -> None:
        self.seed, self.arguments = seed, arguments

    def __repr__(self) -> str:
        return f"Case({self.seed})"


@cache
def compiled_form(name: str) -> Callable[..., Any]:
    """Compile a helper; Python calls it."""
    form: Callable[..., Any] = compile_step(getattr(forecast_sums, name))
    return form


@st.composite
def cases(draw: Any) -> Case:
    """Draw forecasts, prices and bars; a share of them is NaN, infinite, zero or extreme."""
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    odd, one = draw(st.sampled_from([0.0, 0.02, 0.3])), draw(st.booleans())
    bars, window = 60, draw(st.sampled_from([2, 3, 8, 9, 40]))
    symbols = 1 if one else 3

    def holed(values: Any) -> Any:
        at = random.random(values.shape) < odd
        return np.where(at, random.choice(ODD, values.shape), values)

    forecasts = holed(random.normal(size=(symbols, 4, bars)) * 10.0 ** random.integers(-3, 4))
    forecasts[:, 2] = random.choice([0.0, 0.0, 0.0, 1.0], (symbols, bars))
    moves = random.normal(size=(symbols, layout.X_FIXED, bars)) * 0.02
    prices = holed(100.0 * np.exp(moves.cumsum(axis=2)))
    times = np.full((layout.ROW + symbols, bars), -1, np.int64)
    share = draw(st.sampled_from([0.3, 0.9, 1.0]))
    for k in range(symbols):
        has = random.random(bars) < share
        times[layout.ROW + k, has] = np.arange(int(has.sum()))
        times[layout.ROW + k, ~has] = random.choice([-1, layout.NO_BAR + 7], int((~has).sum()))
    floats = np.zeros((symbols, layout.B_SLOTS + layout.B_PORTFOLIO))
    ints = np.zeros((symbols, layout.I_SLOTS + layout.I_PORTFOLIO), np.int64)
    ints[:, layout.ROLE] = random.choice([1, 1, 1, layout.KEEPS_UNITS], symbols)
    t = last = draw(st.integers(window, bars - 1))
    first = last - window + 1
    places = [
        (forecasts, np.int64(0), -1),
        (forecasts, np.int64(3), -1),
        (forecasts, 1, np.int64(2)),
        (prices, layout.CLOSE, -1),
    ]
    column, other = (draw(st.sampled_from(places)) for _ in range(2))
    m, n, a, b = holed(np.abs(random.normal(size=4)))
    k, other_k = 0, symbols - 1
    sums = tuple(holed(random.normal(size=4)))
    return Case(seed, {
        "add_clipped": (sums[0], k, first, last, column, m, 2.0),
        "add_products": (sums, k, first, last, (column, other), (m, n), (a, b), 2.0),
        "all_finite": (k, first, last, column),
        "common_products": (k, other_k, t, window, times, prices),
        "median_size": (t, window, column, one, times, floats, ints),
        "returns_finite": (k, first, last, prices),
    })  # fmt: skip


def bits(values: Any) -> list[bytes]:
    """Return the bits of one number or several; those of every NaN are the same."""
    numbers = values if isinstance(values, tuple) else (values,)
    return [np.float64(math.nan if each != each else each).tobytes() for each in numbers]


def answers(name: str, case: Case) -> tuple[Any, Any]:
    """Return what numpy and the loop give; the first is None where only the loop can tell."""
    helper = getattr(forecast_sums, name)
    quick = helper.__closure__[[*helper.__code__.co_freevars].index("quick")].cell_contents
    with np.errstate(all="ignore"):
        return quick(*case.arguments[name]), helper.__septet_text__(*case.arguments[name])


@pytest.mark.parametrize("name", HELPERS)
@given(cases())
@settings(max_examples=examples(80))
def test_numpy_gives_the_bits_of_the_loop(name: str, case: Case) -> None:
    quick, loop = answers(name, case)
    if quick is None:
        values, _, state_row = case.arguments["median_size"][2]
        assert name == "median_size"
        assert state_row >= 0 or np.isnan(values).any()
    else:
        assert bits(quick) == bits(loop)


@pytest.mark.parametrize("name", HELPERS)
@given(cases())
@settings(max_examples=examples(20), deadline=None)
def test_compiled_code_gives_the_bits_of_the_loop(name: str, case: Case) -> None:
    loop = answers(name, case)[1]
    assert bits(compiled_form(name)(*case.arguments[name])) == bits(loop)


def test_what_is_called_by_numpy_is_listed() -> None:
    """A helper that gets a second form is compared as well."""
    marked = [
        name for name in forecast_sums.__all__
        if hasattr(getattr(forecast_sums, name), "__septet_text__")
    ]  # fmt: skip
    assert tuple(marked) == HELPERS


def test_numbers_are_added_one_after_the_other() -> None:
    """In pairs, as `numpy.sum` adds, the sum of these has other last bits."""
    random = np.random.default_rng(3)
    values = random.normal(size=1_000)
    column = values[None, None], 0, -1
    total = 0.0
    for value in values:
        total += min(2.0, max(-2.0, value))
    assert forecast_sums.add_clipped(0.0, 0, 0, 999, column, 1.0, 2.0) == total
    assert np.sum(np.clip(values, -2.0, 2.0)) != total


def test_an_array_that_is_not_of_numpy_is_read_by_the_loop() -> None:
    class Recorded:
        """An array that records its reads."""

        def __init__(self) -> None:
            self.reads: list[Any] = []

        def __getitem__(self, place: Any) -> float:
            self.reads.append(place)
            return 1.0

    values = Recorded()
    assert forecast_sums.all_finite(0, 3, 5, (values, 1, -1))
    assert values.reads == [(0, 1, 3), (0, 1, 4), (0, 1, 5)]
