"""The quick check of clean rows finds what the thorough one finds."""

from __future__ import annotations

import numpy as np
import pytest

from septet._data.bar_checks import Rows, price_defects, volume_defects, volume_unit_jumps

N = 40_000


def rows() -> Rows:
    draw = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 1e-3, N)))
    opened = close * np.exp(draw.normal(0.0, 1e-4, N))
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    return Rows(opened, high, low, close, draw.gamma(2.0, 50.0, N) + 1.0)


def slow_jumps(volume: np.ndarray) -> list[int]:
    """Medians of all blocks of fifty, as the rule is written."""
    traded = np.flatnonzero(volume > 0.0)
    blocks = len(traded) // 50
    if blocks < 4:
        return []
    level = np.log10(np.median(volume[traded[: blocks * 50]].reshape(blocks, 50), axis=1))
    found = []
    for j in range(1, blocks - 2):
        far = abs(level[j + 1] - level[j]) >= 2.5
        if far and abs(level[j] - level[j - 1]) < 1.0 and abs(level[j + 2] - level[j + 1]) < 1.0:
            found.append(int(traded[(j + 1) * 50]))
    return found


def test_clean_rows_have_no_defect() -> None:
    assert price_defects(rows()) == {}
    assert volume_defects(rows().volume) == {}


@pytest.mark.parametrize("row", [0, 16_383, 16_384, N - 1])
@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("close", np.nan, "not_finite"),
        ("high", np.inf, "not_finite"),
        ("low", -np.inf, "not_finite"),
        ("low", 0.0, "bad_price"),
        ("open", -1.0, "bad_price"),
        ("high", 1e-9, "high_below_low"),
        ("close", 1e9, "outside_range"),
    ],
)
def test_one_bad_row_anywhere_is_seen(row: int, column: str, value: float, kind: str) -> None:
    spoilt = rows()
    getattr(spoilt, column)[row] = value
    found = price_defects(spoilt)
    assert list(found) == [kind]
    assert np.flatnonzero(found[kind]).tolist() == [row]


@pytest.mark.parametrize(
    ("value", "kinds"),
    [(0.0, ["zero_volume"]), (-1.0, ["bad_volume"]), (np.nan, ["bad_volume"])],
)
def test_one_bad_volume_is_seen(value: float, kinds: list[str]) -> None:
    volume = rows().volume
    volume[N // 2] = value
    assert list(volume_defects(volume)) == kinds


@pytest.mark.parametrize("seed", range(12))
def test_jumps_of_the_volume_unit_are_those_of_the_written_rule(seed: int) -> None:
    draw = np.random.default_rng(seed)
    volume = draw.lognormal(3.0, draw.uniform(0.2, 2.5), 5_000)
    for _ in range(int(draw.integers(0, 4))):
        start = int(draw.integers(0, 5_000))
        volume[start:] *= 10.0 ** draw.uniform(-4.0, 4.0)
    if seed % 2:
        volume[draw.random(5_000) < 0.2] = 0.0
    assert volume_unit_jumps(volume) == slow_jumps(volume)


def test_a_change_of_unit_is_found_where_it_begins() -> None:
    volume = np.random.default_rng(1).lognormal(3.0, 0.3, 2_000)
    volume[1_000:] *= 1_000.0
    assert volume_unit_jumps(volume) == slow_jumps(volume) == [1_000]
