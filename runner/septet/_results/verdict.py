"""The verdict, the first sentence of every report: the outcome and its limits as evidence.

A verdict never claims a result. It states what stopped the run, whether the sample is large enough,
what holding would have made, and whether the average trade differs from nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from septet._results.number_texts import amount_digits, date, halt_figures, number, percent, plural

if TYPE_CHECKING:
    from septet._results.intervals import MeanInterval
    from septet._results.result import HaltEvent

__all__ = [
    "ENOUGH_TRADES", "Evidence", "doubtful_plugins", "tone", "unchecked_plugins", "unchecked_text",
    "verdict",
]  # fmt: skip

ENOUGH_TRADES: Final = 30
_UNLIKELY_SHARPE: Final = 4.0
_ABSURD_RETURN: Final = 1e4
_SILENT_SHARE: Final = 1 / 3
_SILENT_NS: Final = 7 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on. Amounts are in `currency`, returns are fractions."""

    currency: str
    symbols: Sequence[str]
    trades: int
    open_trades: int
    fills: int
    decisions: int
    rejections: Mapping[str, int] | None
    total_return: float | None
    hold_return: float | None
    sharpe: float | None
    fees: float
    net: MeanInterval | None
    halts: Sequence[HaltEvent]
    final_equity: float
    models: int | None = None
    span_ns: tuple[int, int] = (0, 0)
    last_fill_ns: int | None = None
    bad_rows: Sequence[str] = ()
    unchecked: Sequence[str] = ()
    doubtful: Sequence[str] = ()
    breaks: Sequence[str] = ()
    benchmark: str = ""
    excess: Mapping[str, float | None] | None = None
    only_long: bool = False
    above_holding: bool | None = None
    late_start: str = ""
    why_idle: str = ""


def _halted(halts: Sequence[HaltEvent]) -> str:
    """Return the active halt, if there is one."""
    holding = next((halt for halt in halts if halt.resumed_ns is None), None)
    if holding is None:
        return ""
    did = {
        "flatten": "closed everything and stayed flat",
        "block_entries": "no new positions after that",
        "cancel_all": "cancelled all orders, no new positions after that",
    }.get(holding.then, holding.then)
    if holding.rule == "operator_halt":
        return f"halted on {date(holding.time_ns)} by a person: {did}."
    return f"halted on {date(holding.time_ns)}: {holding.rule} ({halt_figures(holding)}); {did}."


def _nothing(seen: Evidence) -> str:
    """Return why nothing was traded."""
    if seen.open_trades:
        return f"{plural(seen.open_trades, 'position')} opened and none was closed."
    if seen.models == 0:
        return "No model could be trained, so nothing was decided."
    if seen.why_idle:
        return seen.why_idle
    if seen.rejections is None:
        return "Why is not known: the decisions were left out (--fast)."
    if not seen.rejections:
        return f"Nothing was bought or sold in {plural(seen.decisions, 'decision')}."
    rule, times = max(seen.rejections.items(), key=lambda item: item[1])
    return f"The most frequent reason not to act: {rule}, {plural(times, 'time')}."


def _outcome(seen: Evidence) -> str:
    """Return the final capital, compared with holding."""
    if seen.final_equity <= 0:
        return "The whole capital was lost."
    made = f"Return {percent(seen.total_return, signed=True)} after costs"
    if seen.hold_return is None:
        return f"{made}."
    every = f"the {len(seen.symbols)} symbols equally"
    what = seen.benchmark or (seen.symbols[0] if len(seen.symbols) == 1 else every)
    return f"{made}; holding {what}: {percent(seen.hold_return, signed=True)}.{_excess(seen)}"


def _excess(seen: Evidence) -> str:
    """Return the gain of timing over the same average exposure at all times."""
    if seen.excess is None or seen.excess["cagr"] is None:
        return ""
    share = percent(seen.excess["exposure"])
    made = percent(seen.excess["cagr"], signed=True)
    ratio = number(seen.excess["sharpe"])
    return f" Over holding its mean exposure of {share}: {made} a year, Sharpe ratio {ratio}."


def _average(seen: Evidence) -> str:
    """Return whether the average trade differs from zero."""
    if seen.net is None:
        return ""
    net, unit = seen.net, seen.currency
    if net.problem:
        mean = number(net.mean, amount_digits(abs(net.mean)), signed=True)
        return f"The average trade, {mean} {unit}, cannot be assessed: {net.problem}."
    digits = amount_digits(max(abs(net.low), abs(net.high)))
    low, high = number(net.low, digits), number(net.high, digits)
    mean = number(net.mean, digits, signed=True)
    sentence = f"The average trade, {mean} {unit} (95 % interval {low} to {high} {unit}),"
    if seen.net.low > 0:
        return f"{sentence} was above zero in this sample{_beside_rise(seen)}"
    if seen.net.high < 0:
        return f"{sentence} lost money after costs."
    return f"{sentence} cannot be distinguished from zero."


def _beside_rise(seen: Evidence) -> str:
    """Return the part of a positive average trade that holding explains."""
    no_promise = "; one backtest is no promise."
    if seen.above_holding:
        return f", and its return above that of holding the same exposure{no_promise}"
    if seen.above_holding is not None:
        return "; its return cannot be distinguished from that of holding the same exposure."
    if seen.hold_return is None:
        return no_promise
    if seen.only_long:
        return "; whether that is more than holding the same exposure made cannot be assessed."
    if seen.hold_return > 0:
        return (
            "; how much of that the market's own rise made is not measured, because it was short "
            "at times too."
        )
    return no_promise


def _doubts(seen: Evidence) -> list[str]:
    """Name what should make a reader look twice."""
    doubts = [f"{each}." for each in (seen.late_start, *seen.bad_rows) if each]
    if seen.total_return is not None and seen.total_return >= _ABSURD_RETURN:
        times = number(1.0 + seen.total_return, 0)
        doubts.insert(
            0, f"Equity grew to {times} times the capital, which no market pays: the prices, the "
            "costs or the volume are wrong, and no figure of this run means anything."
        )  # fmt: skip
    doubts += seen.breaks
    if seen.unchecked:
        doubts.append(unchecked_text(seen.unchecked))
    doubts += [f"{each}." for each in seen.doubtful]
    first_ns, end_ns = seen.span_ns
    halted = any(halt.resumed_ns is None for halt in seen.halts)
    if seen.last_fill_ns is not None and not halted and not seen.open_trades:
        silent_ns = end_ns - seen.last_fill_ns
        if silent_ns > max(_SILENT_SHARE * (end_ns - first_ns), _SILENT_NS):
            doubts.append(f"Nothing was bought or sold after {date(seen.last_fill_ns)}.")
    if seen.fills and seen.fees == 0:
        doubts.append("No fees were charged.")
    excess = (seen.excess or {}).get("sharpe")
    if any(each is not None and each > _UNLIKELY_SHARPE for each in (seen.sharpe, excess)):
        doubts.append(
            "A Sharpe ratio this high is more often a mistake in data or costs than an edge."
        )
    return doubts


def unchecked_plugins(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the plugins that a manifest or a model's card names as run with ``--unchecked``."""
    checks = manifest.get("plugin_checks", ())
    found = (str(each["plugin"]) for each in checks if each["state"] == "unchecked")
    return tuple(dict.fromkeys(found))


def doubtful_plugins(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the manifest's findings on plugins with impossible answers, each with its name."""
    found = (
        f"{each['plugin']}: {re.sub(r'^.*?:[0-9]+: ', '', text)}"
        for each in manifest.get("plugin_checks", ())
        for text in each.get("doubts", ())
    )
    return tuple(dict.fromkeys(found))


def unchecked_text(plugins: Sequence[str]) -> str:
    """Return that plugins ran without the kit's checks."""
    names = ", ".join(dict.fromkeys(plugins))
    return f"{names} ran without being checked (--unchecked): it may look ahead."


def verdict(seen: Evidence) -> str:
    """Put the verdict into words, the gravest thing first."""
    parts = [_halted(seen.halts)]
    if seen.trades < ENOUGH_TRADES:
        parts.append(f"{plural(seen.trades, 'trade')}, too few to judge.")
        if seen.trades == 0:
            parts.append(_nothing(seen))
        if seen.trades or seen.open_trades:
            parts.append(_outcome(seen))
    else:
        parts += [f"{plural(seen.trades, 'trade')}.", _outcome(seen), _average(seen)]
    return " ".join(part for part in [*parts, *_doubts(seen)] if part)


def tone(text: str, trades: int) -> str:
    """How a verdict is coloured: ``bad``, ``caution`` or ``plain``; praise has no colour."""
    if text.startswith("halted") or "whole capital was lost" in text:
        return "bad"
    return "caution" if trades < ENOUGH_TRADES else "plain"
