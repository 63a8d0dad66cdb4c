"""`septet drill`: tests the live stack against a local venue that injects faults."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from septet._drill.outcome import Outcome

__all__ = ["drill"]


def _list_faults(context: click.Context, _: click.Parameter, is_requested: bool) -> None:
    """Print every fault and exit."""
    if not is_requested or context.resilient_parsing:
        return
    from septet._drill.fault_kinds import CATALOGUE

    for code, kind in CATALOGUE.items():
        echo(f"{code:4}  {kind.what}")
    context.exit()


@click.command(short_help="Rehearse a strategy on a local venue, with faults.")
@options.strategy_file
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of all random numbers.")
@click.option(
    "--faults",
    default="all",
    show_default=True,
    metavar="CODES",
    help="Faults to inject, such as N1,E2,D3, or all.",
)
@click.option(
    "--list-faults",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_faults,
    help="Print every fault with its code, and exit.",
)
@click.option(
    "--times",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of times each fault is injected.",
)
@click.option(
    "--kill",
    "kills",
    type=click.IntRange(min=0),
    default=0,
    help="Number of times the process is killed with signal 9 and started again.",
)
@click.option(
    "--bars",
    type=click.IntRange(min=1),
    default=None,
    help="Number of bars after the start of the run; by default as many as the faults need.",
)
@click.option(
    "--bar", default="1s", show_default=True, metavar="DURATION", help="Wall time of a bar."
)
@click.option("--synthetic", is_flag=True, help="Use synthetic prices, not the file's own bars.")
@click.option(
    "--mode",
    type=click.Choice(["live", "paper"]),
    default="live",
    show_default=True,
    help="Orders at the local venue, or paper fills against its prices.",
)
@click.option("--keep-going", is_flag=True, help="Do not stop at the first fault that fails.")
@options.settings
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="The drill's folder; by default a new one under drills/.",
)
@options.as_json
def drill(file: str, out: Path | None, as_json: bool, sets: tuple[str, ...], **chosen: Any) -> int:
    """Run the strategy in FILE live against a venue on this machine that injects faults.

    The venue replays the file's newest bars, or synthetic ones; nothing leaves this machine except
    the requests of the file's other data sources. Status 1 means that a check failed.
    """
    from septet._app.drill import DrillRequest, prepare_drill, run_drill

    request = DrillRequest(
        seed=chosen["seed"], faults=chosen["faults"], times=chosen["times"],
        kills=chosen["kills"], bars=chosen["bars"], bar=chosen["bar"], mode=chosen["mode"],
        synthetic=chosen["synthetic"], keep_going=chosen["keep_going"],
    )  # fmt: skip
    prepared = prepare_drill(file, request, sets=sets, out=out)
    received = list[int]()

    def stop(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    def log(text: str) -> None:
        options.log_to_stderr(text)
        if received:  # raised in a callback of a library, which cannot pass it on
            raise KeyboardInterrupt

    previous_handlers = {
        each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        outcome = run_drill(prepared, log=log)
    finally:
        for each, handler in previous_handlers.items():
            signal.signal(each, handler)
    if received:
        raise KeyboardInterrupt
    if as_json:
        echo_json(to_json(outcome))
    else:
        _show(outcome)
    return 0 if outcome.ok else 1


def _show(outcome: Outcome) -> None:
    """Print the table with lines on a terminal, and plain otherwise."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from septet._cli.terminal import console as make_console

    terminal = sys.stdout.isatty()
    console = make_console() if terminal else make_console(width=160)
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False)
    for name, is_right in (
        ("fault", False), ("what happened", False), ("injected", True), ("held", False),
        ("resolved ms", True), ("remark", False),
    ):  # fmt: skip
        table.add_column(name, justify="right" if is_right else "left", overflow="fold")
    colours = {"yes": "green", "no": "bold red", "not reached": "yellow"}
    for cells in outcome.cells():
        table.add_row(*cells[:3], Text(cells[3], colours[cells[3]]), *cells[4:])
    console.print(table)
    for line in (*outcome.terms, *outcome.summary()):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
