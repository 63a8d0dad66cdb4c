"""The JSON API: every answer matches its description, by generated requests; who may do what."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from septet._dashboard.accounts import AccountBook, accounts_file, add_token
from septet._dashboard.api import Api
from septet._dashboard.app import make_app
from septet._dashboard.json_answer import JsonAnswer
from septet._dashboard.sessions import Sessions
from septet._dashboard.site import Site, Visitor, default_limits, loopback_site
from septet._live.kill_switch import Asked, ask_halt, ask_resume, read_halt
from tests.cli.test_planted_tables import plant
from tests.dashboard.conftest import Answer, Dashboard, stored
from tests.dashboard.test_run_page import key_of, live, page

__all__ = ["live"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def site_of(root: Path) -> Site:
    sessions = Sessions(lambda code: None, time.monotonic, Visitor("Ann", "operate"))
    return loopback_site(
        root, sessions, 8765, lambda: False, book=AccountBook(accounts_file(), print),
        limits=default_limits(time.monotonic),
    )  # fmt: skip


def test_every_answer_to_generated_requests_matches_its_description(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = stored(root)
    site = site_of(root)
    headers = {
        "Host": "127.0.0.1:8765",
        "Authorization": f"Bearer {add_token(accounts_file(), 'test', 'operate', 1, time.time())}",
    }
    schema = schemathesis.openapi.from_dict(Api(site).openapi())
    schema.app = make_app(site)
    statuses = set[int]()
    checks = [
        not_a_server_error, status_code_conformance, content_type_conformance,
        response_schema_conformance,
    ]  # fmt: skip
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]

        @hypothesis.seed(7)
        @hypothesis.settings(
            max_examples=12, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(operation.as_strategy(), hypothesis.strategies.booleans())
        def ask(case: Any, named: bool) -> None:
            if named and case.query:
                case.query = {**case.query, "run": key_of(run.folder), "name": "orders"}
                case.query = {**case.query, "order": "o1"}
            answer = case.call(headers=headers)
            statuses.add(answer.status_code)
            case.validate_response(answer, checks=checks, headers=headers)

        ask()
    assert {200, 400, 404} <= statuses


def called(dashboard: Dashboard, method: str, path: str, token: str = "", **headers: str) -> Answer:
    sent = {"Cookie": "", "Origin": "", "Sec-Fetch-Site": ""} | headers
    if token:
        sent["Authorization"] = f"Bearer {token}"
    return dashboard.ask(method, path, headers=sent)


def test_a_program_reads_with_a_token_and_nothing_without(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    refused = called(dashboard, "GET", "/api/v1/runs")
    assert (refused.status, json.loads(refused.text)["ok"]) == (401, False)
    assert called(dashboard, "GET", "/api/v1/runs", "septet_wrong").status == 401
    listed = json.loads(called(dashboard, "GET", "/api/v1/runs", token).text)["runs"]
    assert [each["run"] for each in listed] == [key_of(run.folder)]
    found = json.loads(
        called(dashboard, "GET", page("/api/v1/run", run=listed[0]["run"]), token).text
    )
    assert found["summary"]["verdict"] == run.summary["verdict"]
    assert found["equity"] == run.summary["final_equity"]
    assert dashboard.ask("GET", "/", headers={"Authorization": f"Bearer {token}"}).status == 303


def test_a_table_is_read_page_by_page(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    ids, cursor = list[str](), "0"
    while cursor != "None":
        asked = page("/api/v1/table", run=key_of(run.folder), name="orders", next=cursor, limit="7")
        found = json.loads(called(dashboard, "GET", asked, token).text)
        ids += [row["order_id"] for row in found["rows"]]
        cursor = str(found["next"])
    assert ids == run.table("orders").get_column("order_id").to_list()


@pytest.mark.parametrize("path", ["/", "/login", "/api/v1/runs"])
def test_a_token_in_an_address_is_refused_and_reported(dashboard: Dashboard, path: str) -> None:
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    for query in (f"token={token}", f"x={token}", "access_token=abc"):
        answer = called(dashboard, "GET", f"{path}?{query}")
        assert (answer.status, "Authorization: Bearer" in answer.text) == (400, True)
        assert token not in answer.text


def posted(
    dashboard: Dashboard, live: Path, headers: dict[str, str], action: str = "halt"
) -> Answer:
    import http.client

    body = json.dumps({"run": key_of(live), "reason": "news"})
    sent = {"Host": dashboard.host, "Content-Type": "application/json", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    connection.request("POST", f"/api/v1/{action}", body, sent)
    answer = connection.getresponse()
    found = Answer(answer.status, dict(answer.getheaders()), answer.read().decode())
    connection.close()
    return found


def test_only_a_right_to_operate_halts_and_the_journal_has_the_name_of_the_token(
    dashboard: Dashboard, live: Path
) -> None:
    path = accounts_file()
    view, operate = (add_token(path, each, each, 1, time.time()) for each in ("view", "operate"))
    bearer = {"Authorization": f"Bearer {operate}"}
    cookie, own = {"Cookie": dashboard.cookie}, {"Origin": f"http://{dashboard.host}"}
    for headers in (
        {"Authorization": f"Bearer {view}"}, {}, cookie, bearer | {"Origin": "http://evil.example"},
        bearer | {"Sec-Fetch-Site": "cross-site"}, cookie | {"Origin": "http://evil.example"},
        cookie | own | {"Sec-Fetch-Site": "cross-site"},
    ):  # fmt: skip
        assert posted(dashboard, live, headers).status in (401, 403)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert posted(dashboard, live, bearer | {"Content-Type": kind}).status == 415
    assert read_halt(live) is None
    assert posted(dashboard, live, bearer).status == 200
    asked = read_halt(live)
    assert asked is not None
    assert (asked.name, asked.reason) == ("operate (dashboard)", "news")


def test_a_resume_that_a_halt_of_another_replaced_is_refused(
    dashboard: Dashboard, live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was answered as pending, with status 200."""
    token = add_token(accounts_file(), "operate", "operate", 1, time.time())
    bearer = {"Authorization": f"Bearer {token}"}
    answer = posted(dashboard, live, bearer)
    found = json.loads(answer.text)
    assert (answer.status, found["ok"]) == (200, False), "nobody has cancelled its orders"
    assert found["message"] == found["texts"][0]
    assert found["hint"]

    def resume_too_late(folder: Path, **how: object) -> Asked:
        asked = ask_resume(folder, name="operate (dashboard)", reason="x", now_ns=time.time_ns())
        ask_halt(folder, flatten=False, name="bea", reason="news", now_ns=time.time_ns())
        return asked

    monkeypatch.setattr("septet._live.kill_switch.ask_resume", resume_too_late)
    answer = posted(dashboard, live, bearer, "resume")
    found = json.loads(answer.text)
    assert (answer.status, found["ok"], found["error"]) == (409, False, "Replaced")
    assert "a later halt has replaced the resume; bea asked for it" in found["message"]
    shown = dashboard.ask(
        "POST", "/act",
        form={"run": key_of(live), "action": "resume", "name": "Ann", "reason": "seen"},
    )  # fmt: skip
    assert "a later halt has replaced the resume; bea asked for it" in shown.text


def test_no_code_token_hash_or_session_is_in_any_page_or_answer(
    dashboard: Dashboard, live: Path
) -> None:
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    stored_text = accounts_file().read_text()
    hashed = stored_text.partition('sha256 = "')[2].partition('"')[0]
    assert len(hashed) == 64
    run = {"run": key_of(live)}
    paths = ["/", "/login", page("/run", **run), page("/order", **run, order="o1")]
    answers = [dashboard.ask("GET", path) for path in paths]
    names = ("runs", "run", "positions", "orders", "decisions", "why", "table")
    for name in names:
        for table in ("orders", "fills", "decisions"):
            path = page(f"/api/v1/{name}", **run, order="o1", name=table)
            answers.append(called(dashboard, "GET", path, token))
    assert sum(each.status == 200 for each in answers) >= len(names)
    shown = "".join(f"{each.text}{each.headers}" for each in answers)
    for secret in (token, hashed, dashboard.cookie.partition("=")[2], *dashboard.codes):
        assert secret not in shown


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "%2e%2e/x", "a\r\nX-Evil: 1", "\x00"])
@pytest.mark.parametrize("name", ["run", "positions", "table", "why"])
def test_no_folder_but_those_of_the_list_is_reached(
    dashboard: Dashboard, key: str, name: str
) -> None:
    token = add_token(accounts_file(), "t", "view", 1, time.time())
    path = page(f"/api/v1/{name}", run=key, order="o1", name="orders")
    answer = called(dashboard, "GET", path, token)
    assert (answer.status, "x-evil" in answer.headers) == (404, False)


def test_a_body_that_does_not_come_ends(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.client

    monkeypatch.setattr("septet._dashboard.forms._SLOWEST_S", 0.05)
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    headers = {"Content-Length": "10", "Origin": f"http://{dashboard.host}"}
    connection.request("POST", "/login", headers=headers)
    assert connection.getresponse().status == 408
    connection.close()


def test_endless_headers_are_refused(dashboard: Dashboard) -> None:
    assert dashboard.ask("GET", "/login", headers={"X-Long": "x" * 20_000}).status == 431
    assert dashboard.ask("GET", "/login?x=" + "x" * 20_000).status == 431
    assert dashboard.ask("GET", "/" + "x" * 20_000).status == 431
    assert dashboard.ask("GET", "/login").status == 200


def test_a_bug_is_answered_in_the_form_that_was_asked_for_and_logged(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("as no answer expects")

    monkeypatch.setattr("septet._dashboard.cached_views.all_runs", fail)
    monkeypatch.setattr("septet._dashboard.cached_views.open_run", fail)
    dashboard.log_in()
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    stored(dashboard.root)
    (name,) = (
        page("", run=key_of(each.parent))[1:] for each in dashboard.root.rglob("summary.json")
    )
    for path in ("runs", f"why?{name}&order=o1", f"table?{name}&name=orders"):
        answer = called(dashboard, "GET", f"/api/v1/{path}", token)
        assert answer.status == 500, path
        assert json.loads(answer.text) == {
            "ok": False, "error": "SeptetError", "message": "a bug of septet: KeyError",
            "hint": "the log of the server shows it",
        }  # fmt: skip
        assert "content-security-policy" in answer.headers
    shown = dashboard.ask("GET", "/")
    assert (shown.status, "a bug of septet: KeyError" in shown.text) == (500, True)
    assert "as no answer expects" not in shown.text
    logged = [each for each in caplog.records if each.exc_info]
    assert len(logged) == 4
    assert "as no answer expects" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_folder_whose_name_is_no_unicode_is_listed_and_read(dashboard: Dashboard) -> None:
    """One such folder took the list of all runs from every program."""
    dashboard.log_in()
    run = stored(dashboard.root)
    place = os.fsencode(dashboard.root) + b"/\xff\xfe"
    shutil.copytree(run.folder, os.fsdecode(place + b"/copy"))
    os.makedirs(place + b"/damaged\xff")
    Path(os.fsdecode(place + b"/damaged\xff/summary.json")).write_text("{")
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    listed = called(dashboard, "GET", "/api/v1/runs", token)
    assert listed.status == 200, listed.text
    names = [each["run"] for each in json.loads(listed.text)["runs"]]
    assert sorted(names) == sorted([key_of(run.folder), r"\xff\xfe/copy", r"\xff\xfe/damaged\xff"])
    for name in names:
        for path in ("run", "table", "orders"):
            asks = {"run": name, "name": "orders"}
            answer = called(dashboard, "GET", page(f"/api/v1/{path}", **asks), token)
            assert answer.status == (404 if "xff" in name else 200), (name, answer.text)
            refusal = json.loads(answer.text).get("message", "")
            assert ("is no Unicode text" in refusal) == ("xff" in name)
        shown = dashboard.ask("GET", page("/run", run=name))
        assert shown.status == (404 if "xff" in name else 200)
    assert dashboard.ask("GET", "/").status == 200


def test_every_answer_in_json_can_be_sent() -> None:
    """None is made by the class of the library, which fails at text that is no Unicode."""
    folder = Path(str(files("septet._dashboard")))
    makers = {each.name for each in folder.glob("*.py") if "JSONResponse" in each.read_text()}
    assert makers == {"json_answer.py"}
    given = {"\udcff": ["\ud800", "ü", {"a": "\udcfe"}]}
    assert json.loads(bytes(JsonAnswer(given).body)) == {r"\xff": [r"\ud800", "ü", {"a": r"\xfe"}]}


def rows_of(dashboard: Dashboard, token: str, **asks: str) -> dict[str, Any]:
    answer = called(dashboard, "GET", page("/api/v1/table", **asks), token)
    found: dict[str, Any] = json.loads(answer.text)
    return {**found, "status": answer.status}


def test_a_slice_of_a_table_has_the_columns_and_the_span_that_are_asked_for(
    dashboard: Dashboard,
) -> None:
    run = stored(dashboard.root)
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    asks = {"run": key_of(run.folder), "name": "equity", "limit": "5"}
    first = rows_of(dashboard, token, **asks)
    assert (len(first["rows"]), first["limit"], first["next"]) == (5, 5, 5)
    start, end = first["rows"][1]["time"], first["rows"][4]["time"]
    part = rows_of(dashboard, token, **asks, start=start, end=end, columns="equity,time")
    assert part["rows"] == [
        {"equity": row["equity"], "time": row["time"]} for row in first["rows"][1:4]
    ]
    assert part["next"] is None
    after = rows_of(dashboard, token, **asks, start=start, next="1", columns="time")
    assert after["rows"][0] == {"time": first["rows"][2]["time"]}
    for wrong in ({"columns": "password"}, {"start": "soon"}, {"limit": "0"}, {"next": "-1"}):
        refused = rows_of(dashboard, token, **(asks | wrong))
        assert (refused["status"], refused["ok"]) == (404, False), wrong
    height = run.table("equity").height
    assert rows_of(dashboard, token, **asks, next=str(height))["rows"] == []


def test_a_slice_is_read_without_the_rest_of_the_table(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    path = run.folder / "equity.parquet"
    table = run.table("equity")
    table.write_parquet(path, row_group_size=100)
    from pyarrow.parquet import ParquetFile

    groups = ParquetFile(path).metadata
    data = bytearray(path.read_bytes())
    for number in range(2, groups.num_row_groups):
        for column in range(groups.num_columns):
            chunk = groups.row_group(number).column(column)
            if chunk.path_in_schema == "time":
                continue
            first = chunk.dictionary_page_offset or chunk.data_page_offset
            # The values, not the headers of pages, whose sizes are looked at in every table.
            begin, end = chunk.data_page_offset + 60, first + chunk.total_compressed_size
            data[begin:end] = bytes(max(0, end - begin))
    path.write_bytes(data)
    asks = {"run": key_of(run.folder), "name": "equity", "limit": "50"}
    whole = rows_of(dashboard, token, **asks, next=str(table.height - 10))
    assert whole["status"] == 404, "the rest of the file cannot be read"
    times = table.get_column("time").dt.to_string("iso:strict")
    after, before = times[20], times[150]
    for more in ({}, {"next": "100"}, {"start": after}, {"columns": "equity"}):
        found = rows_of(dashboard, token, **asks, **more)
        assert len(found.get("rows", ())) == 50, (more, found)
    part = rows_of(dashboard, token, **asks, next="140", end=before)
    assert (len(part["rows"]), part["next"]) == (10, None)


def test_runs_carry_both_numbers_of_tries_and_what_came_after_the_first(
    dashboard: Dashboard,
) -> None:
    run = stored(dashboard.root)
    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    path = run.folder / "summary.json"
    summary = json.loads(path.read_text())

    def shown(**changed: Any) -> list[dict[str, Any]]:
        path.write_text(json.dumps(summary | changed))
        listed = called(dashboard, "GET", "/api/v1/runs", token)
        one = called(dashboard, "GET", page("/api/v1/run", run=key_of(run.folder)), token)
        return [json.loads(listed.text)["runs"][0], json.loads(one.text)]

    tries = {
        "count": 7, "effective": 3.5, "declared": 2, "deflated_sharpe": 0.25, "problem": None,
        "file_first": None, "text": "7 tries",
    }  # fmt: skip
    forward = {name: summary[name] for name in ("start", "end", "trades", "verdict", "sharpe")}
    for found in shown(tries=tries, forward=forward):
        assert found["trials"] == {
            "count": 7, "effective": 3.5, "declared": 2, "deflated_sharpe": 0.25,
            "complete": True, "text": "7 tries",
        }  # fmt: skip
        assert found["forward"]["trades"] == summary["trades"]
        assert found["forward"]["verdict"] == summary["verdict"]
    unread = tries | {"count": None, "effective": None, "deflated_sharpe": None}
    for found in shown(tries=unread):
        assert (found["trials"]["complete"], found["trials"]["count"]) == (False, None)
    for found in shown(tries=None):
        assert (found["trials"], found["forward"]) == (None, None)
    for found in shown(tries={"count": "many", "text": ["x"]}, forward="soon"):
        assert (found["trials"]["complete"], found["forward"]) == (False, None)


def test_a_table_of_a_run_with_a_damaged_manifest_is_refused(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    key = key_of(run.folder)
    asked = [
        page("/api/v1/table", run=key, name="fills"), page("/api/v1/why", run=key, order="o1"),
        page("/api/v1/run", run=key),
    ]  # fmt: skip
    assert [dashboard.ask("GET", each).status for each in asked] == [200, 200, 200]
    path = run.folder / "manifest.json"
    path.write_text(path.read_text().replace('"bar_ns":', '"bar":'))
    for each in asked:
        answer = dashboard.ask("GET", each)
        assert answer.status == 404, answer.text
        assert "manifest.json lacks its facts" in answer.text


def test_a_table_with_impossible_numbers_is_refused(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    key = key_of(run.folder)
    plant(run.folder / "fills.parquet", "price", float("inf"))
    answer = dashboard.ask("GET", page("/api/v1/table", run=key, name="fills"))
    assert answer.status == 404
    words = "fills.parquet holds inf in price, which is above zero in every run"
    assert words in answer.text
    some = dashboard.ask("GET", page("/api/v1/table", run=key, name="fills", next="1"))
    assert some.status == 200, "the row is not among those that are asked for"
    other = dashboard.ask("GET", page("/api/v1/table", run=key, name="equity"))
    assert other.status == 200
    assert words in json.loads(other.text)["problem"]
