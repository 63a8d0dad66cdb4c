"""Formats of figures for people, shared by terminal and report."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from septet._host.monitoring import figures_text

if TYPE_CHECKING:
    from septet._results.result import HaltEvent

__all__ = [
    "UNDEFINED",
    "amount_digits",
    "chance",
    "count",
    "date",
    "duration",
    "exact_percents",
    "halt_figures",
    "money",
    "number",
    "percent",
    "plural",
    "times",
    "when",
]

UNDEFINED: Final = "n/a"
_HUGE: Final = 1e12  # no account is this large: digits would mean nothing and break a table
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Write a number with thousands separators, a huge one in powers of ten; or ``n/a``."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    sign = "+" if signed else ""
    if abs(value) >= _HUGE:
        return f"{value:{sign}.{digits}e}"
    text = f"{value:{sign},.{digits}f}"
    return text.lstrip("+-") if not text.strip("+-0.,") else text


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """Write a fraction as a percentage: 0.123 is ``12.3 %``."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{number(value * 100.0, digits, signed=signed)} %"


def chance(value: float | None) -> str:
    """Write a probability; one that rounds to 0 or 1 is not written as that."""
    if value is not None and math.isfinite(value):
        if value < 0.0005:
            return "under 0.1 %"
        if value > 0.9995:
            return "over 99.9 %"
    return percent(value)


def exact_percents(value: float, limit: float) -> tuple[str, str]:
    """Write a figure and its limit: the limit as it was set, the figure not rounded onto it.

    Both have the fewest decimals, one at least and six at most, that show the limit whole and
    keep apart what differs.
    """
    digits = 1
    while digits < 6 and (
        abs(round(limit * 100.0, digits) - limit * 100.0) > 1e-9
        or (value != limit and round(value * 100.0, digits) == round(limit * 100.0, digits))
    ):
        digits += 1
    return percent(value, digits), percent(limit, digits)


def halt_figures(halt: HaltEvent) -> str:
    """Return the figures of a halt: a share of equity, losses or a reading, and the limit."""
    if halt.rule.startswith("monitoring."):
        figures = figures_text(halt.metric, halt.value, halt.threshold, halt.compared)
        own = halt.rule.removeprefix("monitoring.").removesuffix(":block") == halt.metric
        return figures if own else f"{halt.metric} {figures}".strip()
    if halt.metric == "losses_in_a_row":
        lost = int(halt.value)
        value = f"{lost:,} {'loss' if lost == 1 else 'losses'} in a row"
        return value if math.isnan(halt.threshold) else f"{value}, limit {halt.threshold:g}"
    if math.isnan(halt.threshold):
        return percent(halt.value)
    value, limit = exact_percents(halt.value, halt.threshold)
    return f"{value}, limit {limit}"


def amount_digits(value: float) -> int:
    """Decimals of an amount: two, or as many as two figures of a small one need."""
    small = value != 0 and abs(value) < 0.1
    return min(8, 1 - math.floor(math.log10(abs(value)))) if small else 2


def money(value: float | None, currency: str, *, signed: bool = False) -> str:
    """Write an amount with its currency; small amounts keep the digits that matter."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{number(value, amount_digits(value), signed=signed)} {currency}".strip()


def count(value: int | None) -> str:
    """Write a whole number with thousands separators."""
    return UNDEFINED if value is None else f"{value:,}"


def times(value: float | None) -> str:
    """Write a multiple: ``35.2x``."""
    text = number(value, 1)
    return text if text == UNDEFINED else f"{text}x"


def plural(value: int, word: str) -> str:
    """Write a count with its noun: ``1 trade``, ``2 trades``."""
    return f"{value:,} {word}" if value == 1 else f"{value:,} {word}s"


def duration(seconds: float | None) -> str:
    """Write a length of time in its largest fitting unit."""
    if seconds is None or not math.isfinite(seconds):
        return UNDEFINED
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            length = seconds / size
            return f"{length:.{0 if abs(length) >= 10 or length == int(length) else 1}f} {unit}"
    return f"{seconds:.3g} s"


def when(time_ns: int) -> str:
    """Write a UTC time to the minute, or to the second where it has seconds."""
    moment = datetime.fromtimestamp(int(time_ns) // 1_000_000_000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M")


def date(time_ns: int) -> str:
    """Write the UTC date of a time."""
    return datetime.fromtimestamp(int(time_ns) // 1_000_000_000, UTC).strftime("%Y-%m-%d")
