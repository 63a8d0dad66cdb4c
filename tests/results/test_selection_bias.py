from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw
from scipy.stats import norm, rankdata

from septet._results import selection_bias as multiple
from septet._results.selection_bias import (
    BLOCKS,
    Overfitting,
    backtest_overfitting,
    block_days,
    daily_sharpe,
    deflated_sharpe,
    expected_maximum_sharpe,
    probabilistic_sharpe,
    why_undefined,
)
from tests.scale import examples
from tests.sweep.blocks import Floats, blocks_of, moments

SPLITS = 12_870


def noise(seed: int, count: int, days: int = 400) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 0.01, (count, days))


def overfitting(returns: Floats) -> Overfitting:
    return backtest_overfitting(*blocks_of(returns))


# ---------------------------------------------------------------------- published figures


def test_probabilistic_sharpe_as_published() -> None:
    """Bailey and Lopez de Prado (2012): two years of a fund's months, monthly ratio 0.458."""
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_deflated_sharpe_as_published() -> None:
    """Bailey and Lopez de Prado (2014): 2.5 a year over five years of 250 days, variance 1/2."""
    ratio, deviation = 2.5 / math.sqrt(250), math.sqrt(0.5 / 250)
    luck = expected_maximum_sharpe(100, deviation)
    assert luck == pytest.approx(0.1132, abs=5e-5)
    assert luck is not None
    assert probabilistic_sharpe(ratio, 1250, -3.0, 10.0, luck) == pytest.approx(0.9004, abs=5e-5)
    # Of 46 trials it would have stood, and of 88 if the returns had been normal.
    for trials, skew, kurtosis in ((46, -3.0, 10.0), (88, 0.0, 3.0)):
        luck = expected_maximum_sharpe(trials, deviation)
        assert luck is not None
        found = probabilistic_sharpe(ratio, 1250, skew, kurtosis, luck)
        assert found == pytest.approx(0.9505, abs=5e-5)


def test_expected_maximum_as_published() -> None:
    """Bailey, Borwein, Lopez de Prado and Zhu (2014): 1.57 of ten; 45 trials need five years."""
    assert expected_maximum_sharpe(10, 1.0) == pytest.approx(1.57, abs=5e-3)
    assert (expected_maximum_sharpe(45, 1.0) or 0.0) ** 2 == pytest.approx(5.0, abs=5e-3)


def test_forced_overfitting_as_published() -> None:
    """Bailey et al. (2015): ratios that are all zero in the whole: the best half pays for it."""
    returns = noise(11, 100, 1000)
    returns -= returns.mean(axis=1, keepdims=True)
    assert overfitting(returns).probability == pytest.approx(1.0, abs=0.01)


# ---------------------------------------------------------------------- another library


@pytest.mark.parametrize("seed", range(5))
def test_ratios_are_those_of_skfolio(seed: int) -> None:
    from skfolio import measures

    rng = np.random.default_rng(seed)
    returns = rng.standard_t(4, (30, 300)) * 0.01 + rng.normal(0.0005, 0.0005, (30, 1))
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    deviation = float(ratios.std(ddof=1))
    assert expected_maximum_sharpe(30, deviation) == pytest.approx(
        measures.expected_max_sharpe_ratio(30, deviation), rel=1e-12
    )
    for row in returns:
        ratio, skew, kurtosis = moments(row)
        for benchmark in (0.0, 0.02, -0.1):
            assert probabilistic_sharpe(ratio, 300, skew, kurtosis, benchmark) == pytest.approx(
                measures.probabilistic_sharpe_ratio(row, benchmark), rel=1e-11
            )
        assert deflated_sharpe(ratio, ratios, 300, skew, kurtosis) == pytest.approx(
            measures.deflated_sharpe_ratio(row, ratios), rel=1e-11
        )


# ---------------------------------------------------------------------- ratios of one setting

finite = draw.floats(-1.0, 1.0)


@given(finite, draw.integers(3, 5000), finite, draw.floats(2.5, 30.0), finite)
def test_probabilistic_sharpe_agrees_with_the_formula(
    ratio: float, days: int, skew: float, kurtosis: float, benchmark: float
) -> None:
    found = probabilistic_sharpe(ratio, days, skew, kurtosis, benchmark)
    below = math.sqrt(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2)
    by_formula = norm.cdf((ratio - benchmark) * math.sqrt(days - 1) / below)
    assert found == pytest.approx(by_formula, rel=1e-9, abs=1e-300)


@given(finite, draw.lists(finite, min_size=1, max_size=20), draw.integers(3, 500))
def test_deflating_never_raises(ratio: float, trials: list[float], days: int) -> None:
    among = deflated_sharpe(ratio, trials, days, 0.0, 3.0)
    alone = probabilistic_sharpe(ratio, days, 0.0, 3.0)
    assert among is not None
    assert alone is not None
    assert among <= alone


def test_one_trial_is_not_deflated() -> None:
    assert deflated_sharpe(0.05, [0.05], 500, -0.5, 6.0) == probabilistic_sharpe(
        0.05, 500, -0.5, 6.0
    )


def test_trials_that_are_alike_are_not_deflated() -> None:
    assert expected_maximum_sharpe(1000, 0.0) == 0.0


def test_trials_without_a_ratio_count_if_they_are_named() -> None:
    known = [0.01, 0.03, 0.05, -0.02]
    same = deflated_sharpe(0.05, [*known, None, math.nan], 500, 0.0, 3.0)
    assert same == deflated_sharpe(0.05, known, 500, 0.0, 3.0)
    more = deflated_sharpe(0.05, known, 500, 0.0, 3.0, trials=100)
    assert same is not None
    assert more is not None
    assert more < same


def test_more_trials_raise_the_expected_maximum() -> None:
    luck = [expected_maximum_sharpe(count, 0.05) or 0.0 for count in (1, 2, 10, 10**3, 10**9)]
    assert luck == sorted(luck)
    assert luck[0] == 0.0
    assert len(set(luck)) == len(luck)


@pytest.mark.parametrize(
    ("ratio", "days", "skew", "kurtosis", "words"),
    [
        (0.1, 2, 0.0, 3.0, "2 days of returns"),
        (0.1, 0, 0.0, 3.0, "0 days of returns"),
        (None, 50, 0.0, 3.0, "no spread"),
        (math.nan, 50, 0.0, 3.0, "no spread"),
        (math.inf, 50, 0.0, 3.0, "no spread"),
        (0.1, 50, None, 3.0, "skewness or kurtosis"),
        (0.1, 50, 0.0, math.nan, "skewness or kurtosis"),
        (1.0, 50, 8.0, 3.0, "no returns can have a skewness of 8"),
    ],
)
def test_what_is_undefined_is_none_with_a_reason(
    ratio: float | None, days: int, skew: float | None, kurtosis: float | None, words: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probabilistic_sharpe(ratio, days, skew, kurtosis) is None
        assert deflated_sharpe(ratio, [0.1, 0.2], days, skew, kurtosis) is None
        assert words in why_undefined(ratio, days, skew, kurtosis)
    assert why_undefined(0.1, 50, 0.0, 3.0) == ""


def test_undefined_benchmarks() -> None:
    assert probabilistic_sharpe(0.1, 50, 0.0, 3.0, math.nan) is None
    assert deflated_sharpe(0.1, [], 50, 0.0, 3.0) is None
    assert deflated_sharpe(0.1, [math.nan, None], 50, 0.0, 3.0) is None
    assert expected_maximum_sharpe(0, 0.1) is None
    assert expected_maximum_sharpe(10, math.nan) is None


@given(draw.lists(draw.floats(-0.5, 0.5), min_size=2, max_size=50))
def test_daily_sharpe_from_sums(changes: list[float]) -> None:
    row = np.array(changes)
    found = daily_sharpe(math.fsum(changes), math.fsum(row * row), len(row))
    if found is None:
        assert row.std() <= 1e-5 * max(abs(row).max(), 1e-300)
    elif row.std() > 1e-3 * abs(row).max():
        assert found == pytest.approx(row.mean() / row.std(ddof=1), rel=1e-6, abs=1e-9)


def test_daily_sharpe_is_undefined_without_days_or_spread() -> None:
    assert daily_sharpe(0.0, 0.0, 100) is None
    assert daily_sharpe(1.0, 0.01, 100) is None
    assert daily_sharpe(0.1, 0.01, 1) is None
    assert daily_sharpe(math.nan, 0.01, 100) is None


@given(draw.integers(0, 4000))
def test_block_days_are_those_of_array_split(days: int) -> None:
    parts = np.array_split(np.arange(days), BLOCKS)
    assert block_days(days).tolist() == [len(part) for part in parts]


# ---------------------------------------------------------------------- overfitting


def plain_logits(returns: Floats) -> Floats:
    """Every split by itself from the days, as in the paper."""
    parts = np.array_split(np.arange(returns.shape[1]), BLOCKS)
    found = []
    for half in itertools.combinations(range(BLOCKS), BLOCKS // 2):
        inside = np.concatenate([parts[k] for k in half])
        outside = np.concatenate([parts[k] for k in range(BLOCKS) if k not in half])
        one, other = returns[:, inside], returns[:, outside]
        best = int(np.argmax(one.mean(axis=1) / one.std(axis=1, ddof=1)))
        rank = float(rankdata(other.mean(axis=1) / other.std(axis=1, ddof=1))[best])
        share = rank / (len(returns) + 1)
        found.append(math.log(share / (1 - share)))
    return np.array(found)


@pytest.mark.parametrize(("seed", "count", "days"), [(1, 2, 32), (2, 7, 59)])
def test_every_split_agrees_with_the_plain_way(seed: int, count: int, days: int) -> None:
    returns = noise(seed, count, days)
    found, plain = overfitting(returns), plain_logits(returns)
    assert len(plain) == SPLITS
    assert np.sort(found.logits) == pytest.approx(np.sort(plain), abs=1e-12)
    assert found.probability == pytest.approx(float(np.mean(plain <= 0)), abs=1e-12)
    assert (found.settings, found.left_out, found.problem) == (count, 0, "")


def test_noise_is_a_coin_toss() -> None:
    shares = [overfitting(noise(seed, 60)).probability or 0.0 for seed in range(40)]
    # One history shows little; the mean of forty is within three of its standard errors.
    assert np.mean(shares) == pytest.approx(0.5, abs=3 * float(np.std(shares)) / math.sqrt(40))
    assert np.std(shares) < 0.2


def test_a_better_setting_is_no_overfitting() -> None:
    returns = noise(5, 60)
    returns[17] += 0.004
    found = overfitting(returns)
    assert found.probability is not None
    assert found.probability < 0.01
    assert found.loss == pytest.approx(0.0, abs=0.01)
    assert found.elsewhere_daily == pytest.approx(moments(returns[17])[0], abs=0.05)


def test_the_chosen_fades_outside_its_half() -> None:
    found = overfitting(noise(6, 60))
    assert found.chosen_daily is not None
    assert found.elsewhere_daily is not None
    assert found.chosen_daily > 0.05
    assert abs(found.elsewhere_daily) < 0.05


@settings(max_examples=examples(10), deadline=None)
@given(draw.integers(0, 10**6), draw.integers(2, 40), draw.floats(0.01, 100.0))
def test_neither_scale_nor_order_matters(seed: int, count: int, scale: float) -> None:
    returns = noise(seed, count, 90)
    found = overfitting(returns)
    turned = overfitting(np.ascontiguousarray(returns[::-1]) * scale)
    assert turned.probability == found.probability
    assert np.sort(turned.logits) == pytest.approx(np.sort(found.logits))
    assert len(found.logits) == SPLITS


@pytest.mark.parametrize("count", [2, 3, 50])
def test_settings_that_are_alike_are_no_choice(count: int) -> None:
    same = np.repeat(noise(3, 1), count, axis=0)
    for returns in (same, same * np.arange(1, count + 1)[:, None]):
        found = overfitting(returns)
        assert found.probability is None
        assert "none was chosen" in found.problem
        assert found.settings == count


def test_a_copy_shares_its_rank() -> None:
    """Ties take the middle: twice each of two settings, so ranks are 1.5 and 3.5 of four."""
    returns = noise(8, 2)
    one, two = overfitting(returns), overfitting(np.repeat(returns, 2, axis=0))
    assert set(np.round(np.exp(two.logits), 12)) == {round(1.5 / 3.5, 12), round(3.5 / 1.5, 12)}
    assert two.probability == one.probability


@pytest.mark.parametrize(
    ("count", "days", "words"),
    [
        (1, 400, "one setting was comparable, and a choice needs at least two"),
        (0, 400, "no setting was comparable"),
        (5, 31, "31 days are too few: 16 blocks of 2 days at least are compared"),
        (5, 0, "0 days are too few"),
    ],
)
def test_too_little_gives_words(count: int, days: int, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = overfitting(noise(1, count, days))
    assert found.probability is None
    assert words in found.problem
    assert len(found.logits) == 0


def test_settings_without_returns_or_with_nan_are_left_out() -> None:
    returns = noise(9, 8)
    clean = overfitting(returns[:5])
    returns[5] = 0.0
    returns[6, 17] = math.nan
    returns[7] = 0.001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = overfitting(returns)
    assert (found.settings, found.left_out) == (5, 3)
    assert found.probability == clean.probability


def test_a_setting_idle_in_one_half_is_compared() -> None:
    returns = noise(10, 3)
    returns[1, :200] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = overfitting(returns)
    assert found.settings == 3
    assert found.probability is not None


def test_the_size_of_a_piece_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = noise(12, 9)
    whole = overfitting(returns)
    monkeypatch.setattr(multiple, "_CELLS", 9 * 7)
    assert np.sort(overfitting(returns).logits) == pytest.approx(np.sort(whole.logits))


def test_thousands_of_settings_fit_in_little_memory() -> None:
    """The ratios of all splits would be 0.6 GB a half; a few hundredths of that are held."""
    import tracemalloc

    sums, squares, days = blocks_of(noise(13, 1000, 64))
    sums, squares = np.tile(sums, (6, 1)), np.tile(squares, (6, 1))
    sums += np.random.default_rng(0).normal(0, 1e-3, sums.shape)
    tracemalloc.start()
    try:
        found = backtest_overfitting(sums, squares, days)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.settings == 6_000
    assert peak < 20_000_000
