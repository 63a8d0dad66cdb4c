"""The digest of the code that computes one feature, as a stored model's card keeps it."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from septet._host.code_dependencies import names_of
from septet._host.declare import Step
from septet._host.imports import OURS
from septet._host.sources import source_digest

__all__ = ["step_digest"]

_PARTS: Final = ("function", "closed", "tables", "inner", "outputs")


def step_digest(step: Step) -> str:
    """Return ``package DIGEST`` over the packages of a step, ``septet DIGEST`` for septet's own.

    Of septet's own steps the functions count that the step reaches, without their comments and
    docstrings: another version of septet that computes the same has the same digest.
    """
    digest = source_digest(step)
    if digest:
        return f"package {digest}"
    functions = {f"{each.__module__}.{each.__qualname__}": _text(each) for each in _functions(step)}
    text = "\n".join(f"{name}\n{functions[name]}" for name in sorted(functions))
    return f"septet {hashlib.sha256(text.encode()).hexdigest()}"


def _functions(step: Step) -> Iterator[types.FunctionType]:
    """Yield septet's functions that a step reaches by the names in them."""
    waiting: list[Any] = [getattr(step, name) for name in _PARTS]
    visited: set[int] = set()
    while waiting:
        value = waiting.pop()
        value = inspect.unwrap(value) if callable(value) else value
        if not isinstance(value, types.FunctionType) or id(value) in visited:
            continue
        visited.add(id(value))
        if value.__module__.partition(".")[0] not in OURS:
            continue
        yield value
        waiting += [value.__globals__.get(name) for name in names_of(value.__code__)]


@cache
def _text(function: types.FunctionType) -> str:
    """Return the source of a function without its words; its bytes of code where there is none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return function.__code__.co_code.hex()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
