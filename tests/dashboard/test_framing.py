"""Bodies whose length is not clear, or is too large, as bytes on a socket."""

from __future__ import annotations

import http.client
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.dashboard.conftest import Answer, Dashboard


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize("target", ["/login", "/api/v1/halt", "/nowhere"])
@pytest.mark.parametrize(
    "framing",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 3", "Transfer-Encoding: chunked", "X-Long: " + "x" * 20_000],
        ["Content-Length: 3", "Transfer-Encoding: chunked", "Host: evil.example"],
        ["Content-Length: 3", "Transfer-Encoding: chunked", "Origin: http://evil.example"],
        ["Content-Length: 3", "Transfer-Encoding: gzip"],
        ["Content-Length: 3", "Transfer-Encoding: chunked, chunked"],
        ["Content-Length: 5", "Content-Length: 3"],
        ["Content-Length: +5"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding : chunked"],
    ],
    ids=lambda lines: " ".join(each[:40] for each in lines),
)
def test_a_body_of_two_lengths_is_refused_and_its_connection_closed(
    dashboard: Dashboard, framing: list[str], target: str
) -> None:
    """A proxy before the page could take the one where the page takes the other."""
    lines = [
        f"POST {target} HTTP/1.1", f"Host: {dashboard.host}", *framing, "", "0", "",
        f"GET /login HTTP/1.1\r\nHost: {dashboard.host}", "", "",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answered = b"".join(iter(partial(connection.recv, 1 << 16), b""))
    assert answered.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert answered.count(b"HTTP/1.1") == 1, "what follows is no request of its own"


@pytest.mark.parametrize("target", ["/login", "/act", "/api/v1/halt", "/own-data"])
def test_a_body_that_declares_too_many_bytes_is_refused_at_once(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """None of it is sent: the answer waits for nothing."""
    monkeypatch.setattr("septet._dashboard.forms._SLOWEST_S", 3_600.0)
    dashboard.log_in()
    headers = {"Content-Length": str(50 << 40), "Content-Type": "application/json"}
    assert started(dashboard, target, headers).status == 413


def started(dashboard: Dashboard, target: str, headers: dict[str, str]) -> Answer:
    """Send the headers of a POST and no body, and return the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    own = {"Origin": f"http://{dashboard.host}", "Cookie": dashboard.cookie}
    connection.putrequest("POST", target)
    for name, value in (own | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = Answer(answer.status, dict(answer.getheaders()), answer.read().decode())
    connection.close()
    return found
