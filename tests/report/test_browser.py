"""The report in a real Chromium: every chart is drawn, nothing is said on the console.

Needs the program `chromium` (Debian's package). Where it is missing these tests are reported as
skipped with that reason: everything that can be checked without a browser is in test_page.py,
so this adds certainty and carries no rule of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from septet._store.run import Run

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: the drawn charts were not looked at"
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


@needs_chromium
@pytest.mark.parametrize(("name", "charts"), [("full", 8), ("rules", 2), ("refused", 4)])
def test_every_chart_is_drawn(
    name: str, charts: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Run = request.getfixturevalue(f"{name}_run")
    text, console = drawn(run.folder / "report.html", tmp_path / "profile")
    assert console == ""
    assert re.search(r'<html[^>]* data-drawn="(\d+)"', text)
    body = text[text.index("<main>") : text.index("</main>")]
    assert len(re.findall(r'class="chart [a-z ]*js-plotly-plot', body)) == charts
    assert body.count("main-svg") >= 2 * charts
