"""`septet run`: the command that matters."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from septet._cli import options
from septet.errors import InputError

__all__ = ["run"]


@click.command(short_help="Run a strategy: backtest, paper or live.")
@options.strategy_file
@options.mode
@click.option(
    "--engine",
    type=click.Choice(["auto", "batch", "event"]),
    default="auto",
    show_default=True,
    help="Arrays or one event at a time: the same bits.",
)
@options.settings
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where run folders go.",
)
@click.option("--no-report", is_flag=True, help="Leave report.html out.")
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
@options.as_json
def run(
    file: str,
    mode: str | None,
    engine: str,
    sets: tuple[str, ...],
    out: Path,
    no_report: bool,
    fast: bool,
    chunk: int | None,
    as_json: bool,
) -> None:
    """Run the strategy in FILE and store what it did."""
    began = time.perf_counter()
    from septet._cli.render import render_problems
    from septet._config import load

    loaded = load(file, mode=mode, sets=sets)
    if loaded.warnings:
        render_problems(loaded.warnings)
    if loaded.strategy.mode != "backtest":
        raise InputError(
            f"mode {loaded.strategy.mode} is not available in this version",
            hint="run a backtest: --mode backtest",
        )
    from septet._report.save import save_run
    from septet._report.terminal import document, show
    from septet._shell.backtest import backtest

    if chunk is not None and engine == "event":
        raise InputError(
            "--chunk needs arrays, and --engine event has one event at a time",
            hint="leave --engine out: the bits are the same",
        )
    fast = fast or chunk is not None
    with _progress() as (say, progress):
        if chunk is not None:
            from septet._shell.stream import stream_backtest

            result = stream_backtest(loaded, chunk, say=say, progress=progress)
        else:
            result = backtest(loaded, engine=engine, tables=not fast, say=say, progress=progress)
        total = time.perf_counter() - began  # reading the file and importing what runs it, too
        result = replace(result, facts=replace(result.facts, seconds_total=total))
        stored = save_run(result, out, report=not (no_report or fast))
    if as_json:
        click.echo(json.dumps(document(stored), default=str))
        return
    from rich.console import Console

    show(stored, Console())


@contextmanager
def _progress() -> Iterator[Any]:
    """Messages and a training bar on stderr; the bar only on a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield (lambda message: click.echo(message, err=True)), None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(done: int, planned: int, text: str) -> None:
            bar.update(task, completed=done, total=planned, description=text, visible=True)

        yield bar.console.print, progress
