"""The page of one run, its orders, its events, and what may be done to it."""

from __future__ import annotations

import html
import http.client
import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest

from septet._app.runs import standing_of
from septet._charts.time_chart import unpack
from septet._journal.reader import Reader
from septet._live.kill_switch import read_halt, read_resume
from septet._report.page import render
from septet._results.number_texts import money, percent
from septet._store.find_runs import open_run
from septet._store.journal_view import LiveRun
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard, stored
from tests.journal.test_changed_files import ended_run
from tests.report.reading import needs_chromium


@pytest.fixture
def live(
    dashboard: Dashboard, live_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A live run that has stopped holding a position, its stop and an entry that rests."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    shutil.copytree(live_made / "state", tmp_path / "state")
    [made] = (live_made / "runs").glob("*/*")
    folder = dashboard.root / made.parent.name / made.name
    shutil.copytree(made, folder)
    dashboard.log_in()
    return folder


def key_of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def page(path: str, **values: str) -> str:
    return f"{path}?{urlencode(values)}"


def acted(dashboard: Dashboard, folder: Path, action: str, **fields: str) -> tuple[int, str]:
    form = {"run": key_of(folder), "action": action, "name": "Ann", "reason": "news", **fields}
    answer = dashboard.ask("POST", "/act", form)
    return answer.status, answer.text


def test_a_backtest_shows_figures_chart_decisions_orders_and_halts(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    answer = dashboard.ask("GET", page("/run", run=key_of(run.folder)))
    assert answer.status == 200
    for shown in (
        "Equity, drawdown, exposure",
        "<svg",
        "rejected by threshold",
        "drawdown",
        "3 bars lack",
    ):
        assert shown in answer.text
    assert " style=" not in answer.text
    assert 'action="/act"' not in answer.text
    last = run.table("orders").tail(1).to_dicts()[0]
    assert (
        page("/order", run=key_of(run.folder), order=last["order_id"]).replace("&", "&amp;")
        in answer.text
    )


def test_an_order_and_a_decision_show_their_reasons(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    order = run.table("orders").tail(1).to_dicts()[0]
    answer = dashboard.ask("GET", page("/order", run=key_of(run.folder), order=order["order_id"]))
    assert answer.status == 200
    assert order["reason"] in answer.text
    decision = run.table("decisions").tail(2).to_dicts()[0]
    moment = f"{decision['symbol']}@{decision['time'].isoformat()}"
    answer = dashboard.ask("GET", page("/order", run=key_of(run.folder), order=moment))
    assert "No order for BTC/USDT: rejected by threshold." in answer.text
    answer = dashboard.ask("GET", page("/order", run=key_of(run.folder), order="o999999"))
    assert answer.status == 404
    assert "o999999" in answer.text


@pytest.mark.parametrize("key", ["../outside/run", "latest", "", "/etc", "sma-cross", "%2e%2e/x"])
def test_no_folder_but_those_of_the_list_is_reached(dashboard: Dashboard, key: str) -> None:
    run = stored(dashboard.root)
    outside = dashboard.root.parent / "outside"
    shutil.copytree(run.folder, outside / "run")
    dashboard.log_in()
    for path in ("/run", "/order", "/events"):
        assert dashboard.ask("GET", page(path, run=key, order="o1")).status == 404
    form = {"run": key, "action": "halt", "name": "Ann", "reason": "news"}
    assert dashboard.ask("POST", "/act", form).status == 400


def test_a_live_run_shows_what_it_holds_its_orders_and_its_log(
    dashboard: Dashboard, live: Path
) -> None:
    lines = [
        {"timestamp": "t1", "level": "info", "event": "order", "text": "first", "trace": "abc"},
        {"timestamp": "t2", "level": "info", "event": "fill", "text": "bought two", "trace": "def"},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (live / "log.jsonl").write_text(f"{text}not JSON <b>\n[1]\n")
    answer = dashboard.ask("GET", page("/run", run=key_of(live)))
    assert answer.status == 200
    for shown in (
        "What it holds",
        "long",
        "protective stop",
        "first",
        "second",
        "not JSON &lt;b&gt;",
    ):
        assert shown in answer.text
    assert answer.text.count("Live: its orders are real") == 2, "at the head and beside the acts"
    assert ", live: septet</title>" in answer.text
    assert (
        answer.text.index('href="#act"') < answer.text.index("<h1>") < answer.text.index('id="act"')
    )
    assert "Not running" in answer.text
    assert "covering 0.01 of 0.02" in answer.text
    assert 'action="/act"' in answer.text
    traced = dashboard.ask("GET", page("/run", run=key_of(live), trace="abc")).text
    assert "first" in traced
    assert "bought two" not in traced


@needs_chromium
def test_the_page_of_a_live_run_is_no_wider_than_a_narrow_window(
    dashboard: Dashboard, live: Path, tmp_path: Path
) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.open(f"http://{dashboard.host}{page('/run', run=key_of(live))}")
        browser.look(width=390)
        assert (
            browser.run(
                "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
            )
            == 0
        )


def test_a_log_that_is_a_link_is_not_followed(dashboard: Dashboard, live: Path) -> None:
    secret = dashboard.root.parent / "secret"
    secret.write_text("hunter2\n")
    (live / "log.jsonl").unlink()
    (live / "log.jsonl").symlink_to(secret)
    text = dashboard.ask("GET", page("/run", run=key_of(live))).text
    assert "hunter2" not in text
    assert "cannot be read" in text


@pytest.mark.parametrize("action", ["halt", "flatten"])
def test_a_halt_stands_in_the_folder_with_who_and_why(
    dashboard: Dashboard, live: Path, action: str
) -> None:
    status, text = acted(dashboard, live, action)
    assert status == 200
    assert "the halt takes effect at its next start" in text
    assert "no stop acts" in text, "what it holds stays without one: as on the command line"
    asked = read_halt(live)
    assert asked is not None
    assert (asked.action, asked.name, asked.reason) == (action, "Ann (dashboard)", "news")
    assert "Ann (dashboard)" in dashboard.ask("GET", page("/run", run=key_of(live))).text
    status, text = acted(dashboard, live, "resume", reason="over")
    assert status == 200
    assert "the halt is cleared" in text
    assert read_halt(live) is None
    resumed = read_resume(live)
    assert resumed is not None
    assert resumed.reason == "over"
    standing = standing_of(open_run(live))
    assert standing is not None
    assert standing.resumed == ("Ann (dashboard)", "over")


@pytest.mark.parametrize(
    "fields", [{"reason": " "}, {"name": ""}, {"action": "buy"}, {"run": "none/such"}]
)
def test_an_act_without_who_or_why_or_of_another_kind_does_nothing(
    dashboard: Dashboard, live: Path, fields: dict[str, str]
) -> None:
    form = {"run": key_of(live), "action": "halt", "name": "Ann", "reason": "news", **fields}
    assert dashboard.ask("POST", "/act", form).status == 400
    assert read_halt(live) is None


def test_no_foreign_page_and_nobody_without_a_session_halts(
    dashboard: Dashboard, live: Path
) -> None:
    form = {"run": key_of(live), "action": "halt", "name": "Ann", "reason": "news"}
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"},
        {"Host": f"evil.example:{dashboard.port}"}, {"Cookie": ""},
    ):  # fmt: skip
        assert dashboard.ask("POST", "/act", form, headers).status in (401, 403, 421)
    assert dashboard.ask("GET", page("/act", **form)).status == 405
    assert read_halt(live) is None


def test_a_backtest_cannot_be_halted(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    status, text = acted(dashboard, run.folder, "halt")
    assert (status, "is a backtest" in text) == (400, True)
    assert not list(run.folder.glob("HALT*"))


def test_a_damaged_run_is_reported_and_can_be_halted(dashboard: Dashboard, live: Path) -> None:
    (live / "journal.sqlite").write_bytes(b"\xff" * 40_000)
    answer = dashboard.ask("GET", page("/run", run=key_of(live)))
    assert answer.status == 200
    assert "This run cannot be read" in answer.text
    status, text = acted(dashboard, live, "halt")
    assert status == 200
    assert "look at the venue" in text
    assert read_halt(live) is not None


@pytest.mark.parametrize("name", ["equity", "decisions", "fills", "bars", "trades", "orders"])
def test_the_page_of_a_run_with_a_damaged_table_shows_what_is_whole(
    dashboard: Dashboard, name: str
) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    (run.folder / f"{name}.parquet").write_bytes(b"garbage")
    answer = dashboard.ask("GET", page("/run", run=key_of(run.folder)))
    assert answer.status == 200
    text = html.unescape(answer.text)
    assert f"{name}.parquet cannot be read as Parquet" in text
    assert money(run.summary["final_equity"], run.facts.currency) in text
    assert percent(run.summary["max_drawdown"]) in text


def test_a_file_that_was_changed_is_named_on_every_page(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    live = ended_run(dashboard.root / "demo" / "live-1")
    dashboard.log_in()
    key = key_of(live)
    asked = [
        page("/run", run=key), "/", page("/order", run=key, order="o1"), "/api/v1/runs",
        *(page(f"/api/v1/{name}", run=key, order="o1", name="orders") for name in (
            "run", "why", "table",
        )),
    ]  # fmt: skip
    for path in asked:
        answer = dashboard.ask("GET", path)
        assert answer.status == 200, (path, answer.text)
        assert "journal records" not in answer.text
    written = json.loads((live / "summary.json").read_text())
    (live / "summary.json").write_text(json.dumps({**written, "final_equity": 77_777.0}))
    for path in asked:
        text = dashboard.ask("GET", path).text
        assert "not those its journal records: summary.json changed" in text, path
        assert f"septet runs export {live}" in text
        assert "77777" not in text


def test_viewing_writes_nothing_into_the_run(dashboard: Dashboard, live: Path) -> None:
    def state() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in live.iterdir() if each.is_file()}

    before = state()
    dashboard.ask("GET", "/")
    dashboard.ask("GET", page("/run", run=key_of(live)))
    after = state()
    assert {name: after[name] for name in before} == before
    with Reader(live / "journal.sqlite") as journal:
        assert journal.last_seq > 0


def next_event(answer: http.client.HTTPResponse) -> str:
    while True:
        line = answer.readline().decode().strip()
        if line.startswith("event: "):
            return line.removeprefix("event: ")


def test_events_report_that_the_run_wrote_and_that_its_folder_is_gone(
    dashboard: Dashboard, live: Path
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    connection.request(
        "GET", page("/events", run=key_of(live)), headers={"Cookie": dashboard.cookie}
    )
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    assert next_event(answer) == "alive"
    with (live / "log.jsonl").open("a") as log:
        log.write("{}\n")
    assert next_event(answer) == "grew"
    shutil.rmtree(live)
    events = [next_event(answer)]
    while events[-1] == "grew":  # it may be seen half removed
        events.append(next_event(answer))
    assert events[-1] == "gone"
    connection.close()


def test_events_end_with_the_session(dashboard: Dashboard, live: Path) -> None:
    assert (
        dashboard.ask("GET", page("/events", run=key_of(live)), headers={"Cookie": ""}).status
        == 401
    )
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    connection.request(
        "GET", page("/events", run=key_of(live)), headers={"Cookie": dashboard.cookie}
    )
    answer = connection.getresponse()
    assert next_event(answer) == "alive"
    dashboard.ask("POST", "/logout")
    assert b"gone" not in answer.read()
    connection.close()


def test_a_chart_brings_at_most_5000_bars_and_then_only_what_came_since(
    dashboard: Dashboard,
) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    asked = {"run": key_of(run.folder), "name": "chart-price"}
    whole = json.loads(dashboard.ask("GET", page("/chart", **asked)).text)
    times = unpack(whole["levels"][0]["columns"]["t"])
    assert len(times) == run.table("bars").height
    later = json.loads(dashboard.ask("GET", page("/chart", **asked, after=str(times[-2]))).text)
    assert [row["t"] for row in later["rows"]] == times[-2:].tolist()
    close = run.table("bars").get_column("close")[-1]
    assert later["rows"][-1]["close"] == pytest.approx(close, rel=1e-6)
    start, end = "2023-01-28", "2023-01-29 12:00"
    part = json.loads(dashboard.ask("GET", page("/chart", **asked, start=start, end=end)).text)
    assert len(unpack(part["levels"][0]["columns"]["t"])) == 36
    for wrong in ({"start": "yesterday"}, {"after": "nan"}, {"name": "chart-other"}):
        assert dashboard.ask("GET", page("/chart", **{**asked, **wrong})).status == 404


def test_a_trade_shows_its_prices_orders_and_decisions(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    trade = run.table("trades").to_dicts()[1]
    answer = dashboard.ask("GET", page("/trade", run=key_of(run.folder), trade="1"))
    assert answer.status == 200
    assert f"{trade['entry_price']:,.8g}" in answer.text
    assert f"{trade['mae']:.1%}".replace("%", " %") in answer.text
    assert answer.text.count("/order?") >= 3
    for wrong in ("-1", "999", "x", ""):
        assert (
            dashboard.ask("GET", page("/trade", run=key_of(run.folder), trade=wrong)).status == 404
        )


def test_a_journal_is_read_on_from_where_it_was(dashboard: Dashboard, live: Path) -> None:
    first = LiveRun(live)
    whole, fold = first.summary, first.fold
    again = LiveRun(live, first)
    assert again.fold is fold, "the entries that were folded are not read again"
    assert again.summary == whole
    other = LiveRun(live, first)  # what it was is in `again` now
    assert other.summary == whole
    assert other.fold is not fold


def test_a_backtest_shows_the_returns_by_month_of_its_report(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    text = dashboard.ask("GET", page("/run", run=key_of(run.folder))).text
    shown = text[text.index('<table class="months">') :]
    report = render(run)
    written = report[report.index('<table class="months">') :]

    def cells(part: str) -> list[str]:
        row = re.sub(r"<(/?span|td)[^>]*>", r"<td>", part[: part.index("</table>")])
        return [each for each in re.findall(r">([^<>\n]*)<", row) if each]

    assert cells(shown) == cells(written)
    assert any(each.endswith("*") for each in cells(shown))
    assert "a part of the month" in text
