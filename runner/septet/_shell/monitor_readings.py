"""Read the monitors of a file over a finished run; costs of fills; limits that prices passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from septet._host.monitoring import MONITOR_VERDICTS, Monitor, Reading, RunView
from septet._host.plugin_calls import fault_text, is_theirs
from septet._kernel import layout
from septet._shell.result_tables import Outcome
from septet._shell.run_record import fill_rows, trade_rows
from septet._shell.session import Session
from septet.errors import RunError, SeptetError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Watcher", "build_watchers", "fill_costs", "passed_limits", "run_view", "watch"]


def fill_costs(session: Session, outcome: Outcome) -> pl.DataFrame:
    """Compare the cost of every fill with the price at its decision."""
    from septet._learn.fill_costs import fill_readings

    rows = outcome.rows(layout.FILL)
    ids, values = outcome.LI[rows], outcome.LF[rows]
    return fill_readings(
        ids[:, 1],
        ids[:, 2],
        session.market.symbols,
        np.sign(values[:, 0]).astype(np.int64),
        values[:, 1],
        values[:, 4],
        session.strategy.monitoring.fills.slippage_alarm,
    )


def passed_limits(session: Session, outcome: Outcome) -> list[str]:
    """Report how often prices alone exceeded the gross limit; the exposure is not trimmed.

    A run without tables has only equity, and reports nothing here.
    """
    block = session.strategy.risk.limits.get("gross_exposure")
    if block is None or block.use != "gross_exposure" or len(outcome.G) == 1:
        return []
    most = float(block.config.max)
    equity, _, exposed = outcome.G[:, session.first :]
    rows = np.flatnonzero(exposed > most * equity * (1.0 + 1e-9))
    if not len(rows):
        return []
    worst = float((exposed[rows] / equity[rows]).max())
    return [
        f"price moves alone took the gross exposure above its limit of {100 * most:.0f} % "
        f"at {len(rows)} decision times, {100 * worst:.2f} % at most: that is reported, not trimmed"
    ]


class Watcher(msgspec.Struct, frozen=True):
    """A monitor of the file: its name there, its block, and the object its plugin built."""

    name: str
    block: Any
    monitor: Monitor

    def failed(self, fault: str) -> RunError:
        """Return the error that names the plugin and its distribution."""
        return _failed(self.name, self.block, fault)


def _failed(name: str, block: Any, fault: str) -> RunError:
    return RunError(
        f"the monitor {block.use} of {block.distribution} {fault}",
        hint=f"remove monitoring.{name} to run without it, and report it to {block.distribution}",
        key=f".monitoring.{name}",
    )


def build_watchers(strategy: Any) -> list[Watcher]:
    """Build the monitors of a file, before the run starts.

    Raises
    ------
    RunError
        If a plugin cannot build its monitor, naming it and its distribution.
    """
    watchers = []
    for name, block in strategy.monitoring.monitors.items():
        try:
            built = block.declaration(block.config)
        except SeptetError:
            raise
        except BaseException as error:  # a third-party plugin may raise anything
            if not is_theirs(error):
                raise
            fault = f"cannot be built{fault_text(error, _root(block))}"
            raise _failed(name, block, fault) from error
        if not callable(getattr(built, "read", None)):
            raise _failed(name, block, f"builds a {type(built).__name__}, which has no read(run)")
        watchers.append(Watcher(name, block, built))
    return watchers


def run_view(session: Session, outcome: Outcome, stop: int | None = None) -> RunView:
    """Return a run up to cursor `stop` as monitors see it; all of it was known at its time."""
    first, scale = session.first, outcome.state.B[:, layout.SCALE]
    fills, trades = outcome.rows(layout.FILL), outcome.rows(layout.TRADE)
    equity, cash, exposed = (outcome.G[row, first:stop] for row in range(3))
    return RunView(
        symbols=tuple(session.market.symbols), bar_ns=session.strategy.universe.bar,
        time_ns=session.aligned.T[layout.KNOWN, first:stop], equity=equity, cash=cash,
        exposure=exposed / equity, fills=fill_rows(outcome.LI[fills], outcome.LF[fills], scale),
        trades=trade_rows(outcome.LI[trades], outcome.LF[trades]),
    )  # fmt: skip


def watch(watchers: Sequence[Watcher], run: RunView) -> list[Reading]:
    """Let every monitor of the file read the run from `run.since_ns` on.

    A metric begins with its block's name.

    Raises
    ------
    RunError
        If a monitor fails, or returns something that is not a reading of this run.
    """
    new_readings = []
    for each in watchers:
        try:
            readings = list(islice(each.monitor.read(run), _most(run) + 1))
            if len(readings) > _most(run):
                raise each.failed(f"returned more than {_most(run):,} readings")
            new = [reading for reading in readings if _is_new(reading, run)]
            checked = [_checked(each, reading, run) for reading in new]
        except SeptetError:
            raise
        except BaseException as error:  # a third-party monitor may raise anything
            if not is_theirs(error):
                raise
            raise each.failed(f"failed{fault_text(error, _root(each.block))}") from error
        new_readings += [reading for reading in checked if reading.time_ns >= run.since_ns]
    return new_readings


def _most(run: RunView) -> int:
    """Return the most readings accepted from a run; an endless generator is rejected."""
    return 100_000 + 10 * (len(run.time_ns) + len(run.fills.time_ns) + len(run.trades.exit_ns))


def _root(block: Any) -> str:
    """Return the package of a monitor's code."""
    return str(getattr(block.declaration.build, "__module__", "")).partition(".")[0]


def _is_new(reading: object, run: RunView) -> bool:
    """Return whether a reading is new; an object that is not a reading counts as new."""
    if not isinstance(reading, Reading) or not isinstance(reading.time_ns, int):
        return True
    return not (len(run.time_ns) and run.time_ns[0] <= reading.time_ns < run.since_ns)


def _checked(watcher: Watcher, reading: Reading, run: RunView) -> Reading:
    """Return the reading under its block's name; raise if it is not a reading."""
    if not isinstance(reading, Reading):
        raise watcher.failed(f"returned {reading!r:.60}, expected a Reading")
    _require_reading_types(watcher, reading)
    if reading.verdict not in MONITOR_VERDICTS:
        expected = ", ".join(MONITOR_VERDICTS)
        raise watcher.failed(f"gave the verdict {reading.verdict!r}, expected one of {expected}")
    if reading.symbol and reading.symbol not in run.symbols:
        raise watcher.failed(f"read the symbol {reading.symbol!r}, which is not in the universe")
    times_known = (run.time_ns, run.fills.time_ns, run.trades.exit_ns)
    end_ns = max((int(each[-1]) for each in times_known if len(each)), default=0)
    if not len(run.time_ns) or not run.time_ns[0] <= reading.time_ns <= end_ns:
        raise watcher.failed(f"read at {reading.time_ns} ns, outside the times of the run")
    is_own_metric = reading.metric in ("", watcher.name)
    return replace(
        reading, time_ns=int(reading.time_ns), value=float(reading.value),
        threshold=float(reading.threshold), window=int(reading.window),
        compared=None if reading.compared is None else float(reading.compared),
        metric=watcher.name if is_own_metric else f"{watcher.name}:{reading.metric}",
    )  # fmt: skip


_INTEGER, _REAL, _TEXT = (int, np.integer), (int, float, np.integer, np.floating), (str,)
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "time_ns": (_INTEGER, "nanoseconds, a whole number"),
    "window": (_INTEGER, "a whole number"),
    "value": (_REAL, "a number"),
    "threshold": (_REAL, "a number"),
    "metric": (_TEXT, "text"),
    "symbol": (_TEXT, "text"),
}


def _require_reading_types(watcher: Watcher, reading: Reading) -> None:
    """Raise unless every field of a reading has its declared type."""
    for name, (kinds, expected) in _TYPES.items():
        value = getattr(reading, name)
        if not isinstance(value, kinds):
            raise watcher.failed(f"gave the {name} {value!r:.60}, expected {expected}")
