"""A plugin of pytest that counts which lines of the rules its tests reach, uncompiled.

``pytest -p tests.rules.line_counter`` writes them, as JSON, to the file that LINES_OF_RULES names.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import septet._rules

__all__ = ["TABLES", "pytest_runtest_call", "pytest_sessionfinish"]

FOLDER: Final = Path(septet._rules.__file__).parent
TABLES: Final = {
    "compile_marks": "decorators that compile nothing",
    "portfolio_lists": "what the elements of a list have: a plan writes their text",
    "records": "values that rules pass to each other: a plan writes their fields",
    "run_state": "the names of the state: a plan writes arrays and slots",
    "settings": "what a strategy chooses: a plan writes its value or its text",
    "step_lists": "what the elements of a list have: a plan writes their text",
}
"""Modules without a rule, and why their functions are not counted."""
_reached: dict[str, set[int]] = {}


def _line(frame: FrameType, event: str, _: Any) -> Any:
    if event == "line":
        _reached[frame.f_code.co_filename].add(frame.f_lineno)
    return _line


def _call(frame: FrameType, *_: Any) -> Any:
    return _line if frame.f_code.co_filename in _reached else None


def _functions(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _functions(each)


def pytest_runtest_call() -> None:
    """Count the lines of a test; whatever traced before is replaced."""
    sys.settrace(_call)


def pytest_runtest_teardown() -> None:
    """Count no more."""
    sys.settrace(None)


def pytest_sessionstart() -> None:
    """Begin with every module of rules."""
    _reached.update({str(path): set() for path in FOLDER.glob("*.py") if path.stem not in TABLES})


def pytest_sessionfinish() -> None:
    """Write the lines of each function, and those of them that no test has reached."""
    found: dict[str, list[list[int]]] = {}
    for path, reached in sorted(_reached.items()):
        code = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
        for each in _functions(code):
            lines = {line for *_, line in each.co_lines() if line} - {each.co_firstlineno}
            name = f"{Path(path).name}:{each.co_name}"
            found[name] = [sorted(lines), sorted(lines - reached)]
    Path(os.environ["LINES_OF_RULES"]).write_text(json.dumps(found), encoding="utf-8")
