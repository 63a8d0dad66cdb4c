"""Slippage against the decision price, fill by fill."""

from __future__ import annotations

import numpy as np
import pytest

from septet._learn.fills import fill_readings
from septet._learn.health import readings_frame


def test_a_cost_is_positive_for_both_sides_and_warns_above_the_alarm() -> None:
    found = fill_readings(
        np.array([1, 2, 3, 4, 5]),
        ["A", "A", "B", "A", "B"],
        np.array([1, -1, 1, 1, -1]),
        np.array([100.1, 99.9, 50.0, 100.9, np.nan]),
        np.array([100.0, 100.0, 50.0, 100.0, 50.0]),
        alarm=0.002,
        window=2,
    )
    assert [(each.time_ns, each.symbol, each.window) for each in found] == [
        (1, "A", 1),
        (2, "A", 2),
        (3, "B", 1),
        (4, "A", 2),
    ]
    assert [each.value for each in found] == pytest.approx([0.001, 0.001, 0.0, 0.005])
    assert [each.verdict for each in found] == ["ok", "ok", "ok", "warn"]
    frame = readings_frame(found)
    assert frame["metric"].unique().to_list() == ["slippage"]
    assert frame["symbol"].to_list() == ["A", "A", "B", "A"]
