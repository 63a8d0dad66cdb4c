"""Keys that mean the same for every plugin of a kind; they end up in `UseBlock.extra`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from septet_schemas.base import Config, Input
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
    decide_within: WallDuration | None = None


class SeriesKeys(SeriesConfig):
    """Keys of every outside series: when a value is known, how long it holds."""


class FeatureKeys(Config):
    """Keys of every feature: its own, higher time frame."""

    bar: MarketDuration | None = None


class ModelKeys(Config):
    """Keys of every model. `inputs` None takes every feature of the file, in its order."""

    label: Label = Field(default={"use": "direction"})  # type: ignore[assignment]
    training: Training = Training()
    scale: Literal["none", "standard", "minmax", "robust"] = "none"
    calibrate: Literal["none", "sigmoid", "isotonic"] = "none"
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=2_000)] | None = None


class ExitRule(Config):
    """When a position is left without a stop.

    `after` None: the label's horizon with a model, never with rules. `below` leaves when the
    confidence falls under it.
    """

    opposite: bool = True
    after: Span | None = None
    below: Probability | None = None


class Reentry(Config):
    """When a side that was stopped out may be entered again.

    `rearm`: once the signal has differed at one decision. `immediate`: at once. `after`: when
    so many decisions have passed, that at the close of the bar of the exit's fill the first.
    """

    policy: Literal["rearm", "immediate", "after"] = "rearm"
    after: Bars | None = None


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


_REENTRY_SCHEMA = WithJsonSchema(
    {
        "anyOf": [{"enum": ["rearm", "immediate"]}, Reentry.model_json_schema()],
        "description": "when a side that was stopped out may be entered again: rearm, immediate, "
        "or {after: 5 bars}",
    }
)


class RegimeKeys(Config):
    """Keys of every regime filter: the regimes in which entries are allowed."""

    trade_in: Annotated[tuple[str, ...], Field(min_length=1)]


class SignalKeys(Config):
    """Keys of every signal."""

    min_interval: Bars = 1
    exit: ExitRule = ExitRule()
    regime: Annotated[UseBlock, BlockOf("signals", "regime", RegimeKeys)] | None = None
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
    resume: Resume = "manual"


class AlertKeys(Config):
    """Keys of every alert channel: which events it is told.

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


GENERIC_KEYS: Final[Mapping[str, type[Config]]] = {
    model.__name__: model
    for model in (
        AlertKeys, CandleKeys, FeatureKeys, HaltKeys, ModelKeys, RegimeKeys, SeriesKeys, SignalKeys
    )
}  # fmt: skip
"""The generic models by name, as the markers in the JSON Schema name them."""
