"""The statements and expressions of a step, followed with the bounds of every whole number."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from septet._host.imports import OURS
from septet._host.integer_bounds import ANY, Value, exactly, join, largest, smallest
from septet._host.named_state import written
from septet._kernel.marks import index

__all__ = ["Array", "Body", "Read", "Scope", "Walk", "are_values"]

DEEPEST: Final = 8
"""Helpers inside helpers that are followed."""
Scope = dict[str, Any]
"""What is known of each name: bounds, an array, or nothing (None)."""


class Read(msgspec.Struct, frozen=True):
    """A read that is not proved to be of the past: where, and what of it is not known."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Array(msgspec.Struct, frozen=True):
    """A column, or the `state` of a step, under whatever name."""

    name: str


class Walk(Protocol):
    """What follows a step and the helpers it calls, and checks what they read."""

    found: list[Read]

    def function(self, function: Callable[..., Any], scope: Scope, depth: int) -> Any:
        """Follow a function; return what is known of its answer."""
        ...

    def why_not(self, at: Value, scope: Scope, window: int = 0) -> str:
        """Return why an index is not proved, `window` bars before it included; empty if it is."""
        ...

    def slot(self, at: Value, text: str, read: Read, *, stored: bool) -> None:
        """Require that an index of the state is one of its slots."""
        ...

    def septets(
        self, called: Any, bound: Mapping[str, Any], scope: Scope, report: Callable[[str], None]
    ) -> None:
        """Require of a helper of septet that its windows, and its slots, are in bounds."""
        ...


class Body:
    """The statements of one function."""

    def __init__(self, walk: Walk, function: Any, line: int, depth: int) -> None:
        self.walk, self.plain, self.line, self.depth = walk, function, line, depth
        self.answers: list[Any] = []

    def _place(self, node: Any) -> str:
        return f"{self.plain.__code__.co_filename}:{self.line + node.lineno}"

    def _report(self, node: Any, message: str) -> None:
        self.walk.found.append(Read(self._place(node), f"{self.plain.__name__} {message}"))

    # ------------------------------------------------------------------ statements

    def block(self, statements: list[ast.stmt], scope: Scope) -> bool:
        """Follow statements; return whether the statement after them is reached."""
        return all(self._statement(each, scope) for each in statements)

    def _statement(self, node: ast.stmt, scope: Scope) -> bool:
        for each in ast.walk(node):  # it may be given a value inside another scope
            if isinstance(each, ast.NamedExpr):
                scope[each.target.id] = None
        match node:
            case ast.Return():
                self.answers.append(self._number(node.value, scope) if node.value else None)
                return False
            case ast.Continue() | ast.Break():
                return False
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value, scope)
            case ast.AnnAssign():
                if node.value is not None:
                    self._assign(node.target, node.value, scope)
            case ast.AugAssign():
                self._augmented(node, scope)
            case ast.If():
                return self._if(node, scope)
            case ast.For() | ast.While():
                self._loop(node, scope)
            case ast.Expr() | ast.Assert():
                for child in ast.iter_child_nodes(node):
                    self.value(child, scope)
            case ast.Pass():
                pass
            case ast.Global() | ast.Nonlocal():
                self._report(node, f"writes {', '.join(node.names)}, which is not its own")
            case _:
                self._opaque(node, scope)
        return True

    def _assign(self, target: ast.expr, source: ast.expr, scope: Scope) -> None:
        pairs = isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple)
        if pairs and len(target.elts) == len(source.elts):  # type: ignore[attr-defined]
            values = [self.value(each, scope) for each in source.elts]  # type: ignore[attr-defined]
            for each, value in zip(target.elts, values, strict=True):  # type: ignore[attr-defined]
                self._bind(each, value, scope)
            return
        self._bind(target, self.value(source, scope), scope)

    def _bind(self, target: ast.expr, value: Any, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._bind(each, None, scope)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None, scope)
        else:
            self.value(target, scope)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        if isinstance(node.target, ast.Name):
            name_read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            sum_of_both = ast.copy_location(ast.BinOp(name_read, node.op, node.value), node)
            scope[node.target.id] = self.value(sum_of_both, scope)
            return
        self.value(node.value, scope)
        self.value(node.target, scope)

    def _if(self, node: ast.If, scope: Scope) -> bool:
        self.value(node.test, scope)
        branches = []
        for truth, body in ((True, node.body), (False, node.orelse)):
            branch = dict(scope)
            self._narrow(node.test, branch, truth)
            if self.block(body, branch):
                branches.append(branch)
        scope.clear()
        scope.update(_joined(branches))
        return bool(branches)

    def _loop(self, node: ast.For | ast.While, scope: Scope) -> None:
        """Follow a body of which any number of turns may be made."""
        counted = self._range(node.iter, scope) if isinstance(node, ast.For) else None
        scope.update(dict.fromkeys(_assigned(node)))
        names = {each.id for each in _handed_on(node)}
        if any(isinstance(scope.get(name), Array) for name in names):
            scope.update(dict.fromkeys(_assigned(node), Array("a column")))
        inner_scope = dict(scope)
        if isinstance(node, ast.While):
            self.value(node.test, inner_scope)
            self._narrow(node.test, inner_scope, True)
        else:
            self._bind(node.target, counted, inner_scope)
        self.block(node.body, inner_scope)
        self.block(node.orelse, dict(scope))

    def _range(self, node: ast.expr, scope: Scope) -> Any:
        """Return what is known of the variable of a loop over a range."""
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if not named or self._called(node.func, scope) is not range:  # type: ignore[attr-defined]
            self.value(node, scope)
            return None
        arguments = [self.value(each, scope) for each in node.args]  # type: ignore[attr-defined]
        if not all(isinstance(each, Value) and not each.real for each in arguments):
            return None
        if len(arguments) == 3 and arguments[2].low < 1:
            return _downwards(arguments)
        start, end = (exactly(0), arguments[0]) if len(arguments) == 1 else arguments[:2]
        last = end.minus(exactly(1))
        if start.cursor != last.cursor or not (start.bounded and last.bounded):
            return None
        return Value(
            start.low, last.high, start.cursor, start.age if start.cursor else last.age, False
        )

    def _opaque(self, node: ast.AST, scope: Scope) -> None:
        """Take what is not followed: a column in it is not proved, and its names are unknown."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(scope.get(each.id), Array):
                self._report(each, f"reads {each.id}[...] in a way that is not followed")
        for name in _assigned(node):
            scope[name] = None

    # ------------------------------------------------------------------ what a test implies

    def _narrow(self, test: ast.expr, scope: Scope, truth: bool) -> None:
        match test:
            case ast.UnaryOp(op=ast.Not()):
                self._narrow(test.operand, scope, not truth)
            case ast.BoolOp(op=ast.And()) if truth:
                for each in test.values:
                    self._narrow(each, scope, True)
            case ast.BoolOp(op=ast.Or()) if not truth:
                for each in test.values:
                    self._narrow(each, scope, False)
            case ast.Compare(ops=[op], comparators=[right]):
                self._compare(test.left, op, right, scope, truth)
                self._compare(right, _TURNED.get(type(op), ast.NotEq)(), test.left, scope, truth)

    def _compare(
        self, left: ast.expr, op: ast.cmpop, right: ast.expr, scope: Scope, truth: bool
    ) -> None:
        if not isinstance(left, ast.Name) or not isinstance(right, _PURE):
            return
        bounds, bounds_right = scope.get(left.id, ANY), self.value(right, scope, quiet=True)
        bounds = ANY if bounds is None else bounds
        if not isinstance(bounds, Value) or not isinstance(bounds_right, Value):
            return
        if not truth and (bounds.real or bounds_right.real):
            return  # a comparison that touches NaN is false, too
        kind = type(op) if truth else _OPPOSITE.get(type(op))
        if kind in (ast.Lt, ast.LtE):
            scope[left.id] = bounds.at_most(bounds_right, int(kind is ast.Lt))
        elif kind in (ast.Gt, ast.GtE):
            scope[left.id] = bounds.at_least(bounds_right, int(kind is ast.Gt))
        elif kind is ast.Eq and not bounds.real:
            scope[left.id] = bounds.at_most(bounds_right, 0).at_least(bounds_right, 0)

    # ------------------------------------------------------------------ expressions

    def value(self, node: ast.AST, scope: Scope, *, quiet: bool = False) -> Any:
        """Follow an expression; return what is known of its value."""
        if quiet:
            count = len(self.walk.found)
            result = self.value(node, scope)
            del self.walk.found[count:]
            return result
        match node:
            case ast.Constant(value=bool() | int() | float()):
                number: Any = node.value
                return exactly(int(number) if isinstance(number, bool | int) else number)
            case ast.Name():
                return self._name(node, scope)
            case ast.BinOp():
                return self._binary(node, scope)
            case ast.UnaryOp():
                return self._unary(node, scope)
            case ast.Subscript():
                return self._subscript(node, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.IfExp():
                return self._choice(node, scope)
            case ast.BoolOp() | ast.Compare():
                self._tests(node, scope)
                return Value(0.0, 1.0) if isinstance(node, ast.Compare) else None
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._comprehension(node, scope)
            case ast.Lambda() | ast.NamedExpr():
                self._opaque(node, scope)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._number(child, scope)
        return None

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        if node.id in scope:
            return scope[node.id]
        value = self._global(node.id)
        if isinstance(value, bool | int):
            return exactly(int(value))
        return exactly(value) if isinstance(value, float) and math.isfinite(value) else None

    def _global(self, name: str) -> Any:
        outer = inspect.getclosurevars(self.plain).nonlocals if self.plain.__closure__ else {}
        if name in outer:
            return outer[name]
        return self.plain.__globals__.get(name, getattr(builtins, name, None))

    def _number(self, node: ast.AST, scope: Scope) -> Any:
        """Follow an expression that must not be an array, which is not followed further."""
        value = self.value(node, scope)
        if isinstance(value, Array):
            self._report(node, f"uses {value.name} as a whole; expected {value.name}[index]")
            return None
        return value

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        left, right = self._number(node.left, scope), self._number(node.right, scope)
        if not isinstance(left, Value) or not isinstance(right, Value):
            return None
        operate = _OPERATORS.get(type(node.op))
        return operate(left, right) if operate is not None else None

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self._number(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return Value(0.0, 1.0)
        negative = isinstance(value, Value) and isinstance(node.op, ast.USub)
        return value.negated() if negative else None

    def _choice(self, node: ast.IfExp, scope: Scope) -> Any:
        self.value(node.test, scope)
        values = []
        for truth, part in ((True, node.body), (False, node.orelse)):
            branch = dict(scope)
            self._narrow(node.test, branch, truth)
            values.append(self._number(part, branch))
        return join(values) if all(isinstance(each, Value) for each in values) else None

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope
    ) -> None:
        """Follow what is made of each turn of loops inside an expression."""
        inner_scope = dict(scope)
        for each in node.generators:
            self._bind(each.target, self._range(each.iter, inner_scope), inner_scope)
            for test in each.ifs:
                self._number(test, inner_scope)
                self._narrow(test, inner_scope, True)
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        for part in parts:
            self._number(part, inner_scope)

    def _tests(self, node: ast.BoolOp | ast.Compare, scope: Scope) -> None:
        """Follow each part of a test with what the parts before it imply."""
        inner_scope = dict(scope)
        if isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                self._number(part, inner_scope)
            return
        for part in node.values:
            self._number(part, inner_scope)
            self._narrow(part, inner_scope, isinstance(node.op, ast.And))

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        base = self.value(node.value, scope)
        if isinstance(node.slice, ast.Slice) and isinstance(base, Array):
            self._report(node, f"takes a slice of {base.name}; expected one number")
            return None
        at = self._number(node.slice, scope)
        if isinstance(base, Array):
            at = at if isinstance(at, Value) else ANY
            text = written(node)
            if base.name == "state":
                read = Read(self._place(node), self.plain.__name__)
                self.walk.slot(at, text, read, stored=isinstance(node.ctx, ast.Store))
            else:
                why = self.walk.why_not(at, scope)
                if why:
                    self._report(node, f"reads {text}, {why}")
        return None

    # ------------------------------------------------------------------ calls

    def _called(self, node: ast.expr, scope: Scope) -> Any:
        """Return what a call calls; None where that cannot be known."""
        if isinstance(node, ast.Name) and node.id not in scope:
            return self._global(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self._global(node.value.id) if node.value.id not in scope else None
            return getattr(module, node.attr, None) if module in (math, builtins) else None
        return None

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        called = self._called(node.func, scope)
        if isinstance(node.func, ast.Attribute) and called is None:
            self._number(node.func.value, scope)
        elif called is None:
            self.value(node.func, scope)
        arguments = [self.value(each, scope) for each in node.args]
        named = {each.arg: self.value(each.value, scope) for each in node.keywords}
        if called is index and len(arguments) == 1:
            return arguments[0]
        if inspect.isfunction(called):
            return self._function(node, called, arguments, named, scope)
        for each in (*arguments, *named.values()):
            if isinstance(each, Array):
                self._report(node, f"hands {each.name} to what is not followed")
        arguments = [ANY if each is None else each for each in arguments]
        is_plain = all(isinstance(each, Value) for each in arguments) and not named
        builtin = _BUILTIN.get(called) if callable(called) else None
        return builtin(arguments) if builtin is not None and is_plain and arguments else None

    def _function(
        self, node: ast.Call, called: Any, arguments: list[Any], named: dict[Any, Any], scope: Scope
    ) -> Any:
        """Follow a helper, or take a helper of septet by what it reads."""
        arrays = [each for each in (*arguments, *named.values()) if isinstance(each, Array)]
        starred = any(isinstance(each, ast.Starred) for each in node.args) or None in named
        try:
            bound = (
                None if starred else inspect.signature(called).bind(*arguments, **named).arguments
            )
        except TypeError:
            bound = None
        if bound is None:
            if arrays:
                self._report(node, f"hands {arrays[0].name} to what is not followed")
            return None
        if str(called.__module__).partition(".")[0] in OURS:
            if [each for each in arrays if each.name != "state"] or "at" in bound:
                text = written(node)
                self.walk.septets(
                    called, bound, scope, lambda why: self._report(node, f"calls {text}, {why}")
                )
            return None
        if self.depth >= DEEPEST:
            self._report(node, f"calls {called.__name__} inside too many others to be followed")
            return None
        inner_scope = {**dict.fromkeys(inspect.signature(called).parameters), **bound}
        if isinstance(scope.get("age"), Value) and "age" not in inner_scope:
            inner_scope["age"] = scope["age"]
        return self.walk.function(called, inner_scope, self.depth + 1)


_PURE: Final = (ast.BinOp, ast.Call, ast.Constant, ast.Name, ast.UnaryOp)
_TURNED: Final[Mapping[type, type[ast.cmpop]]] = {
    ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq,
}  # fmt: skip
_OPPOSITE: Final[Mapping[type, type[ast.cmpop]]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
}  # fmt: skip
_OPERATORS: Final[Mapping[type, Callable[[Value, Value], Value]]] = {
    ast.Add: Value.plus, ast.Sub: Value.minus, ast.Mult: Value.times, ast.Div: Value.over,
    ast.FloorDiv: Value.floored, ast.Mod: Value.modulo,
}  # fmt: skip
_BUILTIN: Final[Mapping[Any, Callable[[list[Value]], Value]]] = {
    min: smallest, max: largest, int: lambda given: given[0].whole(),
    abs: lambda given: given[0].absolute(), math.floor: lambda given: given[0].whole(),
    math.ceil: lambda given: given[0].whole(), math.sqrt: lambda given: given[0].root(),
    round: lambda given: given[0].whole() if len(given) == 1 else ANY,
}  # fmt: skip


def are_values(*values: Any) -> bool:
    return all(isinstance(each, Value) for each in values)


def _assigned(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement, or what is inside it, gives a value."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load):
            yield each.id


def _handed_on(node: ast.AST) -> Iterator[ast.Name]:
    """Yield names that assignments inside a statement give on as they are, to another name."""
    for each in ast.walk(node):
        if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None:
            parts = each.value.elts if isinstance(each.value, ast.Tuple) else [each.value]
            yield from (part for part in parts if isinstance(part, ast.Name))


def _joined(branches: list[Scope]) -> Scope:
    """Return what holds after either of some branches."""
    if not branches:
        return {}
    scope: Scope = {}
    for name in branches[0].keys() | branches[-1].keys():
        values = [each.get(name) for each in branches]
        arrays = [each for each in values if isinstance(each, Array)]
        if all(value == values[0] for value in values) or arrays:
            scope[name] = arrays[0] if arrays else values[0]
        else:
            scope[name] = join(values) if are_values(*values) else None  # type: ignore[arg-type]
    return scope


def _downwards(arguments: list[Value]) -> Value | None:
    """Return what is known of the variable of a loop that counts down."""
    start, end, step = arguments
    if step.high >= 0 or start.cursor != end.cursor or not (start.bounded and end.bounded):
        return None
    return Value(end.low + 1.0, start.high, start.cursor)
