"""Cross-checks of conditions: none that no bar satisfies, none that every bar satisfies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from septet._config.check_context import CheckContext, portfolio_readings, readings
from septet._config.cross_features import expression_problem
from septet._config.feature_ranges import LEAST_PRICE, FeatureRanges
from septet._config.ranges import ALL, can_hold, difference, text_of
from septet._config.tree import Path
from septet._expressions import (
    Call,
    Compare,
    Expr,
    ExpressionError,
    Not,
    names_in,
    parse_expression,
    walk,
)

__all__ = ["CHECKS"]


def _conditions(context: CheckContext) -> Iterator[tuple[Path, Expr]]:
    if context.strategy.portfolio.decides:
        condition_readings = portfolio_readings(context.strategy)
    else:  # regular buys have a signal that is never set
        condition_readings = readings(("signal",), context.strategy.signal.config)
    for reading in condition_readings:
        if reading.is_expression and str(reading.path[-1]).endswith("_if"):
            yield reading.path, parse_expression(reading.text, "condition")


def check_conditions(context: CheckContext) -> None:
    """Every rule can be true, and every comparison in it can be true and false."""
    if context.has_errors:  # unreadable conditions are reported elsewhere
        return
    ranges = FeatureRanges(context.strategy, context.host)
    try:
        rules = dict(_conditions(context))
        for path, rule in rules.items():
            _check_rule(context, ranges, path, rule)
        _check_exit(context, ranges, rules)
    except (ExpressionError, KeyError):  # a column or a plugin that another check reports
        return
    except Exception as error:  # a third-party function may raise anything
        context.warn(
            ("features",),
            f"the ranges of features cannot be determined: {type(error).__name__}: {error}",
            hint="a plugin's value_range or inner failed: report this to its package",
        )


def _check_rule(context: CheckContext, ranges: FeatureRanges, path: Path, rule: Expr) -> None:
    possible = can_hold((rule,), ranges.of)
    reported = False
    for part in walk(rule):
        if not isinstance(part, Compare) and not (isinstance(part, Call) and _is_condition(part)):
            continue
        about = _bounded(ranges, part)
        if not about:
            continue
        if not can_hold((part,), ranges.of):
            text = f"this is never true: {about}"
            expression_problem(
                context, path, part.offset, text, _replacement_for(part),
                severity="warning" if possible else "error",
            )  # fmt: skip
            reported = reported or not possible
        elif isinstance(part, Compare) and not can_hold((Not(part),), ranges.of):
            text = f"this is true on every bar: {about}"
            hint = f"leave it out, or {_replacement_for(part)}"
            expression_problem(context, path, part.offset, text, hint, severity="warning")
    if not possible and not reported and names_in(rule):
        excluding = _exclusive(rule, ranges)
        text = f"no bar can satisfy this: {excluding}" if excluding else "no bar can satisfy this"
        context.error(path, text, found=f"'{text_of(rule)}'", hint=_never_hint(path))


def _replacement_for(part: Expr) -> str:
    """Return a replacement for a comparison whose result is always the same."""
    if isinstance(part, Compare) and difference(part.left, part.right) != ALL:
        return "compare with a price of another bar, such as prev(high, 1), or a feature"
    return "write another number"


def _is_condition(part: Call) -> bool:
    return part.function in ("between", "crosses_above", "crosses_below")


def _never_hint(path: Path) -> str:
    if path[-1] == "exit_if":
        return "write or instead of and, or another number; as it is nothing leaves by this rule"
    return "write or instead of and, or another number; as it is nothing is ever traded by this"


def _bounded(ranges: FeatureRanges, part: Expr) -> str:
    """Return the known ranges of the features in a comparison."""
    if isinstance(part, Compare) and difference(part.left, part.right) != ALL:
        return f"{text_of(part.left)} and {text_of(part.right)} are prices of one bar"
    bounds = []
    for name in names_in(part):
        low, high = ranges.of(name)
        if low == LEAST_PRICE:
            bounds.append(f"{name} is above 0")
        elif (low, high) != ALL:
            between = f"lies between {low:.6g} and {high:.6g}"
            if low == -float("inf"):
                between = f"is never above {high:.6g}"
            elif high == float("inf"):
                between = f"is never below {low:.6g}"
            bounds.append(f"{name} {between}")
    return ", ".join(bounds)


def _exclusive(rule: Expr, ranges: FeatureRanges) -> str:
    """Return the names of two parts of a rule that exclude each other."""
    parts: Any = getattr(rule, "parts", ())
    for index, part in enumerate(parts):
        for second in parts[index + 1 :]:
            if not can_hold((part, second), ranges.of):
                return f"'{text_of(part)}' and '{text_of(second)}' exclude each other"
    return ""


def _check_exit(context: CheckContext, ranges: FeatureRanges, rules: Mapping[Path, Expr]) -> None:
    """An exit that is true whenever an entry is leaves nothing to enter."""
    leave = rules.get(("signal", "exit_if"))
    for path, rule in rules.items():
        if leave is None or path[-1] == "exit_if" or not can_hold((rule,), ranges.of):
            continue
        if not can_hold((rule, Not(leave)), ranges.of):
            context.warn(
                path,
                "nothing is ever entered by this rule: exit_if is true whenever it is, and an "
                "exit beats an entry",
                hint="make exit_if the opposite of the entry",
            )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (check_conditions,)
