"""Cross-checks of conditions: none that no bar satisfies, none that every bar satisfies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from septet._config.case import Case, readings
from septet._config.cross_features import expression_problem, output_columns
from septet._config.expressions import (
    Call,
    Compare,
    Expr,
    ExpressionError,
    Name,
    Not,
    names_in,
    parse_expression,
    walk,
)
from septet._config.ranges import ALL, Range, can_hold, range_of, text_of
from septet._config.tree import Path
from septet._host.declare import Step
from septet_schemas.blocks import UseBlock

__all__ = ["CHECKS"]

_COLUMNS: Final[Mapping[str, Range]] = dict.fromkeys(
    ("open", "high", "low", "close", "volume"), (0.0, float("inf"))
)
_MAX_DEPTH: Final = 30


@dataclass
class _Ranges:
    """Range of every column of a strategy, worked out when it is asked for."""

    case: Case
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)
    found: dict[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, block in self.case.strategy.features.items():
            for column in output_columns(name, block):
                self.owners.setdefault(column, (name, column[len(name) + 1 :]))

    def of(self, name: Name, depth: int = 0) -> Range:
        """Return the range of a column, all numbers where it is not known."""
        if name.name in _COLUMNS:
            return _COLUMNS[name.name]
        if name.name not in self.owners or depth > _MAX_DEPTH:
            return ALL
        if name.name not in self.found:
            feature, output = self.owners[name.name]
            block = self.case.strategy.features[feature]
            self.found[name.name] = self._of_output(block, output, depth)
        return self.found[name.name]

    def _of_output(self, block: UseBlock, output: str, depth: int) -> Range:
        step = block.declaration
        if not isinstance(step, Step):
            return ALL
        if step.value_range is None and "formula" in type(block.config).model_fields:
            formula = parse_expression(str(getattr(block.config, "formula", "0")))
            return range_of(formula, lambda name: self.of(name, depth + 1))
        if step.function is None and step.inner is not None:
            part = step.inner(block.config)[output]
            inner = self.case.host.load(self.case.host.inner(part.use, block.distribution))
            source = str(part.config.get("of", ""))
            if inner.value_range == "of" and not source.startswith("@"):
                return self.of(_name(source), depth + 1)
            return ALL
        said = step.range_of(block.config, output)
        if isinstance(said, str):
            return self.of(_name(str(getattr(block.config, said))), depth + 1)
        return float(said[0]), float(said[1])


def _name(text: str) -> Name:
    column, _, symbol = text.partition("@")
    return Name(column, symbol.strip("'"))


def _conditions(case: Case) -> Iterator[tuple[Path, Expr]]:
    for reading in readings(("signal",), case.strategy.signal.config):
        if reading.is_expression and str(reading.path[-1]).endswith("_if"):
            yield reading.path, parse_expression(reading.text, "condition")


def check_conditions(case: Case) -> None:
    """Every rule can be true, and every comparison in it can be true and false."""
    if case.has_errors:  # what cannot be read is told already
        return
    ranges = _Ranges(case)
    try:
        rules = dict(_conditions(case))
        for path, rule in rules.items():
            _check_rule(case, ranges, path, rule)
        _check_exit(case, ranges, rules)
    except (ExpressionError, KeyError):  # a column or a plugin that another check reports
        return
    except Exception as error:  # a stranger's function may raise anything
        case.warn(
            ("features",),
            f"the ranges of features cannot be told: {type(error).__name__}: {error}",
            hint="a plugin's value_range or inner failed: report this to its package",
        )


def _check_rule(case: Case, ranges: _Ranges, path: Path, rule: Expr) -> None:
    possible = can_hold((rule,), ranges.of)
    said = False
    for part in walk(rule):
        if not isinstance(part, Compare) and not (isinstance(part, Call) and _is_condition(part)):
            continue
        about = _bounded(ranges, part)
        if not about:
            continue
        if not can_hold((part,), ranges.of):
            text = f"this is never true: {about}"
            expression_problem(
                case, path, part.offset, text, "write another number",
                severity="warning" if possible else "error",
            )  # fmt: skip
            said = said or not possible
        elif isinstance(part, Compare) and not can_hold((Not(part),), ranges.of):
            text = f"this is true on every bar: {about}"
            hint = "leave it out, or write another number"
            expression_problem(case, path, part.offset, text, hint, severity="warning")
    if not possible and not said and any(name.name in ranges.owners for name in names_in(rule)):
        apart = _exclusive(rule, ranges)
        text = f"no bar can satisfy this: {apart}" if apart else "no bar can satisfy this"
        case.error(path, text, found=f"'{text_of(rule)}'", hint=_never_hint(path))


def _is_condition(part: Call) -> bool:
    return part.function in ("between", "crosses_above", "crosses_below")


def _never_hint(path: Path) -> str:
    if path[-1] == "exit_if":
        return "write or instead of and, or another number; as it is nothing leaves by this rule"
    return "write or instead of and, or another number; as it is nothing is ever traded by this"


def _bounded(ranges: _Ranges, part: Expr) -> str:
    """Say between what the features in a comparison lie, where that is known."""
    said = []
    for name in names_in(part):
        low, high = ranges.of(name)
        if name.name in ranges.owners and (low, high) != ALL:
            between = f"lies between {low:.6g} and {high:.6g}"
            if low == -float("inf"):
                between = f"is never above {high:.6g}"
            elif high == float("inf"):
                between = f"is never below {low:.6g}"
            said.append(f"{name} {between}")
    return ", ".join(said)


def _exclusive(rule: Expr, ranges: _Ranges) -> str:
    """Name two parts of a rule that exclude each other."""
    parts: Any = getattr(rule, "parts", ())
    for index, part in enumerate(parts):
        for other in parts[index + 1 :]:
            if not can_hold((part, other), ranges.of):
                return f"'{text_of(part)}' and '{text_of(other)}' exclude each other"
    return ""


def _check_exit(case: Case, ranges: _Ranges, rules: Mapping[Path, Expr]) -> None:
    """An exit that is true whenever an entry is leaves nothing to enter."""
    leave = rules.get(("signal", "exit_if"))
    for path, rule in rules.items():
        if leave is None or path[-1] == "exit_if" or not can_hold((rule,), ranges.of):
            continue
        if not can_hold((rule, Not(leave)), ranges.of):
            case.warn(
                path,
                "nothing is ever entered by this rule: exit_if is true whenever it is, and an "
                "exit beats an entry",
                hint="make exit_if the opposite of the entry",
            )


CHECKS: Final[tuple[Callable[[Case], None], ...]] = (check_conditions,)
