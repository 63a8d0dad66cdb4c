"""Runs side by side: the settings that differ, figures, growth, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

import septet
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Answer, Dashboard
from tests.python.samples import written
from tests.report.reading import needs_chromium

FASTS = (5, 8, 10)


@pytest.fixture
def keys(dashboard: Dashboard, tmp_path: Path) -> list[str]:
    """The keys of three runs of one strategy that differ in one setting."""
    strategy = septet.load(written(tmp_path))
    found = []
    for fast in FASTS:
        folder = septet.run(strategy.with_({"features.fast.period": fast})).save(dashboard.root)
        found.append(folder.relative_to(dashboard.root).as_posix())
    dashboard.log_in()
    return found


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
