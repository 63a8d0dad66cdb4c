"""Monitoring of a backtest: what the fills cost, and limits that prices alone have passed."""

from __future__ import annotations

from typing import Any

import numpy as np

from septet import _learn as learn
from septet._kernel import layout
from septet._shell.project import Outcome
from septet._shell.session import Session

__all__ = ["fill_readings", "passed_limits"]


def fill_readings(session: Session, outcome: Outcome) -> list[Any]:
    """Read what the fills cost against the price their decision saw, at every fill."""
    rows = outcome.rows(layout.FILL)
    ids, values = outcome.LI[rows], outcome.LF[rows]
    names = [session.market.symbols[k] for k in ids[:, 2].tolist()]
    return learn.fill_readings(
        ids[:, 1],
        names,
        np.sign(values[:, 0]).astype(np.int64),
        values[:, 1],
        values[:, 4],
        session.strategy.monitoring.fills.slippage_alarm,
    )


def passed_limits(session: Session, outcome: Outcome) -> list[str]:
    """Say how often the gross limit was passed by price alone; it is reported, not trimmed."""
    block = session.strategy.risk.limits.get("gross_exposure")
    if block is None or block.use != "gross_exposure":
        return []
    most = float(block.config.max)
    equity, _, exposed, _ = outcome.G[:, session.first :]
    over = np.flatnonzero(exposed > most * equity * (1.0 + 1e-9))
    if not len(over):
        return []
    worst = float((exposed[over] / equity[over]).max())
    return [
        f"price moves alone took the gross exposure above its limit of {most:.0%} at {len(over)} "
        f"decision times, {worst:.2%} at most: that is reported, not trimmed"
    ]
