"""How tests read a page: as text, as elements, and drawn by a real Chromium.

The drawing needs the program `chromium` (Debian's package). Where it is missing those tests are
reported as skipped with that reason: everything that can be checked without a browser is
checked without it, so they add certainty and carry no rule of their own.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from septet._charts.time_chart import library

__all__ = ["EVIL", "Page", "drawn", "needs_chromium", "needs_library", "overflowing"]

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


MEASURE = """<script>
const reaches = (frame) => {
  const doc = frame.contentDocument, view = frame.contentWindow, found = [];
  const texts = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const inside = node.parentElement;
    if (!node.data.trim()) continue;
    if (inside.closest("script, style, [hidden], details:not([open])")) continue;
    const range = doc.createRange();
    range.selectNodeContents(node);
    const right = Math.max(...[...range.getClientRects()].map((each) => each.right));
    for (let box = inside; box; box = box.parentElement) {
      const style = view.getComputedStyle(box), edge = box.getBoundingClientRect();
      if (edge.width <= 1 || style.visibility === "hidden") break;
      if (/auto|scroll/.test(style.overflowX) && box !== doc.documentElement) break;
      if (box.matches(".tile, section, header, main, .verdict, html") && right > edge.right + 0.5) {
        found.push(`${frame.dataset.wide}: ${node.data.trim().slice(0, 60)}`);
        break;
      }
    }
  }
  if (doc.documentElement.scrollWidth > view.innerWidth) found.push(`${frame.dataset.wide}: page`);
  return [doc.querySelectorAll(".tile").length, found];
};
window.addEventListener("load", () => setTimeout(() => {
  const all = [...document.querySelectorAll("iframe")].map(reaches);
  document.documentElement.dataset.found = JSON.stringify(all);
}, 1000));
</script>"""


def overflowing(
    page: Path, folder: Path, widths: tuple[int, ...] = (360, 400, 450, 500)
) -> dict[int, tuple[int, list[str]]]:
    """Of a page in windows of some widths: how many tiles it has, and texts beyond their box.

    A text in a part that scrolls is none.
    """
    inside = html.escape(page.read_text("utf-8"))
    frames = "".join(
        f'<iframe data-wide="{each}" style="width:{each}px;height:900px;border:0" '
        f'srcdoc="{inside}"></iframe>'
        for each in widths
    )
    outer = folder / "windows.html"
    outer.write_text(f"<!doctype html><body>{frames}{MEASURE}</body>", "utf-8")
    text, _ = drawn(outer, folder / "profile")
    found = re.search(r'<html[^>]* data-found="([^"]*)"', text)
    assert found is not None, "the script did not end"
    answers = json.loads(html.unescape(found[1]))
    return {each: (tiles, beyond) for each, (tiles, beyond) in zip(widths, answers, strict=True)}
