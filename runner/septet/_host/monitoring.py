"""The arguments and results of a monitor plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

__all__ = [
    "BEGINNING_NS", "FillRows", "MONITOR_VERDICTS", "Monitor", "Reading", "RunView", "TradeRows",
    "Verdict", "figures_text",
]  # fmt: skip

if TYPE_CHECKING:  # `septet check` reads declarations without numpy
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
Verdict = Literal["ok", "warn", "block", "retrain", "halt"]
"""The verdict of a reading: nothing, look here, no entries for now, learn again, stop.

``block`` holds until the monitor reads the same metric and symbol without it, ``halt`` until a
person resumes the run. ``retrain`` three times running asks for a model out of schedule, with
`training: {on_drift: true}`.
"""
BEGINNING_NS: Final = -(2**62)
"""Before every time."""
MONITOR_VERDICTS: tuple[str, ...] = get_args(Verdict)
"""States that a reading of a monitor may report."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric at one time: a row of monitoring.parquet. `symbol` is empty: all together.

    `window` is how many rows, fills or trades the value was read from. `threshold` is what the
    verdict was decided by, NaN where nothing could be decided yet. `compared` is what was compared
    with it where that is not the value itself: an end of its interval.
    """

    time_ns: int
    metric: str
    value: float
    threshold: float
    verdict: Verdict
    window: int
    symbol: str = ""
    compared: float | None = None

    @property
    def figures(self) -> str:
        """Its figures in words; see `figures_text`."""
        return figures_text(self.metric, self.value, self.threshold, self.compared)


def figures_text(
    metric: str, value: float | None, threshold: float | None, compared: float | None = None
) -> str:
    """Return a value, the compared number and the threshold.

    ``0.42, its upper 95 % end 0.48, the bound 0.5``. Figures that are None or NaN are left out.
    """
    is_known = [each is not None and each == each for each in (value, compared, threshold)]
    text = f"{value:.6g}" if is_known[0] else "unknown"
    if is_known[1] and compared != value:
        name = _COMPARED.get(metric.rpartition(":")[2], "compared figure")
        text += f", its {name} {compared:.6g}"
    return f"{text}, the bound {threshold:.6g}" if is_known[2] else text


_COMPARED: Final = {
    "auc": "upper 95 % end", "hit_rate": "upper 95 % end", "brier": "lower 95 % end",
    "slippage": "lower 95 % end", "calibration": "size",
}  # fmt: skip


def _seal(table: Any) -> None:
    """Make every array of a table read-only: what one monitor is given, the next one is too.

    The numbers lie in bytes, which nothing can make writeable, neither a flag nor a `base`.
    """
    import numpy as np

    for each in fields(table):
        value = getattr(table, each.name)
        if hasattr(value, "dtype"):
            sealed: Any = np.ndarray(value.shape, value.dtype, value.tobytes())
            object.__setattr__(table, each.name, sealed)


def _first_rows(table: Any, count: int) -> Any:
    cut = {each.name: getattr(table, each.name)[:count] for each in fields(table)}
    return replace(table, **cut)


@dataclass(frozen=True, slots=True, eq=False)
class FillRows:
    """Fills in the order in which they happened, each known at its `time_ns`.

    `time_ns` and `symbol` (index into the run's `symbols`) are int64 (n,), `side` int64 (n,) is
    +1 for bought and -1 for sold. `quantity` is float64 (n,), base, above zero; `price` and
    `decision_price` (the close at which the order was decided) are quote, and `fee` is what was
    paid in quote, also where it was taken from what was bought. `decision_price` may be NaN.
    """

    time_ns: Ints
    symbol: Ints
    side: Ints
    quantity: Floats
    price: Floats
    decision_price: Floats
    fee: Floats

    def __post_init__(self) -> None:
        _seal(self)


@dataclass(frozen=True, slots=True, eq=False)
class TradeRows:
    """Closed trades, flat to flat, in the order in which they ended, each known at `exit_ns`.

    `entry_ns`, `exit_ns`, `symbol` and `side` (+1 long, -1 short) are int64 (n,). `quantity` is
    base; `entry_price`, `exit_price`, `pnl` and what it is net of (`fees`, `funding`,
    `liquidation`) are quote, float64 (n,). `slippage` (quote) lies in the prices.
    """

    entry_ns: Ints
    exit_ns: Ints
    symbol: Ints
    side: Ints
    quantity: Floats
    entry_price: Floats
    exit_price: Floats
    pnl: Floats
    fees: Floats
    funding: Floats
    liquidation: Floats
    slippage: Floats

    def __post_init__(self) -> None:
        _seal(self)


@dataclass(frozen=True, slots=True, eq=False)
class RunView:
    """A run as monitors see it: what happened, and when it was known.

    The arrays are read-only. `until` is what a monitor would have been given at an earlier time.

    Parameters
    ----------
    symbols : tuple of str
        The universe; rows name a symbol by its place here.
    bar_ns : int
        Length of a bar, nanoseconds.
    time_ns : int64 (n,)
        Decision times, rising; a bar is known at its close.
    equity, cash : float64 (n,)
        At each decision time, before its orders (quote).
    exposure : float64 (n,)
        Sum of the absolute notionals over equity, at the same times.
    fills, trades : FillRows, TradeRows
        What was traded; open positions are no trade yet.
    since_ns : int
        Readings before this time were read already: a monitor may leave them out.
    """

    symbols: tuple[str, ...]
    bar_ns: int
    time_ns: Ints
    equity: Floats
    cash: Floats
    exposure: Floats
    fills: FillRows
    trades: TradeRows
    since_ns: int = BEGINNING_NS

    def __post_init__(self) -> None:
        _seal(self)

    def until(self, time_ns: int) -> RunView:
        """Return what was known at a time: everything up to it, the time itself included."""
        import numpy as np

        count = int(np.searchsorted(self.time_ns, time_ns, side="right"))
        filled = int(np.searchsorted(self.fills.time_ns, time_ns, side="right"))
        closed = int(np.searchsorted(self.trades.exit_ns, time_ns, side="right"))
        return RunView(
            self.symbols, self.bar_ns, self.time_ns[:count], self.equity[:count],
            self.cash[:count], self.exposure[:count], _first_rows(self.fills, filled),
            _first_rows(self.trades, closed), self.since_ns,
        )  # fmt: skip


class Monitor(Protocol):
    """What a monitor plugin builds: it reads a run, and returns readings of it."""

    def read(self, run: RunView) -> Sequence[Reading]:
        """Return readings, each from what was known at its own `time_ns` and from nothing later.

        ``read(run.until(t))`` therefore gives the readings up to t that ``read(run)`` gives. An
        empty `metric` stands for the block's own name.

        While a run goes on it is called at every decision time; with an attribute `follows`, a
        set of ``times``, ``fills`` and ``trades``, only where one of those has grown. It is then
        given the newest 100,000 times, 50,000 fills and 50,000 trades.
        """
        ...
