"""``septet check FILE``."""

from __future__ import annotations

import click

from septet._cli import options
from septet._cli.render import count_text, problem_document, render_problems, to_json

__all__ = ["check"]


@click.command()
@options.strategy_file
@options.mode
@options.settings
@options.as_json
def check(file: str, mode: str | None, sets: tuple[str, ...], as_json: bool) -> int:
    """Check a strategy file: its shape, what it refers to, and whether it makes sense.

    Nothing is downloaded and nothing runs. Every problem is shown at once, each with its place.
    """
    from septet._config.load import load

    loaded = load(file, mode=mode, sets=sets)
    if as_json:
        document = {
            "ok": True,
            "file": file,
            "name": loaded.strategy.name,
            "mode": loaded.strategy.mode,
            "problems": [problem_document(each) for each in loaded.warnings],
        }
        click.echo(to_json(document))
        return 0
    render_problems(loaded.warnings, total=False)
    counted = count_text(loaded.warnings)
    tail = f", {counted}" if counted else ""
    click.echo(f"{click.style('ok', fg='green', bold=True)}: {file}{tail}")
    return 0
