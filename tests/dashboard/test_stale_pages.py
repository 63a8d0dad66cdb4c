"""Pages in a real Chromium whose run or server goes away, and a browser that leaves."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest

from septet._store.run_folder import Run
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard, listening_to, stored
from tests.report.reading import needs_chromium

pytestmark = needs_chromium
SHOWN = "!document.getElementById('stale').hidden && document.getElementById('stale').textContent"


FIGURES = "document.getElementById('live-state').innerText"
BEGAN = """{ const Real = EventSource; globalThis.EventSource = class extends Real {
  constructor(address) {
    super(address); this.addEventListener("alive", () => { globalThis.began = true; });
  }
}; }"""


def opened(browser: Browser, dashboard: Dashboard) -> Run:
    """Log in and open the page of a run, until its stream of events has begun."""
    run = stored(dashboard.root)
    browser.log_in(dashboard.host, dashboard.codes[-1])
    key = f"{run.folder.parent.name}/{run.folder.name}"
    browser.send("Page.addScriptToEvaluateOnNewDocument", source=BEGAN)
    browser.open(f"http://{dashboard.host}/run?{urlencode({'run': key})}")
    browser.until("globalThis.began")
    return run


@pytest.mark.timeout(120)
def test_a_run_that_is_deleted_while_it_is_shown_is_named_and_its_figures_stay(
    tmp_path: Path,
) -> None:
    with listening_to(tmp_path / "runs", tmp_path) as made, Browser(tmp_path / "p") as browser:
        run = opened(browser, made)
        before = browser.run(FIGURES)
        assert browser.run("document.getElementById('stale').hidden")
        shutil.rmtree(run.folder)
        browser.until(f"{SHOWN}.startsWith('The folder of the run is gone. The figures are those')")
        assert browser.run(FIGURES) == before
        made.log_in()
        assert run.run_id not in made.ask("GET", "/").text


@pytest.mark.timeout(120)
def test_a_page_whose_server_has_ended_states_so(tmp_path: Path) -> None:
    with Browser(tmp_path / "p") as browser:
        with listening_to(tmp_path / "runs", tmp_path) as made:
            opened(browser, made)
        browser.until(f"{SHOWN}.startsWith('No connection to septet dashboard. The figures are')")


@pytest.mark.timeout(120)
def test_a_browser_that_leaves_ends_its_streams_and_nothing_else(tmp_path: Path) -> None:
    """A session may have twelve streams: pages that are closed must not use them up."""
    with listening_to(tmp_path / "runs", tmp_path) as made, Browser(tmp_path / "p") as browser:
        opened(browser, made)
        address = browser.run("location.href")
        for _ in range(15):
            browser.run("fetch(location.href); 0")  # its answer is on the way when it is left
            browser.open("about:blank")
            browser.open(address)
            browser.until("globalThis.began")
        assert browser.run("document.getElementById('stale').hidden")
