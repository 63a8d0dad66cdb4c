"""Declarations of plugins: a config model and a function or a class.

The parameter names of a step are its contract. The planner binds each name to the cursor, an input
column, `state`, `tables`, a field of the config, or a word of the kind's vocabulary; any other name
is an error before anything is compiled.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

from septet._host.contradictions import refuse_contradictions
from septet._host.named_state import Declared, Slots, with_numbers
from septet._kernel.marks import helper
from septet.errors import PluginError
from septet.hookspecs import Kind
from septet_schemas.base import Config, marks_of
from septet_schemas.position import distances_of

__all__ = [
    "VOCABULARY",
    "Bounds",
    "Declaration",
    "Factory",
    "Inner",
    "Memory",
    "Step",
    "ValueRange",
    "World",
    "across",
    "alerts",
    "anchored",
    "candles",
    "composition",
    "fading",
    "feature",
    "halt",
    "helper",
    "inner",
    "limit",
    "model",
    "monitor",
    "order",
    "regime",
    "series",
    "signal",
    "sizing",
    "stop",
    "unbounded",
    "venue",
    "window",
]

_BAR_COLUMNS: Final = {
    "open": "array: opens of the symbol's bars (quote)",
    "high": "array: highs (quote)",
    "low": "array: lows (quote)",
    "close": "array: closes (quote)",
    "volume": "array: volume (base)",
    "slot": "array: open time // bar length, the bar's number on the time grid",
    "session": "array: number of the session (the day where there are none) the bar belongs to",
    "week": "array: number of the week in which the bar opens, from Monday at `day_start`",
    "seconds": "array: known time, seconds since the epoch",
    "local_day": "array: number of the day in which the bar opens, from `day_start` in `time_zone`",
    "local_seconds": "array: known time on the clock of `time_zone`, seconds since its 1970-01-01",
}
_ACCOUNT: Final = {
    "equity": "cash plus positions at this close (quote)",
    "cash": "free cash (quote)",
    "gross": "sum of |notional| of positions and working entries (quote)",
}
_SYMBOL: Final = {
    "price": "close of the bar that just ended (quote)",
    "side": "+1 long, -1 short; for signals the side held now, 0 when flat",
    "held": "quantity held, signed (base)",
    "notional": "signed notional held and working in this symbol (quote)",
    "fee": "taker fee, fraction",
    "slippage": "expected slippage, fraction",
    "cost": "price of one unit bought now, slippage and fee included (quote)",
    "symbols": "number of symbols in the universe",
}
VOCABULARY: Final[Mapping[str, Mapping[str, str]]] = {
    "feature": {
        "i": "cursor of this bar in every array; never a count",
        "age": "bars since the symbol's history (re)started, 0 at the first",
        "bar_ns": "length of this feature's bar, nanoseconds",
        **_BAR_COLUMNS,
    },
    "regime": {
        "i": "cursor of this bar in every array; never a count",
        "age": "bars since the symbol's history (re)started, 0 at the first",
        "bar_ns": "base bar, nanoseconds",
        **_BAR_COLUMNS,
    },
    "across": {
        "k": "number of the symbol",
        "values": "array: the input over all symbols now; NaN where a symbol has no bar",
    },
    "signal": {
        "up": "probability up",
        "down": "probability down",
        "confidence": "2 * |up - 0.5|",
        "side": _SYMBOL["side"],
        "held_bars": "bars since the entry fill, 0 when flat",
        "average_price": "average entry price, NaN when flat (quote)",
        **{"price": _SYMBOL["price"]},
    },
    "sizing": {
        "up": "probability up, NaN without a model",
        "down": "probability down, NaN without a model",
        "confidence": "the signal's confidence",
        "stop_distance": "distance of the close to the first stop, NaN without one (quote)",
        "bar_ns": "base bar, nanoseconds",
        **_ACCOUNT,
        **_SYMBOL,
    },
    "limit": {
        "requested": "quantity asked for, signed (base): only what increases the position",
        "cash_available": "cash that no order reserves, with expected proceeds (quote)",
        "notionals": "array: signed notional held and working of every symbol (quote)",
        "correlations": "array: correlation with every symbol over the component's `window`",
        "k": "number of the symbol",
        "now_ns": "decision time, nanoseconds (int64)",
        "entries_this_minute": "orders already sent in this minute of market time",
        "limit_price": "the order's limit price, NaN for a market order and for a cap (quote)",
        **_ACCOUNT,
        **_SYMBOL,
    },
    "stop": {
        "average_price": "average entry fill without fees (quote)",
        "high_water": "best price of the trade up to the bar before: highs, lows for a short",
        "side": "+1 long, -1 short",
        "entry_ns": "time of the first entry fill, nanoseconds (int64)",
        "now_ns": "this bar's known time, nanoseconds (int64)",
        "entry_fee": "entry fees of what is held, for a unit (quote)",
        "taker_fee": "fee of a market order that closes, a fraction",
    },
    "halt": {
        "equity": _ACCOUNT["equity"],
        "peak": "largest equity since the start or the last resume (quote)",
        "day_base": "equity at the first step of the day (quote)",
        "now_ns": "decision time, nanoseconds (int64)",
        "losses_in_a_row": "closed trades lost in a row",
    },
    "order": {
        "side": "+1 buy, -1 sell",
        "price": _SYMBOL["price"],
        "tick": "price step, 0 where there is none (quote)",
    },
}
"""The words that a step of each kind may request, besides its own config fields."""


Bounds = tuple[float, float] | str
"""Least and greatest value, or the name of the input whose range is kept."""
ValueRange = Bounds | Mapping[str, Bounds]


@dataclass(frozen=True, slots=True)
class Memory:
    """How far back a feature remembers.

    `window` and `fading`: two runs whose histories start at least `bars` bars earlier agree bit
    for bit. `anchored`: it restarts with every `anchor` (day, week, session) and nothing
    else: its state is kept across a gap, and holds the anchor it began with. `unbounded`: it
    never forgets, and is refused in models and rules. A length written in market time stands in
    `duration_ns` instead and counts as its whole bars; the larger of the two holds.

    A step of `window` or `fading` memory may read as many bars back, once it was called that
    often; any other reads at most one bar beyond its look-back.
    """

    kind: Literal["window", "fading", "anchored", "unbounded"]
    bars: int = 0
    anchor: str = ""
    duration_ns: int = 0

    def in_bars(self, bar_ns: int) -> Memory:
        """Convert a length in market time to whole bars of `bar_ns`."""
        bars = max(self.bars, -(-self.duration_ns // bar_ns))
        return Memory(self.kind, bars, self.anchor)


def window(bars: int) -> Memory:
    """Return the memory of exactly `bars` bars."""
    return Memory("window", bars)


def fading(bars: int) -> Memory:
    """Return a recursive memory that has faded below the last bit after `bars` bars."""
    return Memory("fading", bars)


def anchored(anchor: str) -> Memory:
    """Return the memory that restarts with every `day`, `week` or `session`."""
    return Memory("anchored", anchor=anchor)


def unbounded() -> Memory:
    """Return the memory of all bars since the first."""
    return Memory("unbounded")


@dataclass(frozen=True, slots=True)
class Inner:
    """A feature inside a feature; see `inner`."""

    use: str
    config: Mapping[str, Any]


def inner(use: str, **config: Any) -> Inner:
    """Declare an inner feature; an input ``"@name"`` reads another one of the same map."""
    return Inner(use, config)


@dataclass(frozen=True, slots=True)
class World:
    """The facts of a run that a component may use when its tables are created."""

    symbols: tuple[str, ...]
    bar_ns: int
    calendar: str = "24x7"


@dataclass(frozen=True)
class Declaration:
    """What every plugin is: a kind and a config model, a subclass of `Config`.

    The model is typed loosely, so that ``step.config(period=5)`` is right for any plugin.
    """

    kind: Kind | Literal["across"]
    config: type[Any]


@dataclass(frozen=True)
class Step(Declaration):
    """A numeric rule: one small function over index, inputs, state and parameters.

    What it returns, by kind: feature and across a float, or a tuple in the order of `outputs`;
    regime the index of a label in `reasons`, or NaN; signal ``(side, confidence, reason)`` with
    side +1, -1, 0 (flat) or NaN (none) and reason an index into `reasons`, -1 for no reason;
    sizing the quantity requested (base, zero or more, before lots); limit the largest quantity
    allowed (base); stop a price or NaN; halt a bool; order ``(limit_price, trigger_price)``, NaN
    for none.

    `lookback` is how many bars before the cursor the function reads: it is first called that
    many bars after its inputs are ready. `warmup` is how many further bars pass before its value
    is published. `state` names the slots of the parameter of that name, all zeros at the first call
    after every (re)start of history: the text has ``state.total``, and `function` has numbers in
    the place of names.
    `renews` names the parameter at whose multiples on the time grid (`slot`) the step begins anew:
    what it returns and keeps from there on does not depend on its state. Four such stretches are
    then computed side by side; see `septet._kernel.lanes` for what the step may do.

    `value_range` is what a feature's values lie between, so that a rule which no value satisfies
    is refused: a pair, the name of the input whose range it keeps (an average of `of`), a map from
    an output to either, or a function of the config that returns one of these.

    `role` refines a kind. Stops: "stop" (default; a protective price), "target" (a profit
    target, a resting limit) or "exit" (a bool tested at each decision). Limits: "" (a cap on
    the size) or "wire" (checked last; an order above it is rejected, never made smaller).

    A stop that `tightens` is read at the entry's decision and at every one while the position is
    held, and the position's stop is never moved away from the price. While its answer is NaN
    nothing is entered; `is_for(side)` of its config, if any, states for which sides that holds.
    """

    function: Callable[..., Any] | None = None
    outputs: Sequence[str] | Callable[[Any], Sequence[str]] = ()
    state: Declared = ()
    lookback: Callable[[Any], int] = field(default=lambda config: 0)
    warmup: Callable[[Any], int] = field(default=lambda config: 0)
    memory: Callable[[Any], Memory] | None = None
    inner: Callable[[Any], Mapping[str, Inner]] | None = None
    tables: Callable[[Any, World], Any] | None = None
    closed: Callable[..., None] | None = None
    renews: str = ""
    reasons: tuple[str, ...] = ()
    value_range: ValueRange | Callable[[Any], ValueRange] | None = None
    role: str = ""
    compiled: bool = True
    tightens: bool = False

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names that the function requests, in order."""
        return tuple(inspect.signature(self.function).parameters) if self.function else ()

    def output_names(self, config: Config) -> tuple[str, ...]:
        """Output suffixes; empty if the only output has the feature's own name."""
        return tuple(self.outputs(config) if callable(self.outputs) else self.outputs)

    def state_names(self, config: Config) -> tuple[str, ...]:
        """Names of the slots of the flat state; those of `slots` have a number each."""
        names: list[str] = []
        for each in self.state:
            if isinstance(each, Slots):
                names += [f"{each.name}_{n}" for n in range(each.count(config))]
            else:
                names.append(each)
        return tuple(names)

    def keeps_state(self, config: Config) -> bool:
        """Whether the state is kept across a gap that restarts the warm-up."""
        return self.memory is not None and self.memory(config).kind == "anchored"

    def memory_of(self, config: Config) -> Memory:
        """Return the declared memory; a step without state remembers its look-back and this bar."""
        if self.memory is not None:
            return self.memory(config)
        return window(self.lookback(config) + self.warmup(config) + 1)

    def range_of(self, config: Config, output: str = "") -> Bounds:
        """Return the declared range of an output; all numbers if none is declared."""
        declared = self.value_range
        declared = declared(config) if callable(declared) else declared
        if isinstance(declared, Mapping):
            declared = declared.get(output)
        return (-math.inf, math.inf) if declared is None else declared

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, uncompiled."""
        if self.function is None:
            raise TypeError(f"{self.config.__name__} is a composition and has no function")
        return self.function(*args, **kwargs)


@dataclass(frozen=True)
class Factory(Declaration):
    """A plugin made by calling `build` with its validated config.

    `trial` lets the kit try one that reaches out: called with the kit's local server it returns the
    settings, or the `septet.testing.Trial`, with which it is tried.
    """

    build: Callable[..., Any] = field(default=lambda config: None)
    trial: Callable[[Any], Any] | None = None

    def __call__(self, config: Config) -> Any:
        """Build the object."""
        return self.build(config)


def _refuse_unknown_names(step: Step) -> None:
    """Reject a step that requests an unknown name, at its declaration.

    Raises
    ------
    PluginError
        With the line of the function and the closest known word.
    """
    function = step.function
    assert function is not None
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    fields = {name for each in step.config.__mro__ for name in vars(each) if name[0] != "_"}
    accepted = {*VOCABULARY.get(step.kind, {}), *fields, *step.config.model_fields}
    accepted |= {"state"} if step.state else set()
    accepted |= {"tables"} if step.tables else set()
    config: type[Config] = step.config
    accepted |= {f"{name}_amount" for name in distances_of(config)}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise PluginError(
                f"{place}: {function.__name__} takes {parameter}; expected names only"
            )
        if name in accepted or step.inner is not None:
            continue
        remark = " (it declares no state)" if name == "state" else ""
        similar = difflib.get_close_matches(name, accepted, n=2)
        vocabulary = ", ".join(sorted(VOCABULARY.get(step.kind, {})))
        raise PluginError(
            f"{place}: {function.__name__} asks for {name!r}, which is neither a key of "
            f"{step.config.__name__} nor a word of a {step.kind}{remark}",
            hint=f"did you mean {' or '.join(similar)}?" if similar else f"words: {vocabulary}",
        )


def _refuse_columns_of_a_halt(step: Step) -> None:
    """Reject a halt that reads columns: it is tested once for the run, not for each symbol.

    Raises
    ------
    PluginError
        With the line of the function and the keys that name columns.
    """
    config: type[Config] = step.config
    function, marked = step.function, marks_of(config)
    if step.kind != "halt" or not marked:
        return
    assert function is not None
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    raise PluginError(
        f"{place}: the halt {function.__name__} reads columns ({', '.join(marked)}); a halt is "
        "tested once for all symbols, and a column belongs to one",
        hint=f"words of a halt: {', '.join(sorted(VOCABULARY['halt']))}",
    )


def _step_decorator(kind: Any) -> Callable[..., Callable[[Callable[..., Any]], Step]]:
    def declare(config: type[Config], **options: Any) -> Callable[[Callable[..., Any]], Step]:
        def wrap(function: Callable[..., Any]) -> Step:
            step = Step(kind, config, function, **options)
            _refuse_unknown_names(step)
            _refuse_columns_of_a_halt(step)
            refuse_contradictions(step, VOCABULARY.get(kind, {}))
            closed = step.closed and with_numbers(step.closed, step.state)
            return replace(step, function=with_numbers(function, step.state), closed=closed)

        return wrap

    declare.__doc__ = f"Declare a compiled step of kind `{kind}`; options are those of `Step`."
    return declare


feature = _step_decorator("feature")
"""Declare a compiled step that computes a feature; options are those of `Step`."""
across = _step_decorator("across")
"""Declare a feature over all symbols at one time; options are those of `Step`."""
signal = _step_decorator("signal")
"""Declare a compiled step that names a target side; options are those of `Step`."""
sizing = _step_decorator("sizing")
"""Declare a compiled step that returns a size; options are those of `Step`."""
limit = _step_decorator("limit")
"""Declare a compiled step that caps a size; options are those of `Step`."""
stop = _step_decorator("stop")
"""Declare a compiled step that returns the level of a stop; options are those of `Step`."""
halt = _step_decorator("halt")
"""Declare a compiled step that stops trading; options are those of `Step`."""
regime = _step_decorator("regime")
"""Declare a compiled step that labels the market; options are those of `Step`."""
order = _step_decorator("order")
"""Declare a compiled step that prices an order; options are those of `Step`."""


def composition(config: type[Config]) -> Callable[[Callable[[Any], Mapping[str, Inner]]], Step]:
    """Declare a feature made only of inner features; the map's keys are its outputs."""

    def wrap(parts: Callable[[Any], Mapping[str, Inner]]) -> Step:
        return Step("feature", config, None, outputs=lambda c: tuple(parts(c)), inner=parts)

    return wrap


def _factory_decorator(kind: Any) -> Callable[..., Callable[[Callable[..., Any]], Factory]]:
    def declare(
        config: type[Config], *, trial: Callable[[Any], Any] | None = None
    ) -> Callable[[Callable[..., Any]], Factory]:
        def wrap(build: Callable[..., Any]) -> Factory:
            return Factory(kind, config, build, trial)

        return wrap

    declare.__doc__ = (
        f"Declare a class (or function) of kind `{kind}`, built from its config; `trial` gives the "
        "settings with which the kit tries it against its local server."
    )
    return declare


candles = _factory_decorator("candles")
"""Declare a source of bars, built from its config; `trial` as of the other decorators."""
series = _factory_decorator("series")
"""Declare a source of an outside series, built from its config."""
model = _factory_decorator("model")
"""Declare a trainer of models, built from its config."""
venue = _factory_decorator("venue")
"""Declare a venue, built from its block in `execution.venues`."""
monitor = _factory_decorator("monitor")
"""Declare a monitor, built from its block in `monitoring.monitors`."""
alerts = _factory_decorator("alerts")
"""Declare a channel of alerts, built from `monitoring.alerts`."""
