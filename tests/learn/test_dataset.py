"""The table of rows: gathered, pooled, and scattered back to the symbols."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from septet._learn.dataset import gather, pool
from septet._learn.stored import StoredModel
from septet._learn.walk_forward_models import NOT_FINITE, OK, WalkModel, stored_walk
from tests.learn.sample import HOUR_NS, bars, dataset, features

NAMES = ["ret", "hint", "noise"]


@pytest.mark.parametrize("count", [0, 1, 4_095, 4_096, 4_097, 9_000])
def test_gathered_rows_are_the_columns_side_by_side(count: int) -> None:
    columns = np.random.default_rng(1).normal(size=(6, 9_000))
    table = gather(columns, [4, 0, 5], count)
    assert table.flags.c_contiguous
    assert np.array_equal(table, columns[[4, 0, 5], :count].T)


def test_rows_of_several_symbols_go_by_time_then_universe() -> None:
    tables = [bars("A", 40, 1), bars("B", 30, 2)]
    late = replace(tables[1], known_ns=tables[1].known_ns + 10 * HOUR_NS)
    rows = pool([tables[0], late], [features(b, 3) for b in (tables[0], late)], NAMES, HOUR_NS)
    order = list(zip(rows.time_ns.tolist(), rows.symbol.tolist(), strict=True))
    assert order == sorted(order)
    for number, each in enumerate(rows.bars):
        mine = rows.symbol == number
        assert np.array_equal(each.known_ns[rows.row[mine]], rows.time_ns[mine])
    assert [len(part) for part in rows.scatter(rows.time_ns)] == [40, 30]
    parts = rows.scatter(rows.time_ns)
    assert all(np.array_equal(p, b.known_ns) for p, b in zip(parts, rows.bars, strict=True))


def test_a_symbol_alone_has_its_own_rows() -> None:
    rows = dataset(300, symbols=1)
    assert rows.row.tolist() == list(range(300))
    assert not rows.symbol.any()
    assert np.array_equal(rows.time_ns, rows.bars[0].known_ns)
    (back,) = rows.scatter(rows.x[:, 1])
    assert np.array_equal(back, rows.x[:, 1], equal_nan=True)
    assert not np.shares_memory(back, rows.x)


def test_a_symbol_alone_whose_times_fall_is_put_in_order() -> None:
    one = bars("A", 5, 1)
    mixed = replace(one, known_ns=one.known_ns[[1, 0, 2, 4, 3]].copy())
    rows = pool([mixed], [features(mixed, 2)], NAMES, HOUR_NS)
    assert rows.row.tolist() == [1, 0, 2, 4, 3]


class _Strange:
    """A stranger's model: the mean of the row, and an error for what is not finite."""

    format, width = "strange/mean", 3

    def predict(self, x: Any) -> Any:
        return np.array([self.predict_row(row) for row in x])

    def predict_row(self, vector: Any) -> float:
        if not np.isfinite(vector).all():
            raise ValueError("not finite")
        return 1.0 / (1.0 + math.exp(-float(vector[0])))

    def arrays(self) -> dict[str, Any]:
        return {}


def test_a_model_of_another_format_is_never_shown_what_is_not_finite(tmp_path: Any) -> None:
    rows = dataset(200, symbols=1)
    x = rows.x.copy()
    x[120, 2] = math.inf
    rows = replace(rows, x=x)
    card = {"last_label_ns": int(rows.time_ns[50]), "model_sha256": "0"}
    walk = stored_walk(rows, StoredModel(_Strange(), card, tmp_path))
    assert isinstance(walk.models[0], WalkModel)
    assert walk.row_state[119:122].tolist() == [OK, NOT_FINITE, OK]
    for place in (119, 120):
        up, state = walk.predict_row(int(rows.time_ns[place]), rows.x[place])
        assert state == walk.row_state[place]
        assert np.array_equal(up, walk.row_up[place], equal_nan=True)
