"""The fast form, which leaves the decision tables out, trades as the full one does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.paths import plainly
from tests.core.properties import check_fast_form
from tests.core.shapes import names
from tests.scale import examples


@pytest.mark.parametrize("name", names())
@given(st.data())
@settings(max_examples=examples(3))
def test_tables_change_nothing_else(name, data):
    check_fast_form(name, data, plainly)
