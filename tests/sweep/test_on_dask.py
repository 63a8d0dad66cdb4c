"""A sweep on Dask: real schedulers, real workers, one of them killed in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from septet._config.load import Loaded
from septet._sweep import cluster
from septet._sweep.cluster import ClusterEvaluator, LostBlock
from septet._sweep.on_dask import DaskPool, open_cluster
from septet._sweep.run_sweep import run_sweep
from septet._sweep.space import Setting
from septet.errors import InputError, RunError
from tests.sweep.files import BASE, swept
from tests.sweep.test_cluster import by_number, deadly, packed, two

pytestmark = pytest.mark.compiled

ROOT = Path(__file__).resolve().parents[2]
SECTION = (
    "{over: {features.fast.period: {from: 5, to: 40, step: 1}, features.slow.period: [60, 90]}}"
)
SELDOM = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
"""Dask looks at its own processes a hundred times a second, which costs the tests beside them."""


def start(name: str, *words: object, **more: str) -> subprocess.Popen[bytes]:
    """Start a Dask command as a person would, with a changed environment."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *map(str, words)]
    quiet = subprocess.DEVNULL
    environment = {**os.environ, **SELDOM, **more}
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_scheduler() -> tuple[str, subprocess.Popen[bytes]]:
    """Start a scheduler at a free port; whoever connects waits until it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"tcp://127.0.0.1:{port}", start(
        "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"
    )


@pytest.fixture(scope="module")
def empty() -> Iterator[str]:
    """The address of a scheduler without workers, or with those that one test starts."""
    address, process = start_scheduler()
    yield address
    stop(process)


class Standing:
    """A scheduler with two workers, each started again by its nanny when it dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begin()

    def begin(self) -> None:
        self.address, self.scheduler = start_scheduler()
        words = ("--no-dashboard", "--death-timeout", 30, "--local-directory", self.folder)
        self.workers = [
            start("worker", self.address, "--nthreads", threads, *words) for threads in (1, 2)
        ]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            stop(process)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    cluster = Standing(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.end()


@pytest.fixture
def standing(begun: Standing) -> Standing:
    """A cluster that others started; begun again where a test has ended its scheduler."""
    if begun.scheduler.poll() is not None:
        begun.end()
        begun.begin()
    return begun


@pytest.fixture(scope="module")
def local() -> Iterator[DaskPool]:
    """Two workers of this machine, started as `--on dask` starts them."""
    pool = open_cluster("dask", 2, print)
    assert isinstance(pool, DaskPool)
    yield pool
    pool.close()


def kill(pool: DaskPool, name: str) -> None:
    """End a worker's process at once, as a machine that fails would."""
    pid = pool._client.run(os.getpid, workers=[name])[name]
    os.kill(pid, signal.SIGKILL)


def with_killed_workers(pool: DaskPool, loaded: Loaded, *, both: bool) -> list[str]:
    """Run a sweep of which a worker is killed, or both in turn; return what was printed."""
    space, task, rows = packed(loaded)
    logged: list[str] = []
    pool._client.wait_for_workers(2, timeout=60)
    evaluator = ClusterEvaluator(pool, task, space, logged.append)
    first, second = pool.workers()
    stream = evaluator.stream(space.settings(), two)
    found = [next(stream), next(stream)]
    kill(pool, first)
    found += [next(stream), next(stream)]
    while first in pool.workers():
        pass
    if both:
        pool._client.wait_for_workers(2, timeout=60)  # the one that died was replaced
        kill(pool, second)
    found += stream
    assert by_number(found) == rows
    assert sum(map(len, found)) == len(rows) == 72, "no setting came twice"
    if both:
        assert len(set(pool.workers()) - {first, second}) >= 1, "a new one did the rest"
    return logged


def test_ctrl_c_does_not_reach_local_workers(local: DaskPool) -> None:
    there = local._client.run(os.getpid)
    assert len(there) == 2
    for pid in there.values():
        os.kill(pid, signal.SIGINT)  # as a terminal does, to every process that it started
    assert local._client.run(os.getpid) == there, "they are the same processes"
    assert all(signal.SIGINT in each for each in local._client.run(_blocked).values())
    assert signal.SIGINT not in _blocked(), "the sweep itself can be stopped"


def _blocked() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_local_workers_that_are_killed_are_replaced_and_lose_nothing(
    tmp_path: Path, local: DaskPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.05)
    logged = with_killed_workers(local, swept(tmp_path, SECTION), both=True)
    assert any(text.endswith("is gone; its unfinished blocks go to another") for text in logged)


def test_a_block_that_ends_every_worker_is_lost(
    local: DaskPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert local._cluster is not None
    monkeypatch.setattr(local._cluster.scheduler, "allowed_failures", 1)  # Dask's own is 3
    local.begin(deadly())
    local.send(7, [Setting(0, (0,))])
    while (answer := local.wait(1.0)) is None:
        pass
    assert answer == (7, LostBlock())


LEARNED = "{over: {signal.threshold: [0.05, 0.1, 0.2], risk.sizing.fraction: [25%, 75%]}}"
MODEL = (ROOT / "tests" / "sweep" / "model.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("base", "section"), [(BASE, SECTION), (MODEL, LEARNED)])
def test_the_table_is_that_of_a_local_sweep(
    tmp_path: Path, standing: Standing, base: str, section: str
) -> None:
    loaded = swept(tmp_path, section, base=base)
    here = run_sweep(loaded, tmp_path / "here", threads=2, page=False)
    there = run_sweep(loaded, tmp_path / "there", threads=2, on=standing.address, page=False)
    assert there.table.equals(here.table, null_equal=True)
    stored = pl.read_parquet(there.folder / "settings.parquet")
    assert stored.equals(here.table, null_equal=True)


def test_a_sweep_that_was_stopped_goes_on_elsewhere(tmp_path: Path, standing: Standing) -> None:
    """What a cluster finished before Ctrl-C is kept, and the rest may be run here."""
    loaded, out = swept(tmp_path, SECTION), tmp_path / "out"

    def stop_it(stage: str, done: int, total: int | None, best: str, /) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(loaded, out, threads=2, on=standing.address, page=False, progress=stop_it)
    rest = run_sweep(loaded, out, threads=2, page=False, resume=True)
    assert 0 < rest.done_before < 72
    whole = run_sweep(loaded, tmp_path / "whole", threads=2, page=False)
    assert rest.table.equals(whole.table, null_equal=True)


def test_a_scheduler_that_is_there(
    tmp_path: Path, standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.05)
    logged: list[str] = []
    pool = open_cluster(standing.address, 2, logged.append)
    assert isinstance(pool, DaskPool)
    try:
        logged += with_killed_workers(pool, swept(tmp_path, SECTION), both=False)
    finally:
        pool.close()
    assert any("is gone" in text for text in logged)


def test_a_scheduler_that_goes(tmp_path: Path, standing: Standing) -> None:
    loaded, out, done = swept(tmp_path, SECTION), tmp_path / "out", list[int]()

    def go(stage: str, count: int, total: int | None, best: str, /) -> None:
        done.append(count)
        standing.scheduler.kill()
        standing.scheduler.wait()

    with pytest.raises(RunError, match="is gone") as gone:
        run_sweep(loaded, out, on=standing.address, page=False, progress=go)
    assert "--resume" in gone.value.hint
    kept = pl.concat([pl.read_parquet(each) for each in out.glob("cross/*/parts/*.parquet")])
    assert 0 < done[0] <= kept.height < 72


def test_nobody_there(tmp_path: Path, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from septet._sweep import on_dask

    monkeypatch.setattr(on_dask, "WORKERS_SECONDS", 1)
    logged: list[str] = []
    with pytest.raises(InputError, match=f"the scheduler at {empty} has no workers"):
        open_cluster(empty, 1, logged.append)
    assert logged == [f"waiting for workers of the scheduler at {empty}"]
    monkeypatch.setattr(on_dask, "CONNECT_SECONDS", 1)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        open_cluster("tcp://127.0.0.1:9", 1, logged.append)


def other_version(folder: Path) -> str:
    """Make a search path on which numba has another version and the plugins another source."""
    note = folder / "numba-0.1.dist-info"
    note.mkdir(parents=True)
    (note / "METADATA").write_text("Metadata-Version: 2.1\nName: numba\nVersion: 0.1\n")
    shutil.copytree(ROOT / "plugins" / "septet_plugins", folder / "septet_plugins")
    with (folder / "septet_plugins" / "features" / "__init__.py").open("a") as text:
        text.write("\n# edited there\n")
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_a_worker_with_other_versions_is_refused(tmp_path: Path, empty: str) -> None:
    words = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", tmp_path / "d")
    worker = start("worker", empty, *words, PYTHONPATH=other_version(tmp_path / "other"))
    loaded, out = swept(tmp_path, SECTION), tmp_path / "out"
    try:
        with pytest.raises(InputError) as refused:
            run_sweep(loaded, out, on=empty, page=False)
    finally:
        stop(worker)
    first, _, rest = refused.value.message.partition(": ")
    lines = rest.split("; ")
    assert first == "a worker is not as the machine of this sweep"
    assert len(lines) == 2, lines
    assert all(line.startswith("tcp://127.0.0.1:") for line in lines)
    assert "numba is 0.1 there, " in lines[0]
    assert "the source of septet_plugins is " in lines[1]
    assert not out.exists(), "nothing was begun"
