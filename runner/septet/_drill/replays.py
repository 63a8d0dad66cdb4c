"""Replays the run of a drill: through the core, and through the backtest's arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from septet._drill.outcome import Outcome
from septet._live.replay import replay
from septet._live.shadow import shadow
from septet.errors import SeptetError

__all__ = ["replay_all"]


def replay_all(outcome: Outcome, log: Callable[[str], None]) -> None:
    """Feed the run's journal through the core again, and through the backtest's arrays."""
    if not outcome.run:
        outcome.failures.append("no run was begun")
        return
    for name, work in (("replay", replay), ("shadow", shadow)):
        log(f"{name} of {Path(outcome.run).name}")
        try:
            found = work(Path(outcome.run))
        except SeptetError as error:
            outcome.failures.append(f"{name}: {error}")
            continue
        setattr(outcome, name, found.text)
        if found.differences:
            outcome.failures.append(f"{name}: {found.text}; first: {found.first}")
