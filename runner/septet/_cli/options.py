"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["as_json", "mode", "settings", "strategy_file"]

F = TypeVar("F", bound=Callable[..., Any])


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


def as_json(command: F) -> F:
    """Take ``--json``: one machine-readable document on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
    )(command)
