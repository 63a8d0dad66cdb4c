"""`septet run` in paper and live mode: its options, and the summary printed at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from septet._app.documents import to_json
from septet._cli.early_signals import EarlySignals
from septet._cli.process_start import process_began_ns
from septet._cli.terminal import ask, echo, echo_json
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._live.process import LiveResult

__all__ = ["run_files"]


def run_files(files: Sequence[Any], chosen: dict[str, Any], early: EarlySignals) -> int:
    """Run loaded files on one account until they are stopped; return the exit status."""
    from septet._app.run import LiveRequest, run_live_files

    if chosen["chunk"] is not None or chosen["fast"]:
        raise InputError("--fast and --chunk are for backtests", hint="leave them out")
    request = LiveRequest(
        fresh=chosen["fresh"], clock=chosen["clock"] or None, bars=chosen["bars"],
        until=chosen["until"] or None, durability=chosen["durability"], level=chosen["log_level"],
        began_ns=process_began_ns(),
    )  # fmt: skip

    def confirm(question: str) -> bool:
        if chosen["yes"]:
            return True
        if not sys.stdin.isatty():
            return False
        return ask(question)

    if early.name:
        echo(f"septet: stopped by {early.name} before the run began", err=True)
    result = run_live_files(
        files, request, out=chosen["out"], confirm=confirm, stopped_by=lambda: early.name
    )
    if chosen["as_json"]:
        echo_json(to_json(result))
    else:
        _show(result)
    return result.exit_code


def _show(result: LiveResult) -> None:
    for run, end in result.ends:
        decisions = run.known.decisions
        echo(f"{run.strategy.name}: {end.how} after {decisions} decisions ({end.text})")
        if end.open_orders is None and end.how == "failed":
            echo("  whether orders of it are open is not known: look at the venue", err=True)
        elif end.open_orders:
            echo(f"  {end.open_orders} of its orders are still open at the venue", err=True)
        if end.held:
            echo(f"  still held although the file flattens: {', '.join(end.held)}", err=True)
        if run.location.folder.is_dir():  # that of a run that never began is removed
            echo(f"  {run.location.folder}")
        else:
            echo("  nothing is kept of it: it ended before it had made its journal")
    if result.netting:
        echo(result.netting)
