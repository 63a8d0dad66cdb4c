"""Reasons why a run made no trade, from its decisions and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from septet._results.number_texts import plural

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Idleness", "highest_confidence", "idleness_of", "threshold_of", "threshold_text", "why_idle",
]  # fmt: skip

_NAMED_REASONS: Final = 3
_RULES: Final = {"long": "long_if", "short": "short_if"}


class Idleness(msgspec.Struct, frozen=True):
    """What a run without a fill decided.

    `signals` counts decisions by their signal (``none``, ``flat``, ``long``, ``short``), None where
    the decisions were left out. `rejected` counts the rules that rejected decisions to enter,
    `other` the reasons of all other decisions, `orders` the reasons for which orders ended. `rules`
    are the rules of the file. `threshold` is that of the signal `confidence`, and `confidence` the
    highest one that a decision had. `waits` are the reasons for which due rebalances could not act,
    where none was made.
    """

    signals: Mapping[str, int] | None
    rejected: Mapping[str, int] = msgspec.field(default_factory=dict)
    other: Mapping[str, int] = msgspec.field(default_factory=dict)
    orders: Mapping[str, int] = msgspec.field(default_factory=dict)
    rules: tuple[str, ...] = ()
    threshold: float | None = None
    confidence: float | None = None
    waits: Mapping[str, int] = msgspec.field(default_factory=dict)


def threshold_of(resolved: Mapping[str, Any]) -> float | None:
    """Return the threshold of a file whose signal is `confidence`."""
    signal = resolved.get("signal")
    names = ("confidence", "septet:confidence")
    if not isinstance(signal, Mapping) or str(signal.get("use")) not in names:
        return None
    value = signal.get("threshold")
    return float(value) if isinstance(value, int | float) else None


def threshold_text(threshold: float, highest: float | None) -> str:
    """Return which probability a threshold asks for, and the highest confidence reached."""
    text = (
        f"threshold {threshold:.6g} of the confidence, 2 * |p - 0.5|, asks for p of "
        f"{0.5 + threshold / 2:.6g} or more for long, {0.5 - threshold / 2:.6g} or less for short"
    )
    if highest is None:
        return text
    return f"{text}; the highest confidence of the run was {highest:.3g}"


def highest_confidence(decisions: pl.DataFrame) -> float | None:
    """Return the highest confidence of the decisions of a run; None where none has one."""
    if "confidence" not in decisions.columns:
        return None
    known = decisions["confidence"].drop_nulls().drop_nans().to_numpy()
    return float(known.max()) if len(known) else None


def idleness_of(frames: Mapping[str, pl.DataFrame], resolved: Mapping[str, Any]) -> Idleness:
    """Count the decisions and orders of a run by its tables."""
    import polars as pl

    is_open = pl.col("status").cast(pl.String) == "open"
    ended = pl.col("ended_by").cast(pl.String)
    reason = pl.when(is_open).then(pl.lit("still open")).otherwise(ended)
    orders = _counts(frames["orders"].select(reason.alias("ended_by")).to_series())
    decisions = frames.get("decisions")
    if decisions is None:
        return Idleness(None, orders=orders)
    signal = pl.col("signal").cast(pl.String)
    enters = signal.is_in(["long", "short"]).fill_null(False)
    signals = _counts(decisions.get_column("signal"))
    rejected = _counts(decisions.filter(enters).get_column("rejected_by"))
    rejected_without_entry = _counts(decisions.filter(~enters).get_column("rejected_by"))
    threshold = threshold_of(resolved)
    return Idleness(
        signals, rejected, rejected_without_entry, orders, _rules_of(resolved), threshold,
        None if threshold is None else highest_confidence(decisions),
    )  # fmt: skip


def _counts(column: pl.Series) -> dict[str, int]:
    import polars as pl

    counted = column.cast(pl.String).value_counts().rows()
    named = [(str(name), int(times)) for name, times in counted if name not in ("", None)]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


def _rules_of(resolved: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which rules a file has whose signal is `rules`."""
    signal = resolved.get("signal")
    if not isinstance(signal, Mapping) or str(signal.get("use")) not in ("rules", "septet:rules"):
        return ()
    return tuple(name for name in (*_RULES.values(), "exit_if") if signal.get(name) is not None)


def why_idle(seen: Idleness) -> str:
    """Return why a run without a fill traded nothing; empty where its tables do not show it."""
    sent = sum(seen.orders.values())
    if seen.waits and not sent:
        return _no_rebalance(seen.waits)
    unfilled = f"none of {plural(sent, 'order')} was filled ({_often(seen.orders)})"
    if seen.signals is None:
        return f"{_begun(unfilled)}." if sent else ""
    entries = sum(seen.signals.get(side, 0) for side in _RULES)
    if not entries:
        return _no_entry(seen)
    rejected = sum(seen.rejected.values())
    decided = f"{plural(entries, 'decision')} asked for a position"
    parts = []
    if rejected:
        share = "all of them were" if rejected == entries else f"{rejected:,} were"
        parts.append(f"{share} rejected ({_often(seen.rejected)})")
    if sent:
        parts.append(unfilled)
    return f"{decided}: {' and '.join(parts)}." if parts else ""


def _no_rebalance(waits: Mapping[str, int]) -> str:
    """Return why no rebalance of a portfolio was made, though one was due."""
    text = f"No rebalance was made: a due one could not act whole ({_often(waits)})."
    if "quorum" in waits:
        text += (
            " A smaller share of the members than portfolio.rebalance.quorum had a bar at these "
            "times."
        )
    return text


def _no_entry(seen: Idleness) -> str:
    """Return why no decision asked for a position."""
    assert seen.signals is not None
    entries = [name for name in seen.rules if name in _RULES.values()]
    conflicts = seen.other.get("conflict", 0)
    exits = seen.signals.get("flat", 0) - seen.other.get("short_as_flat", 0)
    if entries and not conflicts:
        rules = " and ".join(entries)
        if not exits:
            return f"{rules} {'was' if len(entries) == 1 else 'were'} true on no bar."
        return (
            f"No decision asked for a position: {rules} "
            f"{'was' if len(entries) == 1 else 'were'} true on no bar on which exit_if was not, "
            f"and exit_if was true on {plural(exits, 'bar')}."
        )
    if entries:
        return (
            "No decision asked for a position: long_if and short_if were true together "
            f"(conflict, {plural(conflicts, 'time')}) and neither alone."
        )
    if seen.other:
        text = f"No decision asked for a position: {_often(seen.other)}."
        if seen.threshold is not None and "below_threshold" in seen.other:
            text += f" {_begun(threshold_text(seen.threshold, seen.confidence))}."
        return text
    return f"None of {plural(sum(seen.signals.values()), 'decision')} asked for a position."


def _often(reasons: Mapping[str, int]) -> str:
    """Name the most frequent reasons, and how many decisions the others account for."""
    named = list(reasons.items())
    parts = [f"{name} {plural(times, 'time')}" for name, times in named[:_NAMED_REASONS]]
    rest = sum(times for _, times in named[_NAMED_REASONS:])
    return ", ".join([*parts, *([f"other reasons {plural(rest, 'time')}"] if rest else [])])


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]
