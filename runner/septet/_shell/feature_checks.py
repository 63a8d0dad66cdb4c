"""What `check` says of features that are never known, and of rules that are never true."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from septet._config.check import problem_at
from septet._config.expressions import Expr, names_in, parse_expression
from septet._host.register import BUILT_IN
from septet._plan.plain import is_arithmetic
from septet._shell.feature_values import LEAST_BARS, FeatureValues, last_values
from septet._shell.learning import model_columns
from septet._shell.plain_first import ran_plain_first
from septet._shell.session import Session
from septet.errors import Problem, SeptetError

__all__ = ["feature_problems"]

_SURE_BARS: Final = 1_000
RULES: Final = ("long_if", "short_if", "exit_if")


def feature_problems(session: Session) -> list[Problem]:
    """Compute the features of the last bars, and say what can never act on them.

    A feature without a finite value, or with one value alone; a rule that is true on no bar. The
    first is an error where a model reads the feature, or entry rules of which none is ever true,
    if all the data was looked at, or 1,000 bars of a file that reads no series. Nothing is
    said where the features cannot be computed without a compiler that may not be used.
    """
    try:
        values = ran_plain_first(session, lambda: last_values(session))
    except Exception as error:  # a step may raise anything; `run` reports it with its place
        if isinstance(error, SeptetError) or is_arithmetic(error):
            return []
        raise
    if values is None:
        return []
    rules = _rules(session)
    ready = values.ready(session.plan.warmup_bars)
    never_true = [
        name for name, rule in rules.items() if not (values.rule(rule)[ready] == 1.0).any()
    ]
    entries = [name for name in ("long_if", "short_if") if name in rules]
    needed = set(_model_inputs(session))
    if entries and set(entries) <= set(never_true):
        needed |= {str(each) for name in entries for each in names_in(rules[name])}
    problems = [*_features(session, values, needed)]
    return problems + [
        problem_at(
            session.loaded.tree, ("signal", name),
            f"{name} is true on no bar of the {int(ready.sum()):,} looked at",
            found=_text(session, name), severity="warning",
            hint=_hint(rules[name]),
        )
        for name in never_true
    ]  # fmt: skip


def _features(session: Session, values: FeatureValues, needed: set[str]) -> list[Problem]:
    problems = []
    graph = session.plan.assembly.graph
    # a series may have ended before the last bars; candles go on
    lasting = all(name.partition("@")[0] == "funding" for name in session.market.series)
    for owner in session.strategy.features:
        for name in graph.feature_columns[owner]:
            ready = values.ready(graph.base_ready(graph.named[name]))
            column = values.feature(name)[ready]
            finite = column[np.isfinite(column)]
            bars = f"of the {len(column):,} bars looked at"
            if len(column) < LEAST_BARS:
                continue
            if not len(finite):
                fatal = bool({name, owner} & needed) and (
                    values.complete or (lasting and len(column) >= 1_000)
                )
                text, severity = f"{name} is finite on none {bars}", "error" if fatal else "warning"
                hint = "what reads it never acts: change the feature, or leave it out"
            elif len(finite) > 1 and finite.min() == finite.max():
                text, severity = f"{name} is {finite[0]:g} on each {bars}", "warning"
                hint = "a constant tells a rule or a model nothing"
            else:
                continue
            problems.append(
                problem_at(
                    session.loaded.tree, ("features", owner), text, hint=hint, severity=severity
                )
            )
    return problems


def _model_inputs(session: Session) -> list[str]:
    block = session.strategy.model
    return model_columns(session) if block is not None and type(block.config).learns else []


def _rules(session: Session) -> dict[str, Expr]:
    """Return the rules of a `rules` signal that read features alone, not a model."""
    signal, graph = session.strategy.signal, session.plan.assembly.graph
    if signal.distribution != BUILT_IN or signal.use.rpartition(":")[2] != "rules":
        return {}
    found = {}
    for name in RULES:
        text = _text(session, name)
        if not text:
            continue
        expression = parse_expression(text)
        try:
            for each in names_in(expression):
                graph.column(str(each))
        except SeptetError:
            continue
        found[name] = expression
    return found


def _text(session: Session, name: str) -> str:
    given: Any = getattr(session.strategy.signal.config, name)
    return str(given) if given is not None else ""


def _hint(rule: Expr) -> str:
    if any(each.name.endswith(("_upper", "_lower")) for each in names_in(rule)):
        return "a band or channel may include the bar itself: compare with prev(..., 1)"
    return "compare the thresholds with the values of the features"
