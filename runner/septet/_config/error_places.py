"""Adds the place in the strategy file to errors that are raised while it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from septet._config.pydantic_problems import problem_at
from septet._config.tree import Key, Node
from septet.errors import ConfigError, Problem, SeptetError

__all__ = ["placed", "placed_keys", "problem_of"]


@contextmanager
def placed(loaded: Any, *path: Key) -> Iterator[None]:
    """Add to an error raised inside its place in the strategy file: its key, else `path`.

    An error that has a place keeps it, and so does one of a file that has no tree.
    """
    try:
        yield
    except SeptetError as error:
        tree = getattr(loaded, "tree", None)
        if error.problem is None and not isinstance(error, ConfigError) and tree is not None:
            error.problem = _problem(tree, error, path)
        raise


@contextmanager
def placed_keys(loaded: Any) -> Iterator[None]:
    """Add its place to an error that names its key from the top of the file, and to no other."""
    try:
        yield
    except SeptetError as error:
        if not error.key.startswith("."):
            raise
        with placed(loaded):
            raise


def _problem(tree: Node, error: SeptetError, path: Sequence[Key]) -> Problem:
    key = error.key
    names = [int(part) if part.isdigit() else part for part in key.strip(".").split(".") if part]
    key_path = tuple(names) if key.startswith(".") else (*path, *names)
    while tree.at(key_path) is None and len(key_path) > 1:
        key_path = key_path[:-1]
    return problem_at(tree, key_path, error.message, hint=error.hint)


def problem_of(error: SeptetError) -> tuple[Problem, ...]:
    """Return an error as problems, each with its place if it has one."""
    if isinstance(error, ConfigError):
        return error.problems
    return (error.problem or Problem(error.message, hint=error.hint),)
