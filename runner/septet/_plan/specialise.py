"""Specialises the rules of trading, ordinary Python, for the text of one strategy's plan.

A rule is a function of `septet._rules`. Parts that its strategy does not use are removed, so that
the text of a plan has nothing that its file does not name:

1. A setting (a name in capitals, of `septet._rules.settings`) that the plan knows when it is made
   becomes its value. Tests it decides are decided: `if`, `and`, `or`, `not`, comparisons and
   conditional expressions. What follows a `return` of a decided branch is left out.
2. A setting that is read when the plan runs becomes the text that reads it.
3. A call of a function of the settings becomes the text that the strategy has for it.
4. ``for x in LIST``, `LIST` a setting, is written once for each of its elements; ``x.name`` and
   ``x.name(...)`` become the element's text.
5. ``run.name``, ``run.name[k]`` and ``run.name[k, i]`` become an array and a slot, as the table of
   `septet._rules.run_state` lists; ``run.A`` is the array itself.
6. A record of `septet._rules.records` that a rule takes or passes on becomes its fields, each a
   parameter: ``fill.units`` is ``fill_units``.
7. A last parameter or argument `run` becomes the arrays that the function needs; which these are
   is found when the whole text is known. An entry, which the host calls, is given one table of
   them, and takes out of it those that it needs.

Annotations are left out, docstrings stay. What cannot be folded is named with file and line; a
setting that a strategy has nothing for is an error where its plan reaches the rule: see
`refuse_unbound`.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

import msgspec

from septet._rules import settings
from septet._rules.records import RECORDS
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


class Choices(msgspec.Struct, frozen=True, eq=False, dict=True):
    """What one strategy has for the settings.

    `values` are known when the plan is made; `texts` are read when it runs; `calls` stand for the
    functions of the settings; `lists` hold, for each element, the text of each of its names. Two
    are equal if they are written alike: True is not 1.
    """

    values: Mapping[str, bool | int | str] = msgspec.field(default_factory=dict)
    texts: Mapping[str, str] = msgspec.field(default_factory=dict)
    calls: Mapping[str, str] = msgspec.field(default_factory=dict)
    lists: Mapping[str, Sequence[Mapping[str, str]]] = msgspec.field(default_factory=dict)

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
    """Return the text of one rule, cached: a sweep, and similar plans, need the same again."""
    return ast.unparse(_Fold(rule.path, choices, rule.line).rule(rule.node(), rule.names))


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
    settings_used = {
        each for each in set(names).intersection(settings.__all__) if not each.startswith("R_")
    }
    for rule in (each for module in modules if settings_used for each in _rules_of(module)):
        for node in ast.walk(rule.node()):
            if isinstance(node, ast.Name) and node.id in settings_used:
                line_of_use = f"{rule.path}:{rule.line - 1 + node.lineno}"
                raise RuleError(f"{line_of_use}: the strategy has nothing for {node.id}")


def rule_places(modules: Sequence[ModuleType]) -> dict[str, str]:
    """Return where each rule of some modules is written: file and line, by its name."""
    return {
        each.name: f"septet/{each.path}:{each.line}"
        for module in modules
        for each in _rules_of(module)
    }


class _Rule(msgspec.Struct, frozen=True, eq=False):
    """One rule as it is written: its lines from number `line` of a file on, the names it uses."""

    path: str
    line: int
    name: str
    source: str
    names: tuple[str, ...]

    def node(self) -> ast.FunctionDef:
        """Return the rule's tree, parsed anew since folding changes it. Its first line is 1."""
        (function,) = ast.parse(self.source).body
        assert isinstance(function, ast.FunctionDef)
        return function


@cache
def _rules_of(module: ModuleType) -> tuple[_Rule, ...]:
    """Return a module's rules, in the order of its file."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    rules = []
    for each in ast.parse(text).body:
        if isinstance(each, ast.FunctionDef):
            first = min([each.lineno, *(decorator.lineno for decorator in each.decorator_list)])
            source = "".join(lines[first - 1 : each.end_lineno])
            names = tuple(sorted({n.id for n in ast.walk(each) if isinstance(n, ast.Name)}))
            rules.append(_Rule(f"_rules/{path.name}", first, each.name, source, names))
    return tuple(rules)


def _name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _flat(record: str, field: str) -> str:
    """Return the name of the parameter that stands for a field of a record."""
    return f"{record}_{field}"


def _copied(value: Any) -> Any:
    """Copy a tree with its places; `copy.deepcopy` takes several times as long."""
    if isinstance(value, list):
        return [_copied(each) for each in value]
    if not isinstance(value, ast.AST) or not value._fields:
        return value
    copied = type(value)()
    for name, each in vars(value).items():
        setattr(copied, name, _copied(each))
    return copied


class _Fold(ast.NodeTransformer):
    """Writes one rule for one strategy."""

    def __init__(
        self,
        path: str,
        choices: Choices,
        line: int,
        elements: Mapping[str, Mapping[str, str]] | None = None,
        records: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.path, self.choices, self.line = path, choices, line
        self.elements = dict(elements or {})
        self.records = dict(records or {})

    def rule(self, node: ast.FunctionDef, names: Sequence[str]) -> ast.FunctionDef:
        """Write a rule, which uses some names: no annotations, its body folded."""
        node.returns = None
        self._take_records(node, names)
        is_entry = any(
            isinstance(each, ast.Call) or getattr(each, "id", "") == "by_hand"
            for each in node.decorator_list
        )
        if node.args.args and node.args.args[-1].arg == RUN:
            node.args.args[-1].arg = "V" if is_entry else ARRAYS
        body = self._lines(node.body) or [ast.Pass()]
        node.body = [body[0], ast.Expr(_name(UNPACK)), *body[1:]] if is_entry else body
        return node

    def _take_records(self, node: ast.FunctionDef, names: Sequence[str]) -> None:
        """Replace parameters that are records by one parameter for each field."""
        parameters: list[ast.arg] = []
        for each in node.args.args:
            record = RECORDS.get(getattr(each.annotation, "id", ""))
            if record is None:
                parameters.append(ast.arg(each.arg))
                continue
            self.records[each.arg] = record._fields
            flat = [_flat(each.arg, field) for field in record._fields]
            if twice := set(names).intersection(flat):
                self._fail(node, f"{min(twice)} is also a field of the record {each.arg}")
            parameters += map(ast.arg, flat)
        node.args.args = parameters

    def _fail(self, node: ast.AST, fault: str) -> NoReturn:
        raise RuleError(f"{self.path}:{self.line - 1 + getattr(node, 'lineno', 1)}: {fault}")

    # ------------------------------------------------------------------ statements

    def _lines(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for each in body:
            written = self.visit(each)
            statements += written if isinstance(written, list) else [written]
            if statements and isinstance(statements[-1], ast.Return):
                break
        return statements

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
        lines: list[ast.stmt] = []
        elements = self.choices.lists[node.iter.id]
        for number, each in enumerate(elements, 1):
            inner_elements = {**self.elements, node.target.id: each}
            inner = _Fold(self.path, self.choices, self.line, inner_elements, self.records)
            is_last = number == len(elements)  # nobody folds these lines again
            lines += inner._lines(node.body if is_last else _copied(node.body))
        return lines

    def visit_While(self, node: ast.While) -> Any:
        """Fold the body of a loop."""
        node.test = self.visit(node.test)
        node.body = self._lines(node.body) or [ast.Pass()]
        return node

    # ------------------------------------------------------------------ what a setting decides

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        """Remove decided operands; `and` ends with False, `or` with True."""
        decisive = isinstance(node.op, ast.Or)
        undecided = []
        for each in map(self.visit, node.values):
            if not isinstance(each, ast.Constant):
                undecided.append(each)
            elif bool(each.value) is decisive:
                return ast.Constant(decisive)
        if not undecided:
            return ast.Constant(not decisive)
        return undecided[0] if len(undecided) == 1 else ast.BoolOp(node.op, undecided)

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
            first, second = (each.value for each in sides if isinstance(each, ast.Constant))
            return ast.Constant(OPERATORS[type(node.ops[0])](first, second))
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
        if name in self.records or name in RECORDS:
            self._fail(node, f"{name} is a record, which is only read by field or passed on")
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
        if owner in self.records:
            return _name(_flat(owner, self._field(node, owner)))
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

    def _field(self, node: ast.Attribute, owner: str) -> str:
        if node.attr not in self.records[owner]:
            self._fail(node, f"the record {owner} has no {node.attr}")
        return node.attr

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        """Put in a number of a symbol, of its bar or of a decision time."""
        value = node.value
        if not isinstance(value, ast.Attribute) or not isinstance(value.value, ast.Name):
            return self.generic_visit(node)
        slot = NAMES.get(value.attr) if value.value.id == RUN else None
        if slot is None:
            return self.generic_visit(node)
        index = self.visit(node.slice)
        indices = list(index.elts) if isinstance(index, ast.Tuple) else [index]
        if len(indices) > (2 if isinstance(slot, Bar | BarOf | Decision) else 1):
            self._fail(node, f"run.{value.attr} has {len(indices)} indices")
        return self._subscript(slot, indices, node.ctx)

    def _subscript(self, slot: Any, indices: list[ast.expr], context: Any) -> ast.Subscript:
        written = self._places(slot, indices)
        index = written[0] if len(written) == 1 else ast.Tuple(written, ast.Load())
        return ast.Subscript(_name(slot.array), index, context)

    def _places(self, slot: Any, indices: list[ast.expr]) -> list[ast.expr]:
        """Return the indices at which an array holds a number of the run."""
        first: ast.expr = _name(slot.slot)
        if isinstance(slot, Symbol | Bar):
            return [indices[0], first, *indices[1:]]
        if isinstance(slot, Decision):
            return [indices[0], _expression(f"H[DECISION_ROW] + {slot.slot}"), *indices[1:]]
        if isinstance(slot, BarOf):
            return [ast.BinOp(first, ast.Add(), indices[0]), *indices[1:]]
        if isinstance(slot, Halt):
            index = ast.unparse(indices[0])
            text = f"{slot.slot} + " + (index if slot.stride == 1 else f"{slot.stride} * {index}")
            return [_expression(f"{text} + {slot.offset}" if slot.offset else text)]
        return [first, *indices]

    def visit_Call(self, node: ast.Call) -> Any:
        """Put in what the strategy has for a function, and the arrays for the run."""
        function = node.func
        owner = getattr(getattr(function, "value", None), "id", "")
        if isinstance(function, ast.Attribute) and owner in self.elements:
            return _expression(self._of_element(function, owner))
        if isinstance(function, ast.Name) and function.id in RECORDS:
            self._fail(node, f"{function.id} is a record, which is only made to be passed on")
        if isinstance(function, ast.Name) and function.id in settings.__all__:
            text = self.choices.calls.get(function.id)
            return _name(function.id) if text is None else _expression(text)
        arguments = list(node.args)
        arrays: list[ast.expr] = []
        if arguments and isinstance(arguments[-1], ast.Name) and arguments[-1].id == RUN:
            arguments.pop()
            assert isinstance(function, ast.Name)
            arrays = [_name(ARRAYS)]
        written = [value for each in arguments for value in self._values(each)]
        return ast.Call(function, [*written, *arrays], node.keywords)

    def _values(self, argument: ast.expr) -> list[ast.expr]:
        """Return what an argument of a call becomes: a record is one argument for each field."""
        if isinstance(argument, ast.Name) and argument.id in self.records:
            return [_name(_flat(argument.id, each)) for each in self.records[argument.id]]
        if isinstance(argument, ast.Call):
            function = argument.func
            owner = getattr(getattr(function, "value", None), "id", "")
            if isinstance(function, ast.Name) and function.id in RECORDS:
                record = RECORDS[function.id]
                defaults = record._field_defaults.items()
                known = {name: _expression(repr(value)) for name, value in defaults}
                return self._fields_of(argument, record._fields, known)
            if isinstance(function, ast.Attribute) and owner in self.records:
                fields = self.records[owner]
                known = {each: _name(_flat(owner, each)) for each in fields}
                return self._fields_of(argument, fields, known)
        return [self.visit(argument)]

    def _fields_of(
        self, node: ast.Call, fields: Sequence[str], known: Mapping[str, ast.expr]
    ) -> list[ast.expr]:
        """Return the values of a record: those that a call gives, and the others as `known`."""
        given = {str(each.arg): each.value for each in node.keywords}
        in_order = [each for each in fields if each in given]
        if node.args or list(given) != in_order:  # so they are evaluated as Python evaluates them
            self._fail(node, "the fields of a record are given by name, in their order")
        if missing := [each for each in fields if each not in given and each not in known]:
            self._fail(node, f"the record lacks {missing[0]}")
        return [self.visit(given[each]) if each in given else known[each] for each in fields]
