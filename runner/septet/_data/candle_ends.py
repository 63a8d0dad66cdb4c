"""Detection of symbols whose candles end before the others', or before the requested span."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from septet._data.bars import Finding
from septet._data.calendars import sessions_per_year
from septet._data.source import Request
from septet._data.stamps import iso

__all__ = ["CANDLES_END", "candles_ending", "ended_symbols"]

CANDLES_END: Final = "candles_end"
_DAY_NS: Final = 86_400 * 1_000_000_000
_HOLIDAYS_NS: Final = 5 * _DAY_NS
_OPEN_SHARE: Final = 0.19  # share of the week during which a stock exchange is open
_DAYS_SHARE: Final = 0.69  # share of days on which a stock exchange is open
_NAMED_SYMBOLS: Final = 3


def candles_ending(
    last_ns: Mapping[str, int],
    calendars: Mapping[str, str],
    reset_after: int,
    request: Request,
) -> list[Finding]:
    """Return a finding for each symbol without a bar in the last part of the span.

    Parameters
    ----------
    last_ns
        Known time of the last bar of each symbol; symbols without a bar in the span are absent.
    calendars
        Calendar of each symbol.
    reset_after
        Number of bars that may be missing at the end.
    request
        The requested span and bar length.
    """
    if not last_ns:
        return []
    newest = max(last_ns, key=lambda symbol: last_ns[symbol])
    end_ns = min(request.end_ns or 0, request.now_ns)
    findings = []
    for symbol, last in last_ns.items():
        allowed = _allowed_ns(calendars[symbol], reset_after, request.bar_ns)
        if last_ns[newest] - last > allowed:
            until, newer = last_ns[newest], f"those of {newest}"
        elif end_ns - last > allowed:
            until, newer = end_ns, f"universe.end, {iso(end_ns)}"
            newer = newer if end_ns == request.end_ns else "the present"
        else:
            continue
        text = (
            f"the candles of {symbol} end at {iso(last)}, {_apart(until - last)} before {newer}: "
            "it is not traded after that, and a position still open is valued at the last price"
        )
        missing = (until - last) // request.bar_ns
        findings.append(
            Finding("universe", symbol, CANDLES_END, "warn", missing, (iso(last),), text)
        )
    return findings


def ended_symbols(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Split the findings of ended candles: those to report one by one, and the rest."""
    ended = [each for each in findings if each.kind == CANDLES_END]
    return (
        (ended, [])
        if len(ended) <= _NAMED_SYMBOLS + 1
        else (ended[:_NAMED_SYMBOLS], ended[_NAMED_SYMBOLS:])
    )


def _allowed_ns(calendar: str, reset_after: int, bar_ns: int) -> int:
    allowed = reset_after * bar_ns
    if sessions_per_year(calendar) > 300.0:
        return allowed
    return int(allowed / (_DAYS_SHARE if bar_ns >= _DAY_NS else _OPEN_SHARE)) + _HOLIDAYS_NS


def _apart(span_ns: int) -> str:
    days = span_ns / _DAY_NS
    if days >= 2.0:
        return f"{days:,.0f} days"
    return f"{span_ns / (_DAY_NS / 24):,.3g} hours"
