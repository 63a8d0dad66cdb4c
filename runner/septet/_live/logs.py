"""Logs of a live run: one event a line, as JSON for machines or as text for people.

Every line has the run, the strategy and, where there is one, the `trace` that ties a bar to its
signal, order and fill. Nothing secret passes: names and shapes of secrets are masked. A log that
cannot be written never stops a run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from septet import messages as m
from septet._config.secrets import HIDDEN, looks_secret, names_secret
from septet._core.block_rules import cleared_by
from septet._core.engine_messages import DOES
from septet._files import open_append
from septet._host.monitoring import figures_text
from septet._journal.fold import order_id
from septet._text import masked_addresses, one_line

__all__ = ["LEVELS", "Line", "RunLog", "lines_of"]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
FILE: Final = "log.jsonl"
HALT: Final = "halt"
"""A halt of the file, whose own words name the equity it tripped at."""
_LARGEST_FILE: Final = 64 * 1024 * 1024
_NS: Final = 1_000_000_000

Line = tuple[str, str, dict[str, Any]]
"""Level, name of what happened, fields; `text` states it in words."""


def iso(time_ns: int) -> str:
    """Write a UTC time to the microsecond."""
    seconds, rest = divmod(time_ns, _NS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1_000:06d}Z"


def _masked(logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
    """Mask values that are secret by their key or form, and secret parts of addresses."""
    for key, value in event.items():
        if names_secret(key) or looks_secret(value):
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = masked_addresses(value)
    return event


def _flat(event: dict[str, Any]) -> dict[str, Any]:
    """Escape line breaks in keys and values, as JSON does, so that none looks like another line."""
    return {
        one_line(key): value if isinstance(value, bool | int | float) else one_line(value)
        for key, value in event.items()
    }


class _Both:
    """Writes lines to a file of JSON lines and to standard error."""

    def __init__(self, path: Path | None, stream: IO[str] | None, *, as_console: bool) -> None:
        from structlog.dev import ConsoleRenderer
        from structlog.processors import JSONRenderer

        self._path = path
        self._file: IO[str] | None = None
        self._stream = stream
        encode = JSONRenderer(default=str)
        console = ConsoleRenderer(colors=True, pad_event_to=20, sort_keys=False)
        self._json: Callable[[dict[str, Any]], str] = lambda event: str(encode(None, "", event))
        self._shown = (lambda event: console(None, "", _flat(event))) if as_console else self._json
        self.lost = 0

    def write(self, event: dict[str, Any]) -> None:
        self._to_file(event)
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # standard error is closed
                self._stream.write(f"{self._shown(dict(event))}\n")
                self._stream.flush()

    def _to_file(self, event: dict[str, Any]) -> None:
        if self._path is None:
            return
        try:
            if self._file is None:
                handle = open_append(self._path, mode=0o600)
                self._file = os.fdopen(handle, "a", encoding="utf-8", buffering=1)
            self._file.write(f"{self._json(dict(event))}\n")
            if self._file.tell() > _LARGEST_FILE:
                self.close()
                self._path.replace(self._path.with_name(f"{self._path.stem}.1.jsonl"))
        except OSError:
            self.lost += 1  # reported when the run stops; the journal is the record

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: what could be written is there
                self._file.close()
            self._file = None

    def end(self) -> None:
        """Close the file; later lines go to standard error only."""
        self.close()
        self._path = None

    # structlog calls the method named after the level
    debug = info = warning = error = critical = msg = write


class RunLog:
    """The log of one strategy's run."""

    def __init__(
        self,
        folder: Path | None,
        *,
        now_ns: Callable[[], int],
        level: str = "info",
        stream: IO[str] | None = None,
        quiet: bool = False,
        **bound: Any,
    ) -> None:
        """Write to `folder`/log.jsonl and to standard error, as JSON unless it is a terminal."""
        import structlog

        out = None if quiet else stream or sys.stderr
        console = out is not None and out.isatty()
        self._now_ns = now_ns
        self._least = LEVELS[level]
        self._both = _Both(None if folder is None else folder / FILE, out, as_console=console)
        logger = structlog.wrap_logger(
            self._both,
            processors=[self._stamped, _masked, lambda _, __, event: ((event,), {})],
            wrapper_class=structlog.BoundLogger,
        )
        self._logger: Any = logger.bind(**bound)

    def notify(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write a line, if its level is high enough."""
        if LEVELS[level] >= self._least:
            getattr(self._logger, level)(event, level=level, **fields)

    def close(self) -> int:
        """Close the file; return how many lines it lost."""
        self._both.end()
        return self._both.lost

    def _stamped(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """Put the time first, then level, event and its fields, in any case."""
        head = {"timestamp": iso(self._now_ns()), "level": event.pop("level", method)}
        words = {"text": event.pop("text")} if "text" in event else {}
        return {**head, "event": event.pop("event", ""), **words, **event}


def _side(quantity_side: str) -> str:
    return "bought" if quantity_side == "buy" else "sold"


def _number(value: float) -> str:
    return f"{value:.10g}"


NOT_RECEIVED: Final = "no message yet"
"""The text of a stream that has not begun: every start has it, and it needs no attention."""
_SILENT: Final = frozenset({m.Quoted, m.Printed, m.BarClosed, m.Ticked})
"""Events without a line of their own: nearly all there are."""


def lines_of(
    event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]
) -> Sequence[Line]:
    """Return the log lines of an event and of its commands."""
    if not commands and type(event) in _SILENT:
        return ()
    lines: list[Line] = []
    line = _of_event(event, symbols)
    if line is not None:
        lines.append(line)
    current: Line | None = None
    acting = {each.trace for each in commands if isinstance(each, m.Submit | m.Cancel)}
    for each in commands:
        line = _of_command(each, symbols)
        if line is not None and isinstance(each, m.Decided) and each.trace in acting:
            # An exit requests no quantity, but causes an order, or the cancel of its stop.
            line = "info", *line[1:]
        if (
            isinstance(each, m.Alerted) and current is not None
        ):  # the same at a higher level: one line is enough
            louder = current[2] if each.event != HALT else {**current[2], "text": each.text}
            level = "info" if lines[-1][0] == "info" else each.level
            lines[-1] = level, each.event, louder
            line = None
        current = line if isinstance(each, m.Tripped) else None
        if line is not None:
            if each.trace:
                line[2]["trace"] = each.trace
            lines.append(line)
    return lines


def _name(symbols: Sequence[str], symbol: int) -> str:
    return symbols[symbol] if 0 <= symbol < len(symbols) else ""


def _of_event(event: m.Event, symbols: Sequence[str]) -> Line | None:
    match event:
        case m.Started():
            text = f"session {event.session} of {event.strategy} in {event.mode} mode"
            return "info", "started", {"text": text, "session": event.session}
        case m.Operated():
            text = f"{event.action} by {event.name}: {event.reason}"
            level = "info" if event.action == "stop" else "warning"
            return level, "operated", {"text": text, "action": event.action}
        case m.FeedChanged():
            quiet = event.state == "live" or event.reason == NOT_RECEIVED
            level = "info" if quiet else "warning"
            symbol = _name(symbols, event.symbol)
            name = f"{event.stream} of {symbol}" if symbol else event.stream
            text = f"{name}: {event.state}" + (f", {event.reason}" if event.reason else "")
            return level, "feed", {"text": text, "symbol": symbol}
        case m.VenueChanged():
            level = "info" if event.state == "up" else "warning"
            text = f"{event.venue} is {event.state}" + (f": {event.reason}" if event.reason else "")
            return level, "venue", {"text": text}
        case m.Rejected():
            text = f"rejected by {event.by}: {event.code} {event.text}".strip()
            return "warning", "rejected", {"text": text, "order": event.client_id}
        case m.Uncertain():
            text = f"it is unknown whether the venue has the order: {event.text}"
            return "warning", "uncertain", {"text": text, "order": event.client_id}
        case m.Gapped():
            text = f"bars from {iso(event.first_ns)} to {iso(event.last_ns)}: {event.reason}"
            return "warning", "gap", {"text": text, "symbol": _name(symbols, event.symbol)}
        case m.DecisionTimeReached(decides=True) if event.late or event.missing:
            missing = ", ".join(_name(symbols, each) for each in event.missing)
            text = "decided" + (f" without {missing}" if missing else "")
            text += " late: exits may act, entries may not" if event.late else ""
            return "warning", "decision_time", {"text": text, "time": iso(event.time_ns)}
        case m.ModelReady():
            text = f"model {event.number} knows data to {iso(event.trained_to_ns)}"
            return "info", "model", {"text": text, "model": event.fingerprint[:12]}
        case m.ModelFailed():
            return "warning", "model", {"text": f"model {event.number} failed: {event.text}"}
        case m.Quarantined():
            text = f"{event.plugin} is left alone until {iso(event.until_ns)}: {event.text}"
            return "error", "quarantined", {"text": text}
        case _:
            return None


def _fill(command: m.Traded, symbol: str) -> Line:
    worth = command.fee_quote
    value = "" if worth is None else f" (booked as {_number(worth)} in the quote currency)"
    text = (
        f"{_side(command.side)} {_number(command.quantity)} {symbol} at "
        f"{_number(command.price)}, fee {_number(command.fee)} {command.fee_currency}{value}; "
        f"holds {_number(command.position)}"
    )
    return "info", "fill", {"text": text, "order": _order(command.order)}


def _correction(command: m.Corrected, symbol: str) -> Line:
    if command.fee_booked is not None:
        text = (
            f"{_side(command.side)} {_number(command.quantity)} {symbol} at "
            f"{_number(command.price)}: its fee is {_number(command.fee)} {command.fee_currency}, "
            f"booked as {_number(command.fee_booked)} in the quote currency before: cash changes "
            f"by {_number(command.cash)}"
        )
        return "info", "corrected", {"text": text, "order": _order(command.order)}
    text = (
        f"{_side(command.side)} {_number(command.quantity)} {symbol}, booked at "
        f"{_number(command.booked_price)}, was at {_number(command.price)}: cash changes by "
        f"{_number(command.cash)}"
    )
    return "warning", "corrected", {"text": text, "order": _order(command.order)}


def _of_command(command: m.Command, symbols: Sequence[str]) -> Line | None:
    symbol = _name(symbols, getattr(command, "symbol", -1))
    match command:
        case m.Decided():
            acts = command.requested != 0.0 or command.granted != 0.0
            text = f"{command.signal}, confidence {command.confidence:.3g}"
            if acts:
                cut = f" ({command.capped_by})" if command.capped_by else ""
                text += f", asks {_number(command.requested)}, gets {_number(command.granted)}{cut}"
            if command.rejected_by:
                text += f", rejected: {command.rejected_by}"
            fields = {"text": text, "symbol": symbol, "time": iso(command.time_ns)}
            return "info" if acts else "debug", "decided", fields
        case m.Submit():
            price = "" if command.limit_price is None else f" at {_number(command.limit_price)}"
            terms = f"{command.order_type} {command.side} {_number(command.quantity)} {symbol}"
            text = f"{terms}{price}"
            return "info", "order", {"text": text, "order": command.client_id}
        case m.Cancel():
            text = f"cancels {command.client_id} of {symbol}"
            text += ", a stop or an exit" if command.reduces else ""
            return "info", "cancel", {"text": text, "symbol": symbol, "order": command.client_id}
        case m.CancelAll():
            return "warning", "cancel_all", {"text": "cancelling every order of this run"}
        case m.Traded():
            return _fill(command, symbol)
        case m.Corrected():
            return _correction(command, symbol)
        case m.Funded():
            verb = "pays" if command.amount > 0.0 else "receives"
            text = f"{symbol} {verb} {_number(abs(command.amount))} of funding"
            return "info", "funding", {"text": text, "symbol": symbol}
        case m.Changed():
            level = _LEVEL_OF_STATE.get(command.state, "info")
            order = command.client_id or _order(command.order)
            why = f": {command.reason}" if command.reason else ""
            text = f"{order} of {symbol} {command.state}{why}"
            return level, "changed", {"text": text, "symbol": symbol, "order": order}
        case m.Tripped():
            does = DOES.get(command.then, command.then)
            text = f"{command.rule}: {does}, until: {cleared_by(command.clears_when)}"
            text += f" ({command.text})" if command.text else ""
            level = "warning" if command.then == "block_entries" else "error"
            level = "info" if command.text.endswith(NOT_RECEIVED) else level
            return level, HALT, {"text": text, "rule": command.rule}
        case m.Cleared():
            text = f"{command.rule} is over" + (f": {command.by}" if command.by != "rule" else "")
            return "info", "cleared", {"text": text, "rule": command.rule}
        case m.Alerted():
            return command.level, command.event, {"text": command.text, "symbol": symbol}
        case m.Watched() if command.verdict != "ok":
            figures = figures_text(
                command.metric, command.value, command.threshold, command.compared
            )
            text = f"{command.metric} is {figures}: {command.verdict}"
            fields = {"text": text, "symbol": symbol}
            return "info", "reading", fields
        case m.Train():
            return (
                "info",
                "train",
                {"text": f"model {command.number} is being fitted ({command.cause})"},
            )
        case _:
            return None


def _order(number: int) -> str:
    """Return the name of an order as in its table and `septet why`; a stop has none."""
    return order_id(number) if number >= 0 else ""


_LEVEL_OF_STATE: Final = {
    "intent": "debug", "submitted": "debug", "open": "debug", "partially_filled": "debug",
    "unknown": "warning", "rejected": "warning", "expired": "warning",
}  # fmt: skip
