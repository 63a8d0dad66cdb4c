"""Every shape of strategy, its plan run as plain Python: one answer on every path."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.paths import plainly
from tests.core.properties import check_one_answer
from tests.core.shapes import names
from tests.scale import examples


@pytest.mark.parametrize("name", names())
@given(st.data())
@settings(max_examples=examples(6))
def test_two_speeds_give_one_answer(name, data):
    check_one_answer(name, data, plainly)
