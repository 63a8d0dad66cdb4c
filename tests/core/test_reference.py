"""The core against an independent simulator: every decision, order, fill, trade and mark."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import drawn_cases
from tests.core.compare import assert_agrees, chances_of
from tests.core.reference import simulate
from tests.core.world import FIRST, run_core, session_of
from tests.scale import examples


@given(st.data())
@settings(max_examples=examples(90))
def test_core_agrees_with_the_reference(data):
    s = data.draw(drawn_cases.settings())
    bars = data.draw(drawn_cases.markets(s))
    ran = run_core(session_of(s, bars))
    assert_agrees(ran, simulate(s, bars, FIRST, chances_of(ran)))
