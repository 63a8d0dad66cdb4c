"""Keys that mean the same for every plugin of a kind; they end up in `UseBlock.extra`."""

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

    `adjust` is None until the file says it: a stock source with an adjusted close refuses that.
    `decide_within` None is the smaller of a quarter bar and 60 s.
    """

    grace: WallDuration = Field(default="2s")  # type: ignore[assignment]
    """Live: how long after a close a decision waits for symbols that have not delivered."""
    decide_within: WallDuration | None = None
    """Live: a bar that comes later than this after its close is late; entries do not act on it."""


class SeriesKeys(SeriesConfig):
    """Keys of every outside series: when a value is known, how long it holds."""


class FeatureKeys(Config):
    """Keys of every feature: its own, higher time frame."""

    bar: MarketDuration | None = None
    """A higher time frame, a multiple of the bar; only closed bars of it are seen."""


class ModelKeys(Config):
    """Keys of every model. `inputs` None takes every feature of the file, in its order."""

    label: Label = Field(default={"use": "direction"})  # type: ignore[assignment]
    """What the model learns."""
    training: Training = Training()
    """When it is fitted, and on which rows."""
    scale: Literal["none", "standard", "minmax", "robust"] = "none"
    """How inputs are scaled, fitted inside each training window."""
    calibrate: Literal["none", "sigmoid", "isotonic"] = "none"
    """How its output is made a probability, on rows that were held out."""
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=2_000)] | None = None
    """Features that it reads; without it every feature of the file, in order."""


class ExitRule(Config):
    """When a position is left without a stop.

    `after` None: the label's horizon with a model, never with rules. `below` leaves when the
    confidence falls under it.
    """

    opposite: bool = True
    """Leave on a signal of the other side."""
    after: Span | None = None
    """Leave after so many bars; with a model the label's horizon, counted from the last same
    signal."""
    below: Probability | None = None
    """Leave when the confidence of the held side is below this."""


class Reentry(Config):
    """When a side that was stopped out may be entered again.

    `rearm`: once the signal has differed at one decision. `immediate`: at once. `after`: when
    so many decisions have passed, that at the close of the bar of the exit's fill the first.
    """

    policy: Literal["rearm", "immediate", "after"] = "rearm"
    """`rearm` waits for another signal, `immediate` for nothing, `after` for some decisions."""
    after: Bars | None = None
    """With `after`: how many decisions reject the side, the exit's own bar first."""


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
    """Keys of every regime filter: the regimes in which entries are allowed."""

    trade_in: Annotated[tuple[str, ...], Field(min_length=1)]
    """Regimes in which entries are allowed."""


class SignalKeys(Config):
    """Keys of every signal."""

    min_interval: Bars = 1
    """Bars between two accepted entries of a symbol; exits are never delayed."""
    exit: ExitRule = ExitRule()
    """When a position is left without a stop."""
    regime: Annotated[UseBlock, BlockOf("signals", "regime", RegimeKeys)] | None = None
    """Allows entries in some regimes only."""
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
    """Keys of every halt: what it does, and what clears it (a duration is nanoseconds)."""

    then: Literal["flatten", "block_entries", "cancel_all"] = "flatten"
    """Close all and block, block entries, or cancel entries and block."""
    resume: Resume = "manual"
    """What clears it: manual, next_day, or a duration such as 12h."""


class AlertKeys(Config):
    """Keys of every alert channel: which events it receives.

    `halt` is a person's or a rule's, `block` anything that keeps entries back, `verdict` a reading
    of a monitor that got worse (`drift` of the model's health alone), `error` a failure.
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
"""The generic models by name, as the markers in the JSON Schema name them."""
