"""From a data file of one's own to a strategy file that runs: on the page alone."""

from __future__ import annotations

import html
import http.client
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from septet._app.own_data import MOST_ADDED
from septet._app.workspace import Workspace
from septet._dashboard.accounts import accounts_file, add_user
from septet._store.find_runs import find_run
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Answer, Dashboard
from tests.dashboard.test_backtests import ended, job_of, own_bars
from tests.dashboard.test_browser import axe, violations
from tests.dashboard.test_strategies import HOSTILE, PASSWORD, put
from tests.report.reading import needs_chromium

RIGHT = {
    "data.candles.path": "bars.csv", "name": "own", "universe.symbols": "BTC/USD",
    "universe.bar": "1h", "data.candles.stamp": "open",
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def made(dashboard: Dashboard, name: str = "own.yaml") -> Path:
    return dashboard.root.parent / "strategies" / name


def write(dashboard: Dashboard, **changed: str) -> str:
    answer = dashboard.ask("POST", "/own-data", RIGHT | changed)
    assert answer.status == 200, answer.text
    return html.unescape(answer.text)


def marks(page: str, key: str) -> str:
    """Return the message beside a field of the page."""
    parts = page.split(f'<p id="problem-{key}-')[1:]
    return "\n".join(part[: part.index("</p>")] for part in parts)


def add(dashboard: Dashboard, name: str, text: str) -> Answer:
    """Send a file as the script of the page does."""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    try:
        connection.request(
            "POST", f"/own-data-file?name={quote(name)}", text.encode(),
            {
                "Host": dashboard.host, "Cookie": dashboard.cookie,
                "Origin": f"http://{dashboard.host}",
            },
        )  # fmt: skip
        answer = connection.getresponse()
        return Answer(answer.status, {}, answer.read().decode())
    finally:
        connection.close()


def test_a_file_comes_to_a_checked_strategy_that_runs(dashboard: Dashboard) -> None:
    dashboard.log_in()
    assert "/own-data" in dashboard.ask("GET", "/strategies").text
    assert json.loads(add(dashboard, "bars.csv", own_bars()).text) == {
        "ok": True,
        "file": "bars.csv",
    }
    fields = dashboard.ask("GET", "/own-data?data=bars.csv").text
    assert '<option value="bars.csv" selected>' in fields
    assert 'value="BARS"' in fields
    page = write(dashboard)
    assert "own.yaml is written" in page, page
    assert "No errors" in page
    text = made(dashboard).read_text(encoding="utf-8")
    assert 'candles: {use: csv, path: "bars.csv", stamp: "open"}' in text
    form = {"file": "own.yaml", "text": text, "sets": ""}
    job = job_of(dashboard.ask("POST", "/backtest", form))
    assert json.loads(ended(dashboard, job)[-1])["state"] == "done"
    assert find_run("latest", dashboard.root).summary["strategy"] == "own"


def test_a_parquet_file_below_needs_no_stamp_beside_it(dashboard: Dashboard) -> None:
    import polars as pl

    dashboard.log_in()
    text = put(dashboard, "mine/bars.csv", own_bars())
    pl.read_csv(text, try_parse_dates=True).write_parquet(text.with_suffix(".parquet"))
    changed = {"data.candles.path": "mine/bars.parquet", "data.candles.stamp": ""}
    assert "mine/own.yaml is written" in write(dashboard, **changed)
    assert "use: parquet" in made(dashboard, "mine/own.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value", "field", "said"),
    [
        ("data.candles.stamp", "", "data.candles.stamp", "csv must say stamp"),
        ("universe.bar", "", "universe.bar", "bar is missing"),
        ("universe.bar", "15m", "data.candles.path", "rows are mostly 1h apart"),
        ("universe.symbols", "no symbol!", "universe.symbols", "this is not a symbol"),
        ("data.candles.time_zone", "Mars", "data.candles.time_zone", "not a time zone"),
        ("data.candles.columns", "open: Opn", "data.candles.columns", "no column Opn"),
        ("data.candles.path", "none.csv", "data.candles.path", "none.csv"),
        ("data.candles.path", "", "data.candles.path", "choose a data file"),
        ("data.candles.path", "../bars.csv", "data.candles.path", "no path of the workspace"),
        ("name", "", "name", "needs a name"),
        ("name", "a b", "name", "this name cannot be used"),
        ("name", "../own", "name", "no path of the workspace"),
        ("name", "taken", "name", "is there already"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    dashboard: Dashboard, key: str, value: str, field: str, said: str
) -> None:
    dashboard.log_in()
    put(dashboard, "bars.csv", own_bars())
    put(dashboard, "taken.yaml", "kept")
    page = write(dashboard, **{key: value})
    assert said in marks(page, field), page
    assert "is written</strong>" not in page
    assert [each.name for each in made(dashboard).parent.glob("*.yaml")] == ["taken.yaml"]
    assert made(dashboard, "taken.yaml").read_text(encoding="utf-8") == "kept"


def test_a_changed_text_is_what_is_checked_and_written(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "bars.csv", own_bars())
    page = write(dashboard, **{"data.candles.stamp": ""})
    text = page[page.index("version: 1") : page.index("</textarea>", page.index("version: 1"))]
    wrong = text.replace("period: 20", "perod: 20")
    page = write(dashboard, text=wrong)
    assert "did you mean" in page
    assert 'data-line="' in page
    right = text.replace("use: csv", "use: csv, stamp: close").replace("period: 20", "period: 10")
    assert "is written" in write(dashboard, text=right.replace("\n", "\r\n"))
    assert made(dashboard).read_text(encoding="utf-8") == right


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_values_stay_text(dashboard: Dashboard, hostile: str) -> None:
    dashboard.log_in()
    put(dashboard, "bars.csv", own_bars())
    for key in RIGHT:
        answer = dashboard.ask("POST", "/own-data", RIGHT | {key: hostile}).text
        assert "<script>alert" not in answer
        assert '"><b>' not in answer
    assert not made(dashboard).exists()


@pytest.mark.parametrize(
    "name", ["../b.csv", "b.yaml", ".b.csv", "a/b.csv", "b.csv.yaml", "", "x" * 400 + ".csv"]
)
def test_no_file_is_added_elsewhere_or_of_another_kind(dashboard: Dashboard, name: str) -> None:
    dashboard.log_in()
    before = sorted(dashboard.root.parent.rglob("*"))
    answer = add(dashboard, name, own_bars())
    assert (answer.status, json.loads(answer.text)["ok"]) == (400, False)
    assert sorted(dashboard.root.parent.rglob("*")) == before


def test_a_file_that_is_there_is_not_replaced(dashboard: Dashboard) -> None:
    dashboard.log_in()
    path = put(dashboard, "bars.csv", "kept")
    assert "there already" in add(dashboard, "bars.csv", own_bars()).text
    assert path.read_text(encoding="utf-8") == "kept"
    path.with_name("link.csv").symlink_to(dashboard.root.parent / "outside.csv")
    assert add(dashboard, "link.csv", own_bars()).status == 400
    assert not (dashboard.root.parent / "outside.csv").exists()


def test_a_file_too_large_is_refused(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("septet._dashboard.own_data_pages.MOST_ADDED", 1_000)
    dashboard.log_in()
    assert add(dashboard, "bars.csv", own_bars()).status == 413
    assert Workspace(made(dashboard).parent).data_files() == []
    assert MOST_ADDED == 64 << 20


def test_files_that_were_added_are_limited_together(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard.log_in()
    bars = own_bars()
    put(dashboard, "deep/other.csv", bars)  # not where the page adds: it is not counted
    monkeypatch.setattr("septet._app.own_data.MOST_KEPT", 2 * len(bars))
    assert add(dashboard, "one.csv", bars).status == 200
    assert add(dashboard, "two.csv", bars).status == 200
    answer = add(dashboard, "three.csv", bars)
    assert (answer.status, json.loads(answer.text)["ok"]) == (400, False)
    assert "would have" in json.loads(answer.text)["message"]
    assert not made(dashboard, "three.csv").exists()
    made(dashboard, "one.csv").unlink()
    assert add(dashboard, "three.csv", bars).status == 200


def test_who_may_only_view_adds_and_writes_nothing(dashboard: Dashboard) -> None:
    add_user(accounts_file(), "vera", "view", PASSWORD)
    answer = dashboard.ask("POST", "/login", {"name": "vera", "password": PASSWORD})
    dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]
    assert dashboard.ask("GET", "/own-data").status == 403
    assert dashboard.ask("POST", "/own-data", RIGHT).status == 403
    assert add(dashboard, "bars.csv", own_bars()).status == 403
    assert "/own-data" not in dashboard.ask("GET", "/strategies").text
    assert list(made(dashboard).parent.iterdir()) == []


DROP = """(() => {
  const carried = new DataTransfer();
  carried.items.add(new File([%s], "dropped.csv"));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));
})()"""


@needs_chromium
def test_a_browser_drops_a_file_and_comes_to_a_run(dashboard: Dashboard, tmp_path: Path) -> None:
    script = axe()
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.open(f"http://{dashboard.host}/own-data")
        loaded = browser.loaded
        browser.run(DROP % json.dumps(own_bars()))
        browser.until_loaded(loaded + 1)
        assert browser.run("document.getElementById('data.candles.path').value") == "dropped.csv"
        assert violations(browser, script, "own-data") == []
        browser.submit("form.keys")
        told = "document.getElementById('{}').getAttribute('aria-describedby')"
        assert "problem-universe.bar-1" in browser.run(told.format("universe.bar"))
        assert violations(browser, script, "own-data-marks") == []
        browser.run("document.getElementById('universe.bar').value = '1h'")
        browser.run("document.getElementById('data.candles.stamp').value = 'open'")
        browser.submit("form.keys")
        assert "is written" in browser.run("document.body.textContent")
        assert violations(browser, script, "own-data-written") == []
        loaded = browser.loaded
        browser.run("document.querySelector('[formaction=\"/backtest\"]').click()")
        browser.until_loaded(loaded + 2)  # the job, and the job once it has ended
        assert browser.run("document.querySelector('a[href^=\"/run?\"]') !== null")
        assert browser.console == []
