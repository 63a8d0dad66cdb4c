"""A series of the web, served here."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from septet._data.align import series_as_of
from septet._data.bar_store import BarStore
from septet._data.load import read_series
from septet.errors import DataError, InputError, RunError
from septet_plugins.data.http_json import pick
from tests.data.helpers import DAY_NS, HOUR_NS, block, ns, request
from tests.data.venue import Answer, serve

DAY = ns("2021-01-01") // 10**9


class Site:
    """Serves a list of (time, value) rows; remembers headers' count."""

    def __init__(self, *rows: tuple[int, Any]) -> None:
        self.rows = list(rows)
        self.asked = 0
        self.body: Any = None

    def respond(self, path: str, query: dict[str, str]) -> Answer:
        self.asked += 1
        if path != "/fng":
            return 404, {}, {"error": "no"}
        body = {"data": [{"value": str(v), "timestamp": str(t)} for t, v in self.rows]}
        return 200, {}, self.body if self.body is not None else body


def made(url: str, path: str = "/fng", keys: Any = None, **config: Any) -> Any:
    given = {"select": "data.*.value", "time": "data.*.timestamp", **config}
    return block(
        "series", "http_json", {"known_after": "1h", **(keys or {})}, url=url + path, **given
    )


def fetch(site: Any, store: BarStore, now_s: int) -> int:
    asked = request("1h", "X", store=store, now_ns=now_s * 10**9, name="mood")
    source = site.declaration(site.config)
    return int(source.fetch(asked, lambda stage, done, total, what: None)[0].rows)


def seen(site: Any, store: BarStore, now_s: int, *at_s: int) -> list[float]:
    asked = request("1h", "X", store=store, now_ns=now_s * 10**9)
    table, _, _ = read_series("mood", site, asked)
    return series_as_of(table, np.array(at_s) * 10**9).tolist()


def test_a_download_is_kept_and_read_without_the_web(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40), (DAY + 86_400, 50))
    with serve(site.respond) as url:
        series = made(url)
        assert fetch(series, store, DAY + 90_000) == 2
    assert site.asked == 1
    values = seen(series, store, DAY + 10**6, DAY, DAY + 3_600, DAY + 90_000)
    assert np.isnan(values[0])
    assert values[1:] == [40.0, 50.0]


def test_a_revision_is_known_when_it_was_seen(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40))
    with serve(site.respond) as url:
        series = made(url)
        fetch(series, store, DAY + 7_200)
        site.rows = [(DAY, 45), (DAY + 86_400, 50)]
        assert fetch(series, store, DAY + 100_000) == 2
        assert fetch(series, store, DAY + 110_000) == 0
    times = (DAY + 3_600, DAY + 86_400, DAY + 100_000)
    assert seen(series, store, DAY + 10**6, *times) == [40.0, 40.0, 50.0]
    site.rows = [(DAY + 86_400, 55)]
    with serve(site.respond) as url:
        moved = made(url)
        assert fetch(moved, store, DAY + 200_000) == 1  # another address is another series


def test_a_value_that_returns_to_what_it_was_is_a_revision_as_well(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40))
    with serve(site.respond) as url:
        series = made(url)
        for hour, value, new in [(2, 40, 1), (3, 45, 1), (4, 45, 0), (5, 40, 1), (6, 40, 0)]:
            site.rows = [(DAY, value)]
            assert fetch(series, store, DAY + hour * 3_600) == new
    times = [DAY + hour * 3_600 for hour in (1, 2, 3, 4, 5, 6)]
    assert seen(series, store, DAY + 10**6, *times) == [40.0, 40.0, 45.0, 45.0, 40.0, 40.0]


def test_what_a_document_holds_twice_or_without_a_value_is_kept_once(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site()
    rows = [(DAY, "40"), (DAY, "45"), (DAY + 86_400, None)]
    site.body = {"data": [{"value": value, "timestamp": str(time)} for time, value in rows]}
    with serve(site.respond) as url:
        series = made(url)
        assert [fetch(series, store, DAY + hour * 3_600) for hour in (30, 31, 32)] == [3, 0, 0]


def test_polls_and_ages(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40))
    with serve(site.respond) as url:
        series = made(url, keys={"every": "1d at 00:10", "max_age": "2d"})
        fetch(series, store, DAY + 7_200)
    table, _, origin = read_series("mood", series, request("1h", "X", store=store, now_ns=2**62))
    assert origin.endswith("/fng")
    assert table.known_ns.tolist() == [DAY * 10**9 + DAY_NS + 600 * 10**9]
    assert table.max_age_ns == 2 * DAY_NS
    assert table.max_age_ns > HOUR_NS


def test_nothing_downloaded_so_far(tmp_path: Path) -> None:
    asked = request("1h", "X", store=BarStore(tmp_path))
    with pytest.raises(DataError, match=r"nothing was downloaded(?s:.*)septet data fetch"):
        read_series("mood", made("http://127.0.0.1:9"), asked)
    table, found, _ = read_series(
        "mood", made("http://127.0.0.1:9", keys={"optional": True}), asked
    )
    assert len(table.value) == 0
    assert found[0].kind == "missing"


def test_what_can_go_wrong_on_the_web(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40))
    with serve(site.respond) as url:
        with pytest.raises(RunError, match="404"):
            fetch(made(url, "/nothing"), store, DAY)
        with pytest.raises(DataError, match="more than 10 bytes"):
            fetch(made(url, max_bytes=10), store, DAY)
        with pytest.raises(DataError, match="no 'rows' at the top"):
            fetch(made(url, select="rows.*"), store, DAY)
        site.body = {"data": [{"value": 1, "timestamp": 1}], "more": [1, 2]}
        with pytest.raises(DataError, match="1 times, 2 values"):
            fetch(made(url, select="more.*"), store, DAY)
        site.body = b"<html>"
        with pytest.raises(DataError, match="did not send JSON"):
            fetch(made(url), store, DAY)
    with pytest.raises(RunError, match="cannot be downloaded"):
        fetch(made(url, timeout="1s"), store, DAY)
    assert list(store.entries()) == []
    for bad in ("file:///etc/passwd", "ftp://x/y", "fng.json"):
        with pytest.raises(ValidationError, match="begins with https"):
            made(bad, "")


def test_half_of_a_surrogate_pair_is_no_json(tmp_path: Path) -> None:
    store, site = BarStore(tmp_path), Site((DAY, 40))
    with serve(site.respond) as url:
        for value, time in (("\ud800", "1"), ("1", "\udfff")):
            site.body = {"data": [{"value": value, "timestamp": time}]}
            with pytest.raises(DataError, match="half of a surrogate pair"):
                fetch(made(url), store, DAY)
    assert list(store.entries()) == []


def test_an_address_has_a_length() -> None:
    made("https://example.org/", "a" * 1_980)
    with pytest.raises(ValidationError, match="at most 2000 characters"):
        made("https://example.org/", "a" * 2_000)


def test_paths() -> None:
    document = {"a": [{"b": [1, 2]}, {"b": [3, 4]}], "c": {"d": 5}}
    assert pick(document, "a.*.b.*") == [1, 2, 3, 4]
    assert pick(document, "a.*.b.-1") == [2, 4]
    assert pick(document, "c.d") == [5]
    for path, message in (
        ("a.*.x", r"no 'x' at a\.\*"), ("a.7", "no item 7"), ("c.*", r"no '\*' at c"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            pick(document, path)


def _redirecting(target: str, status: int) -> Any:
    def respond(path: str, query: dict[str, str]) -> Answer:
        return (status, {"Location": target}, {}) if path == "/fng" else (200, {}, {"data": []})

    return respond


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_to_another_host_is_followed(tmp_path: Path, status: int) -> None:
    asked: list[str] = []

    def other(path: str, query: dict[str, str]) -> Answer:
        asked.append(path)
        return 200, {}, {"data": []}

    with serve(other) as there, serve(_redirecting(f"{there}/fng", status)) as url:
        site = made(url, headers={"Authorization": "env:TOKEN"})
        wanted = request("1h", "X", store=BarStore(tmp_path), now_ns=1, name="mood")
        wanted = replace(wanted, read=lambda reference, host: "Bearer the-token")
        with pytest.raises(RunError, match="redirect to another host is not followed"):
            site.declaration(site.config).fetch(wanted, lambda stage, done, total, what: None)
    assert asked == []


def test_a_header_is_read_for_the_host_of_the_address(tmp_path: Path) -> None:
    read: list[tuple[str, str]] = []
    with serve(Site((DAY, 40)).respond) as url:
        site = made(url, headers={"Authorization": "env:TOKEN"})
        wanted = request("1h", "X", store=BarStore(tmp_path), now_ns=1, name="mood")

        def reading(reference: Any, host: str) -> str:
            read.append((str(reference), host))
            return "Bearer the-token"

        source = site.declaration(site.config)
        source.fetch(replace(wanted, read=reading), lambda stage, done, total, what: None)
        with pytest.raises(InputError, match="nobody may read"):
            source.fetch(wanted, lambda stage, done, total, what: None)
    assert read == [("env:TOKEN", "127.0.0.1")]


class Dribbling:
    """A server that sends one byte, waits, and sends the next: of the head, then of the body."""

    def __init__(self, head: bytes, body: bytes, *, slow_head: bool) -> None:
        self.over = threading.Event()
        self._made = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._made.getsockname()[1]}"
        slow, fast = (head + body, b"") if slow_head else (body, head)
        self._thread = threading.Thread(target=self._serve, args=(fast, slow), daemon=True)
        self._thread.start()

    def _serve(self, fast: bytes, slow: bytes) -> None:
        asked, _ = self._made.accept()
        with asked, contextlib.suppress(OSError):
            asked.recv(65_536)
            asked.sendall(fast)
            for byte in slow:
                asked.sendall(bytes([byte]))
                if self.over.wait(0.02):
                    return

    def close(self) -> None:
        self.over.set()
        self._made.close()
        self._thread.join()


@pytest.mark.parametrize("slow_head", [True, False])
@pytest.mark.parametrize("length", ["", "Content-Length: 300\r\n"])
def test_the_timeout_bounds_the_whole_download(
    tmp_path: Path, length: str, slow_head: bool
) -> None:
    body = b'{"data": [{"value": "1", "timestamp": "%d"}]}' % DAY
    body += b" " * (300 - len(body))
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{length}\r\n".encode()
    with contextlib.closing(Dribbling(head, body, slow_head=slow_head)) as server:
        source = made(server.url, timeout="200ms")
        with pytest.raises(RunError, match=r"did not answer whole within 0\.2 s"):
            fetch(source, BarStore(tmp_path), DAY + 90_000)
        assert not server.over.is_set()
