"""The rules of trading, specialised for one strategy: ordinary Python in, the text of a plan out.

A rule is a function of `septet._rules`. What its strategy does not use is folded away, so that the
text of a plan holds nothing that its file does not name:

1. A setting (a name in capitals, of `septet._rules.settings`) that the plan knows when it is made
   becomes its value. Tests it decides are decided: `if`, `and`, `or`, `not`, comparisons and
   conditional expressions. What follows a `return` of a decided branch is left out.
2. A setting that is read when the plan runs becomes the text that reads it.
3. A call of a function of the settings becomes the text that the strategy has for it.
4. ``for x in LIST``, `LIST` a setting, is written once for each of its elements; ``x.name`` and
   ``x.name(...)`` become the element's text.
5. ``run.name``, ``run.name[k]`` and ``run.name[k, i]`` become an array and a slot, as the table of
   `septet._rules.run_state` lists; ``run.A`` is the array itself.
6. A last parameter or argument `run` becomes the arrays that the function needs; which these are
   is found when the whole text is known. An entry, which the host calls, is given one table of
   them, and takes out of it those that it needs.

Annotations are left out, docstrings stay. What cannot be folded is named with file and line; a
setting that a strategy has nothing for is an error where its plan reaches the rule: see
`refuse_unbound`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

from septet._rules import settings
from septet._rules.run_state import NAMES, WHOLE, Bar, BarOf, Decision, Halt, Number, Symbol, Time

__all__ = [
    "ARRAYS",
    "UNPACK",
    "Choices",
    "RuleError",
    "refuse_unbound",
    "rule_places",
    "specialise",
]

ARRAYS: Final = "ARRAYS"
"""Stands in the text for the arrays of the layout that a function needs."""
UNPACK: Final = "UNPACK"
"""Stands in an entry for the lines that take its arrays out of the table `V`."""
RUN: Final = "run"
OPERATORS: Final[Mapping[type[ast.cmpop], Any]] = {
    ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b, ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b, ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b,
}  # fmt: skip


class RuleError(Exception):
    """A rule that cannot be written for a strategy: a mistake in septet, with its file and line."""


@dataclass(frozen=True, eq=False)
class Choices:
    """What one strategy has for the settings.

    `values` are known when the plan is made; `texts` are read when it runs; `calls` stand for the
    functions of the settings; `lists` hold, for each element, the text of each of its names. Two
    are equal if they are written alike: True is not 1.
    """

    values: Mapping[str, bool | int | str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> Choices:
        """Return the choices among some names, in the order of the names."""
        return Choices(
            values={name: self.values[name] for name in names if name in self.values},
            texts={name: self.texts[name] for name in names if name in self.texts},
            calls={name: self.calls[name] for name in names if name in self.calls},
            lists={name: self.lists[name] for name in names if name in self.lists},
        )

    @cached_property
    def written(self) -> str:
        """The choices as text."""
        return repr(self)

    def __hash__(self) -> int:
        return hash(self.written)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choices) and self.written == other.written


def specialise(module: ModuleType, choices: Choices) -> Mapping[str, str]:
    """Return the text of every rule of a module, by name, in the order of its file.

    Raises
    ------
    RuleError
        If a rule uses what cannot be folded: its file and line are named.
    """
    return {each.name: _folded(each, choices.of(each.names)) for each in _rules_of(module)}


@lru_cache(maxsize=8192)
def _folded(rule: _Rule, choices: Choices) -> str:
    """Return the text of one rule; a sweep, and plans that are alike, ask for the same again."""
    return ast.unparse(_Fold(rule.path, choices, rule.line).rule(rule.node()))


def refuse_unbound(modules: Sequence[ModuleType], names: Collection[str]) -> None:
    """Raise if a text still uses a setting, which has no value when the plan runs.

    Parameters
    ----------
    modules
        The rules that the text is made of.
    names
        Every name that the text uses.

    Raises
    ------
    RuleError
        If one of them is a setting; the first line that uses it is named.
    """
    left = {each for each in names if each in settings.__all__ and not each.startswith("R_")}
    for rule in (each for module in modules if left for each in _rules_of(module)):
        for node in ast.walk(rule.node()):
            if isinstance(node, ast.Name) and node.id in left:
                place = f"{rule.path}:{rule.line - 1 + node.lineno}"
                raise RuleError(f"{place}: the strategy has nothing for {node.id}")


def rule_places(modules: Sequence[ModuleType]) -> dict[str, str]:
    """Return where each rule of some modules is written: file and line, by its name."""
    return {
        each.name: f"septet/{each.path}:{each.line}"
        for module in modules
        for each in _rules_of(module)
    }


@dataclass(frozen=True, eq=False)
class _Rule:
    """One rule as it is written: its lines from number `line` of a file on, the names it uses."""

    path: str
    line: int
    name: str
    source: str
    names: tuple[str, ...]

    def node(self) -> ast.FunctionDef:
        """Return the rule's tree, parsed anew: who folds it changes it. Its first line is 1."""
        (found,) = ast.parse(self.source).body
        assert isinstance(found, ast.FunctionDef)
        return found


@cache
def _rules_of(module: ModuleType) -> tuple[_Rule, ...]:
    """Return a module's rules, in the order of its file."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    made = []
    for each in ast.parse(text).body:
        if isinstance(each, ast.FunctionDef):
            first = min([each.lineno, *(one.lineno for one in each.decorator_list)])
            source = "".join(lines[first - 1 : each.end_lineno])
            names = tuple(sorted({n.id for n in ast.walk(each) if isinstance(n, ast.Name)}))
            made.append(_Rule(f"_rules/{path.name}", first, each.name, source, names))
    return tuple(made)


def _name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _copied(value: Any) -> Any:
    """Copy a tree with its places; `copy.deepcopy` takes several times as long."""
    if isinstance(value, list):
        return [_copied(each) for each in value]
    if not isinstance(value, ast.AST) or not value._fields:
        return value
    made = type(value)()
    for name, each in vars(value).items():
        setattr(made, name, _copied(each))
    return made


class _Fold(ast.NodeTransformer):
    """Writes one rule for one strategy."""

    def __init__(
        self,
        path: str,
        choices: Choices,
        line: int,
        elements: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.path, self.choices, self.line = path, choices, line
        self.elements = dict(elements or {})

    def rule(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Write a rule: its parameters bare, its body folded."""
        node.returns = None
        for each in node.args.args:
            each.annotation = None
        is_entry = any(
            isinstance(each, ast.Call) or getattr(each, "id", "") == "by_hand"
            for each in node.decorator_list
        )
        if node.args.args and node.args.args[-1].arg == RUN:
            node.args.args[-1].arg = "V" if is_entry else ARRAYS
        body = self._lines(node.body) or [ast.Pass()]
        node.body = [body[0], ast.Expr(_name(UNPACK)), *body[1:]] if is_entry else body
        return node

    def _fail(self, node: ast.AST, what: str) -> NoReturn:
        raise RuleError(f"{self.path}:{self.line - 1 + getattr(node, 'lineno', 1)}: {what}")

    # ------------------------------------------------------------------ statements

    def _lines(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for each in body:
            made = self.visit(each)
            found += made if isinstance(made, list) else [made]
            if found and isinstance(found[-1], ast.Return):
                break
        return found

    def visit_If(self, node: ast.If) -> Any:
        """Decide what a setting decides."""
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self._lines(node.body if test.value else node.orelse)
        return ast.If(test, self._lines(node.body) or [ast.Pass()], self._lines(node.orelse))

    def visit_For(self, node: ast.For) -> Any:
        """Write a loop over a list of the strategy's once for each element."""
        if not isinstance(node.iter, ast.Name) or not node.iter.id.isupper():
            node.iter = self.visit(node.iter)
            node.body = self._lines(node.body) or [ast.Pass()]
            return node
        if node.iter.id not in self.choices.lists:
            self._fail(node, f"{node.iter.id} is not a list of the settings")
        assert isinstance(node.target, ast.Name)
        made: list[ast.stmt] = []
        elements = self.choices.lists[node.iter.id]
        for number, each in enumerate(elements, 1):
            inside = {**self.elements, node.target.id: each}
            inner = _Fold(self.path, self.choices, self.line, inside)
            is_last = number == len(elements)  # nobody folds these lines again
            made += inner._lines(node.body if is_last else _copied(node.body))
        return made

    def visit_While(self, node: ast.While) -> Any:
        """Fold the body of a loop."""
        node.test = self.visit(node.test)
        node.body = self._lines(node.body) or [ast.Pass()]
        return node

    # ------------------------------------------------------------------ what a setting decides

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        """Leave out what is decided; `and` ends with False, `or` with True."""
        decisive = isinstance(node.op, ast.Or)
        left = []
        for each in map(self.visit, node.values):
            if not isinstance(each, ast.Constant):
                left.append(each)
            elif bool(each.value) is decisive:
                return ast.Constant(decisive)
        if not left:
            return ast.Constant(not decisive)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        """Decide `not`."""
        node.operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Decide a comparison of what is known."""
        node.left = self.visit(node.left)
        node.comparators = [self.visit(each) for each in node.comparators]
        sides = (node.left, node.comparators[0])
        if len(node.ops) == 1 and all(isinstance(each, ast.Constant) for each in sides):
            one, other = (each.value for each in sides if isinstance(each, ast.Constant))
            return ast.Constant(OPERATORS[type(node.ops[0])](one, other))
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Decide a conditional expression."""
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self.visit(node.body if test.value else node.orelse)
        return ast.IfExp(test, self.visit(node.body), self.visit(node.orelse))

    # ------------------------------------------------------------------ names

    def visit_Name(self, node: ast.Name) -> Any:
        """Put in what a setting is; reasons keep their names."""
        name = node.id
        if name in self.choices.values:
            return ast.Constant(self.choices.values[name])
        if name in self.choices.lists:  # asked whether there is an element
            return ast.Constant(bool(self.choices.lists[name]))
        if name in self.choices.texts:
            return _expression(self.choices.texts[name])
        if name == RUN:
            self._fail(node, "run may only be the last argument of a rule")
        return node  # a setting that is left is an error if the plan reaches the rule

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """Put in a number of the run, an array, or the text of an element."""
        if not isinstance(node.value, ast.Name):
            return self.generic_visit(node)
        owner = node.value.id
        if owner in self.elements:
            return _expression(self._of_element(node, owner))
        if owner != RUN:
            return node
        if node.attr in WHOLE:
            return _name(node.attr)
        slot = NAMES.get(node.attr)
        if not isinstance(slot, Number | Time):
            self._fail(node, f"run.{node.attr} is no number of the run")
        return self._subscript(slot, [], node.ctx)

    def _of_element(self, node: ast.Attribute, owner: str) -> str:
        if node.attr not in self.elements[owner]:
            self._fail(node, f"an element of the list has no {node.attr}")
        return self.elements[owner][node.attr]

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        """Put in a number of a symbol, of its bar or of a decision time."""
        value = node.value
        if not isinstance(value, ast.Attribute) or not isinstance(value.value, ast.Name):
            return self.generic_visit(node)
        slot = NAMES.get(value.attr) if value.value.id == RUN else None
        if slot is None:
            return self.generic_visit(node)
        index = self.visit(node.slice)
        given = list(index.elts) if isinstance(index, ast.Tuple) else [index]
        if len(given) > (2 if isinstance(slot, Bar | BarOf | Decision) else 1):
            self._fail(node, f"run.{value.attr} has {len(given)} indices")
        return self._subscript(slot, given, node.ctx)

    def _subscript(self, slot: Any, given: list[ast.expr], context: Any) -> ast.Subscript:
        places = self._places(slot, given)
        index = places[0] if len(places) == 1 else ast.Tuple(places, ast.Load())
        return ast.Subscript(_name(slot.array), index, context)

    def _places(self, slot: Any, given: list[ast.expr]) -> list[ast.expr]:
        """Return the indices at which an array holds a number of the run."""
        first: ast.expr = _name(slot.slot)
        if isinstance(slot, Symbol | Bar):
            return [given[0], first, *given[1:]]
        if isinstance(slot, Decision):
            return [given[0], _expression(f"H[DECISION_ROW] + {slot.slot}"), *given[1:]]
        if isinstance(slot, BarOf):
            return [ast.BinOp(first, ast.Add(), given[0]), *given[1:]]
        if isinstance(slot, Halt):
            index = ast.unparse(given[0])
            text = f"{slot.slot} + " + (index if slot.stride == 1 else f"{slot.stride} * {index}")
            return [_expression(f"{text} + {slot.offset}" if slot.offset else text)]
        return [first, *given]

    def visit_Call(self, node: ast.Call) -> Any:
        """Put in what the strategy has for a function, and the arrays for the run."""
        function = node.func
        owner = getattr(getattr(function, "value", None), "id", "")
        if isinstance(function, ast.Attribute) and owner in self.elements:
            return _expression(self._of_element(function, owner))
        if isinstance(function, ast.Name) and function.id in settings.__all__:
            text = self.choices.calls.get(function.id)
            return _name(function.id) if text is None else _expression(text)
        given = list(node.args)
        more: list[ast.expr] = []
        if given and isinstance(given[-1], ast.Name) and given[-1].id == RUN:
            given.pop()
            assert isinstance(function, ast.Name)
            more = [_name(ARRAYS)]
        return ast.Call(function, [*map(self.visit, given), *more], node.keywords)
