"""Checks of steps that get scalars: signals, sizing, limits, stops, halts and orders."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from septet._host.declare import VOCABULARY, Step
from septet._host.guarded_arrays import StepError
from septet._kernel.step import compile_step
from septet.testing.bars import HOUR_NS
from septet.testing.checks import (
    ConformanceError,
    Subject,
    compiler_named,
    names_bind,
    placed,
)
from septet.testing.evaluate import column_fields, number_of
from septet.testing.planning import plan_step
from septet.testing.ranges import try_rule
from septet.testing.rule_arguments import tables_of
from septet.testing.static import faults_of
from septet_schemas.base import Config

__all__ = ["check_rule", "compiled_agrees"]

SYMBOLS = 3


def _draw(name: str, meaning: str, random: np.random.Generator) -> Any:
    """Draw a plausible value of one word of a vocabulary."""
    if meaning.startswith("array:"):
        drawn = random.normal(0.0, 1_000.0, SYMBOLS)
        drawn.flags.writeable = False
        return drawn
    if "int64" in meaning:
        return np.int64(random.integers(1, 2**60))
    if name in ("k", "symbols", "held_bars", "entries_this_minute", "losses_in_a_row"):
        return np.int64(random.integers(0, SYMBOLS))
    if name == "bar_ns":
        return np.int64(HOUR_NS)
    if name == "side":
        return np.float64(random.choice([-1.0, 1.0]))
    if name in ("up", "down", "confidence", "fee", "slippage"):
        return np.float64(random.random())
    return np.float64(random.choice([0.0, 1.0, -1.0, 1e-9]) + random.lognormal(3.0, 2.0))


def _bits(result: Any) -> tuple[bytes, ...]:
    values = result if isinstance(result, tuple) else (result,)
    return tuple(
        b"nan" if float(value) != float(value) else struct.pack("<d", float(value))
        for value in values
    )


def check_rule(
    declaration: Step,
    config: Config | None = None,
    *,
    words: Mapping[str, Any] | None = None,
    draws: int = 200,
    seed: int = 17,
) -> None:
    """Check a rule: its names bind, a live plan can be made with it, it compiles.

    Compiled and plain agree bit for bit.

    Parameters
    ----------
    declaration, config
        The rule and its settings (its defaults when left out).
    words
        Fixed values for words that the kit cannot draw, such as columns a signal reads.
    draws, seed
        How many sets of values are drawn, and from which seed.

    Raises
    ------
    ConformanceError
        With the values for which the two answers differ.
    """
    settings = config if config is not None else declaration.config()
    if declaration.kind in ("feature", "regime"):
        name = Subject(declaration, settings).name
        raise ConformanceError(f"{name} is a {declaration.kind}: check_component tries it")
    names_bind(Subject(declaration, settings))
    if declaration.function is None:
        raise ConformanceError(f"{type(settings).__name__} has no function to check")
    faults = faults_of(declaration)
    if faults:
        raise ConformanceError("; ".join(map(str, faults)))
    if not words:
        try:
            try_rule(declaration, settings)
            plan_step(declaration, settings)
        except StepError as error:
            raise ConformanceError(placed(declaration, str(error))) from error
    compiled_agrees(declaration, settings, words, draws=draws, seed=seed)


def compiled_agrees(
    declaration: Step,
    settings: Config,
    words: Mapping[str, Any] | None = None,
    *,
    draws: int = 200,
    seed: int = 17,
) -> None:
    """Require that a rule compiles, and that compiled and plain agree bit for bit.

    Raises
    ------
    ConformanceError
        With the values for which the two answers differ.
    """
    if not declaration.compiled or declaration.function is None:
        return
    random = np.random.default_rng(seed)
    compiled = compile_step(declaration.function)
    slots = max(1, len(declaration.state_names(settings)))
    states = np.zeros(slots), np.zeros(slots)
    vocabulary = VOCABULARY[declaration.kind]
    given = dict(words or {})
    marks = column_fields(type(settings))
    if declaration.tables is not None and "tables" not in given:
        given["tables"] = tables_of(declaration, settings)
    for _ in range(draws):
        values: dict[str, Any] = {}
        for name in declaration.parameters:
            if name in given:
                values[name] = given[name]
            elif name in vocabulary and name not in type(settings).model_fields:
                values[name] = _draw(name, vocabulary[name], random)
            elif marks.get(name) == "expression":
                values[name] = np.float64(random.choice([0.0, 1.0, np.nan]))
            elif marks.get(name) == "input":
                values[name] = np.float64(random.lognormal(3.0, 2.0))
            elif name != "state":
                values[name] = number_of(settings, name)
        answers = []
        for function, state in zip((declaration.function, compiled), states, strict=True):
            more = {"state": state} if "state" in declaration.parameters else {}
            with np.errstate(all="ignore"):
                given_now = ({**values, **more}[name] for name in declaration.parameters)
                with compiler_named():
                    answers.append(_bits(function(*given_now)))
        if answers[0] != answers[1]:
            raise ConformanceError(f"compiled and plain differ for {values}")
