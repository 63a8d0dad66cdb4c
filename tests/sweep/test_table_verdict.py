from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from septet._results.selection_bias import (
    deflated_sharpe,
    expected_maximum_of,
    expected_maximum_sharpe,
    probabilistic_sharpe,
)
from septet._sweep.table_verdict import (
    add_ratios,
    expected_best_daily,
    is_over_holding,
    sharpes_daily,
    swept_keys,
    table_overfitting,
    tried,
    with_compared_returns,
)
from tests.sweep.synthetic import DAYS_A_YEAR, make_table

KEYS = {"features.fast.period": [5, 10, 15], "features.slow.period": [40, 80, 120, 160]}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return make_table(KEYS, failed=2, pruned=3, idle=1, days=200)


def test_swept_keys_stand_between_setting_and_status(table: pl.DataFrame) -> None:
    assert swept_keys(table) == list(KEYS)


def test_daily_ratios_are_the_annual_ones(table: pl.DataFrame) -> None:
    daily = sharpes_daily(table)
    for found, annual in zip(daily, table.get_column("sharpe"), strict=True):
        if annual is None:
            assert found is None
        else:
            assert found == pytest.approx(annual / math.sqrt(DAYS_A_YEAR), rel=1e-9)
    assert sum(value is not None for value in daily) == 6
    assert tried(table) == 9


def test_ratios_stand_beside_each_setting(table: pl.DataFrame) -> None:
    full = add_ratios(table)
    assert full.columns == [*table.columns, "psr", "dsr"]
    assert full.drop("psr", "dsr").equals(table)
    daily = sharpes_daily(table)
    for row, sharpe in zip(full.iter_rows(named=True), daily, strict=True):
        if sharpe is None:
            assert row["psr"] is None
            assert row["dsr"] is None
            continue
        moments = row["days"], row["skew"], row["kurtosis"]
        assert row["psr"] == probabilistic_sharpe(sharpe, *moments)
        assert row["dsr"] == pytest.approx(
            deflated_sharpe(sharpe, daily, *moments, trials=9), rel=1e-12
        )
        assert row["dsr"] < row["psr"]


def test_adding_twice_is_adding_once(table: pl.DataFrame) -> None:
    once = add_ratios(table)
    assert add_ratios(once).equals(once)


def test_overfitting_of_a_table_leaves_out_what_has_no_returns(table: pl.DataFrame) -> None:
    found = table_overfitting(table)
    assert (found.settings, found.left_out) == (6, 6)
    assert found.probability is not None


def test_settings_of_other_days_are_left_out(table: pl.DataFrame) -> None:
    done = pl.col("status") == "done"
    first = table.filter(done & pl.col("sharpe").is_not_null()).get_column("setting")[0]
    other = table.with_columns(
        pl.when(pl.col("setting") == first).then(199).otherwise(pl.col("days")).alias("days")
    )
    assert table_overfitting(other).settings == 5


def test_blocks_with_holes_are_left_out(table: pl.DataFrame) -> None:
    holed = table.with_columns(
        pl.when(pl.col("setting") % 2 == 0)
        .then(pl.col("block_sums").list.head(15))
        .otherwise(pl.col("block_sums"))
        .alias("block_sums")
    )
    assert table_overfitting(holed).settings < 6


def test_settings_ruined_by_costs_do_not_raise_the_benchmark_of_the_deflated_ratio() -> None:
    """Ratios that lie further apart than one is known differ by more than chance."""
    near, far = (expected_maximum_of(np.linspace(-s, s, 50), 50, 93) for s in (0.05, 3.0))
    assert near is not None
    assert far is not None
    assert near == expected_maximum_of(np.linspace(-0.05, 0.05, 50), 50)
    assert far == pytest.approx(expected_maximum_sharpe(50, 1.0 / math.sqrt(92)))


def test_a_table_without_results() -> None:
    empty = make_table({"a.b": [1, 2]}, failed=2, days=200)
    assert table_overfitting(empty).problem == "no setting has daily returns"
    assert table_overfitting(empty).left_out == 2
    assert expected_best_daily(empty) is None
    assert add_ratios(empty).get_column("dsr").to_list() == [None, None]
    assert tried(empty) == 0


def with_excess(table: pl.DataFrame) -> pl.DataFrame:
    """Give each setting that held something returns over holding: those of another table."""
    other = make_table(KEYS, days=200, seed=8)
    pairs = {"sharpe": "over_sharpe", "skew": "over_skew", "kurtosis": "over_kurtosis",
             "block_sums": "over_sums", "block_squares": "over_squares"}  # fmt: skip
    active = table.get_column("exposure") > 0.0
    columns = [
        pl.when(active).then(other.get_column(name)).alias(over) for name, over in pairs.items()
    ]
    return table.with_columns(columns)


def test_settings_that_were_never_short_are_compared_with_holding(table: pl.DataFrame) -> None:
    full = with_excess(table)
    found = with_compared_returns(full)
    assert is_over_holding(found)
    wanted = [each and each / math.sqrt(DAYS_A_YEAR) for each in full.get_column("over_sharpe")]
    for daily, over in zip(sharpes_daily(found), wanted, strict=True):
        assert daily == (None if over is None else pytest.approx(over, rel=1e-9))
    assert found.get_column("sharpe").equals(table.get_column("sharpe"))
    assert with_compared_returns(found).equals(found)
    assert add_ratios(full).drop("psr", "dsr").equals(found)


def test_one_setting_that_was_short_has_all_compared_with_zero(table: pl.DataFrame) -> None:
    full = with_excess(table)
    held = full.get_column("over_sums").is_not_null().to_list().index(True)
    rows = pl.int_range(full.height) == held
    names = [name for name in full.columns if name.startswith("over_")]
    short = full.with_columns(pl.when(~rows).then(pl.col(name)).alias(name) for name in names)
    assert with_compared_returns(short).equals(short)
    assert not is_over_holding(short)
