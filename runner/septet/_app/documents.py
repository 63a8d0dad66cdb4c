"""Converts values to JSON, in one form for all callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from septet._text import dump_json, masked_addresses, shortened
from septet.errors import ConfigError, Problem, SeptetError

__all__ = ["LONGEST", "document_of", "error_document", "problem_document", "safe_text", "to_json"]

LONGEST: Final = 2_000
"""Largest length of a shown message: it may quote a value of any length."""


def document_of(value: Any) -> Any:
    """Return a value as plain data by its `document`, also inside lists and mappings."""
    if hasattr(value, "document"):
        return value.document()
    if isinstance(value, Problem):
        return problem_document(value)
    if isinstance(value, SeptetError):
        return error_document(value)
    if isinstance(value, Mapping):
        return {name: document_of(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [document_of(part) for part in value]
    return value


def to_json(value: Any) -> str:
    """Write the machine-readable document of a result; NaN and infinity become null."""
    return dump_json(document_of(value)).removesuffix("\n")


def safe_text(text: str, most: int = LONGEST) -> str:
    """Shorten a message, and remove secret parts of addresses from it."""
    return masked_addresses(shortened(text, most))


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain data."""
    return {
        "severity": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "message": safe_text(problem.message),
        "expected": safe_text(problem.expected),
        "found": safe_text(problem.found),
        "hint": safe_text(problem.hint),
    }


def error_document(error: SeptetError) -> dict[str, Any]:
    """Return an error as plain data: `ok` false, the message, and problems if it has any."""
    problems = error.problems if isinstance(error, ConfigError) else ()
    if error.problem is not None:
        problems = (error.problem,)
    return {
        "ok": False,
        "exit_code": error.exit_code,
        "error": type(error).__name__,
        "message": safe_text(error.message, LONGEST * max(1, len(problems))),
        "hint": safe_text(error.hint),
        "problems": [problem_document(each) for each in problems],
    }
