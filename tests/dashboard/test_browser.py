"""The pages in a real Chromium: charts are drawn, keys move them, axe finds nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import pytest

import septet
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard, stored
from tests.dashboard.test_strategies import WRONG, put
from tests.python.samples import written
from tests.report.reading import needs_chromium, needs_library

pytestmark = [needs_chromium, needs_library]


@pytest.fixture
def browser(dashboard: Dashboard, tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as made:
        made.log_in(dashboard.host, dashboard.codes[-1])
        yield made


def pages_of(dashboard: Dashboard) -> dict[str, str]:
    run = stored(dashboard.root)
    key = f"{run.folder.parent.name}/{run.folder.name}"
    order = str(run.table("orders").tail(1).to_dicts()[0]["order_id"])
    put(dashboard, "cross.yaml", WRONG)
    strategy = septet.load(written(dashboard.root.parent))
    sweep = septet.sweep(
        strategy, {"features.fast.period": [3, 5], "features.slow.period": [15, 20]},
        out=dashboard.root.parent / "sweeps",
    )  # fmt: skip
    swept = f"cross/{sweep.folder.name}" if sweep.folder else ""
    other = septet.run(strategy).save(dashboard.root).relative_to(dashboard.root).as_posix()
    return {
        "runs": "/",
        "strategies": "/strategies",
        "strategy": "/strategy?file=cross.yaml",
        "plugins": "/plugins",
        "jobs": "/jobs",
        "sweeps": "/sweeps",
        "sweep": f"/sweep?{urlencode({'sweep': swept})}",
        "compare": f"/compare?{urlencode([('run', key), ('run', other)])}",
        "run": f"/run?{urlencode({'run': key})}",
        "trade": f"/trade?{urlencode({'run': key, 'trade': '1'})}",
        "order": f"/order?{urlencode({'run': key, 'order': order})}",
        "report": (run.folder / "report.html").as_uri(),
        "sweep-page": (sweep.folder / "sweep.html").as_uri() if sweep.folder else "",
    }


def test_charts_are_drawn_and_moved_by_keys(dashboard: Dashboard, browser: Browser) -> None:
    pages = pages_of(dashboard)
    browser.look()
    browser.open(f"http://{dashboard.host}{pages['run']}")
    browser.until("document.documentElement.dataset.drawn === '2'")
    assert browser.run("document.querySelectorAll('#chart-price canvas').length") > 0
    browser.run("document.querySelector('#chart-price [data-canvas]').focus()")
    browser.key("n")
    told = "document.querySelector('#chart-price [role=status]').textContent"
    browser.until(f"{told}.startsWith('1 of')")
    browser.run("document.querySelector('#chart-price [data-rows]').open = true")
    browser.until("document.querySelectorAll('#chart-price tbody tr').length > 10")
    browser.open(f"http://{dashboard.host}{pages['trade']}")
    browser.until("document.documentElement.dataset.drawn === '1'")
    assert browser.console == []


def axe() -> Path | None:
    """Return the script of axe-core, where npm has it or `SEPTET_AXE` names it."""
    named = os.environ.get("SEPTET_AXE")
    return Path(named) if named else _axe_of_npm()


@cache
def _axe_of_npm() -> Path | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False)
    found = Path(done.stdout.strip()) / "axe-core" / "axe.min.js"
    return found if done.returncode == 0 and found.is_file() else None


LOOKS = ((1280, False), (1280, True), (390, True), (390, False))
"""Width of the window, and whether the reader's theme is dark."""
LAID_OUT = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
AXE = """axe.run().then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.help,
  v.nodes.map((n) => n.html.slice(0, 200))])))"""
WIDEST = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"


def violations(browser: Browser, script: Path | None, name: str) -> list[object]:
    """Return what axe finds in the page that is open, and whether it is wider than its window.

    It is looked at in both widths and both themes. Without axe its width alone is. Pictures are
    written where `SEPTET_PICTURES` names a folder.
    """
    shown, listed = os.environ.get("SEPTET_PICTURES"), list[object]()
    if script is not None:
        browser.run(script.read_text("utf-8") + ";0")
    for width, dark in LOOKS:
        browser.look(width=width, dark=dark)
        browser.run(LAID_OUT)
        where = f"{name}-{width}-{'dark' if dark else 'light'}"
        if shown:
            browser.picture(Path(shown) / f"{where}.png")
        if script is not None:
            listed += [[where, *each] for each in json.loads(browser.run(AXE))]
        if wider := browser.run(WIDEST):
            listed.append([where, f"{wider} pixels wider than the window"])
    return listed


WIDE_CHARTS = """[...document.querySelectorAll('.chart.wide')].map((place) => {
  const still = [...place.querySelectorAll('svg')].find((each) => each.checkVisibility());
  return [still.getBoundingClientRect().width / still.viewBox.baseVal.width,
    place.scrollWidth > place.clientWidth, place.tabIndex, place.getAttribute('aria-label') !== ''];
})"""


def test_wide_charts_of_a_report_are_legible_on_a_narrow_window(
    dashboard: Dashboard, browser: Browser
) -> None:
    """The map of a sweep was drawn at a third of its size, with letters 4 pixels high."""
    pages = pages_of(dashboard)
    for name in ("sweep-page", "report"):
        browser.open(pages[name])
        browser.look(width=390)
        browser.run(LAID_OUT)
        found = browser.run(WIDE_CHARTS)
        assert len(found) == (1 if name == "sweep-page" else 0)
        for scale, scrolls, stop, named in found:
            assert 11 * scale >= 10, "the height of its letters in pixels"
            assert (scrolls, stop, named) == (False, 0, True), "it is drawn for this width"
        assert browser.run(WIDEST) == 0


def test_axe_finds_no_violation(dashboard: Dashboard, browser: Browser) -> None:
    script = axe()
    if script is None:
        pytest.skip("axe-core is not installed (npm install -g axe-core): pages were not examined")
    for name, path in pages_of(dashboard).items():
        browser.open(path if path.startswith("file:") else f"http://{dashboard.host}{path}")
        browser.until(
            "!document.getElementById('charts') || document.documentElement.dataset.drawn"
        )
        assert violations(browser, script, name) == []
        if name == "strategy":
            browser.submit('form[action="/strategy"]')
            assert browser.run("document.querySelectorAll('a[data-line]').length") > 0
            assert violations(browser, script, "marks") == []
