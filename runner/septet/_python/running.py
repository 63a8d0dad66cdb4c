"""Backtests: one run, or many in parallel."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from septet._python.arguments import (
    require,
    require_callbacks,
    require_choice,
    require_count,
    require_flag,
    require_text,
)
from septet._python.runs import Run
from septet._python.strategies import Strategy, loaded_of
from septet.errors import Cancelled, InputError, SeptetError

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._progress import Cancel, Progress

__all__ = ["Data", "Engine", "Failed", "interruptible", "run", "run_many"]


class ArrowStream(Protocol):
    """A frame of polars, pandas, pyarrow or another library that supports the Arrow C stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the capsule of a stream."""


Data: TypeAlias = ArrowStream | Mapping[str, ArrowStream]
"""One frame, or a frame for each symbol."""
Engine: TypeAlias = Literal["auto", "batch", "event"]
"""How a backtest is computed: over arrays or event by event; the result is the same."""
_ENGINES: Final = ("auto", "batch", "event")


@dataclass(frozen=True, slots=True)
class Failed:
    """A strategy that could not run, and the reason."""

    strategy: Strategy
    error: SeptetError


@contextmanager
def interruptible(work: str) -> Iterator[None]:
    """Convert Ctrl-C into `Cancelled`."""
    try:
        yield
    except KeyboardInterrupt:
        raise Cancelled(f"interrupted during {work}") from None


def run(
    strategy: Strategy,
    *,
    data: Data | None = None,
    time: str | None = None,
    zone: str | None = None,
    engine: Engine = "auto",
    tables: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Run:
    """Run a backtest and keep it in memory.

    Parameters
    ----------
    strategy
        A strategy in mode ``backtest``.
    data
        Bars that replace those of the file: an Arrow frame, or one for each symbol. They are
        validated like a file.
    time, zone
        The column of time stamps, and the time zone of stamps without one. By default the
        column is `time`, in a frame that has no other column of times.
    engine
        Over arrays (``batch``) or event by event (``event``); the results are equal to the bit.
    tables
        False omits the decisions; the figures are the same.
    threads
        1: a single backtest runs on the calling thread. `run_many` and `sweep` use several.
    progress
        Called with stage, done, total and text.
    cancel
        Asked between the parts of a run; a `threading.Event` fits.

    Raises
    ------
    ConfigError, DataError
        If strategy or data cannot be used.
    Cancelled
        If `cancel` was set, or at Ctrl-C; nothing is left behind.
    """
    loaded = loaded_of(strategy)
    require_flag("tables", tables)
    require_callbacks(progress, cancel)
    _check_options(strategy, engine, threads)
    _check_stamps(data, time, zone)
    from septet._progress import stoppable

    report = stoppable(progress, cancel)
    with interruptible("the run"):
        report("data", 0, None, "reading the data")
        if data is not None:
            loaded = _framed(loaded, data, time, zone)
        return _backtest(strategy, loaded, engine, tables, report)


def _check_stamps(data: Data | None, time: str | None, zone: str | None) -> None:
    require_text("time", time, "the name of the column of times", optional=True)
    require_text("zone", zone, "such as UTC or America/New_York", optional=True)
    if zone is not None and data is None:
        raise InputError(
            f"zone {zone!r} is that of data, and no data was given",
            hint="the file states the zone of its own data: candles: {time_zone: ...}",
        )


def _framed(loaded: Loaded, data: Data, time: str | None, zone: str | None) -> Loaded:
    from septet._app.frames import with_frames

    return with_frames(loaded, data, time=time, zone=zone)


def _check_options(strategy: Strategy, engine: str, threads: int) -> None:
    if strategy.mode != "backtest":
        raise InputError(
            f"run() is for backtests, and the mode of {strategy.name[:64]} is {strategy.mode}",
            hint='septet.load(..., mode="backtest"); `septet run` starts paper and live runs',
        )
    require_choice("engine", engine, _ENGINES)
    require_count("threads", threads)
    if threads != 1:
        raise InputError(
            f"a backtest runs on one thread, and threads was {threads}",
            hint="run_many(strategies, threads=...) runs several at once",
        )


def _backtest(
    strategy: Strategy, loaded: Loaded, engine: Engine, tables: bool, progress: Progress
) -> Run:
    from septet._app.run import BacktestRequest, compute_backtest
    from septet._store.memory_run import MemoryRun

    result = compute_backtest(
        loaded, BacktestRequest(engine, tables=tables, face="python"), progress=progress,
        log=lambda text: progress("note", 0, None, text),
    )  # fmt: skip
    return Run(MemoryRun(result, now_ns=clock.time_ns()), strategy)


def run_many(
    strategies: Iterable[Strategy],
    *,
    data: Data | None = None,
    time: str | None = None,
    zone: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Run | Failed]:
    """Run strategies in parallel, and yield their runs in order.

    No more strategies are taken from `strategies` than run in parallel, so memory is bounded if
    each run is released. A strategy that cannot run gives a `Failed` in its place.

    Parameters
    ----------
    strategies
        Any number of strategies, also from a generator.
    data, time, zone
        As in `run`.
    threads
        Runs in parallel; by default one for each core.

    Raises
    ------
    Cancelled
        If `cancel` was set, or at Ctrl-C.
    """
    require_count("threads", threads, optional=True)
    fits = isinstance(strategies, Iterable) and not isinstance(strategies, str | bytes | Mapping)
    require(fits, "strategies", "strategies in a list or another iterable", strategies)
    require_callbacks(progress, cancel)
    _check_stamps(data, time, zone)

    def one(strategy: Strategy) -> Run:
        return run(strategy, data=data, time=time, zone=zone, cancel=cancel)

    return _many(strategies, one, threads or os.cpu_count() or 1, progress)


def _many(
    strategies: Iterable[Strategy],
    work: Callable[[Strategy], Run],
    threads: int,
    progress: Progress | None,
) -> Iterator[Run | Failed]:
    def one(strategy: Strategy) -> Run | Failed:
        try:
            return work(strategy)
        except Cancelled:
            raise
        except SeptetError as error:
            return Failed(strategy, error)

    done = 0
    waiting: list[Future[Run | Failed]] = []
    pool = ThreadPoolExecutor(threads, thread_name_prefix="septet-run")
    try:
        with interruptible("the runs"):
            for strategy in strategies:
                loaded_of(strategy)
                waiting.append(pool.submit(one, strategy))
                if len(waiting) >= threads:
                    yield _next(waiting, done, progress)
                    done += 1
            while waiting:
                yield _next(waiting, done, progress)
                done += 1
    finally:
        for each in waiting:
            each.cancel()
        pool.shutdown(wait=True, cancel_futures=True)


def _next(
    waiting: list[Future[Run | Failed]], done: int, progress: Progress | None
) -> Run | Failed:
    result = waiting.pop(0).result()
    if progress is not None:
        progress("run", done + 1, None, "strategies")
    return result
