"""Compares what two paths left, bit for bit, and names the first field that differs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from septet._kernel import layout
from septet._shell.result_tables import decisions_of
from tests.core.paths import Left

__all__ = ["assert_same", "first_difference", "same_bits"]

KINDS: Final[dict[int, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    layout.ORDER: (
        "order", ("time", "symbol", "order_id", "type", "reason"),
        ("units", "limit_price", "trigger_price", "decision_price", "confidence",
         "probability_up", "equity", *(f"sizing_{n}" for n in range(5))),
    ),
    layout.FILL: (
        "fill", ("time", "symbol", "order_id", "liquidity", "reason"),
        ("units", "price", "fee", "received", "reference", "liquidation"),
    ),
    layout.STATUS: ("status", ("time", "symbol", "order_id", "status", "reason"), ("left",)),
    layout.TRADE: (
        "trade", ("exit_time", "symbol", "entry_time", "reason", "side"),
        ("entry_notional", "entry_price", "exit_price", "quantity", "pnl", "fees", "funding",
         "liquidation", "slippage"),
    ),
    layout.HALT: ("halt", ("time", "", "halt", "rule", "then"), ("equity", "peak", "day_base")),
    layout.CLEAR: ("clear", ("time", "", "halt", "rule", ""), ()),
    layout.REBALANCE: (
        "rebalance", ("time", "", "", "reason", "scaled"),
        ("turnover", "factor", "gross", "net", "equity"),
    ),
    layout.FUNDING: ("funding", ("time", "symbol", "", "", ""), ("paid", "rate", "mark")),
}  # fmt: skip
"""What the columns of the log hold, by the kind of the row: its integers, then its floats."""
CURVE: Final = {
    layout.G_EQUITY: "equity", layout.G_CASH: "cash", layout.G_EXPOSURE: "exposure",
}  # fmt: skip
FAST_ALONE: Final = {
    "A": (layout.TOP, layout.DEEPEST, layout.EXPOSED), "C": (layout.UNVALUED,),
}  # fmt: skip
"""What only the fast form counts, for it keeps no curve to count it from."""
Found = tuple[int, int, str]  # when, how far down a row, and in words


def same_bits(a: Any, b: Any) -> Any:
    """Return where two arrays of one shape agree bit for bit, NaN equal to NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype != np.float64:
        return a == b
    return (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))


def _when(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat()[:16]


def _shown(value: Any) -> str:
    number = value.item() if hasattr(value, "item") else value
    return f"{number!r} ({number.hex()})" if isinstance(number, float) else repr(number)


def first_difference(ours: Left, theirs: Left, *, decisions: bool = True) -> str | None:
    """Return the earliest difference in words, or None; `decisions` False is for the fast form,
    which has no table of decisions and of the curve the equity alone.
    """
    found: list[Found] = [*_logs(ours, theirs), *_curves(ours, theirs, decisions)]
    if decisions:
        found += [*_features(ours, theirs), *_decisions(ours, theirs)]
    if not found:
        found = [*_states(ours, theirs, decisions)]
    return min(found)[2] if found else None


def assert_same(ours: Left, theirs: Left, *, decisions: bool = True) -> None:
    """Fail with the first field that differs."""
    reported = first_difference(ours, theirs, decisions=decisions)
    assert reported is None, f"{ours.path} and {theirs.path} differ first here: {reported}"


def _reported(place: str, time_ns: int, field: str, a: Any, b: Any) -> str:
    return f"{field} of {place} at {_when(time_ns)}: {_shown(a)} and {_shown(b)}"


def _logs(ours: Left, theirs: Left) -> Iterator[Found]:
    """Yield the first row of the log that differs."""
    a, b = ours.outcome, theirs.outcome
    n = min(len(a.LI), len(b.LI))
    rows = (a.LI[:n] == b.LI[:n]).all(axis=1) & same_bits(a.LF[:n], b.LF[:n]).all(axis=1)
    if not rows.all():
        yield _log_row(ours, theirs, int(np.argmin(rows)))
    elif len(a.LI) != len(b.LI):
        longer = ours if len(a.LI) > n else theirs
        kind, time_ns = longer.outcome.LI[n, :2].tolist()
        reported = f"log row {n}, a {KINDS[kind][0]} at {_when(time_ns)}, is only in {longer.path}"
        yield time_ns, 1, reported


def _log_row(ours: Left, theirs: Left, row: int) -> Found:
    a, b = ours.outcome.LI[row], theirs.outcome.LI[row]
    time_ns = int(min(a[1], b[1]))
    name, whole, real = KINDS[int(a[0])]
    place = f"log row {row}, a {name}"
    if a[0] != b[0]:
        other = KINDS[int(b[0])][0]
        return time_ns, 1, f"log row {row} at {_when(time_ns)} is a {name} and a {other}"
    names = ours.session.plan.assembly.reasons
    for at, field in enumerate(whole, 1):
        if a[at] != b[at]:
            values = [a[at], b[at]]
            if field in ("reason", "rule"):
                values = [names[int(each)] for each in values]
            return time_ns, 1, _reported(place, time_ns, field, *values)
    at = int(np.argmin(same_bits(ours.outcome.LF[row], theirs.outcome.LF[row])))
    field = real[at] if at < len(real) else f"column {at}"
    return (
        time_ns,
        1,
        _reported(place, time_ns, field, ours.outcome.LF[row, at], theirs.outcome.LF[row, at]),
    )


def _curves(ours: Left, theirs: Left, whole: bool) -> Iterator[Found]:
    first, known = ours.session.first, ours.session.aligned.T[layout.KNOWN]
    for row, field in CURVE.items():
        if not whole and row != layout.G_EQUITY:
            continue
        a, b = ours.outcome.G[row, first:], theirs.outcome.G[row, first:]
        same = same_bits(a, b)
        if not same.all():
            bad = int(np.argmin(same))
            time_ns = int(known[first + bad])
            yield time_ns, 3, _reported("the curve", time_ns, field, a[bad], b[bad])


def _features(ours: Left, theirs: Left) -> Iterator[Found]:
    """Yield features and predictions of every bar, inner ones too."""
    aligned, assembly = ours.session.aligned, ours.session.plan.assembly
    named = {row: name for name, row in assembly.features.items()}
    for k, symbol in enumerate(ours.session.market.symbols):
        rows = aligned.T[layout.ROW + k]
        times = np.flatnonzero(rows >= 0)
        a, b = (each.outcome.F[k][:, rows[times]] for each in (ours, theirs))
        for row in range(assembly.decision_row):
            same = same_bits(a[row], b[row])
            if not same.all():
                bad = int(np.argmin(same))
                time_ns = int(aligned.T[layout.KNOWN, times[bad]])
                field = named.get(row, f"feature row {row}")
                yield time_ns, 0, _reported(symbol, time_ns, field, a[row, bad], b[row, bad])


def _decisions(ours: Left, theirs: Left) -> Iterator[Found]:
    """Yield differences in the table of decisions, from the first decision on."""
    a, b = (decisions_of(each.session, each.outcome) for each in (ours, theirs))
    for field in a:
        x, y = (_codes(table[field]) for table in (a, b))
        same = same_bits(x, y)
        if not same.all():
            bad = int(np.argmin(same))
            time_ns = int(a["time"][bad])
            place = f"the decision for {a['symbol'][bad]}"
            yield time_ns, 2, _reported(place, time_ns, field, a[field][bad], b[field][bad])


def _codes(column: Any) -> Any:
    return column.to_physical().to_numpy() if hasattr(column, "to_physical") else column


def _states(ours: Left, theirs: Left, whole: bool) -> Iterator[Found]:
    """Yield differences that no table shows: what the run would go on from."""
    for rank, name in enumerate(("A", "B", "C", "I")):
        a, b = (getattr(each.outcome.state, name) for each in (ours, theirs))
        same = same_bits(a, b)
        if not whole and name in FAST_ALONE:
            same[list(FAST_ALONE[name])] = True
        if not same.all():
            at = tuple(int(each[0]) for each in np.nonzero(~same))
            yield 0, rank, f"state {name}{list(at)}: {_shown(a[at])} and {_shown(b[at])}"
