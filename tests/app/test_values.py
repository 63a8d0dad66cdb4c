"""The application's values are what the command line prints with `--json`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from septet._app.check import CheckRequest, check_file
from septet._app.data import Shape, check_data_file, import_file, store_lines
from septet._app.documents import to_json
from septet._app.explain import explain_plan, explain_values
from septet._app.plugins import describe_plugin, list_plugins
from septet._app.run import BacktestRequest, compute_backtest, run_document, store_backtest
from septet._app.runs import export_run, list_stored, standing_of, why_order
from septet._app.starter import write_starter
from septet._app.sweep import SweepRequest, sweep_document, sweep_file, sweep_settings
from septet._config import load
from septet._data.bar_store import BarStore
from septet._progress import stoppable
from septet._report.terminal import show
from septet._store.find_runs import find_run
from septet._store.run_folder import Run
from septet.errors import Cancelled, ConfigError, InputError
from tests.cli.conftest import Command, command_of
from tests.python.samples import bars, written


@pytest.fixture
def septet(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_of(capsys)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_DATA", str(tmp_path / "store"))
    return written(tmp_path)


def printed(septet: Command, *words: object) -> Any:
    return json.loads(septet(*words, "--json").out)


def test_a_check(file: Path, septet: Command) -> None:
    assert json.loads(to_json(check_file(file, CheckRequest()))) == printed(septet, "check", file)
    with pytest.raises(ConfigError) as caught:
        check_file(file, CheckRequest(), sets=["features.fast.perid=3", "signal.exit_if=1 +"])
    words = ["check", file, "--set", "features.fast.perid=3", "--set", "signal.exit_if=1 +"]
    assert json.loads(to_json(caught.value)) == printed(septet, *words)


def test_an_explanation_and_a_plan(file: Path, septet: Command) -> None:
    loaded = load(file)
    assert json.loads(to_json(explain_values(loaded))) == printed(septet, "explain", file)
    assert json.loads(to_json(explain_plan(loaded))) == printed(septet, "explain", file, "--plan")


def test_runs(file: Path, septet: Command, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    result = compute_backtest(load(file), BacktestRequest())
    assert not root.exists(), "nothing is stored before it is asked for"
    stored = store_backtest(result, root)
    shown = printed(septet, "runs", "show", "latest", "--runs", root)
    assert json.loads(to_json(run_document(stored))) == shown
    assert json.loads(to_json(list_stored(root))) == printed(septet, "runs", "list", "--runs", root)
    assert list_stored(root, "other") == []
    assert standing_of(stored) is None
    order = stored.table("orders")["order_id"][0]
    why = why_order(find_run("latest", root), order)
    assert json.loads(to_json(why)) == printed(septet, "why", "latest", order, "--runs", root)
    files = export_run(stored, tmp_path / "csv", "csv")
    assert "trades.csv" in {path.name for path in files}


def test_a_run_that_was_just_stored_is_shown_without_reading_its_tables(
    file: Path, tmp_path: Path
) -> None:
    stored = store_backtest(compute_backtest(load(file), BacktestRequest()), tmp_path / "runs")
    again = find_run("latest", tmp_path / "runs")
    assert stored.folder == again.folder
    names = [path.stem for path in again.folder.glob("*.parquet")]
    assert {"trades", "orders", "equity", "decisions"} <= set(names)
    for name in names:
        assert stored.table(name).equals(again.table(name), null_equal=True), name
        columns = [each.scan(name).collect_schema().names() for each in (stored, again)]
        assert columns[0] == columns[1]
    shown = [shown_text(each) for each in (stored, again)]
    assert shown[0] == shown[1]
    for path in again.folder.glob("*.parquet"):
        path.unlink()
    assert shown_text(stored) == shown[0]
    with pytest.raises(InputError, match="parquet is missing"):
        shown_text(again)


def shown_text(run: Run) -> str:
    """Return what the terminal shows of a run."""
    console = Console(width=80, record=True, file=io.StringIO())
    show(run, console)
    return console.export_text()


def test_a_fast_backtest_and_one_in_stretches(file: Path) -> None:
    with (file.parent / "bars.parquet").open("wb") as parquet:
        bars().rename({"time": "timestamp"}).write_parquet(parquet)
    loaded = load(file, sets=["data.candles={use: parquet, path: bars.parquet}"])
    whole = compute_backtest(loaded, BacktestRequest())
    assert BacktestRequest(chunk=50).keeps_decisions is False
    for request in (BacktestRequest(tables=False), BacktestRequest(chunk=50)):
        other = compute_backtest(loaded, request)
        assert other.left_out == ("decisions",)
        assert whole.trades is not None
        assert other.trades is not None
        assert len(other.trades["pnl"]) == len(whole.trades["pnl"])
    with pytest.raises(InputError, match="--chunk needs arrays"):
        compute_backtest(loaded, BacktestRequest(engine="event", chunk=50))


def test_a_sweep(file: Path, septet: Command, tmp_path: Path) -> None:
    axes = ["features.fast.period=3,4,5"]
    loaded = load(file, mode="backtest", sets=sweep_settings(axes, {"goal": "total_return"}))
    found = sweep_document(sweep_file(loaded, SweepRequest(out=tmp_path / "one", threads=1)))
    words = ["sweep", file, "--sweep", axes[0], "--goal", "total_return", "--threads", 1]
    there = printed(septet, *words, "--out", tmp_path / "two")
    times = {"seconds", "sweep_id", "folder", "table"}
    here = json.loads(to_json(found))
    assert {k: v for k, v in here.items() if k not in times} == {
        k: v for k, v in there.items() if k not in times
    }


def test_plugins(septet: Command) -> None:
    assert list_plugins("features") == printed(septet, "plugins", "list", "--layer", "features")
    described = json.loads(to_json(describe_plugin("sma")))
    assert described == printed(septet, "plugins", "show", "sma")


def test_data(file: Path, septet: Command, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    shape = Shape(bar="1h", stamp="open", symbol="BTC/USD")
    words = ["--bar", "1h", "--stamp", "open", "--symbol", "BTC/USD"]
    found = json.loads(to_json(check_data_file(bars, shape)))
    assert found == printed(septet, "data", "check", bars, *words)
    store = BarStore(tmp_path / "store")
    imported = import_file(bars, "mine", store, shape)
    assert (imported.new, imported.kept) == (400, 0)
    again = import_file(bars, "mine", store, shape)
    assert json.loads(to_json(again)) == printed(
        septet, "data", "import", bars, "--as", "mine", *words
    )
    (line,) = store_lines(store)
    assert (line["source"], line["name"], line["rows"]) == ("mine", "BTC/USD", 400)


def test_a_starter_runs(tmp_path: Path) -> None:
    names = write_starter(tmp_path / "mine")
    assert names == [".gitignore", "strategy.schema.json", "strategy.yaml"]
    result = compute_backtest(load(tmp_path / "mine" / "strategy.yaml"), BacktestRequest())
    assert result.facts.strategy == "mine"
    with pytest.raises(InputError, match="is there already"):
        write_starter(tmp_path / "mine")


def test_work_stops_where_it_reports() -> None:
    class Asked:
        yes = False

        def is_set(self) -> bool:
            return self.yes

    asked, heard = Asked(), list[tuple[str, int, int | None, str]]()
    report = stoppable(lambda *each: heard.append(each), asked)
    report("run", 1, 2, "events")
    asked.yes = True
    with pytest.raises(Cancelled, match="cancelled during training") as caught:
        report("training", 1, 2, "")
    assert heard == [("run", 1, 2, "events")]
    assert caught.value.exit_code == 130
    stoppable(None, None)("run", 1, None, "")
