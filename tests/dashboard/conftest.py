"""A dashboard that really listens, and a browser's requests to it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest

from septet._dashboard.serve import make_server, open_socket
from septet._jobs.check_process import CheckAnswer, CheckRequest
from septet._jobs.check_worker import check_here
from septet._report.save import save_run
from septet._store.run_folder import Run
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage
from tests.report.synthetic import make_result


def stored(root: Path) -> Run:
    """Store a backtest with trades and a halt."""
    result = make_result(
        symbols=("BTC/USDT",), bars=900, model=False, hold=40, halted=True, strategy="sma-cross"
    )
    return save_run(result, root, now_ns=1_760_000_000_000_000_000)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str
    cookies: dict[str, str] = field(default_factory=dict)


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str,
    headers: Iterable[tuple[str, str]], form: Mapping[str, str] | None,
) -> Answer:  # fmt: skip
    """Send a request with these headers and no others, return the answer, and close."""
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        body = urlencode(form or {}).encode()
        if method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body if method == "POST" else None)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        cookies = answer.msg.get_all("set-cookie") or []
        pairs = (each.partition(";")[0].partition("=") for each in cookies)
        given = {name: value for name, _, value in pairs}
        return Answer(answer.status, found, answer.read().decode(), given)
    finally:
        connection.close()


@dataclass
class Dashboard:
    """Where it listens, and the codes that it printed."""

    root: Path
    port: int
    codes: list[str] = field(default_factory=list)
    cookie: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as its own page would; `headers` replace those, "" leaves one out."""
        sent = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            sent |= {
                "Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/x-www-form-urlencoded",
            }  # fmt: skip
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = [(name, value) for name, value in sent.items() if value]
        return exchange(connection, method, path, given, form)

    def log_in(self) -> Answer:
        answer = self.ask("POST", "/login", {"code": self.codes[-1]})
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer


@contextmanager
def listening_to(
    root: Path,
    strategies: Path,
    check: Callable[[CheckRequest], CheckAnswer] | None = check_here,
) -> Iterator[Dashboard]:
    """Serve the runs and the strategies of two folders; without `check` as the product checks."""
    with open_socket("127.0.0.1", 0) as listening:
        made = Dashboard(root, listening.getsockname()[1])
        server = make_server(
            root,
            made.port,
            made.codes.append,
            strategies=strategies,
            listening=listening,
            check=check,
        )
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield made
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def live_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the runs and the state of a live run that has stopped; tests copy it.

    It holds a position, its stop and an entry that rests.
    """
    place = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_STATE_DIR", str(place / "state"))
        stopped(Stage(place))
    return place


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    strategies = tmp_path / "strategies"
    strategies.mkdir()
    with listening_to(tmp_path / "runs", strategies) as made:
        yield made
