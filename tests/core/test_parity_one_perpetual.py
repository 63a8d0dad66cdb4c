"""One symbol, a perpetual contract: shorts, flips, funding, liquidation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.properties import check_interleaved, check_one_answer
from tests.core.shapes import names
from tests.scale import examples


@pytest.mark.parametrize("name", names("one_perpetual"))
@given(st.data())
@settings(max_examples=examples(25))
def test_two_speeds_give_one_answer(name, data):
    check_one_answer(name, data)


@pytest.mark.parametrize("name", names("one_perpetual"))
@given(st.data())
@settings(max_examples=examples(4))
def test_two_settings_on_one_module_do_not_meet(name, data):
    check_interleaved(name, data)
