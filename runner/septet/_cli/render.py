"""Renders problems and tables; everything except results is printed to stderr."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from septet._app.documents import safe_text
from septet._cli.terminal import echo, echo_text, styled
from septet._config.read import MAX_BYTES
from septet._files import open_regular
from septet._text import one_line, visible
from septet.errors import Problem, SeptetError

__all__ = [
    "count_text",
    "render_error",
    "render_problems",
    "render_table",
]

_SECRET: Final = re.compile(
    r"(?i)\b([a-z_]*(?:secret|password|passphrase|token|api_key|private_key)|key)(['\"]?\s*[:=]\s*)"
    r"(?!\s*['\"]?(?:env|file):)('[^']*'?|\"[^\"]*\"?|[^,}\s]+)"
)
_HEADER: Final = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie"
    r"|[a-z]{1,20}-[a-z-]{0,40}?(?:key|token|secret|auth))"
    r"(['\"]?\s*[:=]\s*)(?!\s*['\"]?(?:env|file):)('[^']*'?|\"[^\"]*\"?|[^,}]+)"
)
_HEADERS: Final = re.compile(r"(?i)(\bheaders['\"]?\s*:\s*\{)([^}]*)")
_HEADER_VALUE: Final = re.compile(
    r"((?:^|,)\s*[^:,]{1,200}:\s*)(?!\s*['\"]?(?:env|file):)('[^']*'?|\"[^\"]*\"?|[^,\s][^,]*)"
)
_SCHEME: Final = re.compile(r"\b((?:bearer|basic)\s+)([^\s,}'\"]+)", re.IGNORECASE)
_LOGIN: Final = re.compile(r"([a-z][a-z0-9+.-]{0,31}://)\S+@", re.IGNORECASE)
_QUERY: Final = re.compile(r"([a-z][a-z0-9+.-]{0,31}://[^\s?#'\"]*[?#])([^\s'\"]+)", re.IGNORECASE)
_WIDTH: Final = 96
_LONGEST_LINE: Final = 4_000
"""Longest line with an excerpt: searching longer ones for secrets takes time, and they do not
help."""


def count_text(problems: Sequence[Problem]) -> str:
    """Return ``2 errors, 1 warning``; empty when there are none."""
    counts = []
    for severity in ("error", "warning"):
        number = sum(each.severity == severity for each in problems)
        if number:
            counts.append(f"{number} {severity}" + ("" if number == 1 else "s"))
    return ", ".join(counts)


def render_error(error: SeptetError) -> None:
    """Print an error that has no place in a file."""
    echo(f"{styled('error', fg='red', bold=True)}: {_shown(error.message)}", err=True)
    if error.hint:
        echo(f"  {styled('hint', fg='cyan')}  {_shown(error.hint)}", err=True)


def render_problems(problems: Sequence[Problem], *, total: bool = True) -> None:
    """Print problems to stderr, each with its line of the file and a marker below it."""
    lines: dict[str, list[str]] = {}
    for problem in problems:
        if problem.line and problem.file not in lines:
            lines[problem.file] = _read_lines(problem.file)
        echo_text(_one(problem, lines.get(problem.file, [])), err=True)
        echo(err=True)
    if total and problems:
        echo(styled(count_text(problems), bold=True), err=True)


def _shown(text: str) -> str:
    return one_line(safe_text(text))


def _read_lines(file: str) -> list[str]:
    try:
        with open_regular(Path(file)) as handle:  # a pipe may be the cause of the problem
            return handle.read(MAX_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _one(problem: Problem, lines: Sequence[str]) -> str:
    warning = problem.severity == "warning"
    head = styled(problem.severity, fg="yellow" if warning else "red", bold=True)
    styled_place = styled(problem.place, bold=True)
    key = f"{one_line(problem.key)}: " if problem.key else ""
    start = f"{styled_place}: " if problem.place else ""
    parts = [f"{start}{head}: {key}{_shown(problem.message)}"]
    parts += _excerpt(problem, lines)
    for name in ("expected", "found", "hint"):
        text = getattr(problem, name)
        if text:
            parts.append(f"  {styled(f'{name:<8}', fg='cyan')}  {_shown(text)}")
    return "\n".join(parts)


def _hide(line: str) -> str:
    """Mask text that looks like a secret, keeping the columns."""
    line = _LOGIN.sub(lambda m: m[1] + "*" * (len(m[0]) - len(m[1])), line)
    line = _QUERY.sub(lambda m: m[1] + "*" * len(m[2]), line)
    line = _HEADERS.sub(lambda m: m[1] + _HEADER_VALUE.sub(_starred, m[2]), line)
    line = _HEADER.sub(lambda m: m[1] + m[2] + "*" * len(m[3]), line)
    line = _SCHEME.sub(_starred, line)
    return _SECRET.sub(lambda m: m[1] + m[2] + "*" * len(m[3]), line)


def _starred(secret: re.Match[str]) -> str:
    return secret[1] + "*" * len(secret[2])


def _excerpt(problem: Problem, lines: Sequence[str]) -> list[str]:
    """Return the line of the file and a marker below the column, shortened to fit."""
    if not 0 < problem.line <= len(lines):
        return []
    if len(lines[problem.line - 1]) > _LONGEST_LINE:
        return []
    line = _hide(lines[problem.line - 1].replace("\t", " ").rstrip())
    column = min(problem.column - 1, len(line))
    start = 0
    if len(line) > _WIDTH:
        start = max(0, min(column - _WIDTH // 2, len(line) - _WIDTH))
    excerpt = visible(line[start : start + _WIDTH])
    if start:
        excerpt = f"...{excerpt[3:]}"
    if start + _WIDTH < len(line):
        excerpt = f"{excerpt[:-3]}..."
    gutter = f"{problem.line:>6} | "
    mark = " " * (column - start) + styled("^", fg="green", bold=True)
    return [f"{gutter}{excerpt}", f"{' ' * 6} | {mark}"]


def render_table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> str:
    """Return aligned columns under their names; each cell stays on one line."""
    rows = [{one_line(name): one_line(row[name]) for name in columns} for row in rows]
    columns = [one_line(name) for name in columns]
    widths = [max([len(name), *(len(row[name]) for row in rows)]) for name in columns]
    lines = ["  ".join(f"{name:<{w}}" for name, w in zip(columns, widths, strict=True)).rstrip()]
    for row in rows:
        cells = (f"{row[name]:<{w}}" for name, w in zip(columns, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
