"""`septet run` in paper and live mode: what the options mean, and what is printed at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from septet._cli.early_signals import EarlySignals
from septet._cli.terminal import ask, echo, echo_json
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._live.process import LiveResult

__all__ = ["run_files"]


def run_files(files: Sequence[Any], chosen: dict[str, Any], early: EarlySignals) -> int:
    """Run loaded files on one account until they are stopped; return the exit status."""
    from septet._live.clock import clock_from
    from septet._live.process import LiveResult, run_live
    from septet._live.start import Options
    from septet_schemas.times import parse_moment

    if chosen["chunk"] is not None or chosen["fast"]:
        raise InputError("--fast and --chunk are for backtests", hint="leave them out")
    until = chosen["until"]
    options = Options(
        out=chosen["out"], fresh=chosen["fresh"], bars=chosen["bars"],
        until_ns=_moment(until, parse_moment) if until else None,
        durability=chosen["durability"], level=chosen["log_level"],
        early=lambda: early.name,
    )  # fmt: skip
    clock = clock_from(chosen["clock"]) if chosen["clock"] else None

    def confirm(question: str) -> bool:
        if chosen["yes"]:
            return True
        if not sys.stdin.isatty():
            return False
        return ask(question)

    if early.name:
        echo(f"septet: stopped by {early.name} before the run began", err=True)
        result = LiveResult(())
    else:
        result = run_live(files, options, confirm=confirm, clock=clock)
    if chosen["as_json"]:
        echo_json(json.dumps(result.document()))
    else:
        _show(result)
    return result.exit_code


def _moment(text: str, parse: Any) -> int:
    try:
        return int(parse(text))
    except Exception as error:  # the schema's own error type says what was expected
        raise InputError(
            f"--until {text}: {error}", hint="write a time such as 2026-03-01T16:00:00Z"
        ) from None


def _show(result: LiveResult) -> None:
    for run, end in result.ends:
        decisions = run.known.decisions
        echo(f"{run.strategy.name}: {end.how} after {decisions} decisions ({end.text})")
        if end.open_orders is None and end.how == "failed":
            echo("  whether orders of it are open is not known: look at the venue", err=True)
        elif end.open_orders:
            echo(f"  {end.open_orders} of its orders are still open at the venue", err=True)
        echo(f"  {run.place.folder}")
    if result.netting:
        echo(result.netting)
