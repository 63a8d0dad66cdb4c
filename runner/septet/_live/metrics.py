"""`/metrics` for Prometheus and `/healthz`, on this machine alone.

Both read state that the run has anyway, when they are requested; nothing is counted between a bar
and its order. Every name ends with its unit.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from septet import messages as m
from septet._core.monitoring import LATENCY
from septet._host.background_tasks import Tasks
from septet._live.health_check import condition_of, decision_age_s
from septet._live.listen_address import address_of, why_not_listening
from septet.errors import InputError

__all__ = ["METRICS", "MetricsServer", "Seen", "addresses_of", "rows_of"]

METRICS: Final = {
    "septet_run_info": "the run: its id and mode",
    "septet_healthy_flag": "1 if /healthz finds nothing wrong with the strategy",
    "septet_equity_quote": "equity at the newest mark, in the currency of the account",
    "septet_cash_quote": "cash of the ledger",
    "septet_drawdown_ratio": "fall of the equity below its peak",
    "septet_position_base": "position of a symbol, in its base currency",
    "septet_decision_age_seconds": "since the newest decision time",
    "septet_decisions_total": "decision times since the run began",
    "septet_fills_total": "fills since this process began",
    "septet_orders_total": "orders sent since this process began, simulated ones in paper",
    "septet_orders_rejected_total": "orders that a venue or a check rejected since then",
    "septet_venue_answer_seconds": "how long the venue took to answer the newest order; not there "
    "in paper with next_open, where no order leaves the process",
    "septet_block_flag": "1 for each block or halt that holds, by its rule",
    "septet_alarm_flag": "1 for each reading of a monitor that is not ok, by its verdict",
    "septet_events_total": "events handled since this process began",
    "septet_quotes_dropped_total": "quotes dropped because newer ones were there",
    "septet_alerts_sent_total": "alerts sent",
    "septet_alerts_failed_total": "alerts that the channel did not take",
    "septet_alerts_dropped_total": "alerts dropped because too many waited",
    "septet_alerts_waiting_count": "alerts that wait to be sent",
    "septet_alerts_hanging_flag": "1 while the channel does not answer",
}
"""Every metric by its name, which ends with its unit."""
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
Row = tuple[str, dict[str, str], float]


def addresses_of(runs: Sequence[Any]) -> list[tuple[str, int]]:
    """Return every address at which the files of a process serve metrics, once each."""
    addresses: list[tuple[str, int]] = []
    for run in runs:
        written = run.strategy.monitoring.metrics.prometheus
        if written is not None:
            address = address_of(written)
            if address not in addresses:
                addresses.append(address)
    return addresses


class Seen:
    """Counters over the rows that a process stores, for its metrics."""

    def __init__(self) -> None:
        self.fills = self.orders = self.rejected = 0
        self.answer_s: float | None = None
        self.alarms: dict[tuple[str, str], str] = {}

    def take(self, event: m.Event, commands: Sequence[m.Command], symbols: Sequence[str]) -> None:
        """Process a row."""
        for each in commands:
            if isinstance(each, m.Traded):
                self.fills += 1
            elif isinstance(each, m.Submit):
                self.orders += 1
            elif isinstance(each, m.Changed):  # without an id: of an order that nothing was sent of
                self.orders += each.state == "open" and not each.client_id
                self.rejected += each.state == "rejected"
            elif isinstance(each, m.Watched):
                if each.metric == LATENCY:
                    self.answer_s = each.value
                key = each.metric, symbols[each.symbol] if each.symbol >= 0 else ""
                if each.verdict == "ok":
                    self.alarms.pop(key, None)
                else:
                    self.alarms[key] = each.verdict


class _Reader:
    """The collector that prometheus-client calls for the current metrics."""

    def __init__(self, runs: Callable[[], Sequence[Any]]) -> None:
        self._runs = runs

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        families: dict[str, Any] = {}
        for run in self._runs():
            base = {"strategy": run.strategy.name}
            for name, labels, value in rows_of(run):
                labels = base | labels
                if name not in families:
                    text, keys = METRICS[name], list(labels)
                    if name.endswith("_info"):
                        families[name] = InfoMetricFamily(name.removesuffix("_info"), text)
                    elif name.endswith("_total"):
                        short = name.removesuffix("_total")
                        families[name] = CounterMetricFamily(short, text, labels=keys)
                    else:
                        families[name] = GaugeMetricFamily(name, text, labels=keys)
                if name.endswith("_info"):
                    families[name].add_metric([], labels)
                else:
                    families[name].add_metric(list(labels.values()), value)
        return families.values()


def rows_of(run: Any) -> list[Row]:
    """Return the metrics of a strategy: name, labels, value."""
    seen, counts = run.seen, run.alerts.counts
    rows: list[Row] = [
        (
            "septet_run_info",
            {"run_id": run.location.run_id, "mode": run.strategy.mode},
            1.0,
        ),
        ("septet_healthy_flag", {}, float(condition_of(run).ok)),
        ("septet_decisions_total", {}, float(run.known.decisions)),
        ("septet_fills_total", {}, float(seen.fills)),
        ("septet_orders_total", {}, float(seen.orders)),
        ("septet_orders_rejected_total", {}, float(seen.rejected)),
        ("septet_alerts_sent_total", {}, float(counts.sent)),
        ("septet_alerts_failed_total", {}, float(counts.failed)),
        ("septet_alerts_dropped_total", {}, float(counts.dropped)),
        ("septet_alerts_waiting_count", {}, float(run.alerts.waiting)),
        ("septet_alerts_hanging_flag", {}, float(counts.hanging)),
    ]
    rows += [("septet_block_flag", {"rule": rule}, 1.0) for rule in sorted(run.known.tripped)]
    rows += [
        ("septet_alarm_flag", {"metric": metric, "symbol": symbol, "verdict": verdict}, 1.0)
        for (metric, symbol), verdict in sorted(seen.alarms.items())
    ]
    if seen.answer_s is not None:
        rows.append(("septet_venue_answer_seconds", {}, seen.answer_s))
    age_s = decision_age_s(run)
    if age_s is not None:
        rows.append(("septet_decision_age_seconds", {}, age_s))
    is_built = run.build is not None and getattr(run, "shell", None) is not None
    if is_built and getattr(run.build.core, "engine", None) is not None:
        rows += _of_core(run)
    return rows


def _of_core(run: Any) -> list[Row]:
    engine, shell = run.build.core.engine, run.shell
    currency = {"currency": run.strategy.account.currency}
    peak = engine.peak
    drawdown = 1.0 - engine.equity / peak if peak > 0.0 else 0.0
    rows: list[Row] = [
        ("septet_equity_quote", currency, engine.equity),
        ("septet_cash_quote", currency, engine.cash),
        ("septet_drawdown_ratio", {}, drawdown),
        ("septet_events_total", {}, float(shell.handled)),
        ("septet_quotes_dropped_total", {}, float(shell.dropped)),
    ]
    for k, symbol in enumerate(run.symbols):
        rows.append(("septet_position_base", {"symbol": symbol}, engine.held(k)))
    return rows


class MetricsServer:
    """Serves both pages at one address; a scrape takes a millisecond of the loop."""

    def __init__(self, address: tuple[str, int], runs: Callable[[], Sequence[Any]]) -> None:
        from prometheus_client import CollectorRegistry

        self.address, self._runs = address, runs
        self._registry = CollectorRegistry()
        self._registry.register(_Reader(runs))
        self._runner: Any = None

    async def open(self) -> None:
        """Listen.

        Raises
        ------
        InputError
            The port is taken, or is not for this user.
        """
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        host, port = self.address
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise InputError(
                f"monitoring.metrics.prometheus: cannot listen on {host}:{port}: "
                f"{why_not_listening(error)}",
                hint="another run may serve there: give each its own port",
            ) from None
        self._runner = runner

    def keep(self, tasks: Tasks) -> None:
        """Keep listening; a failure is reported and retried."""
        tasks.keep(f"metrics at {self.address[0]}:{self.address[1]}", self._work, down=_nothing)

    async def _work(self) -> None:
        if self._runner is None:
            await self.open()
        await asyncio.get_running_loop().create_future()  # until it is cancelled

    async def close(self) -> None:
        """Close the connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, request: Any) -> Any:
        from aiohttp import web
        from prometheus_client import generate_latest

        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": _TEXT})

    async def _healthz(self, request: Any) -> Any:
        from aiohttp import web

        runs = self._runs()
        conditions = [condition_of(run) for run in runs]
        ok = bool(conditions) and all(each.ok for each in conditions)
        runs = [
            {
                "strategy": each.strategy, "run_id": each.run_id, "mode": each.mode, "ok": each.ok,
                "reasons": list(each.reasons),
            }
            for each in conditions
        ]  # fmt: skip
        text = json.dumps({"ok": ok, "runs": runs})
        return web.Response(text=text, content_type="application/json", status=200 if ok else 503)


def _nothing(text: str) -> None:
    """Block nothing: a failure of the metrics does not stop trading."""
