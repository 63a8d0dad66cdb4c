"""One complete backtest for each setting: always applicable, and slow.

What a setting changes does not matter here: the model, the data, the shape of the strategy. The
first settings run in this process; where many are left, others are started, each with a copy of the
file as it was loaded, so that editing it meanwhile changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._child_process import ChildLost
from septet._config.load import Loaded, reopen, variant
from septet._config.overlay import Setting as FileSetting
from septet._config.tree import Node
from septet._data.stamps import iso
from septet._sweep.setting_row import failed_row, figures_of, row_of
from septet._sweep.space import Setting, Space
from septet._sweep.worker_processes import WorkerProcesses
from septet.errors import ConfigError, SeptetError

if TYPE_CHECKING:
    from septet._results.result import RunResult

__all__ = ["BacktestEvaluator", "answer_settings", "first_line", "run_setting"]

_START_SECONDS: Final = 4.0
"""Remaining work, in seconds of one process, from which more processes are started."""


def first_line(error: Exception) -> str:
    """Return the failure in one line."""
    if isinstance(error, ConfigError):
        problem = error.problems[0]
        return f"{problem.key}: {problem.message}" if problem.key else problem.message
    if isinstance(error, SeptetError):
        return error.message.splitlines()[0]
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def run_setting(
    base: Loaded,
    changes: Sequence[FileSetting],
    first_ns: int,
    log: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Run one setting; return its metrics, or an empty dict and the reason of its failure."""
    from septet._shell.backtest import backtest

    try:
        result = backtest(variant(base, changes), log=log, not_before_ns=first_ns)
        problem = _late(result, first_ns)
        return ({}, problem) if problem else (figures_of(result), "")
    except SeptetError as error:
        return {}, first_line(error)
    except Exception as error:  # a plugin of the setting may raise anything: it becomes a row
        return {}, first_line(error)


def _late(result: RunResult, first_ns: int) -> str:
    """A setting that begins after the others cannot be compared with them."""
    began = result.facts.first_decision_ns
    if began <= first_ns:
        return ""
    return f"its first decision is at {iso(began)}, after that of the sweep at {iso(first_ns)}"


class BacktestEvaluator:
    """Runs every setting as `septet run` would, from the sweep's first decision on."""

    def __init__(
        self,
        loaded: Loaded,
        space: Space,
        first_ns: int,
        threads: int,
        log: Callable[[str], None],
    ) -> None:
        self._loaded, self._space, self._first_ns = loaded, space, first_ns
        self._threads, self._log = threads, _once(log)
        self._pool: WorkerProcesses | None = None
        self._done, self._seconds = 0, 0.0

    def evaluate(self, block: Sequence[Setting]) -> list[dict[str, Any]]:
        """Return the rows of a block, in its order."""
        began = time.perf_counter()
        if self._pool is None and self._is_worth_processes(len(block)):
            self._pool = _open_pool(self._loaded, self._first_ns, self._threads)
        if self._pool is not None:
            try:
                return [*map(self._row, block, self._in_processes(self._pool, block))]
            except ChildLost:
                self._log("a process of the sweep was ended from outside; going on with one")
                self.close()
                self._threads = 1
        from septet.testing.other_process import keep_processes

        rows = []
        with keep_processes():
            for setting in block:
                changes = self._space.changes(setting)
                outcome = run_setting(self._loaded, changes, self._first_ns, self._log)
                rows.append(self._row(setting, outcome))
        self._done += len(block)
        self._seconds += time.perf_counter() - began
        return rows

    def close(self) -> None:
        """End the other processes at once."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _is_worth_processes(self, block: int) -> bool:
        if self._threads < 2 or block < 2 or not self._done:
            return False
        remaining = max(0, len(self._space) - self._done)
        return remaining * self._seconds / self._done > _START_SECONDS

    def _in_processes(
        self, pool: WorkerProcesses, block: Sequence[Setting]
    ) -> list[tuple[dict[str, Any], str]]:
        return pool.answers([self._space.changes(setting) for setting in block])

    def _row(self, setting: Setting, outcome: tuple[dict[str, Any], str]) -> dict[str, Any]:
        figures, problem = outcome
        if problem:
            return failed_row(self._space, setting, problem)
        return row_of(self._space, setting, figures)


def _once(log: Callable[[str], None]) -> Callable[[str], None]:
    """Return each item once: every setting compiles, or cannot, for the same reason."""
    reported: set[str] = set()

    def log_once(message: str) -> None:
        if message not in reported:
            reported.add(message)
            log(message)

    return log_once


def _open_pool(loaded: Loaded, first_ns: int, workers: int) -> WorkerProcesses:
    """Start processes that receive the file as it was loaded and inherit nothing else."""
    arguments = (loaded.tree, loaded.path, loaded.base_dir, first_ns)
    return WorkerProcesses(workers, answer_settings, arguments)


_checking: Final = ExitStack()
"""Resources of a process of the pool: two more processes run the checks of all its settings."""


def answer_settings(
    tree: Node, path: Path, base_dir: Path, first_ns: int
) -> Callable[[Sequence[FileSetting]], tuple[dict[str, Any], str]]:
    """Return the function that runs a setting in another process, for a file as it was loaded."""
    from septet.testing.other_process import keep_processes

    _checking.enter_context(keep_processes())
    base = reopen(tree, path, base_dir)
    return lambda changes: run_setting(base, changes, first_ns)
