"""The tables that a journal gives: those of the engine, and some that were worked out by hand."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from septet._store.live import LiveRun
from septet._store.tables import frames_of
from tests.journal.journalled import told


@pytest.fixture(scope="module", params=["quote", "received"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, LiveRun]:
    result, folder = told(tmp_path_factory.mktemp("told"), paid_in=request.param)
    return result, LiveRun(folder)


def _text(frame: pl.DataFrame) -> pl.DataFrame:
    coded = [key for key, kind in frame.schema.items() if kind in (pl.Enum, pl.Categorical)]
    return frame.with_columns(pl.col(coded).cast(pl.String))


@pytest.mark.parametrize("name", ["decisions", "fills", "trades", "equity"])
def test_the_tables_are_those_of_the_engine(both: tuple[Any, LiveRun], name: str) -> None:
    result, run = both
    expected, found = _text(frames_of(result)[name]), run.table(name)
    assert expected.height > 20
    if name == "trades":  # reasons of fills inside a bar are not in the journal's messages
        expected, found = expected.drop("exit_reason"), found.drop("exit_reason")
    assert found.equals(expected, null_equal=True)
