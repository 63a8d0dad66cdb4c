"""The page of all runs: whole ones, damaged ones, and names that a stranger chose."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.dashboard.conftest import Dashboard, stored

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e\n{{ 7*7 }}"


def test_an_empty_folder_of_runs_is_reported(dashboard: Dashboard) -> None:
    dashboard.log_in()
    assert "None yet" in dashboard.ask("GET", "/").text


def test_runs_are_listed_with_state_result_last_bar_and_tries(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    dashboard.log_in()
    text = dashboard.ask("GET", "/").text
    for shown in (run.run_id, run.summary["strategy"], "finished", run.summary["end"], "unknown"):
        assert shown in text


def test_a_damaged_run_is_reported_beside_the_others(dashboard: Dashboard) -> None:
    run = stored(dashboard.root)
    broken = run.folder.with_name("broken")
    shutil.copytree(run.folder, broken)
    (broken / "summary.json").write_text("{")
    dashboard.log_in()
    text = dashboard.ask("GET", "/").text
    assert "Damaged:" in text
    assert run.run_id in text


@pytest.mark.parametrize("name", [HOSTILE, "x" * 10_000, "javascript:alert(1)"])
def test_a_hostile_strategy_name_is_only_text(dashboard: Dashboard, name: str) -> None:
    run = stored(dashboard.root)
    summary = json.loads((run.folder / "summary.json").read_text())
    summary |= {"strategy": name, "verdict": name, "tries": name}
    (run.folder / "summary.json").write_text(json.dumps(summary))
    dashboard.log_in()
    answer = dashboard.ask("GET", "/")
    assert answer.status == 200
    assert "<script>alert" not in answer.text
    assert not {"\x1b", "\u202e"} & set(answer.text)
    assert "x" * 500 not in answer.text
    assert 'href="javascript' not in answer.text
