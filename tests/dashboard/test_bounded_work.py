"""What the page has begun is bounded, listed, refused when full, and ends with the page."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from septet._dashboard.accounts import accounts_file, add_token
from septet._jobs.backtest_process import run_in_process
from septet._jobs.bounds import LONG_WORK, Bounds
from septet._jobs.jobs import LONG
from tests.dashboard.conftest import Dashboard, listening_to
from tests.dashboard.test_api import called
from tests.dashboard.test_backtests import SLOW, begin, ended, job_of
from tests.dashboard.test_strategies import TEXT, put

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read as Linux has them")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def workers() -> list[int]:
    """Return the processes of backtests that this one has started."""
    found = list[int]()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if parent == os.getpid() and b"septet._jobs.backtest_worker" in words:
            found.append(int(entry.name))
    return found


def running(dashboard: Dashboard) -> str:
    """Begin a backtest whose fit asks nobody whether to go on; return it once it fits."""
    put(dashboard, "cross.yaml", SLOW)
    job = job_of(begin(dashboard, SLOW))
    with_token = add_token(accounts_file(), "look", "view", 1, time.time())
    while True:
        found = json.loads(called(dashboard, "GET", "/api/v1/jobs", with_token).text)
        if found["jobs"][0]["stage"] == "training":
            return job
        assert found["jobs"][0]["state"] in ("waiting", "running"), found


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Dashboard]:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "runs").mkdir()
    with listening_to(tmp_path / "runs", tmp_path / "strategies") as made:
        made.log_in()
        yield made


@linux
def test_the_process_of_a_backtest_has_half_of_the_memory_of_the_machine(page: Dashboard) -> None:
    running(page)
    (pid,) = workers()
    limits = Path(f"/proc/{pid}/limits").read_text()
    (line,) = [each for each in limits.splitlines() if each.startswith("Max data size")]
    assert int(line.split()[3]) == LONG_WORK.here().memory


@linux
def test_a_backtest_ends_with_the_page(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "runs").mkdir()
    with listening_to(tmp_path / "runs", tmp_path / "strategies") as page:
        page.log_in()
        running(page)
        assert len(workers()) == 1
    assert workers() == []


def test_one_that_takes_too_long_is_ended_and_its_page_states_why(
    page: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = partial(run_in_process, bounds=Bounds(seconds=0.2))
    monkeypatch.setattr("septet._dashboard.backtest_pages.run_in_process", short)
    put(page, "cross.yaml", TEXT)
    job = job_of(begin(page, TEXT))
    assert json.loads(ended(page, job)[-1])["state"] == "failed"
    assert "took longer than 0.2 s and was ended" in page.ask("GET", f"/job?id={job}").text


def test_one_too_many_is_refused_in_words_with_its_text_kept(page: Dashboard) -> None:
    first = running(page)
    others = [job_of(begin(page, TEXT)) for _ in range(LONG.most_each - 1)]
    refused = begin(page, TEXT, "risk.sizing.fraction=21%")
    assert refused.status == 429
    assert "Not done: 4 of your jobs are open, the limit is 4" in refused.text
    assert "risk.sizing.fraction=21%" in refused.text
    listed = page.ask("GET", "/jobs").text
    for each in (first, *others):
        assert f'aria-label="Cancel {each}"' in listed
    answer = page.ask("POST", "/job-cancel", {"id": first, "listed": "1"})
    assert (answer.status, answer.headers["location"]) == (303, "/jobs")
    for each in others:
        page.ask("POST", "/job-cancel", {"id": each})
    assert json.loads(ended(page, first)[-1])["state"] == "cancelled"
    assert "Cancel" not in page.ask("GET", "/jobs").text


def test_a_program_lists_and_cancels_them_with_its_right(page: Dashboard) -> None:
    job = running(page)
    path = accounts_file()
    view, operate = (add_token(path, each, each, 1, time.time()) for each in ("view", "operate"))
    found = json.loads(called(page, "GET", "/api/v1/jobs", view).text)
    assert (found["most"], found["most_each"]) == (LONG.most, LONG.most_each)
    assert [(each["id"], each["state"]) for each in found["jobs"]] == [(job, "running")]
    assert cancelled(page, view, job)[0] == 403
    assert cancelled(page, operate, "unknown")[0] == 400
    assert cancelled(page, operate, job)[0] == 200
    assert json.loads(ended(page, job)[-1])["state"] == "cancelled"


def cancelled(page: Dashboard, token: str, job: str) -> tuple[int, str]:
    import http.client

    sent = {
        "Host": page.host, "Content-Type": "application/json", "Authorization": f"Bearer {token}",
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)
    connection.request("POST", "/api/v1/cancel", json.dumps({"id": job}), sent)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found
