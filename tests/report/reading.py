"""How tests read a page: as text, as elements, and drawn by a real Chromium.

The drawing needs the program `chromium` (Debian's package). Where it is missing those tests are
reported as skipped with that reason: everything that can be checked without a browser is
checked without it, so they add certainty and carry no rule of their own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from septet._charts.time_chart import library

__all__ = ["EVIL", "Page", "drawn", "needs_chromium", "needs_library"]

EVIL = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>'\"&"
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """What a browser would see: elements, their attributes, text outside scripts and charts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.chart_text: list[str] = []
        self.scripts: list[str] = []
        self.crossed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif "svg" in self.open:
            self.chart_text.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def visible_text(self) -> str:
        return " ".join("".join(self.text).split())

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found

    def ids(self) -> set[str | None]:
        return {attrs.get("id") for _, attrs in self.elements}


CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the drawn charts were not looked at"
)
needs_library = pytest.mark.skipif(
    library() is None, reason="septet was built without npm: there is no chart over time"
)


def drawn(page: Path, profile: Path) -> tuple[str, str]:
    """The page after its scripts ran, without a network, and what the browser logged."""
    assert CHROMIUM is not None
    words = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=20000",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(console)
