"""Stretches of unbroken history, and what a feature keeps between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from septet._kernel.step import compile_part, jit, local_maker
from septet._kernel.time_frames import (
    STRETCH,
    bars_of,
    blank,
    fetch,
    keep,
    put_right,
    unbroken,
    within,
)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 5))
def test_stretches_end_where_history_restarts(lengths: list[int], older: int) -> None:
    ages = np.concatenate(
        [np.arange(length) + (older if n == 0 else 0) for n, length in enumerate(lengths)]
    )
    ends, at = [], 0
    while at < len(ages):
        at = unbroken(at, len(ages), ages)
        ends.append(at)
    assert ends == np.cumsum(lengths).tolist()


def test_a_stretch_is_no_longer_than_the_cache() -> None:
    ages = np.arange(3 * STRETCH)
    assert unbroken(5, len(ages), ages) == 5 + STRETCH


def test_within_and_blank() -> None:
    assert [within(i, 3, 6) for i in (1, 4, 9)] == [3, 4, 6]
    out = np.arange(5.0)
    blank(out, 1, 3)
    blank(out, 4, 2)
    assert np.isnan(out).tolist() == [False, True, True, False, False]


def test_state_is_fetched_and_kept_and_begins_at_zero() -> None:
    stored, slots = np.array([1.0, 2.0]), np.empty(2)
    fetch(slots, stored, 7)
    assert slots.tolist() == [1.0, 2.0]
    fetch(slots, stored, 0)
    assert slots.tolist() == [0.0, 0.0]
    keep(slots, stored)
    assert stored.tolist() == [0.0, 0.0]


def test_a_local_array_lies_apart_from_every_other() -> None:
    local, take, put = local_maker(), compile_part(fetch), compile_part(keep)

    def add_up(stored: Any, out: Any) -> None:
        slots = local(2)
        take(slots, stored, 1)
        for i in range(len(out)):
            slots[0] += 1.0
            slots[1] += slots[0]
            out[i] = slots[1]
        put(slots, stored)

    stored, out = np.array([10.0, 0.5]), np.empty(3)
    jit(add_up)(stored, out)
    assert out.tolist() == [11.5, 23.5, 36.5]
    assert stored.tolist() == [13.0, 36.5]


@given(st.lists(st.booleans(), max_size=12), st.data())
def test_bars_of_some_times_are_those_a_symbol_has(known, data):
    rows = np.where(known, np.cumsum(known, dtype=np.int64) - 1, -1)
    t0 = data.draw(st.integers(0, len(known)))
    t1 = data.draw(st.integers(t0, len(known)))
    first, last = bars_of(rows, t0, t1)
    assert list(range(first, last)) == [row for row in rows[t0:t1] if row >= 0]


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans())))
def test_numbers_are_put_right_and_stay_in_order(changes):
    numbers, count = np.zeros(7, np.int64), 0
    held: set[int] = set()
    for k, belongs in changes:
        count = put_right(numbers, count, k, belongs)
        held = held | {k} if belongs else held - {k}
        assert numbers[:count].tolist() == sorted(held)
