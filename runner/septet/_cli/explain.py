"""``septet explain FILE [KEY]``."""

from __future__ import annotations

from typing import Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.render import render_problems, render_table
from septet._cli.terminal import echo, echo_json, echo_text, styled

__all__ = ["explain"]


@click.command()
@options.strategy_file
@click.argument("key", required=False)
@options.mode
@options.settings
@options.as_json
@click.option("--plan", is_flag=True, help="Print the compiled plan's text instead.")
def explain(
    file: str, key: str | None, mode: str | None, sets: tuple[str, ...], as_json: bool, plan: bool
) -> int:
    """Show the effective value of every key, or of KEY and what is below it, and its origin.

    The origin is a line of the file, an overlay of the mode, a flag, or the default. With --plan
    the program that the file is compiled to is printed: at each function where its source stands,
    and at the end the key of every number it reads.
    """
    from septet._config.explain import explained
    from septet._config.load import load

    loaded = load(file, mode=mode, sets=sets, unchecked=True)
    if plan:
        _show_plan(loaded, as_json)
        return 0
    entries = explained(loaded.resolved, loaded.origins, key, host=loaded.host)
    if as_json:
        echo_json(to_json([each.document() for each in entries]))
        return 0
    rows = [{"key": e.key, "value": e.shown, "origin": str(e.origin)} for e in entries]
    _echo(rows)
    render_problems(loaded.warnings, total=False)
    return 0


def _show_plan(loaded: Any, as_json: bool) -> None:
    from septet._plan.origins import with_origins
    from septet._shell.session import plan_of

    made = plan_of(loaded)
    numbers = made.assembly.parameters
    if as_json:
        keys = [{"key": each.key, "value": each.value} for each in numbers]
        echo_json(to_json({"name": made.name, "text": made.assembly.text, "parameters": keys}))
        return
    echo_text(with_origins(made.assembly.text))
    echo("# the numbers it reads")
    for place, each in enumerate(numbers):
        echo(f"# P[{place}] = {each.value:.12g}  {each.key}")


def _echo(rows: list[dict[str, Any]]) -> None:
    for number, line in enumerate(render_table(rows, ("key", "value", "origin")).splitlines()):
        plain = number == 0 or rows[number - 1]["origin"] != "default"
        echo(styled(line, bold=True) if number == 0 else styled(line, dim=not plain))
