"""Small plugins, each of which breaks one check of the kit: its message is reviewed."""

from __future__ import annotations

from typing import Any

import numpy as np

from septet.plugin import (
    Bars,
    Config,
    Input,
    Step,
    fading,
    feature,
    halt,
    limit,
    order,
    regime,
    signal,
    sizing,
    stop,
    window,
)
from septet.plugin.data import Facts, RawBars, candles
from septet.plugin.live import Reading, alerts, monitor, venue
from septet.plugin.model import Fitted, model
from septet.plugin.numeric import divide, finite

__all__ = ["FEATURES", "OBJECTS", "RULES"]


class Over(Config):
    """A column and a number of bars."""

    of: Input = "close"
    period: Bars = 4


class Plain(Config):
    """No setting."""


SEEN: list[float] = []


def _misnamed(i: int, of: Any, perod: int) -> Any:
    return of[i] - of[i - perod]


misnamed = Step("feature", Over, _misnamed)


@feature(Over, compiled=False)
def remembers_outside(i: int, of: Any) -> Any:
    SEEN.append(of[i])
    return of[i]


@feature(Over, lookback=lambda c: c.period)
def reads_the_future(i: int, of: Any, period: int) -> Any:
    return of[i] - of[i - period + 5]


@feature(Over)
def reads_before_the_first(i: int, of: Any, period: int) -> Any:
    return of[i] - of[i - period]


@feature(Over)
def allocates(i: int, of: Any) -> Any:
    return np.zeros(3)[0] + of[i]


@feature(Over, state=("count",))
def counts_without_bound(i: int, of: Any, state: Any) -> Any:
    state[0] += 1.0
    return of[i] * (int(state[0]) * 2**62 % 7)


@feature(Over, lookback=lambda c: 1)
def is_late(i: int, of: Any) -> Any:
    return divide(of[i], of[i - 1]) if of[i - 1] > 1e9 else np.nan


@feature(
    Over,
    state=("begun", "total"),
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(2 * c.period),
)
def sums_without_an_anchor(i: int, of: Any, state: Any, period: int) -> Any:
    if state[0] == 0.0 or not finite(state[1]):
        state[0] = 1.0
        state[1] = 0.0
        for back in range(period):
            state[1] += of[i - back]
    else:
        state[1] += of[i] - of[i - period]
    return state[1] / period


@feature(Over, state=("value",), memory=lambda c: fading(36 * (c.period + 1)))
def fades_too_slowly(i: int, of: Any, state: Any, period: int) -> Any:
    if not finite(of[i]):
        return of[i]
    if state[0] == 0.0:
        state[0] = of[i]
    state[0] += (of[i] - state[0]) * 2.0 / (8 * period + 1)
    return state[0]


@feature(
    Over,
    state=("next", "total"),
    renews="period",
    lookback=lambda c: c.period - 1,
    memory=lambda c: window(3 * c.period),
)
def renews_late(i: int, of: Any, slot: Any, state: Any, period: int) -> Any:
    if slot[i] >= state[0] or not finite(state[1]):
        state[0] = (slot[i] // (2 * period) + 1) * 2 * period
        state[1] = 0.0
        for back in range(period):
            state[1] += of[i - back]
    else:
        state[1] += of[i] - of[i - period]
    return state[1] / period


@regime(Plain, reasons=("calm", "wild"))
def has_a_third_label(i: int, close: Any) -> Any:
    return 2.0 if close[i] > 0.0 else 0.0


@feature(Over)
def hides_a_nan(i: int, of: Any) -> Any:
    return of[i] if finite(of[i]) else 0.0


@feature(Over, state=("sum",))
def keeps_a_nan(i: int, of: Any, state: Any) -> Any:
    state[0] += of[i]
    return state[0]


@feature(Over, lookback=lambda c: c.period)
def divides_by_nothing(i: int, of: Any, period: int) -> Any:
    return of[i] / (of[i] - of[i - period])


@feature(Over, value_range=(0.0, 1.0))
def leaves_its_range(i: int, of: Any) -> Any:
    return of[i]


FEATURES: dict[str, tuple[Step, Config]] = {
    "names_bind": (misnamed, Over()),
    "sees_parameters_alone": (remembers_outside, Over()),
    "stays_inside: the future": (reads_the_future, Over()),
    "stays_inside: before the first bar": (reads_before_the_first, Over()),
    "compiles": (allocates, Over()),
    "compiles_alike": (counts_without_bound, Over()),
    "is_ready_when_declared": (is_late, Over()),
    "remembers_as_declared: window": (sums_without_an_anchor, Over(of="volume")),
    "remembers_as_declared: fading": (fades_too_slowly, Over()),
    "renews_as_declared": (renews_late, Over(of="volume")),
    "answers_labels": (has_a_third_label, Plain()),
    "stays_in_range": (leaves_its_range, Over()),
    "keeps_nan_policy: hidden": (hides_a_nan, Over()),
    "keeps_nan_policy: kept": (keeps_a_nan, Over()),
    "stays_finite": (divides_by_nothing, Over()),
}


@sizing(Plain)
def sizes_below_zero(equity: float, price: float) -> float:
    return -0.1 * equity / price


@sizing(Plain)
def sizes_nan(equity: float) -> float:
    return equity * np.nan


@limit(Plain)
def limits_below_zero(requested: float) -> float:
    return -abs(requested)


@limit(Plain)
def limits_nan(requested: float) -> float:
    return requested * np.nan


@halt(Plain)
def halts_by_a_number(equity: float) -> float:
    return equity


@stop(Plain)
def stops_above(average_price: float, side: float) -> float:
    return average_price * (1.0 + 0.5 * side)


@stop(Plain)
def stops_at_infinity(average_price: float) -> float:
    return average_price * np.inf


@stop(Plain, role="target")
def targets_below(average_price: float, side: float) -> float:
    return average_price * (1.0 - 0.5 * side)


@stop(Plain, role="exit")
def exits_by_a_price(average_price: float) -> float:
    return average_price


@order(Plain)
def orders_below_zero(price: float) -> tuple[float, float]:
    return -price, np.nan


@signal(Plain)
def signals_two(confidence: float) -> tuple[float, float, int]:
    return 2.0, 0.5, -1


@signal(Plain)
def signals_too_sure(confidence: float) -> tuple[float, float, int]:
    return 1.0, 2.0, -1


@signal(Plain, reasons=("trend",))
def signals_an_unknown_reason(confidence: float) -> tuple[float, float, int]:
    return 1.0, 0.5, 3


@sizing(Plain)
def gives_two_values(equity: float) -> Any:
    return equity, 1.0


RULES: dict[str, Step] = {
    each.function.__name__: each
    for each in (
        sizes_below_zero, sizes_nan, limits_below_zero, limits_nan, halts_by_a_number, stops_above,
        stops_at_infinity, targets_below, exits_by_a_price, orders_below_zero, signals_two,
        signals_too_sure, signals_an_unknown_reason, gives_two_values,
    )
    if each.function is not None
}  # fmt: skip


class Share:
    """A model that knows one number."""

    format = "kit/share"

    def __init__(self, share: float, width: int) -> None:
        self.share, self.width = share, int(width)

    def predict(self, x: Any) -> Any:
        return np.full(len(x), float(self.share))

    def predict_row(self, vector: Any) -> float:
        return float(self.share)

    def arrays(self) -> Any:
        return {"share": np.array(self.share), "width": np.array(self.width)}


CALLS: list[int] = []


@model(Plain)
class FitsByChance:
    name = "chance"

    def __init__(self, config: Any) -> None:
        self.config = config

    def fit(self, window: Any) -> Any:
        CALLS.append(0)
        return Fitted(Share(len(CALLS) % 97 / 97.0, window.x.shape[1]))


@model(Plain)
class FitsNothing:
    name = "nothing"

    def __init__(self, config: Any) -> None:
        self.config = config

    def fit(self, window: Any) -> Any:
        return None


@model(Plain)
class RestoresAnother:
    name = "share"

    def __init__(self, config: Any) -> None:
        self.config = config

    def fit(self, window: Any) -> Any:
        return Fitted(Share(0.25, window.x.shape[1]))

    def restore(self, arrays: Any) -> Any:
        return Share(0.75, arrays["width"])


class _Monitor:
    def __init__(self, config: Any) -> None:
        self.config = config
        self.reads = 0.0


@monitor(Plain)
class ReadsOtherwise(_Monitor):
    def read(self, run: Any) -> Any:
        self.reads += 1.0
        return [Reading(int(run.time_ns[5]), "", self.reads, 1.0, "ok", 2)]


@monitor(Plain)
class LooksAhead(_Monitor):
    def read(self, run: Any) -> Any:
        return [Reading(int(run.time_ns[0]), "", float(run.equity[-1]), 1.0, "ok", 2)]


@monitor(Plain)
class GivesAnUnknownVerdict(_Monitor):
    def read(self, run: Any) -> Any:
        return [Reading(int(run.time_ns[0]), "", 1.0, 1.0, "perhaps", 2)]  # type: ignore[arg-type]


@monitor(Plain)
class ReadsNoList(_Monitor):
    def read(self, run: Any) -> Any:
        return "fine"


@alerts(Plain)
class SendsWithoutWords:
    def __init__(self, config: Any) -> None:
        self.config = config

    def send(self, title: str) -> None:
        """Take too little."""


@alerts(Plain, trial=lambda server: Plain())
class SendsNothing:
    def __init__(self, config: Any) -> None:
        self.config = config

    def send(self, title: str, text: str, read: Any, severity: str) -> None:
        """Send nothing."""


@venue(Plain)
class ConnectsToNothing:
    def __init__(self, config: Any) -> None:
        self.config = config

    def connect(self, *, name: str, clock: Any) -> Any:
        return object()


@candles(Plain)
class ReadsText:
    def __init__(self, config: Any) -> None:
        self.config = config

    def read(self, request: Any) -> Any:
        return "bars"


@candles(Plain)
class ReadsOtherRows:
    def __init__(self, config: Any) -> None:
        self.config = config

    def read(self, request: Any) -> Any:
        import polars as pl

        CALLS.append(1)
        rows = range(400)
        frame = pl.DataFrame(
            {
                "timestamp": [1_640_995_200_000_000_000 + n * 3_600_000_000_000 for n in rows],
                "open": [100.0 for _ in rows], "high": [102.0 for _ in rows],
                "low": [99.0 for _ in rows], "close": [101.0 for _ in rows],
                "volume": [float(len(CALLS)) for _ in rows],
            }
        )  # fmt: skip
        return [
            RawBars(each, frame, Facts("kit", stamp="open", calendar="24x7"))
            for each in request.symbols
        ]


OBJECTS: dict[str, Any] = {
    "a model that fits by chance": FitsByChance,
    "a model that fits nothing": FitsNothing,
    "a model that is stored as another": RestoresAnother,
    "a monitor that reads otherwise": ReadsOtherwise,
    "a monitor that looks ahead": LooksAhead,
    "a monitor with an unknown verdict": GivesAnUnknownVerdict,
    "a monitor without a list": ReadsNoList,
    "a channel that takes too little": SendsWithoutWords,
    "a channel that sends nothing": SendsNothing,
    "a venue without methods": ConnectsToNothing,
    "a source of text": ReadsText,
    "a source of other rows": ReadsOtherRows,
}
