"""``septet check FILE``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from septet._cli import options
from septet._cli.render import count_text, problem_document, render_problems, to_json

if TYPE_CHECKING:
    from septet._config.load import Loaded

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
    settings = _settings_of_sweep(loaded) if loaded.strategy.sweep is not None else None
    if as_json:
        document = {
            "ok": True,
            "file": file,
            "name": loaded.strategy.name,
            "mode": loaded.strategy.mode,
            "problems": [problem_document(each) for each in loaded.warnings],
        }
        if settings is not None:
            document["settings_of_sweep"] = settings
        click.echo(to_json(document))
        return 0
    render_problems(loaded.warnings, total=False)
    counted = count_text(loaded.warnings)
    tail = f", {counted}" if counted else ""
    if settings is not None:
        tail += f", a sweep of {settings:,} setting" + ("" if settings == 1 else "s")
    click.echo(f"{click.style('ok', fg='green', bold=True)}: {file}{tail}")
    return 0


def _settings_of_sweep(loaded: Loaded) -> int:
    """Check every value of the file's sweep; return how many settings it has."""
    from septet._sweep.space import space_of
    from septet._sweep.values import check_values

    space = space_of(loaded)
    check_values(loaded, space)
    return len(space)
