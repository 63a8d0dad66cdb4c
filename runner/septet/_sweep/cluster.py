"""Settings run by other processes: the data sent to them, and their results.

The block of settings is the unit of work. A process that runs blocks gets the file as it was
loaded, the swept keys and what their values change in the plan; it opens an evaluator once and
keeps it. Before that it compares itself with the machine of the sweep: versions, the sources of
septet and of every plugin, and the data it reads. What differs is refused by name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import pickle
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from septet._config.load import Loaded, reopen
from septet._config.overlay import Setting as FileSetting
from septet._config.plugin_verdicts import plugin_sources
from septet._config.tree import Node
from septet._host.installed import points
from septet._host.plugin_registry import Host
from septet._host.sources import package_digest
from septet._store.environment import library_versions
from septet._sweep.evaluate import Evaluator, Grow
from septet._sweep.first_decision import Beginning, data_hashes_of
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.setting_row import failed_row
from septet._sweep.space import Setting, Space
from septet._sweep.swept_parameters import AxisNumbers, Joint, Numbers
from septet.errors import InputError, RunError, SeptetError

__all__ = [
    "Answer", "ClusterEvaluator", "LostBlock", "SweepTask", "Pool", "describe",
    "task_of", "reject_other_versions", "run_block",
]  # fmt: skip

BLOCKS_PER_PROCESS: Final = 2
"""Blocks that wait or run for each process, so that none is idle during transfers."""
POLL_SECONDS: Final = 1.0
ALONE_SECONDS: Final = 60.0
"""Time for which a sweep waits if no worker is left."""
SAME_VERSIONS: Final = "install the same versions there, or leave it out of the cluster"
SAME_DATA: Final = "let it read the same files: a shared folder, or a copy under the same path"


# ------------------------------------------------------------------ messages between processes


@dataclass(frozen=True, slots=True)
class SweepTask:
    """All data that a process needs, in a form that opens under any version.

    `machine` is what the process must have in common with the sweep; only then `work` is opened.
    """

    key: str
    machine: dict[str, str]
    work: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a block: its rows, or the reason why the worker rejected it, and its messages."""

    rows: list[dict[str, Any]]
    seconds: float
    refused: tuple[str, ...] = ()
    hint: str = ""
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LostBlock:
    """A block that no process finished: every worker that ran it ended first."""


@dataclass(frozen=True, slots=True)
class _Work:
    """The sweep as sent to another process; its space has the values and no settings."""

    tree: Node
    path: Path
    base_dir: Path
    space: Space
    axes: tuple[AxisNumbers, ...]
    joints: tuple[Joint, ...]
    capital: float
    base: Any
    first_ns: int
    calendar: str
    begun_with: tuple[FileSetting, ...]
    data_hashes: dict[str, str]
    plugin_sources: dict[str, str]


def task_of(loaded: Loaded, space: Space, numbers: Numbers, beginning: Beginning) -> SweepTask:
    """Pack a sweep for other processes."""
    work = _Work(
        loaded.tree,
        loaded.path.absolute(),
        loaded.base_dir,
        replace(space, numbers=np.empty(0, np.int64), drawn=None),
        numbers.axes,
        numbers.joints,
        numbers.base_capital,
        numbers.plan.parameters,
        beginning.first_ns,
        beginning.calendar,
        beginning.changes,
        dict(beginning.data_hashes),
        plugin_sources(loaded.strategy, loaded.host),
    )
    data = pickle.dumps(work)
    return SweepTask(hashlib.sha256(data).hexdigest()[:16], describe(), data)


def describe() -> dict[str, str]:
    """Return what rows depend on besides the file and the data, for this process.

    These are the versions of Python, septet, every plugin and library, and a hash of the sources of
    septet and of every plugin, by readable names.
    """
    modules = (each.entry.module.partition(".")[0] for each in points())
    packages = {"septet", "septet_schemas", *modules}
    plugins = {name: text for name, text in Host().versions().items() if name != "septet"}
    return {
        "python": platform.python_version(),
        "septet": importlib.metadata.version("septet"),
        **{f"plugin {name}": text for name, text in sorted(plugins.items())},
        **library_versions(),
        **{f"the source of {each}": package_digest(each)[:12] for each in sorted(packages)},
    }


def _differences(own: Mapping[str, str], worker: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ on another machine."""
    names = [*own, *(name for name in worker if name not in own)]
    return [
        f"{name} is {worker.get(name, 'missing')} there, {own.get(name, 'missing')} here"
        for name in names
        if own.get(name) != worker.get(name)
    ]


def reject_other_versions(
    own: Mapping[str, str], described: Mapping[str, Mapping[str, str] | str]
) -> None:
    """Reject workers that differ from this machine.

    Parameters
    ----------
    own
        The description of this machine.
    described
        The description of each worker by name, or the reason why there is none.

    Raises
    ------
    InputError
        With everything that differs, by worker.
    """
    lines = []
    for worker, description in described.items():
        problems = [description] if isinstance(description, str) else _differences(own, description)
        lines += [f"{worker}: {each}" for each in problems]
    if lines:
        raise InputError(
            f"a worker is not as the machine of this sweep: {'; '.join(lines)}",
            hint=SAME_VERSIONS,
        )


# ------------------------------------------------------------------ in a worker's process


@dataclass
class _Opened:
    """A sweep opened by this process, or the reason why it could not be opened."""

    evaluator: Evaluator | None = None
    refused: tuple[str, ...] = ()
    hint: str = ""
    messages: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_opened: dict[str, _Opened] = {}
_opening = threading.Lock()


def run_block(task: SweepTask, block: Sequence[Setting], threads: int = 1) -> Answer:
    """Run a block of settings in this process, which opens the sweep the first time."""
    with _opening:
        if task.key not in _opened:
            _close_all()
            _opened[task.key] = _open(task, threads)
    opened = _opened[task.key]
    with opened.lock:
        began = time.perf_counter()
        rows = opened.evaluator.evaluate(block) if opened.evaluator is not None else []
        logged, opened.messages[:] = tuple(opened.messages), []
        return Answer(rows, time.perf_counter() - began, opened.refused, opened.hint, logged)


def _close_all() -> None:
    """Close the sweeps that this process opened before."""
    for each in _opened.values():
        if each.evaluator is not None:
            each.evaluator.close()
    _opened.clear()


def _open(task: SweepTask, threads: int) -> _Opened:
    wrong = _differences(task.machine, describe())
    if wrong:
        return _Opened(refused=tuple(wrong), hint=SAME_VERSIONS)
    # whoever sends data can run code here anyway: this is the purpose of a cluster
    work: _Work = pickle.loads(task.work)  # noqa: S301
    try:
        return _start(work, threads)
    except SeptetError as error:
        return _Opened(refused=(error.message,), hint=error.hint or SAME_DATA)


def _start(work: _Work, threads: int) -> _Opened:
    """Compare the data and the code of plugins, and open an evaluator."""
    from threadpoolctl import threadpool_limits

    from septet._shell.session import plan_of

    loaded = reopen(work.tree, work.path, work.base_dir)
    sources = plugin_sources(loaded.strategy, loaded.host)
    names = sorted({*sources, *work.plugin_sources})
    if differing := [name for name in names if sources.get(name) != work.plugin_sources.get(name)]:
        # the verdict of the plugin checks is of the source that the sweep's own process has
        return _Opened(refused=(f"the code of {', '.join(differing)} differs",), hint=SAME_VERSIONS)
    hashes = data_hashes_of(loaded, work.begun_with)
    names = sorted({*hashes, *work.data_hashes})
    differing = [name for name in names if hashes.get(name) != work.data_hashes.get(name)]
    if differing:
        return _Opened(refused=(f"the data of {', '.join(differing)} differs",), hint=SAME_DATA)
    plan = plan_of(loaded, calendar=work.calendar)
    numbers = Numbers(plan, work.axes, work.joints, work.capital, work.base)
    quick = numbers.enough and plan.compiled
    threadpool_limits(1)  # the cluster distributes the cores
    opened = _Opened()
    count = threads if quick else 1
    log = opened.messages.append
    opened.evaluator = open_evaluator(loaded, work.space, work.first_ns, count, log, numbers)
    return opened


# ------------------------------------------------------------------ in the sweep's process


class Pool(Protocol):
    """Processes that run blocks: a cluster of some kind.

    If a process dies, the pool itself sends its block to another process, a few times; then the
    block is a `LostBlock`.
    """

    def workers(self) -> dict[str, int]:
        """Return the available processes by name, with the number of blocks each runs at once."""
        ...

    def describe(self) -> dict[str, dict[str, str] | str]:
        """Return the description of each worker, or the reason why there is none."""
        ...

    def begin(self, task: SweepTask) -> None:
        """Register a sweep."""
        ...

    def send(self, ticket: int, block: Sequence[Setting]) -> None:
        """Submit a block."""
        ...

    def wait(self, seconds: float) -> tuple[int, Answer | LostBlock] | None:
        """Return a finished block by its ticket; None if none finishes soon."""
        ...

    def close(self) -> None:
        """Cancel running blocks, and end what was started."""
        ...


class ClusterEvaluator:
    """Runs blocks in the processes of a pool; finished blocks come in any order."""

    def __init__(
        self, pool: Pool, task: SweepTask, space: Space, log: Callable[[str], None]
    ) -> None:
        self._pool, self._space, self._log = pool, space, log
        self._logged: set[str] = set()
        self._tickets = itertools.count()
        self._sent: dict[int, Sequence[Setting]] = {}
        reject_other_versions(task.machine, pool.describe())
        pool.begin(task)
        self._workers = pool.workers()
        self._seen_at = time.monotonic()

    def evaluate(self, block: Sequence[Setting]) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order."""
        share = -(-len(block) // max(1, sum(self._workers.values())))
        rows_by_setting: dict[int, dict[str, Any]] = {}
        for rows in self.stream(iter(block), lambda size, seconds, least: share, share):
            rows_by_setting.update((row["setting"], row) for row in rows)
        return [rows_by_setting[each.number] for each in block]

    def stream(
        self, waiting: Iterator[Setting], grow: Grow, size: int = 1
    ) -> Iterator[list[dict[str, Any]]]:
        """Run settings in blocks, several at once, and yield the rows of each as it ends.

        Raises
        ------
        InputError
            If a worker differs from the machine of the sweep, or reads other data.
        RunError
            If no worker is left.
        """
        while True:
            while len(self._sent) < BLOCKS_PER_PROCESS * max(1, sum(self._workers.values())):
                block = list(itertools.islice(waiting, size))
                if not block:
                    break
                self._send(block)
            if not self._sent:
                return
            done = self._pool.wait(POLL_SECONDS)
            self._update_workers()
            if done is None:
                continue
            ticket, answer = done
            block = list(self._sent.pop(ticket))
            if isinstance(answer, LostBlock):
                yield from self._lost(block)
                continue
            self._log_answer(answer)
            size = grow(len(block), answer.seconds, 1)
            yield answer.rows

    def close(self) -> None:
        """End the blocks that run elsewhere."""
        self._pool.close()

    def _send(self, block: Sequence[Setting]) -> None:
        ticket = next(self._tickets)
        self._sent[ticket] = block
        self._pool.send(ticket, block)

    def _log_answer(self, answer: Answer) -> None:
        for message in answer.messages:
            if message not in self._logged:
                self._logged.add(message)
                self._log(message)
        if answer.refused:
            why = "; ".join(answer.refused)
            raise InputError(f"a worker cannot take part in this sweep: {why}", hint=answer.hint)

    def _lost(self, block: Sequence[Setting]) -> Iterator[list[dict[str, Any]]]:
        """Run the settings of a lost block one by one; one that is lost alone has failed."""
        if len(block) == 1:
            yield [failed_row(self._space, block[0], "whatever process ran it was ended")]
        else:
            for setting in block:
                self._send([setting])

    def _update_workers(self) -> None:
        """Report lost workers; wait, within a limit, for others when none is left."""
        now = time.monotonic()
        if now - self._seen_at < POLL_SECONDS and self._workers:
            return
        workers = self._pool.workers()
        lost = sorted(self._workers.keys() - workers.keys())
        for name in lost:
            self._log(f"the worker {name} is gone; its unfinished blocks go to another")
        if workers:
            self._seen_at = now
        elif now - self._seen_at > ALONE_SECONDS:
            raise RunError(
                f"no worker has been there for {ALONE_SECONDS:.0f} seconds",
                hint="what is done stays; start workers and go on with --resume",
            )
        self._workers = workers
