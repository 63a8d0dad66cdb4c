"""Metrics and health of a running process, asked over HTTP as Prometheus and a watchdog ask."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._config import load
from septet._live.health_check import condition_of
from septet._live.journal_fold import Known
from septet._live.kill_switch import ask_halt
from septet._live.listen_address import check_port
from septet._live.metrics import METRICS, Seen, addresses_of
from septet._live.process import LiveResult, run_live
from septet.errors import ConfigError, InputError
from tests.live.feeds import World

UNITS = ("_info", "_flag", "_quote", "_base", "_ratio", "_seconds", "_total", "_count")
WALL_NS = 400_000_000


def free_port() -> int:
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


class Scraper(threading.Thread):
    """Asks both pages again and again, until it is stopped."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.over = port, threading.Event()
        self.health: list[tuple[int, dict[str, Any]]] = []
        self.metrics: list[str] = []

    def run(self) -> None:
        while not self.over.wait(0.02):
            try:
                status, body = self.ask("healthz")
                self.metrics.append(self.ask("metrics")[1])
                self.health.append((status, json.loads(body)))
            except OSError:
                continue

    def ask(self, page: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}/{page}"
        try:
            with urllib.request.urlopen(url, timeout=60.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return World(tmp_path, bar_wall_ns=WALL_NS)


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    made = Scraper(free_port())
    made.start()
    yield made
    made.over.set()
    made.join()


def ran(world: World, port: int, **options: Any) -> LiveResult:
    sets = [f"monitoring.metrics.prometheus=127.0.0.1:{port}"]
    return run_live(
        [world.load(sets=sets)], world.options(**options), clock=world.clock,
        wiring=world.wiring, signals=False,
    )  # fmt: skip


def test_a_run_is_well_once_it_decides_and_never_while_it_is_halted(
    world: World, scraper: Scraper
) -> None:
    result = ran(world, scraper.port, bars=8)
    [(run, _)] = result.ends
    seen = list(scraper.health)
    well = [body for status, body in seen if status == 200]
    assert well
    assert all(body["ok"] and not body["runs"][0]["reasons"] for body in well)
    assert well[0]["runs"][0]["run_id"] == run.location.run_id
    first = next(place for place, (status, _) in enumerate(seen) if status == 200)
    assert all(not body["ok"] for status, body in seen[:first] if status == 503)
    last = scraper.metrics[-1]
    names = {line.split("{")[0].split(" ")[0] for line in last.splitlines() if line[:1] != "#"}
    assert names <= set(METRICS)
    assert {"septet_equity_quote", "septet_decisions_total", "septet_position_base"} <= names
    assert 'strategy="live"' in last

    ask_halt(
        run.location.folder,
        flatten=False,
        name="ann",
        reason="a look",
        now_ns=world.clock.now_ns(),
    )
    scraper.health.clear()
    ran(world, scraper.port, bars=14)
    assert scraper.health
    assert not any(body["ok"] for _, body in scraper.health)
    given = {reason for _, body in scraper.health for reason in body["runs"][0]["reasons"]}
    by_person = {each for each in given if "halted it" in each or "operator" in each}
    assert by_person == {
        "a person has halted it; it is cleared by: a person resumes the run (septet resume)"
    }, "one halt is one reason"


def test_what_paper_trades_and_what_a_check_refuses_is_counted() -> None:
    """In paper with `next_open` no order leaves the core; elsewhere each child is one order."""
    seen = Seen()
    placed = m.Changed(order=1, client_id="", symbol=0, state="open", filled=0.0)
    filled = msgspec.structs.replace(placed, state="filled")
    seen.take(m.Ticked(at_ns=1, market_ns=1), [placed, filled], ["A"])
    assert (seen.orders, seen.rejected) == (1, 0)
    sent = msgspec.structs.replace(placed, client_id="x")  # of an order that was sent before
    refused = msgspec.structs.replace(placed, state="rejected", reason="lot")
    answer = m.Rejected(at_ns=2, client_id="x", code="-1", text="no")
    seen.take(answer, [sent, msgspec.structs.replace(refused, client_id="x")], ["A"])
    seen.take(m.Ticked(at_ns=3, market_ns=3), [refused], ["A"])
    assert (seen.orders, seen.rejected) == (1, 2)


def test_a_port_in_use_refuses_a_new_run_and_never_ends_one_that_goes_on(world: World) -> None:
    port = free_port()
    text = f"cannot listen on 127.0.0.1:{port}: the port is taken"
    with (
        closing(socket.create_server(("127.0.0.1", port))),
        pytest.raises(InputError, match=text),
    ):
        ran(world, port, bars=2)
    [(run, end)] = ran(world, port, bars=2).ends
    assert end.how == "finished"
    with closing(socket.create_server(("127.0.0.1", port))):
        [(again, end)] = ran(world, port, bars=4).ends
    assert again.location.folder == run.location.folder
    assert end.how == "finished"
    assert "cannot listen on" in (again.location.folder / "log.jsonl").read_text("utf-8")


TAKEN = "taken: another process listens on it"


class Answering:
    """Something that listens on this machine and answers `/healthz` with a text."""

    def __init__(self, text: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"runs": [{"strategy": "other"}]}', f"{TAKEN} (the run of other)"),
        ('{"runs": [{"strategy": "smallest"}]}', ""),
        ('{"runs": 7}', TAKEN),
        ("[" * 50_000, TAKEN),
    ],
)  # fmt: skip
def test_check_reports_whether_the_port_is_taken_and_by_whom(text: str, words: str) -> None:
    file = Path(__file__).parents[1] / "config" / "valid" / "smallest.yaml"
    with closing(Answering(text)) as other:
        key = f"monitoring.metrics.prometheus=127.0.0.1:{other.port}"
        loaded = load(file, sets=[key, "name=smallest"])
        found = check_port(loaded)
    assert [each.message for each in found] == (
        [f"cannot listen on 127.0.0.1:{other.port}: the port is {words}"] if words else []
    )
    assert all(each.key == "monitoring.metrics.prometheus" for each in found)
    assert check_port(loaded) == []  # given back
    assert check_port(load(file)) == []


def test_every_metric_has_a_unit() -> None:
    for name in METRICS:
        assert name.startswith("septet_")
        assert name.endswith(UNITS), name


def test_metrics_are_for_this_machine_alone(world: World) -> None:
    for address in (
        "0.0.0.0:9108",
        "example.org:9108",
        "127.0.0.1:0",
        "127.0.0.1:70000",
        "127.evil.org:9108",
    ):
        with pytest.raises(ConfigError):
            world.load(sets=[f"monitoring.metrics.prometheus={address}"])
    runs = [
        SimpleNamespace(
            strategy=world.load(sets=[f"monitoring.metrics.prometheus={each}"]).strategy
        )
        for each in ("127.0.0.1:9108", "'[::1]:9109'", "127.0.0.1:9108")
    ]
    assert addresses_of(runs) == [("127.0.0.1", 9108), ("::1", 9109)]


def _known(decided_ns: int, **changes: Any) -> Any:
    fields = {"tripped": {}, "decided_ns": decided_ns, "decisions": 1, "model_expired": False}
    return SimpleNamespace(**(fields | changes))


def _strategy_run(world: World, **changes: Any) -> Any:
    done = SimpleNamespace(done=lambda: False)
    known = _known(world.clock.market_ns())
    fields = {
        "strategy": world.load().strategy, "location": SimpleNamespace(run_id="r"), "ended": done,
        "ready": SimpleNamespace(is_set=lambda: True), "known": known, "switch_holds": False,
        "shell": SimpleNamespace(journal_works=True), "clock": world.clock, "live_ns": 1,
    }  # fmt: skip
    return SimpleNamespace(**(fields | changes))


def test_nothing_is_well_by_default(world: World) -> None:
    assert condition_of(_strategy_run(world)).ok
    old_ns = world.clock.market_ns() - 40 * 3_600 * 10**9 * 3_600
    wrong: list[dict[str, Any]] = [
        {"ended": None},
        {"ready": SimpleNamespace(is_set=lambda: False)},
        {"switch_holds": True},
        {"shell": SimpleNamespace(journal_works=False)},
        {"known": _known(world.clock.market_ns(), tripped={"feed_stale": "data"})},
        {"known": _known(old_ns)},
        {"known": _known(-1), "live_ns": -1},
        {"known": _known(world.clock.market_ns(), model_expired=True)},
    ]
    for changes in wrong:
        assert not condition_of(_strategy_run(world, **changes)).ok, changes


def test_a_run_whose_decisions_are_rejected_for_an_expired_model_is_known(world: World) -> None:
    known = Known(world.load(), keep_ns=1)
    for reason in ("expired", "", "below_threshold", "expired"):
        reached = m.DecisionTimeReached(at_ns=1, time_ns=1, present=(), decides=True)
        row = m.Decided(
            time_ns=1, symbol=0, features=b"", probability_up=None, confidence=0.0, signal="none",
            requested=0.0, granted=0.0, rejected_by=reason,
        )  # fmt: skip
        known.take(reached, [row])
        assert known.model_expired is (reason == "expired")
