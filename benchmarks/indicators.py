"""Twenty indicators: the compiled step over a long series against the same loop in plain Python.

Three ways to one number, compared before their times are: septet's step, compiled; the very same
step, uncompiled, over fewer bars; and the formula as it is mostly written, which reads its window
again on every bar. Both in plain Python read lists, which it reads faster than arrays. What is
compared is the least cost of a bar in several turns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from common import Row, arguments, emit

Twin = Callable[[dict[str, list[float]], int], float]
BEGIN = 100
"""First bar of every loop: the longest window lies behind it."""
BAR_NAMES = ("open", "high", "low", "close", "volume", "slot", "price", "returns", "mean")
TARGET = 200.0


def _window(b: dict[str, list[float]], i: int, period: int, name: str = "close") -> list[float]:
    values = b[name]
    return [values[j] for j in range(i - period + 1, i + 1)]


def _mean(window: Sequence[float]) -> float:
    total = 0.0
    for value in window:
        total += value
    return total / len(window)


def _moment(window: Sequence[float], power: int) -> float:
    mean = _mean(window)
    total = 0.0
    for value in window:
        total += (value - mean) ** power
    return total / len(window)


def _deviation(window: Sequence[float]) -> float:
    return math.sqrt(_moment(window, 2))


def _weighted(window: Sequence[float]) -> float:
    total = weights = 0.0
    for weight, value in enumerate(window, 1):
        total += weight * value
        weights += weight
    return total / weights


def _percent_b(window: Sequence[float]) -> float:
    mean, deviation = _mean(window), _deviation(window)
    return (window[-1] - mean + 2.0 * deviation) / (4.0 * deviation)


def _highest(window: Sequence[float]) -> float:
    best = window[0]
    for value in window:
        if value > best:
            best = value
    return best


def _lowest(window: Sequence[float]) -> float:
    best = window[0]
    for value in window:
        if value < best:
            best = value
    return best


def _stochastic(b: dict[str, list[float]], i: int) -> float:
    top, bottom = _highest(_window(b, i, 14, "high")), _lowest(_window(b, i, 14, "low"))
    return 100.0 * (b["close"][i] - bottom) / (top - bottom)


def _rank(window: Sequence[float]) -> float:
    now, below = window[-1], 0.0
    for value in window[:-1]:
        if value < now:
            below += 1.0
        elif value == now:
            below += 0.5
    return below / (len(window) - 1)


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = _mean(x), _mean(y)
    xx = yy = xy = 0.0
    for a, b in zip(x, y, strict=True):
        xx += (a - mean_x) ** 2
        yy += (b - mean_y) ** 2
        xy += (a - mean_x) * (b - mean_y)
    return xy / math.sqrt(xx * yy)


def _cci(window: Sequence[float]) -> float:
    mean, away = _mean(window), 0.0
    for value in window:
        away += abs(value - mean)
    return (window[-1] - mean) / (0.015 * away / len(window))


class Indicator(NamedTuple):
    """A feature, its settings, and the formula over a window; None where nothing is read again.

    `inner` names a rolling feature it reads, as which column and with which settings: its cost
    counts as the indicator's own. (A price or a return of one bar counts on neither side.)
    """

    use: str
    settings: dict[str, Any]
    twin: Twin | None
    inner: tuple[str, str, dict[str, Any]] | None = None


INDICATORS = (
    Indicator("sma", {"period": 20}, lambda b, i: _mean(_window(b, i, 20))),
    Indicator("wma", {"period": 20}, lambda b, i: _weighted(_window(b, i, 20))),
    Indicator("deviation", {"period": 20}, lambda b, i: _deviation(_window(b, i, 20))),
    Indicator("volatility", {"period": 20},
              lambda b, i: _deviation(_window(b, i, 20, "returns")) * math.sqrt(20.0 / 19.0)),
    Indicator("zscore", {"of": "volume", "period": 20},
              lambda b, i: (b["volume"][i] - _mean(_window(b, i, 20, "volume")))
              / _deviation(_window(b, i, 20, "volume"))),
    Indicator("bollinger_width", {"period": 20},
              lambda b, i: 4.0 * _deviation(_window(b, i, 20)) / _mean(_window(b, i, 20))),
    Indicator("bollinger_percent", {"period": 20}, lambda b, i: _percent_b(_window(b, i, 20))),
    Indicator("skew", {"period": 60}, lambda b, i: _moment(_window(b, i, 60), 3)
              / _moment(_window(b, i, 60), 2) ** 1.5),
    Indicator("kurtosis", {"period": 60}, lambda b, i: _moment(_window(b, i, 60), 4)
              / _moment(_window(b, i, 60), 2) ** 2 - 3.0),
    Indicator("autocorrelation", {"period": 60, "lag": 1},
              lambda b, i: _correlation(_window(b, i, 60), _window(b, i - 1, 60))),
    Indicator("highest", {"period": 20}, lambda b, i: _highest(_window(b, i, 20, "high"))),
    Indicator("lowest", {"period": 20}, lambda b, i: _lowest(_window(b, i, 20, "low"))),
    Indicator("stochastic_fast", {"period": 14}, _stochastic),
    Indicator("williams_r", {"period": 14}, lambda b, i: _stochastic(b, i) - 100.0),
    Indicator("rank", {"period": 20}, lambda b, i: _rank(_window(b, i, 20))),
    Indicator("cci", {"period": 20}, lambda b, i: _cci(_window(b, i, 20, "price")),
              ("mean", "sma", {"of": "price", "period": 20})),
    Indicator("ema", {"period": 20}, None),
    Indicator("rsi", {"period": 14}, None),
    Indicator("log_return", {"period": 1}, None),
    Indicator("roc", {"period": 10}, None),
)  # fmt: skip


def _given(step: Any, config: Any, columns: dict[str, Any]) -> dict[str, Any]:
    """Bind the names a step asks for: a column, or a number of its settings."""
    from septet._plan.graph import number_of

    given: dict[str, Any] = {}
    for name in step.parameters:
        if name == "bar_ns":
            given[name] = 60_000_000_000
        elif name in columns or name == "of":
            given[name] = columns[config.of if name == "of" else name]
        elif name not in ("i", "state"):
            given[name] = number_of(getattr(config, name), 1)
    return given


def _loop(step: Any, names: Sequence[str], called: Any) -> Callable[..., None]:
    """Return ``run(first, last, out, state, names...)``: the step in a loop, all else as data."""
    text = (
        f"def run(first, last, out, state, {', '.join(names)}):\n"
        f"    for i in range(first, last):\n        out[i] = step({', '.join(step.parameters)})\n"
    )
    scope: dict[str, Any] = {"step": called}
    exec(text, scope)  # names of parameters of our own steps
    return scope["run"]  # type: ignore[no-any-return]


def _least(call: Callable[[], None], bars: int, turns: int) -> float:
    """Least seconds of this thread a bar, of several turns."""
    spent = []
    for _ in range(turns):
        began = time.thread_time()
        call()
        spent.append(time.thread_time() - began)
    return min(spent) / bars


def _columns(bars: int) -> dict[str, Any]:
    from septet_plugins.data.synthetic import w1_bars

    made = {name: np.ascontiguousarray(values) for name, values in w1_bars(bars).items()}
    close = made["close"]
    made["slot"] = np.arange(bars, dtype=np.float64) + 27_000_000.0
    made["price"] = (made["high"] + made["low"] + close) / 3.0
    made["returns"] = np.concatenate(([0.0], np.log(close[1:] / close[:-1])))
    return made


class _Measured(NamedTuple):
    """What a step answered, and its seconds a bar, compiled and uncompiled."""

    out: Any
    compiled: float
    uncompiled: float


def _both(
    use: str, settings: dict[str, Any], columns: dict[str, Any], few: int, turns: int
) -> _Measured:
    """Run a step compiled and uncompiled; their answers must be the same."""
    from septet._kernel.step import compile_part, jit
    from septet.testing.evaluate import resolve

    step: Any = resolve(use)
    config = step.config(**settings)
    many, slots = len(columns["close"]), len(step.state_names(config))
    arrays = _given(step, config, columns)
    lists = {name: values[:few].tolist() for name, values in columns.items() if name in BAR_NAMES}
    plain = _given(step, config, lists)
    fast = jit(_loop(step, list(arrays), compile_part(step.function)))
    slow = _loop(step, list(plain), step.function)
    out, short = np.full(many, np.nan), [math.nan] * few
    asked = tuple(arrays.values()), tuple(plain.values())

    def compiled() -> None:
        fast(BEGIN, many, out, np.zeros(max(1, slots)), *asked[0])

    def uncompiled() -> None:
        slow(BEGIN, few, short, [0.0] * slots, *asked[1])

    compiled()
    ours, twin = _least(compiled, many - BEGIN, turns), _least(uncompiled, few - BEGIN, turns)
    if not np.array_equal(out[BEGIN:few], short[BEGIN:], equal_nan=True):
        raise SystemExit(f"{use}: compiled and uncompiled differ")
    return _Measured(out, ours, twin)


def measure_one(each: Indicator, columns: dict[str, Any], few: int, turns: int) -> Row:
    """Compare the three answers of one indicator, then their times."""
    ours = twin = 0.0
    if each.inner is not None:
        name, use, settings = each.inner
        inner = _both(use, settings, columns, few, turns)
        columns = {**columns, name: inner.out}
        ours, twin = inner.compiled, inner.uncompiled
    own = _both(each.use, each.settings, columns, few, turns)
    ours, twin = ours + own.compiled, twin + own.uncompiled
    measured = f"{ours * 1e9:.1f} ns a bar"
    same = f"its own step uncompiled {twin * 1e6:.2f} µs, {twin / ours:,.0f}x"
    if each.twin is None:
        return Row("indicators", each.use, measured, same, twin / ours, must=False)
    lists = {name: values[:few].tolist() for name, values in columns.items() if name in BAR_NAMES}
    formula = [math.nan] * few

    def rewritten() -> None:
        assert each.twin is not None
        for i in range(BEGIN, few):
            formula[i] = each.twin(lists, i)

    again = _least(rewritten, few - BEGIN, turns)
    if not np.allclose(own.out[BEGIN:few], formula[BEGIN:], rtol=1e-6, atol=1e-9):
        raise SystemExit(f"{each.use}: the formula differs")
    return Row(
        "indicators", each.use, measured,
        f"window read again in plain Python {again * 1e6:.2f} µs, {again / ours:,.0f}x "
        f"(target {TARGET:.0f}x); {same}",
        again / ours / TARGET,
    )  # fmt: skip


def measure(bars: int, few: int, turns: int) -> list[Row]:
    """Measure every indicator."""
    columns = _columns(bars)
    return [measure_one(each, columns, few, turns) for each in INDICATORS]


if __name__ == "__main__":
    options = arguments(__doc__)
    emit(measure(50_000, 1_000, 5) if options.quick else measure(1_000_000, 5_000, 9), options.json)
