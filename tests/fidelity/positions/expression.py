"""Rules of a file, evaluated one row at a time: arithmetic, comparisons, and/or/not.

A comparison that touches NaN is unknown (None); and, or, not follow Kleene; only true acts.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from functools import cache

__all__ = ["is_true", "number", "truth"]

Names = Mapping[str, float]
Value = float | bool | None


@cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


def truth(text: str, names: Names) -> bool | None:
    """Return a condition's value: true, false, or None where it is unknown."""
    found = _value(_parsed(text), names)
    if found is None or isinstance(found, bool):
        return found
    raise ValueError(f"not a condition: {text}")


def is_true(text: str | None, names: Names) -> bool:
    """Return whether a condition is there and true."""
    return text is not None and truth(text, names) is True


def number(text: str, names: Names) -> float:
    """Return the value of an arithmetic expression, NaN where it is unknown."""
    return _number(_parsed(text), names)


def _number(node: ast.expr, names: Names) -> float:
    found = _value(node, names)
    if found is None or isinstance(found, bool):
        raise ValueError(f"not a number: {ast.unparse(node)}")
    return found


def _value(node: ast.expr, names: Names) -> Value:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        return float(names[node.id])
    if isinstance(node, ast.BoolOp):
        return _kleene(node, names)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _value(node.operand, names)
        return None if inner is None else not inner
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand, names)
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, names)
    if isinstance(node, ast.Compare):
        return _compare(node, names)
    raise ValueError(f"not understood: {ast.unparse(node)}")


def _kleene(node: ast.BoolOp, names: Names) -> bool | None:
    parts = [_value(each, names) for each in node.values]
    decisive = isinstance(node.op, ast.Or)  # one true decides an or, one false an and
    if any(part is decisive for part in parts):
        return decisive
    return None if None in parts else not decisive


def _arithmetic(node: ast.BinOp, names: Names) -> float:
    left, right = _number(node.left, names), _number(node.right, names)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Div):
        return left / right if right else math.nan
    raise ValueError(f"not understood: {ast.unparse(node)}")


def _compare(node: ast.Compare, names: Names) -> bool | None:
    values = [_number(each, names) for each in (node.left, *node.comparators)]
    if any(math.isnan(each) for each in values):
        return None
    pairs = zip(values, values[1:], node.ops, strict=False)
    return all(_holds(operator, left, right) for left, right, operator in pairs)


def _holds(operator: ast.cmpop, left: float, right: float) -> bool:
    orders = {
        ast.Gt: left > right, ast.GtE: left >= right, ast.Lt: left < right,
        ast.LtE: left <= right, ast.Eq: left == right, ast.NotEq: left != right,
    }  # fmt: skip
    return orders[type(operator)]
