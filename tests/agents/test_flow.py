"""From nothing to a strategy that runs, by the SDK's client: in process and over stdio."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from septet._agents.guide import EXAMPLE, TOPICS
from septet._agents.server import make_server
from tests.agents.conftest import Answer, Call, called, over_stdio
from tests.cli.conftest import Command, command_of

HYPOTHESIS = "A fast average above a slow one leads the price."
WRITES = {"run", "save", "sweep"}
OF_THE_CLOCK = ("seconds", "seconds_total", "bars_per_second")


@pytest.fixture
def septet_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_of(capsys)


def _ran(call: Call, **more: Any) -> Answer:
    if not more.pop("saved", False):
        assert not call("save", file="cross.yaml", text=EXAMPLE).is_error
    return call("run", file="cross.yaml", hypothesis=HYPOTHESIS, **more)


def test_from_nothing_to_a_run_that_is_explained(call: Call, workspace: Path) -> None:
    assert "Order of work" in call("guide")["text"]
    assert call("plugins", query="moving average", layer="features")["plugins"]
    wrong = call("check", text=EXAMPLE.replace("use: sma", "use: smaa", 1))
    assert not wrong["ok"]
    assert (wrong["problems"][0]["line"], wrong["problems"][0]["hint"]) == (8, "did you mean sma?")
    assert call("check", text=EXAMPLE)["ok"]
    saved = call("save", file="ideas/cross.yaml", text=EXAMPLE)
    assert (workspace / "ideas" / "cross.yaml").read_text() == EXAMPLE
    values = call("explain", file="ideas/cross.yaml", path="features.fast")["values"]
    assert {each["key"]: each["value"] for each in values}["features.fast.period"] == 20
    changed = call("save", file="ideas/cross.yaml", text=EXAMPLE, replaces=saved["hash"])
    assert changed["hash"] == saved["hash"]

    ran = call("run", file="ideas/cross.yaml", hypothesis=HYPOTHESIS)
    assert ran["figures"]["summary"]["trades"] > 0
    assert ran["commands"]["paper"].startswith("septet run ")
    orders = call("table", run=ran["run"], name="orders", columns=["order_id"], limit=1)
    why = call("why", run=ran["run"], order=orders["rows"][0][0])
    assert why["text"].startswith("buy ")
    assert [each["run"] for each in call("runs")["runs"]] == [ran["run"]]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_at_most_8_kb(call: Call, topic: str) -> None:
    assert 0 < len(call("guide", topic=topic)["text"].encode()) <= 8_000


def test_every_tool_has_an_output_schema_and_states_whether_it_writes(workspace: Path) -> None:
    _, tools = asyncio.run(called(make_server(workspace)))
    assert tools.keys() > WRITES
    for name, tool in tools.items():
        assert tool.output_schema["properties"], name
        assert tool.annotations.read_only_hint is (name not in WRITES), name
        assert tool.annotations.open_world_hint is False
        assert tool.description
    assert not tools.keys() & {"halt", "resume", "promote", "live", "arm", "train"}


def test_every_figure_comes_with_verdict_and_tries(call: Call) -> None:
    ran = _ran(call)
    order = call("table", run=ran["run"], name="orders", limit=1)["rows"][0][2]
    both = call("diff", a=ran["run"], b=ran["run"])
    answers = [
        ran["figures"], call("runs")["runs"][0]["figures"], both["a"]["figures"],
        both["b"]["figures"], call("why", run=ran["run"], order=order)["figures"],
        call("table", run=ran["run"], name="equity")["figures"],
    ]  # fmt: skip
    for figures in answers:
        assert figures["verdict"] == ran["figures"]["verdict"]
        assert figures["tries"] == ran["figures"]["tries"]
        assert figures["tries"]["text"]


def test_the_ledger_keeps_client_and_hypothesis(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from septet._app.trial_records import listed_tries

    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    first = _ran(call)
    second = _ran(call, saved=True, settings={"features.fast.period": 30})
    assert "the first in a new ledger" in first["figures"]["tries"]["problem"]
    assert second["figures"]["tries"]["count"] == 2
    _, rows = listed_tries()
    shown = {str(value) for row in rows for value in row}
    assert {"agent", HYPOTHESIS} <= shown
    assert any(each.startswith("mcp ") for each in shown)


def test_figures_are_those_of_the_command_line_to_the_bit(
    call: Call, workspace: Path, septet_command: Command, tmp_path: Path
) -> None:
    ran = _ran(call)
    done = septet_command(
        "run", str(workspace / "cross.yaml"), "--json", "--no-report", "--out", str(tmp_path / "o")
    )
    shown = json.loads(done.out)
    for name, value in ran["figures"]["summary"].items():
        assert shown[name] == value, name
    assert shown["verdict"] == ran["figures"]["verdict"]
    assert shown["tries"] == ran["figures"]["tries"]
    left = shown.keys() - ran["figures"]["summary"].keys() - set(OF_THE_CLOCK)
    apart = {"run_id", "strategy", "verdict", "tries", "forward", "findings", "folder", "report"}
    assert left == apart


def test_the_commands_for_a_person_are_commands(
    call: Call, workspace: Path, septet_command: Command
) -> None:
    name = "an idea; rm -rf $HOME.yaml"
    call("save", file=name, text=EXAMPLE)
    settings = {"features.fast.period": 30, "risk.sizing.fraction": "40%"}
    ran = call("run", file=name, hypothesis=HYPOTHESIS, settings=settings)
    report = shlex.split(ran["commands"]["report"])
    assert report[0] == "septet"
    assert septet_command(*report[1:]).code == 0
    assert list(workspace.rglob("report.html"))
    paper = shlex.split(ran["commands"]["paper"])
    assert paper[:3] == ["septet", "run", str(workspace / name)]
    done = septet_command("explain", paper[2], *paper[paper.index("--set") :], "--json")
    values = {each["key"]: each["value"] for each in json.loads(done.out)}
    assert values["features.fast.period"] == 30


def test_a_run_of_a_table_is_read_in_parts_that_fit(call: Call) -> None:
    run = _ran(call)["run"]
    rows: list[Any] = []
    cursor: int | None = 0
    sizes = []
    while cursor is not None:
        part = call("table", run=run, name="equity", every=10, limit=200, cursor=cursor)
        rows += part["rows"]
        sizes.append(part.size)
        assert part["truncated"] is (part["next"] is not None)
        cursor = part["next"]
    assert max(sizes) <= 32_000
    assert len(sizes) > 4
    times = [row[0] for row in rows]
    assert times == sorted(set(times))
    assert len(rows) == 859
    some = call(
        "table",
        run=run,
        name="equity",
        columns=["time"],
        start="2021-10-01",
        end="2021-10-01T01:00Z",
    )
    assert [row[0][:16] for row in some["rows"]] == [
        "2021-10-01T00:00", "2021-10-01T00:15", "2021-10-01T00:30", "2021-10-01T00:45",
    ]  # fmt: skip


def test_long_answers_are_cut_and_state_it(call: Call) -> None:
    _ran(call)
    for name, given in (
        ("explain", {"file": "cross.yaml", "limit": 200}),
        ("plugins", {"limit": 200}),
    ):
        answer = call(name, **given)
        assert answer["truncated"]
        assert answer["next"] > 0
        assert answer.size <= 32_000
    whole = call("schema")
    assert whole["truncated"]
    assert "risk" in whole["keys"]
    assert call("schema", path="universe.symbols").size <= 32_000
    many = "".join(f"  f{k}: {{use: nothing{k}}}\n" for k in range(300))
    wrong = call("check", text=EXAMPLE.replace("features:\n", f"features:\n{many}"))
    assert (wrong["ok"], wrong["truncated"]) == (False, True)
    assert 1 < len(wrong["problems"]) <= 50
    assert wrong.size <= 32_000


def test_a_hostile_name_in_a_stored_run_is_short_text_in_every_answer(
    call: Call, workspace: Path
) -> None:
    run = _ran(call)["run"]
    (folder,) = workspace.glob(f"runs/*/{run}")
    name = "<script>alert(1)</script>\x1b[2J\u202e\n" + "x" * 10_000
    path = folder / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(summary | {"strategy": name, "verdict": name}), "utf-8")
    for tool, given in (
        ("runs", {}), ("table", {"run": run, "name": "trades"}), ("diff", {"a": run, "b": run}),
        ("why", {"run": run, "order": "nothing"}), ("table", {"run": name, "name": name}),
    ):  # fmt: skip
        answer = call(tool, **given)
        text = json.dumps(answer.document, ensure_ascii=False)
        assert not {"\x1b", "\u202e"} & set(text), tool
        assert "\\u001b" not in text, tool
        assert answer.size <= 32_000, tool


def test_two_runs_are_compared(call: Call) -> None:
    one = _ran(call)
    other = _ran(call, saved=True, settings={"features.fast.period": 30})
    found = call("diff", a=one["run"], b=other["run"])
    assert found["settings"] == [{"key": "features.fast.period", "a": 20, "b": 30}]
    assert found["a"]["figures"] == one["figures"]
    assert found["b"]["figures"] == other["figures"]


def test_over_stdio_a_strategy_is_written_checked_and_run(workspace: Path, tmp_path: Path) -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("SEPTET_") or name in ("PATH", "HOME")
    }
    target = over_stdio(workspace, {**kept, "SEPTET_STATE_DIR": str(tmp_path)})
    answers, tools = asyncio.run(
        called(
            target,
            ("check", {"text": EXAMPLE}),
            ("save", {"file": "cross.yaml", "text": EXAMPLE}),
            ("run", {"file": "cross.yaml", "hypothesis": HYPOTHESIS}),
            ("save", {"file": "../cross.yaml", "text": EXAMPLE}),
        )
    )
    assert [each.is_error for each in answers] == [False, False, False, True]
    assert answers[2]["figures"]["summary"]["trades"] > 0
    assert (workspace / "runs" / "sma-cross" / answers[2]["run"]).is_dir()
    assert "run" in tools
