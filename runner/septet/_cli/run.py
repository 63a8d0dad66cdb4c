"""`septet run`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.early_signals import EarlySignals
from septet._cli.terminal import echo_json
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._config.load import Loaded

__all__ = ["Paced", "run"]

PACE_S: Final = 15.0
"""Seconds between two lines about a stage, without a progress bar of a terminal."""
SHOWN: Final = ("training", "stretches")
"""Stages of a run that may take minutes, with countable parts."""


@click.command(short_help="Run a strategy: backtest, paper or live.")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@options.mode
@click.option(
    "--engine",
    type=click.Choice(["auto", "batch", "event"]),
    default="auto",
    show_default=True,
    help="Process arrays, or one event at a time; the results are identical.",
)
@options.settings
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder for the folders of runs.",
)
@click.option("--no-report", is_flag=True, help="Do not write report.html.")
@click.option(
    "--fast",
    is_flag=True,
    help="The summary only: no decision table and no report. Orders, fills, trades and equity "
    "are stored, and the figures are the same.",
)
@click.option(
    "--chunk",
    type=int,
    metavar="BARS",
    help="Go through history in stretches of so many bars: memory for one of them, the same "
    "result. Implies --fast.",
)
@options.unchecked
@click.option(
    "--tries",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Backtests: number of tries made elsewhere, added to those in the ledger.",
)
@click.option(
    "--fresh", is_flag=True, help="Paper and live: begin a new run instead of continuing."
)
@click.option("--yes", is_flag=True, help="Live: do not ask before real orders may be sent.")
@click.option(
    "--clock",
    metavar="URL",
    help="Paper and live: take market time from the local venue at this address.",
)
@click.option(
    "--bars",
    type=click.IntRange(min=1),
    help="Paper and live: stop after this number of decision times.",
)
@click.option("--until", metavar="TIME", help="Paper and live: stop at this market time (UTC).")
@click.option(
    "--durability",
    type=click.Choice(["process", "power"]),
    help="Paper and live: what a stored order is safe against (paper: process, live: power).",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Paper and live: lowest level that is logged.",
)
@options.access
@options.as_json
def run(files: tuple[str, ...], mode: str | None, sets: tuple[str, ...], **chosen: Any) -> int:
    """Run the strategy in FILE and store its results.

    In paper and live mode several files share one account, and a run continues where the last one
    of the same file in the same folder stopped.
    """
    began = time.perf_counter()
    # A kill switch used during the start must halt the run, not just end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    access = options.access_of(chosen.pop("secrets"), chosen.pop("hosts"))
    unchecked = chosen.pop("unchecked")
    try:
        return _run(files, mode, sets, access, unchecked, began, chosen)
    except SeptetError as error:
        if mode != "backtest" and not error.is_alerted:
            from septet._app.refused_start import alert_refused_start

            for file in files:
                alert_refused_start(
                    file, error, out=chosen["out"], mode=mode, access=access,
                    log=options.log_to_stderr,
                )  # fmt: skip
        raise


def _run(
    files: Sequence[str],
    mode: str | None,
    sets: tuple[str, ...],
    access: Any,
    unchecked: Any,
    began: float,
    chosen: dict[str, Any],
) -> int:
    from septet._app.run import is_backtest, refuse_live
    from septet._config import load

    loaded = [
        load(
            file,
            mode=mode,
            sets=sets,
            access=access,
            unchecked=unchecked,
            log=options.log_to_stderr,
        )
        for file in files
    ]
    for each in loaded:
        if each.warnings:
            from septet._cli.render import render_problems

            render_problems(each.warnings)
    early = click.get_current_context().find_object(EarlySignals) or EarlySignals()
    if is_backtest(loaded):
        early.release()
        refuse_live([f"--{name}" for name in _OF_LIVE if chosen[name]])
        _backtest(loaded[0], began, chosen)
        return 0
    from septet._cli.live import run_files

    return run_files(loaded, chosen, early)


_OF_LIVE = ("fresh", "yes", "clock", "bars", "until", "durability")


def _backtest(loaded: Loaded, began: float, chosen: dict[str, Any]) -> None:
    from septet._app.run import BacktestRequest, compute_backtest, run_document, store_backtest

    request = BacktestRequest(
        chosen["engine"], chosen["chunk"], tables=not chosen["fast"], declared=chosen["tries"]
    )
    with _progress() as (echo, progress):
        result = compute_backtest(loaded, request, began=began, log=echo, progress=progress)
        report = request.keeps_decisions and not chosen["no_report"]
        stored = store_backtest(result, chosen["out"], report=report)
    if chosen["as_json"]:
        echo_json(to_json(run_document(stored)))
        return
    from septet._cli.terminal import console as make_console
    from septet._report.terminal import show

    show(stored, make_console())


class Paced:
    """Progress as separate lines: one when a stage begins, then one every 15 seconds."""

    def __init__(
        self, notify: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._notify, self._clock = notify, clock
        self._stage, self._last_s = "", 0.0

    def __call__(self, stage: str, done: int, total: int | None, text: str, /) -> None:
        """Update the completed share of a stage that is shown."""
        if stage not in SHOWN or total is None:
            return
        now_s, is_new_stage = self._clock(), text != self._stage
        is_done = done >= total
        if (is_new_stage and not is_done) or (self._stage and now_s - self._last_s >= PACE_S):
            self._stage, self._last_s = text, now_s
            self._notify(f"{text}: {done:,} of {total:,} done")


@contextmanager
def _progress() -> Iterator[Any]:
    """Messages and a training bar on stderr; the bar only on a terminal."""
    if not sys.stderr.isatty():
        yield options.log_to_stderr, Paced(options.log_to_stderr)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from septet._cli.terminal import GUARDED
    from septet._cli.terminal import console as make_console

    console = make_console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, **GUARDED) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(stage: str, done: int, total: int | None, text: str, /) -> None:
            if stage in SHOWN:
                bar.update(task, completed=done, total=total, description=text, visible=True)

        yield bar.console.print, progress
