"""Generic keys, shared by all plugins of a kind; they are stored in `UseBlock.extra`."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from septet_schemas.base import Config, Input, LazySchema
from septet_schemas.blocks import BlockOf, UseBlock
from septet_schemas.data import CandlesConfig, SeriesConfig
from septet_schemas.training import Label, Training
from septet_schemas.units import (
    Bars,
    MarketDuration,
    Probability,
    Span,
    WallDuration,
    format_duration,
    parse_duration,
)

__all__ = [
    "AlertKeys",
    "CandleKeys",
    "ExitRule",
    "FeatureKeys",
    "GENERIC_KEYS",
    "HaltKeys",
    "ModelKeys",
    "Reentry",
    "RegimeKeys",
    "SeriesKeys",
    "SignalKeys",
    "read_reentry",
]


class CandleKeys(CandlesConfig):
    """Keys of every source of bars.

    `adjust` None means not set: a stock source with an adjusted close then raises an error.
    `decide_within` None means the smaller of a quarter bar and 60 s.
    """

    grace: WallDuration = Field(default="2s")  # type: ignore[assignment]
    """Live: how long a decision waits after a close for symbols whose bar has not arrived."""
    decide_within: WallDuration | None = None
    """Live: a bar that arrives later than this after its close is late; entries do not act
    on it."""


class SeriesKeys(SeriesConfig):
    """Keys of every outside series: when a value is known and how long it is valid."""


class FeatureKeys(Config):
    """Keys of every feature: its higher time frame."""

    bar: MarketDuration | None = None
    """A higher time frame, a multiple of the bar; only its closed bars are used."""


class ModelKeys(Config):
    """Keys of every model. `inputs` None means every feature, in the order of the file."""

    label: Label = Field(default={"use": "direction"})  # type: ignore[assignment]
    """The label that the model predicts."""
    training: Training = Training()
    """When the model is fitted, and on which rows."""
    scale: Literal["none", "standard", "minmax", "robust"] = "none"
    """Scaling of inputs, fitted inside each training window."""
    calibrate: Literal["none", "sigmoid", "isotonic"] = "none"
    """Calibration of the output to a probability, on held-out rows."""
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=2_000)] | None = None
    """Input features of the model; by default every feature of the file, in order."""


class ExitRule(Config):
    """Exits of a position other than stops.

    `after` None means the label's horizon with a model, and never with rules. `below` exits when
    the confidence falls below it.
    """

    opposite: bool = True
    """Exit on a signal of the opposite side."""
    after: Span | None = None
    """Exit after this many bars; with a model the label's horizon, counted from the last signal of
    the same side."""
    below: Probability | None = None
    """Exit when the confidence of the held side is below this."""


class Reentry(Config):
    """When a side may be re-entered after a stop.

    `rearm`: once the signal has differed at one decision. `immediate`: at once. `after`: after this
    number of decisions; the first of them is the one at the close of the bar of the exit's fill.
    """

    policy: Literal["rearm", "immediate", "after"] = "rearm"
    """`rearm` waits for another signal, `immediate` does not wait, `after` waits a number of
    decisions."""
    after: Bars | None = None
    """With `after`: number of decisions that reject the side, starting with the bar of the exit."""


def read_reentry(value: Any) -> Any:
    """Read `rearm`, `immediate` or `{after: 5 bars}` as the keys of a `Reentry`."""
    if isinstance(value, Reentry) or value in ("rearm", "immediate"):
        return value if isinstance(value, Reentry) else {"policy": value}
    if isinstance(value, Mapping) and set(value) == {"after"}:
        return {"policy": "after", "after": value["after"]}
    if isinstance(value, Mapping) and set(value) == {"policy", "after"}:
        return dict(value)
    expected = "immediate, rearm, or {after: 5 bars}"
    raise PydanticCustomError(
        "reentry", "expected {expected}", {"expected": expected, "found": repr(value)}
    )


_REENTRY_SCHEMA = LazySchema(
    lambda: {
        "anyOf": [{"enum": ["rearm", "immediate"]}, Reentry.model_json_schema()],
        "description": "when a side that was stopped out may be entered again: rearm, immediate, "
        "or {after: 5 bars}",
    }
)


class RegimeKeys(Config):
    """Keys of every regime filter."""

    trade_in: Annotated[tuple[str, ...], Field(min_length=1)]
    """Regimes in which entries are allowed."""


class SignalKeys(Config):
    """Keys of every signal."""

    min_interval: Bars = 1
    """Minimum number of bars between two accepted entries of a symbol; exits are never delayed."""
    exit: ExitRule = ExitRule()
    """Exits of a position other than stops."""
    regime: Annotated[UseBlock, BlockOf("signals", "regime", RegimeKeys)] | None = None
    """Allows entries in the given regimes only."""
    reentry: Annotated[Reentry, BeforeValidator(read_reentry), _REENTRY_SCHEMA] = Reentry()


def _resume(value: Any) -> str | int:
    if value in ("manual", "next_day"):
        return str(value)
    try:
        return parse_duration(value)
    except PydanticCustomError:
        expected = "manual, next_day or a duration such as 12h"
        raise PydanticCustomError(
            "resume", "expected {expected}", {"expected": expected, "found": repr(value)}
        ) from None


Resume = Annotated[
    str | int,
    BeforeValidator(_resume),
    PlainSerializer(lambda v: v if isinstance(v, str) else format_duration(v), return_type=str),
    WithJsonSchema({"type": "string", "description": "manual, next_day or a duration: 12h"}),
]


class HaltKeys(Config):
    """Keys of every halt: its action, and what clears it (a duration is in nanoseconds)."""

    then: Literal["flatten", "block_entries", "cancel_all"] = "flatten"
    """Action of the halt: close all and block, block entries, or cancel entries and block."""
    resume: Resume = "manual"
    """What clears the halt: manual, next_day, or a duration such as 12h."""


class AlertKeys(Config):
    """Keys of every alert channel: the kinds of events that it receives.

    `halt` is a halt by a person or a rule, `block` anything that blocks entries, `verdict` a
    reading of a monitor that became worse (`drift`: only readings of the model's health), `error` a
    failure.
    """

    events: tuple[
        Literal[
            "halt", "block", "verdict", "drift", "stale_data", "rejected_order", "fill", "start",
            "stop", "error", "disconnect", "unknown_order", "retrain",
        ],
        ...,
    ] = ("halt", "block", "verdict", "error", "fill", "rejected_order")  # fmt: skip
    """Kinds of events that are sent."""


GENERIC_KEYS: Final[Mapping[str, type[Config]]] = {
    model.__name__: model
    for model in (
        AlertKeys, CandleKeys, FeatureKeys, HaltKeys, ModelKeys, RegimeKeys, SeriesKeys, SignalKeys
    )
}  # fmt: skip
"""The generic models by the names that the markers in the JSON Schema use."""
