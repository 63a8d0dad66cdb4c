"""The template filled in, and only what its text uses imported.

What a text uses is read from its syntax tree: the functions that its entries reach, the names these
read, and the arrays that each of them needs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from septet._plan.rule_choices import RULES
from septet._plan.specialise import refuse_unbound

__all__ = ["ARRAYS", "TEMPLATE", "listed", "prune", "render_text"]

TEMPLATE = Path(__file__).parent / "templates" / "plan.py.j2"
ARRAYS = "ARRAYS"
"""Stands in the template for the arrays of the layout that a function needs."""
UNPACK = "UNPACK"
"""Stands in an entry for the lines that take its arrays out of the table it is given."""

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
    kept = prune(body, dict(arrays))
    return kept, frozenset(_names(ast.parse(kept)))


def prune(body: str, arrays: Mapping[str, str]) -> str:
    """Leave out what no entry reaches, and put in the arrays that each function needs.

    A function needs the arrays that it names and those that the functions it calls need; asking
    for no more halves the compiler's work.
    """
    found = [each for each in ast.parse(body).body if isinstance(each, ast.FunctionDef)]
    functions = {each.name: each for each in found}
    nodes = {name: list(_nodes(each)) for name, each in functions.items()}
    names = {
        name: {each.id for each in found if isinstance(each, ast.Name)}
        for name, found in nodes.items()
    }
    kept = _reached(functions, names)
    needs = _needs({name: names[name] for name in kept}, arrays)
    changes = _Changes(body)
    for name, function in functions.items():
        if name not in kept:
            changes.leave_out(function)
            continue
        for each in nodes[name]:
            if isinstance(each, ast.arg) and each.arg == ARRAYS:
                changes.replace(each, needs[name])
            elif isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
                last = each.args[-1] if each.args else None
                if isinstance(last, ast.Name) and last.id == ARRAYS:
                    changes.replace(last, needs[each.func.id])
            elif isinstance(each, ast.Expr) and _is_unpack(each.value):
                changes.unpack(each, arrays, needs[name])
    return changes.made()


def _is_unpack(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == UNPACK


def _reached(functions: Mapping[str, ast.FunctionDef], names: Mapping[str, set[str]]) -> set[str]:
    """Return the functions that the entries are or call."""
    waiting = [name for name, each in functions.items() if _is_entry(each)]
    reached = set[str]()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += (names[name] & functions.keys()) - reached
    return reached


def _is_entry(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "entry"
        for each in function.decorator_list
    )


def _needs(names: Mapping[str, set[str]], arrays: Mapping[str, str]) -> dict[str, list[str]]:
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


class _Changes:
    """Changes to a text, by the places of its syntax tree."""

    def __init__(self, text: str) -> None:
        assert text.isascii(), "places are counted in bytes"
        self._text = text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._changes: list[tuple[int, int, str]] = []

    def leave_out(self, function: ast.FunctionDef) -> None:
        """Leave out a function and the blank lines before it."""
        first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
        start = len(self._text[: self._starts[first - 1]].rstrip()) + 1
        self._changes.append((start, self._starts[function.end_lineno or first], ""))

    def replace(self, node: ast.arg | ast.Name, names: list[str]) -> None:
        """Put names where one stands; nothing, and no comma before it, where there are none."""
        start = self._starts[node.lineno - 1] + node.col_offset
        end = start + len(ARRAYS)
        if not names:
            start = len(self._text[:start].rstrip().removesuffix(","))
        self._changes.append((start, end, ", ".join(names)))

    def unpack(self, node: ast.Expr, arrays: Mapping[str, str], names: list[str]) -> None:
        """Put lines that take arrays out of the table, as many as there are."""
        lines = (
            f"    {name} = {kind}(V, {row})\n"
            for row, (name, kind) in enumerate(arrays.items())
            if name in names
        )
        start = self._starts[node.lineno - 1]
        self._changes.append((start, self._starts[node.lineno], "".join(lines)))

    def made(self) -> str:
        """Return the text with its changes."""
        pieces, at = list[str](), 0
        for start, end, text in sorted(self._changes):
            pieces += [self._text[at:start], text]
            at = end
        return "".join(pieces) + self._text[at:]


def listed(names: list[str]) -> list[str]:
    """Write numbered names, six to a line."""
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    return ["  " + ", ".join(numbered[at : at + 6]) for at in range(0, len(numbered), 6)]
