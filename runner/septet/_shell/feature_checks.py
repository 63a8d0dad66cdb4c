"""Findings of `check` on features that are never known, and rules that are never true."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from septet._config.pydantic_problems import problem_at
from septet._expressions import Expr, names_in, parse_expression
from septet._host.plugin_registry import BUILT_IN
from septet._plan.plain import is_arithmetic
from septet._shell.compile_policy import ran_plain_first
from septet._shell.feature_values import LEAST_BARS, FeatureValues, last_values
from septet._shell.model_layer import model_columns
from septet._shell.session import Session
from septet._shell.weight_checks import portfolio_inputs, weight_problems
from septet.errors import Problem, SeptetError

__all__ = ["feature_problems"]

_SURE_BARS: Final = 1_000
ENTRIES: Final = {"long_if": 3, "short_if": 1}
"""Rules that open a position, and their signal codes."""
FLAT: Final = 2
RULES: Final = (*ENTRIES, "exit_if")


def feature_problems(session: Session) -> list[Problem]:
    """Compute the features of the last bars, and return which rules can never act on them.

    A feature without a finite value, or with one value alone; a rule that is true on no bar. The
    first is an error where a model or a portfolio reads the feature, or entry rules of which none
    is ever true, if all the data was looked at, or 1,000 bars of a file that reads no series.
    Nothing is reported where the features need a compiler that may not be used.
    """
    try:
        values = ran_plain_first(session, lambda: last_values(session))
    except Exception as error:  # a step may raise anything; `run` reports it with its place
        if isinstance(error, SeptetError) or is_arithmetic(error):
            return []
        raise
    if values is None:
        return []
    ready = values.ready(session.plan.warmup_bars)
    silent = _signal_problems(session, values, ready)
    rules, needed_columns = _rules(session), set(_model_inputs(session))
    entries = [name for name in ENTRIES if name in rules]
    if entries and set(entries) <= {each.key.rpartition(".")[2] for each in silent}:
        needed_columns |= {str(each) for name in entries for each in names_in(rules[name])}
    needed_columns |= portfolio_inputs(values)
    return [*_features(session, values, needed_columns), *silent, *weight_problems(values)]


def _signal_problems(
    session: Session, values: FeatureValues, ready: npt.NDArray[np.bool_]
) -> list[Problem]:
    """Return problems of rules, or other signals, that never ask for a position or an exit."""
    if values.D is None or not session.strategy.follows_signal:
        return []
    count, rules = int(ready.sum()), _rules(session)
    exits, conflicts = values.signal_is(FLAT, ready), 0
    problems = []
    if rules:
        conflicts = values.reason_is("conflict", ready)
    elif not any(values.signal_is(side, ready) for side in ENTRIES.values()):
        text = f"the signal asks for a position on no bar of the {count:,} looked at"
        return [
            problem_at(
                session.loaded.tree, ("signal",), text, severity="warning",
                hint="compare its settings with the values of the features",
            )
        ]  # fmt: skip
    for name, side in ENTRIES.items():
        if name in rules and not values.signal_is(side, ready):
            opposite = "short_if" if name == "long_if" else "long_if"
            first = [f"exit_if, true on {exits:,}, is not"] if exits else []
            first += [f"{opposite}, true with it on {conflicts:,}, is not"] if conflicts else []
            problems.append(_never_true(session, name, count, first))
    if "exit_if" in rules and not exits:
        problems.append(_never_true(session, "exit_if", count, []))
    return problems


def _never_true(session: Session, name: str, count: int, first: list[str]) -> Problem:
    """Return the problem that a rule is true on no bar, or only where an earlier one is."""
    text = f"{name} is true on no bar of the {count:,} looked at"
    text += f" on which {' and '.join(first)}" if first else ""
    return problem_at(
        session.loaded.tree, ("signal", name), text, found=_text(session, name),
        severity="warning", hint=_hint(session, _rules(session)[name]),
    )  # fmt: skip


def _features(session: Session, values: FeatureValues, needed: set[str]) -> list[Problem]:
    problems = []
    graph = session.plan.assembly.graph
    # a series may have ended before the last bars; candles continue
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
                    values.complete or (lasting and len(column) >= _SURE_BARS)
                )
                text, severity = f"{name} is finite on none {bars}", "error" if fatal else "warning"
                hint = "what reads it never acts: change the feature, or leave it out"
            elif len(finite) > 1 and finite.min() == finite.max():
                each = (
                    f"on each {bars}"
                    if len(finite) == len(column)
                    else f"on the {len(finite):,} {bars} that have a value"
                )
                text, severity = f"{name} is {finite[0]:g} {each}", "warning"
                hint = "a constant carries no information for a rule or a model"
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
    """Return the rules of a `rules` signal by name."""
    signal = session.strategy.signal
    if signal.distribution != BUILT_IN or signal.use.rpartition(":")[2] != "rules":
        return {}
    return {name: parse_expression(text) for name in RULES if (text := _text(session, name))}


def _text(session: Session, name: str) -> str:
    rule: Any = getattr(session.strategy.signal.config, name)
    return str(rule) if rule is not None else ""


def _may_include_its_bar(session: Session, name: str) -> bool:
    block = session.strategy.features.get(name)
    plugin = "" if block is None else block.use.rpartition(":")[2]
    return name.endswith(("_upper", "_lower")) or plugin in ("highest", "lowest")


def _hint(session: Session, rule: Expr) -> str:
    if any(_may_include_its_bar(session, each.name) for each in names_in(rule)):
        return "a band or channel may include the bar itself: compare with prev(..., 1)"
    return "compare the thresholds with the values of the features"
