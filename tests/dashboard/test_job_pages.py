"""The pages of jobs in a real Chromium, in each of their states, as axe finds them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard
from tests.dashboard.test_backtests import SLOW, begin, ended, job_of
from tests.dashboard.test_bounded_work import linux, workers
from tests.dashboard.test_browser import axe, violations
from tests.dashboard.test_strategies import TEXT, put
from tests.report.reading import needs_chromium


@linux
@needs_chromium
def test_axe_finds_no_violation_in_any_state_of_a_job_in_either_theme(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    script = axe()
    if script is None:
        pytest.skip("axe-core is not installed (npm install -g axe-core): pages were not examined")
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])

        def look(name: str, path: str, words: str) -> None:
            browser.open(f"http://{dashboard.host}{path}")
            browser.until(f"document.getElementById('main').textContent.includes('{words}')")
            assert violations(browser, script, f"job-{name}") == []

        running = job_of(begin(dashboard, SLOW))
        waiting = job_of(begin(dashboard, TEXT))
        look("running", f"/job?id={running}", "Running")
        look("waiting", f"/job?id={waiting}", "Waiting")
        look("open", "/jobs", "running")
        dashboard.ask("POST", "/job-cancel", {"id": running})
        ended(dashboard, running)
        look("cancelled", f"/job?id={running}", "Cancelled")
        ended(dashboard, waiting)
        look("done", f"/job?id={waiting}", "Done")
        failed = job_of(begin(dashboard, SLOW))
        while not (processes := workers()):
            pass
        os.kill(processes[0], signal.SIGKILL)
        ended(dashboard, failed)
        look("failed", f"/job?id={failed}", "Failed")
        look("ended", "/jobs", "cancelled")
        assert browser.console == []
