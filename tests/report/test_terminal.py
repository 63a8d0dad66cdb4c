from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from septet._app.run import run_document
from septet._report.terminal import show, show_list
from septet._store.run_folder import Run
from septet._text import dump_json
from tests.report.goldens import check_golden

GOLDEN = Path(__file__).parent / "golden"


def printed(run: Run, width: int = 80, *, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, highlight=False, force_terminal=colour, no_color=not colour
    )
    show(run, console)
    text = out.getvalue().replace(str(run.folder.parent.parent), "runs")
    text = re.sub(r"; [^;]* in all", "; 1.9 s in all", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("name", ["full", "rules", "rejected"])
def test_summary_on_a_terminal(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(f"{name}_run")
    check_golden(GOLDEN / f"summary-{name}.txt", printed(run))


def test_verdict_is_the_first_thing_reported(full_run: Run) -> None:
    lines = [line for line in printed(full_run).splitlines() if line]
    assert lines[1].startswith(full_run.summary["verdict"][:40])


@pytest.mark.parametrize("width", [60, 80, 160])
def test_no_line_but_a_path_is_wider_than_the_terminal(full_run: Run, width: int) -> None:
    lines = printed(full_run, width).splitlines()
    assert all(len(line) <= width for line in lines if "runs/" not in line)


def test_colour_adds_nothing_but_colour(rules_run: Run) -> None:
    coloured = printed(rules_run, colour=True)
    assert "\x1b[" in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == printed(rules_run).splitlines()


def test_document_is_one_json_value(full_run: Run) -> None:
    read = json.loads(dump_json(run_document(full_run)))
    assert read["run_id"] == full_run.run_id
    assert read["report"].endswith("report.html")
    assert read["findings"][0]["kind"] == "gap"


def test_list_keeps_ids_whole_at_eighty_columns(full_run: Run, rules_run: Run) -> None:
    out = io.StringIO()
    lines = [run.summary for run in (full_run, rules_run)]
    damaged = {"run_id": "20260101T000000Z-abcdef", "strategy": "x", "damaged": "no summary"}
    console = Console(file=out, width=80, highlight=False)
    show_list([*lines, damaged], console)
    assert "State" not in out.getvalue()
    show_list([{**lines[0], "state": "killed"}, *lines, damaged], console)
    assert "killed" in out.getvalue()
    text = out.getvalue()
    assert full_run.run_id in text
    assert "halted on" in text
    assert "no summary" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("value", [1.3e27, -4.2e300, 8.8e12])
def test_absurd_figures_leave_the_table_whole(rules_run: Run, value: float) -> None:
    figures = {
        name: value if isinstance(each, float) else each for name, each in rules_run.summary.items()
    }
    absurd = copy.copy(rules_run)
    object.__setattr__(absurd, "summary", {**figures, "seconds": 1.0, "seconds_total": 2.0})
    lines = [line for line in printed(absurd).splitlines() if "runs/" not in line]
    assert all(len(line) <= 80 for line in lines)
    returns = next(line for line in lines if line.strip().startswith("Return "))
    assert "e+" in returns
    out = io.StringIO()
    show_list([absurd.summary], Console(file=out, width=80))
    assert "e+" in out.getvalue()
