"""The weekday of `calendar` is that of T, the bar's close."""

from __future__ import annotations

import math

import numpy as np
import pytest

from septet.testing import run_feature
from septet.testing.evaluate import resolve
from tests.data.helpers import DAY_NS, HOUR_NS, clean, ns

MONDAY = ns("2024-01-01")


@pytest.mark.parametrize(("bar_ns", "row"), [(DAY_NS, 0), (HOUR_NS, 23)])
def test_what_closes_at_the_end_of_monday_has_the_weekday_of_tuesday(bar_ns: int, row: int) -> None:
    frame = clean(60, bar_ns, MONDAY)
    bars = {name: frame[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    bars["open_ns"] = frame["timestamp"].to_numpy()
    bars["known_ns"] = bars["open_ns"] + bar_ns
    bars["seconds"] = bars["known_ns"] // 1_000_000_000
    step = resolve("calendar")
    found = run_feature(step, step.config(), bars, compiled=False, bar_ns=bar_ns)
    tuesday = 2.0 * math.pi / 7.0
    assert found["weekday_sine"][row] == pytest.approx(math.sin(tuesday))
    assert found["weekday_cosine"][row] == pytest.approx(math.cos(tuesday))
    assert (found["hour_sine"][row], found["hour_cosine"][row]) == (0.0, 1.0)
    if bar_ns == HOUR_NS:  # the bars before it are Monday's
        assert np.all(found["weekday_sine"][:23] == 0.0)
