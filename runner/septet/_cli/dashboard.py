"""`septet dashboard`: the pages of all runs, in a browser of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from septet._cli import options
from septet._cli.terminal import echo

__all__ = ["dashboard"]


@click.command()
@options.runs_folder
@click.option("--host", default="127.0.0.1", show_default=True, help="127.0.0.1 or ::1.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="The port; 0 takes a free one.",
)
def dashboard(root: Path, host: str, port: int) -> None:
    """Show all runs in a browser of this machine.

    A one-time code is printed, which the page asks for; after each log-in a new one is printed.
    Ctrl-C ends it. Runs go on without it. Needs the extra `dashboard`.
    """
    from septet._dashboard.serve import serve

    def notify(address: str, code: str) -> None:
        echo(f"Open {address} and enter the code {code[:5]}-{code[5:]} (it works once)")

    serve(root, host, port, notify)
