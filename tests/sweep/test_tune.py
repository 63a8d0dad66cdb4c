"""A guided search: what is chosen, what is given up, what is remembered."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import pytest

from septet._app.sweep import SweepRequest, sweep_file
from septet._app.trial_records import listed_tries
from septet._sweep import on_dask, tune
from septet._sweep.run_sweep import Outcome, run_sweep
from septet._sweep.space import Setting, Space
from septet._sweep.tune import STUDY, Tuner, distribution_of
from septet.errors import ConfigError, InputError, RunError
from tests.cli.conftest import Command, septet
from tests.sweep.files import BASE, space, swept
from tests.sweep.test_cluster import Here

pytestmark = pytest.mark.compiled

__all__ = ["septet"]

Rows = list[dict[str, Any]]
KEYS = "features.fast.period: {from: 5, to: 40, step: 1}, features.slow.period: [60, 90, 120]"
GRID = f"{{over: {{{KEYS}}}, where: fast.period < slow.period / 3}}"
GUIDED = GRID.replace("{over", "{method: tpe, trials: 40, over", 1)


def figures(table: pl.DataFrame) -> dict[tuple[float, ...], dict[str, Any]]:
    """Rows by their values, without what depends on the other rows or their order."""
    rows = table.filter(status="done").drop("setting", "psr", "dsr").to_dicts()
    return {(row["features.fast.period"], row["features.slow.period"]): row for row in rows}


def tuned(folder: Path, section: str = GUIDED, **more: Any) -> Outcome:
    return run_sweep(swept(folder, section), folder / "out", threads=2, page=False, **more)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Every setting, run to the end."""
    folder = tmp_path_factory.mktemp("grid")
    return run_sweep(swept(folder, GRID), folder / "out", threads=2, page=False).table


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The rows of a guided search that nobody interrupted."""
    return tuned(tmp_path_factory.mktemp("guided")).table


# ------------------------------------------------------------------ with real backtests


def test_every_setting_of_a_search_is_a_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("SEPTET_TRIALS", raising=False)
    request = SweepRequest(out=tmp_path / "out", threads=2, page=False)
    table = sweep_file(swept(tmp_path, GUIDED), request).table
    assert table.filter(status="pruned").height > 0
    assert listed_tries()[0].count == table.height == 40


def test_rows_are_those_of_the_grid_and_hopeless_ones_end_early(
    tmp_path: Path, grid: pl.DataFrame
) -> None:
    outcome = run_sweep(swept(tmp_path, GUIDED), tmp_path / "out", threads=2)
    table = outcome.table
    assert table["setting"].to_list() == list(range(40)), "numbers count trials"
    assert (outcome.folder / "sweep.html").is_file()
    every, done = figures(grid), figures(table)
    assert done == {key: every[key] for key in done}, "bit for bit"
    pruned = table.filter(status="pruned")
    assert 0 < pruned.height < 40
    assert (
        pruned["problem"]
        .str.contains(
            r"^given up after (an eighth|a quarter|half) of the history, with a sharpe of -?\d"
        )
        .all()
    )
    assert pruned["sharpe"].null_count() == pruned["bars"].null_count() == pruned.height
    assert table.select("features.fast.period", "features.slow.period").n_unique() == 40
    held = table["features.fast.period"] < table["features.slow.period"] / 3
    assert held.all(), "what the condition leaves out is not run"
    study = optuna.load_study(study_name="sweep", storage=_storage(outcome.folder))
    assert study.best_value == table["sharpe"].max(), "others can read it"
    assert outcome.manifest["space"]["method"] == "tpe"


def _storage(folder: Path) -> Any:
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY)))


def test_the_seed_decides_what_is_chosen(tmp_path: Path) -> None:
    first, again, other = (
        run_sweep(
            swept(tmp_path, GUIDED), tmp_path / name, threads=threads, seed=seed, page=False
        ).table
        for name, threads, seed in (("a", 1, 3), ("b", 2, 3), ("c", 1, 4))
    )
    assert first.equals(again, null_equal=True), "however many threads there are"
    assert not first.equals(other, null_equal=True)


def _note_created(patch: pytest.MonkeyPatch, made: list[str]) -> None:
    """Note the name of every link and of every file that is created exclusively."""
    link, opened = os.symlink, os.open

    def noted_link(source: Any, target: Any, **more: Any) -> None:
        made.append(os.fspath(target))
        link(source, target, **more)

    def noted_open(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_EXCL:
            made.append(os.fspath(path))
        return opened(path, flags, *rest, **more)

    patch.setattr(os, "symlink", noted_link)
    patch.setattr(os, "open", noted_open)


def test_what_was_begun_goes_on(tmp_path: Path, grid: pl.DataFrame) -> None:
    logged: list[str] = []

    def stop_it(stage: str, done: int, total: int | None, best: str, /) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    made: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        _note_created(patch, made)
        with pytest.raises(KeyboardInterrupt):
            tuned(tmp_path, progress=stop_it, log=logged.append)
    assert not [each for each in made if STUDY in each], "a kill would leave it, and resume fail"
    (folder,) = (tmp_path / "out").glob("cross/*")
    before = pl.concat(map(pl.read_parquet, folder.glob("parts/*.parquet"))).sort("setting")
    assert before.height == 16
    with (folder / STUDY).open("ab") as study:  # as a process leaves it that is ended at once
        study.write(b'{"op_code":4,"worker_id"')
    outcome = tuned(tmp_path, resume=True, log=logged.append)
    assert outcome.done_before == 16
    assert outcome.table["setting"].to_list() == list(range(40))
    assert outcome.table.head(16).select(before.columns).equals(before, null_equal=True)
    every, done = figures(grid), figures(outcome.table)
    assert done == {key: every[key] for key in done}


def test_rows_that_were_not_stored_are_made_again(tmp_path: Path, guided: pl.DataFrame) -> None:

    def stop_it(stage: str, done: int, total: int | None, best: str, /) -> None:
        if done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, progress=stop_it)
    (folder,) = (tmp_path / "out").glob("cross/*")
    for part in folder.glob("parts/*.parquet"):
        part.unlink()
    outcome = tuned(tmp_path, resume=True)
    assert outcome.done_before == 0
    first, again = (each.head(32).drop("psr", "dsr") for each in (guided, outcome.table))
    assert "pruned" in first["status"]
    assert first.equals(again, null_equal=True)


def test_rows_of_other_values_than_were_chosen_are_made_again(
    tmp_path: Path, guided: pl.DataFrame
) -> None:
    logged: list[str] = []

    def stop_it(stage: str, done: int, total: int | None, best: str, /) -> None:
        if done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, progress=stop_it)
    (folder,) = (tmp_path / "out").glob("cross/*")
    part, *_ = sorted(folder.glob("parts/*.parquet"))
    rows = pl.read_parquet(part)
    values = rows["features.fast.period"]
    assert values.n_unique() > 1, "values of the space, on other settings"
    rows.with_columns(values.reverse()).write_parquet(part)
    outcome = tuned(tmp_path, resume=True, log=logged.append)
    wrong = f"{part} has values of features.fast.period that its settings do not have"
    assert any(wrong in each for each in logged)
    first, again = (each.head(32).drop("psr", "dsr") for each in (guided, outcome.table))
    assert first.equals(again, null_equal=True)


def test_where_nothing_can_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster runs whole settings, and so do backtests one by one."""
    monkeypatch.setattr(on_dask, "open_cluster", lambda *given: Here())
    logged: list[str] = []
    section = GUIDED.replace("trials: 40", "trials: 12")
    outcome = tuned(tmp_path, section, on="dask", log=logged.append)
    assert outcome.table["status"].to_list() == ["done"] * 12
    assert logged == [
        *(f"warning: {each}" for each in outcome.findings.doubts),
        "every setting is run to the end: nothing is given up where it is run",
    ]


def test_the_command(septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cross.yaml").write_text(BASE, encoding="utf-8")
    words = (
        "sweep", "cross.yaml", "--sweep", "risk.stops.stop_loss=1%..10%:log", "--sweep",
        "features.fast.period=5..40", "--method", "tpe", "--trials", 30, "--json", "--threads", 1,
    )  # fmt: skip
    done = septet(*words)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["method"], document["settings"]) == ("tpe", 30)
    assert document["pruned"] > 0
    assert document["problems"] == [], "what was given up did not fail"
    monkeypatch.setitem(sys.modules, "optuna", None)
    missing = septet(*words)
    assert missing.code == 2
    assert "the method tpe needs the package optuna" in missing.err
    assert "pip install 'septet[tune]'" in missing.err


# ------------------------------------------------------------------ the search itself


class Bowl:
    """Rows worked out from the values: the goal is best where every value is 30."""

    def __init__(self, space: Space, goal: str = "sharpe", better: int = -1) -> None:
        self.space, self.goal, self.better = space, goal, better
        self.ran: list[int] = []

    def evaluate(self, block: Sequence[Setting]) -> Rows:
        return [self._row(each) for each in block]

    def _row(self, setting: Setting) -> dict[str, Any]:
        self.ran.append(setting.number)
        values = self.space.values(setting)
        far = math.fsum((value / 30 - 1.0) ** 2 for value in values.values())
        none = values.get("features.fast.period") == 7.0
        goal = None if none else self.better * far
        return {"setting": setting.number, **values, "status": "done", self.goal: goal}

    def close(self) -> None:
        pass


WIDE = (
    "{over: {features.fast.period: {low: 5, high: 100}, features.slow.period: {low: 10, high: "
    "100, step: 5}}, method: tpe, trials: 80, goal: %s}"
)


def searched(folder: Path, whole: Space, evaluator: Bowl) -> Rows:
    tuner = Tuner(whole, evaluator, folder, lambda message: None)
    return [row for rows in tuner.rows([]) for row in rows]


@pytest.mark.parametrize(("goal", "better"), [("sharpe", -1), ("max_drawdown", 1)])
def test_it_comes_nearer_to_the_best(tmp_path: Path, goal: str, better: int) -> None:
    whole = space(tmp_path, WIDE % goal)
    evaluator = Bowl(whole, goal, better)
    rows = searched(tmp_path, whole, evaluator)
    assert evaluator.ran == list(range(80)), "every setting once, in the order they were chosen"
    far = [abs(row[goal]) for row in rows if row[goal] is not None]
    assert sum(far[-30:]) < 0.3 * sum(far[:30])
    assert min(far) < 0.02


def test_interrupted_again_and_again(tmp_path: Path) -> None:
    whole = space(tmp_path, WIDE % "sharpe")
    rows: Rows = []

    class Stopped(Bowl):
        def evaluate(self, block: Sequence[Setting]) -> Rows:
            if len(self.ran) >= 24:
                raise KeyboardInterrupt
            return super().evaluate(block)

    tuner = Tuner(whole, Stopped(whole), tmp_path, lambda message: None)
    rows += next(source := tuner.rows([])) + next(source) + next(source)
    with pytest.raises(KeyboardInterrupt):
        next(source)
    Tuner(whole, Bowl(whole), tmp_path, lambda message: None)  # stopped before it did anything
    tuner = Tuner(whole, Bowl(whole), tmp_path, lambda message: None)
    rest = [row for part in tuner.rows(rows) for row in part]
    assert sorted(row["setting"] for row in (*rows, *rest)) == list(range(80))
    for row in rest:
        assert (
            whole.values(whole.setting(row["setting"]))["features.fast.period"]
            == (row["features.fast.period"])
        )


def test_a_study_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages.journal import JournalFileBackend

    def full(self: object, logs: object) -> None:
        raise OSError(28, "No space left on device")

    def fill(stage: str, done: int, total: int | None, best: str, /) -> None:
        monkeypatch.setattr(JournalFileBackend, "append_logs", full)

    with pytest.raises(RunError, match=r"cannot be written .* No space left") as stopped:
        tuned(tmp_path, progress=fill)
    assert "--resume" in stopped.value.hint
    kept = pl.concat(map(pl.read_parquet, (tmp_path / "out").glob("cross/*/parts/*.parquet")))
    assert kept.height == 8, "what was done is stored"


def test_a_small_space_is_gone_through_and_no_setting_comes_twice(tmp_path: Path) -> None:
    section = (
        "{over: {features.fast.period: {from: 5, to: 14, step: 1}, features.slow.period: "
        "[60, 90]}, method: tpe, trials: 500, where: fast.period < slow.period / 10}"
    )
    whole = space(tmp_path, section)
    assert len(whole) == 1 + 4, "no more than there are"
    rows = searched(tmp_path, whole, Bowl(whole))
    found = sorted((row["features.slow.period"], row["features.fast.period"]) for row in rows)
    assert found == [(60.0, 5.0), (90.0, 5.0), (90.0, 6.0), (90.0, 7.0), (90.0, 8.0)]


def test_a_space_that_cannot_be_counted_ends_when_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = (
        "{over: {features.fast.period: {low: 5, high: 900}, features.slow.period: {low: 5, high: "
        "900}, account.capital: {low: 1, high: 900}}, method: tpe, trials: 30, where: "
        "fast.period < 7 and slow.period == 5 and account.capital < 3}"
    )
    whole = space(tmp_path, section)
    assert len(whole) == 30
    monkeypatch.setattr(tune, "_DRAWS", 200)
    rows = searched(tmp_path, whole, Bowl(whole))
    assert len(rows) <= 4, "2 periods and 2 capitals, if any was found by chance"


def test_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this condition leaves none of 108 settings"):
        space(tmp_path, GUIDED.replace("slow.period / 3", "0"))


# ------------------------------------------------------------------ keys as parameters


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("[5, 10, 20]", "CategoricalDistribution(choices=('5', '10', '20'))"),
        ("{from: 5, to: 50, step: 5}", "IntDistribution(high=50, log=False, low=5, step=5)"),
        ("{low: 5, high: 50}", "IntDistribution(high=50, log=False, low=5, step=1)"),
        ("{low: 5, high: 50, log: true}", "IntDistribution(high=50, log=True, low=5, step=1)"),
        (
            "{low: 5, high: 50, step: 5, log: true}",
            "FloatDistribution(high=50.0, log=True, low=5.0, step=None)",
        ),
    ],
)
def test_whole_numbers(tmp_path: Path, values: str, expected: str) -> None:
    whole = space(tmp_path, f"{{over: {{features.fast.period: {values}}}, method: tpe}}")
    assert repr(distribution_of(whole.axes[0])[0]) == expected


@pytest.mark.parametrize(
    ("values", "expected", "texts"),
    [
        ("{from: 1%, to: 4%, step: 0.5%}", "IntDistribution(high=6, log=False, low=0, step=1)", 7),
        ("{low: 1%, high: 4%, step: 0.5%}", "IntDistribution(high=6, log=False, low=0, step=1)", 7),
        ("{low: 1%, high: 4%}", "FloatDistribution(high=0.04, log=False, low=0.01, step=None)", 0),
        (
            "{low: 1%, high: 4%, log: true}",
            "FloatDistribution(high=0.04, log=True, low=0.01, step=None)",
            0,
        ),
        ("{from: 2%, to: 2%, step: 1%}", "IntDistribution(high=0, log=False, low=0, step=1)", 1),
    ],
)
def test_shares(tmp_path: Path, values: str, expected: str, texts: int) -> None:
    whole = space(tmp_path, f"{{over: {{risk.stops.stop_loss: {values}}}, method: tpe}}")
    (axis,) = whole.axes
    assert repr(distribution_of(axis)[0]) == expected
    assert len(axis.values) == (texts or 1_000)
    assert all(each.text.endswith("%") for each in axis.values)


@pytest.mark.parametrize(
    "values",
    [
        "[20, 5, 10]", "{from: 5, to: 50, step: 5}", "{low: 5, high: 90, log: true}",
        "{low: 5, high: 3000, log: true}", "{low: 5, high: 3000}", "{low: 5, high: 50, step: 4}",
    ],
)  # fmt: skip
def test_the_way_back_from_a_parameter(tmp_path: Path, values: str) -> None:
    whole = space(tmp_path, f"{{over: {{features.fast.period: {values}}}, method: tpe}}")
    (parameter,) = tune._parameters(whole).values()
    for place in range(len(whole.axes[0].values)):
        value = parameter.value(place)
        assert parameter.place(value) == place
        assert parameter.distribution._contains(parameter.distribution.to_internal_repr(value))


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="needs the package optuna") as missing:
        tune.need_optuna()
    assert missing.value.hint == "pip install 'septet[tune]'"
