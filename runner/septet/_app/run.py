"""Runs loaded strategies: a backtest to its result and folder, or paper and live runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from septet._app.trial_records import count_run
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._journal.journal_writer import Durability
    from septet._live.process import Confirm, LiveResult
    from septet._progress import Progress
    from septet._results.result import RunResult
    from septet._store.run_folder import Run

__all__ = [
    "BacktestRequest", "Engine", "LiveRequest", "compute_backtest", "is_backtest", "refuse_live",
    "run_document", "run_live_files", "store_backtest",
]  # fmt: skip

Engine = Literal["auto", "batch", "event"]


class BacktestRequest(msgspec.Struct, frozen=True):
    """Options of a backtest: its engine, chunks of `chunk` bars, and its tables.

    For the ledger of trials: `face` and `client` name the caller, `hypothesis` is a sentence
    written before the run, `declared` is the number of tries made elsewhere, and `now_ns` the
    recorded time (UTC ns), by default that of the machine's clock.
    """

    engine: Engine = "auto"
    chunk: int | None = None
    tables: bool = True
    face: str = "command line"
    declared: int = 0
    client: str = ""
    hypothesis: str = ""
    now_ns: int | None = None

    @property
    def keeps_decisions(self) -> bool:
        """Whether decisions are stored; a run in chunks stores none."""
        return self.tables and self.chunk is None


class LiveRequest(msgspec.Struct, frozen=True):
    """How a paper or live run starts and ends; not used by a backtest.

    `began_ns` is when the command began (wall time, UTC ns), by default now.
    """

    fresh: bool = False
    clock: str | None = None
    bars: int | None = None
    until: str | None = None
    durability: Durability | None = None
    level: str = "info"
    began_ns: int | None = None


def is_backtest(files: Sequence[Loaded]) -> bool:
    """Whether loaded files are backtests; several backtests are rejected.

    Raises
    ------
    InputError
        Several files were named, and all are backtests.
    """
    if any(each.strategy.mode != "backtest" for each in files):
        return False
    if len(files) > 1:
        raise InputError(
            f"{len(files)} files were named, and a backtest runs one",
            hint="run them one after another; several share an account in paper and live mode",
        )
    return True


def refuse_live(options: Sequence[str]) -> None:
    """Reject options of paper and live mode in a backtest.

    Raises
    ------
    InputError
        One of them was given.
    """
    if options:
        raise InputError(
            f"{', '.join(options)}: only for paper and live mode, and the mode of the file is "
            "backtest",
            hint="add --mode paper",
        )


def compute_backtest(
    loaded: Loaded,
    request: BacktestRequest,
    *,
    began: float | None = None,
    log: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a backtest; nothing is stored.

    Parameters
    ----------
    began
        When the command began (`time.perf_counter`): `seconds_total` counts from there.

    Raises
    ------
    InputError
        If two options of the request exclude each other, or the data cannot be used.
    """
    from septet._shell.backtest import backtest

    began = time.perf_counter() if began is None else began
    if request.chunk is not None and request.engine == "event":
        raise InputError(
            "--chunk needs arrays, and --engine event has one event at a time",
            hint="leave --engine out: the bits are the same",
        )
    if request.chunk is not None:
        from septet._shell.stretch_backtest import run_by_stretches

        result = run_by_stretches(loaded, request.chunk, log=log, progress=progress)
    else:
        result = backtest(
            loaded, engine=request.engine, tables=request.tables, log=log, progress=progress,
            refuses=True,
        )  # fmt: skip
    result = count_run(
        result, face=request.face, declared=request.declared, client=request.client,
        hypothesis=request.hypothesis, now_ns=request.now_ns,
    )  # fmt: skip
    total = time.perf_counter() - began  # includes reading the file and the imports
    return replace(result, facts=replace(result.facts, seconds_total=total))


def store_backtest(result: RunResult, out: Path, *, report: bool = True) -> Run:
    """Store a result under `out` and return the stored run, its tables still in memory."""
    from septet._report.save import save_run

    return save_run(result, out, report=report, keeps_tables=True)


def run_document(run: Run) -> dict[str, Any]:
    """Return a run's summary, and the paths of its folder and report.

    For a paper or live run ``open`` has its positions and open orders.
    """
    from septet._report.open_state import open_state

    report = run.folder / "report.html"
    state = open_state(run)
    return {
        **run.summary,
        **({} if state is None else {"open": state}),
        "findings": run.findings,
        "folder": str(run.folder),
        "report": str(report) if report.is_file() else None,
    }


def run_live_files(
    files: Sequence[Loaded],
    request: LiveRequest,
    *,
    out: Path,
    confirm: Confirm,
    stopped_by: Callable[[], str] = lambda: "",
) -> LiveResult:
    """Run loaded files on one account until they are stopped.

    Parameters
    ----------
    confirm
        Called before real orders may be sent.
    stopped_by
        Names the request to stop that was received before the start; then nothing runs. Else empty.
    """
    from septet._live.clock import clock_from
    from septet._live.process import LiveResult, run_live
    from septet._live.start import Options

    options = Options(
        out=out, fresh=request.fresh, bars=request.bars,
        until_ns=None if request.until is None else _moment(request.until),
        durability=request.durability, level=request.level, early=stopped_by,
        began_ns=time.time_ns() if request.began_ns is None else request.began_ns,
    )  # fmt: skip
    clock = clock_from(request.clock) if request.clock else None
    if stopped_by():
        return LiveResult(())
    return run_live(files, options, confirm=confirm, clock=clock)


def _moment(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from septet_schemas.times import parse_moment

    try:
        return int(parse_moment(text))
    except (PydanticCustomError, ValueError) as error:
        raise InputError(
            f"--until {text}: {error}", hint="write a time such as 2026-03-01T16:00:00Z"
        ) from None
