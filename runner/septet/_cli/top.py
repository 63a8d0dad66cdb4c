"""`septet top`: one run on the terminal, or a line of it every few seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from septet._cli import options
from septet._cli.terminal import echo, echo_json

__all__ = ["top"]


@click.command(
    help="Show one run on a screen that follows it: its state and what blocks entries, equity, "
    "positions, open orders, decisions, halts, alerts and its log. Keys: h halt, r resume, w why, "
    "? help, q quit. Where the output is no terminal, or with --once, --json or --lines, it is one "
    "line every ten seconds, until no process runs the run. The screen needs the extra `terminal`. "
    f"{options.RUN_HELP}"
)
@click.argument("run", default="latest")
@click.option(
    "--every", "every_s", type=options.Seconds(0.2), default="10s", show_default=True,
    metavar="TIME", help="Time between two lines.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Print one line and exit.")
@click.option("--lines", is_flag=True, help="Print lines even on a terminal.")
@options.runs_folder
@click.option(
    "--json", "as_json", is_flag=True, help="Print each line as one JSON document."
)  # fmt: skip
def top(run: str, every_s: float, once: bool, lines: bool, root: Path, as_json: bool) -> None:
    """Show one run."""
    from septet._store.find_runs import find_folder

    folder = find_folder(run, root)
    if lines or once or as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from septet._terminal.line_format import watch

        emit = echo_json if as_json else echo
        status = watch(folder, emit, every_s=every_s, once=once, as_json=as_json)
        raise SystemExit(status)
    from septet._app.halt import login_name
    from septet._extras import need

    need("textual", "the screen of septet top")
    from septet._terminal.screen import TopScreen

    top_screen = TopScreen(folder, login=login_name())
    top_screen.run()
    raise SystemExit(top_screen.return_code or 0)
