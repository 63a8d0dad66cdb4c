"""Uses of the cursor `i` as a count of bars, found in the text of a step.

Where the arrays begin differs between batch and event, so `i` means something only beside another
place in the same arrays. Every expression has a weight: by how much its value moves when all
places move by one. A place has weight 1, a distance between two places 0. A test, a remainder or an
answer whose weight is not balanced depends on where the arrays begin. What is not understood
has no known weight, and is not reported.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import ModuleType
from typing import Any, Final

from septet._host.declare import Step
from septet._host.imports import OURS
from septet._host.named_state import numbered, written
from septet._kernel.marks import index

__all__ = ["cursor_counts"]

DEEPEST: Final = 8
"""Most levels of helpers inside helpers that are followed."""
SCALED: Final = math.inf
"""The weight of a product or a function of a place: not zero, and unknown."""
LARGEST: Final = 2.0**53
HINT: Final = (
    "i is a place in the arrays, never a count of bars; compare it with another place (j <= i) or "
    "use a distance (i - j), and count bars with age, slot[i] or the state"
)
_STATE: Final = object()
_SAME: Final = frozenset({"int", "float", "round", "abs", "int64", "uint64", "intp", "float64"})
Weights = dict[str, Any]
"""The weight of each name: a number, None if unknown, or the mark of the state."""


def cursor_counts(step: Step) -> list[tuple[str, str]]:
    """Return each use of the cursor as a count of bars: its ``file:line``, and the fault."""
    function = step.function
    if function is None or step.kind not in ("feature", "regime") or "i" not in step.parameters:
        return []
    scope: Weights = dict.fromkeys(step.parameters, 0)
    scope["i"] = 1
    if "state" in scope:
        scope["state"] = _STATE
    uses: dict[tuple[str, str], None] = {}
    _follow(function, scope, uses, 0)
    return list(uses)


def _follow(
    function: Callable[..., Any], scope: Weights, uses: dict[tuple[str, str], None], depth: int
) -> Any:
    """Follow a function; return the weight of its result."""
    function = inspect.unwrap(function)
    try:
        lines, first = inspect.getsourcelines(function)
        node = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError):
        return None
    if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
        return None
    body = _Body(function, first - 1, uses, depth)
    body.block(numbered(node, function).body, scope)
    return _joined(body.answers) if body.answers else None


class _Body:
    """The statements of one function."""

    def __init__(
        self, function: Any, line: int, uses: dict[tuple[str, str], None], depth: int
    ) -> None:
        self.plain, self.line, self.found, self.depth = function, line, uses, depth
        self.answers: list[Any] = []
        self.given: list[tuple[str, Any]] = []

    def _set(self, name: str, weight: Any, scope: Weights) -> None:
        scope[name] = weight
        self.given.append((name, weight))

    def _forget(self, node: ast.AST, scope: Weights) -> None:
        for name in _assigned(node):
            self._set(name, None, scope)

    def _report(self, node: ast.AST, does: str) -> None:
        line = getattr(node, "lineno", 1) + self.line
        text = written(node)
        place = f"{self.plain.__code__.co_filename}:{line}"
        self.found[place, f"{self.plain.__name__} {does} {text:.80}: {HINT}"] = None

    # ------------------------------------------------------------------ statements

    def block(self, statements: list[ast.stmt], scope: Weights) -> bool:
        """Follow statements; return whether the statement after them is reached."""
        return all(self._statement(each, scope) for each in statements)

    def _statement(self, node: ast.stmt, scope: Weights) -> bool:
        match node:
            case ast.Return():
                self._answer(node.value, scope)
                return False
            case ast.Continue() | ast.Break():
                return False
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value, scope)
            case ast.AnnAssign(value=ast.expr()):
                self._assign(node.target, node.value, scope)  # type: ignore[arg-type]
            case ast.AugAssign(target=ast.Name(id=name)):
                name_read = ast.copy_location(ast.Name(name, ast.Load()), node)
                sum_of_both = ast.copy_location(ast.BinOp(name_read, node.op, node.value), node)
                self._set(name, self.weight(sum_of_both, scope), scope)
            case ast.If():
                return self._if(node, scope)
            case ast.For() | ast.While():
                self._loop(node, scope)
            case ast.AugAssign() | ast.Expr() | ast.Assert():
                for child in ast.iter_child_nodes(node):
                    self.weight(child, scope)
            case _:
                self._forget(node, scope)
        return True

    def _answer(self, node: ast.expr | None, scope: Weights) -> None:
        if self.depth == 0 and isinstance(node, ast.Tuple):
            for each in node.elts:
                self._answer(each, scope)
        elif self.depth == 0 and isinstance(node, ast.IfExp):
            self._test(node.test, scope)
            self._answer(node.body, scope)
            self._answer(node.orelse, scope)
        elif node is not None:
            weight = self.weight(node, scope)
            self.answers.append(weight)
            if self.depth == 0 and _moves(weight):
                self._report(node, "returns")

    def _assign(self, target: ast.expr, source: ast.expr, scope: Weights) -> None:
        pairs = isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple)
        if pairs and len(target.elts) == len(source.elts):  # type: ignore[attr-defined]
            weights = [self.weight(each, scope) for each in source.elts]  # type: ignore[attr-defined]
            for each, weight in zip(target.elts, weights, strict=True):  # type: ignore[attr-defined]
                self._bind(each, weight, scope)
            return
        self._bind(target, self.weight(source, scope), scope)

    def _bind(self, target: ast.expr, weight: Any, scope: Weights) -> None:
        if isinstance(target, ast.Name):
            self._set(target.id, weight, scope)
        elif isinstance(target, ast.Subscript):
            self.weight(target, scope)
        else:
            self._forget(target, scope)

    def _if(self, node: ast.If, scope: Weights) -> bool:
        self._test(node.test, scope)
        branches = []
        for body in (node.body, node.orelse):
            branch = dict(scope)
            if self.block(body, branch):
                branches.append(branch)
        names = {name for each in branches for name in each}
        joined = {name: _joined([each.get(name) for each in branches]) for name in names}
        scope.clear()
        scope.update(joined)
        return bool(branches)

    def _loop(self, node: ast.For | ast.While, scope: Weights) -> None:
        """Follow a body whose names have their values from before it, or after any iteration."""
        found_before, answers = dict(self.found), list(self.answers)
        scope_before: Weights = {}
        while scope_before != scope:  # each iteration makes more of them unknown, or none
            scope_before, first = dict(scope), len(self.given)
            self._turn(node, dict(scope))
            for name, weight in self.given[first:]:  # an iteration may end after any of them
                scope[name] = _joined([scope.get(name, weight), weight])
        self.found.clear()  # findings of one iteration may not hold in all of them
        self.found.update(found_before)
        self.answers[:] = answers
        self._turn(node, dict(scope))
        self.block(node.orelse, dict(scope))

    def _turn(self, node: ast.For | ast.While, scope: Weights) -> None:
        if isinstance(node, ast.While):
            self._test(node.test, scope)
        else:
            self._bind(node.target, self._range(node.iter, scope), scope)
        self.block(node.body, scope)

    def _range(self, node: ast.expr, scope: Weights) -> Any:
        """Return the weight of a loop variable."""
        if not isinstance(node, ast.Call) or self._called(node.func, scope) is not range:
            self.weight(node, scope)
            return None
        ends = [self.weight(each, scope) for each in node.args][:2]
        return _joined(ends if len(ends) == 2 else [0, *ends])

    # ------------------------------------------------------------------ expressions

    def _test(self, node: ast.expr, scope: Weights) -> None:
        """Follow an expression that is used as a condition."""
        if isinstance(node, ast.BoolOp):
            for each in node.values:
                self._test(each, scope)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._test(node.operand, scope)
        elif _moves(self.weight(node, scope)):
            self._report(node, "tests")

    def weight(self, node: ast.AST, scope: Weights) -> Any:
        """Follow an expression; return its weight."""
        match node:
            case ast.Constant():
                return 0
            case ast.Name():
                return scope[node.id] if node.id in scope else self._global_weight(node.id)
            case ast.BinOp():
                return self._binary(node, scope)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                weight = self.weight(node.operand, scope)
                negative = isinstance(node.op, ast.USub) and _known(weight)
                return -weight if negative else weight
            case ast.UnaryOp(op=ast.Not()) | ast.BoolOp():
                self._test(node, scope)
                return 0 if isinstance(node, ast.UnaryOp) else None
            case ast.Compare():
                self._compare(node, scope)
                return 0
            case ast.Subscript():
                base = self.weight(node.value, scope)
                self.weight(node.slice, scope)
                return 0 if base == 0 else None
            case ast.IfExp():
                self._test(node.test, scope)
                return _joined([self.weight(each, scope) for each in (node.body, node.orelse)])
            case ast.Call():
                return self._call(node, scope)
            case ast.NamedExpr():
                weight = self.weight(node.value, scope)
                self._set(node.target.id, weight, scope)
                return weight
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self._comprehension(node, scope)
            case ast.Lambda() | ast.DictComp():
                self._forget(node, scope)
            case _:
                for child in ast.iter_child_nodes(node):
                    self.weight(child, scope)
        return None

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Weights
    ) -> None:
        for name in _named_inside(node):
            self._set(name, None, scope)  # it may change between iterations
        inner_scope = dict(scope)
        for each in node.generators:
            self._bind(each.target, self._range(each.iter, inner_scope), inner_scope)
            for test in each.ifs:
                self._test(test, inner_scope)
        self.weight(node.elt, inner_scope)

    def _compare(self, node: ast.Compare, scope: Weights) -> None:
        weights = [self.weight(each, scope) for each in (node.left, *node.comparators)]
        for left, right in pairwise(weights):
            if _known(left) and _known(right) and left != right:
                self._report(node, "tests")

    def _binary(self, node: ast.BinOp, scope: Weights) -> Any:
        left, right = self.weight(node.left, scope), self.weight(node.right, scope)
        if not _known(left) or not _known(right):
            return None
        if left == 0 and right == 0:
            return 0
        match node.op:
            case ast.Add() | ast.Sub():
                if SCALED in (abs(left), abs(right)) and left != 0 and right != 0:
                    return None
                return round(left + right if isinstance(node.op, ast.Add) else left - right, 9)
            case ast.Mult():
                number = _constant(node.left if left == 0 else node.right)
                if (left != 0 and right != 0) or number is None or abs(number) > LARGEST:
                    return SCALED
                return (left + right) * number if number else 0
            case ast.Div() | ast.FloorDiv() if right == 0:
                number = _constant(node.right)
                if number and abs(left) != SCALED and left % number == 0:
                    return left / number
                if isinstance(node.op, ast.FloorDiv) and abs(left) != SCALED:
                    self._report(node, "computes")
                    return None
            case ast.Mod() | ast.BitAnd() if right == 0 and abs(left) != SCALED:
                self._report(node, "computes")
                return None
        return SCALED

    # ------------------------------------------------------------------ names and calls

    def _global(self, name: str) -> Any:
        if self.plain.__closure__:
            outer = inspect.getclosurevars(self.plain).nonlocals
            if name in outer:
                return outer[name]
        return self.plain.__globals__.get(name, getattr(builtins, name, None))

    def _global_weight(self, name: str) -> Any:
        return 0 if isinstance(self._global(name), int | float | tuple) else None

    def _called(self, node: ast.expr, scope: Weights) -> Any:
        """Return the function that a call calls; None if it is unknown."""
        if isinstance(node, ast.Name) and node.id not in scope:
            return self._global(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self._global(node.value.id) if node.value.id not in scope else None
            return getattr(module, node.attr, None) if isinstance(module, ModuleType) else None
        return None

    def _call(self, node: ast.Call, scope: Weights) -> Any:
        called = self._called(node.func, scope)
        if called is None:
            self.weight(node.func, scope)
        weights_of_arguments = [self.weight(each, scope) for each in node.args]
        named = {each.arg: self.weight(each.value, scope) for each in node.keywords}
        starred = any(isinstance(each, ast.Starred) for each in node.args) or None in named
        if called is None or starred:
            return None
        if called is len:
            return 0
        if called in (min, max) and len(weights_of_arguments) > 1 and not named:
            return self._outermost(node, called is max, weights_of_arguments)
        if len(weights_of_arguments) == 1 and (
            called is index or getattr(called, "__name__", "") in _SAME
        ):
            return weights_of_arguments[0]
        if inspect.isfunction(called) and not _is_septets(called):
            return self._helper(called, weights_of_arguments, named)
        numeric = _is_septets(called) or getattr(called, "__module__", "") == "math"
        weights = [*weights_of_arguments, *named.values()]
        if not numeric or not all(map(_known, weights)) or "i" in _parameters(called):
            return None
        moving = [each for each in weights if each != 0]
        return SCALED if len(moving) == 1 else None if moving else 0

    def _outermost(self, node: ast.Call, largest: bool, argument_weights: list[Any]) -> Any:
        """Return the weight of the minimum or the maximum of some values."""
        if not all(map(_known, argument_weights)) or len(set(argument_weights)) == 1:
            return _joined(argument_weights)
        unmoved = [
            each for each, weight in zip(node.args, argument_weights, strict=True) if weight == 0
        ]
        moving = _joined([weight for weight in argument_weights if weight != 0])
        numbers = [_constant(each) for each in unmoved]
        if not unmoved or (largest and all(each is not None and each <= 0 for each in numbers)):
            return moving  # max(0, i - n) is the start of a read
        self._report(node, "computes")
        return None

    def _helper(self, called: Any, arguments: list[Any], named: Mapping[Any, Any]) -> Any:
        """Follow a helper of the same package."""
        if self.depth >= DEEPEST:
            return None
        try:
            bound = inspect.signature(called).bind(*arguments, **named)
        except (TypeError, ValueError):
            return None
        scope: Weights = {**dict.fromkeys(inspect.signature(called).parameters), **bound.arguments}
        return _follow(called, scope, self.found, self.depth + 1)


def _known(weight: Any) -> bool:
    return isinstance(weight, int | float)


def _moves(weight: Any) -> bool:
    return _known(weight) and weight != 0


def _joined(weights: list[Any]) -> Any:
    """Return the common weight; None if the weights differ."""
    return weights[0] if weights and all(each == weights[0] for each in weights) else None


def _constant(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _constant(node.operand)
        return None if number is None else -number
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int | float) else None


def _assigned(node: ast.AST) -> Iterator[str]:
    """Yield the names to which a statement, or its content, assigns a value."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load):
            yield each.id


def _named_inside(node: ast.AST) -> Iterator[str]:
    """Yield the names to which assignment expressions inside an expression assign a value."""
    for each in ast.walk(node):
        if isinstance(each, ast.NamedExpr):
            yield each.target.id


def _is_septets(called: Any) -> bool:
    return str(getattr(called, "__module__", "")).partition(".")[0] in OURS


def _parameters(called: Any) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(called).parameters)
    except (TypeError, ValueError):
        return ()
