"""A run by hand: small arrays under their names, and settings for as long as a test needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from septet._kernel import layout
from septet._plan.rule_choices import RULES
from septet._rules import decide, settings
from septet._rules.records import Fill, Order
from septet._rules.run_state import Run

__all__ = [
    "AtMost",
    "Below",
    "Fall",
    "Fixed",
    "bar",
    "fill_of",
    "kept",
    "order_of",
    "rows",
    "run_of",
    "set_to",
    "signal",
    "status",
]


@dataclass(frozen=True)
class Below:
    """A halt below so much equity; or an exit below such a close."""

    floor: float
    code: int = 40
    checked: bool = False
    rule: int = 0
    number: int = 0
    reads_peak: bool = False
    then: int = 0
    resumes: str = "manual"
    resume_ns: int = 0

    def is_met(self, *given: Any) -> bool:
        """Whether the first number that is no cursor is below the floor."""
        *_, run = given
        equity = given[0] if len(given) == 3 else run.close[given[0], given[1]]
        return bool(equity < self.floor)


@dataclass(frozen=True)
class Fall:
    """A halt at a share of its own peak, or after so many losses in a row."""

    number: int
    share: float = -1.0
    losses: int = 1_000
    code: int = 41
    checked: bool = False
    rule: int = 0
    reads_peak: bool = True
    then: int = 1
    resumes: str = "manual"
    resume_ns: int = 0

    def is_met(self, equity: float, now_ns: int, run: Run) -> bool:
        """Whether it is met."""
        peak, lost = run.halt_peak[self.number], run.losses_in_a_row
        streak = min(lost, run.trades - run.trades_before[self.number])
        return bool(equity <= self.share * peak or streak >= self.losses)


@dataclass(frozen=True)
class AtMost:
    """A limit that leaves so much; it is of another package where it is `checked`."""

    amount: float
    code: int = 50
    checked: bool = False
    rule: int = 0
    broken: int = 51
    correlates: bool = False
    window: int = 0
    least: int = 0

    def most(self, *_: Any) -> float:
        """Return what it leaves."""
        return self.amount


class Fixed:
    """A stop or target at one price; it is of another package where it is `checked`."""

    def __init__(self, price: float, code: int = 30, *, checked: bool = False) -> None:
        self.price, self.code, self.checked, self.rule = price, code, checked, 0
        self.reads = False

    def level(self, *_: Any) -> float:
        """Return the price."""
        return self.price


def run_of(bars: int = 4, symbols: int = 1, weighs: int = 0) -> Run:
    """Return a run without a position: a unit is one of the base currency, and a lot.

    With `weighs` 1 it has room for what a portfolio keeps.
    """
    more_b, more_i = (layout.B_PORTFOLIO, layout.I_PORTFOLIO) if weighs else (0, 0)
    run = Run(
        {
            "A": np.zeros(layout.A_SLOTS + 2 + 2 * symbols),
            "C": np.zeros(layout.C_SLOTS + layout.HALT_SLOTS * 2 + symbols, np.int64),
            "B": np.zeros((symbols, layout.B_SLOTS + more_b)),
            "I": np.zeros((symbols, layout.I_SLOTS + more_i), np.int64),
            "M": np.zeros((symbols, layout.M_ROWS, bars), np.int64),
            "X": np.full((symbols, layout.X_FIXED, bars), 100.0),
            "F": np.zeros((symbols, layout.F_DECISION + weighs, bars)),
            "D": np.zeros((symbols, layout.D_ROWS, bars), np.int8),
            "T": np.zeros((layout.ROW + symbols + weighs, bars), np.int64),
            "G": np.zeros((layout.G_ROWS, bars)), "Q": np.zeros(0, np.int64),
            "J": np.zeros((layout.J_ROWS, symbols), np.int64), "W": np.zeros((bars, symbols)),
            "LI": np.zeros((64, layout.LI_COLUMNS), np.int64),
            "LF": np.zeros((64, layout.LF_LEAST)), "N": np.full(symbols, bars),
            "H": np.zeros(layout.H_SLOTS, np.int64), "DUE": np.zeros(bars, np.int64),
        }
    )  # fmt: skip
    run.cash = run.equity = 1_000.0
    run.scale[:] = run.lot[:] = 1.0
    run.mark[:] = 100.0
    run.average_price[:] = np.nan
    run.open_ns[:] = np.arange(bars) * 60
    run.known_ns[:] = 60 + np.arange(bars) * 60
    run.bar[:] = np.arange(bars)
    if weighs:
        run.T[layout.ROW + symbols] = symbols  # each is a member
    run.bars_since_entry[:] = 1_000
    return run


def fill_of(
    units: float, price: float, *, maker: int = 0, time_ns: int = 0, order_id: int = 0,
    reason: int = 0, decision_price: float | None = None, intrabar: int = 0,
) -> Fill:  # fmt: skip
    """Return a fill without slippage, unless its decision saw another price."""
    seen = price if decision_price is None else decision_price
    return Fill(units, price, maker, time_ns, order_id, reason, seen, intrabar)


def order_of(
    kind: int, units: float, *, reason: int = 0, decision_price: float = 100.0,
    limit: float = np.nan, trigger: float = np.nan,
) -> Order:  # fmt: skip
    """Return an order whose decision saw a price of 100, unless it is given."""
    return Order(kind, units, reason, decision_price, limit, trigger)


def bar(run: Run, i: int, *prices: float) -> None:
    """Set open, high, low and close of a bar."""
    run.X[0, :4, i] = prices


def signal(run: Run, k: int, *sides: float, confidence: float = 1.0) -> None:
    """Keep a signal of each bar of k from the first on; NaN for none."""
    kept = run.__dict__.setdefault("signals", {})
    for i, side in enumerate(sides):
        kept[k, i] = side, confidence, -1
        decide.note(k, i, side, confidence, -1, run)


def kept(k: int, i: int, side: float, run: Run) -> tuple[float, float, int]:
    """Return the signal of a bar that `signal` kept: the setting `signal_at`."""
    found: tuple[float, float, int] = run.__dict__["signals"][k, i]
    return found


def rows(run: Run, kind: int) -> list[tuple[int, int, int]]:
    """Return symbol, code and detail of the rows of a kind in the log."""
    log = run.LI[: int(run.log_rows)]
    return [(int(row[2]), int(row[4]), int(row[5])) for row in log if row[0] == kind]


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
    assert before or not values, "no rule reads this"
    try:
        yield
    finally:
        for module, name, old in before:
            setattr(module, name, old)


def values(*given: float) -> Any:
    """Return a function of the settings that gives each symbol its value."""
    return lambda k, i, run: given[k]
