"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["told", "as_json", "mode", "settings", "strategy_file", "unchecked"]

F = TypeVar("F", bound=Callable[..., Any])


def told(message: str) -> None:
    """Print what takes a while to stderr."""
    click.echo(message, err=True)


def strategy_file(command: F) -> F:
    """Take the strategy file; what is wrong with it is said by the loader, not by click."""
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


def mode(command: F) -> F:
    """Take ``--mode``, which wins over the file."""
    return click.option(
        "--mode",
        type=click.Choice(["backtest", "paper", "live"]),
        default=None,
        help="Mode; wins over the file.",
    )(command)


def unchecked(command: F) -> F:
    """Take ``--unchecked``: plugins that are not septet's run without the kit's checks."""
    return click.option(
        "--unchecked",
        is_flag=True,
        help="Run plugins of other packages without checking them first; the verdict says so.",
    )(command)


def as_json(command: F) -> F:
    """Take ``--json``: one machine-readable document on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
    )(command)
