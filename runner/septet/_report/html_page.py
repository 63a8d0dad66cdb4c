"""The HTML page shared by runs and sweeps: one file that loads nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from septet._charts import time_chart
from septet._files import replace_file
from septet._text import visible
from septet_schemas.late_patterns import late_pattern

__all__ = [
    "chart",
    "document",
    "embed",
    "escaped",
    "html_table",
    "replace_text",
    "section",
    "yaml_text",
]

# The policy forbids every fetch: what is not in the file does not load.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


@cache
def _asset(package: str, name: str) -> str:
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def embed(value: Any) -> str:
    """Write JSON that cannot close the script element that contains it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for sign, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, code)
    return text


def escaped(text: str) -> str:
    r"""Escape markup, and replace control and bidirectional characters by visible ones.

    A page is displayed, copied from and printed like any other text of a run.
    """
    return escape(visible(text))


_WIDTH_AND_TITLE: Final = late_pattern(r'<svg[^>]* width="([\d.]+)"[^>]*><title>([^<]*)</title>')
_WIDE: Final = 700.0


def section(title: str, body: str, note: str = "", aside: str = "") -> str:
    """Build a section from markup; title and note are escaped."""
    text = f'<p class="note">{escaped(note)}</p>' if note else ""
    return (
        f'<section><div class="head"><h2>{escaped(title)}</h2>{aside}</div>{text}{body}</section>'
    )


def chart(name: str, still: str) -> str:
    """Build the container of the chart `name`, which is markup.

    A wide chart keeps its size in a narrow window: its container scrolls, also by keys.
    """
    found = _WIDTH_AND_TITLE.search(still)
    if found is None or float(found[1]) < _WIDE:
        return f'<div id="chart-{name}" class="chart">{still}</div>'
    place = f'tabindex="0" role="group" aria-label="{found[2]}"'
    return f'<div id="chart-{name}" class="chart wide" {place}>{still}</div>'


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], label: str, cls: str = ""
) -> str:
    """Build a table from cells that are already markup; a head that starts with # is a number."""
    numeric = [name.startswith("#") for name in head]
    cell = ["n" if right else "" for right in numeric]
    top = "".join(
        f'<th scope="col" class="{kind}">{escaped(name.lstrip("#"))}</th>'
        for name, kind in zip(head, cell, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{text}</td>' for text, kind in zip(row, cell, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(label)}">'
        f'<table class="{cls}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def yaml_text(value: Any) -> str:
    """Write plain data as YAML, in its order; values that JSON does not support become text."""
    import yaml

    return yaml.safe_dump(
        json.loads(json.dumps(value, default=str)), sort_keys=False, allow_unicode=True, width=88
    )


def document(
    title: str, header: str, main: str, data: Any, *, scripts: Sequence[tuple[str, str]]
) -> str:
    """Join header, sections, the data of charts over time and the page's scripts into one file.

    `data` is empty if the page has only stills. `scripts` are assets as (package, name); they run
    in one function, so that their names are not global.
    """
    report = "septet._report"
    code = "".join(_asset(*place) for place in scripts)
    library = time_chart.library() if data else None
    charts = f"<script>{library}</script>\n<script>{time_chart.script()}</script>\n"
    stills = "Charts over time are stills here: they pan and zoom "
    why = "where septet was installed with npm at hand." if library is None else "with JavaScript."
    note = f'<p class="note">{stills}{why}</p>' if data else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escaped(title)}</title>"
        f"<style>{_asset(report, 'report.css')}{time_chart.style() if data else ''}</style>"
        f"</head><body>\n{header}\n<main>"
        f"{note if library is None else f'<noscript>{note}</noscript>'}\n"
        f"{main}\n</main>\n"
        f"<footer>{escaped(title)}. A backtest describes the past under assumptions; it is no "
        "advice and no promise.</footer>\n"
        f'<script type="application/json" id="chart-data">{embed(data)}</script>\n'
        f"{charts if library else ''}"
        f'<script>"use strict";\n(() => {{\n{code}}})();\n</script>\n</body></html>\n'
    )


def replace_text(path: Path, text: str) -> Path:
    """Replace a file atomically: the old file stays until the new one is complete."""
    return replace_file(path, text)
