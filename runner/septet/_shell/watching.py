"""Monitoring of a backtest: what the fills cost, and limits that prices alone have passed."""

from __future__ import annotations

from typing import Any

import numpy as np

from septet._kernel import layout
from septet._shell.project import Outcome
from septet._shell.session import Session

__all__ = ["fill_readings", "passed_limits"]

WINDOW = 20


def fill_readings(session: Session, outcome: Outcome) -> dict[str, Any] | None:
    """Mean cost of the last twenty fills against the price their decision saw.

    One row of monitoring.parquet for each fill from the twentieth on: metric ``slippage``, a
    fraction, positive when it cost money; `warn` above `monitoring.fills.slippage_alarm`.
    """
    rows = outcome.rows(layout.FILL)
    if len(rows) < WINDOW:
        return None
    values = outcome.LF[rows]
    side = np.sign(values[:, 0])
    cost = side * (values[:, 1] / values[:, 4] - 1.0)
    mean = np.convolve(cost, np.full(WINDOW, 1.0 / WINDOW), mode="valid")
    alarm = session.strategy.monitoring.fills.slippage_alarm
    count = len(mean)
    return {
        "time": outcome.LI[rows[WINDOW - 1 :], 1],
        "symbol": [""] * count,
        "metric": ["slippage"] * count,
        "value": mean,
        "threshold": np.full(count, alarm),
        "verdict": ["warn" if value > alarm else "ok" for value in mean.tolist()],
        "window": np.full(count, WINDOW, np.int64),
    }


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
