"""The docstrings of a model's fields, read from its source when a JSON Schema is written.

A string literal after a field describes it in editors and in the reference. Reading the source is
slow compared with a short run, so only the writer of the schema does it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache

__all__ = ["field_docstrings"]


def field_docstrings(model: type) -> dict[str, str]:
    """Return the docstrings of fields by name, fields of parent classes included.

    A field that a subclass redeclares without a docstring keeps the parent's docstring. The result
    is empty for a model whose source cannot be read.
    """
    docstrings: dict[str, str] = {}
    for each in reversed(model.__mro__):
        docstrings |= _of_module(each.__module__).get(each.__qualname__, {})
    return docstrings


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the docstrings of fields, grouped by the qualified name of the class."""
    module = sys.modules.get(name)
    try:
        tree = ast.parse(inspect.getsource(module)) if module is not None else None
    except (OSError, TypeError, SyntaxError):
        return {}
    return dict(_classes(tree, "")) if tree is not None else {}


def _classes(node: ast.AST, prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.ClassDef):
            name = prefix + each.name
            yield name, dict(_fields(each))
            yield from _classes(each, f"{name}.")


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, following in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            yield field.target.id, " ".join(following.value.value.split())
