"""Compiled plans: one answer on every path, and that of plain Python.

Here are some shapes that, with the strategies that are shipped, use every plugin that decides a
trade; `make soak` compiles all of them.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.properties import check_fast_form, check_interleaved, check_one_answer
from tests.core.shapes import COMPILED, names
from tests.scale import SOAK, examples

pytestmark = pytest.mark.compiled
SHAPES = names() if SOAK else COMPILED


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
@settings(max_examples=examples(8))
def test_two_speeds_give_one_answer(name, data):
    check_one_answer(name, data)


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
@settings(max_examples=examples(4))
def test_two_settings_on_one_module_do_not_meet(name, data):
    check_interleaved(name, data)


@pytest.mark.parametrize("name", SHAPES if SOAK else ("crosses",))
@given(st.data())
@settings(max_examples=examples(8))
def test_tables_change_nothing_else(name, data):
    check_fast_form(name, data)
