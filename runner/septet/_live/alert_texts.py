"""Chooses which stored rows raise an alert, how severe it is, and its text.

A row is one event with the commands it caused: it makes one alert, however many blocks and
warnings there are in it; only fills have alerts of their own. The text is a few short lines. The
first names strategy, symbol and event; the others give the cause, the action and what ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from septet import messages as m
from septet._core.block_rules import cleared_by
from septet._core.engine_messages import DOES
from septet._core.guards import RULES
from septet._live.logs import NOT_RECEIVED
from septet._text import one_line

__all__ = ["Alert", "Severity", "alerts_of", "failure_of"]

Severity = Literal["info", "warning", "failure"]
MOST_LINES: Final = 8
LONGEST_LINE: Final = 300
_RANK: Final[dict[Severity, int]] = {"info": 0, "warning": 1, "failure": 2}
_SEVERITY: Final[dict[str, Severity]] = {
    "info": "info", "warning": "warning", "error": "failure", "critical": "failure",
}  # fmt: skip
_GUARD_KINDS: Final = {
    "feed_stale": "stale_data", "feed_down": "disconnect", "venue_down": "disconnect",
    "unknown_order": "unknown_order",
}  # fmt: skip
_READINGS: Final = frozenset({"verdict", "latency"})
_GRAVE: Final = ("error", "critical")
_DID: Final = {
    "halt": "entries are blocked and working orders cancelled, protective stops included",
    "flatten": "entries are blocked, orders cancelled, and positions are being closed at market",
    "resume": "entries are allowed again",
    "rearm": "the throttle is cleared",
    "stop": "no new entries; the process ends",
}
_ACTIONS: Final = {
    "halt": "halted", "flatten": "halted and flattened", "resume": "resumed", "rearm": "rearmed",
    "stop": "stopped",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alert:
    """A message for a person; it is sent if the file names one of its `kinds`.

    `what` is what happened in a few words, `lines` the rest; `symbol` is empty where it is
    about the whole run.
    """

    kinds: frozenset[str]
    severity: Severity
    title: str
    what: str
    lines: tuple[str, ...] = ()
    symbol: str = ""

    def text(self, strategy: str) -> str:
        """Return the text of an alert: short lines, with the most important facts in the first."""
        about = f"{strategy}, {self.symbol}" if self.symbol else strategy
        lines = [f"{about}: {self.what}", *self.lines]
        more = len(lines) - MOST_LINES
        lines = lines[:MOST_LINES] + ([f"and {more} more"] if more > 0 else [])
        return "\n".join(_short(line) for line in lines)


@dataclass(slots=True)
class _Part:
    """One part of a row: its severity, kind and texts."""

    kinds: set[str]
    severity: Severity
    title: str
    what: str
    lines: list[str] = field(default_factory=list)
    symbol: str = ""


def _short(line: str) -> str:
    line = one_line(line)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..."


def failure_of(event: str, text: str) -> Alert:
    """Return the alert of a process failure that is not in the journal."""
    return Alert(frozenset({"error"}), "failure", event, event.replace("_", " "), (text,))


def alerts_of(event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]) -> list[Alert]:
    """Return the alerts of a stored row: at most one for the event, and one for each fill."""
    parts = _parts(event, commands, symbols)
    alerts = [_merged(parts)] if parts else []
    return alerts + [
        _of_fill(traded, symbols) for traded in commands if isinstance(traded, m.Traded)
    ]


def _merged(parts: Sequence[_Part]) -> Alert:
    """Merge the parts of a row into one alert: the most severe part comes first."""
    first, *others = sorted(parts, key=lambda part: -_RANK[part.severity])
    lines = first.lines + [
        f"also {part.what}" + (f": {part.lines[0]}" if part.lines else "") for part in others
    ]
    kinds = frozenset(kind for part in parts for kind in part.kinds)
    about = {part.symbol for part in parts if part.symbol}
    symbol = first.symbol or (about.pop() if len(about) == 1 else "")
    return Alert(kinds, first.severity, first.title, first.what, tuple(lines), symbol)


def _parts(event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]) -> list[_Part]:
    tripped = [each for each in commands if isinstance(each, m.Tripped) and not _is_first(each)]
    ended = [each for each in commands if isinstance(each, m.Cleared) and not _is_first(each)]
    alerts = [each for each in commands if isinstance(each, m.Alerted)]
    drift = any(isinstance(each, m.Watched) and _is_drift(each) for each in commands)
    known = {_base(each.rule) for each in tripped} | {"halt"}
    grave = {each.event for each in alerts if each.level in _GRAVE}
    if isinstance(event, m.Operated):
        parts = [_of_operated(event, tripped)]
    else:
        parts = [_of_tripped(each, symbols, grave) for each in tripped]
        if isinstance(event, m.Started):
            parts.append(_of_started(event, ended))
        elif isinstance(event, m.Rejected):
            parts.append(_of_rejected(event, grave))
            known.add("rejected_order")
        elif not tripped:
            parts += [_of_cleared(ended, symbols)] if ended else []
    for each in alerts:
        if each.event not in known:
            parts += _of_alerted(each, symbols, drift=drift)
    return parts


def _is_first(each: m.Tripped | m.Cleared) -> bool:
    """Whether this is a stream without data yet, as at every start.

    Neither the block nor its end is an alert.
    """
    return each.text.endswith(NOT_RECEIVED)


def _base(rule: str) -> str:
    return rule.partition(":")[0]


def _symbol_of(rule: str, symbols: Sequence[str]) -> str:
    """Return the symbol that the name of a block ends with; empty for a block of the whole run."""
    return next((each for each in symbols if rule.endswith(f":{each}")), "")


def _name(symbols: Sequence[str], k: int) -> str:
    return symbols[k] if 0 <= k < len(symbols) else ""


def _of_tripped(each: m.Tripped, symbols: Sequence[str], grave: Iterable[str]) -> _Part:
    base = _base(each.rule)
    kinds = {"block", _GUARD_KINDS.get(base, "block")} | ({"error"} if base in grave else set())
    known = RULES.get(base)
    halts = known is None and (each.then != "block_entries" or not base.startswith("monitoring."))
    if halts:
        kinds.add("halt")
    default: Severity = "failure" if halts else "warning"
    severity = default if known is None else _SEVERITY[known.level]
    lines = [
        f"why: {each.text}" if each.text else f"why: {each.rule} at equity {each.equity:.2f}",
        f"did: {DOES.get(each.then, each.then)}",
        f"cleared by: {cleared_by(each.clears_when)}",
    ]
    if each.text and halts:
        lines.append(f"equity: {each.equity:.2f}")
    title = f"halted by {each.rule}" if halts else f"entries blocked by {each.rule}"
    return _Part(kinds, severity, each.rule, title, lines, _symbol_of(each.rule, symbols))


def _of_operated(event: m.Operated, tripped: Sequence[m.Tripped]) -> _Part:
    """Return one alert for an operator's request and for all blocks that it tripped or cleared."""
    blocks = event.action in ("halt", "flatten")
    kinds = {"stop"} if event.action == "stop" else {"halt"}
    kinds |= {"block"} if tripped or event.action in ("resume", "rearm") else set()
    lines = [f"why: {event.reason}"] if event.reason else []
    lines.append(f"did: {_DID[event.action]}")
    severity: Severity = "warning" if blocks else "info"
    if blocks:
        lines.append(f"cleared by: {cleared_by('manual')}")
        levels = [RULES[base].level for each in tripped if (base := _base(each.rule)) in RULES]
        severity = max((severity, *(_SEVERITY[level] for level in levels)), key=_RANK.__getitem__)
    return _Part(kinds, severity, event.action, f"{_ACTIONS[event.action]} by {event.name}", lines)


def _of_started(event: m.Started, ended: Sequence[m.Cleared]) -> _Part:
    lines = [f"run: {event.run_id}"]
    lines += [f"over: {', '.join(each.rule for each in ended)}"] if ended else []
    kinds = {"start"} | ({"block"} if ended else set())
    return _Part(kinds, "info", "started", f"started, session {event.session}", lines)


def _of_cleared(ended: Sequence[m.Cleared], symbols: Sequence[str]) -> _Part:
    names = ", ".join(each.rule for each in ended)
    kinds = {"block", *(_GUARD_KINDS.get(_base(each.rule), "block") for each in ended)}
    lines = [f"ended by: {', '.join(dict.fromkeys(each.by for each in ended))}"]
    symbol = _symbol_of(ended[0].rule, symbols)
    return _Part(kinds, "info", f"{names} is over", f"{names} is over", lines, symbol)


def _of_rejected(event: m.Rejected, grave: Iterable[str]) -> _Part:
    kinds = {"rejected_order"} | ({"error"} if "rejected_order" in grave else set())
    severity: Severity = "failure" if "error" in kinds else "warning"
    lines = [f"why: {event.code} {event.text}".strip(), f"order: {event.client_id}"]
    return _Part(kinds, severity, "order rejected", "order rejected", lines)


def _of_alerted(each: m.Alerted, symbols: Sequence[str], *, drift: bool) -> list[_Part]:
    kinds = {"verdict"} if each.event in _READINGS else set()
    if each.event == "retrain":
        kinds |= {"verdict", "retrain"}
    if kinds and drift:
        kinds.add("drift")
    if each.event == "rejected_order":
        kinds.add("rejected_order")
    if each.level in _GRAVE:
        kinds.add("error")
    if not kinds:
        return []
    symbol = _name(symbols, each.symbol)
    title = f"{each.event} {symbol}".strip()
    subject = each.event.replace("_", " ")
    return [_Part(kinds, _SEVERITY[each.level], title, subject, [each.text], symbol)]


def _of_fill(each: m.Traded, symbols: Sequence[str]) -> Alert:
    did = "bought" if each.side == "buy" else "sold"
    symbol = _name(symbols, each.symbol)
    lines = [f"holds {each.position:.10g}; fee {each.fee:.10g} {each.fee_currency}"]
    lines += [f"why: {each.reason}"] if each.reason else []
    subject = f"{did} {each.quantity:.10g} at {each.price:.10g}"
    return Alert(frozenset({"fill"}), "info", f"{symbol} {did}", subject, tuple(lines), symbol)


def _is_drift(each: m.Watched) -> bool:
    return each.verdict != "ok" and each.metric.partition(":")[0] in ("psi", "auc")
