"""What the code of a step may not do, found without running it, each with its line.

A step sees its parameters and nothing else. What it would reach beside them (an array of its
module, a clock, a file, a random number) is not in the aligned bars, is not replayed, and may be
the future.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from septet._host.code_dependencies import functions_of, reached_of, root_of
from septet._host.cursor_uses import cursor_counts
from septet._host.declare import Declaration, Step
from septet._host.imports import OURS, is_followed, is_large
from septet._host.named_state import names_asked
from septet._kernel.marks import in_python

__all__ = ["Fault", "faults_of"]

PURE_BUILTINS: Final = frozenset(
    {
        "breakpoint", "compile", "delattr", "dir", "eval", "exec", "exit", "globals", "hash",
        "help", "id", "input", "locals", "open", "print", "quit", "setattr", "vars", "__import__",
    }
)  # fmt: skip
"""Built-in functions that a step may not call: they speak, read, or differ from run to run."""
WORLD_MODULES: Final = frozenset(
    {
        "asyncio", "calendar", "ctypes", "datetime", "gc", "glob", "http", "inspect", "io",
        "logging", "multiprocessing", "os", "pathlib", "pickle", "random", "secrets", "shutil",
        "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
        "warnings",
    }
)  # fmt: skip
"""Modules through which a step would see or change what is not its own."""
PLAIN_TYPES: Final = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing a step's code does and may not; `place` is ``file:line``."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def faults_of(step: Step) -> list[Fault]:
    """Return every fault in a step's code and in the helpers it calls, in order of their lines."""
    found: dict[Fault, None] = {}
    for function in (step.function, step.closed):
        if function is not None:
            found |= dict.fromkeys(_faults(function, step.compiled, set()))
    if str(getattr(step.function, "__module__", "")).partition(".")[0] not in OURS:
        found |= dict.fromkeys(_from_the_end(step))
        found |= dict.fromkeys(Fault(place, message) for place, message in cursor_counts(step))
        if not found:  # a fault above is more precise on the same value
            found |= dict.fromkeys(Fault(*each) for each in reached_of(step).unknown)
    return sorted(found, key=lambda fault: fault.place)


def _faults(function: Callable[..., Any], compiled: bool, seen: set[Any]) -> Iterator[Fault]:
    inner = getattr(function, "__wrapped__", None)
    code = getattr(function, "__code__", None)
    if inner is not None and code and code.co_filename == in_python.__code__.co_filename:
        function = inner  # of septet's own mark the text counts
    elif inner is not None:
        yield from _through(inner, compiled, seen)
    if not inspect.isfunction(function):
        return
    if function in seen or str(function.__module__).partition(".")[0] in OURS:
        return
    seen.add(function)
    name = function.__name__
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    for cell, holds in cells:
        for message in _of_value(name, cell, _content(holds), compiled):
            yield Fault(f"{code.co_filename}:{code.co_firstlineno}", message)
        yield from _through(_content(holds), compiled, seen)
    given = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for value in given:
        if not _is_plain(value):
            message = f"{name} has a default that is a {type(value).__name__}: it would be kept"
            yield Fault(f"{code.co_filename}:{code.co_firstlineno}", message)
    for line, asked in names_asked(code):
        yield Fault(
            f"{code.co_filename}:{line}",
            f"{name} uses state.{asked}: names of slots are known where state= is declared, and a "
            f"helper is given their index (state.at.{asked}), or the value",
        )
    for each in _codes(code):
        yield from _of_code(name, each, function.__globals__, compiled, seen)


def _through(value: Any, compiled: bool, seen: set[Any]) -> Iterator[Fault]:
    """Look into what a decorator, a cache or a partial holds, as into the step itself."""
    if isinstance(value, functools.partial):
        waiting = [value.func, *value.args, *value.keywords.values()]
    elif inspect.isfunction(value):
        waiting = [value]
    else:
        waiting = [] if isinstance(value, Declaration) else list(functions_of(value))
    for each in waiting:
        if each is not value and not inspect.isfunction(each):
            yield from _through(each, compiled, seen)
        elif inspect.isfunction(each) and _is_looked_into(each):
            yield from _faults(each, compiled, seen)


def _is_looked_into(function: Any) -> bool:
    root = root_of(function)
    return is_followed(root) and not is_large(root)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and those inside it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _codes(each)


def _of_code(
    name: str, code: types.CodeType, scope: dict[str, Any], compiled: bool, seen: set[Any]
) -> Iterator[Fault]:
    line, before = code.co_firstlineno, None
    for each in dis.get_instructions(code):
        line = (each.positions.lineno if each.positions else None) or line
        place = f"{code.co_filename}:{line}"
        if each.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            yield Fault(place, f"{name} writes {each.argval}, a name of its module")
        elif each.opname in ("STORE_ATTR", "DELETE_ATTR"):
            message = f"{name} writes the attribute {each.argval}: what a step keeps is its state"
            yield Fault(place, message)
        elif each.opname == "IMPORT_NAME":
            yield Fault(place, f"{name} imports {each.argval}; a step imports nothing")
        elif each.opname in ("RAISE_VARARGS", "LOAD_ASSERTION_ERROR"):
            message = "raises; an answer that does not exist is NaN"
            yield Fault(place, f"{name} {message}")
        elif each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if each.argval not in scope and not hasattr(builtins, each.argval):
                yield Fault(place, f"{name} reads {each.argval}, which nothing defines")
                before = each
                continue
            value = scope.get(each.argval, getattr(builtins, each.argval, None))
            for message in _of_value(name, each.argval, value, compiled):
                yield Fault(place, message)
            if inspect.isfunction(value):
                yield from _faults(value, compiled, seen)
            elif inspect.ismodule(value) and _is_looked_into(value):
                for inside in sorted(set(code.co_names) & vars(value).keys()):
                    yield from _through(vars(value)[inside], compiled, seen)
            else:
                yield from _through(value, compiled, seen)
        elif each.opname == "GET_ITER" and before is not None and _gives_set(before):
            message = "iterates over a set, whose order differs from process to process"
            yield Fault(place, f"{name} {message}; expected a tuple, or sorted()")
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD") and each.argval == "random":
            yield Fault(place, f"{name} draws random numbers: two runs would differ")
        before = each


def _gives_set(instruction: dis.Instruction) -> bool:
    """Whether an instruction leaves a set of other things than numbers."""
    if instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, frozenset):
        return not all(isinstance(each, int | float) for each in instruction.argval)
    return instruction.opname in ("BUILD_SET", "SET_UPDATE")


def _of_value(name: str, called: str, value: Any, compiled: bool) -> Iterator[str]:
    """Yield what is wrong with a value that a step reaches by a name of its module."""
    if inspect.isbuiltin(value) and called in PURE_BUILTINS:
        yield f"{name} calls {called}; a step speaks to nobody and reads nothing but its parameters"
    elif inspect.ismodule(value):
        if value.__name__.partition(".")[0] in WORLD_MODULES:
            yield f"{name} uses the module {value.__name__}: it sees more than its parameters"
    elif inspect.isclass(value) and (held := _held_by(value)):
        yield f"{name} reads {called}, a class that holds {held}; what a step keeps is its state"
    elif inspect.isbuiltin(value) or isinstance(value, PLAIN_TYPES) or inspect.isclass(value):
        module = str(getattr(value, "__module__", "") or "").partition(".")[0]
        if module in WORLD_MODULES:
            yield f"{name} calls {called} of the module {module}: it sees more than its parameters"
    elif isinstance(value, Declaration):
        yield f"{name} calls {called}, a step; share a function marked with @helper"
    elif inspect.isfunction(value):
        if compiled and not getattr(value, "__septet_helper__", False):
            yield f"{name} calls {called}, which is not marked with @helper"
    elif isinstance(value, tuple):
        if not all(isinstance(each, PLAIN_TYPES) for each in value):
            yield f"{name} reads {called}, a tuple of its module that holds more than numbers"
    elif not callable(value) or is_followed(type(value).__module__.partition(".")[0]):
        kind = type(value).__name__
        article = "an" if kind[0] in "aeiou" else "a"
        yield (
            f"{name} reads {called}, {article} {kind} of its module; what a step reads comes "
            "through its parameters (tables= makes arrays)"
        )


def _from_the_end(step: Step) -> Iterator[Fault]:
    """Yield reads of a column at a number below zero, which count from the end of the array."""
    if step.function is None:
        return
    columns = set(step.parameters) - {"state", "tables"}
    code = inspect.unwrap(step.function).__code__
    column = number = None
    for each in dis.get_instructions(code):
        if each.opname == "BINARY_SUBSCR" and column is not None and number is not None:
            name, at = column.argval, number.argval
            is_number = number.opname == "LOAD_CONST" and type(at) is int
            if is_number and at < 0 and column.opname == "LOAD_FAST" and name in columns:
                line = each.positions.lineno if each.positions else code.co_firstlineno
                yield Fault(
                    f"{code.co_filename}:{line}",
                    f"{step.function.__name__} reads {name}[{at}], which counts from the end of "
                    f"the array: the future; expected {name}[i - {-at}]",
                )
        column, number = number, each


def _is_plain(value: Any) -> bool:
    """Whether a value is a number, a text, or a tuple of these, which nothing can change."""
    inside = value if isinstance(value, tuple) else (value,)
    return all(isinstance(each, PLAIN_TYPES) for each in inside)


def _held_by(kind: type) -> str:
    """Return the attribute of a class in which something could be kept; empty where none is."""
    if not is_followed(kind.__module__.partition(".")[0]):
        return ""
    for name, value in vars(kind).items():
        if name.startswith("__") or (name[0] == name[-1] == "_") or name == "_abc_impl":
            continue  # what Python, an enumeration and an abstract class keep at a class
        code = inspect.isdatadescriptor(value) or inspect.isroutine(value) or inspect.isclass(value)
        code = code or isinstance(value, classmethod | staticmethod)
        if not (code or _is_plain(value) or isinstance(value, kind)):
            return f"{name}, a {type(value).__name__}"
    return ""
