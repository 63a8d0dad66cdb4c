"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from septet._cli.terminal import ask, echo

if TYPE_CHECKING:
    from septet._config.access_rights import Access

__all__ = [
    "RUN_HELP", "Seconds", "access", "access_of", "as_json", "log_to_stderr", "mode", "runs_folder",
    "settings", "strategy_file", "unchecked",
]  # fmt: skip

RUN_HELP: Final = "RUN is a folder, a run id or its beginning, a strategy's name, or `latest`."

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType[float]):
    """A time: a number of seconds, or a duration such as ``30s`` or ``2m``."""

    name = "duration"

    def __init__(self, least: float) -> None:
        self.least = least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the time in seconds."""
        from pydantic_core import PydanticCustomError

        from septet_schemas.units import parse_duration

        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = parse_duration(value) / 1e9
            except PydanticCustomError:
                self.fail(f"{value!r} is not a duration such as 30s or 2m", param, ctx)
        if not self.least <= seconds < float("inf"):
            self.fail(f"{value} is below {self.least:g} seconds, or without an end", param, ctx)
        return seconds


def log_to_stderr(message: str) -> None:
    """Print a progress message to stderr."""
    echo(message, err=True)


def strategy_file(command: F) -> F:
    """Take the strategy file; the loader, not click, reports its problems."""
    return click.argument("file", type=click.Path())(command)


def settings(command: F) -> F:
    """Take any number of ``--set path=value``."""
    return click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change one key for this time, such as risk.sizing.fraction=20%; {} empties a block.",
    )(command)


def runs_folder(command: F) -> F:
    """Take ``--out`` (or ``--runs``), the folder that holds the runs."""
    return click.option(
        "--out",
        "--runs",
        "root",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("runs"),
        show_default=True,
        help="Folder of the runs.",
    )(command)


def mode(command: F) -> F:
    """Take ``--mode``, which takes precedence over the file."""
    return click.option(
        "--mode",
        type=click.Choice(["backtest", "paper", "live"]),
        default=None,
        help="Mode; takes precedence over the file.",
    )(command)


def unchecked(command: F) -> F:
    """Take ``--unchecked``: third-party plugins run without the kit's checks."""
    return click.option(
        "--unchecked",
        is_flag=True,
        help="Run plugins of other packages without checking them first; the verdict states it.",
    )(command)


def access(command: F) -> F:
    """Take ``--allow-secret`` and ``--trust-host``: what the file may read and connect to."""
    allow = click.option(
        "--allow-secret",
        "secrets",
        multiple=True,
        metavar="NAME[@HOST]",
        help="Let the file read this environment variable, or this file by its path, for the "
        "exchange's own hosts and HOST. May be repeated.",
    )
    trust = click.option(
        "--trust-host",
        "hosts",
        multiple=True,
        metavar="HOST",
        help="Let the file reach this host by an address of its own. May be repeated.",
    )
    return allow(trust(command))


def access_of(secrets: tuple[str, ...], hosts: tuple[str, ...]) -> Access:
    """Return what the options of `access` allow; the user of a terminal is asked about the rest."""
    from septet._config.access_rights import Access

    return Access.of(secrets, hosts, ask if sys.stdin.isatty() else None)


def as_json(command: F) -> F:
    """Take ``--json``: one machine-readable document on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
    )(command)
