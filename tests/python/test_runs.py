"""Runs as values: the same figures and tables as the command line, in memory until saved."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import septet
from septet._report.why import parts_of
from tests.cli.conftest import Command
from tests.python.samples import TEXT, written

TABLES = ("trades", "orders", "fills", "equity", "decisions", "monitoring")
TIMES = ("seconds", "seconds_total", "bars_per_second", "run_id")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


def figures(run: septet.Run) -> dict[str, object]:
    """Return what does not depend on when it ran and how long it took."""
    return {name: v for name, v in run.summary.document().items() if name not in TIMES}


def same(one: septet.Run, other: septet.Run) -> None:
    assert figures(one) == figures(other)
    for name in TABLES:
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)


def test_a_run_has_the_figures_of_the_command_line(
    file: Path, septet_command: Command, tmp_path: Path
) -> None:
    output = septet_command("run", file, "--out", tmp_path / "runs", "--json")
    printed = json.loads(output.out)
    here = septet.run(septet.load(file))
    stored = septet.open_run("latest", root=tmp_path / "runs")
    same(here, stored)
    document = {name: printed[name] for name in here.summary.document() if name not in TIMES}
    assert document == figures(here)
    assert here.verdict.text == printed["verdict"]
    assert here.summary.trades > 5


def test_a_run_is_in_memory_until_it_is_saved(file: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    run = septet.run(septet.load(file))
    assert run.folder is None
    run._repr_html_()
    assert sorted(tmp_path.rglob("*")) == before
    folder = run.save(tmp_path / "runs")
    assert folder == run.folder == tmp_path / "runs" / "cross" / run.id
    assert run.save(tmp_path / "runs") == folder, "a root has it once"
    assert (folder / "report.html").is_file()
    stored = septet.open_run(folder)
    same(run, stored)
    assert stored.id == run.id
    assert stored.strategy.hash == run.strategy.hash
    assert_frame_equal(stored.scan("bars").collect(), run.scan("bars").collect())
    assert_frame_equal(stored.scan("round_trips").collect(), run.scan("round_trips").collect())


def test_tables_are_let_go(file: Path, tmp_path: Path) -> None:
    run = septet.run(septet.load(file))
    trades = run.trades
    assert run.trades is trades, "read once, then kept"
    verdict = run.verdict.text
    run.close()
    assert run.summary.trades == trades.filter(pl.col("exit_reason") != "open").height
    with pytest.raises(septet.InputError, match="was closed") as caught:
        run.trades  # noqa: B018
    assert "save()" in caught.value.hint
    with pytest.raises(septet.InputError, match="was closed"):
        run.save(tmp_path)
    assert run.problem == ""
    assert run.verdict.text == verdict
    assert verdict in run._repr_html_().replace("&#x27;", "'")
    other = septet.run(septet.load(file))
    other.save(tmp_path / "runs")
    stored = septet.open_run("cross", root=tmp_path / "runs")
    stored.close()
    assert_frame_equal(stored.trades, trades)


def test_figures_that_nobody_has_read_are_not_computed_at_the_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They took 30 % of a short run, of which the one who closed it had read nothing."""

    def unasked(*given: object, **more: object) -> NoReturn:
        raise AssertionError("nobody has asked for it")

    run = septet.run(septet.load(file))
    monkeypatch.setattr("septet._results.summary.summarise", unasked)
    run.close()
    assert repr(run) == f"<Run {run.id} closed>"
    assert "closed before its figures were read" in run._repr_html_()
    for read in ("summary", "verdict", "trials", "forward", "trades"):
        with pytest.raises(septet.InputError, match="was closed") as caught:
            getattr(run, read)
        assert "before close()" in caught.value.hint


def test_levels_are_no_features_and_are_shown_once_they_are_known(file: Path) -> None:
    run = septet.run(septet.load(file).with_({"risk.stops.stop_loss": "4%"}))
    entry, leaving = (run.why(order) for order in run.orders["order_id"][:2])
    for why in (entry, leaving):
        assert set(why.facts["levels"]) == {"stop_price"}
        assert "stop_price" not in why.facts["features"]
    titles = [title for title, _ in parts_of(entry.facts)]
    assert titles == ["Decision", "Features", "Size", "Order", "Fill 1", "Bar"]
    levels = dict(parts_of(leaving.facts))["Levels"]
    assert levels["stop_price"] == pytest.approx(0.96 * entry.facts["fills"][0]["price"])


def test_the_report_and_the_why_of_a_run_in_memory(file: Path, tmp_path: Path) -> None:
    run = septet.run(septet.load(file))
    with pytest.raises(septet.InputError, match="in memory only"):
        run.report()
    page = run.report(tmp_path / "page.html").read_text()
    order = run.orders["order_id"][0]
    why = run.why(order)
    assert why.symbol == "BTC/USD"
    assert why.facts["order"]["order_id"] == order
    run.save(tmp_path / "runs", report=False)
    stored = septet.open_run(run.id, root=tmp_path / "runs")
    assert stored.why(order).document() == why.document()
    assert stored.report().read_text() == page
    with pytest.raises(septet.InputError, match="no order"):
        run.why("nothing")
    with pytest.raises(septet.InputError, match="no table 'money'"):
        run.scan("money")  # type: ignore[arg-type]


def test_both_engines_and_no_tables_give_the_same(file: Path) -> None:
    strategy = septet.load(file)
    batch = septet.run(strategy, engine="batch")
    event = septet.run(strategy, engine="event")
    for name in TABLES:
        assert_frame_equal(getattr(batch, name), getattr(event, name), check_exact=True)
    short = septet.run(strategy, tables=False)
    assert_frame_equal(short.trades, batch.trades)
    assert short.summary.sharpe == batch.summary.sharpe
    with pytest.raises(septet.InputError, match="no decisions") as caught:
        short.decisions  # noqa: B018
    assert "tables=True" in caught.value.hint
    with pytest.raises(septet.InputError, match="no engine 'fast'"):
        septet.run(strategy, engine="fast")  # type: ignore[arg-type]
    with pytest.raises(septet.InputError, match="runs on one thread"):
        septet.run(strategy, threads=2)


def variants(file: Path, count: int = 6) -> list[septet.Strategy]:
    strategy = septet.load(file)
    return [strategy.with_({"features.fast.period": 3 + k}) for k in range(count)]


def test_runs_in_threads_equal_runs_one_by_one(file: Path) -> None:
    strategies = variants(file)
    alone = [septet.run(each) for each in strategies]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(septet.run, strategies))
    for one, other in zip(alone, together, strict=True):
        same(one, other)


@pytest.mark.compiled
def test_compiled_runs_in_threads_equal_runs_one_by_one(file: Path) -> None:
    """Two plans, each first asked for by two threads at once."""
    strategy = septet.load(file)
    strategies = [strategy, strategy.with_({"risk.stops": {"stop_loss": "3%"}})] * 2
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: septet.run(each, engine="batch"), strategies))
    for found, each in zip(together, strategies, strict=True):
        same(found, septet.run(each, engine="batch"))


def test_many_runs_come_in_order_and_failures_stand_in_their_place(file: Path) -> None:
    strategies = variants(file)
    gone = septet.loads(TEXT.replace("bars.csv", "gone.csv"), base=file.parent)
    reported: list[tuple[str, int]] = []
    found = list(
        septet.run_many(
            [*strategies[:2], gone, *strategies[2:]], threads=3,
            progress=lambda stage, done, total, text: reported.append((stage, done)),
        )
    )  # fmt: skip
    assert isinstance(found[2], septet.Failed)
    assert found[2].strategy is gone
    assert "gone.csv" in found[2].error.message
    done = [each for each in found if isinstance(each, septet.Run)]
    assert [each.strategy for each in done] == strategies
    for one, strategy in zip(done, strategies, strict=True):
        same(one, septet.run(strategy))
    assert reported == [("run", k + 1) for k in range(7)]


def test_many_runs_take_no_more_than_run_at_once(file: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[septet.Strategy]:
        strategy = septet.load(file)
        while True:
            taken.append(len(taken))
            yield strategy

    found = septet.run_many(endless(), threads=2)
    for _ in range(3):
        assert isinstance(next(found), septet.Run)
    assert len(taken) <= 5
    found.close()  # type: ignore[attr-defined]
    with pytest.raises(septet.InputError, match="threads was 0"):
        septet.run_many([], threads=0)
    assert list(septet.run_many([])) == []
    with pytest.raises(septet.InputError, match="expected a Strategy"):
        list(septet.run_many(["cross"]))  # type: ignore[list-item]


def test_a_cancelled_run_leaves_the_process_usable(file: Path) -> None:
    strategy = septet.load(file)
    whole = septet.run(strategy)
    for stage in ("data", "plan", "run"):
        asked = threading.Event()

        def stop(at: str, done: int, total: int | None, text: str, /) -> None:
            if at == stage:  # noqa: B023 - called before the loop goes on
                asked.set()  # noqa: B023

        with pytest.raises(septet.Cancelled):
            septet.run(strategy, engine="event", progress=stop, cancel=asked)
        assert asked.is_set()
        same(septet.run(strategy), whole)
    asked = threading.Event()
    asked.set()
    with pytest.raises(septet.Cancelled, match="cancelled during data"):
        septet.run(strategy, cancel=asked)
    with pytest.raises(septet.Cancelled):
        list(septet.run_many([strategy] * 3, cancel=asked))
    with pytest.raises(septet.Cancelled):
        septet.sweep(strategy, {"features.fast.period": [3, 4]}, cancel=asked)


def test_what_a_cancelled_sweep_has_done_is_kept_where_it_is_stored(
    file: Path, tmp_path: Path, septet_command: Command
) -> None:
    asked = threading.Event()

    def stop(stage: str, done: int, total: int | None, text: str, /) -> None:
        if stage == "sweep" and done:
            asked.set()

    axes = {"features.fast.period": "3..8:1", "features.slow.period": "15..24:1"}
    with pytest.raises(septet.Cancelled):
        septet.sweep(
            septet.load(file), axes, threads=1, out=tmp_path / "out", progress=stop, cancel=asked
        )
    words = [word for key, values in axes.items() for word in ("--sweep", f"{key}={values}")]
    output = septet_command(
        "sweep", file, *words, "--threads", 1, "--out", tmp_path / "out", "--resume", "--json"
    )
    found = json.loads(output.out)
    assert 0 < found["done_before"] < found["settings"] == 60
    assert len(list((tmp_path / "out").glob("cross/*"))) == 1


def test_ctrl_c_is_cancelled(file: Path) -> None:
    strategy = septet.load(file)

    def interrupt(stage: str, done: int, total: int | None, text: str, /) -> None:
        raise KeyboardInterrupt

    for work in (
        lambda: septet.run(strategy, progress=interrupt),
        lambda: septet.sweep(strategy, {"features.fast.period": [3, 4]}, progress=interrupt),
        lambda: list(septet.run_many([strategy], progress=interrupt)),
    ):
        with pytest.raises(septet.Cancelled, match="interrupted during the"):
            work()
    assert septet.run(strategy).summary.trades > 5


def test_progress_shows_what_goes_on(file: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    septet.run(septet.load(file), engine="event", progress=lambda *each: reported.append(each))
    stages = list(dict.fromkeys(stage for stage, *_ in reported))
    assert stages == ["data", "plan", "run"]
    assert all(total is None or done <= total for _, done, total, _ in reported)


def test_stored_runs_are_listed_with_those_that_are_damaged(file: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert septet.runs(root=root) == []
    first, second = (septet.run(each) for each in variants(file, 2))
    first.save(root)
    second.save(root)
    (root / "cross" / first.id / "summary.json").write_text("{")
    found = {each.id: each for each in septet.runs("cross", root=root)}
    assert set(found) == {first.id, second.id}
    assert "damaged" in found[first.id].problem
    assert "damaged" in repr(found[first.id])
    assert found[first.id]._repr_html_()
    assert found[second.id].problem == ""
    assert septet.runs("other", root=root) == []
    with pytest.raises(septet.InputError, match="no run is called 'other'"):
        septet.open_run("other", root=root)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("summary.json", "verdict", None), ("summary.json", "trades", "many"),
     ("manifest.json", "facts", {"symbols": 3}), ("manifest.json", "resolved", 7),
     ("manifest.json", "models", 7), ("manifest.json", "halts", [3])],
)  # fmt: skip
def test_whatever_a_folder_holds_is_an_error_with_words(
    file: Path, tmp_path: Path, name: str, key: str, value: object
) -> None:
    made = septet.run(septet.load(file))
    path = made.save(tmp_path / "runs") / name
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, key: value}))
    (run,) = septet.runs(root=tmp_path / "runs")
    assert isinstance(run._repr_html_(), str)
    assert isinstance(repr(run), str)
    order = made.orders["order_id"][0]
    for ask in (
        lambda: run.summary, lambda: run.verdict, lambda: run.strategy, lambda: run.trades,
        lambda: run.why(order), lambda: run.report(tmp_path / "page.html"), run.report,
    ):  # fmt: skip
        with contextlib.suppress(septet.SeptetError):  # anything else is a bug, and ends the test
            ask()


def test_a_backtest_can_be_neither_halted_nor_compared(file: Path, tmp_path: Path) -> None:
    run = septet.run(septet.load(file))
    run.save(tmp_path / "runs")
    for act in (septet.halt, septet.resume):
        with pytest.raises(septet.InputError, match="is a backtest"):
            act(run, name="ann", reason="news")
    with pytest.raises(septet.InputError, match="neither run is a paper or live run"):
        run.diff(septet.run(septet.load(file)))


def test_a_setting_of_zero_is_a_strategy(file: Path) -> None:
    axes: dict[str, list[object]] = {
        "execution.simulation.latency": [0, 1],
        "execution.simulation.slippage": ["0bps", "5bps"],
    }
    found = septet.sweep(septet.load(file), axes, threads=1)
    for row in found.settings.iter_rows(named=True):
        strategy = found.strategy(row["setting"])
        assert septet.run(strategy).summary.sharpe == row["sharpe"], strategy.settings


def test_a_sweep_stays_in_memory_or_is_stored(file: Path, tmp_path: Path) -> None:
    strategy = septet.load(file)
    axes = {"features.fast.period": [3, 5, 7], "features.slow.period": "15..25:5"}
    found = septet.sweep(strategy, axes, threads=2)
    assert found.folder is None
    assert found.settings.height == 9
    assert found.verdict.tone in ("bad", "caution", "plain")
    best = found.best(3)
    assert best["sharpe"].to_list() == sorted(best["sharpe"].to_list(), reverse=True)
    longest = found.settings.filter(pl.col("features.slow.period") == 25.0)
    for row in longest.iter_rows(named=True):  # the others wait for it before they decide
        summary = septet.run(found.strategy(row["setting"])).summary
        assert (summary.sharpe, summary.trades) == (row["sharpe"], row["trades"])
    stored = septet.sweep(strategy, axes, out=tmp_path / "sweeps")
    assert stored.folder is not None
    assert (stored.folder / "sweep.html").is_file()
    assert_frame_equal(stored.settings, found.settings)
    with pytest.raises(septet.InputError, match="no setting 99"):
        found.strategy(99)
    with pytest.raises(septet.InputError, match="has nothing to sweep"):
        septet.sweep(strategy)
    with pytest.raises(septet.ConfigError, match="cannot be swept"):
        septet.sweep(strategy, {"features.fast.period": [object()]})
    with pytest.raises(septet.InputError, match="threads was 0"):
        septet.sweep(strategy, axes, threads=0)
    with pytest.raises(septet.InputError, match="found a list"):
        septet.sweep(strategy, ["features.fast.period"])  # type: ignore[arg-type]
    with pytest.raises(septet.ConfigError, match="this sweep has 990,000 settings"):
        septet.sweep(
            strategy,
            {
                "account.capital": "1000..1099:1",
                "risk.sizing.fraction": "1%..99%:1%",
                "features.slow.period": "20..119:1",
            },
        )
