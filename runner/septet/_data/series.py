"""Outside series: the known time of each value, and its defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from septet._data.bad_rows import BadRows, limit_text
from septet._data.bar_checks import numbers_of
from septet._data.bars import Finding, Ints, SeriesTable
from septet._data.defects import Findings, first_rows, report_facts
from septet._data.message_limits import shown_cell, shown_columns
from septet._data.series_rows import (
    check_columns,
    check_series_rows,
    missing_values,
    value_distance,
    warn_missing,
)
from septet._data.series_zones import check_series_zone
from septet._data.source import RawSeries
from septet._data.source_rows import SourceRows
from septet._data.stamp_formats import UnreadStamps, placed_cell
from septet._data.stamps import Bools, iso, read_stamps
from septet.errors import DataError
from septet_schemas.data import SeriesConfig
from septet_schemas.times import Poll

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "FUNDING_SIZE", "SERIES_END", "check_funding", "check_probabilities", "ending", "next_poll",
    "normalise_series",
]  # fmt: skip

SERIES_END: Final = "series_end"
FUNDING_SIZE: Final = "funding_size"
WIDEST_FUNDING: Final = 0.04
USUAL_FUNDING: Final = 0.003
_MIN_RATES: Final = 3
_MIN_PERCENT: Final = 2.0  # if all values are below, they are scores or odds rather than percents
_MAX_STEPS: Final = 3
_LATER: Final = 3
_WEEK_NS: Final = 7 * 86_400 * 1_000_000_000
_MONDAY_NS: Final = 4 * 86_400 * 1_000_000_000


def next_poll(time_ns: Ints, poll: Poll) -> Ints:
    """Round times (UTC ns, any shape) up to the next poll: UTC multiples, Mondays for weeks."""
    start = poll.offset_ns + (_MONDAY_NS if poll.every_ns % _WEEK_NS == 0 else 0)
    return -(-(time_ns - start) // poll.every_ns) * poll.every_ns + start


def normalise_series(
    name: str, raw: RawSeries, keys: SeriesConfig, *, now_ns: int = 2**63 - 1, events: bool = False
) -> tuple[SeriesTable, tuple[Finding, ...]]:
    """Turn raw rows into a series whose values cannot be read before they are known.

    Parameters
    ----------
    name
        Name in the strategy file, for messages.
    raw
        Rows `time`, `value` and perhaps `known`, the time of publication, and `seen`, before
        which a row cannot have been known here (nanoseconds; null where it does not matter).
    keys
        Generic keys of the block.
    now_ns
        When the rows were read; what becomes known later is not there yet.
    events
        Whether each row is an event at its stamp: all are kept, an older stamp known later, too.

    Returns
    -------
    table, findings
        `known_ns` never falls; at each time the last row known is the newest value there was.
        Of two values of one stamp the first known holds until the second was known (a revision).

    Raises
    ------
    DataError
        If the time at which values became known is not given, if columns are missing, if the share
        of bad rows exceeds `max_bad`, or if no value is left.
    """
    _check_columns(name, raw, keys)
    frame, origin = raw.frame, raw.facts.origin
    found = Findings(origin, name, keys.policy)
    check_columns(found, name, raw)
    stamps = read_stamps(
        frame["time"], unit=keys.time_unit, zone=keys.time_zone, where=f"{name} from {origin}"
    )
    bad = stamps.dropped.get("bad_stamp")
    if bad is not None and np.count_nonzero(bad) > keys.max_bad * len(bad):
        unread = UnreadStamps(frame["time"], bad, raw.facts.rows, f"{name} from {origin}")
        raise unread.refuse(limit_text(keys.max_bad))
    rows = _Rows(found, stamps.time_ns, np.ones(frame.height, dtype=np.bool_), raw.facts.rows)
    value, gone = numbers_of(frame["value"]), missing_values(frame["value"])
    check_series_zone(found, name, stamps, keys.time_zone or "UTC")
    for kind, mask in stamps.dropped.items():
        rows.apply_policy(kind, mask, shown=frame["time"])
    for kind, mask in stamps.noticed.items():
        found(kind, int(mask.sum()), [iso(stamps.time_ns[j]) for j in first_rows(mask)])
    warn_missing(found, name, gone)
    rows.apply_policy("not_finite", ~np.isfinite(value), spared=gone, shown=frame["value"])
    known_ns, published_ns = _known(raw, keys, rows, name)
    rows.apply_policy("unfinished", known_ns > now_ns, spared=known_ns > now_ns)
    keep = np.flatnonzero(rows.alive)
    order = keep[np.lexsort((keep, stamps.time_ns[keep], known_ns[keep]))]
    order = order if events else _visible(rows, order, known_ns, published_ns, value)
    share = check_series_rows(rows.seen(name, raw, len(order)), keys, raw)
    report_facts(found, raw.facts, stamps.notes)
    vintage = "published" if "known" in frame.columns else raw.facts.vintage
    if vintage == "unknown":
        found.note("vintage unknown: values may have been revised since they were published")
    table = SeriesTable(
        name,
        np.ascontiguousarray(stamps.time_ns[order]),
        np.ascontiguousarray(known_ns[order]),
        np.ascontiguousarray(value[order]),
        keys.max_age,
        vintage,
    )
    return table, (*found.all(), *share)


def check_probabilities(name: str, value: np.ndarray, time_ns: Ints) -> None:
    """Reject values outside of [0, 1]; NaN is allowed.

    `value` and `time_ns` (UTC ns, for the message) have shape (n,).

    Raises
    ------
    DataError
        If a value is below 0 or above 1; the message has the first one, its time and a hint.
    """
    wrong = np.flatnonzero((value < 0.0) | (value > 1.0))
    if not len(wrong):
        return
    finite = value[np.isfinite(value)]
    hint = "bring probabilities up, from 0 to 1: scores and odds are none"
    if finite.min() >= 0.0 and _MIN_PERCENT < finite.max() <= 100.0:
        hint = f"divide by 100: a feature {{use: expr, formula: {name} / 100}}, named in model.of"
    raise DataError(
        f"probabilities are 0 to 1, {name} is {value[wrong[0]]:.6g} at {iso(time_ns[wrong[0]])} "
        f"({len(wrong):,} of {len(finite):,} values are below 0 or above 1)",
        hint=hint,
    )


def check_funding(table: SeriesTable) -> tuple[Finding, ...]:
    """Return a finding if funding rates exceed those of any exchange, or are not fractions.

    The usual rate is 0.01 %. Binance limits the rates of its largest symbols to 0.3 %, other
    exchanges theirs to 2 % or 3 %; the widest limit is Hyperliquid's, 4 %.
    """
    size = np.abs(table.value)
    due = size[size > 0.0]
    if not len(due):
        return ()
    middle, worst = float(np.median(due)), int(np.argmax(size))
    first = f"{table.value[worst]:.6g} at {iso(table.stamp_ns[worst])}"
    if len(due) >= _MIN_RATES and middle > USUAL_FUNDING:
        count = int((size > USUAL_FUNDING).sum())
        text = (
            f"the rates of {table.name} have a median of {middle * 100:.4g}%, where exchanges "
            "charge about 0.01%: they look like percent or basis points, not fractions"
        )
    else:
        count = int((size > WIDEST_FUNDING).sum())
        if not count:
            return ()
        text = (
            f"{count:,} of {len(size):,} rates of {table.name} are beyond "
            f"{WIDEST_FUNDING * 100:.4g}%, the widest bound of an exchange"
        )
    text += f"; the largest is {first}"
    return (Finding("series", table.name, FUNDING_SIZE, "warn", count, (first,), text),)


def ending(table: SeriesTable, known_ns: Mapping[str, Ints]) -> tuple[Finding, ...]:
    """Return a finding if the values of a series end before the bars of its symbols do.

    A value ends at its `max_age`; without one, a series ends when three of its usual steps have
    passed without a value.
    """
    if not len(table.known_ns):
        return ()
    last = int(table.known_ns[-1])
    step = int(np.median(np.diff(table.known_ns))) if len(table.known_ns) > 2 else 0
    if table.max_age_ns is None and not step:
        return ()
    lasts = max(table.max_age_ns or 0, _MAX_STEPS * step)
    name, _, own = table.name.partition("@")
    findings = []
    for symbol, times in known_ns.items():
        later = len(times) - int(np.searchsorted(times, last + lasts, side="right"))
        if later >= _LATER and own in ("", symbol):
            text = f"the values of {name} end at {iso(last)}, {later:,} bars of {symbol} come later"
            held = ", without a prediction or any other value" if table.max_age_ns else ""
            if name == "funding":
                held = ", for which no funding is charged"
            held = held or ", and its last value holds for all of them"
            findings.append(
                Finding("series", table.name, SERIES_END, "warn", later, (), text + held)
            )
    return tuple(findings[:1])


def _check_columns(name: str, raw: RawSeries, keys: SeriesConfig) -> None:
    frame, origin = raw.frame, raw.facts.origin
    missing = [each for each in ("time", "value") if each not in frame.columns]
    if missing:
        raise DataError(
            f"{name} from {origin}: no column {', '.join(missing)}; "
            f"found {shown_columns(frame.columns) or 'no columns'}"
        )
    if "known" not in frame.columns and keys.known_after is None:
        raise DataError(
            f"{name} from {origin}: nothing states when a value became known",
            hint="write known_after: 24h (how long after its stamp a value is published)",
        )


class _Rows(msgspec.Struct):
    """Rows still in use, and the number of rows dropped for a defect."""

    found: Findings
    time_ns: Ints
    alive: Bools
    places: SourceRows | None = None
    defects: dict[str, int] = msgspec.field(default_factory=dict)
    conflict: str = ""

    def apply_policy(
        self,
        kind: str,
        mask: Bools,
        spared: Bools | None = None,
        shown: pl.Series | None = None,
    ) -> None:
        """Drop the rows under `mask`, if that is the policy.

        Rows under `spared` are not defects.
        """
        mask = mask & self.alive
        bad = mask if spared is None else mask & ~spared
        first = first_rows(bad if bad.any() else mask)
        examples = [iso(self.time_ns[row]) for row in first]
        if shown is not None:
            texts = [shown_cell(shown[row]) for row in first]
            timed = kind not in ("bad_stamp", "local_time")
            examples = [
                placed_cell(self.places, row, f"{at} {text}" if timed else text)
                for row, at, text in zip(first, examples, texts, strict=True)
            ]
        if self.found(kind, int(np.count_nonzero(mask)), examples) != "keep":
            self.alive &= ~mask
            self.count(kind, int(np.count_nonzero(bad)))

    def count(self, kind: str, defects: int) -> None:
        """Count rows that were dropped for a defect."""
        self.defects[kind] = self.defects.get(kind, 0) + defects

    def seen(self, name: str, raw: RawSeries, left: int) -> BadRows:
        """Return the number of bad rows by kind of defect."""
        found = {each.kind: each for each in self.found.all() if self.defects.get(each.kind)}
        kinds = [replace(each, count=self.defects[kind]) for kind, each in found.items()]
        total = sum(self.defects.values())
        return BadRows(name, raw.facts, 0, raw.frame.height, total, left, kinds, self.conflict)


def _known(raw: RawSeries, keys: SeriesConfig, rows: _Rows, name: str) -> tuple[Ints, Ints]:
    """Return the times at which values are known, and at which they were published."""
    published_ns = rows.time_ns + (keys.known_after or 0)
    if "known" in raw.frame.columns:
        where = f"{name} from {raw.facts.origin}"
        column = raw.frame["known"]
        stamps = read_stamps(column, unit=keys.time_unit, zone=keys.time_zone, where=where)
        check_series_zone(rows.found, f"{name}, known", stamps, keys.time_zone or "UTC")
        for kind, mask in stamps.dropped.items():
            rows.apply_policy(kind, mask, shown=column)
        later = np.maximum(published_ns, stamps.time_ns)
        published_ns = later if keys.known_after else stamps.time_ns
    known_ns = published_ns if keys.every is None else next_poll(published_ns, keys.every)
    if "seen" in raw.frame.columns:
        seen = raw.frame["seen"]
        none, seen_ns = seen.is_null().to_numpy(), seen.fill_null(0).to_numpy()
        known_ns = np.where(none, known_ns, np.maximum(known_ns, seen_ns))
        published_ns = np.where(none, published_ns, np.maximum(published_ns, seen_ns))
    return known_ns, published_ns


def _visible(
    rows: _Rows, order: Ints, known_ns: Ints, published_ns: Ints, value: np.ndarray
) -> Ints:
    """Drop rows that change nothing: repeats, and values of a stamp older than the newest one.

    Different values of one stamp that were published at the same time contradict each other, which
    is a defect; published one after the other they are revisions, even if one poll returns both.
    """
    stamp, known, seen = rows.time_ns[order], known_ns[order], value[order]
    newest = np.maximum.accumulate(stamp)
    repeats = np.zeros(len(order), dtype=np.bool_)
    repeats[1:] = stamp[1:] == stamp[:-1]
    same = np.zeros(len(order), dtype=np.bool_)
    same[1:] = repeats[1:] & (seen[1:] == seen[:-1])
    at_once = np.zeros(len(order), dtype=np.bool_)
    at_once[1:] = repeats[1:] & ~same[1:] & (known[1:] == known[:-1])
    late = stamp < newest
    contradict = np.flatnonzero(at_once)
    contradict = contradict[published_ns[order[contradict]] == published_ns[order[contradict - 1]]]
    rows.count("conflict", len(contradict))
    rows.conflict = value_distance(seen[contradict], seen[contradict - 1])
    for kind, mask, message in (
        ("duplicate", same, ""),
        ("conflict", at_once, "another value of a stamp known at once; the first seen wins"),
        ("late", late, "values of an older stamp than one known before; never the newest"),
    ):
        rows.found(kind, int(mask.sum()), [iso(stamp[j]) for j in first_rows(mask)], message)
    revised = int(np.count_nonzero(repeats & ~same & ~at_once & ~late))
    if revised:
        rows.found.note(f"{revised} revisions, each known when it was seen")
    return order[~(same | at_once | late)]
