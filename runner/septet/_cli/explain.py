"""``septet explain FILE [KEY]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.render import render_problems, render_table
from septet._cli.terminal import echo, echo_json, echo_text, styled

if TYPE_CHECKING:
    from septet._app.explain import PlanText

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
    """Show the effective value of every key, or of KEY and the keys below it, and its origin.

    The origin is a line of the file, an overlay of the mode, a flag, or the default. With --plan
    the program generated from the file is printed, with the place of the source at each function,
    and at the end the key of every number that it reads.
    """
    from septet._app.explain import explain_plan, explain_values
    from septet._config.load import load

    loaded = load(file, mode=mode, sets=sets, unchecked=True)
    if plan:
        _show_plan(explain_plan(loaded), as_json)
        return 0
    entries = explain_values(loaded, key)
    if as_json:
        echo_json(to_json(entries))
        return 0
    rows = [{"key": e.key, "value": e.shown, "origin": str(e.origin)} for e in entries]
    _echo(rows)
    render_problems(loaded.warnings, total=False)
    return 0


def _show_plan(plan: PlanText, as_json: bool) -> None:
    if as_json:
        echo_json(to_json(plan))
        return
    echo_text(plan.marked)
    echo("# the numbers it reads")
    for number, (key, value) in enumerate(plan.parameters):
        echo(f"# P[{number}] = {value:.12g}  {key}")


def _echo(rows: list[dict[str, Any]]) -> None:
    for number, line in enumerate(render_table(rows, ("key", "value", "origin")).splitlines()):
        is_plain = number == 0 or rows[number - 1]["origin"] != "default"
        echo(styled(line, bold=True) if number == 0 else styled(line, dim=not is_plain))
