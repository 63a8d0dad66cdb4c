"""A run as lines: where the output is no terminal, once, as JSON, and without the extra."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from septet._app.run_follow import Look
from septet._journal.lease import Holder, Lease
from septet._terminal.line_format import line_of, watch
from septet.errors import InputError
from tests.cli.conftest import Command
from tests.dashboard.conftest import stored
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def fields(line: str) -> dict[str, str]:
    return dict(each.split("=", 1) for each in shlex.split(line))


def test_a_line_has_the_documented_fields_and_a_stopped_run_one_line(stage: Stage) -> None:
    lines: list[str] = []
    assert watch(stopped(stage), lines.append, wait=lambda seconds: pytest.fail("waited")) == 0
    [line] = lines
    found = fields(line)
    page = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text(encoding="utf-8")
    assert list(found) == [
        "time", "run", "strategy", "mode", "state", "equity", "currency", "drawdown", "day",
        "exposure", "positions", "orders", "dust", "alerts", "data_age_s", "entries",
    ]  # fmt: skip
    assert all(f"`{name}`" in page for name in found)
    assert (found["state"], found["equity"], found["positions"]) == ("stopped", "10000.00", "1")
    assert found["entries"] == "none: no process runs it"


def test_a_running_run_has_a_line_every_ten_seconds_until_its_process_ends(stage: Stage) -> None:
    folder = stopped(stage)
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    lease, lines, waited = Lease.take(holder), list[str](), list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            lease.release()

    assert watch(folder, lines.append, wait=wait) == 0
    assert [fields(each)["state"] for each in lines] == ["running", "running", "stopped"]
    assert fields(lines[0])["entries"] == "allowed"
    assert float(fields(lines[0])["data_age_s"]) >= 0.0
    assert waited == [10.0, 10.0]


def test_a_folder_that_goes_ends_it_with_status_1_and_states_how_old_the_figures_are(
    stage: Stage,
) -> None:
    folder = stopped(stage)
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    lines: list[str] = []
    with Lease.take(holder):
        assert watch(folder, lines.append, wait=lambda seconds: shutil.rmtree(folder)) == 1
    found = fields(lines[-1])
    assert (found["state"], found["problem"]) == ("gone", "its folder is gone")
    assert float(found["shown_age_s"]) >= 0.0
    with pytest.raises(InputError, match="its folder is gone"):
        watch(folder, lines.append)


def test_the_command_prints_lines_and_json_where_the_output_is_no_terminal(
    septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)  # lines need no extra
    run = stored(tmp_path / "runs")
    done = septet("top", run.run_id[:12], "--runs", tmp_path / "runs")
    assert (done.code, fields(done.out)["state"]) == (0, "finished")
    done = septet("top", "--runs", tmp_path / "runs", "--json")
    assert done.code == 0
    [line] = done.out.splitlines()
    found = json.loads(line)
    assert (found["current"], found["view"]["run_id"]) == (True, run.run_id)
    assert found["view"]["total_return"] == pytest.approx(run.summary["total_return"])
    assert septet("top", "none", "--runs", tmp_path / "runs").code == 2


def test_a_terminal_without_the_extra_names_the_extra_and_the_command(
    septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from septet._extras import need

    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(InputError, match="the screen of septet top needs the package") as missed:
        need("textual", "the screen of septet top")
    assert missed.value.hint == "pip install 'septet[terminal]'"


@pytest.mark.parametrize("name", ['<b>\x1b[31m\u202e\n" state=running', "x" * 10_000])
def test_a_hostile_name_stays_in_its_field(name: str, tmp_path: Path) -> None:
    run = stored(tmp_path / "runs")
    summary = json.loads((run.folder / "summary.json").read_text())
    (run.folder / "summary.json").write_text(json.dumps(summary | {"strategy": name}))
    lines: list[str] = []
    watch(run.folder, lines.append)
    [line] = lines
    assert not {"\x1b", "\u202e", "\n"} & set(line)
    assert fields(line)["state"] == "finished"
    assert len(line) < 1_000


def test_a_run_that_was_never_read_is_shown_as_such() -> None:
    found = fields(line_of(Look(None, 0, "its folder is gone", gone=True), 10**18, "r1"))
    assert (found["run"], found["state"], found["shown_age_s"]) == ("r1", "gone", "-")
