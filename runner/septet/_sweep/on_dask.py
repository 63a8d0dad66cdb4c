"""Blocks of settings on Dask: processes of this machine, or an existing scheduler."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import queue
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any, Final

from septet._extras import need
from septet._sweep.cluster import Answer, LostBlock, Pool, SweepTask, describe, run_block
from septet._sweep.space import Setting
from septet.errors import InputError, RunError

__all__ = ["DaskPool", "open_cluster"]

_LIBRARIES: Final = ("OMP", "OPENBLAS", "MKL", "NUMBA")
ONE_THREAD: Final = {
    **{f"{name}_NUM_THREADS": "1" for name in _LIBRARIES},
    "POLARS_MAX_THREADS": "1",
}
"""A local worker is one process with one thread; libraries start no others."""
CONNECT_SECONDS: Final = 20
WORKERS_SECONDS: Final = 60


def _run(task: SweepTask, block: Sequence[Setting]) -> Answer:
    """Run a block in a worker, with all threads of the worker."""
    from distributed import get_worker

    return run_block(task, block, get_worker().state.nthreads)


def _same_task(task: SweepTask) -> SweepTask:
    """Return the task: Dask computes it on a worker, and again if that worker dies."""
    return task


class DaskPool:
    """A Dask cluster; it replaces workers that die, and repeats what they were running."""

    def __init__(self, address: str | None, workers: int, log: Callable[[str], None]) -> None:
        """Connect to a scheduler, or start one with `workers` processes on this machine."""
        need("distributed", f"--on {address or 'dask'}")
        import distributed

        self._dask: Any = distributed  # only parts of the package are typed
        with _uninterrupted():
            self._cluster = _local(distributed, workers) if address is None else None
        self._client = self._connect(address)
        self._task: Any = None
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running: dict[str, tuple[int, Any]] = {}
        self._name = ""
        if address is not None:
            self._await_workers(address, log)

    def _connect(self, address: str | None) -> Any:
        where = self._cluster or address
        try:
            return self._dask.Client(where, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise InputError(
                f"no Dask scheduler answers at {address}: {error}",
                hint="start one with dask scheduler, and workers with dask worker ADDRESS",
            ) from error

    def _await_workers(self, address: str, log: Callable[[str], None]) -> None:
        if not self.workers():
            log(f"waiting for workers of the scheduler at {address}")
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError as error:
            self.close()
            raise InputError(
                f"the scheduler at {address} has no workers",
                hint=f"start some with dask worker {address}",
            ) from error

    def workers(self) -> dict[str, int]:
        """Return the available workers by address, with their threads."""
        try:
            return {str(name): 1 for name in self._client.ncores()}
        except OSError as error:
            raise _scheduler_gone() from error

    def describe(self) -> dict[str, dict[str, str] | str]:
        """Return the description of each worker, or the reason why there is none."""
        versions = self._client.get_versions()
        own_python, workers = versions["client"]["packages"]["python"], versions["workers"]
        descriptions: dict[str, dict[str, str] | str] = {}
        for name, text in workers.items():
            python = text["packages"]["python"]
            if python != own_python:
                descriptions[name] = f"python is {_plain(python)} there, {_plain(own_python)} here"
        same_python = [name for name in workers if name not in descriptions]
        if same_python:
            answers = self._client.run(describe, workers=same_python, on_error="return")
            descriptions.update((name, _description(answer)) for name, answer in answers.items())
        return descriptions

    def begin(self, task: SweepTask) -> None:
        """Register a sweep; sending a large one takes a while, which needs no warning."""
        self._name = f"septet-{task.key}-{os.getpid()}"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
            self._task = self._client.submit(_same_task, task, key=f"{self._name}-sweep")

    def send(self, ticket: int, block: Sequence[Setting]) -> None:
        """Submit a block to any worker."""
        key = f"{self._name}-{ticket}"
        future = self._client.submit(_run, self._task, tuple(block), key=key)
        self._running[key] = ticket, future
        future.add_done_callback(self._done.put)

    def wait(self, seconds: float) -> tuple[int, Answer | LostBlock] | None:
        """Return a finished block by its ticket; None if none finishes soon."""
        try:
            future = self._done.get(timeout=seconds)
        except queue.Empty:
            if self._client.status not in ("running", "connecting", "newclosed"):
                raise _scheduler_gone() from None
            return None
        ticket, _ = self._running.pop(str(future.key))
        try:
            return ticket, future.result()
        except concurrent.futures.CancelledError as error:
            raise _scheduler_gone() from error
        except self._dask.KilledWorker:
            return ticket, LostBlock()

    def close(self) -> None:
        """Cancel running blocks, leave the scheduler, and end what was started here."""
        with contextlib.suppress(OSError):  # it may have ended already
            self._client.cancel([future for _, future in self._running.values()])
        self._running.clear()
        self._task = None
        with _without_output():
            self._client.close()
            if self._cluster is not None:
                self._cluster.close()


def _local(dask: Any, workers: int) -> Any:
    return dask.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any free port: several sweeps may run at once
        memory_limit=0,
        silence_logs=logging.CRITICAL,  # the sweep reports what happens to workers
        env=ONE_THREAD,
    )


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Start threads and processes that Ctrl-C does not reach: the sweep ends them itself.

    The thread that starts and restarts workers is created here and keeps this mask; so do the
    workers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    resource_tracker.ensure_running()  # it would clear the mask when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Suppress Dask's log messages about connections that are closed on purpose."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _description(answer: Any) -> dict[str, str] | str:
    """Return a worker's description, or the text of its error."""
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, ImportError | AttributeError):
        return f"septet is missing there, or of another version: {answer}"
    return f"{type(answer).__name__}: {answer}"


def _plain(python: str) -> str:
    return python.removesuffix(".final.0")


def _scheduler_gone() -> RunError:
    return RunError(
        "the Dask scheduler is gone",
        hint="what is done stays; start it again and go on with --resume",
    )


def open_cluster(on: str, workers: int, log: Callable[[str], None]) -> Pool:
    """Open the cluster named by `--on`.

    Parameters
    ----------
    on
        `dask` for processes on this machine, `tcp://HOST:PORT` (or `tls://`) for a scheduler.
    workers
        Processes to start on this machine.

    Raises
    ------
    InputError
        If the cluster is unknown, its package is not installed, or no scheduler answers.
    """
    if on == "dask" or on.startswith(("tcp://", "tls://")):
        return DaskPool(None if on == "dask" else on, workers, log)
    raise InputError(f"--on {on} names no cluster", hint="dask or tcp://HOST:PORT")
