"""`septet halt` and `septet resume`: the kill switch, and its release by a named person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from septet._app.documents import to_json
from septet._app.halt_texts import outcome_lines
from septet._cli import options
from septet._cli.terminal import echo, echo_json

if TYPE_CHECKING:
    from septet._app.halt import Halted

__all__ = ["halt", "resume"]

_wait = click.option(
    "--wait",
    "wait_s",
    type=options.Seconds(0.0),
    default="10s",
    show_default=True,
    metavar="TIME",
    help="Time to wait for the run to report completion.",
)


@click.command(
    help="Stop a paper or live run from entering, at once and durably. Cancelled: all its resting "
    "orders, entries, exits and protective stops, of a live run again until the venue shows none. "
    "Kept: its positions; while the process runs, exits are still sent and it watches the levels "
    "of the stops, and if it ends, the positions have no stop until the next start. Cleared by: "
    "septet resume, and by no restart. In a paper run orders and positions are simulated. Where no "
    "process of the run takes it nothing is cancelled before the next start: the status is 1 if "
    "something rests or is held, or if that cannot be read. "
    f"{options.RUN_HELP}"
)
@click.argument("run")
@click.option("--flatten", is_flag=True, help="Close the positions as well, at market.")
@click.option("--name", default="", help="Name of who halts it; by default your login.")
@click.option("--reason", default="", help="Reason, written to the journal.")
@_wait
@options.runs_folder
@options.as_json
def halt(
    run: str, flatten: bool, name: str, reason: str, wait_s: float, root: Path, as_json: bool
) -> None:
    """Halt a run."""
    from septet._app.halt import halt_run, login_name
    from septet._store.find_runs import find_folder

    outcome = halt_run(
        find_folder(run, root, live=True, to_halt=True), flatten=flatten,
        name=name or login_name() or "unknown", reason=reason or "no reason was given",
        wait_s=wait_s, reference=run,
    )  # fmt: skip
    _report(outcome, wait_s, as_json)
    if not outcome.acted:
        raise SystemExit(1)


@click.command(
    help="Let a halted run trade again: clears every block that waits for a person. A name and a "
    f"reason are needed, and are written to the journal. The status is 1 if a later halt replaced "
    f"it. {options.RUN_HELP}"
)
@click.argument("run")
@click.option("--name", help="Name of who is responsible; required.")
@click.option("--reason", help="Reason why it may trade again; required.")
@_wait
@options.runs_folder
@options.as_json
def resume(
    run: str, name: str | None, reason: str | None, wait_s: float, root: Path, as_json: bool
) -> None:
    """Clear the halt of a run."""
    from septet._app.halt import resume_run
    from septet._store.find_runs import find_folder

    if name is None or reason is None:
        options_given = (("--name", name), ("--reason", reason))
        missing = " and ".join(option for option, value in options_given if value is None)
        raise click.UsageError(
            f"{missing} missing: a resume is written to the journal with who takes it on and why"
        )
    folder = find_folder(run, root, live=True)
    outcome = resume_run(folder, name=name, reason=reason, wait_s=wait_s)
    _report(outcome, wait_s, as_json)
    if outcome.replaced_by:
        raise SystemExit(1)


def _report(outcome: Halted, wait_s: float, as_json: bool) -> None:
    if as_json:
        echo_json(to_json(outcome))
        return
    for line in outcome_lines(outcome, wait_s):
        echo(line)
