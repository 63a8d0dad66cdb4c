"""Tables that a stranger planted in a run's folder are checked before a row of them is read."""

from __future__ import annotations

import json
import math
import re
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


IMPOSSIBLE = [
    ("equity", "equity", math.inf), ("equity", "equity", math.nan), ("equity", "cash", -math.inf),
    ("equity", "drawdown", None), ("fills", "price", math.nan), ("fills", "price", 0.0),
    ("fills", "quantity", -1.0), ("fills", "fee", math.inf), ("orders", "quantity", -1.0),
    ("orders", "limit_price", math.inf), ("trades", "pnl", math.nan), ("trades", "mae", math.inf),
    ("round_trips", "entry_price", -5.0), ("bars", "close", 0.0), ("bars", "volume", -1.0),
]  # fmt: skip


def plant(path: Path, column: str, value: float | None) -> None:
    """Replace the first value of a column."""
    frame = pl.read_parquet(path)
    first = pl.int_range(pl.len()) == 0
    planted = pl.lit(value, pl.Float64)
    frame.with_columns(
        pl.when(first).then(planted).otherwise(pl.col(column)).alias(column)
    ).write_parquet(path)


@pytest.mark.parametrize(("name", "column", "value"), IMPOSSIBLE)
def test_numbers_that_no_run_writes_are_refused_and_named(
    name: str, column: str, value: float | None, planted: Path
) -> None:
    Run(planted).table(name)
    plant(planted / f"{name}.parquet", column, value)
    shown = "nothing" if value is None else value
    words = rf"damaged: {name}\.parquet holds {shown} in {column}, which is .* in every run"
    for read in (Run(planted).table, Run(planted).scan):
        with pytest.raises(InputError, match=words):
            read(name)
    finding = Run(planted).tables_finding
    assert finding is not None
    assert re.search(words, finding.message)


@pytest.mark.parametrize(
    ("name", "key"), [("orders", "order_id"), ("fills", "trade_id"), ("trades", "symbol")]
)
def test_a_row_that_stands_in_a_table_again_is_named(name: str, key: str, planted: Path) -> None:
    frame = pl.read_parquet(planted / f"{name}.parquet")
    assert Run(planted).tables_finding is None
    pl.concat([frame, frame[1:2]]).write_parquet(planted / f"{name}.parquet")
    finding = Run(planted).tables_finding
    assert finding is not None
    assert f"{name}.parquet holds two rows of " in finding.message
    assert str(frame[1, key]) in finding.message


def test_trades_out_of_order_are_named(planted: Path) -> None:
    path = planted / "trades.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    finding = Run(planted).tables_finding
    assert finding is not None
    assert "trades.parquet has rows that are not in the order of exit_time" in finding.message


def test_every_command_states_an_impossible_number(septet: Command, planted: Path) -> None:
    figures = json.loads(septet("runs", "show", planted, "--json").out)
    plant(planted / "equity.parquet", "equity", math.inf)
    plant(planted / "fills.parquet", "quantity", -1.0)
    words = "equity.parquet holds inf in equity, which is finite in every run"
    for command in (["report", planted], ["runs", "export", planted, "--to", planted.parent / "o"]):
        ended = septet(*command)
        assert ended.code == 2, ended
        assert "in every run" in ended.err
    assert septet("why", planted, "o1").code == 2
    shown = septet("runs", "show", planted, "--json")
    assert shown.code == 1
    found = json.loads(shown.out)
    assert words in found["problem"]
    assert "fills.parquet holds -1.0 in quantity, which is zero or above" in found.pop("problem")
    assert found == figures


def test_what_a_run_may_not_know_is_accepted(planted: Path) -> None:
    plant(planted / "orders.parquet", "decision_price", math.nan)
    plant(planted / "equity.parquet", "exposure", math.inf)
    plant(planted / "equity.parquet", "cash", None)
    plant(planted / "bars.parquet", "volume", math.nan)
    plant(planted / "fills.parquet", "quantity", 0.0)
    trades = pl.read_parquet(planted / "trades.parquet")
    trades.with_columns(exit_reason=pl.lit("open")).write_parquet(planted / "trades.parquet")
    plant(planted / "trades.parquet", "exit_price", math.nan)
    plant(planted / "trades.parquet", "pnl", math.nan)
    assert Run(planted).tables_finding is None


@pytest.mark.parametrize("written", ["Infinity", "NaN", "-1e999", "1" + 400 * "0"])
def test_a_summary_with_a_figure_that_is_no_number_is_refused(
    septet: Command, planted: Path, written: str
) -> None:
    path = planted / "summary.json"
    path.write_text(re.sub(r'("final_equity": ?)[-\d.e]+', rf"\g<1>{written}", path.read_text()))
    for command in (["runs", "show", planted], ["report", planted]):
        ended = septet(*command)
        assert ended.code == 2, ended
        assert "summary.json should hold a number under final_equity, found " in ended.err
