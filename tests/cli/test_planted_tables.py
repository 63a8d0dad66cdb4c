"""Tables that a stranger planted in a run's folder are judged before a row of them is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from septet._dashboard.run_page import run_view
from septet._python.runs import open_run
from septet._report.save import save_run
from septet._results.result import TABLES
from septet._store.run_folder import Run
from septet.errors import InputError
from tests.cli.conftest import Command
from tests.data.test_parquet_pages import _with_values
from tests.report.synthetic import make_result

NAMES = ("trades", "equity", "bars", "fills", "orders")
ROWS = 12_000_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    result = make_result(symbols=("BTC/USDT",), bars=300, first=100, strategy="s")
    return save_run(result, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file of a hundred million constants, with every column of every table."""
    path = tmp_path_factory.mktemp("large") / "x.parquet"
    columns = {name: None for table in NAMES for name in TABLES[table]}
    frame = pl.select(pl.repeat(0.5, ROWS).alias("x")).with_columns(
        pl.col("x").alias(name) for name in columns
    )
    frame.drop("x").write_parquet(path)
    assert path.stat().st_size < 6_000_000
    return path


@pytest.fixture
def planted(stored: Run, tmp_path: Path) -> Path:
    folder = tmp_path / stored.run_id
    shutil.copytree(stored.folder, folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_small_file_of_many_rows_is_refused(name: str, planted: Path, large: Path) -> None:
    shutil.copy(large, planted / f"{name}.parquet")
    with pytest.raises(InputError, match=r"damaged: .*12,000,000 rows"):
        Run(planted).table(name)


def test_the_commands_state_it(septet: Command, planted: Path, large: Path) -> None:
    for name in NAMES:
        shutil.copy(large, planted / f"{name}.parquet")
    commands = (
        ["report", planted], ["why", planted, "o1"],
        ["runs", "export", planted, "--to", planted.parent / "out"],
    )  # fmt: skip
    for words in commands:
        ended = septet(*words)
        assert ended.code == 2, (words, ended)
        assert "12,000,000 rows" in ended.err


@pytest.mark.parametrize("name", [*NAMES, "decisions"])
def test_damaged_pages_end_as_a_message(name: str, planted: Path) -> None:
    path = planted / f"{name}.parquet"
    _with_values(path, 0x01)
    for read in (Run(planted).table, Run(planted).scan):
        with pytest.raises(InputError, match=rf"damaged: .*{name}\.parquet cannot be read"):
            read(name)


def test_a_table_that_is_not_opened_is_named_where_a_run_is_shown(
    septet: Command, planted: Path
) -> None:
    figures = json.loads(septet("runs", "show", planted, "--json").out)
    (planted / "fills.parquet").write_bytes(b"garbage")
    words = f"the run in {planted} is damaged: {planted}/fills.parquet cannot be read as Parquet"
    shown, document = septet("runs", "show", planted), septet("runs", "show", planted, "--json")
    assert (shown.code, document.code) == (1, 1)
    assert words in shown.out
    assert "what follows are the figures of its summary.json" in shown.out
    assert "run the strategy again" in shown.out
    found = json.loads(document.out)
    assert found.pop("problem").startswith(words)
    assert found == figures
    assert words in document.err
    view = run_view(Run(planted))
    assert view["run"].problem.startswith(words)
    assert view["summary"] == Run(planted).summary
    opened = open_run(planted)
    assert opened.doubt.startswith(words)
    assert opened.summary.trades == figures["trades"]
    with pytest.raises(InputError, match=r"fills\.parquet cannot be read"):
        _ = opened.fills


def test_a_missing_table_is_named_where_a_run_is_shown(septet: Command, planted: Path) -> None:
    (planted / "orders.parquet").unlink()
    shown = septet("runs", "show", planted)
    assert shown.code == 1
    assert f"the run in {planted} is damaged: orders.parquet is missing; what" in shown.out
