"""`septet replay`: feeds a run's journal through the core and compares its commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.run_folder_errors import of_runs, problem_of, report_finding
from septet._cli.terminal import echo, echo_json, echo_progress

__all__ = ["replay"]


@click.command(short_help="Feed a run's journal through the core again.")
@click.argument("run")
@click.option(
    "--shadow",
    is_flag=True,
    help="Compare the decisions with those of the backtest's arrays instead: the journalled bars, "
    "models and fills, observed at once.",
)
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def replay(ctx: click.Context, run: str, shadow: bool, root: Path, as_json: bool) -> None:
    """Feed the journal of a paper or live RUN through the core and compare every command.

    Prints how many decisions were compared and how many differ; with a difference it names the
    first one and leaves with status 1. A journal that was changed is refused with the place. RUN is
    a folder, a run id or its beginning, a strategy's name, or `latest`.
    """
    from septet._app.replay import replay_document, replay_run
    from septet._store.find_runs import find_run

    chosen = find_run(run, root)
    if chosen.finding is not None and chosen.finding.is_usable:
        report_finding(chosen, err=as_json, shows=False)
    result = replay_run(chosen, shadow=shadow, progress=_progress(), log=options.log_to_stderr)
    if as_json:
        echo_json(to_json({**problem_of(chosen), **replay_document(result)}))
    else:
        if result.changed:
            names = ", ".join(result.changed)
            echo(f"{names} changed since the run: equal bits are not promised", err=True)
        echo(result.text)
        if result.first is not None:
            echo(f"first: {result.first}")
    ctx.exit(0 if result.proved else 1)


def _progress() -> Any:
    """Show the progress, on a terminal only."""
    if not sys.stderr.isatty():
        return None

    def show(stage: str, done: int, total: int | None, text: str, /) -> None:
        echo_progress(f"{done:,} of {total:,} {text}", done=done == total)

    return show
