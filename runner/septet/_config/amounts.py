"""Finds every length of time and every share in a strategy file, by type and not by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel, BeforeValidator

from septet._config.check_context import blocks_of
from septet._config.tree import Path
from septet_schemas.blocks import UseBlock
from septet_schemas.keys import GENERIC_KEYS
from septet_schemas.position import DISTANCE_PARSERS
from septet_schemas.strategy import Strategy
from septet_schemas.units import Span, parse_bars, parse_cost, parse_duration, parse_fraction

__all__ = ["Length", "lengths_of", "shares_of"]

_KEYS: Final = {"signal": "SignalKeys", "regime": "RegimeKeys", "halt": "HaltKeys"}


class Length(msgspec.Struct, frozen=True):
    """A length in bars or in nanoseconds of time, and its path."""

    path: Path
    span: Span


def lengths_of(strategy: Strategy) -> Iterator[Length]:
    """Yield the durations of trading rules: those in `signal`, `risk` and `execution`."""
    for path, value, parsers in _fields(strategy):
        if isinstance(value, Span):
            yield Length(path, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            if parse_bars in parsers:
                yield Length(path, Span(bar_count=value))
            elif parse_duration in parsers:
                yield Length(path, Span(duration_ns=value))


def shares_of(strategy: Strategy) -> Iterator[tuple[Path, float]]:
    """Yield every share and cost of `signal`, `risk`, `execution` and `perpetual`."""
    for path, value, parsers in _fields(strategy):
        if isinstance(value, float) and {parse_fraction, parse_cost, *DISTANCE_PARSERS} & parsers:
            yield path, value


def _fields(strategy: Strategy) -> Iterator[tuple[Path, Any, set[Callable[..., Any]]]]:
    """Yield values with the functions that read them."""
    for path, block in blocks_of(strategy):
        if path[0] not in ("signal", "risk", "execution"):
            continue
        yield from _of_model(path, block.config)
        keys = GENERIC_KEYS.get(_KEYS.get(block.kind, ""))
        for name, parsers in (_parsers_of(keys) if keys is not None else {}).items():
            if name in block.extra:
                yield from _of_value((*path, name), block.extra[name], parsers)
    for path, model in (
        (("risk",), strategy.risk),
        (("execution", "simulation"), strategy.execution.simulation),
        (("perpetual",), strategy.perpetual),
    ):
        if model is not None:
            yield from _of_model(path, model)


def _of_model(path: Path, model: BaseModel) -> Iterator[tuple[Path, Any, set[Callable[..., Any]]]]:
    for name, parsers in _parsers_of(type(model)).items():
        yield from _of_value((*path, name), getattr(model, name), parsers)


@cache
def _parsers_of(kind: type[BaseModel]) -> dict[str, set[Callable[..., Any]]]:
    """Return the functions that read the fields of a model, by field."""
    fields = kind.model_fields.items()
    return {name: _parsers(info.annotation, info.metadata) for name, info in fields}


def _of_value(
    path: Path, value: Any, parsers: set[Callable[..., Any]]
) -> Iterator[tuple[Path, Any, set[Callable[..., Any]]]]:
    if isinstance(value, UseBlock | Mapping):  # blocks are visited separately
        return
    if isinstance(value, BaseModel):
        yield from _of_model(path, value)
    else:
        yield path, value, parsers


def _parsers(annotation: Any, metadata: list[Any]) -> set[Callable[..., Any]]:
    """Return the functions that read a field, including those inside of unions."""
    functions = {each.func for each in metadata if isinstance(each, BeforeValidator)}
    for part in get_args(annotation):
        functions |= _parsers(part, list(getattr(part, "__metadata__", ())))
    return functions
