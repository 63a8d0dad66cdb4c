"""Replaces names of state slots by numbers: a step writes `state.mean`, and `state[0]` runs.

A state is one flat array, so that a snapshot is a copy of it and compiled code addresses it by
numbers. The names are found in the text of a step where it is declared, and the function is
replaced by the same one with numbers in their place, for Python and for the compiler alike. Lines
and columns stay those of the file.
"""

from __future__ import annotations

import ast
import copy
import difflib
import dis
import functools
import linecache
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from septet.errors import PluginError

__all__ = [
    "Declared", "Slots", "State", "names_asked", "numbered", "refused_slots", "slots",
    "with_numbers", "written",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of one name, as many as the settings give; see `slots`."""

    name: str
    count: Callable[[Any], int]


Declared: TypeAlias = Sequence[str | Slots]
"""What `state=` of a step declares: names of slots, and at the end slots of one name."""


def slots(name: str, count: Callable[[Any], int]) -> Slots:
    """Declare ``count(config)`` slots under one name: the step uses ``state.name[j]``, j from 0.

    They stand at the end of `state=`, so that no slot's place depends on the settings.
    """
    return Slots(name, count)


class State(Protocol):
    """The state of a step, for its annotations; when it runs it is a flat float64 array.

    ``state.name`` is a slot, ``state.at.name`` its index, ``state.name[j]`` one of `slots`.
    """

    def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None: ...

    def __getitem__(self, index: int) -> float: ...

    def __setitem__(self, index: int, value: float) -> None: ...


def refused_slots(declared: Any) -> Iterator[str]:
    """Yield what of a `state=` cannot be addressed by name."""
    if isinstance(declared, str):
        return  # refused as the outputs and reasons are
    if not isinstance(declared, tuple | list):
        yield f"declares state={declared!r:.60}; expected a tuple of names"
        return
    for position, each in enumerate(declared):
        name = each.name if isinstance(each, Slots) else each
        if not isinstance(name, str) or not name.isidentifier() or name == "at":
            yield f"declares state= with {name!r:.60}; expected a name other than at"
        if isinstance(each, Slots) and position + 1 < len(declared):
            yield f"declares slots({name!r}, ...) before others; expected at the end of state="


def names_asked(code: types.CodeType) -> Iterator[tuple[int, str]]:
    """Yield the attributes of `state` that code asks for or sets, each with its line."""
    known = *code.co_varnames, *code.co_names, *code.co_freevars, *code.co_cellvars
    if "state" not in known:  # most steps keep nothing
        for each in code.co_consts:
            if isinstance(each, types.CodeType):
                yield from names_asked(each)
        return
    previous: Any = None
    for each in dis.get_instructions(code):
        if isinstance(each.argval, types.CodeType):
            yield from names_asked(each.argval)
        named = previous[-1] if isinstance(previous, tuple) and previous else previous
        if named == "state" and each.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            line = each.positions.lineno if each.positions else None
            yield line or code.co_firstlineno, str(each.argval)
        previous = each.argval


def with_numbers(function: Callable[..., Any], declared: Declared) -> Callable[..., Any]:
    """Return the function with numbers in place of the names of its slots.

    Raises
    ------
    PluginError
        With the line of a name that is not declared; or if the text of the function is not there.
    """
    code = function.__code__
    if next(names_asked(code), None) is None:
        return function
    node = _text_of(function)
    if node is None:
        raise PluginError(
            f"{code.co_filename}:{code.co_firstlineno}: {function.__name__} names slots of its "
            "state, and its text, in which they are looked up, cannot be read",
            hint="write the step in a file that stays as it was imported",
        )
    numbered_function = _with_code(
        _code_of(_Numbers(function, declared).visit(node), function), function
    )
    numbered_function.__septet_slots__ = tuple(declared)  # type: ignore[attr-defined]
    return numbered_function


def numbered(node: ast.FunctionDef, function: Callable[..., Any]) -> ast.FunctionDef:
    """Return the text of a function with the numbers that it runs with."""
    declared: Declared | None = getattr(function, "__septet_slots__", None)
    if declared is None:
        return node
    changed: ast.FunctionDef = _Numbers(function, declared).visit(node)
    return changed


def written(node: ast.AST) -> str:
    """Return an expression as its author wrote it, names of slots included."""
    return ast.unparse(_Names().visit(copy.deepcopy(node)))


# ------------------------------------------------------------------ names and numbers


class _Numbers(ast.NodeTransformer):
    """Puts numbers in the place of names."""

    def __init__(self, function: Any, declared: Declared) -> None:
        self.function = function
        self.place: dict[str, int] = {}
        self.several: set[str] = set()
        for position, each in enumerate(declared):
            self.place[each.name if isinstance(each, Slots) else each] = position
            self.several |= {each.name} if isinstance(each, Slots) else set()

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = _slot_of(node.value)
        if name not in self.several:
            return self.generic_visit(node)
        first = ast.Constant(self._number(node, name))
        at = ast.BinOp(first, ast.Add(), self.visit(node.slice))
        return _replaced_by(node, f"state.{name}", ast.Subscript(_state(), at, node.ctx))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        name = _slot_of(node)
        if name and name != "at":
            number = self._number(node, name)
            if name in self.several:
                self._refuse(node, f"state.{name} without an index", f"write state.{name}[j]")
            slot = ast.Subscript(_state(), ast.Constant(number), node.ctx)
            return _replaced_by(node, f"state.{name}", slot)
        if _slot_of(node.value) == "at":
            number = self._number(node, node.attr)
            return _replaced_by(node, f"state.at.{node.attr}", ast.Constant(number))
        if name == "at":
            self._refuse(node, "state.at without a name", "write state.at.name: the slot's index")
        return self.generic_visit(node)

    def _number(self, node: ast.AST, name: str) -> int:
        if name not in self.place:
            expression = ast.unparse(node)
            close = difflib.get_close_matches(name, self.place, n=2)
            suggested = " or ".join(expression.removesuffix(name) + each for each in close)
            hint = f"did you mean {suggested}?" if close else f"its slots: {', '.join(self.place)}"
            self._refuse(node, f"{expression}, which is no slot of its state", hint)
        return self.place[name]

    def _refuse(self, node: ast.AST, fault: str, hint: str) -> None:
        code = self.function.__code__
        place = f"{code.co_filename}:{node.lineno}"  # type: ignore[attr-defined]
        raise PluginError(f"{place}: {self.function.__name__} uses {fault}", hint=hint)


class _Names(ast.NodeTransformer):
    """Puts back what `_Numbers` has replaced."""

    def visit(self, node: ast.AST) -> Any:
        named: str | None = getattr(node, "named", None)
        if named is None:
            return super().visit(node)
        name = ast.Name(named, ast.Load())
        match node:
            case ast.Subscript(slice=ast.BinOp(right=at)):
                return ast.Subscript(name, self.visit(at), node.ctx)
        return name


def _slot_of(node: ast.AST) -> str:
    """Return the name of an attribute of `state`; empty for anything else."""
    match node:
        case ast.Attribute(value=ast.Name(id="state"), attr=name):
            return name
    return ""


def _state() -> ast.Name:
    return ast.Name("state", ast.Load())


def _replaced_by(node: ast.AST, named: str, replacement: ast.AST) -> ast.AST:
    """Put what is made where a node stands, and keep what stood there."""
    for each in ast.walk(replacement):
        if not hasattr(each, "lineno"):
            ast.copy_location(each, node)
    replacement.named = named  # type: ignore[attr-defined]
    return replacement


# ------------------------------------------------------------------ text and code


@functools.lru_cache(maxsize=8)
def _functions(text: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """Return the functions in a text by their name and first line, that of a decorator if any."""
    functions: dict[tuple[str, int], ast.FunctionDef] = {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return functions
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        for part in ("body", "orelse", "handlers", "finalbody", "cases"):
            waiting += getattr(node, part, ())
        if isinstance(node, ast.FunctionDef):
            first = node.decorator_list[0] if node.decorator_list else node
            functions[node.name, first.lineno] = node
    return functions


def _text_of(function: Callable[..., Any]) -> ast.FunctionDef | None:
    """Return the text of a function; None where there is none, or it is not what was imported."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    key = code.co_name, code.co_firstlineno
    if key not in _functions(text):
        _functions.cache_clear()
    node = _functions(text).pop(key, None)  # it is changed in place, and so it serves once
    if node is None:
        return None
    compiled = _code_of(node, function)
    return node if (compiled.co_code, compiled.co_names) == (code.co_code, code.co_names) else None


def _code_of(node: ast.FunctionDef, function: Callable[..., Any]) -> types.CodeType:
    """Compile the text of a function among the variables of the functions around it."""
    code = function.__code__
    around = "".join(f"    {name} = None\n" for name in code.co_freevars)
    global_line = "" if node.name in code.co_freevars else f"    global {node.name}\n"
    module = ast.parse(f"def around():\n{global_line}{around}    pass\n")
    body: list[ast.stmt] = module.body[0].body  # type: ignore[attr-defined]
    body[-1] = node
    module_code = compile(module, code.co_filename, "exec", dont_inherit=True)
    (outer,) = (each for each in module_code.co_consts if isinstance(each, types.CodeType))
    function_code: types.CodeType = next(
        each
        for each in outer.co_consts
        if isinstance(each, types.CodeType) and each.co_name == node.name
    )
    return function_code.replace(co_qualname=code.co_qualname)


def _with_code(code: types.CodeType, function: Callable[..., Any]) -> types.FunctionType:
    """Return a function like another one, of other code."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    copied = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__,
        tuple(cells[name] for name in code.co_freevars),
    )  # fmt: skip
    copied.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(copied, function)
    del copied.__wrapped__  # type: ignore[attr-defined]
    return copied
