"""Finds the dependencies of a plugin's code: packages, and every value it reads by a name.

A number of another package, a table that was read from a file at import, a default argument or a
variable of an outer function is built into compiled code, and no source of the plugin's own
changes with it. So values count as much as files. Modules that are imported count as files, by
their text: whether they are loaded already changes nothing.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import inspect
import types
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from septet._host.declare import Declaration, Factory, Step
from septet._host.imports import imported_by, is_followed, is_large
from septet._host.named_state import Slots
from septet._host.value_digest import Unhashable, encoded

__all__ = [
    "NamedValue", "Reached", "Unknown", "callables_of", "functions_of", "made_at", "named_values",
    "reached_of", "root_of",
]  # fmt: skip


class Unknown(NamedTuple):
    """A value that cannot be hashed: ``file:line`` of its reader, and its description."""

    place: str
    message: str


class Reached(NamedTuple):
    """Packages of code, a hash of all values (empty without values), and values without a hash."""

    packages: tuple[str, ...]
    values: str
    unknown: tuple[Unknown, ...]


class NamedValue(NamedTuple):
    """A value that code reads by name: ``file:line`` of its reader, a hash, its representation."""

    place: str
    name: str
    text: str
    shown: str


def callables_of(declaration: Any) -> Iterator[Any]:
    """Yield the code of a declaration: its step, the functions that describe it, its config."""
    if isinstance(declaration, Step):
        for name in ("function", "closed", "tables", "inner", "outputs", "value_range"):
            value = getattr(declaration, name)
            if callable(value):
                yield value
        yield from (declaration.lookback, declaration.warmup)
        yield from (each.count for each in declaration.state if isinstance(each, Slots))
        if declaration.memory is not None:
            yield declaration.memory
    if isinstance(declaration, Factory):
        yield declaration.build
    if isinstance(declaration, Declaration):
        yield from declaration.config.__mro__


def root_of(value: Any) -> str:
    """Return the package to which a value belongs: the first part of its module's name."""
    named = "__name__" if isinstance(value, types.ModuleType) else "__module__"
    return str(getattr(value, named, "") or "").partition(".")[0]


def names_of(code: types.CodeType) -> set[str]:
    """Return the names used by a code object, including those of functions inside it."""
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            names |= names_of(each)
    return names


def reached_of(declaration: Any) -> Reached:
    """Return the dependencies of all code that a declaration runs.

    Of a step every value counts. An object (a source, a model, a monitor) may keep what it likes:
    of it the values count that cannot change, and those of other packages as files.
    """
    walk = _walked(declaration)
    digest = hashlib.sha256("\n".join(sorted(walk.values)).encode()).hexdigest()
    return Reached(
        tuple(sorted(walk.packages)), digest if walk.values else "", tuple(sorted(walk.unknown))
    )


def named_values(declaration: Any) -> dict[str, NamedValue]:
    """Return every value that a declaration's code reads, by its reader.

    Another process that runs the same code has the same values, unless code at import creates
    different ones.
    """
    return _walked(declaration).named


def _walked(declaration: Any) -> _Walk:
    walk = _Walk(strict=isinstance(declaration, Step))
    walk.follow(callables_of(declaration))
    if isinstance(declaration, Step):
        walk.options(declaration)
    return walk


def made_at(place: str, name: str) -> str:
    """Return ``file:line`` of the assignment of a module-level value that a function reads.

    It is `place`, that of the function, if no assignment is found in the module.
    """
    file = place.rpartition(":")[0]
    try:
        with open(file, encoding="utf-8") as source:
            body = ast.parse(source.read()).body
    except (OSError, SyntaxError, ValueError):
        return place
    statements = [each for each in body if not isinstance(each, _SCOPES)]
    bound = (each for part in statements for each in ast.walk(part) if isinstance(each, ast.Name))
    lines = [e.lineno for e in bound if e.id == name and isinstance(e.ctx, ast.Store)]
    return f"{file}:{lines[-1]}" if lines else place


_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class _Walk:
    """All objects that code reaches, each once."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.packages: set[str] = set()
        self.values: set[str] = set()
        self.named: dict[str, NamedValue] = {}
        self.unknown: set[Unknown] = set()
        self._visited: dict[int, Any] = {}
        self._modules: set[str] = set()

    def follow(self, callables: Iterator[Any]) -> None:
        """Follow functions, classes and modules, and what these reach in turn."""
        waiting = list(callables)
        while waiting:
            value = _unwrapped(waiting.pop())
            if id(value) in self._visited:
                continue
            self._visited[id(value)] = value  # a reference, so that no other gets its id
            root = root_of(value)
            if not is_followed(root):
                continue
            if root:
                self.packages.add(root)
                if is_large(root):  # it is identified by its version, including all that it reads
                    continue
                module = str(getattr(value, "__module__", None) or root)
                self.packages |= imported_by(module, self._modules)
            waiting += self._reached(value)

    def options(self, step: Step) -> None:
        """Count the values of a declaration that are not functions."""
        if not is_followed(root_of(step.function or step.config)):
            return
        for name in ("outputs", "state", "renews", "reasons", "value_range", "role", "compiled"):
            value = getattr(step, name)
            if not callable(value):
                self._count(f"{name}=", value, "")

    def _reached(self, value: Any) -> Iterator[Any]:
        if inspect.isclass(value):
            yield from self._of_class(value)
        elif inspect.isfunction(value):
            yield from self._of_function(value)

    def _of_class(self, value: type) -> Iterator[Any]:
        yield from value.__mro__[1:]
        for name, each in vars(value).items():
            if name.startswith("__") or name in _PYDANTIC:
                yield from functions_of(each)
                continue
            yield from self._named(f"{value.__module__}.{value.__qualname__}.{name}", each, value)

    def _of_function(self, function: types.FunctionType) -> Iterator[Any]:
        code, scope = function.__code__, function.__globals__
        reader = f"{function.__module__}.{function.__qualname__}"
        place = f"{code.co_filename}:{code.co_firstlineno}"
        self.values.add(f"{reader} {_code_text(code)}")
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for number, value in enumerate(defaults):
            yield from self._named(f"{reader} default {number}", value, place)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # a name that is bound later
                continue
            yield from self._named(f"{reader} {name}", value, place)
        names = names_of(code)
        for name in sorted(names & scope.keys()):
            yield from self._named(f"{reader} {name}", scope[name], place, names, code)

    def _named(
        self,
        reader: str,
        value: Any,
        place: str | type,
        names: set[str] | None = None,
        code: types.CodeType | None = None,
    ) -> Iterator[Any]:
        """Count a value, or yield it if it is code; of a module only the requested name counts."""
        waiting, modules = [(reader, value)], set[int]()
        while waiting:
            reader, value = waiting.pop()
            if inspect.ismodule(value):
                yield value
                root = root_of(value)
                if names is None or not is_followed(root) or is_large(root):
                    continue
                if id(value) in modules:
                    continue
                modules.add(id(value))
                names_inside = sorted(names & vars(value).keys())
                waiting += [(f"{reader}.{name}", vars(value)[name]) for name in names_inside]
                continue
            code_in = list(functions_of(value))
            yield from code_in
            if not code_in:
                first_name = reader.rpartition(" ")[2].partition(".")[0]
                line = _line_of(code, first_name) if code else 0
                yield from self._count(reader, value, _at_line(place, line))

    def _count(self, reader: str, value: Any, place: str | type) -> Iterator[Any]:
        """Count a value; return the code that it contains."""
        code_inside: list[Any] = []
        name = reader.rpartition(" ")[2]
        try:
            text = encoded(value, code_inside.append, strict=self.strict)
            self.values.add(f"{reader} = {text}")
            digest = hashlib.sha256(text.encode()).hexdigest()
            reader_place = place if isinstance(place, str) else _place_of(place)
            self.named[reader] = NamedValue(reader_place, name, digest, _shown(value))
        except Exception as error:  # an object of another package may raise anything
            described = str(error) if isinstance(error, Unhashable) else f"a {type(value).__name__}"
            reader_place = place if isinstance(place, str) else _place_of(place)
            self.unknown.add(
                Unknown(reader_place, f"{name} is {described}, of which no hash can be made")
            )
        return iter(code_inside)


def _shown(value: Any) -> str:
    """Return the representation of a value in a message."""
    if isinstance(value, bool | int | float | str | bytes | tuple | frozenset | None):
        text = repr(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"a {type(value).__name__}"


_SHOWN: Final = 60
_PYDANTIC: Final = frozenset({"_abc_impl", "model_config", "model_fields", "model_computed_fields"})
"""Attributes that pydantic adds to a class of settings; the settings themselves are parameters."""


def _unwrapped(value: Any) -> Any:
    """Return the plain function under a wrapper of numba's.

    A class is none, and a function says so itself: the search below takes as long as all the rest.
    """
    if inspect.isclass(value):
        return value
    if type(value) is types.FunctionType:
        return vars(value).get("py_func") or value
    return inspect.getattr_static(value, "py_func", None) or value


def functions_of(value: Any) -> Iterator[Any]:
    """Yield the code that a value is, or is a wrapper of; nothing for a plain value."""
    if isinstance(value, Declaration):
        yield from callables_of(value)
    elif isinstance(value, property):
        yield from (each for each in (value.fget, value.fset, value.fdel) if each is not None)
    elif isinstance(value, classmethod | staticmethod | types.MethodType):
        yield value.__func__
    elif inspect.isclass(value):
        yield value
    elif not isinstance(value, functools.partial):
        if inspect.isfunction(value):
            yield value
        for name in ("__wrapped__", "py_func", "func", "wrapped"):  # of caches, of a compiler
            wrapped = inspect.getattr_static(value, name, None)
            if inspect.isfunction(wrapped):
                yield wrapped


def _code_text(code: types.CodeType) -> str:
    """Describe the operations of a code object: a function may not be from a file."""
    consts = [
        _code_text(each) if isinstance(each, types.CodeType) else encoded(each, lambda code: None)
        for each in code.co_consts
    ]
    parts = (code.co_code.hex(), *consts, *code.co_names, "|", *code.co_varnames)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _at_line(place: str | type, line: int) -> str | type:
    """Replace the line in ``file:line``, if the new line is known."""
    if not line or not isinstance(place, str):
        return place
    return f"{place.rpartition(':')[0]}:{line}"


def _place_of(kind: type) -> str:
    try:
        return f"{inspect.getsourcefile(kind)}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return kind.__qualname__


def _line_of(code: types.CodeType, name: str) -> int:
    """Return the first line of a code object that uses a name; 0 if none does."""
    line = 0
    for each in dis.get_instructions(code):
        line = (each.positions.lineno if each.positions else None) or line
        if each.argval == name and each.opname.startswith("LOAD_"):
            return line
    return 0
