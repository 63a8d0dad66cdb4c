"""A hostile client of the same machine: it ends itself, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from septet._dashboard import connections as module
from septet._dashboard import forms, login, request_guard, serve
from septet._dashboard.accounts import accounts_file, add_token, add_user
from septet._dashboard.cached_views import RunLists
from septet._dashboard.connections import Connections, max_connections
from septet._dashboard.forms import TooSlow, form_of
from septet._dashboard.login import LogInPages
from septet._dashboard.rate_limits import InProgress
from septet._dashboard.read_turns import MOST_READING
from septet._dashboard.remote_access import remote_access
from septet._dashboard.serve import make_server, open_socket
from septet._dashboard.site import default_limits
from tests.dashboard.conftest import Dashboard, stored
from tests.dashboard.test_run_page import key_of, page
from tests.dashboard.test_strategies import PASSWORD
from tests.dashboard.tls import make_certificate

FEW = 16


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextlib.contextmanager
def connected(port: int, count: int = 1) -> Iterator[list[socket.socket]]:
    """Open connections that send nothing."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            for _ in range(count)
        ]


def read_to_end(connection: socket.socket) -> bytes:
    """Return what comes until the server closes; a reset is an end as well."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            found += part
    return found


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CONNECTIONS", FEW)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a page with few connections: asked for before the dashboard."""
    few(monkeypatch)


def request(dashboard: Dashboard, path: str, *more: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {dashboard.host}", f"Cookie: {dashboard.cookie}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: 1\r\n"])
def test_headers_that_do_not_come_end_the_connection(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(module, "_HEADERS_S", 0.05)
    with connected(dashboard.port) as (one,):
        one.sendall(begun)
        assert read_to_end(one) == b""


def test_headers_that_trickle_in_end_the_connection_as_well(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HEADERS_S", 0.2)
    with connected(dashboard.port) as (one,):
        one.settimeout(0.01)
        with contextlib.suppress(ConnectionError):
            one.sendall(b"GET / HTTP/1.1\r\n")
            for _ in range(6_000):
                one.sendall(b"X")
                try:
                    assert one.recv(10) == b""
                except TimeoutError:
                    continue
                return
            pytest.fail("the connection goes on")


def test_an_idle_connection_is_closed(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HEADERS_S", 0.05)
    with connected(dashboard.port) as (one,):
        one.sendall(request(dashboard, "/login"))
        assert read_to_end(one).startswith(b"HTTP/1.1 200")


def test_a_body_that_nobody_reads_ends_with_its_answer(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HEADERS_S", 0.05)
    with connected(dashboard.port) as (one,):
        text = f"POST /act HTTP/1.1\r\nHost: {dashboard.host}\r\nContent-Length: 999999999\r\n\r\n"
        one.sendall(text.encode() + b"x" * 1_000)
        assert read_to_end(one).startswith(b"HTTP/1.1 403")
    assert dashboard.ask("GET", "/login").status == 200


def test_an_answer_that_is_not_read_ends(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_S", 0.05)
    lost, full = threading.Event(), set[int]()
    paused = module.Protocol.pause_writing
    gone = module.Protocol.connection_lost

    def pause(self: module.Protocol) -> None:
        full.add(id(self))
        paused(self)

    def lose(self: module.Protocol, exc: Exception | None) -> None:
        gone(self, exc)
        if id(self) in full:
            lost.set()

    monkeypatch.setattr(module.Protocol, "pause_writing", pause)
    monkeypatch.setattr(module.Protocol, "connection_lost", lose)
    run = stored(dashboard.root)
    dashboard.log_in()
    asked = page("/api/v1/table", run=key_of(run.folder), name="decisions", limit="900")
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.settimeout(60)
        one.connect(("127.0.0.1", dashboard.port))
        one.sendall(request(dashboard, asked) * 40)
        assert lost.wait(60), "the server goes on with an answer that nobody reads"
    assert dashboard.ask("GET", "/").status == 200


def test_a_flood_of_connections_ends_its_own_and_a_visitor_is_answered(
    small: None, dashboard: Dashboard
) -> None:
    assert max_connections() == FEW
    run = stored(dashboard.root)
    dashboard.log_in()
    with connected(dashboard.port) as (stream,):
        stream.sendall(request(dashboard, page("/events", run=key_of(run.folder))))
        assert b"alive" in stream.recv(1 << 16) + stream.recv(1 << 16)
        with connected(dashboard.port, 10 * FEW) as flood:
            assert dashboard.ask("GET", "/").status == 200
            assert [read_to_end(each) for each in flood[: 5 * FEW]] == [b""] * 5 * FEW
            assert dashboard.ask("GET", "/").status == 200
        while b"event" not in stream.recv(1 << 16):
            pass


def test_bodies_that_do_not_come_keep_no_visitor_out(small: None, dashboard: Dashboard) -> None:
    dashboard.log_in()
    slow = (
        f"POST /login HTTP/1.1\r\nHost: {dashboard.host}\r\nOrigin: http://{dashboard.host}\r\n"
        "Content-Length: 100\r\n\r\n"
    ).encode()
    with connected(dashboard.port, 3 * FEW) as flood:
        for each in flood:
            with contextlib.suppress(ConnectionError):
                each.sendall(slow)
        for _ in range(3):
            assert dashboard.ask("GET", "/").status == 200


def test_unfinished_handshakes_keep_no_visitor_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    certificate, key = make_certificate(tmp_path)
    add_user(accounts_file(), "anna", "view", "correct horse battery")
    remote = remote_access("127.0.0.1", certificate=certificate, key=key)
    with open_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = make_server(tmp_path, port, print, remote=remote, listening=listening)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            context = ssl.create_default_context(cafile=certificate)
            with (
                connected(port, 10 * FEW) as flood,
                socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as one,
            ):
                one.sendall(f"GET /login HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
                assert one.recv(1_000).startswith(b"HTTP/1.1 200")
                assert read_to_end(flood[0]) == b""
        finally:
            server.should_exit = True
            thread.join()


def test_the_oldest_connection_without_a_visitor_is_closed_first() -> None:
    found = Connections(2)
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(5)]
        for pair in pairs:
            for each in pair:
                stack.enter_context(each)
                each.settimeout(60)

        def add(number: int) -> None:
            found.add(("client", number), pairs[number][0])

        add(0)
        add(1)
        with found.held(("client", 0)):
            add(2)
            assert pairs[1][1].recv(1) == b"", "the oldest that answers nobody"
            with found.held(("client", 2)):
                add(3)
                assert pairs[3][1].recv(1) == b"", "all others answer visitors"
        add(4)
        assert pairs[0][1].recv(1) == b""
        assert len(found) == 2
        found.remove(("client", 2))
        found.remove(None)
        assert len(found) == 1


def test_streams_of_a_session_and_of_all_are_counted(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    asked = page("/events", run=key_of(run.folder))
    with connected(dashboard.port, 12) as streams:
        for each in streams:
            each.sendall(request(dashboard, asked))
            assert each.recv(1 << 16).startswith(b"HTTP/1.1 200")
        refused = dashboard.ask("GET", asked)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert dashboard.ask("GET", "/").status == 200
        first, dashboard.cookie = dashboard.cookie, ""
        dashboard.log_in()
        with connected(dashboard.port) as (other,):
            other.sendall(request(dashboard, asked))
            assert other.recv(1 << 16).startswith(b"HTTP/1.1 200"), "another session's"
    dashboard.cookie = first
    deadline = time.monotonic() + 60
    with connected(dashboard.port) as (again,):
        while time.monotonic() < deadline:
            again.sendall(request(dashboard, asked))
            answer = again.recv(1 << 16)
            if answer.startswith(b"HTTP/1.1 200"):
                break
        else:
            pytest.fail("streams that ended are still counted")


def test_all_sessions_of_a_user_are_one_visitor(dashboard: Dashboard) -> None:
    """One user logged in twenty times, and took the streams of all others."""
    run = stored(dashboard.root)
    add_user(accounts_file(), "ada", "view", PASSWORD)
    asked = page("/events", run=key_of(run.folder))

    def log_in() -> None:
        dashboard.cookie = ""
        answer = dashboard.ask("POST", "/login", {"name": "ada", "password": PASSWORD})
        dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]

    with connected(dashboard.port, 12) as streams:
        for number, each in enumerate(streams):
            if number % 6 == 0:
                log_in()
            each.sendall(request(dashboard, asked))
            assert each.recv(1 << 16).startswith(b"HTTP/1.1 200")
        log_in()
        assert dashboard.ask("GET", asked).status == 429
        assert dashboard.ask("GET", "/").status == 200


def test_requests_that_run_are_counted_for_each_visitor_and_in_all() -> None:
    found = InProgress(2, 3)
    assert [found.begin("a") for _ in range(3)] == [True, True, False]
    assert [found.begin("b"), found.begin("b")] == [True, False]
    found.end("a")
    assert found.begin("b")
    for key in ("a", "b", "b"):
        found.end(key)
    assert found.count == 0
    assert not found._running, "a visitor that asks nothing takes no memory"


def test_one_token_with_too_many_requests_keeps_no_other_out(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = [add_token(accounts_file(), name, "operate", 1, time.time()) for name in ("a", "b")]
    slow = Slow(monkeypatch)
    statuses: list[int] = []

    def run() -> None:
        headers = {"Authorization": f"Bearer {tokens[0]}"}
        statuses.append(dashboard.ask("GET", "/api/v1/runs", headers=headers).status)

    threads = [threading.Thread(target=run) for _ in range(16)]
    try:
        for each in threads:
            each.start()
        until_act_is_answered(dashboard, tokens[0], 429)
        assert act_status(dashboard, tokens[1]) == 415
        assert slow.begun <= MOST_READING
        headers = {"Authorization": f"Bearer {tokens[1]}"}
        assert dashboard.ask("GET", "/api/openapi.json", headers=headers).status == 200
    finally:
        slow.going.set()
        for each in threads:
            each.join()
    assert statuses == [200] * 16
    assert slow.most == MOST_READING


def test_readings_whose_clients_have_left_are_not_begun(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that could only view kept the operators of a live run waiting for minutes."""
    token = add_token(accounts_file(), "a", "operate", 1, time.time())
    slow = Slow(monkeypatch)
    text = request(dashboard, "/api/v1/runs", f"Authorization: Bearer {token}")
    with connected(dashboard.port, 16) as clients:
        for each in clients:
            each.sendall(text)
        until_act_is_answered(dashboard, token, 429)
    until_act_is_answered(dashboard, token, 415)  # the places of all that waited are free again
    slow.going.set()
    headers = {"Authorization": f"Bearer {token}"}
    assert dashboard.ask("GET", "/api/v1/runs", headers=headers).status == 200
    assert slow.begun == MOST_READING + 1


class Slow:
    """A list of runs that is read until it is released: how many were begun, and at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.going, self._lock = threading.Event(), threading.Lock()
        self.begun = self.most = self._running = 0
        # without the readings that requests share
        monkeypatch.setattr(RunLists, "of", lambda lists, root: self._read(root))

    def _read(self, root: Path) -> list[object]:
        with self._lock:
            self.begun += 1
            self._running += 1
            self.most = max(self.most, self._running)
        assert self.going.wait(60)
        with self._lock:
            self._running -= 1
        return []


def act_status(dashboard: Dashboard, token: str) -> int:
    """Return how an act without a body is answered: acts do not wait for readings."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Cookie": "",
        "Origin": "",
        "Content-Type": "x/y",
    }
    return dashboard.ask("POST", "/api/v1/halt", headers=headers).status


def until_act_is_answered(dashboard: Dashboard, token: str, status: int) -> None:
    ends_s = time.monotonic() + 60
    while act_status(dashboard, token) != status:
        if time.monotonic() > ends_s:
            pytest.fail(f"no act was answered with {status}")


def test_passwords_that_wait_to_be_verified_take_few_threads(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, begun = threading.Event(), threading.Semaphore(0)

    def verify(self: LogInPages, *parts: object) -> None:
        begun.release()
        assert going.wait(60)

    monkeypatch.setattr(LogInPages, "_by_name", verify)
    form = {"name": "anna", "password": "wrong"}
    threads = [
        threading.Thread(target=dashboard.ask, args=("POST", "/login", form)) for _ in range(8)
    ]
    try:
        for each in threads:
            each.start()
        for _ in threads:
            assert begun.acquire(timeout=60)
        answer = dashboard.ask("POST", "/login", form)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert dashboard.ask("GET", "/login").status == 200
    finally:
        going.set()
        for each in threads:
            each.join()


def test_requests_that_are_too_large_are_refused_before_they_are_kept(
    dashboard: Dashboard,
) -> None:
    token = add_token(accounts_file(), "t", "operate", 1, time.time())
    with connected(dashboard.port) as (one,):
        one.sendall(b"GET /login HTTP/1.1\r\nX: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                one.sendall(b"x" * 65_536)
        assert read_to_end(one)[:12] in (b"HTTP/1.1 400", b"")
    with connected(dashboard.port) as (one,):
        one.sendall(f"GET /{'x' * 70_000} HTTP/1.1\r\n\r\n".encode())
        assert read_to_end(one)[:12] in (b"HTTP/1.1 400", b"")
    with connected(dashboard.port) as (one,):
        head = (
            f"POST /api/v1/halt HTTP/1.1\r\nHost: {dashboard.host}\r\nContent-Type: "
            f"application/json\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n"
            "\r\n"
        )
        one.sendall(head.encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                one.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
                one.settimeout(0.001)
                with contextlib.suppress(TimeoutError):
                    begun = one.recv(1 << 16)
                    one.settimeout(60)  # head and body may come apart
                    status, _, rest = (begun + read_to_end(one)).partition(b"\r\n")
                    assert status.split()[1] == b"413"
                    document = json.loads(rest.partition(b"\r\n\r\n")[2])
                    assert document["ok"] is False
                    break
                one.settimeout(60)
            else:
                pytest.fail("an endless body is read")
    assert dashboard.ask("GET", "/login").status == 200


def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text(encoding="utf-8")
    limits = default_limits(time.monotonic)
    for written in (
        f"{module._MAX_CONNECTIONS}, or half of the files",
        f"{module._HEADERS_S:.0f} s from the connection",
        f"{request_guard._MAX_HEAD_BYTES:,} bytes; an idle",
        f"idle connection ends after {serve._KEEP_ALIVE_S} s",
        f"{forms._SLOWEST_S:.0f} s, {forms.LARGEST_FORM:,} bytes and 20 fields",
        f"not read | {module._READ_S:.0f} s",
        f"{limits.requests.most_each} of a session or token, {limits.requests.most} of all",
        f"of these, that read | {MOST_READING} of a session or token at a time",
        f"{limits.streams.most_each} of a session, {limits.streams.most} of all",
        f"verified | {login._MAX_VERIFYING};",
    ):  # fmt: skip
        assert written in text, written


def test_a_form_whose_sender_leaves_is_no_fault_of_the_server() -> None:
    """Each would print a page of traceback, and anybody on the machine can send them."""
    parts = iter([{"type": "http.request", "body": b"a=1", "more_body": True}])

    async def receive() -> dict[str, Any]:
        return next(parts, {"type": "http.disconnect"})

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(TooSlow):
        asyncio.run(form_of(request))
