"""Renders the text of a plan: the wiring, the rules, and the imports that they use.

These are found in its syntax tree: the functions that its entries reach, the names that they read,
and the arrays that each of them needs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final

import msgspec

from septet._plan.binding import FEATURES, SIGNAL, TRADING
from septet._plan.rule_choices import RULES
from septet._plan.specialise import ARRAYS, UNPACK, refuse_unbound
from septet._plan.units import calls_text, is_of
from septet._plan.wiring import features_text, signal_entries_text, signal_text

__all__ = ["ARRAYS", "listed", "prune", "render_text"]

_BEGINS: Final = re.compile(r"^(?=@)", re.M)
"""Where a function begins: each has one decorator, at the start of a line."""
_HEAD: Final = (
    '"""A compiled plan: made by septet, made again when its strategy changes; do not edit.'
)
_PARTS: Final = (
    "WIDTH, at, beside, by_hand, call_unit, entry, kernel, lanes, local, outside, prefetch,",
    "read_only, rejoin, routine, scatter, use, view_of,",
)
_SECTIONS: Final = (
    ("the ledger", ("ledger",)),
    (
        "fills",
        (
            "checked",
            "reentry",
            "resting",
            "grid_orders",
            "orders",
            "queued",
            "missing_bars",
            "levels",
            "fills",
            "venue_fills",
            "stops",
            "takes",
            "steps",
            "bars",
        ),
    ),
    ("account", ("account", "halts")),
    (
        "decisions",
        (
            "hours",
            "position_count",
            "enter",
            "adds",
            "pro_rata",
            "venue_steps",
            "buying",
            "venue_grid",
            "grid",
            "level_rows",
            "decide",
        ),
    ),
    ("a portfolio", ("ranking", "forecasting", "weighting", "rebalance")),
    ("the run", ("step", "idle", "entries")),
    ("the world outside", ("venue_entries",)),
    ("a person", ("by_hand",)),
)
"""Headings of a plan's text, and the modules of rules below each."""


def render_text(
    context: Mapping[str, Any],
    *,
    rules: Mapping[str, str],
    imports: Mapping[str, set[str]],
    uses: Mapping[str, str],
    constants: Mapping[str, int],
    arrays: Mapping[str, str],
    unit: str = "",
) -> str:
    """Write a plan, or one `unit` of it; what its entries do not use is left out.

    `rules` are the rules of trading, by module; `imports` maps modules to names (``name`` or ``name
    as other``), `uses` a called name to the arguments it is made of, `constants` the names of
    reasons to their numbers, `arrays` those of the layout to what takes them out of the table an
    entry is given.
    """
    body, names_read = _pruned(_body(context, rules, unit), tuple(arrays.items()), unit)
    refuse_unbound(RULES, names_read)
    used = {name: target for name, target in uses.items() if name in names_read}
    imported_names = names_read.union(
        *(_names(ast.parse(f"use({each})")) for each in used.values())
    )
    notes = context["notes"] if not unit else [f"unit: {unit}"]
    lines = [_HEAD, "", *notes, '"""', "", "import math", ""]
    lines += [f"from septet._plan.{context['flavour']} import ("]
    lines += [*(f"    {part}" for part in _PARTS), ")"]
    for module, names in sorted(imports.items()):
        if used_names := sorted(name for name in names if name.split()[-1] in imported_names):
            lines.append(f"from {module} import {', '.join(used_names)}")
    lines += ["", "nan = math.nan"]
    lines += [f"{name} = {value}" for name, value in constants.items() if name in names_read]
    lines += ["", *(f"{name} = use({target})" for name, target in sorted(used.items()))]
    views = [each for each in context["views"] if each[0] in names_read]
    lines += [f'{name} = view_of("{dtype}", {count})' for name, dtype, count in views]
    return "\n".join(lines) + "\n\n\n" + body


def _body(context: Mapping[str, Any], rules: Mapping[str, str], unit: str) -> str:
    """Write all functions that a plan, or a unit of it, may use, with marks for its arrays."""
    parts = []
    if unit in ("", FEATURES.name):
        parts += [_heading("features"), features_text(context)]
    for title, modules in _SECTIONS:
        if texts := [rules[each] for each in modules if rules.get(each)]:
            parts.append(_heading(title))
            parts += _signal_of(context, unit) if title == "decisions" else []
            parts += texts
    parts += [signal_entries_text(context)] if unit == SIGNAL.name else []
    text = "\n\n\n".join(parts) + "\n"
    return re.sub(r" +# .*$", "", text, flags=re.M) if unit else text


def _signal_of(context: Mapping[str, Any], unit: str) -> list[str]:
    """Write the functions of the signal in a plan, or in a unit of it."""
    if unit == FEATURES.name:
        return []
    if unit == TRADING.name:
        return [calls_text(context["args"])]
    return [signal_text(context)]


def _heading(title: str) -> str:
    return f"# {'-' * 64} {title}"


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node below one and itself, in any order; in half the time of `ast.walk`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name)
            if isinstance(value, list):
                waiting += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append(value)


def _names(tree: ast.AST) -> Iterator[str]:
    return (each.id for each in _nodes(tree) if isinstance(each, ast.Name))


@lru_cache(maxsize=64)
def _pruned(
    body: str, arrays: tuple[tuple[str, str], ...], unit: str
) -> tuple[str, frozenset[str]]:
    """Return a body without functions that no entry reaches, and the names it uses.

    Settings of one strategy have one body: a sweep, and a test that draws them, asks again.
    """
    return _prune(body, dict(arrays), unit)


def prune(body: str, arrays: Mapping[str, str]) -> str:
    """Remove functions that no entry reaches, and insert the arrays that each function needs.

    A function needs the arrays that it names and those that the functions it calls need; passing
    no others halves the compiler's work.
    """
    return _prune(body, arrays, "")[0]


def _prune(body: str, arrays: Mapping[str, str], unit: str) -> tuple[str, frozenset[str]]:
    first, *function_texts = _BEGINS.split(body)
    functions = {each.name: each for each in map(_function_of, function_texts)}
    reached = _reached(functions, unit)
    arrays_needed = _needs({name: functions[name].names for name in reached}, arrays)
    text, names = first, set[str]()
    for name, function in functions.items():
        if name not in reached:
            text = text.rstrip() + "\n" + function.text[function.end :]
            continue
        text += function.with_arrays(arrays, arrays_needed)
        names |= function.names
    unpacked = {
        arrays[each] for name in reached if functions[name].is_entry for each in arrays_needed[name]
    }
    names |= unpacked.union(*arrays_needed.values())
    return text, frozenset(names - {ARRAYS, UNPACK})


class _Function(msgspec.Struct, frozen=True):
    """One function of a body, with the text up to the next one.

    `names` are all it reads, `marks` the places at which arrays are put in: start, end and the
    function whose arrays they are; of lines that unpack them "".
    """

    text: str
    name: str
    is_entry: bool
    is_by_hand: bool
    end: int
    names: frozenset[str]
    marks: tuple[tuple[int, int, str], ...]

    def with_arrays(self, arrays: Mapping[str, str], arrays_needed: Mapping[str, list[str]]) -> str:
        """Return the text with its arrays inserted; without any the comma is removed as well."""
        pieces, at = list[str](), 0
        for start, end, function in self.marks:
            between = self.text[at:start]
            if function:
                inserted = ", ".join(arrays_needed[function])
                between = between if inserted else between.rstrip().removesuffix(",")
            else:
                inserted = "".join(
                    f"    {name} = {kind}(V, {row})\n"
                    for row, (name, kind) in enumerate(arrays.items())
                    if name in arrays_needed[self.name]
                )
            pieces += [between, inserted]
            at = end
        return "".join(pieces) + self.text[at:]


@lru_cache(maxsize=4096)
def _function_of(text: str) -> _Function:
    """Read one function; most are the same in many plans."""
    assert text.isascii(), "places are counted in bytes"
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    names, marks = set[str](), list[tuple[int, int, str]]()

    def mark(node: ast.arg | ast.Name, function: str) -> None:
        start = starts[node.lineno - 1] + node.col_offset
        marks.append((start, start + len(ARRAYS), function))

    for each in _nodes(function):
        if isinstance(each, ast.Name):
            names.add(each.id)
        elif isinstance(each, ast.arg) and each.arg == ARRAYS:
            mark(each, function.name)
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
            last = each.args[-1] if each.args else None
            if isinstance(last, ast.Name) and last.id == ARRAYS:
                mark(last, each.func.id)
        elif isinstance(each, ast.Expr) and isinstance(each.value, ast.Name):
            assert each.value.id == UNPACK
            marks.append((starts[each.lineno - 1], starts[each.lineno], ""))
    return _Function(
        text, function.name, _is_entry(function), _is_by_hand(function),
        starts[function.end_lineno or 0], frozenset(names), tuple(sorted(marks)),
    )  # fmt: skip


def _is_entry(function: ast.FunctionDef) -> bool:
    """Whether the host calls a function: it is given a table of arrays."""
    return _is_by_hand(function) or any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "entry"
        for each in function.decorator_list
    )


def _is_by_hand(function: ast.FunctionDef) -> bool:
    """Whether a function is never compiled."""
    return any(getattr(each, "id", "") == "by_hand" for each in function.decorator_list)


def _reached(functions: Mapping[str, _Function], unit: str) -> set[str]:
    """Return the functions that the entries, or those of a unit, are or call."""
    entries = [each for each in functions.values() if each.is_entry]
    if unit:
        entries = [each for each in entries if not each.is_by_hand and is_of(unit, each.name)]
    waiting = [each.name for each in entries]
    reached = set[str]()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += (functions[name].names & functions.keys()) - reached
    return reached


def _needs(
    names: Mapping[str, AbstractSet[str]], arrays: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the arrays that each function needs, in the order of the layout."""
    needed = {name: array_names & arrays.keys() for name, array_names in names.items()}
    grown = True
    while grown:
        grown = False
        for name, array_names in needed.items():
            with_called = array_names.union(*(needed[each] for each in names[name] & needed.keys()))
            grown = grown or with_called != array_names
            needed[name] = with_called
    return {
        name: [each for each in arrays if each in array_names]
        for name, array_names in needed.items()
    }


def listed(names: list[str]) -> list[str]:
    """Write numbered names, six to a line."""
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    return ["  " + ", ".join(numbered[at : at + 6]) for at in range(0, len(numbered), 6)]
