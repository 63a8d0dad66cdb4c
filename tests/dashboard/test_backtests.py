"""Backtests that the page runs: as jobs, with progress, cancelled, refused, and in the ledger."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from septet._app.trial_records import listed_tries
from septet._dashboard.accounts import accounts_file, add_user
from septet._jobs.check_process import CheckAnswer, CheckExceeded, CheckRequest
from septet._jobs.check_worker import check_here
from septet._store.find_runs import find_run
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Answer, Dashboard, listening_to
from tests.dashboard.test_strategies import PASSWORD, TEXT, WRONG, put
from tests.report.reading import needs_chromium

SLOW = (
    TEXT.replace("{use: rules, long_if: fast > slow}", "{use: confidence, threshold: 0.1}")
    + """\
model:
  use: sklearn
  estimator: RandomForestClassifier
  params: {n_estimators: 10000, max_depth: 20}
  training: {train: 60d, step: 20d}
"""
)

OWN_DATA = """\
version: 1
name: own
universe: {symbols: [BTC/USDT], bar: 1h}
data:
  candles: {use: csv, path: bars.csv, stamp: open}
features:
  fast: {use: sma, period: 5}
  slow: {use: sma, period: 20}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
execution:
  instruments: {BTC/USDT: {lot: 0.00001, tick: 0.01, min_notional: 0}}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def begin(dashboard: Dashboard, text: str, sets: str = "", file: str = "cross.yaml") -> Answer:
    form = {"file": file, "text": text, "sets": sets, "hypothesis": "An average leads the price."}
    return dashboard.ask("POST", "/backtest", form)


def job_of(answer: Answer) -> str:
    assert answer.status == 303, answer.text
    return answer.headers["location"].partition("id=")[2]


def ended(dashboard: Dashboard, job: str) -> list[str]:
    """Return the events of a job to its end."""
    text = dashboard.ask("GET", f"/job-events?id={job}").text
    assert text.rstrip().endswith("event: ended\ndata:")
    return re.findall(r"^data: (\{.*)$", text, re.MULTILINE)


def test_a_text_is_run_with_settings_stored_shown_and_counted_as_a_try(
    dashboard: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    dashboard.log_in()
    path = put(dashboard, "cross.yaml", TEXT.replace("period: 8", "period: 9"))
    job = job_of(begin(dashboard, TEXT, "risk.sizing.fraction=20%"))
    states = [json.loads(each) for each in ended(dashboard, job)]
    assert states[-1]["state"] == "done"
    assert {"backtest", "data"} & {each["stage"] for each in states}
    page = dashboard.ask("GET", f"/job?id={job}").text
    key = re.search(r'href="/run\?run=([^"]+)"', page)
    assert key is not None
    assert dashboard.ask("GET", f"/run?run={key[1]}").status == 200
    run = find_run("latest", dashboard.root)
    assert run.manifest["resolved"]["risk"]["sizing"]["fraction"] == 0.2
    assert run.manifest["resolved"]["features"]["fast"]["period"] == 8
    assert (run.folder / "report.html").is_file()
    assert "period: 9" in path.read_text()
    _, [(_, _, face, _, hypothesis, _)] = listed_tries()
    assert (face, hypothesis) == ("page", "An average leads the price.")
    assert job in dashboard.ask("GET", "/jobs").text


def test_a_fit_that_asks_nobody_ends_when_it_is_cancelled(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", SLOW)
    job = job_of(begin(dashboard, SLOW))
    waiting = job_of(begin(dashboard, TEXT))
    assert "Waiting" in dashboard.ask("GET", f"/job?id={waiting}").text
    for each in (waiting, job):
        assert dashboard.ask("POST", "/job-cancel", {"id": each}).status == 303
    for each in (job, waiting):
        assert json.loads(ended(dashboard, each)[-1])["state"] == "cancelled"
    assert not [each for each in dashboard.root.rglob("*") if each.is_file()]


def test_a_wrong_text_is_marked_and_does_not_run(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    answer = begin(dashboard, WRONG)
    assert answer.status == 200
    assert 'data-line="9"' in answer.text
    assert "None yet" in dashboard.ask("GET", "/jobs").text


def test_what_check_finds_in_the_data_is_refused_at_once_with_its_place(
    dashboard: Dashboard,
) -> None:
    dashboard.log_in()
    text = OWN_DATA.replace("bars.csv", "empty.csv")
    put(dashboard, "cross.yaml", text)
    put(dashboard, "empty.csv", "timestamp,open,high,low,close,volume\n")
    form = {"file": "cross.yaml", "text": text, "sets": ""}
    checked = marks_of(dashboard.ask("POST", "/strategy", form))
    answer = begin(dashboard, text)
    assert answer.status == 200, "a job was begun"
    assert marks_of(answer) == checked != []
    assert "empty.csv" in answer.text
    assert "None yet" in dashboard.ask("GET", "/jobs").text
    missing = begin(dashboard, OWN_DATA)
    assert (missing.status, "bars.csv" in missing.text) == (200, True)
    assert "None yet" in dashboard.ask("GET", "/jobs").text


def marks_of(answer: Answer) -> list[str]:
    """Return the lines that a page of a strategy marks."""
    return re.findall(r'data-line="(\d+)"', answer.text)


def test_what_ends_a_backtest_is_shown_with_its_place(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", OWN_DATA)
    put(dashboard, "bars.csv", own_bars())
    put(dashboard, "slow.yaml", SLOW)
    first = job_of(begin(dashboard, SLOW, file="slow.yaml"))
    job = job_of(begin(dashboard, OWN_DATA))
    put(dashboard, "bars.csv", "timestamp,open,high,low,close,volume\n")  # after it was checked
    dashboard.ask("POST", "/job-cancel", {"id": first})
    assert json.loads(ended(dashboard, job)[-1])["state"] == "failed"
    assert "bars.csv" in dashboard.ask("GET", f"/job?id={job}").text


def test_a_text_whose_check_exceeds_its_bounds_runs_all_the_same(tmp_path: Path) -> None:
    def exceeding(wanted: CheckRequest) -> CheckAnswer:
        if not wanted.is_loaded_only:
            raise CheckExceeded("the check took longer than 60 s and was ended")
        return check_here(wanted)

    (tmp_path / "strategies").mkdir()
    with listening_to(tmp_path / "runs", tmp_path / "strategies", exceeding) as page:
        page.log_in()
        put(page, "cross.yaml", TEXT)
        form = {"file": "cross.yaml", "text": TEXT, "sets": ""}
        assert "took longer than 60 s" in page.ask("POST", "/strategy", form).text
        job = job_of(begin(page, TEXT))
        assert json.loads(ended(page, job)[-1])["state"] == "done"
        assert begin(page, WRONG).status == 200


@pytest.mark.parametrize("file", ["../outside.yaml", "/etc/passwd", ""])
def test_no_other_file_and_no_data_from_outside_are_used(dashboard: Dashboard, file: str) -> None:
    dashboard.log_in()
    put(dashboard, "cross.yaml", TEXT)
    assert begin(dashboard, TEXT, file=file).status == 400
    away = TEXT.replace("{use: sample}", "{use: csv, path: ../away.csv, stamp: open}")
    assert "leads out of the workspace" in begin(dashboard, away).text
    assert dashboard.ask("GET", "/job?id=%1b[31m").status == 404


def test_who_may_only_view_runs_and_cancels_nothing(dashboard: Dashboard) -> None:
    add_user(accounts_file(), "ada", "view", PASSWORD)
    put(dashboard, "cross.yaml", TEXT)
    answer = dashboard.ask("POST", "/login", {"name": "ada", "password": PASSWORD})
    dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]
    assert begin(dashboard, TEXT).status == 403
    assert dashboard.ask("POST", "/job-cancel", {"id": "x"}).status == 403
    assert "formaction" not in dashboard.ask("GET", "/strategy?file=cross.yaml").text
    assert dashboard.ask("GET", "/jobs").status == 200


@needs_chromium
def test_a_browser_runs_a_backtest_and_comes_to_its_run(
    dashboard: Dashboard, tmp_path: Path
) -> None:
    put(dashboard, "cross.yaml", TEXT)
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.open(f"http://{dashboard.host}/strategy?file=cross.yaml")
        before = browser.loaded
        browser.run("document.querySelector('[formaction=\"/backtest\"]').click()")
        browser.until_loaded(before + 2)  # the job, and the job once it has ended
        assert browser.run("document.querySelector('a[href^=\"/run?\"]') !== null")
        assert browser.console == []


def own_bars(count: int = 400) -> str:
    """Write hourly bars as a user's own CSV has them."""
    rows = ["timestamp,open,high,low,close,volume"]
    for number in range(count):
        day, hour = divmod(number, 24)
        month, day = divmod(day, 28)
        close = 100.0 + 10.0 * math.sin(number / 12)
        rows.append(
            f"2024-{month + 1:02}-{day + 1:02}T{hour:02}:00:00Z,{close},{close + 1},{close - 1},"
            f"{close},{5 + number % 7}"
        )
    return "\n".join(rows) + "\n"


def test_a_file_of_ones_own_comes_to_a_run(dashboard: Dashboard) -> None:
    dashboard.log_in()
    put(dashboard, "mine/bars.csv", own_bars())
    text = OWN_DATA
    put(dashboard, "mine/own.yaml", text)
    assert "mine/own.yaml" in dashboard.ask("GET", "/strategies").text
    page = dashboard.ask("GET", "/strategy?file=mine%2Fown.yaml").text
    assert "path: bars.csv" in page
    form = {"file": "mine/own.yaml", "text": text, "sets": ""}
    checked = dashboard.ask("POST", "/strategy", form).text
    assert "data.candles.path" in checked
    assert 'data-line="' not in checked
    job = job_of(begin(dashboard, text, file="mine/own.yaml"))
    assert json.loads(ended(dashboard, job)[-1])["state"] == "done"
    run = find_run("latest", dashboard.root)
    assert run.summary["bars"] == 400 - 19, "the first decision needs twenty closes"
    assert run.summary["trades"] > 0
    key = f"{run.folder.parent.name}/{run.folder.name}"
    shown = dashboard.ask("GET", f"/run?run={key}").text
    assert "Jan" in shown
    assert run.run_id in shown
    wrong = text.replace("bars.csv", "bar.csv")
    answer = begin(dashboard, wrong, file="mine/own.yaml")
    assert (answer.status, "bar.csv" in answer.text) == (200, True)
