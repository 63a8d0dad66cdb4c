"""Stops `run` at the errors of `check` about files that never trade."""

from __future__ import annotations

from typing import Any

from septet._shell.feature_checks import feature_problems
from septet._shell.hours_checks import hours_problems
from septet._shell.session import Session, open_session
from septet._shell.trade_checks import trade_problems
from septet.errors import ConfigError, Problem

__all__ = ["refuse_no_entry", "refuse_no_value"]


def refuse_no_entry(session: Session) -> None:
    """Reject a run whose every entry would be rejected, or could never fill.

    Raises
    ------
    ConfigError
        With the findings of `check`.
    """
    _refuse([*hours_problems(session), *trade_problems(session)])


def refuse_no_value(loaded: Any) -> None:
    """Reject a run that sent no order because the inputs of its entries are never finite.

    `check` computes features of the last bars for it; a run that sends an order need not. The data
    is read again, since a run without tables keeps too little of it.

    Raises
    ------
    ConfigError
        With the findings of `check`.
    """
    _refuse(feature_problems(open_session(loaded)))


def _refuse(problems: list[Problem]) -> None:
    if errors := [each for each in problems if each.severity == "error"]:
        raise ConfigError(errors)
