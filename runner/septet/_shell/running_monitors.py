"""The monitors of a run in progress: read at every decision time, with what is known then.

At a time T they read what happened before T: fills, trades, and the account at earlier decision
times. A model's health is read with the labels and rows known at T. Their readings act at T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from septet._core.events import Curve
from septet._core.monitor_blocks import NOTHING, Change
from septet._host.monitoring import Reading, RunView
from septet._learn.fill_costs import FEWEST, METRIC, WINDOW, slippage_rows
from septet._shell.monitor_actions import MODEL, Act, Acts
from septet._shell.monitor_readings import Watcher, watch
from septet._shell.run_record import Floats, Ints, Record
from septet.errors import SeptetError

__all__ = ["MODEL", "EventMonitors", "RunMonitors", "Watched"]


class Watched(msgspec.Struct):
    """Readings of the monitors at one decision time, and their effects.

    `asks` is whether a monitor has asked for a model with three readings in a row.
    """

    readings: list[Reading] = msgspec.field(default_factory=list)
    acts: list[Act] = msgspec.field(default_factory=list)
    failed: list[tuple[str, str]] = msgspec.field(default_factory=list)
    asks: bool = False

    @property
    def change(self) -> Change:
        """The change for the engine to apply."""
        if not self.acts:
            return NOTHING
        blocks = sum(1 if each.on else -1 for each in self.acts)
        return Change(blocks, any(each.on and each.cancels for each in self.acts))


class RunMonitors:
    """The monitors of a file in a run in progress.

    Parameters
    ----------
    watchers
        The monitors.
    record
        The record of the run, which they read.
    slippage_alarm
        A mean slippage of the last fills above this gives a warning.
    raises
        True (a backtest): a monitor that fails ends the run. Else it is set aside until a person
        resumes the run, and entries are blocked: nobody watches what it watched.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        record: Record,
        slippage_alarm: float,
        *,
        raises: bool,
    ) -> None:
        self.watchers, self.record, self.raises = list(watchers), record, raises
        self.acts = Acts()
        self._alarm = slippage_alarm
        self._counts_read = [0, 0, 0]
        self._dead: list[str] = []

    def read(self, time_ns: int) -> Watched:
        """Read the events before a decision time that were not read yet."""
        watched, record = Watched(), self.record
        since_ns, counts = record.read_ns, record.counts(time_ns)
        grown = {
            name: now != earlier
            for name, now, earlier in zip(
                ("times", "fills", "trades"), counts, self._counts_read, strict=True
            )
        }
        if grown["fills"]:
            watched.readings += self._slippage(since_ns, time_ns)
        follows = [
            each for each in self.watchers
            if each.name not in self._dead
            and any(grown[name] for name in getattr(each.monitor, "follows", grown))
        ]  # fmt: skip
        if follows and counts[0]:
            view = record.view(time_ns, since_ns)
            for each in follows:
                self._read(each, view, watched)
        self._counts_read, record.read_ns = list(counts), time_ns
        watched.asks = self.acts.take_asks()
        return watched

    def _read(self, watcher: Watcher, view: RunView, watched: Watched) -> None:
        try:
            readings = watch([watcher], view)
        except SeptetError as error:
            if self.raises:
                raise
            watched.failed.append((watcher.name, error.message))
            self._dead.append(watcher.name)
            unread = Reading(int(view.time_ns[-1]), watcher.name, np.nan, np.nan, "halt", 0)
            watched.acts += self.acts.take(watcher.name, [unread])
            return
        readings.sort(key=lambda each: each.time_ns)
        watched.readings += readings
        watched.acts += self.acts.take(watcher.name, readings)

    def _slippage(self, since_ns: int, time_ns: int) -> list[Reading]:
        fills = self.record.fills(time_ns)
        fresh = int(np.searchsorted(fills.time_ns, since_ns, side="left"))
        symbols, priced = self.record.symbols, np.isfinite(fills.decision_price)
        first = fresh
        for k in range(len(symbols)):
            own_fills = np.flatnonzero((fills.symbol[:fresh] == k) & priced[:fresh])[-WINDOW:]
            first = min([first, *own_fills[:1].tolist()])
        tail = slice(first, None)
        known_ns, mean, low, count = slippage_rows(
            fills.symbol[tail], len(symbols), fills.side[tail], fills.price[tail],
            fills.decision_price[tail],
        )  # fmt: skip
        threshold = np.where(count >= FEWEST, self._alarm, np.nan)
        return [
            Reading(
                int(fills.time_ns[first + row]), METRIC, value, alarm,
                "warn" if end > alarm else "ok", size, symbols[int(fills.symbol[first + row])], end,
            )
            for row, value, end, alarm, size in zip(
                known_ns.tolist(), mean.tolist(), low.tolist(), threshold.tolist(), count.tolist(),
                strict=True,
            )
            if first + row >= fresh
        ]  # fmt: skip

    def resume(self) -> list[str]:
        """Clear every halt, and retry failed monitors; return the rules that were cleared."""
        self._dead = []
        return self.acts.resume()

    def snapshot(self) -> bytes:
        """Return the whole state."""
        state = [self.record.snapshot(), self.acts.kept(), self._counts_read, self._dead]
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        record, acts, self._counts_read, self._dead = msgspec.msgpack.decode(data)
        self.record.restore(record)
        self.acts.restore(acts)


class EventMonitors:
    """The monitors of a backtest that runs one event at a time, as called by the engine.

    `health` are the readings of the model in order of time, known from the walk; `time_at` gives
    the decision time at a cursor. `retrain` is called with a time at which monitors ask for a
    model; it returns the readings of the model from then on, or None where none is fitted.
    """

    def __init__(
        self,
        monitors: RunMonitors,
        health: Sequence[Reading],
        time_at: Callable[[int], int],
        retrain: Callable[[int], Sequence[Reading] | None] = lambda time_ns: None,
    ) -> None:
        self.monitors, self._health, self._time_at = monitors, list(health), time_at
        self._retrain = retrain
        self._next = 0
        self.acts: list[tuple[int, Act]] = []

    def before(self, t: int) -> Change:
        """Apply the readings of the model's health."""
        time_ns, first = self._time_at(t), self._next
        while self._next < len(self._health) and self._health[self._next].time_ns <= time_ns:
            self._next += 1
        watched = Watched(acts=self.monitors.acts.take(MODEL, self._health[first : self._next]))
        self.acts += [(time_ns, each) for each in watched.acts]
        return watched.change

    def after(self, t: int, LI: Ints, LF: Floats) -> Change:
        """Let the monitors read the trading of this time."""
        time_ns = self._time_at(t)
        self.monitors.record.log(LI, LF)
        watched = self.monitors.read(time_ns)
        self.acts += [(time_ns, each) for each in watched.acts]
        if watched.asks and (health := self._retrain(time_ns)) is not None:
            self._health = list(health)  # until now they are the same
            self.monitors.acts.retrained()
        return watched.change

    def matched(self, LI: Ints, LF: Floats) -> None:
        """Process fills in missed bars; a backtest has none."""
        self.monitors.record.log(LI, LF)

    def ruled(self, curve: Curve) -> None:
        """Process the account after a decision time."""
        self.monitors.record.ruled(curve.time_ns, curve.equity, curve.cash, curve.exposure)
