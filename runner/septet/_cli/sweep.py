"""`septet sweep`: many settings of one strategy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo_json

if TYPE_CHECKING:
    from septet._sweep.run_sweep import Outcome

__all__ = ["sweep"]


@click.command(short_help="Try many settings of a strategy.")
@options.strategy_file
@click.option(
    "--sweep",
    "axes",
    multiple=True,
    metavar="PATH=VALUES",
    help="Values of one key: 5,10,20 (a list), 5..50:5 (a range), 1%..10% or 1%..10%:log (a draw).",
)
@options.settings
@click.option(
    "--method", metavar="METHOD", help="grid, random or tpe; random where something is drawn."
)
@click.option("--trials", type=int, help="Number of settings: random (1000), tpe (100).")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of draws; else the file's.")
@click.option("--where", metavar="CONDITION", help="Condition on the settings, as in the file.")
@click.option("--goal", metavar="FIGURE", help="Figure to optimise: sharpe, total_return, ...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sweeps"),
    show_default=True,
    help="Folder for the folders of sweeps.",
)
@click.option("--resume", is_flag=True, help="Continue the latest unfinished sweep of FILE.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Parallel settings.  [default: all cores]"
)
@click.option(
    "--on",
    metavar="CLUSTER",
    help="Run on a cluster: dask (processes here), tcp://HOST:PORT.",
)
@click.option("--yes", is_flag=True, help="Run however many settings there are.")
@click.option("--no-report", is_flag=True, help="Do not write sweep.html.")
@options.unchecked
@options.as_json
def sweep(
    *,
    file: str,
    axes: tuple[str, ...],
    sets: tuple[str, ...],
    method: str | None,
    trials: int | None,
    seed: int | None,
    where: str | None,
    goal: str | None,
    out: Path,
    resume: bool,
    threads: int | None,
    on: str | None,
    yes: bool,
    no_report: bool,
    unchecked: bool,
    as_json: bool,
) -> int:
    """Run FILE with many settings, as its sweep section or --sweep defines them.

    Every setting begins at the same first decision. All settings are in settings.parquet in the
    folder of the sweep, with a page, sweep.html. After Ctrl-C the finished settings are kept.
    """
    from septet._app.sweep import SweepRequest, sweep_document, sweep_file, sweep_settings
    from septet._cli.render import render_problems
    from septet._config import load

    section = sweep_settings(
        axes, {"where": where, "method": method, "trials": trials, "goal": goal}
    )
    loaded = load(
        file,
        mode="backtest",
        sets=[*sets, *section],
        unchecked=unchecked,
        log=options.log_to_stderr,
    )
    if loaded.warnings:
        render_problems(loaded.warnings)
    request = SweepRequest(
        out=out, seed=seed, threads=threads, on=on, confirmed=yes, resume=resume,
        page=not no_report,
    )  # fmt: skip
    with _progress() as (echo, progress):
        outcome = sweep_file(loaded, request, log=echo, progress=progress)
    if as_json:
        echo_json(to_json(sweep_document(outcome)))
    else:
        _show(outcome)
    return 0 if outcome.findings.count("done") else 1


def _show(outcome: Outcome) -> None:
    """Print the best settings, their statistical verdict, and the paths of the results."""
    from rich.table import Table

    from septet._app.sweep import best_rows, sweep_problems
    from septet._cli.terminal import console as make_console
    from septet._results.number_texts import chance, count, number, percent, plural
    from septet._results.previous_trials import sentence
    from septet._sweep.size_caps import SIZE_CAP
    from septet._sweep.verdict import paragraphs

    console = make_console()
    swept = outcome.findings
    table = Table(box=None, pad_edge=False, header_style="bold")
    for axis in swept.axes:
        table.add_column(axis.name, justify="right", no_wrap=True)
    capped = ("capped at",) if swept.has_caps else ()
    for name in (*capped, "Sharpe", "return", "drawdown", "trades", "PSR", "DSR"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in best_rows(outcome):
        table.add_row(
            *(axis.text(row[axis.key]) for axis in swept.axes),
            *((percent(row[SIZE_CAP]) if row[SIZE_CAP] is not None else "",) if capped else ()),
            number(row["sharpe"]),
            percent(row["total_return"]),
            percent(row["max_drawdown"]),
            count(row["trades"]),
            chance(row["psr"]),
            chance(row["dsr"]),
        )
    if swept.ranked.height:  # figures are never cut: on a narrow terminal whole lines wrap
        table_width = console.measure(
            table, options=console.options.update(max_width=1_000)
        ).maximum
        make_console(width=max(console.width, table_width)).print(table)
        console.print()
    tried = [] if outcome.tries is None else [sentence(outcome.tries, None)]
    for text in [*paragraphs(swept), *tried]:
        console.print(text, highlight=False)
    for problem, times in sweep_problems(outcome):
        console.print(f"{plural(times, 'setting')} failed: {problem}", highlight=False, style="red")
    ran = plural(outcome.table.height - outcome.done_before, "setting")
    console.print(f"{ran} in {outcome.seconds:,.1f} s", highlight=False, style="dim")
    console.print(str(outcome.folder), highlight=False, soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Any]:
    """Messages and a bar on stderr; the bar only on a terminal."""
    if not sys.stderr.isatty():
        yield options.log_to_stderr, None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from septet._cli.terminal import GUARDED
    from septet._cli.terminal import console as make_console

    best = TextColumn("{task.description}", markup=False)
    columns = (BarColumn(), MofNCompleteColumn(), Remaining(), best)
    with Progress(*columns, console=make_console(stderr=True), transient=True, **GUARDED) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(stage: str, done: int, total: int | None, best: str, /) -> None:
            bar.update(task, completed=done, total=total, description=best, visible=True)

        def show(message: str) -> None:
            bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

        yield show, progress
