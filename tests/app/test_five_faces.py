"""One run through five faces: the same figures to the bit, the same problems, one entry."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import septet
from septet._app.documents import problem_document
from septet._app.run import BacktestRequest, compute_backtest
from septet._app.run_parts import figures_of
from septet._app.trial_records import listed_tries
from septet._chat.command_answers import pnl
from septet._dashboard.run_page import run_view
from septet._python.strategies import loaded_of
from septet._results.number_texts import money, percent
from septet._store.find_runs import open_run
from tests.agents.conftest import Call, call, described_tools, workspace
from tests.cli.conftest import Command
from tests.dashboard.conftest import Dashboard, dashboard
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage
from tests.python.conftest import septet_command
from tests.python.samples import START, TEXT, written

__all__ = ["call", "dashboard", "described_tools", "septet_command", "workspace"]

HYPOTHESIS = "A fast average above a slow one leads the price."
OF_THE_RUN = {"run_id", "seconds", "seconds_total", "bars_per_second"}
OF_THE_FOLDER = {"findings", "folder", "report"}
FIRST_NS = int((START + timedelta(days=7)).timestamp()) * 10**9


def figures(document: dict[str, Any]) -> dict[str, Any]:
    """Return what of a summary is the same however it was made."""
    left_out = OF_THE_RUN | OF_THE_FOLDER
    kept = {name: value for name, value in document.items() if name not in left_out}
    if kept.get("forward"):
        kept["forward"] = figures(kept["forward"])
    return kept


@pytest.fixture
def file(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A strategy that was first tried after seven days of its data, with a ledger that knows it."""
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    for text, now_ns in ((TEXT.replace("period: 5", "period: 7"), 1), (TEXT, FIRST_NS)):
        loaded = loaded_of(septet.load(written(workspace, text, count=24 * 7)))
        compute_backtest(loaded, BacktestRequest(now_ns=now_ns))
    return written(workspace)


def test_one_run_has_the_same_figures_through_every_face(
    file: Path, call: Call, dashboard: Dashboard, septet_command: Command
) -> None:
    before = listed_tries()[1]
    typed = json.loads(septet_command("run", file, "--out", dashboard.root, "--json").out)
    here = septet.run(septet.load(file))
    asked = call("run", file=file.name, hypothesis=HYPOTHESIS)
    stored = open_run(Path(typed["folder"]))
    seen = run_view(stored)

    wanted = figures(here.summary.document())
    assert figures(typed) == wanted
    assert figures(seen["summary"]) == wanted
    summary = {name: value for name, value in typed.items() if name not in OF_THE_FOLDER}
    assert asked["figures"] == figures_of(summary)
    assert wanted["tries"]["count"] == 2, "the file, and the one that began the ledger"
    assert wanted["forward"]["trades"] > 0
    assert wanted["forward"]["bars"] == 400 - 24 * 7
    of_agents = septet.open_run(file.parent / "runs" / "cross" / asked["run"])
    for name in ("trades", "orders", "fills", "equity", "decisions"):
        assert getattr(here, name).equals(stored.table(name)), name
        assert getattr(here, name).equals(getattr(of_agents, name)), name

    added = listed_tries()[1][len(before) :]
    assert {row[-1] for row in added} <= {row[-1] for row in before} | {added[0][-1]}
    assert len({row[-1] for row in added}) == 1, "one plan, whoever asked"
    assert [(face, hypothesis) for _, _, face, _, hypothesis, _ in added] == [
        ("command line", ""), ("agent", HYPOTHESIS)
    ], "Python asked nothing new: its row is that of the command line"  # fmt: skip


def test_the_page_shows_what_was_printed(
    file: Path, dashboard: Dashboard, septet_command: Command
) -> None:
    typed = json.loads(septet_command("run", file, "--out", dashboard.root, "--json").out)
    terminal = " ".join(
        septet_command("runs", "show", "latest", "--out", dashboard.root).out.split()
    )
    dashboard.log_in()
    key = Path(typed["folder"]).relative_to(dashboard.root).as_posix()
    page = " ".join(dashboard.ask("GET", f"/run?run={key}").text.replace("&#39;", "'").split())
    report = (Path(typed["folder"]) / "report.html").read_text("utf-8")
    shown = [
        typed["verdict"].split(".")[0], typed["tries"]["text"].split(".")[0],
        percent(typed["total_return"], signed=True), percent(typed["max_drawdown"]),
        "Since 2024-01-08 00:00 UTC, after this strategy was first tried: return "
        + percent(typed["forward"]["total_return"], signed=True),
    ]  # fmt: skip
    for each in shown:
        for name, text in (("terminal", terminal), ("page", page), ("report", report)):
            assert each in text, (name, each)


@pytest.mark.parametrize(
    "broken",
    [
        TEXT.replace("use: sma, period: 5", "use: smaa, perid: 5").replace("10bps", "10"),
        TEXT.replace("crosses_above(fast, slow)", "fast > missing"),
        TEXT.replace("bars.csv", "gone.csv"),
        "version: 1\nname: [",
    ],
    ids=["keys", "rule", "data", "yaml"],
)
def test_problems_are_the_same_through_every_face(
    broken: str, workspace: Path, call: Call, septet_command: Command
) -> None:
    file = written(workspace, broken)

    def places(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
        home = str(workspace)
        return [
            {name: value.replace(f"{home}/", "") if isinstance(value, str) else value
             for name, value in each.items()}
            for each in problems
        ]  # fmt: skip

    here = septet.check(file)
    typed = json.loads(septet_command("check", file, "--json").out)
    asked = call("check", file=file.name)
    wanted = places([problem_document(each) for each in here.problems])
    assert wanted
    assert places(typed["problems"]) == wanted
    assert places(asked["problems"]) == wanted
    assert (here.ok, typed["ok"], asked["ok"]) == (False, False, False)


def test_a_live_run_has_the_same_figures_in_the_chat(
    workspace: Path, call: Call, dashboard: Dashboard, septet_command: Command,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The fifth face shows paper and live runs alone."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    run = stopped(Stage(tmp_path))
    assert run.parents[1] == dashboard.root
    shutil.copytree(run, workspace / "runs" / run.parent.name / run.name)
    here = septet.open_run(run).summary.document()
    equity, exposure = money(here["final_equity"], here["currency"]), percent(here["exposure"])
    dashboard.log_in()
    faces = {
        "chat": pnl("", dashboard.root),
        "terminal": septet_command("runs", "show", run.name, "--out", dashboard.root).out,
        "page": dashboard.ask("GET", f"/run?run={run.parent.name}/{run.name}").text,
    }
    for name, text in faces.items():
        assert equity in text, name
        assert exposure in text, name
    (asked,) = call("runs")["runs"]
    assert asked["figures"]["summary"]
    assert asked["figures"]["summary"].items() <= figures_of(here)["summary"].items()
