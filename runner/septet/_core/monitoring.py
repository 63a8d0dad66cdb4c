"""Turns results of monitors in a live run into commands: readings, blocks, alerts, retrains."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, Protocol

import msgspec

from septet import messages as m
from septet._core.engine_messages import DOES, until_text
from septet._core.monitor_blocks import MonitorHook

__all__ = ["LATENCY", "Latency", "MonitorPort", "Monitoring"]

SENT: Final = 1_024
"""Newest orders whose answer is waited for."""
NS: Final = 1_000_000_000
LATENCY: Final = "latency"


class MonitorPort(MonitorHook, Protocol):
    """The monitors of a run; see `septet._live.live_monitors.LiveMonitors`."""

    def take(self) -> Any:
        """Return the results since the last call: readings, acts, failures, drift."""
        ...

    def ruled(self, curve: Any) -> None: ...
    def asked(self, command: m.Train) -> None: ...
    def model(self, event: m.ModelReady | m.ModelFailed) -> None: ...
    def resume(self) -> list[str]: ...
    def snapshot(self) -> bytes: ...
    def restore(self, data: bytes) -> None: ...


class Monitoring:
    """Turns the results of a run's monitors into commands."""

    def __init__(self, port: MonitorPort, symbols: Sequence[str]) -> None:
        self.port = port
        self._numbers = {name: k for k, name in enumerate(symbols)}
        self._verdicts: dict[str, str] = {}

    def commands(self, equity: float) -> tuple[list[m.Command], int | None]:
        """Return the commands of a decision time, and the time of drift, if any was read."""
        results, out = self.port.take(), list[m.Command]()
        for reading in results.readings:
            k = self._numbers.get(reading.symbol, -1)
            out.append(watched(reading.time_ns, reading.metric, reading.value, reading.threshold,
                               reading.verdict, reading.window, k, reading.compared))  # fmt: skip
            out += self._alert(reading, k)
        for name, text in results.failed:
            text = f"{text}; it is not read again, and nothing watches what it watched"
            out.append(alerted("error", "monitor_failed", f"monitoring.{name}: {text}"))
        for act in results.acts:
            if not act.on:
                out.append(m.Cleared(rule=act.rule, by="the monitor"))
                continue
            out.append(
                m.Tripped(
                    rule=act.rule,
                    then=act.then,
                    clears_when=act.clears_when,
                    equity=equity,
                    text=act.text,
                )
            )
            text = f"{act.rule}: {act.text}: {DOES[act.then]}, {until_text(act.clears_when)}"
            out.append(alerted("critical", "halt", text))
        return out, results.drift_ns

    def _alert(self, each: Any, k: int) -> list[m.Command]:
        """Send an alert when a verdict gets worse; an unchanged verdict sends none."""
        key = f"{each.metric}@{each.symbol}"
        before = self._verdicts.get(key, "ok")
        if each.verdict == "ok":
            self._verdicts.pop(key, None)
            return []
        self._verdicts[key] = each.verdict
        if each.verdict == before:
            return []
        text = f"{each.metric} is {each.figures}: {each.verdict}"
        event = "retrain" if each.verdict == "retrain" else "verdict"
        return [alerted("warning", event, text, k)]

    def resume(self) -> list[m.Command]:
        """End the halts of monitors: a person resumes the run."""
        self._verdicts.clear()
        return [m.Cleared(rule=rule, by="septet resume") for rule in self.port.resume()]

    def snapshot(self) -> bytes:
        """Return all state needed to continue."""
        return msgspec.msgpack.encode([self.port.snapshot(), self._verdicts])

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        port, self._verdicts = msgspec.msgpack.decode(data)
        self.port.restore(port)


class Latency:
    """Latency of a venue, from the event that caused an order to the event of the answer.

    Both are times at which this process received the event, by its own clock.
    """

    def __init__(self, alarm_ns: int) -> None:
        self._alarm_ns = alarm_ns
        self.sent: dict[str, tuple[int, int]] = {}

    def take(
        self, event: m.Event, commands: Sequence[m.Command], market_ns: int
    ) -> list[m.Command]:
        """Process an event with its commands; return the reading of an order that was answered."""
        readings = list[m.Command]()
        client_id = getattr(event, "client_id", "")
        if client_id and client_id in self.sent:
            since_ns, k = self.sent.pop(client_id)
            seconds, bound = (event.at_ns - since_ns) / NS, self._alarm_ns / NS
            late = seconds > bound
            readings.append(
                watched(market_ns, LATENCY, seconds, bound, "warn" if late else "ok", 1, k)
            )
            if late:
                text = (
                    f"the venue took {seconds:.3g} s to answer {client_id}, the bound {bound:g} s"
                )
                readings.append(alerted("warning", LATENCY, text, k))
        for command in commands:
            if type(command) is m.Submit:
                self.sent[command.client_id] = (event.at_ns, command.symbol)
                if len(self.sent) > SENT:
                    del self.sent[next(iter(self.sent))]
        return readings


def watched(
    time_ns: int,
    metric: str,
    value: float,
    threshold: float,
    verdict: Any,
    window: int,
    symbol: int,
    compared: float | None = None,
) -> m.Watched:
    """Return a reading as it is journalled: NaN is None."""
    return m.Watched(
        time_ns=time_ns, metric=metric, value=value if isfinite(value) else None,
        threshold=threshold if isfinite(threshold) else None, verdict=verdict, window=window,
        symbol=symbol, compared=None if compared is None or not isfinite(compared) else compared,
    )  # fmt: skip


def alerted(level: Any, event: str, text: str, symbol: int = -1) -> m.Alerted:
    """Return an alert command."""
    return m.Alerted(level=level, event=event, text=text, symbol=symbol)
