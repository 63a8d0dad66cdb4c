"""The template filled in, and only what its text uses imported.

What a text uses is read from its syntax tree: the functions that its entries reach, the names these
read, and the arrays that each of them needs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from septet._plan.rule_choices import RULES
from septet._plan.specialise import refuse_unbound

__all__ = ["ARRAYS", "TEMPLATE", "listed", "prune", "render_text"]

TEMPLATE = Path(__file__).parent / "templates" / "plan.py.j2"
ARRAYS = "ARRAYS"
"""Stands in the template for the arrays of the layout that a function needs."""
UNPACK = "UNPACK"
"""Stands in an entry for the lines that take its arrays out of the table it is given."""

_BEGINS: Final = re.compile(r"^(?=@)", re.M)
"""Where a function begins: each has one decorator, at the start of a line."""
_BODY = "# ---------------------------------------------------------------- features"


@cache
def _template() -> Any:
    import jinja2

    # Python text is made here, not HTML: nothing is to be escaped.
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE.name)


def render_text(
    context: Mapping[str, Any],
    *,
    imports: Mapping[str, set[str]],
    uses: Mapping[str, str],
    constants: Mapping[str, int],
    arrays: Mapping[str, str],
) -> str:
    """Render a plan; what its entries do not use is neither imported nor defined.

    `imports` maps modules to names (``name`` or ``name as other``), `uses` a called name to the
    arguments it is made of, `constants` the names of reasons to their numbers, `arrays` those of
    the layout to what takes them out of the table an entry is given.
    """
    bare = {**context, "imports": [], "uses": [], "constants": []}
    body, words = _pruned(
        str(_template().render(**bare)).partition(_BODY)[2], tuple(arrays.items())
    )
    refuse_unbound(RULES, words)
    kept = {name: target for name, target in uses.items() if name in words}
    wanted = words.union(*(_names(ast.parse(f"use({each})")) for each in kept.values()))
    lines = [
        (module, sorted(name for name in names if name.split()[-1] in wanted))
        for module, names in sorted(imports.items())
    ]
    head = _template().render(
        **{
            **context,
            "imports": [(module, names) for module, names in lines if names],
            "uses": sorted(kept.items()),
            "constants": [each for each in constants.items() if each[0] in words],
        }
    )
    return str(head).partition(_BODY)[0] + _BODY + body


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
def _pruned(body: str, arrays: tuple[tuple[str, str], ...]) -> tuple[str, frozenset[str]]:
    """Return a body without what no entry reaches, and the names it uses.

    Settings of one strategy have one body: a sweep, and a test that draws them, asks again.
    """
    return _prune(body, dict(arrays))


def prune(body: str, arrays: Mapping[str, str]) -> str:
    """Leave out what no entry reaches, and put in the arrays that each function needs.

    A function needs the arrays that it names and those that the functions it calls need; asking
    for no more halves the compiler's work.
    """
    return _prune(body, arrays)[0]


def _prune(body: str, arrays: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    first, *rest = _BEGINS.split(body)
    functions = {each.name: each for each in map(_function_of, rest)}
    kept = _reached(functions)
    needs = _needs({name: functions[name].names for name in kept}, arrays)
    made, words = first, set[str]()
    for name, function in functions.items():
        if name not in kept:
            made = made.rstrip() + "\n" + function.text[function.end :]
            continue
        made += function.with_arrays(arrays, needs)
        words |= function.names
    unpacked = {arrays[each] for name in kept if functions[name].is_entry for each in needs[name]}
    words |= unpacked.union(*needs.values())
    return made, frozenset(words - {ARRAYS, UNPACK})


@dataclass(frozen=True, slots=True)
class _Function:
    """One function of a body, with the text up to the next one.

    `names` are all it reads, `marks` the places at which arrays are put in: start, end and the
    function whose arrays they are; of lines that unpack them "".
    """

    text: str
    name: str
    is_entry: bool
    end: int
    names: frozenset[str]
    marks: tuple[tuple[int, int, str], ...]

    def with_arrays(self, arrays: Mapping[str, str], needs: Mapping[str, list[str]]) -> str:
        """Return the text with its arrays; no comma stands before none."""
        pieces, at = list[str](), 0
        for start, end, whose in self.marks:
            before = self.text[at:start]
            if whose:
                put = ", ".join(needs[whose])
                before = before if put else before.rstrip().removesuffix(",")
            else:
                put = "".join(
                    f"    {name} = {kind}(V, {row})\n"
                    for row, (name, kind) in enumerate(arrays.items())
                    if name in needs[self.name]
                )
            pieces += [before, put]
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

    def mark(node: ast.arg | ast.Name, whose: str) -> None:
        start = starts[node.lineno - 1] + node.col_offset
        marks.append((start, start + len(ARRAYS), whose))

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
        text, function.name, _is_entry(function), starts[function.end_lineno or 0],
        frozenset(names), tuple(sorted(marks)),
    )  # fmt: skip


def _is_entry(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "entry"
        for each in function.decorator_list
    )


def _reached(functions: Mapping[str, _Function]) -> set[str]:
    """Return the functions that the entries are or call."""
    waiting = [name for name, each in functions.items() if each.is_entry]
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
    needs = {name: found & arrays.keys() for name, found in names.items()}
    grown = True
    while grown:
        grown = False
        for name, found in needs.items():
            more = found.union(*(needs[each] for each in names[name] & needs.keys()))
            grown = grown or more != found
            needs[name] = more
    return {name: [each for each in arrays if each in found] for name, found in needs.items()}


def listed(names: list[str]) -> list[str]:
    """Write numbered names, six to a line."""
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    return ["  " + ", ".join(numbered[at : at + 6]) for at in range(0, len(numbered), 6)]
