"""Another site in a real Chromium, on a machine where a person is logged in to the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from septet._live.kill_switch import read_halt
from tests.dashboard import browser as module
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard
from tests.dashboard.test_run_page import key_of, live
from tests.report.reading import needs_chromium

__all__ = ["live"]

pytestmark = needs_chromium

FORM = """<!doctype html><title>Free money</title>
<form id="act" method="post" action="http://{host}/act">
<input name="run" value="{key}"><input name="action" value="halt">
<input name="name" value="Eve"><input name="reason" value="free money"></form>
"""


@contextmanager
def foreign(text: str) -> Iterator[int]:
    """Serve a page of another site; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *parts: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def fetched(host: str, path: str, more: str = "") -> str:
    """Return the script that asks the page, and gives its answer or that there is none."""
    return (
        f"fetch('http://{host}{path}', {{credentials: 'include', {more}}})"
        ".then((r) => r.text(), () => 'no answer')"
    )


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_foreign_page_that_posts_and_reads_does_nothing_and_learns_nothing(
    dashboard: Dashboard, live: Path, tmp_path: Path, name: str
) -> None:
    text = FORM.format(host=dashboard.host, key=key_of(live))
    with Browser(tmp_path / "profile") as browser, foreign(text) as port:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        # 127.0.0.1 with another port is the same site for SameSite: the cookie is sent.
        browser.open(f"http://{name}:{port}/")
        assert browser.run(fetched(dashboard.host, "/")) == "no answer"
        assert browser.run(fetched(dashboard.host, "/api/v1/runs")) == "no answer"
        body = f"method: 'POST', body: new URLSearchParams({{run: '{key_of(live)}', action: 'halt',"
        body += " name: 'Eve', reason: 'x'})"
        assert browser.run(fetched(dashboard.host, "/act", body)) == "no answer"
        browser.submit("#act")
        assert "Refused" in browser.run("document.body.textContent")
        assert read_halt(live) is None
        browser.open(f"http://{dashboard.host}/")
        assert browser.run("location.pathname") == "/", "the session goes on"


def test_a_name_that_is_rebound_to_this_machine_reaches_no_page(
    dashboard: Dashboard, live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebound = f"evil.example:{dashboard.port}"
    flags = (*module.FLAGS, "--host-resolver-rules=MAP evil.example 127.0.0.1")
    monkeypatch.setattr(module, "FLAGS", flags)
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        codes = len(dashboard.codes)
        for path in ("/", "/login", "/api/v1/runs"):
            browser.open(f"http://{rebound}{path}")
            assert "not a name of this page" in browser.run("document.body.textContent"), path
        for path in ("/login", "/act"):
            body = f"method: 'POST', body: new URLSearchParams({{code: '{dashboard.codes[-1]}'}})"
            assert "not a name of this page" in browser.run(fetched(rebound, path, body))
        assert len(dashboard.codes) == codes, "no code was used"
        assert read_halt(live) is None
