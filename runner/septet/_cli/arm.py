"""`septet arm`: permits agents to halt a run for a limited time."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet.errors import InputError

__all__ = ["arm"]


@click.command(
    help="Let agents that septet mcp serves halt a paper or live run that goes on: the tool `halt` "
    "is there while one of its workspace is armed. They cannot flatten or resume it. The arm ends "
    f"by time, with --off, or with the run's process. {options.RUN_HELP}"
)
@click.argument("run")
@click.option("--for", "duration", metavar="TIME", help="Duration, at most 24h, such as 15m.")
@click.option("--off", is_flag=True, help="End the permission now.")
@click.option("--name", default="", help="Name of who arms it; by default your login.")
@options.runs_folder
@options.as_json
def arm(run: str, duration: str | None, off: bool, name: str, root: Path, as_json: bool) -> None:
    """Arm a run, or end its arm."""
    from septet._app.arm import arm_run, disarm_run
    from septet._app.halt import login_name
    from septet._store.find_runs import find_folder

    if off == (duration is not None):
        raise click.UsageError("name either --for TIME, such as --for 15m, or --off")
    folder = find_folder(run, root, live=True)
    if duration is None:
        was_armed = disarm_run(folder)
        if as_json:
            echo_json(to_json({"run_id": folder.name, "armed": None, "held": was_armed}))
        else:
            echo(f"{folder.name}: {'no longer armed' if was_armed else 'it was not armed'}")
        return
    if not sys.stdin.isatty():
        raise InputError(
            "a run is armed at a terminal, by a person", hint="--off needs no terminal"
        )
    armed_until = arm_run(
        folder, for_ns=_nanoseconds(duration), name=name or login_name() or "unknown"
    )
    armed = armed_until.document()
    if as_json:
        echo_json(to_json({"run_id": folder.name, "armed": armed}))
        return
    echo(f"{folder.name}: agents may halt it until {armed['until']}, or until its process ends")
    echo(f"  septet arm {folder.name} --off ends that at once")


def _nanoseconds(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from septet_schemas.units import parse_duration

    try:
        return int(parse_duration(text))
    except (PydanticCustomError, ValueError) as error:
        raise InputError(f"--for {text[:40]}: {error}", hint="such as 15m or 2h") from None
