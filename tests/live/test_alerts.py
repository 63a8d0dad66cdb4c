"""Alerts leave beside the orders: through apprise's own client, and past a channel that fails."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._config.access_rights import Access
from septet._core.guards import RULES, Guards
from septet._host.background_tasks import Tasks
from septet._live import alerts as under_test
from septet._live.alert_texts import Alert, alerts_of
from septet._live.alerts import WAITING, Alerts
from septet._live.logs import NOT_RECEIVED
from septet.errors import InputError
from septet_plugins.monitoring.alerts import Apprise, Log, apprise, log

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise imports
TOKEN = "t0ken-that-nobody-may-see"
SYMBOLS = ("BTC/USDT",)
ALL = ("halt", "block", "verdict", "fill", "error", "rejected_order", "drift", "retrain")
LIMIT_S = 60.0


class Service:
    """A web service on this machine that takes alerts, refuses them, or never answers."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status, self.hangs, self.location = 200, threading.Event(), ""
        self.hangs.set()
        self.reached = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(length))
                service.reached.set()
                service.hangs.wait()  # however long the test takes: `close` ends it
                service.bodies.append(body)
                self.send_response(service.status)
                if service.location:
                    self.send_header("Location", service.location)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"json://127.0.0.1:{self.server.server_address[1]}/{TOKEN}?rto=600&cto=600"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.hangs.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service()
    monkeypatch.setenv("ALERT_URL", made.url)
    yield made
    made.close()


class Reported:
    """The log of a run."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def __call__(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.lines.append((level, event, str(fields["text"])))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


def opened(
    reported: Reported, *events: str, folder: Path = Path(), access: Access | None = None
) -> Alerts:
    config = Apprise.model_validate({"urls": ["env:ALERT_URL"]})
    block = SimpleNamespace(
        use="apprise", declaration=apprise, config=config, extra={"events": events or ALL}
    )
    return Alerts(block, "mine live", folder, reported, access)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not done():
            await asyncio.sleep(0.005)


def tripped(rule: str = "drawdown", text: str = "") -> m.Tripped:
    return m.Tripped(rule=rule, then="flatten", clears_when="manual", equity=900.0, text=text)


TICK = m.Ticked(at_ns=1, market_ns=1)


def test_halts_fills_and_failures_reach_a_service(service: Service) -> None:
    reported = Reported()

    async def run() -> Alerts:
        made, tasks = opened(reported), Tasks("septet")
        made.start(tasks)
        traded = m.Traded(
            order=1, symbol=0, trade_id="t", side="buy", quantity=0.5, price=100.0, fee=0.1,
            fee_currency="USDT", position=0.5, market_ns=1,
        )  # fmt: skip
        made.row(TICK, [tripped(), traded], SYMBOLS)
        made.failed("task_failed", "the poll of the account failed")
        await until(lambda: made.counts.sent == 3)
        await made.close()
        await tasks.close()
        return made

    made = asyncio.run(run())
    titles = [each["title"] for each in service.bodies]
    assert titles == ["mine live: drawdown", "mine live: task_failed", "mine live: BTC/USDT bought"]
    assert "orders are cancelled and positions closed" in service.bodies[0]["message"]
    assert [each["type"] for each in service.bodies] == ["failure", "failure", "info"]
    assert service.bodies[0]["message"].splitlines() == [
        "mine live: halted by drawdown",
        "why: drawdown at equity 900.00",
        "did: orders are cancelled and positions closed",
        "cleared by: a person resumes the run (septet resume)",
    ]
    assert service.bodies[2]["message"].splitlines()[0] == "mine live, BTC/USDT: bought 0.5 at 100"
    assert (made.counts.failed, made.counts.dropped, reported.lines) == (0, 0, [])


def test_a_service_that_refuses_is_reported_once_and_never_raises(service: Service) -> None:
    reported = Reported()
    service.status = 500

    async def run() -> Alerts:
        made, tasks = opened(reported), Tasks("septet")
        made.start(tasks)
        for _ in range(3):
            made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.failed == 3)
        service.status = 200
        made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.sent == 1)
        await tasks.close()
        return made

    asyncio.run(run())
    assert reported.events() == ["alerts_fails", "alerts_work"]
    assert TOKEN not in repr(reported.lines)


def test_a_service_that_hangs_delays_nothing_but_alerts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = Reported()
    monkeypatch.setattr(under_test, "SEND_S", 0.05)
    service.hangs.clear()

    async def run() -> None:
        made, tasks = opened(reported), Tasks("septet")
        made.start(tasks)
        made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.hanging and service.reached.is_set())
        for _ in range(10 * WAITING):  # a queue without a bound, or one that waits, shows here
            made.row(TICK, [tripped()], SYMBOLS)
        assert made.waiting == WAITING
        assert made.counts.dropped == 9 * WAITING
        assert (made.counts.sent, made.counts.failed) == (0, 0), "no row has waited for an answer"
        service.hangs.set()
        await until(lambda: made.counts.sent > 2)
        await tasks.close()

    asyncio.run(run())
    assert reported.events()[:2] == ["alerts_hangs", "alerts_dropped"]
    assert "alerts_work" in reported.events()


def test_an_address_that_hangs_delays_no_other_and_a_halt_goes_before_fills(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address dripped a byte a second: a halt did not reach the other within 200 s."""
    other, reported = Service(), Reported()
    monkeypatch.setenv("OTHER_URL", other.url)
    monkeypatch.setattr(under_test, "SEND_S", 0.05)
    other.hangs.clear()
    config = Apprise.model_validate({"urls": ["env:OTHER_URL", "env:ALERT_URL"]})
    block = SimpleNamespace(
        use="apprise", declaration=apprise, config=config, extra={"events": ALL}
    )
    fill = m.Traded(
        order=1, symbol=0, trade_id="t", side="buy", quantity=0.5, price=100.0, fee=0.1,
        fee_currency="USDT", position=0.5, market_ns=1,
    )  # fmt: skip

    async def run() -> None:
        made, tasks = Alerts(block, "mine live", Path(), reported), Tasks("septet")
        made.start(tasks)
        for _ in range(5):
            made.row(TICK, [fill], SYMBOLS)
        made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.sent == 6 and made.counts.hanging)
        titles = [each["title"] for each in service.bodies]
        assert titles == ["mine live: drawdown", *["mine live: BTC/USDT bought"] * 5]
        assert made.waiting == 5, "of the other"
        other.hangs.set()
        await until(lambda: made.counts.sent == 12)
        await tasks.close()

    asyncio.run(run())
    other.close()
    assert "env:OTHER_URL has not answered" in reported.lines[0][2]
    assert TOKEN not in repr(reported.lines)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_of_a_service_is_not_followed(service: Service, status: int) -> None:
    other, reported = Service(), Reported()
    service.status = status
    service.location = other.url.partition("?")[0].replace("json:", "http:")

    async def run() -> None:
        made, tasks = opened(reported), Tasks("septet")
        made.start(tasks)
        made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.failed == 1)
        await tasks.close()

    asyncio.run(run())
    other.close()
    assert not other.reached.is_set()
    assert len(service.bodies) == 1


HOSTILE_URLS = [
    "file:///etc/passwd", "text://x", "include file:///etc/passwd", "config://x", "planted://x",
    "json://127.0.0.1:1/\nfile:///etc/passwd", "custom:///planted.py", "script:///bin/sh",
    "http://127.0.0.1:1/latest", "json://[::1", "json://%00", "x" * 70_000,
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE_URLS, ids=range(len(HOSTILE_URLS)))
def test_an_address_that_reads_files_or_runs_code_is_none(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugins = tmp_path / ".config" / "apprise" / "plugins"
    plugins.mkdir(parents=True)
    ran = tmp_path / "ran"
    (plugins / "planted.py").write_text(
        f"open({str(ran)!r}, 'w')\nfrom apprise.decorators import notify\n"
        "@notify(on='planted')\ndef send(*words, **keys):\n    return True\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ALERT_URL", url)
    with pytest.raises(InputError, match="env:ALERT_URL holds no URL"):
        opened(Reported())
    assert not ran.exists()


def test_a_channel_that_cannot_be_used_is_refused_before_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ALERT_URL", raising=False)
    with pytest.raises(InputError, match="ALERT_URL is not set"):
        opened(Reported())
    monkeypatch.setenv("ALERT_URL", f"nothing://{TOKEN}")
    with pytest.raises(InputError, match="env:ALERT_URL holds no URL") as caught:
        opened(Reported())
    assert TOKEN not in caught.value.message


def test_words_of_a_strangers_error_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Reported()
    monkeypatch.setenv("ALERT_URL", TOKEN)

    class Channel:
        def send(self, title: str, text: str, read: Any, severity: str) -> None:
            raise OSError(
                f"no route to {read(Apprise.model_validate({'urls': ['env:ALERT_URL']}).urls[0])}"
            )

    block = SimpleNamespace(
        use="mine", declaration=lambda config: Channel(), config=None, extra={"events": ALL}
    )

    async def run() -> None:
        made, tasks = Alerts(block, "x", Path(), reported), Tasks("septet")
        made.start(tasks)
        made.row(TICK, [tripped()], SYMBOLS)
        await until(lambda: made.counts.failed == 1)
        await tasks.close()

    asyncio.run(run())
    assert reported.lines == [
        ("warning", "alerts_fails", "an alert was not sent to the channel: OSError")
    ]


def test_alerts_to_the_log_stand_in_the_log_of_the_run() -> None:
    reported = Reported()
    config = Log(level="error")
    block = SimpleNamespace(use="log", declaration=log, config=config, extra={"events": ("halt",)})

    async def run() -> None:
        made, tasks = Alerts(block, "mine paper", Path(), reported), Tasks("septet")
        made.start(tasks)
        made.row(TICK, [tripped(), tripped("venue_down:v")], SYMBOLS)
        await until(lambda: made.counts.sent == 1)
        await made.close()
        await tasks.close()

    asyncio.run(run())
    [(level, event, text)] = reported.lines
    assert (level, event) == ("error", "alert")
    assert text.startswith("mine paper: drawdown: ")


def test_which_events_raise_an_alert() -> None:
    def kinds(event: m.Event, *commands: m.Command) -> list[set[str]]:
        return [set(each.kinds) for each in alerts_of(event, commands, SYMBOLS)]

    blocked = m.Tripped(rule="feed_stale:x", then="block_entries", clears_when="data", equity=1.0)
    assert kinds(TICK, blocked) == [{"block", "stale_data"}]
    assert kinds(TICK, tripped()) == [{"block", "halt"}]
    not_received = m.Tripped(
        rule="feed_stale:x", then="block_entries", clears_when="data", equity=1.0, text=NOT_RECEIVED
    )
    assert kinds(TICK, not_received) == []
    assert kinds(TICK, m.Cleared(rule="drawdown", by="ann")) == [{"block"}]
    assert kinds(TICK, m.Cleared(rule="feed_stale:x", by="live", text=NOT_RECEIVED)) == []
    plain = m.Tripped(rule="daily_loss", then="block_entries", clears_when="next_day", equity=1.0)
    assert kinds(TICK, plain) == [{"block", "halt"}]
    unsent = m.Alerted(level="warning", event="rejected_order", text="too small")
    assert kinds(TICK, unsent) == [{"rejected_order"}]
    bad = m.Watched(time_ns=1, metric="psi:x", value=1.0, threshold=0.2, verdict="warn", window=9)
    given = m.Alerted(level="warning", event="verdict", text="psi:x is 1")
    assert kinds(TICK, bad, given) == [{"verdict", "drift"}]
    assert kinds(TICK, given) == [{"verdict"}]
    late = m.Alerted(level="critical", event="late_fill", text="a fill came late")
    assert kinds(TICK, late) == [{"error"}]
    refused = m.Rejected(at_ns=1, client_id="c", code="-2010", text="no funds")
    assert kinds(refused) == [{"rejected_order"}]
    stop = m.Operated(at_ns=1, action="stop", name="septet", reason="end")
    assert kinds(stop) == [{"stop"}]
    halt = m.Operated(at_ns=1, action="flatten", name="ann", reason="look")
    assert kinds(halt) == [{"halt"}]


@pytest.mark.parametrize("reason", [NOT_RECEIVED, "the connection was closed"])
def test_no_end_is_alerted_without_its_beginning(reason: str) -> None:
    """Through a snapshot as well: the process may end between the two."""
    guards = Guards(SYMBOLS)
    down = m.FeedChanged(at_ns=1, stream="bars", symbol=0, state="down", reason=reason)
    begun = alerts_of(down, guards.handle(down), SYMBOLS)
    again = Guards(SYMBOLS)
    again.restore(guards.snapshot())
    live = m.FeedChanged(at_ns=2, stream="bars", symbol=0, state="live", reason="")
    over = alerts_of(live, again.handle(live), SYMBOLS)
    assert len(begun) == len(over) == (reason != NOT_RECEIVED)


def test_a_file_reads_no_secret_for_its_alerts_by_naming_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger's file may not make an address of any variable it names."""
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1:1/x")
    with pytest.raises(InputError, match="may read no secret by itself") as caught:
        opened(Reported(), access=Access())
    assert "--allow-secret ALERT_URL" in caught.value.hint
    opened(Reported(), access=Access.of(["ALERT_URL"], []))


def only(event: m.Event, *commands: m.Command) -> Alert:
    (found,) = alerts_of(event, commands, SYMBOLS)
    return found


def operated(core: Guards, action: Any, equity: float = 950.0) -> list[m.Command]:
    """The commands of a row in which a person halts or resumes, as the core makes them."""
    event = m.Operated(at_ns=1, action=action, name="ann", reason="look")
    found: list[m.Command] = core.handle(event)
    if action in ("halt", "flatten"):
        found.append(
            m.Tripped(
                rule="operator", then="block_entries", clears_when="septet resume", equity=equity
            )
        )
        found.append(m.Alerted(level="critical", event="halt", text="operator tripped"))
    else:
        found.append(m.Cleared(rule="operator", by="ann"))
    return found


def test_an_event_sends_one_alert_however_much_it_causes() -> None:
    core = Guards(SYMBOLS)
    resume = "cleared by: a person resumes the run (septet resume)"
    for action, first, ends in (
        ("flatten", "mine live: halted and flattened by ann", resume),
        ("resume", "mine live: resumed by ann", "did: entries are allowed again"),
        ("stop", "mine live: stopped by ann", "did: no new entries; the process ends"),
    ):
        event = m.Operated(at_ns=1, action=action, name="ann", reason="look")  # type: ignore[arg-type]
        made = only(event, *operated(core, action))
        assert made.severity == ("warning" if action == "flatten" else "info")
        lines = made.text("mine live").splitlines()
        assert (lines[0], lines[1], lines[-1]) == (first, "why: look", ends)
    began = m.Started(
        at_ns=2, session=2, run_id="r", strategy="mine", mode="live", market_ns=0, origin_ns=0,
        fingerprints={},
    )  # fmt: skip
    made = only(began, *core.handle(began))
    assert made.kinds == {"start", "block"}
    facts = {"at_ns": 1, "symbol": 0, "tick": 0.1, "min_notional": 1.0}
    changed = m.FiltersChanged(trading=False, lot=2.0, **facts)  # type: ignore[arg-type]
    core.handle(m.FiltersChanged(lot=1.0, **facts))  # type: ignore[arg-type]
    made = only(changed, *core.handle(changed))
    assert made.severity == "failure"
    lines = made.text("mine live").splitlines()
    assert lines[0] == "mine live, BTC/USDT: entries blocked by filters_changed:BTC/USDT"
    assert any(line.startswith("also entries blocked by symbol_halted") for line in lines)
    both = [
        tripped(),
        m.Tripped(rule="daily_loss", then="flatten", clears_when="next_day", equity=9.0),
    ]
    assert len(alerts_of(TICK, both, SYMBOLS)) == 1


def test_every_guard_sends_one_alert_of_its_severity() -> None:
    wanted = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}
    for rule, known in RULES.items():
        made = only(TICK, *Guards(SYMBOLS).trip(rule, 1, symbol=0, text="so it is"))
        assert made.severity == wanted[known.level], rule
        assert ("error" in made.kinds) == (known.level in ("error", "critical")), rule
        lines = made.text("mine").splitlines()
        assert lines[0].startswith("mine, BTC/USDT: entries blocked by "), rule
        assert lines[1] == "why: so it is"
        assert lines[-1] == f"cleared by: {known.clears_when}"


def test_values_of_others_begin_no_line_of_an_alert() -> None:
    text = "x\nmine live: all is well" + "y" * 5_000
    refused = m.Rejected(at_ns=1, client_id="c", code="-1\n", text=text)
    lines = only(refused).text("mine live").splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 300 for line in lines)
    reported = [m.Alerted(level="critical", event=f"e{n}", text=text) for n in range(50)]
    lines = only(TICK, *reported).text("mine live").splitlines()
    assert len(lines) == 9
    assert lines[-1] == "and 43 more"
