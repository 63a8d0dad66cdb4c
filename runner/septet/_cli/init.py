"""``septet init [DIR]``."""

from __future__ import annotations

from pathlib import Path

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json

__all__ = ["init"]


@click.command()
@click.argument("folder", type=click.Path(file_okay=False), default=".", metavar="[DIR]")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@options.as_json
def init(folder: str, force: bool, as_json: bool) -> int:
    """Create a starter strategy in DIR that runs at once on data included in septet."""
    from septet._app.starter import write_starter

    root = Path(folder)
    files = write_starter(root, force=force)
    if as_json:
        echo_json(to_json({"ok": True, "folder": str(root), "files": files}))
        return 0
    path = root / "strategy.yaml"
    echo(f"wrote {path}")
    echo(f"next: septet run {path}")
    return 0
