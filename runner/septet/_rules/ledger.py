"""The ledger, called with the run instead of its arrays."""

from __future__ import annotations

from typing import Any

from septet._kernel import ledger as _ledger
from septet._rules.run_state import Run

__all__ = [
    "book_fill", "book_amounts", "charge_liquidation", "end_order", "end_queued", "log_row",
    "pay_funding", "place_order",
]  # fmt: skip

_kernel: Any = _ledger


def log_row(kind, time_ns, k, order_id, code, detail, run: Run):
    """Append a row to the log, its floats NaN, and return its number."""
    return _kernel.log_row(kind, time_ns, k, order_id, code, detail, run.C, run.LI, run.LF)


def place_order(
    k, kind, units, limit, trigger, active_ns, bars, reduces, reason, price, time_ns, run: Run
):  # fmt: skip
    """Make an order the symbol's working order, log it, and return its row in the log."""
    return _kernel.place_order(
        k, kind, units, limit, trigger, active_ns, bars, reduces, reason, price, time_ns,
        run.C, run.B, run.I, run.LI, run.LF,
    )  # fmt: skip


def end_order(k, status, reason, time_ns, run: Run):
    """Take the working order out of work and log why."""
    _kernel.end_order(k, status, reason, time_ns, run.C, run.B, run.I, run.LI, run.LF)


def end_queued(k, status, reason, time_ns, run: Run):
    """End the entry that waits for the exit of the other side, and log why."""
    _kernel.end_queued(k, status, reason, time_ns, run.C, run.B, run.I, run.LI, run.LF)


def book_fill(
    k, units, price, rate, received, maker, time_ns, order_id, reason, intrabar, reference,
    run: Run,
):  # fmt: skip
    """Book one fill whose fee is a rate; return 1 if it closed a trade, else 0."""
    return _kernel.book_fill(
        k, units, price, rate, received, maker, time_ns, order_id, reason, intrabar, reference,
        run.A, run.C, run.B, run.I, run.LI, run.LF,
    )  # fmt: skip


def book_amounts(
    k, units, price, net_units, fee, maker, time_ns, order_id, reason, intrabar, reference, run: Run
):  # fmt: skip
    """Book one fill whose fee is known; return 1 if it closed a trade, else 0."""
    return _kernel.book_amounts(
        k, units, price, net_units, fee, maker, time_ns, order_id, reason, intrabar, reference,
        run.A, run.C, run.B, run.I, run.LI, run.LF,
    )  # fmt: skip


def charge_liquidation(k, charge, run: Run):
    """Take what a liquidation costs beside its fill, before the fill; below zero it is given."""
    _kernel.charge_liquidation(k, charge, run.A, run.B)


def pay_funding(k, units, rate, price, time_ns, run: Run):
    """Pay (or receive) the funding rate on the units that were held, on their mark."""
    _kernel.pay_funding(k, units, rate, price, time_ns, run.A, run.C, run.B, run.I, run.LI, run.LF)
