"""Counts of bad rows of a series: when it is rejected, and what the verdict reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from septet._data.bars import Finding
from septet._data.calendar_signs import CALENDAR_SIGN
from septet._data.candle_ends import CANDLES_END, ended_symbols
from septet._data.constant_prices import CONSTANT_PRICE
from septet._data.dated_series import KNOWN_EARLY, KNOWN_PERIOD, KNOWN_STAMP
from septet._data.defects import SOURCE_DOUBT
from septet._data.funding_gaps import FUNDING_GAP
from septet._data.source import Facts
from septet._data.source_columns import SOURCE_SIGN
from septet._data.stamp_formats import TIMES_HINT
from septet._data.unread_columns import DIVIDENDS
from septet.errors import DataError
from septet_schemas.data import CandlesConfig
from septet_schemas.units import format_duration

__all__ = [
    "BAD_SHARE", "OF_SERIES", "SERIES_MISSING", "SERIES_SHARE", "SERIES_SOURCES", "SERIES_ZONE",
    "STRATEGY_FILE", "VERDICT_SHARE", "BadRows", "Doubt", "calendar_hint", "check_bad_rows",
    "doubts", "limit_text", "share_finding",
]  # fmt: skip

BAD_SHARE: Final = "bad_share"
SERIES_SHARE: Final = "series_share"
SERIES_MISSING: Final = "series_missing"
SERIES_SOURCES: Final = "series_sources"
SERIES_ZONE: Final = "series_zone"
_DAY_NS: Final = 86_400_000_000_000
VERDICT_SHARE: Final = 0.001
_MEASURED: Final = frozenset(
    (
        BAD_SHARE, SERIES_SHARE, "note", "gap", "jump", "zero_volume", "unordered", "duplicate",
        SOURCE_DOUBT, "price_levels", "price_step", "price_gap", "volume_unit", "mixed_units",
        "mixed_zones", "wrong_zone",
    )
)  # fmt: skip
_DOUBTS: Final = {
    "price_gap": "if it is a split, write adjust: splits or bring an adjusted close; if prices "
    "moved so, policy: {price_gap: keep}",
    CONSTANT_PRICE: "is this the column of closes, and a symbol that was traded?",
    SOURCE_DOUBT: "if the second span is the right one, exchange %d and %m in time_format; if the "
    "first is, nothing needs to be done",
    "zone_sign": "if the stamps are UTC, write time_zone: UTC; if they are of the zone that the "
    "file names, nothing needs to be done",
    DIVIDENDS: "bring an adjusted close and write adjust: total; adjust: none states that prices "
    "are meant as they are",
    SOURCE_SIGN: "a series of contracts needs prices that are adjusted at each roll; of sources, "
    "keep the rows of one; if prices are right, policy: {price_levels: keep}",
    "level_sign": "keep the rows of one symbol and one source; if prices moved so, policy: "
    "{price_levels: keep}",
    "price_wick": "if these are slips, write policy: {price_wick: drop}; if they were traded, keep",
}
"""The hint for each kind of finding that is a warning."""
_PLAIN_NUMBERS: Final = (
    "numbers are written without separators of thousands and without units (1234567, not 1.234.567 "
    "or 1.2M)"
)
STRATEGY_FILE: Final = "FILE (FILE is the strategy file)"
"""The placeholder in hints for the path of the strategy file, if the path is not known."""
_ROWS_HINT: Final = f"septet data check {STRATEGY_FILE} shows the rows"
_OF_SERIES: Final = {
    SERIES_SHARE: _ROWS_HINT,
    SERIES_MISSING: "a feature holds the value before until max_age; is this the right column?",
    SERIES_SOURCES: "keep the rows of one value of the column, if they are of several sources",
    SERIES_ZONE: "if the stamps are of another zone, write it: time_zone: ...; if they are right, "
    "policy: {wrong_zone: keep}",
    "series_end": "bring the values of the whole span, or end it there: universe: {end: ...}",
    KNOWN_EARLY: "write known_after: 24h, or more if the value is published later; if it was known "
    "as its day began, as a forecast may be, nothing needs to be done",
    KNOWN_PERIOD: "write a known_after as long as the period, or longer if the value is published "
    "later; if each date is the end of its period or a publication, nothing needs to be done",
    KNOWN_STAMP: "write a known_after as long as the period, or longer if the value is published "
    "later; if each stamp is the end of its period, or the value is one of that moment, nothing "
    "needs to be done",
    FUNDING_GAP: "bring the missing rates, or choose a span that has them: universe: {start, end}",
    "funding_size": "write rates as fractions, 0.0001 for 0.01%; take out what was never charged",
}
OF_SERIES: Final = frozenset(_OF_SERIES)
"""Kinds of findings about an outside series; their symbol is the name of the series."""


class BadRows(msgspec.Struct, frozen=True):
    """Counts of rows of one symbol: all, those dropped or repaired, and those still in use.

    `conflict` describes how rows of the same time contradict each other; `apart` names a column
    that separates the rows, `zone` the time zone in which the stamps fit the sessions of the
    calendar, `own` the zone in which they are read. `cells` describes price cells that are not
    numbers.
    """

    symbol: str
    facts: Facts
    bar_ns: int
    rows: int
    defects: int
    left: int
    found: Sequence[Finding]
    conflict: str = ""
    apart: str = ""
    zone: str = ""
    own: str = ""
    cells: str = ""

    @property
    def share(self) -> float:
        """Share of rows that were dropped or repaired."""
        return self.defects / self.rows if self.rows else 0.0

    @property
    def worst(self) -> list[Finding]:
        """Kinds of defects, the most frequent first."""
        kinds = [
            each for each in self.found
            if each.count and each.kind not in _MEASURED and each.policy not in ("warn", "keep")
        ]  # fmt: skip
        return sorted(kinds, key=lambda each: -each.count)


def check_bad_rows(seen: BadRows, keys: CandlesConfig) -> None:
    """Reject a series with more bad rows than `max_bad`, or without a valid row.

    Raises
    ------
    DataError
        With the most frequent defects, their first examples and a hint.
    """
    if seen.left and seen.share <= keys.max_bad:
        return
    worst = seen.worst
    where = f"{seen.symbol} from {seen.facts.origin}"
    if worst and worst[0].kind == "conflict":
        raise _mixed(seen, worst[0], where, keys)
    listed = "; ".join(
        f"{each.kind} {each.count} ({each.examples[0] if each.examples else each.message})"
        for each in worst[:3]
    )
    whole = max(0, min(seen.left, seen.rows - seen.defects))
    raise DataError(
        f"{where}: too much of the data is bad, {whole} of {seen.rows} rows "
        f"are usable as they are: {listed}",
        hint="; ".join(part for part in (_advice(worst, seen), limit_text(keys.max_bad)) if part),
    )


def limit_text(max_bad: float) -> str:
    """Describe the limit of bad rows."""
    return f"the limit is max_bad: {max_bad * 100:.6g}%"


def _advice(worst: Sequence[Finding], seen: BadRows) -> str:
    kind = worst[0].kind if worst else ""
    if kind == "bad_stamp":
        return TIMES_HINT
    if kind == "bad_volume":
        return (
            f"is this the column of volumes? {_PLAIN_NUMBERS}; a file without such a column has "
            "the volume 0, and with a larger max_bad what cannot be read is filled with 0"
        )
    if kind == "not_finite":
        return seen.cells or f"are these the columns of prices? {_PLAIN_NUMBERS}"
    if kind == "price_spike":
        return "is the decimal point in its place, are all rows of one symbol and unit?"
    if kind == "off_grid":
        bar = format_duration(seen.bar_ns)
        advice = f"is the bar {bar}, are time_zone and stamp right?"
        if seen.bar_ns % _DAY_NS == 0:
            advice += (
                " days that do not begin at 00:00 UTC are those of an exchange: write its calendar "
                "beside use:, such as calendar: XNYS"
            )
        return f"{advice} {seen.apart}: is this one symbol?" if seen.apart else advice
    if kind == "outside_session":
        if seen.zone and seen.zone == seen.own:
            return (
                "days begin as the sessions do, so time_zone is right: take out the rows of days "
                "and hours at which the exchange is closed, or write another calendar"
            )
        if seen.zone:
            return f"the stamps fit the sessions as local time: write time_zone: {seen.zone}"
        return "is the calendar right, and time_zone?"
    return ""


def _mixed(seen: BadRows, conflict: Finding, where: str, keys: CandlesConfig) -> DataError:
    """Return the error for a file in which many times have several rows."""
    contradiction = f", {seen.conflict}" if seen.conflict else ""
    name = seen.apart.split("'")[1] if seen.apart else ""
    hint = (
        "keep the rows of one symbol and one source, or add a column symbol that names each row's"
    )
    if name:
        hint = (
            f"{seen.apart}: write columns: {{symbol: {name}}} if it names symbols, else keep the "
        )
        hint += "rows of one value"
    return DataError(
        f"{where}: {conflict.count} of {seen.rows} rows contradict another row of the same "
        f"time{contradiction}: this looks like several symbols or sources in one series; "
        f"first: {'; '.join(conflict.examples)}",
        hint=f"{hint}; {limit_text(keys.max_bad)}",
    )


def share_finding(seen: BadRows, kind: str = BAD_SHARE) -> tuple[Finding, ...]:
    """Return a finding for the verdict if more than 0.1 % of the rows were bad."""
    if seen.share <= VERDICT_SHARE:
        return ()
    kinds = ", ".join(f"{each.kind} {each.count:,}" for each in seen.worst[:3])
    text = (
        f"{seen.share * 100:.2g} % of the rows of {seen.symbol} were dropped or mended "
        f"({seen.defects:,} of {seen.rows:,}: {kinds})"
    )
    return (Finding(seen.facts.origin, seen.symbol, kind, "keep", 0, (), text),)


class Doubt(msgspec.Struct, frozen=True):
    """A doubt about the data of a symbol, for the verdict and `check`, and its remedy."""

    symbol: str
    message: str
    hint: str
    kind: str


def doubts(findings: Iterable[Finding]) -> list[Doubt]:
    """Return the doubts that a reader of results should know: many bad rows, unusual prices."""
    found = []
    findings = list(findings)
    for each in findings:
        if each.kind == BAD_SHARE:
            found.append(Doubt(each.symbol, each.message, _ROWS_HINT, each.kind))
        elif each.kind in (DIVIDENDS, SOURCE_SIGN, SOURCE_DOUBT):
            text = f"{each.symbol}: {each.message}"
            found.append(Doubt(each.symbol, text, _DOUBTS[each.kind], each.kind))
        elif each.kind == CALENDAR_SIGN:
            text = f"{each.symbol}: {each.message}"
            found.append(Doubt(each.symbol, text, _calendar_hint(each.examples), each.kind))
        elif each.kind in _OF_SERIES:
            hint = _OF_SERIES[each.kind]
            text = each.message[:1].upper() + each.message[1:]
            found.append(Doubt(each.symbol, text, hint, each.kind))
        elif each.policy == "warn" and each.count and each.kind in _DOUBTS:
            text = f"{each.symbol}: {each.kind} {each.count:,}, {each.message}"
            shown = f"{text}; first: {'; '.join(each.examples)}"
            found.append(Doubt(each.symbol, shown, _DOUBTS[each.kind], each.kind))
    return [*found, *_ended(findings)]


def calendar_hint(findings: Iterable[Finding]) -> str:
    """Return a hint to set the calendar if the gaps look like an exchange's hours; else empty."""
    fitting = [each.examples for each in findings if each.kind == CALENDAR_SIGN]
    return _calendar_hint(fitting[0]) if fitting else ""


def _calendar_hint(fitting: Sequence[str]) -> str:
    if len(fitting) > 1:
        return (
            "several fit, and they differ by hours: write beside use: what the stamps are of, "
            f"{', or '.join(fitting)}"
        )
    if fitting:
        name = fitting[0].partition(": ")[2]
        return f"their hours are those of {name}: write {fitting[0]} beside use:"
    return (
        "write the calendar of the exchange beside use:, such as calendar: XNYS, or XFX for "
        "currencies; calendar: 24x7 if they are traded all week"
    )


def _ended(findings: Iterable[Finding]) -> list[Doubt]:
    """Describe the symbols whose candles end early; of many, a few and their number."""
    reported, rest = ended_symbols(findings)
    hint = "bring candles of the whole span, end it there (universe: {end: ...}), or leave it out"
    found = [
        Doubt(each.symbol, each.message[:1].upper() + each.message[1:], hint, each.kind)
        for each in reported
    ]
    if rest:
        names = ", ".join(each.symbol for each in rest[:8])
        names += ", ..." if len(rest) > 8 else ""
        text = f"The candles of {len(rest)} more symbols end early: {names}"
        found.append(Doubt(rest[0].symbol, text, hint, CANDLES_END))
    return found
