"""The template filled in, and only what its text uses imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["ARRAYS", "TEMPLATE", "listed", "prune", "render_text"]

TEMPLATE = Path(__file__).parent / "templates" / "plan.py.j2"
ARRAYS = "ARRAYS"
"""Stands in the template for the arrays of the layout that a function needs."""

_WORD = re.compile(r"[A-Za-z_]\w*")
_DOCSTRING = re.compile(r'"""[^"]*"""')
_DEF = re.compile(r"^def (\w+)\(", re.M)
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
    """Render a plan; names that its body does not use are neither imported nor defined.

    `imports` maps modules to names (``name`` or ``name as other``), `uses` a called name to the
    arguments it is made of, `constants` the names of reasons to their numbers, `arrays` those of
    the layout to what takes them out of the table an entry is given.
    """
    bare = {**context, "imports": [], "uses": [], "constants": []}
    body = prune(str(_template().render(**bare)).partition(_BODY)[2], arrays)
    words = set(_WORD.findall(body))
    kept = {name: target for name, target in uses.items() if name in words}
    wanted = words.union(*(_WORD.findall(each) for each in kept.values()))
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


def prune(body: str, arrays: Mapping[str, str]) -> str:
    """Replace `ARRAYS` in every definition and call by the arrays the function needs.

    A function needs what its text names and what the functions it calls need; asking for no more
    halves the compiler's work.
    """
    starts = [(found.group(1), found.start()) for found in _DEF.finditer(body)]
    ends = [start for _, start in starts[1:]] + [len(body)]
    words = {
        name: set(_WORD.findall(_DOCSTRING.sub("", body[start:end])))
        for (name, start), end in zip(starts, ends, strict=True)
    }
    needs = {name: {each for each in arrays if each in words[name]} for name in words}
    grown = True
    while grown:
        grown = False
        for name, found in needs.items():
            more = found.union(*(needs[each] for each in words[name] & needs.keys()))
            grown = grown or more != found
            needs[name] = more
    pieces = body.split(ARRAYS)
    text = pieces[0]
    for piece in pieces[1:]:
        called = needs[_called(text)]
        asked = ", ".join(each for each in arrays if each in called)
        text = (text if asked else text.rstrip().removesuffix(",")) + asked + piece
    return _unpacked(text, needs, arrays)


def _unpacked(body: str, needs: Mapping[str, set[str]], arrays: Mapping[str, str]) -> str:
    """Replace `UNPACK` by lines that take what the function needs out of the table."""
    pieces = body.split("    UNPACK\n")
    text = pieces[0]
    for piece in pieces[1:]:
        name = _DEF.findall(text)[-1]
        lines = [
            f"    {each} = {kind}(V, {row})\n"
            for row, (each, kind) in enumerate(arrays.items())
            if each in needs[name]
        ]
        text += "".join(lines) + piece
    return text


def _called(text: str) -> str:
    """Return the name whose open bracket is the last in a text."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth < 0:
            return str(_WORD.findall(text[max(0, at - 40) : at])[-1])
    raise AssertionError("an argument outside of a call")


def listed(names: list[str]) -> list[str]:
    """Write numbered names, six to a line."""
    numbered = [f"{number} {name}" for number, name in enumerate(names)]
    return ["  " + ", ".join(numbered[at : at + 6]) for at in range(0, len(numbered), 6)]
