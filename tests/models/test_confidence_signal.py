"""`signal: confidence` at its threshold."""

from __future__ import annotations

import math

import pytest

from septet_plugins.signals.confidence import confidence_threshold

STEPS = [each / 100.0 for each in range(1, 100)]


def act(up: float, threshold: float) -> float:
    decide = confidence_threshold.function
    assert decide is not None
    side, _, _ = decide(up, 2.0 * abs(up - 0.5), threshold)
    return float(side)


@pytest.mark.parametrize("up", [each for each in STEPS if each != 0.5])
def test_a_probability_of_two_decimals_reaches_its_own_confidence(up: float) -> None:
    threshold = abs(round(2.0 * up - 1.0, 2))
    assert act(up, threshold) == (1.0 if up > 0.5 else -1.0)
    assert math.isnan(act(up, threshold + 0.0001))


def test_one_half_has_no_side() -> None:
    assert math.isnan(act(0.5, 0.0))
