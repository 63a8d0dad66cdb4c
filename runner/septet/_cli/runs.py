"""The commands that read stored runs: runs list, show, diff and export; report; why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from septet._cli import options
from septet._cli.run_folder_errors import of_runs, problem_of, report_finding
from septet._cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from rich.console import Console

    from septet._store.run_folder import Run

__all__ = ["report", "runs", "why"]

_UNTIL: Final = {"manual": "a person resumes the run", "next_day": "the next day begins"}


def _console() -> Console:
    from septet._cli.terminal import console as make_console

    return make_console()


def _find(reference: str, root: Path) -> Run:
    from septet._app.runs import copies_text
    from septet._store.find_runs import copies_of, find_run, is_path

    stored = find_run(reference, root)
    by_id = reference not in ("latest", stored.folder.parent.name) and not is_path(reference)
    copies = copies_of(stored.folder, root) if by_id else []
    if len(copies) > 1:
        echo(copies_text(copies, root), err=True)
    return stored


def _find_to_mend(reference: str, root: Path) -> Run:
    """Find a run whose tables are rewritten: only its journal must be readable."""
    from septet._store.find_runs import find_to_mend

    return find_to_mend(reference, root)


def _print_json(value: Any) -> None:
    from septet._app.documents import to_json

    echo_json(to_json(value))


@click.group()
def runs() -> None:
    """List, show, compare and export runs, finished or in progress."""


@runs.command("list")
@click.argument("strategy", required=False)
@click.option("--last", type=click.IntRange(min=1), help="Only this number of latest runs.")
@options.runs_folder
@options.as_json
@of_runs
def list_(strategy: str | None, last: int | None, root: Path, as_json: bool) -> None:
    """List stored runs, the latest last; with STRATEGY only its runs."""
    from septet._app.runs import list_stored

    lines = [each.document() for each in list_stored(root, strategy, last)]
    if as_json:
        _print_json(lines)
    elif lines:
        from septet._report.terminal import show_list

        show_list(lines, _console())
        for line in lines:
            if "problem" in line:
                echo(line["problem"], err=True)
    else:
        of = f" of {strategy}" if strategy else ""
        echo(f"No runs{of} in {root}. Make one with `septet run FILE`.", err=True)


@runs.command("show", help=f"Show a stored run. {options.RUN_HELP}")
@click.argument("run")
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def show_(ctx: click.Context, run: str, root: Path, as_json: bool) -> None:
    """Show a stored run; the status is 1 or 2 if its journal or a table is unreliable."""
    from septet._app.run import run_document
    from septet._report.terminal import show

    stored = _find(run, root)
    status = report_finding(stored, err=as_json, tables=True)
    stored.require_summary()
    if as_json:
        _print_json({**problem_of(stored), **run_document(stored)})
    else:
        show(stored, _console())
        for line in [*_standing(stored), *_open_lines(stored)]:
            echo(line)
    ctx.exit(status)


def _open_lines(run: Run) -> list[str]:
    """Return positions, open orders and late models of a live or paper run; none for a backtest."""
    from septet._app.runs import positions_of
    from septet._report.open_state import late_model_lines, lines_of

    state = positions_of(run)
    return [] if state is None else [*lines_of(state), *late_model_lines(state)]


def _standing(run: Run) -> list[str]:
    """Return whether a paper or live run is running, how it ended, and what blocks its entries."""
    from septet._app.runs import HALT_RULE, standing_of

    standing = standing_of(run)
    if standing is None:
        return []
    if standing.state == "halted":
        lines = [f"  Halted            by {standing.halt}; septet resume clears it"]
        lines += [f"  Its process       {standing.holder}"]
    elif standing.holder is not None:
        lines = [f"  Running           {standing.holder}"]
    elif standing.doubt:
        lines = [f"  Not running       how it ended is not known: {standing.doubt}"]
    elif standing.ended is None:
        lines = [
            "  Not running       it was killed or crashed; start it with the same "
            "command to continue"
        ]
    else:
        lines = [f"  Not running       {standing.ended or 'it never began'}"]
    if standing.halted is not None and standing.holder is None:
        name, reason = standing.halted
        lines += [f"  Halted            by {name}: {reason}; septet resume clears it"]
    elif standing.resumed is not None:
        name, reason = standing.resumed
        when = "in a moment" if standing.holder is not None else "at the next start"
        lines += [f"  Resumed           by {name}: {reason}; it trades again {when}"]
    for block in standing.blocks:
        if standing.state == "halted" and block.rule == HALT_RULE:
            continue
        text = f" ({block.text})" if block.text else ""
        until = _UNTIL.get(block.clears_when, block.clears_when)
        lines += [f"  No entries        {block.rule}, until: {until}{text}"]
    return lines


@runs.command(
    "export",
    help="Write a run's tables as CSV or Parquet files. Without --to, make the tables of a paper "
    f"or live run anew from its journal, in its own folder. {options.RUN_HELP}",
)
@click.argument("run")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; created if it is missing.",
)
@click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True
)
@click.option("--force", is_flag=True, help="Replace existing files.")
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def export(
    ctx: click.Context, run: str, folder: Path | None, kind: str, force: bool, root: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a run's tables; the status is 1 if one is missing, and left out.

    It is 1 or 2 if its journal is unreliable.
    """
    from septet._app.runs import export_run, missing_from_export

    stored = _find(run, root) if folder is not None else _find_to_mend(run, root)
    status = 0
    if folder is not None or force:
        status = report_finding(stored, err=True, files=folder is not None)
    written = export_run(stored, folder, kind, force=force)
    missing, hint = missing_from_export(stored, folder)
    if as_json:
        lacking = {"missing": missing} if missing else {}
        paths = [str(path) for path in written]
        _print_json({**problem_of(stored), "written": paths, **lacking})
    else:
        for path in written:
            echo(str(path))
    if missing:
        echo(f"left out, as {stored.folder} lacks them: {', '.join(missing)}", err=True)
        echo(f"  {hint}", err=True)
    ctx.exit(max(status, 1 if missing else 0))


@runs.command(
    "diff",
    help="Explain the gap between a paper or live run and a backtest of the same strategy: "
    "revision, late or missed bars, timing, fill, cost, with nothing left over. LIVE and BACKTEST "
    "are folders, run ids or their beginnings.",
)
@click.argument("live")
@click.argument("backtest")
@click.option(
    "--base",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Base folder of paths in the backtest's file; searched for by default.",
)
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def diff_(
    ctx: click.Context, live: str, backtest: str, base: Path | None, root: Path, as_json: bool
) -> None:
    """Explain the differences between a live run and its backtest."""
    from septet._app.runs import diff_runs
    from septet._diff.gap_text import show_gap

    status, lived = 0, _find(live, root)
    if lived.finding is None or lived.finding.is_usable:
        status = report_finding(lived, err=as_json, shows=False)
    gap = diff_runs(
        lived,
        _find(backtest, root),
        base=base,
        log=lambda text: echo(text, err=True),
    )
    if as_json:
        _print_json({**problem_of(lived), **gap.document()})
    else:
        show_gap(gap, _console())
    ctx.exit(max(status, 0 if gap.explained else 1))


@click.command(help=f"Make a run's report.html again, from its folder alone. {options.RUN_HELP}")
@click.argument("run")
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def report(ctx: click.Context, run: str, root: Path, as_json: bool) -> None:
    """Rewrite a run's report; the status is 1 or 2 if its journal is unreliable."""
    from septet._app.runs import report_run

    stored = _find(run, root)
    status = report_finding(stored, err=True)
    path = report_run(stored)
    if as_json:
        _print_json({**problem_of(stored), "run_id": stored.run_id, "report": str(path)})
    else:
        echo(str(path))
    ctx.exit(status)


@click.command(
    help="State why a run made an order, or why it made none: the bar, the features, the "
    "probability and its threshold, the size and what cut it, the fills. ORDER is an order's id, "
    f"or SYMBOL@TIME (UTC), such as BTC/USDT@2023-05-01T14:00. {options.RUN_HELP}"
)
@click.argument("run")
@click.argument("order")
@options.runs_folder
@options.as_json
@click.pass_context
@of_runs
def why(ctx: click.Context, run: str, order: str, root: Path, as_json: bool) -> None:
    """Explain why a run made an order; the status is 1 or 2 if its journal is unreliable."""
    from septet._app.runs import why_order
    from septet._report.why_terminal import show_why

    chosen = _find(run, root)
    status = report_finding(chosen, err=as_json)
    explanation = why_order(chosen, order)
    if as_json:
        _print_json({**problem_of(chosen), **explanation})
    else:
        show_why(explanation, _console())
    ctx.exit(status)
