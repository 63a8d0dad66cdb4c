"""Runs side by side: the settings that differ, figures, growth, and what is refused."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest

import septet
from septet._dashboard.accounts import accounts_file, add_user
from septet._diff.compare import diff
from septet._diff.part_names import NAMES
from septet._results.number_texts import money
from septet._store.find_runs import open_run
from septet._store.run_folder import JOURNAL
from septet._text import one_line
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Answer, Dashboard, stored
from tests.dashboard.test_backtests import ended
from tests.dashboard.test_browser import axe, violations
from tests.dashboard.test_strategies import PASSWORD
from tests.live.diffs import FEE, Hand, Lives, backtested, lived, walk
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage
from tests.python.samples import written
from tests.report.reading import needs_chromium

FASTS = (5, 8, 10)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three runs of one strategy that differ in one setting: their root, and their keys."""
    place = tmp_path_factory.mktemp("three")
    strategy, root, found = septet.load(written(place)), place / "runs", list[str]()
    for fast in FASTS:
        folder = septet.run(strategy.with_({"features.fast.period": fast})).save(root)
        found.append(folder.relative_to(root).as_posix())
    return root, found


@pytest.fixture
def keys(dashboard: Dashboard, three: tuple[Path, list[str]]) -> list[str]:
    """The keys of copies of those runs."""
    root, found = three
    shutil.copytree(root, dashboard.root)
    dashboard.log_in()
    return list(found)


def compare(dashboard: Dashboard, keys: list[str]) -> Answer:
    return dashboard.ask("GET", "/compare?" + urlencode([("run", each) for each in keys]))


def test_one_setting_and_every_figure_are_shown(dashboard: Dashboard, keys: list[str]) -> None:
    text = compare(dashboard, keys).text
    table = text[text.index("Settings that differ") :]
    assert re.findall(r'<th scope="row">(.*?)</th>', table) == ["features.fast.period"]
    assert re.findall(r"<td>(.*?)</td>", table) == [str(each) for each in FASTS]
    for key in keys:
        summary = septet.open_run(dashboard.root / key).summary
        assert f"{summary.trades}</td>" in text
        assert f"{summary.sharpe:.2f}</td>" in text
    assert text.count("<path") >= 3
    assert "septet runs diff" not in text


def test_the_same_file_differs_in_nothing(
    dashboard: Dashboard, keys: list[str], tmp_path: Path
) -> None:
    again = septet.load(written(tmp_path)).with_({"features.fast.period": FASTS[0]})
    twin = septet.run(again).save(dashboard.root).relative_to(dashboard.root).as_posix()
    assert twin not in keys
    assert "the files are the same" in compare(dashboard, [keys[0], twin]).text


@pytest.mark.parametrize("count", [0, 1, 7])
def test_two_to_six_are_compared(dashboard: Dashboard, keys: list[str], count: int) -> None:
    answer = compare(dashboard, [f"run-{number}" for number in range(count)])
    assert answer.status == 404
    assert "two to 6 are compared" in answer.text


def test_no_other_folder_is_read(dashboard: Dashboard, keys: list[str], tmp_path: Path) -> None:
    for other in ("../x", str(tmp_path), "none/1"):
        assert compare(dashboard, [keys[0], other]).status == 404


def test_a_damaged_run_is_named(dashboard: Dashboard, keys: list[str]) -> None:
    (dashboard.root / keys[1] / "summary.json").write_text("{")
    answer = compare(dashboard, keys[:2])
    assert answer.status == 404
    assert "cannot be read" in answer.text


@needs_chromium
def test_runs_are_chosen_in_the_list(dashboard: Dashboard, keys: list[str], tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.run("document.querySelectorAll('[name=run]').forEach((box) => box.click())")
        browser.submit('form[action="/compare"]')
        assert browser.run("document.querySelectorAll('h2').length") == 3
        assert browser.console == []


@pytest.fixture
def gap(dashboard: Dashboard, tmp_path: Path) -> list[str]:
    """The keys of a paper run whose venue filled dearer than simulated, and of its backtest."""
    bars = walk()
    run = backtested(tmp_path, bars)
    assert run.folder.parent == dashboard.root / "pair"
    hands = {number: Hand(worse=0.01, fee=2 * FEE) for number in range(1, 40)}
    revised = {20: round(bars[20].close * 1.03, 2)}
    lives = Lives(closes=revised, missed=frozenset({30}), hands=hands, venue_fills=True)
    lived(tmp_path / "pair.yaml", run.folder.with_name("live"), bars, lives)
    dashboard.log_in()
    return [f"pair/{run.folder.name}", "pair/live"]


def causes_found(dashboard: Dashboard, keys: list[str]) -> str:
    """Find the causes of the gap; return the page that leads on from the job."""
    form = {"live": keys[1], "backtest": keys[0]}
    answer = dashboard.ask("POST", "/compare-causes", form)
    assert answer.status == 303, answer.text
    job = answer.headers["location"].partition("id=")[2]
    events = dashboard.ask("GET", f"/job-events?id={job}").text
    last = json.loads(re.findall(r"^data: (\{.*)$", events, re.MULTILINE)[-1])
    page = dashboard.ask("GET", f"/job?id={job}").text
    assert last["state"] == "done", page
    assert last["total"]
    found = re.search(r'href="(/compare[^"]+)"', page)
    assert found is not None
    assert "/compare?" in dashboard.ask("GET", "/jobs").text
    return found[1].replace("&amp;", "&")


def test_the_causes_of_a_gap_are_those_of_the_command(
    dashboard: Dashboard, gap: list[str], tmp_path: Path
) -> None:
    page = compare(dashboard, gap).text
    assert f"septet runs diff run {gap[0].removeprefix('pair/')}" in page
    assert "Find the causes" in page
    text = html.unescape(dashboard.ask("GET", causes_found(dashboard, gap)).text)
    folders = [dashboard.root / each for each in gap]
    wanted = diff(folders[1], open_run(folders[0]))
    assert wanted.explained
    moved = [part for part, change in wanted.parts.items() if change]
    assert {"revision", "late_or_missed", "fill", "cost"} <= set(moved)
    for part, change in wanted.parts.items():
        assert NAMES[part].capitalize() in text
        assert money(change, wanted.currency, signed=True) in text
        for kind, many in wanted.counts(part).items():
            assert f"{kind}: {many:,}" in text
    for stage in (*wanted.stages, wanted.equity):
        assert money(stage, wanted.currency) in text
    for each in wanted.largest(5):
        assert one_line(each.text)[:100] in text
    assert "Nothing is left over" in text
    assert "Find the causes" not in text


def test_a_run_that_has_written_since_may_be_asked_again(
    dashboard: Dashboard, gap: list[str]
) -> None:
    page = causes_found(dashboard, gap)
    os.utime(dashboard.root / gap[1] / JOURNAL, (1, 1))
    text = dashboard.ask("GET", page).text
    assert "A run has written since" in text
    assert "Find the causes again" in text
    assert "Nothing is left over" in text


def test_no_causes_are_found_of_two_backtests_or_for_who_may_only_view(
    dashboard: Dashboard, gap: list[str]
) -> None:
    past, live = gap
    for one, two in ((past, past), (past, live), (live, live), ("../x", past), ("", "")):
        form = {"live": one, "backtest": two}
        assert dashboard.ask("POST", "/compare-causes", form).status == 400
    add_user(accounts_file(), "ada", "view", PASSWORD)
    answer = dashboard.ask("POST", "/login", {"name": "ada", "password": PASSWORD})
    dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]
    form = {"live": gap[1], "backtest": gap[0]}
    assert dashboard.ask("POST", "/compare-causes", form).status == 403
    assert "Find the causes" not in compare(dashboard, gap).text


def test_other_rules_are_reported_at_the_job(dashboard: Dashboard, gap: list[str]) -> None:
    run = stored(dashboard.root)
    form = {"live": gap[1], "backtest": f"{run.folder.parent.name}/{run.folder.name}"}
    answer = dashboard.ask("POST", "/compare-causes", form)
    job = answer.headers["location"].partition("id=")[2]
    assert '"failed"' in dashboard.ask("GET", f"/job-events?id={job}").text
    assert 'class="notice"' in dashboard.ask("GET", f"/job?id={job}").text


@needs_chromium
def test_a_browser_comes_to_the_causes(
    dashboard: Dashboard, gap: list[str], tmp_path: Path
) -> None:
    script = axe()
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        pair = urlencode([("run", each) for each in gap])
        browser.open(f"http://{dashboard.host}/compare?{pair}")
        before = browser.loaded
        browser.run("document.querySelector('form[action=\"/compare-causes\"] button').click()")
        browser.until_loaded(before + 2)  # the job, and the job once it has ended
        job = browser.run("location.href")
        ended(dashboard, job.rpartition("id=")[2])
        browser.open(job)  # it may have been loaded again before it had ended
        browser.open(browser.run("document.querySelector('a[href^=\"/compare\"]').href"))
        assert "Nothing is left over" in browser.run("document.body.textContent")
        assert violations(browser, script, "causes") == []
        assert browser.console == []


def test_a_damaged_table_of_a_run_is_stated_beside_its_figures(
    dashboard: Dashboard, keys: list[str]
) -> None:
    assert "damaged" not in compare(dashboard, keys).text
    (dashboard.root / keys[1] / "fills.parquet").write_bytes(b"garbage")
    text = html.unescape(compare(dashboard, keys).text)
    assert f"{keys[1]} is damaged" in text
    assert text.count("fills.parquet cannot be read") == 1


def test_changed_files_of_a_run_are_stated_beside_its_figures(
    dashboard: Dashboard, keys: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "made").mkdir()
    made = stopped(Stage(tmp_path / "made"))
    folder = dashboard.root / made.parent.name / made.name
    shutil.copytree(made, folder)
    path = folder / "fills.parquet"
    path.write_bytes(path.read_bytes() + b"0")
    key = folder.relative_to(dashboard.root).as_posix()
    text = html.unescape(compare(dashboard, [keys[0], key]).text)
    assert "has files that are not those its journal records: fills.parquet changed" in text
