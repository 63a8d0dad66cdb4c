"""Several runs as one: the sum of their equity, its drawdown, groups, and what is not added."""

from __future__ import annotations

import dataclasses
import html
import http.client
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from septet._app.combined import RunEquity, combine, combined_still, equity_of
from septet._dashboard import combined_pages
from septet._results.number_texts import money
from septet._store.find_runs import open_run
from septet._store.run_folder import JOURNAL, Run
from septet.errors import InputError
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Answer, Dashboard, stored
from tests.dashboard.test_browser import axe, violations
from tests.report.reading import needs_chromium


@pytest.fixture
def lives(
    dashboard: Dashboard, live_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Path]:
    """Two stopped runs of one strategy."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    shutil.copytree(live_made / "state", tmp_path / "state")
    [made] = (live_made / "runs").glob("*/*")
    folders = [dashboard.root / made.parent.name / name for name in (made.name, "second")]
    for folder in folders:
        shutil.copytree(made, folder)
    dashboard.log_in()
    return folders


def sum_of(folders: list[Path]) -> str:
    keys = [("run", f"{each.parent.name}/{each.name}") for each in folders]
    return "/combined?" + urlencode(keys)


def add(dashboard: Dashboard, folders: list[Path]) -> Answer:
    return dashboard.ask("GET", sum_of(folders))


@contextmanager
def stream(dashboard: Dashboard, path: str) -> Iterator[Iterator[str]]:
    """Yield the names of the events of a stream as they come."""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=60)
    try:
        headers = {"Host": dashboard.host, "Cookie": dashboard.cookie}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        yield (line[7:-1].decode() for line in answer if line.startswith(b"event: "))
    finally:
        connection.close()


def part(times: list[int], values: list[float], capital: float = 100.0) -> RunEquity:
    return RunEquity(
        "r", "s", "live", "USDT", capital, np.array(times, dtype=np.int64), np.array(values)
    )


def test_the_sum_is_that_of_what_each_run_had_at_that_time() -> None:
    rng = np.random.default_rng(7)
    runs = []
    for _ in range(5):
        times = np.unique(rng.integers(0, 60, 25))
        runs.append(part(times.tolist(), (100 + rng.normal(0, 9, len(times))).tolist()))
    runs.append(part([], [], 40.0))
    found = combine(runs)
    peak = sum(each.initial_capital for each in runs)
    assert found.initial_capital == peak
    for time, equity, drawdown in zip(found.time_ns, found.equity, found.drawdown, strict=True):
        total = 0.0
        for each in runs:
            known = [v for t, v in zip(each.time_ns, each.equity, strict=True) if t <= time]
            total += known[-1] if known else each.initial_capital
        peak = max(peak, total)
        assert equity == pytest.approx(total, rel=1e-12)
        assert drawdown == pytest.approx(1 - total / peak, abs=1e-12)
    assert found.max_drawdown > 0.0


def test_a_loss_from_the_start_is_a_drawdown() -> None:
    found = combine([part([1, 2], [90.0, 95.0]), part([2], [100.0])])
    assert found.drawdown.tolist() == pytest.approx([0.05, 0.025])
    assert found.total_return == pytest.approx(-0.025)


def test_runs_without_equity_have_their_capital() -> None:
    found = combine([part([], [])])
    assert (found.last, found.total_return, found.max_drawdown) == (100.0, 0.0, 0.0)
    assert combined_still(found) == ""


@pytest.mark.parametrize(("name", "value"), [("currency", "EUR"), ("mode", "paper")])
def test_other_amounts_are_not_added(name: str, value: str) -> None:
    other = dataclasses.replace(part([1], [1.0]), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"differ in their {name}: .*{value}"):
        combine([part([1], [1.0]), other])


def test_the_page_shows_the_sum_and_its_parts(dashboard: Dashboard, lives: list[Path]) -> None:
    runs = [equity_of(open_run(each)) for each in lives]
    answer = add(dashboard, lives)
    assert answer.status == 200
    assert money(runs[0].last + runs[1].last, runs[0].currency) in answer.text
    assert money(runs[0].initial_capital + runs[1].initial_capital, "USDT") in answer.text
    assert 'style="' not in answer.text
    assert answer.text.count('href="/run?') == len(runs)


def test_backtests_are_not_added(dashboard: Dashboard, lives: list[Path]) -> None:
    answer = add(dashboard, [lives[0], stored(dashboard.root).folder])
    assert answer.status == 404
    assert "is a backtest" in answer.text


def test_a_damaged_run_is_named(dashboard: Dashboard, lives: list[Path]) -> None:
    (lives[1] / JOURNAL).write_bytes(b"none")
    answer = add(dashboard, lives)
    assert answer.status == 404
    assert "cannot be read" in answer.text


@pytest.mark.parametrize("count", [0, 13])
def test_one_to_twelve_are_added(dashboard: Dashboard, lives: list[Path], count: int) -> None:
    answer = add(dashboard, [lives[0].with_name(f"run-{number}") for number in range(count)])
    assert answer.status == 404
    assert "one to 12" in answer.text


def test_runs_are_grouped_by_strategy(dashboard: Dashboard, lives: list[Path]) -> None:
    run = stored(dashboard.root)
    text = dashboard.ask("GET", "/?by=strategy").text
    name = run.summary["strategy"]
    assert text.count("<h2>") == len({name, open_run(lives[0]).summary["strategy"]})
    assert f"Runs of {name}" in text
    assert text.count('name="run"') == len(lives) + 1
    assert "<h2>" not in dashboard.ask("GET", "/").text


HOSTILE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}",
    "a\x1b[31mb\x00c\rd\ne", "\u202eabc\u2066def\u200f", "n" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_text_on_one_short_line(
    dashboard: Dashboard, lives: list[Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def named(run: Run) -> RunEquity:
        return dataclasses.replace(equity_of(run), strategy=name, run_id=name, currency=name)

    monkeypatch.setattr(combined_pages, "equity_of", named)
    answer = add(dashboard, lives)
    assert answer.status == 200
    for part in ("<script>alert", "<img", "\x1b", "\x00", "\u202e", "\u2066", "\u200f", "n" * 200):
        assert part not in answer.text, part
    assert "49" not in re.findall(r"<td>(.*?)</td>", answer.text)
    assert len(answer.text) < 60_000


def test_the_events_are_those_of_every_run(dashboard: Dashboard, lives: list[Path]) -> None:
    keys = [("run", f"{each.parent.name}/{each.name}") for each in lives]
    with stream(dashboard, "/events?" + urlencode(keys)) as events:
        assert next(events) == "alive"
        os.utime(lives[1] / JOURNAL, (1, 1))
        assert next(events) == "grew"
        shutil.rmtree(lives[1])
        assert "gone" in events
    for wrong in ([], [("run", "../x")], [*keys, *(("run", f"s/{n}") for n in range(12))]):
        assert dashboard.ask("GET", "/events?" + urlencode(wrong)).status == 404


@needs_chromium
def test_the_sum_follows_its_runs(
    dashboard: Dashboard, lives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        browser.open(f"http://{dashboard.host}{sum_of(lives)}")
        monkeypatch.setattr(
            combined_pages, "equity_of",
            lambda run: dataclasses.replace(equity_of(run), strategy="as it is now"),
        )  # fmt: skip
        os.utime(lives[1] / JOURNAL, (1, 1))  # perhaps before the page listens: it is shown even so
        browser.until("document.body.textContent.includes('as it is now')")
        assert browser.run("document.querySelector('#stale').hidden")
        shutil.rmtree(lives[1])
        browser.until("document.querySelector('#stale').textContent.includes('is gone')")


WIDER = """[...document.querySelectorAll(".scroll")].filter(
  (box) => box.scrollWidth > box.clientWidth).map((box) => box.getAttribute("aria-label"))"""


@needs_chromium
def test_runs_are_chosen_in_the_list(
    dashboard: Dashboard, lives: list[Path], tmp_path: Path
) -> None:
    script = axe()
    with Browser(tmp_path / "profile") as browser:
        browser.log_in(dashboard.host, dashboard.codes[-1])
        for name, path in (
            ("groups", "/?by=strategy"),
            (
                "combined",
                "/combined?"
                + urlencode([("run", f"{each.parent.name}/{each.name}") for each in lives]),
            ),
        ):
            browser.open(f"http://{dashboard.host}{path}")
            assert violations(browser, script, name) == []
            if name == "combined":  # at the last, narrow look
                assert browser.run(WIDER) == [], "nothing has to be moved aside to be read"
        browser.open(f"http://{dashboard.host}/?by=strategy")
        browser.run("document.querySelectorAll('[name=run]').forEach((box) => box.click())")
        loaded = browser.loaded
        browser.run("document.querySelector('[formaction]').click()")
        browser.until_loaded(loaded + 1)
        assert browser.run("location.pathname") == "/combined"
        assert browser.console == []


def test_changed_files_of_a_run_are_stated_beside_the_sum(
    dashboard: Dashboard, lives: list[Path]
) -> None:
    assert "that its journal" not in add(dashboard, lives).text
    path = lives[1] / "fills.parquet"
    path.write_bytes(path.read_bytes() + b"0")
    text = html.unescape(add(dashboard, lives).text)
    assert "has files that are not those its journal records: fills.parquet changed" in text
    assert f"`septet runs export {lives[1]}`" in text
    assert f"`septet runs export {lives[0]}`" not in text
