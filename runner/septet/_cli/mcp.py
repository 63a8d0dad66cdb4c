"""`septet mcp`."""

from __future__ import annotations

from pathlib import Path

import click

from septet._extras import need

__all__ = ["mcp"]


@click.command(short_help="Serve tools for agents over stdin and stdout.")
@click.argument(
    "workspace",
    default=".",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
)
def mcp(workspace: Path) -> None:
    """Serve tools for agents over stdin and stdout (Model Context Protocol).

    An agent writes, checks and backtests strategies in WORKSPACE, by default this folder; nothing
    outside is read or written, and nothing trades.
    """
    need("mcp", "septet mcp")
    from septet._agents.server import serve

    serve(workspace)
