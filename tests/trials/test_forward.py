"""Forward figures: only bars that came after the first record of a file are untouched."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import septet
from septet._app.run import BacktestRequest, compute_backtest
from septet._app.run_parts import figures_of
from septet._app.sweep import SweepRequest, sweep_file
from septet._python.runs import Run
from septet._python.strategies import loaded_of
from septet._store.memory_run import MemoryRun
from tests.cli.conftest import Command, command_of
from tests.python.samples import START, TEXT, bars, written

FIRST = START + timedelta(days=7)
LATER = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SEPTET_TRIALS", raising=False)


@pytest.fixture
def septet_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_of(capsys)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def ran(
    folder: Path, now: datetime, *, count: int = 400, text: str = TEXT, **request: bool | int | str
) -> Run:
    """Run a file on so many hours of bars, with the ledger's clock at `now`."""
    loaded = loaded_of(septet.load(written(folder, text, count=count)))
    made = BacktestRequest(now_ns=ns(now), **request)  # type: ignore[arg-type]
    return Run(MemoryRun(compute_backtest(loaded, made), now_ns=ns(now)))


def begun(folder: Path) -> None:
    """Begin the ledger with another file: the one that begins it is not known."""
    ran(folder, FIRST - timedelta(days=1), count=100, text=TEXT.replace("period: 5", "period: 7"))


def test_the_bars_after_the_first_record_stand_apart(tmp_path: Path) -> None:
    begun(tmp_path)
    assert ran(tmp_path, FIRST, count=24 * 7).forward is None, "it had all been seen"
    run = ran(tmp_path, LATER)
    found = run.forward
    assert found is not None
    assert found.start == run.summary.more["tries"]["file_first"]
    assert found.start.startswith("2024-01-08T00:00:00")
    seen = run.equity.filter(pl.col("time") <= FIRST)["equity"]
    untouched = run.equity.filter(pl.col("time") > FIRST)
    assert found.initial_capital == seen[-1]
    assert found.final_equity == run.summary.final_equity
    assert found.total_return == pytest.approx(untouched["equity"][-1] / seen[-1] - 1, rel=1e-12)
    assert found.bars == untouched.height == 400 - 24 * 7
    closed = run.trades.filter(pl.col("entry_time") > FIRST, pl.col("exit_reason") != "open")
    assert 0 < found.trades == closed.height < run.summary.trades
    assert found.fees == pytest.approx(run.fills.filter(pl.col("time") > FIRST)["fee"].sum())
    assert found.verdict.startswith(f"{found.trades} trades, too few to judge")
    days = untouched.filter(pl.col("time").dt.hour() == 0)["equity"]
    daily = pl.concat([seen.tail(1), days]).pct_change().drop_nulls()
    spread = daily.std()
    assert isinstance(spread, float)
    assert found.sharpe == pytest.approx(daily.mean() / spread * 365**0.5, rel=1e-9)  # type: ignore[operator]


def test_it_is_reported_by_every_face(tmp_path: Path, septet_command: Command) -> None:
    begun(tmp_path)
    ran(tmp_path, FIRST, count=24 * 7)
    written(tmp_path)
    out = ("--out", tmp_path / "runs")
    text = septet_command("run", tmp_path / "cross.yaml", *out).out
    said = "Since 2024-01-08 00:00 UTC, after this strategy was first tried: return "
    assert said in " ".join(text.split())
    stored = septet.open_run("latest", root=tmp_path / "runs")
    assert stored.folder is not None
    assert said in (stored.folder / "report.html").read_text("utf-8")
    document = json.loads((stored.folder / "summary.json").read_text("utf-8"))
    assert stored.forward is not None
    assert stored.forward.document() == document["forward"]
    figures = figures_of(document)
    assert figures["forward"]["sharpe"] == document["forward"]["sharpe"]
    assert "forward" not in figures["summary"]
    assert set(figures_of(document, ["sharpe"])["forward"]) == {"sharpe", "verdict"}


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        ("", "# a note\n", True),
        ("name: cross", "name: another", True),
        ("bar: 1h}", "bar: 1h, start: 2024-01-03}", True),
        ("fast: {use: sma, period: 5}", "fast: {period: 5, use: sma}", True),
        ("period: 5", "period: 6", False),
        ("fee: 10bps", "fee: 11bps", False),
    ],
)
def test_a_file_is_what_it_means(tmp_path: Path, old: str, new: str, known: bool) -> None:
    begun(tmp_path)
    ran(tmp_path, FIRST, count=24 * 7)
    changed = new + TEXT if not old else TEXT.replace(old, new)
    assert (ran(tmp_path, LATER, text=changed).forward is not None) is known


def test_a_setting_of_a_sweep_was_tried_then(tmp_path: Path) -> None:
    begun(tmp_path)
    swept = TEXT + "sweep:\n  over: {features.fast.period: [4, 6]}\n"
    loaded = loaded_of(septet.load(written(tmp_path, swept, count=24 * 7)))
    request = SweepRequest(out=tmp_path / "sweeps", threads=1, page=False, now_ns=ns(FIRST))
    sweep_file(loaded, request)
    run = ran(tmp_path, LATER, text=TEXT.replace("period: 5", "period: 6"))
    assert run.forward is not None
    assert run.forward.start.startswith("2024-01-08")
    assert ran(tmp_path, LATER).forward is None, "5 was not among them"


def test_where_there_is_none(tmp_path: Path) -> None:
    begun(tmp_path)
    ran(tmp_path, FIRST, count=24 * 7)
    short = 24 * 8 - 1
    assert ran(tmp_path, LATER, count=short).forward is None, "less than a day"
    assert ran(tmp_path, LATER, count=short + 1).forward is not None
    early = START + timedelta(days=12)
    assert ran(tmp_path, early).forward is None, "bars that end after now are made up"
    bars().rename({"time": "timestamp"}).write_parquet(tmp_path / "bars.parquet")
    text = TEXT.replace("use: csv, path: bars.csv", "use: parquet, path: bars.parquet")
    assert ran(tmp_path, LATER, text=text).forward is not None, "another place, the same file"
    assert ran(tmp_path, LATER, text=text, chunk=100).forward is None, "one row a day is kept"
    fast = ran(tmp_path, LATER, tables=False).forward
    assert fast is not None
    assert fast.exposure is None


def test_a_run_that_begins_after_the_first_record_is_forward_as_a_whole(tmp_path: Path) -> None:
    begun(tmp_path)
    ran(tmp_path, FIRST, count=24 * 7)
    run = ran(tmp_path, LATER, text=TEXT.replace("bar: 1h}", "bar: 1h, start: 2024-01-09}"))
    assert run.forward is not None
    own, all_of_it = run.forward.document(), run.summary.document()
    for name in ("start", "first_decision", "total_return", "sharpe", "trades", "max_drawdown"):
        assert own[name] == all_of_it[name], name
