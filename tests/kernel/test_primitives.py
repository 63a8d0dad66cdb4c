"""Rolling sums, moments, extremes and recursive averages against exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._kernel import maths
from septet._kernel.extremes import SHORT, window_max, window_min
from septet._kernel.moments import MOMENTS, POWERS, window_moments, window_powers
from septet._kernel.recursive import AVERAGE, recursive_average
from septet._kernel.scans import distance_sum, window_counts, window_rank
from septet._kernel.step import compile_step, jit
from septet._kernel.sums import SUM, WEIGHTED, due, weighted_sum, window_sum
from tests.features import exact

Floats = npt.NDArray[np.float64]
FIRST_SLOT = 1_003

values = st.lists(
    st.one_of(st.floats(-1e9, 1e9), st.sampled_from([math.nan, 1.0, 1e9, 1e-9])),
    min_size=12,
    max_size=60,
)
steps = st.lists(st.sampled_from([1, 1, 1, 2, 40]), min_size=60, max_size=60)
periods = st.integers(1, 9)


def slots(jumps: list[int], count: int) -> npt.NDArray[np.int64]:
    return FIRST_SLOT + np.cumsum(np.array(jumps[:count], dtype=np.int64))


def rolled(
    function: Callable[..., Any], names: tuple[str, ...], x: Floats, slot: Any, period: int
) -> list[Any]:
    """Call a primitive at each bar from the first full window on, as plain Python."""
    state = np.zeros(len(names))
    with np.errstate(all="ignore"):
        return [function(i, x, slot, period, state, 0) for i in range(period - 1, len(x))]


def windows(x: Floats, period: int) -> list[Floats]:
    return [x[i - period + 1 : i + 1] for i in range(period - 1, len(x))]


@given(values, steps, periods)
def test_a_rolling_sum_is_the_exact_sum_rounded(
    data: list[float], jumps: list[int], period: int
) -> None:
    x = np.array(data)
    for total, window in zip(
        rolled(window_sum, SUM, x, slots(jumps, len(x)), period), windows(x, period), strict=True
    ):
        if np.isfinite(window).all():
            scale = max(abs(window).max(), abs(x[np.isfinite(x)]).max() * 1e-12)
            assert abs(total - math.fsum(window)) <= 4e-16 * period * scale
        else:
            assert math.isnan(total)


@given(values, steps, periods)
def test_a_weighted_sum_is_exact(data: list[float], jumps: list[int], period: int) -> None:
    x = np.array(data)
    weights = np.arange(1.0, period + 1.0)
    for total, window in zip(
        rolled(weighted_sum, WEIGHTED, x, slots(jumps, len(x)), period),
        windows(x, period),
        strict=True,
    ):
        if np.isfinite(window).all():
            scale = abs(x[np.isfinite(x)]).max() * period * period
            assert abs(total - math.fsum(weights * window)) <= 1e-15 * scale
        else:
            assert math.isnan(total)


@given(values, steps, periods, st.integers(0, 20))
def test_two_starts_agree_bit_for_bit(
    data: list[float], jumps: list[int], period: int, start: int
) -> None:
    x, slot = np.array(data), slots(jumps, len(data))
    whole = rolled(window_sum, SUM, x, slot, period)
    later = rolled(window_sum, SUM, x[start:].copy(), slot[start:].copy(), period)
    common = len(x) - start - 2 * period
    if common > 0:
        assert np.array_equal(whole[-common:], later[-common:], equal_nan=True)


# zeros of both signs, equal values, and some that are not finite; longer than a short window
coarse = st.lists(st.sampled_from([-2.0, -0.0, 0.0, 1.0, 2.0, 3.0]), min_size=110, max_size=110)
holes = st.dictionaries(st.integers(0, 109), st.sampled_from([math.nan, math.inf, -math.inf]))
lengths = st.sampled_from([1, 2, 3, 4, 7, 8, SHORT, SHORT + 1, 40])


def with_holes(data: list[float], missing: dict[int, float]) -> Floats:
    x = np.array(data)
    for place in list(missing)[:3]:
        x[place] = missing[place]
    return x


def scanned(function: Callable[..., Any], x: Floats, period: int, first: int = 0) -> list[float]:
    state = np.zeros(2)
    with np.errstate(all="ignore"):
        return [function(i, x, period, state, 0) for i in range(first + period - 1, len(x))]


@given(coarse, holes, lengths, st.integers(0, 30))
def test_extremes_are_those_of_the_window_wherever_it_began(
    data: list[float], missing: dict[int, float], period: int, first: int
) -> None:
    x = with_holes(data, missing)
    for function, best in ((window_max, np.max), (window_min, np.min)):
        found = scanned(function, x, period)
        for each, window in zip(found, windows(x, period), strict=True):
            expected = best(window) if np.isfinite(window).all() else math.nan
            assert np.array_equal(each, expected, equal_nan=True)
            assert each != 0.0 or math.copysign(1.0, each) == 1.0
        later = np.array(scanned(function, x, period, first))
        assert np.array(found[first:]).tobytes() == later.tobytes()


@given(coarse, holes, lengths)
def test_a_rank_counts_what_lies_below(
    data: list[float], missing: dict[int, float], period: int
) -> None:
    x = with_holes(data, missing)
    for each, window in zip(scanned(window_rank, x, period), windows(x, period), strict=True):
        now, others = window[-1], window[:-1]
        expected = (others < now).sum() + 0.5 * (others == now).sum()
        known = np.isfinite(window).all()
        assert np.array_equal(each, expected if known else math.nan, equal_nan=True)


@given(coarse, holes, lengths)
def test_counts_leave_out_what_is_not_known(
    data: list[float], missing: dict[int, float], period: int
) -> None:
    x = with_holes(data, missing)
    counted = compile_step(window_counts)
    for i in range(period - 1, len(x)):
        window = x[i - period + 1 : i + 1]
        known = (window == window).sum()
        expected = (known, (window < x[i]).sum(), (window == x[i]).sum())
        assert window_counts(i, x, period) == counted(i, x, period) == expected
        watched: Any = list(x)  # no array: the text of the helper, read by read
        assert window_counts(i, watched, period) == expected


@given(values, periods, st.floats(-10.0, 10.0))
def test_distances_are_summed_and_a_flat_window_has_none(
    data: list[float], period: int, middle: float
) -> None:
    x = np.array(data)
    for i, window in enumerate(windows(x, period), period - 1):
        found = distance_sum(i, x, period, middle)
        if np.isnan(window).any():
            assert math.isnan(found)
        elif (window == window[0]).all():
            assert found in (0.0, period * abs(window[0] - middle)) or found == pytest.approx(
                period * abs(window[0] - middle)
            )
        else:
            assert found == pytest.approx(math.fsum(abs(window - middle)), rel=1e-14)
    for value in (0.1, 1e9 / 3.0, -7.3):
        flat = np.full(40, value)
        assert distance_sum(39, flat, 37, math.nextafter(value, math.inf)) == 0.0


@given(coarse, holes, lengths, st.floats(-3.0, 3.0))
def test_four_values_at_a_time_have_the_bits_of_one_after_the_other(
    data: list[float], missing: dict[int, float], period: int, middle: float
) -> None:
    x = with_holes(data, missing) * 1.1
    compiled, bars = compile_step(distance_sum), range(period - 1, len(x))
    with np.errstate(all="ignore"):
        plain = [distance_sum(i, x, period, middle) for i in bars]
    fast = [compiled(i, x, period, middle) for i in bars]
    assert np.array_equal(fast, plain, equal_nan=True)


@given(st.floats(-1e12, 1e12), steps, periods)
def test_equal_values_have_no_spread(value: float, jumps: list[int], period: int) -> None:
    x = np.concatenate((np.linspace(1.0, 3.0, 11) * 1e6, np.full(30, value)))
    slot = slots(jumps, len(x))
    for mean, square, away in rolled(window_moments, MOMENTS, x, slot, period)[-(30 - period) :]:
        assert (mean, square, away) == (value, 0.0, 0.0)
    for moments in rolled(window_powers, POWERS, x, slot, period)[-(30 - period) :]:
        assert moments == (0.0, 0.0, 0.0)


@given(st.integers(0, 2**32), st.floats(1e-6, 1e6), steps)
def test_moments_are_exact_where_the_spread_is_small(
    seed: int, level: float, jumps: list[int]
) -> None:
    random = np.random.default_rng(seed)
    x = level * (1.0 + 1e-7 * random.normal(size=60))
    found = rolled(window_moments, MOMENTS, x, slots(jumps, 60), 8)
    for (_mean, square, away), window in zip(found, windows(x, 8), strict=True):
        mean, sigma = exact.spread([Fraction(float(v)) for v in window])
        assert square >= 0.0
        assert math.sqrt(square / 8) == pytest.approx(float(sigma), rel=1e-11)
        assert away == pytest.approx(float(Fraction(float(window[-1])) - mean), abs=1e-12 * level)


def test_moments_show_and_forget_what_is_not_finite() -> None:
    x = np.random.default_rng(4).normal(size=60)
    x[20], x[33] = np.nan, np.inf
    slot = slots([1] * 60, 60)
    for function, names in ((window_moments, MOMENTS), (window_powers, POWERS)):
        found = rolled(function, names, x, slot, 6)
        for each, window in zip(found, windows(x, 6), strict=True):
            assert math.isnan(each[0]) == (not np.isfinite(window).all())


@given(steps, st.integers(1, 50))
def test_the_grid_is_passed_at_its_multiples_whatever_came_before(
    jumps: list[int], period: int
) -> None:
    slot = slots(jumps, 60)
    passed = np.flatnonzero(np.diff(slot // period) != 0) + 1
    for first in (0, 7):
        state = np.zeros(1)
        found = [i for i in range(first, 60) if due(i, slot, period, state, 0)]
        assert found == [first, *passed[passed > first].tolist()]


@pytest.fixture(scope="module")
def ten_million() -> tuple[Floats, Any, Any]:
    """Ten million values, the rolling sums of 100 of them, and those begun 1,234 bars later."""
    count, period = 10_000_000, 100
    step = compile_step(window_sum)

    def sums(x: Any, slot: Any, period: int, state: Any, out: Any) -> None:
        for i in range(period - 1, len(x)):
            out[i] = step(i, x, slot, period, state, 0)

    random = np.random.default_rng(21)
    x = 30_000.0 * np.exp(np.cumsum(random.normal(0.0, 8e-4, count)))
    x[4_000_000] = 1e15  # one absurd print: a plain running sum never recovers from it
    slot = np.arange(count, dtype=np.int64)
    run = jit(sums)
    whole, later = np.full(count, np.nan), np.full(count, np.nan)
    run(x, slot, period, np.zeros(3), whole)
    run(x[1_234:], slot[1_234:], period, np.zeros(3), later[1_234:])
    return x, whole, later


def test_ten_million_bars_do_not_drift(ten_million: tuple[Floats, Any, Any]) -> None:
    x, whole, _later = ten_million
    for last in (99, 3_999_999, 4_000_000, 4_000_101, 7_654_321, 9_999_999):
        total = sum((Fraction(float(v)) for v in x[last - 99 : last + 1]), Fraction(0))
        assert abs(Fraction(float(whole[last])) / total - 1) < Fraction(1, 10**12)


def test_ten_million_bars_forget_their_start(ten_million: tuple[Floats, Any, Any]) -> None:
    _x, whole, later = ten_million
    assert np.array_equal(whole[1_234 + 200 :], later[1_234 + 200 :])


def _plain_ema(x: Floats, weight: float) -> float:
    value = x[0]
    for each in x[1:]:
        value += (each - value) * weight
    return float(value)


def test_a_plain_recurrence_need_not_meet_itself_and_ours_does() -> None:
    random = np.random.default_rng(31)
    period, depth = 30, 18 * 31
    x = np.concatenate((100.0 + random.normal(size=60), np.full(2_500, 100.03)))
    slot = slots([1] * len(x), len(x))
    plain = {_plain_ema(x[start:], 2 / 31) for start in range(40, 60)}
    assert len(plain) > 1
    ours = set()
    for start in range(40, 60):
        state = np.zeros(len(AVERAGE))
        tail, grid = x[start:].copy(), slot[start:].copy()
        for i in range(len(tail)):
            last = recursive_average(i, tail, grid, period, 2 / 31, depth, state, 0)
        ours.add(float(last))
    assert ours == {100.03}


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.8]))
def test_averages_meet_whatever_the_gaps(seed: int, period: int, missing: float) -> None:
    random = np.random.default_rng(seed)
    depth = 36 * period
    count = 2 * depth + 60
    x = random.normal(size=count)
    x[random.random(count) < 0.05] = np.nan
    slot = FIRST_SLOT + np.cumsum(np.where(random.random(count) < missing, 17, 1))
    ends = []
    for start in (0, int(random.integers(1, 50))):
        tail, grid = x[start:].copy(), slot[start:].copy()
        state = np.zeros(len(AVERAGE))
        found = [
            recursive_average(i, tail, grid, period, 1 / period, depth, state, 0)
            for i in range(len(tail))
        ]
        ends.append(found[-10:])
    assert np.array_equal(ends[0], ends[1], equal_nan=True)


def test_a_replay_changes_nothing_that_can_be_seen() -> None:
    random = np.random.default_rng(32)
    x = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, 3_000)))
    slot = slots([1] * len(x), len(x))
    state = np.zeros(len(AVERAGE))
    weight = 2 / 11
    for i in range(len(x)):
        last = recursive_average(i, x, slot, 10, weight, 18 * 11, state, 0)
        if i == 9:
            expected = float(x[:10].mean())
        elif i > 9:
            expected += (float(x[i]) - expected) * weight
            assert last == pytest.approx(expected, rel=5e-15)


@pytest.mark.parametrize("name", sorted(set(maths.__all__) - {"NAN", "helper"}))
def test_maths_is_the_same_compiled_and_never_raises(name: str) -> None:
    function = getattr(maths, name)
    compiled = compile_step(function)
    cases = [0.0, -0.0, 1.0, -1.0, 1e-300, 1e308, 800.0, 0.1, math.inf, -math.inf, math.nan]
    wide = function.__code__.co_argcount == 2
    with np.errstate(all="ignore"):
        for a in map(np.float64, cases):
            for b in map(np.float64, cases if wide else [1.0]):
                given = (a, b) if wide else (a,)
                plain, fast = float(function(*given)), float(compiled(*given))
                assert plain.hex() == fast.hex()


def test_powers() -> None:
    assert maths.power(-2.0, 3.0) == -8.0
    assert maths.power(9.0, 0.5) == 3.0
    assert math.isnan(maths.power(-2.0, 0.5))
    assert math.isnan(maths.power(0.0, -1.0))
    assert maths.power(-1e200, 3.0) == -math.inf
