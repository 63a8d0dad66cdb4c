"""A run by hand: small arrays under their names, and settings for as long as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from septet._kernel import layout
from septet._plan.rule_choices import RULES
from septet._rules import settings
from septet._rules.run import Run

__all__ = ["Fixed", "bar", "run_of", "set_to", "status"]


class Fixed:
    """A stop or target at one price."""

    def __init__(self, price: float, code: int = 30) -> None:
        self.price, self.code = price, code

    def level(self, *_: Any) -> float:
        """Return the price."""
        return self.price


def run_of(bars: int = 4, symbols: int = 1) -> Run:
    """Return a run without a position: a unit is one of the base currency, and a lot."""
    run = Run(
        {
            "A": np.zeros(layout.A_SLOTS), "C": np.zeros(layout.C_SLOTS, np.int64),
            "B": np.zeros((symbols, layout.B_SLOTS)),
            "I": np.zeros((symbols, layout.I_SLOTS), np.int64),
            "M": np.zeros((symbols, layout.M_ROWS, bars), np.int64),
            "X": np.full((symbols, layout.X_FIXED, bars), 100.0),
            "LI": np.zeros((64, layout.LI_COLUMNS), np.int64),
            "LF": np.zeros((64, layout.LF_LEAST)), "N": np.full(symbols, bars),
        }
    )  # fmt: skip
    run.cash = run.equity = 1_000.0
    run.scale[:] = run.lot[:] = 1.0
    run.mark[:] = 100.0
    run.average_price[:] = np.nan
    run.open_ns[0, :] = np.arange(bars) * 60
    return run


def bar(run: Run, i: int, *prices: float) -> None:
    """Set open, high, low and close of a bar."""
    run.X[0, :4, i] = prices


def status(run: Run) -> list[tuple[int, int]]:
    """Return how orders ended: their status and the number of the reason."""
    rows = run.LI[: int(run.log_rows)]
    return [(int(row[4]), int(row[5])) for row in rows if row[0] == layout.STATUS]


@contextmanager
def set_to(**values: Any) -> Iterator[None]:
    """Give settings other values in every module of rules that reads them."""
    before = []
    for name, value in values.items():
        assert name in settings.__all__
        for module in RULES:
            if hasattr(module, name):
                before.append((module, name, getattr(module, name)))
                setattr(module, name, value)
    assert before, "no rule reads this"
    try:
        yield
    finally:
        for module, name, old in before:
            setattr(module, name, old)
