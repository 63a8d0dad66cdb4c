"""``septet check FILE``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.render import (
    count_text,
    render_problems,
    render_table,
)
from septet._cli.terminal import echo, echo_json, echo_text, styled

if TYPE_CHECKING:
    from septet._app.check import Checked

__all__ = ["check"]


@click.command()
@options.strategy_file
@options.mode
@options.settings
@click.option(
    "--world",
    is_flag=True,
    help="Paper and live: query the feed and the venue as well; read only.",
)
@click.option(
    "--clock",
    metavar="URL",
    help="With --world: take market time from the local venue at this address.",
)
@options.unchecked
@options.access
@click.option("--no-data", is_flag=True, help="Do not read the data, for a machine without it.")
@options.as_json
def check(
    *,
    file: str,
    mode: str | None,
    sets: tuple[str, ...],
    world: bool,
    clock: str | None,
    unchecked: bool,
    secrets: tuple[str, ...],
    hosts: tuple[str, ...],
    no_data: bool,
    as_json: bool,
) -> int:
    """Check a strategy file: its shape, what it refers to, and whether it makes sense.

    Nothing is downloaded and nothing runs, but plugins of other packages, which are tried once for
    each version of their source. Every problem is shown at once, each with its place.
    The data of a backtest is read as a run reads it: a missing file, a span without data and
    windows longer than the data are found. In live mode secrets that cannot be read are.
    With --world the exchange is asked whether it lists the symbols, takes the sizes and orders,
    how far its history reaches, what the key may do, and how far the clocks differ; what would stop
    a run, or keep it from ever entering, is an error and leaves with status 2. The file reads no
    secret, and reaches no address of its own, that was not allowed here.
    """
    from septet._app.check import CheckRequest, check_file

    request = CheckRequest(data=not no_data, world=world, clock=clock)
    access = options.access_of(secrets, hosts)
    checked = check_file(
        file, request, mode=mode, sets=sets, access=access, unchecked=unchecked,
        log=options.log_to_stderr,
    )  # fmt: skip
    if as_json:
        echo_json(to_json(checked))
    else:
        _show(checked, file)
    return 0 if checked.ok else 2


def _show(checked: Checked, file: str) -> None:
    if checked.world is not None:
        rows = [
            {"what": r.what, "verdict": r.verdict, "found": r.found} for r in checked.world.rows
        ]
        echo_text(render_table(rows, ("what", "verdict", "found")))
    render_problems(checked.problems, total=False)
    counted = count_text(checked.problems)
    tail = f", {counted}" if counted else ""
    settings = checked.settings
    if settings is not None:
        tail += f", a sweep of {settings:,} setting" + ("" if settings == 1 else "s")
    word = styled("ok", fg="green", bold=True) if checked.ok else styled("no", fg="red")
    echo(f"{word}: {file}{tail}")
    if checked.windows is not None:
        echo(checked.windows.text())
