"""Settings on a cluster: blocks out and in, lost ones, workers that are not as this machine."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from septet._config.load import Loaded
from septet._sweep import cluster
from septet._sweep.cluster import (
    Answer,
    ClusterEvaluator,
    LostBlock,
    SweepTask,
    describe,
    reject_other_versions,
    run_block,
    task_of,
)
from septet._sweep.evaluate import Streaming
from septet._sweep.first_decision import begin_sweep
from septet._sweep.on_dask import open_cluster
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.space import Setting, Space, space_of
from septet._sweep.swept_parameters import numbers_of
from septet.errors import InputError, RunError
from tests.data.helpers import clean
from tests.sweep.files import BASE, swept

pytestmark = pytest.mark.compiled

SECTION = (
    "{over: {features.fast.period: {from: 10, to: 30, step: 5}, features.slow.period: [60, 90]}}"
)
Rows = list[dict[str, Any]]


def packed(loaded: Loaded) -> tuple[Space, SweepTask, Rows]:
    """A sweep, as it is sent to others, and its rows as they are made here."""
    space = space_of(loaded)
    numbers = numbers_of(loaded, space)
    beginning = begin_sweep(loaded, space, numbers, print)
    here = open_evaluator(loaded, space, beginning.first_ns, 1, print, numbers)
    rows = here.evaluate(list(space.settings()))
    here.close()
    return space, task_of(loaded, space, numbers, beginning), rows


class Here:
    """A pool whose blocks run in this process, the last one first; some are lost."""

    def __init__(self, lost: Sequence[int] = (), there: int = 2) -> None:
        self.lost, self.there = set(lost), there
        self.task: SweepTask | None = None
        self.waiting: list[tuple[int, Sequence[Setting]]] = []
        self.most = self.closed = 0

    def workers(self) -> dict[str, int]:
        return {f"worker-{n}": 1 for n in range(self.there)}

    def describe(self) -> dict[str, dict[str, str] | str]:
        return {name: describe() for name in self.workers()}

    def begin(self, task: SweepTask) -> None:
        self.task = task

    def send(self, ticket: int, block: Sequence[Setting]) -> None:
        self.waiting.append((ticket, block))
        self.most = max(self.most, len(self.waiting))

    def wait(self, seconds: float) -> tuple[int, Answer | LostBlock] | None:
        if not self.there:
            return None
        ticket, block = self.waiting.pop()
        if self.lost & {each.number for each in block}:
            return ticket, LostBlock()
        assert self.task is not None
        return ticket, run_block(self.task, block)

    def close(self) -> None:
        self.closed += 1


def opened(pool: Here, task: SweepTask, space: Space) -> tuple[ClusterEvaluator, list[str]]:
    logged: list[str] = []
    return ClusterEvaluator(pool, task, space, logged.append), logged


class Deadly:
    """Ends whichever process reads it."""

    def __reduce__(self) -> Any:
        return os.kill, (_Own(), 9)


class _Own:
    def __reduce__(self) -> Any:
        return os.getpid, ()


def deadly() -> SweepTask:
    """A sweep that no process survives."""
    return SweepTask("deadly", describe(), pickle.dumps(Deadly()))


def by_number(blocks: Any) -> Rows:
    return sorted((row for rows in blocks for row in rows), key=lambda row: row["setting"])


def two(size: int, seconds: float, least: int) -> int:
    return 2


def test_rows_are_those_of_this_machine(tmp_path: Path) -> None:
    space, task, rows = packed(swept(tmp_path, SECTION))
    pool = Here()
    evaluator, logged = opened(pool, task, space)
    assert isinstance(evaluator, Streaming)
    assert by_number(evaluator.stream(space.settings(), two)) == rows
    assert pool.most == 2 * cluster.BLOCKS_PER_PROCESS, "no worker waits while results travel"
    assert evaluator.evaluate(list(space.settings())[3:7]) == rows[3:7]
    assert logged == []
    evaluator.close()
    assert pool.closed == 1


def test_whole_backtests_elsewhere(tmp_path: Path) -> None:
    loaded = swept(tmp_path, "{over: {data.candles.reset_after: [3 bars, 9 bars]}}")
    space, task, rows = packed(loaded)
    evaluator, logged = opened(Here(), task, space)
    assert evaluator.evaluate(list(space.settings())) == rows
    assert [row["status"] for row in rows] == ["done", "done"]
    assert len(logged) == 1, "each thing is logged once, whoever logs it"
    assert logged[0].startswith("every setting is a whole backtest")


def test_a_setting_that_ends_whoever_runs_it_has_failed(tmp_path: Path) -> None:
    space, task, rows = packed(swept(tmp_path, SECTION))
    evaluator, _ = opened(Here(lost=[4]), task, space)
    found = by_number(evaluator.stream(space.settings(), lambda *last: 5, 5))
    assert [row["setting"] for row in found] == list(range(10))
    assert found[4]["status"] == "failed"
    assert found[4]["problem"] == "whatever process ran it was ended"
    assert [row for row in found if row["setting"] != 4] == [*rows[:4], *rows[5:]]


def test_workers_that_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.0)
    space, task, _ = packed(swept(tmp_path, SECTION))
    pool = Here()
    evaluator, logged = opened(pool, task, space)
    stream = evaluator.stream(space.settings(), two)
    next(stream)
    pool.there = 1
    next(stream)
    assert logged == ["the worker worker-1 is gone; its unfinished blocks go to another"]
    pool.there = 0
    monkeypatch.setattr(cluster, "ALONE_SECONDS", 0.0)
    with pytest.raises(RunError, match="no worker has been there for") as alone:
        next(stream)
    assert "--resume" in alone.value.hint


def test_other_versions_are_refused_by_name() -> None:
    here = describe()
    assert {"python", "septet", "numpy", "numba", "the source of septet_plugins"} <= set(here)
    reject_other_versions(here, {"one": dict(here)})
    with pytest.raises(InputError) as refused:
        reject_other_versions(here, {
            "one": dict(here),
            "two": {**here, "numba": "0.1", "plugin other": "2.0"},
            "three": "septet is missing there",
        })  # fmt: skip
    first, _, rest = refused.value.message.partition(": ")
    assert first == "a worker is not as the machine of this sweep"
    assert rest.split("; ") == [
        f"two: numba is 0.1 there, {here['numba']} here",
        "two: plugin other is 2.0 there, missing here",
        "three: septet is missing there",
    ]
    assert "install the same versions" in refused.value.hint


def test_a_worker_that_comes_later_is_asked_too(tmp_path: Path) -> None:
    space, task, _ = packed(swept(tmp_path, SECTION))
    other = replace(task, key="other", machine={**task.machine, "numpy": "1.0"})
    answer = run_block(other, list(space.settings())[:1])
    assert answer.rows == []
    assert answer.refused == (f"numpy is {task.machine['numpy']} there, 1.0 here",)

    class Later(Here):
        def wait(self, seconds: float) -> tuple[int, Answer | LostBlock] | None:
            ticket, block = self.waiting.pop()
            return ticket, run_block(other, block)

    evaluator, _ = opened(Later(), task, space)
    with pytest.raises(InputError, match=r"cannot take part in this sweep: numpy is"):
        next(evaluator.stream(space.settings(), two))


def test_other_data_is_refused_by_name(tmp_path: Path) -> None:
    bars = tmp_path / "bars.parquet"
    quarter_ns = 900 * 10**9
    clean(2_000, quarter_ns).write_parquet(bars)
    base = BASE.replace("use: sample", "use: parquet, path: bars.parquet")
    space, task, rows = packed(swept(tmp_path, SECTION, base=base))
    block = list(space.settings())
    assert run_block(task, block).rows == rows
    clean(2_000, quarter_ns, seed=1).write_parquet(bars)
    answer = run_block(replace(task, key="elsewhere"), block)
    assert (answer.rows, answer.refused) == ([], ("the data of BTC/USD differs",))
    assert "the same files" in answer.hint
    bars.unlink()
    answer = run_block(replace(task, key="nowhere"), block)
    assert answer.rows == []
    assert "bars.parquet" in answer.refused[0]


def test_nothing_of_the_kind() -> None:
    with pytest.raises(InputError, match="--on slurm names no cluster") as unknown:
        open_cluster("slurm", 1, print)
    assert "tcp://HOST:PORT" in unknown.value.hint


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="--on dask needs the package distributed") as missing:
        open_cluster("dask", 1, print)
    assert missing.value.hint == "pip install 'septet[dask]'"
