"""Compares what the core left with the reference, table by table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from septet._kernel import layout
from septet._shell.result_tables import Outcome, decisions_of
from tests.core.reference import Reference
from tests.core.world import Ran

__all__ = ["assert_agrees", "chances_of", "tables_of"]

DECIDED = (
    "time", "symbol", "signal", "confidence", "requested", "granted", "capped_by", "rejected_by",
)  # fmt: skip
SIGNALS = {"long": 1.0, "short": -1.0, "flat": 0.0, "none": math.nan}
KINDS = ("market", "limit", "stop", "stop_limit")
STATES = {layout.STATUS_FILLED: "filled", layout.STATUS_CANCELLED: "cancelled",
          layout.STATUS_EXPIRED: "expired"}  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def tables_of(ran: Ran) -> dict[str, list[tuple[Any, ...]]]:
    """Read the core's log and decision rows as plain tuples."""
    LI, LF = ran.log
    names = [*ran.session.plan.assembly.reasons, ""]
    halts = [name for name, _ in ran.session.plan.assembly.halts]
    found: dict[str, list[tuple[Any, ...]]] = {
        "orders": [],
        "ended": [],
        "fills": [],
        "trades": [],
        "halts": [],
    }
    for (kind, time, k, number, code, detail), f in zip(LI.tolist(), LF.tolist(), strict=True):
        if kind == layout.ORDER:
            found["orders"].append((time, k, KINDS[code], f[0], f[1], f[2], names[detail]))
        elif kind == layout.STATUS:
            found["ended"].append((time, k, number, STATES[code], names[detail]))
        elif kind == layout.FILL:
            found["fills"].append((time, k, number, f[0], f[1], f[2], code == 1))
        elif kind == layout.TRADE:
            row = (k, detail, number, f[1], time, f[2], f[3], *f[4:9], names[code])
            found["trades"].append(row)
        elif kind in (layout.HALT, layout.CLEAR):
            word = "tripped" if kind == layout.HALT else "cleared"
            found["halts"].append((time, halts[number], word))
    B, whole = ran.batch.state.B, ran.batch.state.I
    held = np.flatnonzero(whole[:, layout.OPEN_SIDE])
    found["open_funding"] = B[held, layout.TRADE_FUNDING].tolist()
    found["decisions"] = _decisions(ran)
    found["curve"] = _curve(ran)
    return found


def _decisions(ran: Ran) -> list[tuple[Any, ...]]:
    batch, symbols = ran.batch, list(ran.session.market.symbols)
    outcome = Outcome(*ran.log, batch.F, batch.D, batch.G, batch.state)
    table = decisions_of(ran.session, outcome)
    columns = [list(table[name]) for name in DECIDED]
    return [
        (int(time), symbols.index(symbol), SIGNALS[side], *rest)
        for time, symbol, side, *rest in zip(*columns, strict=True)
    ]


def _curve(ran: Ran) -> list[tuple[Any, ...]]:
    first, aligned = ran.session.first, ran.session.aligned
    return [
        (int(aligned.T[layout.KNOWN, t]), *ran.batch.G[:3, t].tolist())
        for t in range(first, aligned.times)
    ]


def _same(ours: Any, theirs: Any, scale: float) -> bool:
    if isinstance(theirs, str | bool) or isinstance(ours, str | bool):
        return bool(ours == theirs)
    a, b = float(ours), float(theirs)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b)) + 1e-12 * scale


def assert_agrees(ran: Ran, reference: Reference) -> None:
    """Fail at the first row in which core and reference differ, with the rows before it."""
    ours = tables_of(ran)
    book = reference.account
    theirs: dict[str, list[tuple[Any, ...]]] = {
        "decisions": [
            (d.time_ns, d.symbol, d.target, d.confidence, d.requested, d.granted, d.capped,
             d.rejected)
            for d in reference.decisions
        ],
        "orders": book.placed, "ended": book.ended, "fills": book.fills, "trades": book.trades,
        "halts": reference.halt_log, "curve": reference.curve,
    }  # fmt: skip
    problems = []
    for name, rows in theirs.items():
        where = _first_difference(ours[name], rows, reference.s.capital)
        if where >= 0:
            here, there = ours[name][where : where + 1], rows[where : where + 1]
            when = min(r[0] if name != "trades" else r[4] for r in [*here, *there])
            problems.append((when, f"{name}[{where}]: core {here}\n    reference {there}"))
    if problems:
        problems.sort()
        reported = "\n".join(text for _, text in problems)
        fills = "\n    ".join(map(str, book.fills[-3:]))
        raise AssertionError(
            f"core and reference differ, earliest first:\n{reported}\nlast {fills}"
        )


def _first_difference(
    ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]], scale: float
) -> int:
    for row, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if not all(_same(x, y, scale) for x, y in zip(a, b, strict=True)):
            return row
    return -1 if len(ours) == len(theirs) else min(len(ours), len(theirs))


def chances_of(ran: Ran) -> list[list[float]] | None:
    """Return the probabilities the core was given, for the reference."""
    row = ran.session.plan.assembly.model_row
    if row is None:
        return None
    lengths = ran.session.aligned.lengths
    return [np.asarray(ran.batch.F[k, row, :n]).tolist() for k, n in enumerate(lengths)]
