"""A sweep on Ray: real clusters on this machine, a process killed in the middle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from septet._sweep.cluster import ClusterEvaluator, Lost, open_cluster
from septet._sweep.on_ray import RayPool
from septet._sweep.run_sweep import run_sweep
from septet._sweep.space import Setting
from septet.errors import InputError
from tests.sweep.files import swept
from tests.sweep.test_cluster import by_number, deadly, packed, two
from tests.sweep.test_on_dask import SECTION, other_version, stop

pytestmark = pytest.mark.compiled

pytest.importorskip(
    "ray", reason="ray (240 MB) is not part of the development environment: pip install -e '.[ray]'"
)


def processes(pool: RayPool) -> set[int]:
    """Numbers of the processes that run blocks."""
    ask = pool._ray.remote(num_cpus=1)(lambda: os.getpid())
    return set(pool._ray.get([ask.remote() for _ in range(4)]))


def test_processes_that_are_killed_are_replaced_and_lose_nothing(tmp_path: Path) -> None:
    space, parcel, rows = packed(swept(tmp_path, SECTION))
    pool = open_cluster("ray", 2, print)
    assert isinstance(pool, RayPool)
    evaluator = ClusterEvaluator(pool, parcel, space, print)
    try:
        stream = evaluator.stream(space.settings(), two)
        found = [next(stream)]
        before = processes(pool)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        found += [next(stream), next(stream)]
        assert processes(pool) - before, "another process took over"
        found += stream
        assert by_number(found) == rows
        assert sum(map(len, found)) == len(rows) == 72, "no setting came twice"
    finally:
        evaluator.close()


def test_a_block_that_ends_every_process_is_lost() -> None:
    pool = open_cluster("ray", 1, print)
    try:
        pool.begin(deadly())
        pool.send(7, [Setting(0, (0,))])
        while (answer := pool.wait(1.0)) is None:
            pass
        assert answer == (7, Lost())
    finally:
        pool.close()


def test_the_table_is_that_of_a_local_sweep(tmp_path: Path) -> None:
    loaded = swept(tmp_path, SECTION)
    here = run_sweep(loaded, tmp_path / "here", threads=2, page=False)
    there = run_sweep(loaded, tmp_path / "there", threads=2, on="ray", page=False)
    assert there.table.equals(here.table, null_equal=True)


def test_a_cluster_with_other_versions_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=1", "--block"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--include-dashboard=false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": other_version(tmp_path / "other")},
    )
    try:
        with pytest.raises(InputError) as refused:
            run_sweep(swept(tmp_path, SECTION), tmp_path / "out", on=f"ray:127.0.0.1:{port}")
        first, _, rest = refused.value.message.partition(": ")
        lines = rest.split("; ")
        assert first == "a worker is not as the machine of this sweep"
        assert len(lines) == 2, lines
        assert "numba is 0.1 there, " in lines[0]
        assert "the source of septet_plugins is " in lines[1]
    finally:
        stop(head)


def test_nobody_there() -> None:
    with pytest.raises(InputError, match="no Ray cluster answers at ray://127"):
        open_cluster("ray://127.0.0.1:9", 1, print)
