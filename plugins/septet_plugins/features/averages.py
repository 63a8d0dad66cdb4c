"""Moving averages and rolling sums."""

from __future__ import annotations

from typing import Literal

from septet.plugin import Bars, Config, Input, Memory, anchored, fading, feature, unbounded, window
from septet.plugin.numeric import (
    AVERAGE,
    SUM,
    WEIGHTED,
    add,
    finite,
    recursive_average,
    weighted_sum,
    window_sum,
)

__all__ = [
    "Average",
    "Running",
    "Since",
    "ema",
    "running_sum",
    "sma",
    "sum_since",
    "window_total",
    "wilder",
    "wma",
]

Anchor = Literal["day", "session", "week"]


class Average(Config):
    """Moving average of `of` over `period` bars."""

    of: Input = "close"
    """The column to average."""
    period: Bars = 20
    """Number of bars of the average."""


class Average14(Average):
    """Moving average of `of` over `period` bars."""

    period: Bars = 14
    """Bars of the average."""


def since_memory(by: str) -> Memory:
    """Return the memory of a feature that restarts when `by` changes.

    Other columns count as days.
    """
    return anchored(by if by in ("session", "week") else "day")


class Running(Config):
    """A value that accumulates since the first bar, over `of`."""

    of: Input = "close"
    """The column to read."""


class Since(Config):
    """Sum of `of` since the column `by` last changed (`session`, `week` or a feature)."""

    of: Input = "volume"
    """The column to sum."""
    by: Input = "session"
    """The column whose change restarts the sum."""


@feature(
    Average,
    state=SUM,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range="of",
)
def sma(i, of, slot, state, period):
    """Return the simple moving average, the mean of ``of[i - period + 1 .. i]``.

    In the unit of `of`. NaN while anything in the window is not finite.
    """
    return window_sum(i, of, slot, period, state, state.at.anchor) / period


@feature(
    Average,
    state=SUM,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def window_total(i, of, slot, state, period):
    """Return the sum of ``of[i - period + 1 .. i]``; NaN while anything in it is not finite."""
    return window_sum(i, of, slot, period, state, state.at.anchor)


@feature(
    Average,
    state=WEIGHTED,
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
    value_range="of",
)
def wma(i, of, slot, state, period):
    """Return the linearly weighted average: weights `period` (newest) down to 1 (oldest).

    In the unit of `of`. NaN while anything in the window is not finite.
    """
    return weighted_sum(i, of, slot, period, state, state.at.anchor) / (0.5 * period * (period + 1))


@feature(
    Average,
    state=AVERAGE,
    warmup=lambda c: c.period - 1,
    memory=lambda c: fading(36 * (c.period + 1)),
    value_range="of",
)
def ema(i, of, slot, state, period):
    """Return the exponential average with weight ``2 / (period + 1)`` for the newest value.

    In the unit of `of`. Seeded with the mean of the first `period` values. NaN where the input is
    not finite; the average then keeps its previous value.
    """
    weight, depth = 2.0 / (period + 1), 18 * (period + 1)
    return recursive_average(i, of, slot, period, weight, depth, state, state.at.anchor)


@feature(
    Average14,
    state=AVERAGE,
    warmup=lambda c: c.period - 1,
    memory=lambda c: fading(72 * c.period),
    value_range="of",
)
def wilder(i, of, slot, state, period):
    """Return Wilder's average, weight ``1 / period`` for the newest value.

    In the unit of `of`; seeds and NaN as `ema`. Source: J. Welles Wilder, New Concepts in
    Technical Trading Systems, 1978.
    """
    return recursive_average(i, of, slot, period, 1.0 / period, 36 * period, state, state.at.anchor)


@feature(Running, state=("total", "carry"), memory=lambda c: unbounded())
def running_sum(i, of, state):
    """Return the sum of `of` since the first bar; a bar that is not finite adds nothing."""
    if finite(of[i]):
        add(state, state.at.total, of[i])
    return state.total + state.carry


@feature(Since, state=("started", "since", "total", "carry"), memory=lambda c: since_memory(c.by))
def sum_since(i, of, by, state):
    """Return the sum of `of` since `by` last changed; a bar that is not finite adds nothing."""
    if state.started == 0.0 or by[i] != state.since:
        state.started = 1.0
        state.since = by[i]
        state.total = 0.0
        state.carry = 0.0
    if finite(of[i]):
        add(state, state.at.total, of[i])
    return state.total + state.carry
