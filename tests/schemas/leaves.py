"""Every leaf that a strategy file may have, and what the parts of a run make of a file."""

from __future__ import annotations

import hashlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from septet import _learn as learn
from septet._config import load
from septet._data.load import load_market
from septet._host.plugin_registry import Host
from septet._live.build_core import _order_rules, limits_of
from septet._live.market_data.opening import history_ns_of, request_of
from septet._shell.backtest import backtest
from septet._shell.monitor_readings import build_watchers
from septet._shell.session import alignment_rules, plan_of, warmup_ns_of
from septet._sweep.space import space_of
from septet.errors import SeptetError
from septet_schemas.base import Config
from tests.schemas.test_every_key_is_read import _schemas, _settings

__all__ = [
    "leaves_of_plugins",
    "leaves_of_schemas",
    "market",
    "ran",
    "seen_or_refused",
    "swept",
    "wired",
]

HOST = Host()


def _nested(annotation: Any) -> type[BaseModel] | None:
    """Return the settings that an annotation holds as one block, None for a plain value."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        found = [_nested(each) for each in typing.get_args(annotation)]
        return next((each for each in found if each is not None), None)
    return None


def _fields(kind: type[BaseModel], at: str) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        inner = _nested(field.annotation)
        if inner is not None and not inner.__module__.startswith("septet_schemas"):
            yield from _fields(inner, f"{at}.{name}")
        else:
            yield f"{at}.{name}"


def leaves_of_plugins() -> list[str]:
    """Every setting of every plugin of septet: ``layer: plugin.setting``, nested ones with dots."""
    found = [leaf for plugin, kind in _settings() for leaf in _fields(kind, plugin)]
    return sorted(set(found))


def leaves_of_schemas() -> list[str]:
    """Every key of the schema that is no block itself: ``Schema.key``.

    A word that may stand in the place of a block is a leaf as well: ``Risk.rebalance: never``.
    """
    found = []
    for kind in _schemas():
        for name, field in kind.model_fields.items():
            inner = _nested(field.annotation)
            if inner is None or not issubclass(inner, Config) or not inner.model_fields:
                found.append(f"{kind.__name__}.{name}")
            else:
                found += [f"{kind.__name__}.{name}: {word}" for word in _words(kind, name)]
    return found


def _words(kind: type[BaseModel], name: str) -> list[str]:
    """Return the words that a key accepts beside its block, as the JSON Schema has them."""
    schema = kind.model_json_schema()
    found, left = [], [schema["properties"][name]]
    while left:
        part = left.pop(0)
        found += [word for word in part.get("enum", ()) if word is not None]
        left += [each for key in ("anyOf", "oneOf", "allOf") for each in part.get(key, ())]
        if "$ref" in part:
            left.append(schema["$defs"][part["$ref"].rpartition("/")[2]])
    return found


# ---------------------------------------------------------------- what a run makes of a file


def wired(loaded: Any) -> str:
    """What the parts of a run are built with: the plan, what is listened to, the last checks."""
    strategy = loaded.strategy
    plan = plan_of(loaded)
    bar_ns = int(strategy.universe.bar)
    found = [
        plan.name, plan.parameters.tolist(), plan.assembly.halts, plan.warmup_bars,
        plan.memory_bars, [each.tolist() for each in plan.tables], alignment_rules(strategy),
        plan.assembly.terms.hours,
        warmup_ns_of(strategy, 0), history_ns_of(strategy), request_of(strategy),
        limits_of(strategy), _order_rules(strategy, 1.0, protects=True),
        [(each.name, each.monitor) for each in build_watchers(strategy)],
    ]  # fmt: skip
    block = strategy.model
    if block is not None:
        folder = learn.stored_folder(block)
        found += [
            folder, block.extra.get("inputs"),
            learn.label_rule(block.extra["label"], bar_ns),
            learn.training_rule(block.extra["training"], bar_ns),
            learn.health_rule(strategy.monitoring.model, block),
        ]  # fmt: skip
        if folder is None:
            trainer = learn.trainer_of(block)
            found.append(repr(trainer))
            estimator = getattr(trainer, "estimator", None)
            if callable(estimator):
                found.append(repr(estimator(7, 100).get_params()))
    return repr(found)


def market(loaded: Any) -> str:
    """The bars and series a run would trade on, and what was found in them."""
    found = load_market(loaded)
    total = hashlib.sha256()
    tables: list[Any] = [*found.bars.values(), *found.series.values()]
    for table in tables:
        for field in fields(table):
            value, name = getattr(table, field.name), field.name
            total.update(f"{name}".encode())
            total.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    text = [(each.kind, each.count, each.policy) for each in found.findings]
    return repr([total.hexdigest(), text, found.calendar])


def ran(loaded: Any) -> str:
    """The tables of a backtest, as figures."""
    from septet._results.summary import summarise
    from septet._store.tables import frames_of

    result: Any = backtest(loaded)
    frames = frames_of(result)
    summary = summarise(result, frames, run_id="r")
    timed = ("seconds", "seconds_total", "bars_per_second")
    shown = {name: value for name, value in summary.items() if name not in timed}
    tables = [frame.write_csv() for _, frame in sorted(frames.items())]
    return repr([shown, tables])


def swept(loaded: Any) -> str:
    """The settings of a sweep, in order, and by what they are compared."""
    space = space_of(loaded)
    sweep = loaded.strategy.sweep
    values = [(axis.key, [value.text for value in axis.values]) for axis in space.axes]
    settings = [space.setting(int(number)) for number in space.numbers]
    return repr([space.method, values, settings, sweep.goal])


def seen_or_refused(
    path: Path, see: Callable[[Any], str], *sets: str, mode: str | None = None
) -> str:
    """Return what `see` returns of a file, or the message that refuses it."""
    try:
        return see(load(path, sets=sets, mode=mode, host=HOST))
    except SeptetError as error:
        return f"refused: {error}"
