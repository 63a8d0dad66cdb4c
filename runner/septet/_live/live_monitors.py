"""Monitors of a paper or live run, inside its core: the same rules as in a backtest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from septet import _learn as learn
from septet import messages as m
from septet._core.engine import Engine
from septet._core.events import Curve
from septet._core.monitor_blocks import Change
from septet._host.monitoring import Reading
from septet._kernel import layout
from septet._learn.running_health import ModelFacts, RunningHealth
from septet._learn.walk_forward_models import OK
from septet._live.model_in_force import Models
from septet._shell.monitor_actions import MODEL, Act
from septet._shell.monitor_readings import build_watchers
from septet._shell.run_record import Floats, Ints, Record
from septet._shell.running_monitors import RunMonitors

__all__ = ["LiveMonitors", "Pending", "health_of", "monitors_of"]


@dataclass
class Pending:
    """Verdicts of monitors since the last call; `drift_ns` is when drift was read."""

    readings: list[Reading] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    drift_ns: int | None = None


class LiveMonitors:
    """Monitors that the engine calls at each decision time of a run.

    Parameters
    ----------
    monitors, health
        The file's monitors, and the health of its model (None without a trained model).
    models
        Which model is in force.
    inputs
        Rows of F that make a model's vector, in order.
    engine
        The engine of the core, as it is now.
    stored
        Whether the model was fitted before the run.
    """

    def __init__(
        self,
        monitors: RunMonitors,
        health: RunningHealth | None,
        models: Models | None,
        inputs: Sequence[int],
        engine: Callable[[], Engine],
        *,
        stored: bool = False,
    ) -> None:
        self.monitors, self.health, self._models = monitors, health, models
        self._inputs, self._engine = tuple(inputs), engine
        self._causes: dict[int, m.Cause] = {}
        self._else: str = "stored" if stored else "schedule"
        self._pending = Pending()

    # ------------------------------------------------------------------ what the engine asks

    def before(self, t: int) -> Change:
        """Add the rows of the decision time at cursor `t`, and apply the model's health."""
        health = self.health
        if health is None or self._models is None:
            return Change()
        engine = self._engine()
        T, M, X, F = (engine.window.arrays[name] for name in "TMXF")
        time_ns = int(T[layout.KNOWN, t])
        model, row = self._models.at(time_ns), engine.plan.facts.model_row
        assert row is not None
        for k in range(len(M)):
            i = int(T[layout.ROW + k, t])
            if i < 0:
                continue
            prices = X[k, [layout.OPEN, layout.HIGH, layout.LOW, layout.CLOSE], i]
            health.bar(k, time_ns, int(M[k, layout.AGE, i]), prices.tolist())
            if model is not None and F[k, row + 1, i] == OK:
                vector = F[k, list(self._inputs), i].tolist()
                health.row(k, time_ns, vector, float(F[k, row, i]), model.number)
        return self._received(MODEL, health.read(time_ns))

    def _received(self, name: str, readings: list[Reading]) -> Change:
        pending = self._pending
        pending.readings += readings
        for each in readings:
            if each.verdict in ("retrain", "halt") and pending.drift_ns is None:
                pending.drift_ns = each.time_ns
        acts = self.monitors.acts.take(name, readings)
        pending.acts += acts
        return _change(acts)

    def after(self, t: int, LI: Ints, LF: Floats) -> Change:
        """Evaluate the monitors of the file on the events before a decision time.

        `LI` and `LF` are the rows logged at this time: int64 and float64, shape (rows, columns).
        """
        self.monitors.record.log(LI, LF)
        time_ns = int(self._engine().window.arrays["T"][layout.KNOWN, t])
        results = self.monitors.read(time_ns)
        pending = self._pending
        pending.readings += results.readings
        pending.acts += results.acts
        pending.failed += results.failed
        if results.asks and pending.drift_ns is None:
            pending.drift_ns = time_ns
        return results.change

    def matched(self, LI: Ints, LF: Floats) -> None:
        """Add fills in missed bars: they are read at the next decision time."""
        self.monitors.record.log(LI, LF)

    # ------------------------------------------------------------------ what the core reads

    def take(self) -> Pending:
        """Return the verdicts since the last call."""
        pending, self._pending = self._pending, Pending()
        return pending

    def ruled(self, curve: Curve) -> None:
        """Add the account after a decision time."""
        if self.monitors.watchers:
            self.monitors.record.ruled(curve.time_ns, curve.equity, curve.cash, curve.exposure)

    def asked(self, command: m.Train) -> None:
        """Remember why a model was requested; until it arrives, that drift is not read."""
        self._causes[command.number] = command.cause
        if command.cause == "drift":
            self.monitors.acts.retrained()
            self._model(command.number, command.trained_to_ns, None)

    def model(self, event: m.ModelReady | m.ModelFailed) -> None:
        """Store a window's result."""
        self._model(event.number, event.trained_to_ns, event)

    def _model(
        self, number: int, trained_to_ns: int, event: m.ModelReady | m.ModelFailed | None
    ) -> None:
        if self.health is None or self._models is None:
            return
        cause = self._causes.get(number, self._else)
        if isinstance(event, m.ModelReady):
            facts = ModelFacts(
                number, trained_to_ns, event.ready_ns, cause, event.rows, event.rows_up,
                event.first_row_ns, _card_of(event.reference),
            )  # fmt: skip
        else:
            facts = ModelFacts(number, trained_to_ns, self._models.ready_at(trained_to_ns), cause)
        self.health.model(facts)

    def resume(self) -> list[str]:
        """End every halt: a person resumes the run."""
        cleared = self.monitors.resume()
        self._engine().unblock(len(cleared))
        return cleared

    # ------------------------------------------------------------------ continuing

    def snapshot(self) -> bytes:
        """Return all state needed to continue."""
        health = self.health.snapshot() if self.health is not None else b""
        return msgspec.msgpack.encode([self.monitors.snapshot(), health, self._causes])

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        kind = tuple[bytes, bytes, dict[int, m.Cause]]
        monitors, health, self._causes = msgspec.msgpack.decode(data, type=kind)
        self.monitors.restore(monitors)
        if self.health is not None:
            self.health.restore(health)


def _card_of(reference: Sequence[m.Reference]) -> dict[str, Any]:
    """Return the distribution of columns in training, from a model's card."""
    return {
        name: {"edges": list(edges), "share": list(share), "chance": chance}
        for name, edges, share, chance in reference
    }


def _change(acts: Sequence[Act]) -> Change:
    blocks = sum(1 if each.on else -1 for each in acts)
    return Change(blocks, any(each.on and each.cancels for each in acts))


def health_of(strategy: Any, names: Sequence[str]) -> RunningHealth | None:
    """Return the health of a strategy's model, stored ones included; None without one."""
    block, bar_ns = strategy.model, int(strategy.universe.bar)
    if block is None:
        return None
    training = block.extra["training"]
    keep_ns = training.lead_ns
    if training.window == "expanding" and keep_ns:
        keep_ns = 2**61
    return RunningHealth(
        strategy.universe.symbols, names, bar_ns, learn.label_rule(block.extra["label"], bar_ns),
        learn.health_rule(strategy.monitoring.model, block), keep_ns,
    )  # fmt: skip


def monitors_of(
    strategy: Any,
    scale: Sequence[float],
    names: Sequence[str],
    inputs: Sequence[int],
    models: Models | None,
    engine: Callable[[], Engine],
) -> LiveMonitors:
    """Return the monitors of a strategy for its core."""
    record = Record(strategy.universe.symbols, int(strategy.universe.bar), scale)
    alarm = float(strategy.monitoring.fills.slippage_alarm)
    monitors = RunMonitors(build_watchers(strategy), record, alarm, raises=False)
    block = strategy.model
    stored = block is not None and learn.stored_folder(block) is not None
    health = health_of(strategy, names)
    return LiveMonitors(monitors, health, models, inputs, engine, stored=stored)
