"""The template filled in, and only what its text uses imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["render_text"]

_WORD = re.compile(r"[A-Za-z_]\w*")
_BODY = "# ---------------------------------------------------------------- features"


@cache
def _template() -> Any:
    import jinja2

    # Python text is made here, not HTML: nothing is to be escaped.
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("plan.py.j2")


def render_text(
    context: Mapping[str, Any],
    *,
    imports: Mapping[str, set[str]],
    uses: Mapping[str, str],
    constants: Mapping[str, int],
) -> str:
    """Render a plan; names that its body does not use are neither imported nor defined.

    `imports` maps modules to names (``name`` or ``name as other``), `uses` a called name to what
    it is made of, `constants` the names of reasons to their numbers.
    """
    bare = {**context, "imports": [], "uses": [], "constants": []}
    body = _template().render(**bare).partition(_BODY)[2]
    words = set(_WORD.findall(body))
    kept = {name: target for name, target in uses.items() if name in words}
    wanted = words | set(kept.values())
    lines = [
        (module, sorted(name for name in names if name.split()[-1] in wanted))
        for module, names in sorted(imports.items())
    ]
    return str(
        _template().render(
            **{
                **context,
                "imports": [(module, names) for module, names in lines if names],
                "uses": sorted(kept.items()),
                "constants": [each for each in constants.items() if each[0] in words],
            }
        )
    )
