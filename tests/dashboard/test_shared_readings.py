"""Requests share readings of runs, and no answer is older than its question."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Any

import pytest

from septet._app.run_files import file_stamps_of, settled_stamps_of
from septet._dashboard.accounts import accounts_file, add_token
from septet._dashboard.shared_readings import SharedReadings
from septet._journal.lease import RUN_LOCK
from septet._journal.lock import free, lock
from septet._store.find_runs import open_run
from septet._store.run_folder import Run
from tests.dashboard.conftest import Dashboard, stored
from tests.dashboard.test_run_page import key_of, live, page

__all__ = ["live"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of runs that the API has opened."""
    found = list[Path]()

    def counted(folder: Path, before: Run | None = None) -> Run:
        found.append(folder)
        return open_run(folder, before)

    monkeypatch.setattr("septet._dashboard.cached_views.open_run", counted)
    return found


def asker(dashboard: Dashboard) -> Callable[..., dict[str, Any]]:
    token = add_token(accounts_file(), "look", "view", 1, time.time())
    headers = {"Authorization": f"Bearer {token}", "Cookie": ""}

    def ask(name: str, /, **values: str) -> dict[str, Any]:
        answer = dashboard.ask("GET", page(f"/api/v1/{name}", **values), headers=headers)
        found: dict[str, Any] = json.loads(answer.text)
        return found

    return ask


def test_a_run_is_opened_once_for_all_requests_and_again_when_it_has_changed(
    dashboard: Dashboard, opened: list[Path]
) -> None:
    run, ask = stored(dashboard.root), asker(dashboard)
    key = key_of(run.folder)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: ask("run", run=key), range(12)))
    assert opened == [run.folder]
    assert all(each == answers[0] and each["summary"] for each in answers)
    for name in ("positions", "orders", "decisions"):
        ask(name, run=key)
    ask("table", run=key, name="orders", limit="2")
    ask("why", run=key, order="o1")
    dashboard.log_in()
    dashboard.ask("GET", page("/order", run=key, order="o1"))
    assert opened == [run.folder]
    path = run.folder / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    for number in range(3):
        path.write_text(json.dumps({**summary, "total_return": number / 8}), "utf-8")
        assert ask("run", run=key)["summary"]["total_return"] == number / 8
    assert opened == [run.folder] * 4


def test_what_cannot_be_read_is_said_until_it_can_be(
    dashboard: Dashboard, opened: list[Path]
) -> None:
    run, ask = stored(dashboard.root), asker(dashboard)
    path, key = run.folder / "summary.json", key_of(run.folder)
    text = path.read_text("utf-8")
    path.write_text("{", "utf-8")
    refused = [ask("run", run=key) for _ in range(3)]
    assert all(each == refused[0] and each["ok"] is False for each in refused)
    assert len(opened) == 1
    path.write_text(text, "utf-8")
    assert ask("run", run=key)["run_id"] == run.run_id


def test_a_process_that_is_killed_is_seen_though_it_wrote_nothing_more(
    dashboard: Dashboard, live: Path
) -> None:
    ask, key = asker(dashboard), key_of(live)
    held = lock(live / RUN_LOCK)
    assert held is not None
    assert ask("run", run=key)["state"] == "running"
    assert "<li>Running" in dashboard.ask("GET", page("/run", run=key)).text
    before = file_stamps_of(live)
    free(held)
    assert file_stamps_of(live) != before, "a stream of events reports it"
    assert ask("run", run=key)["state"] != "running"
    assert "<li>Running" not in dashboard.ask("GET", page("/run", run=key)).text


def test_a_file_that_may_be_written_again_within_its_time_stamp_is_not_trusted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "summary.json"
    path.write_text("one", "utf-8")
    written_ns = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    slept = list[float]()
    at_once = settled_stamps_of(tmp_path, lambda: written_ns, slept.append)
    assert at_once is None
    assert slept == [0.02, 0.02]
    later = settled_stamps_of(tmp_path, lambda: written_ns + 30_000_000, slept.append)
    assert later == file_stamps_of(tmp_path)
    assert len(slept) == 2
    ahead = settled_stamps_of(tmp_path, lambda: written_ns - 10**12, slept.append)
    assert ahead is None, "a clock that was set back shows no later write"
    assert max(slept) == 0.02


def test_another_file_of_the_same_size_and_time_is_another_reading(tmp_path: Path) -> None:
    path, other = tmp_path / "summary.json", tmp_path / "other"
    path.write_text("one", "utf-8")
    os.utime(path, ns=(10**18, 10**18))
    before = file_stamps_of(tmp_path)
    other.write_text("two", "utf-8")
    os.utime(other, ns=(10**18, 10**18))
    other.replace(path)
    assert file_stamps_of(tmp_path) != before


def test_all_that_ask_before_a_reading_begins_share_it_though_none_stays_true(
    tmp_path: Path,
) -> None:
    begun, go_on, asked, count = Event(), Event(), Semaphore(0), [0]
    now_s = [0.0]

    def clock() -> float:
        now_s[0] += 1.0
        asked.release()
        return now_s[0]

    def read(folder: Path, before: int | None) -> int:
        count[0] += 1
        begun.set()
        assert go_on.wait(60)
        return count[0]

    shared = SharedReadings(read, lambda folder: None, most=1, clock_s=clock)
    found = list[int]()
    first = Thread(target=lambda: found.append(shared.ask(tmp_path, int)))
    first.start()
    assert begun.wait(60)
    while asked.acquire(blocking=False):
        pass
    others = [Thread(target=lambda: found.append(shared.ask(tmp_path, int))) for _ in range(7)]
    for each in others:
        each.start()
    for _ in others:
        assert asked.acquire(timeout=60)
    go_on.set()
    for each in (first, *others):
        each.join()
    assert sorted(found) == [1] + [2] * 7, "the others asked after the first had begun"


def test_few_are_kept_idle_ones_are_let_go_and_one_that_failed_is_not_read_on_from(
    tmp_path: Path,
) -> None:
    now_s, before = [0.0], list[int | None]()

    def read(folder: Path, known: int | None) -> int:
        before.append(known)
        if len(before) == 2:
            raise OSError("it is locked")
        return len(before)

    signs: list[object] = ["one"]
    shared = SharedReadings(read, lambda folder: signs[0], most=2, clock_s=lambda: now_s[0])

    def ask(name: str) -> int:
        now_s[0] += 1.0
        return shared.ask(tmp_path / name, int)

    assert ask("a") == 1
    signs[0] = "two"
    with pytest.raises(OSError, match="locked"):
        ask("a")
    assert (ask("a"), ask("a")) == (3, 3)
    assert before == [None, 1, None]
    assert (ask("b"), ask("c"), ask("a")) == (4, 5, 6), "of three the first was let go"
    now_s[0] += 301.0
    assert (ask("c"), ask("a")) == (5, 7), "nobody had asked for the other"
