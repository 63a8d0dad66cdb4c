"""Sweeps, jobs and data by the SDK's client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from septet._agents import tools
from septet._agents.guide import EXAMPLE
from septet._agents.server import make_server
from septet._app.data_size import data_bytes
from septet._app.training_bounds import require_bounded_training
from septet._app.workspace import Workspace
from septet._jobs.jobs import LONG, Jobs
from septet._progress import Progress
from septet.errors import ConfigError, InputError
from tests.agents.conftest import Call
from tests.python.samples import TEXT, written

HYPOTHESIS = "A fast average above a slow one leads the price."
AXES = {"features.fast.period": [5, 8], "features.slow.period": "20..40:20"}


def test_a_sweep_gives_its_best_with_verdict_and_tries(call: Call, workspace: Path) -> None:
    written(workspace)
    found = call("sweep", file="cross.yaml", axes=AXES, hypothesis=HYPOTHESIS, wait_s=50)
    assert found["job"]["state"] == "done"
    assert (found["settings"], found["failed"], len(found["best"])) == (4, 0, 4)
    assert found["verdict"]
    assert found["tries"]["text"]
    assert "probability" in found["overfitting"]
    assert found.size <= 32_000
    assert [each.name for each in (workspace / "sweeps").iterdir()] == ["cross"]


def test_the_best_of_a_sweep_is_the_run_of_its_setting(call: Call, workspace: Path) -> None:
    written(workspace)
    axes = {"features.fast.period": [5, 8, 10]}
    best = call("sweep", file="cross.yaml", axes=axes, hypothesis=HYPOTHESIS, wait_s=50)["best"][0]
    laid = {name: best[name] for name in axes}
    ran = call("run", file="cross.yaml", hypothesis=HYPOTHESIS, settings=laid)
    summary = ran["figures"]["summary"]
    assert (summary["sharpe"], summary["trades"]) == (best["sharpe"], best["trades"])


@pytest.mark.parametrize(
    ("axes", "more"),
    [
        ({"features.fast.period": "1..1000000000:1"}, {}),
        ({"features.fast.period": "1..100:1", "features.slow.period": "1..100:1"}, {}),
        ({"features.fast.period": "1..1000000:1"}, {"method": "random"}),
        ({"data.candles.path": ["../outside.csv"]}, {}),
        ({"data.candles.path": ["bars.csv", "other.csv"]}, {}),
        ({"data.candles.use": ["csv", "ccxt"]}, {}),
        ({"universe.symbols": ["[BTC/USD]", "[ETH/USD]"]}, {}),
        ({"features.fast.period=5,6 --sweep x": [1]}, {}),
        ({}, {}),
    ],
)
def test_what_is_no_sweep_is_refused(
    call: Call, workspace: Path, axes: dict[str, Any], more: dict[str, Any]
) -> None:
    written(workspace)
    found = call("sweep", file="cross.yaml", axes=axes, hypothesis=HYPOTHESIS, **more)
    assert found.is_error, found.document
    assert found.size <= 32_000
    assert not (workspace / "sweeps").exists()


def test_sweeps_are_not_stored_through_a_link(call: Call, workspace: Path) -> None:
    written(workspace)
    outside = workspace.parent / "outside"
    outside.mkdir()
    (workspace / "sweeps").symlink_to(outside)
    found = call("sweep", file="cross.yaml", axes=AXES, hypothesis=HYPOTHESIS)
    assert found.is_error
    assert list(outside.iterdir()) == []


def test_what_is_not_waited_for_goes_on_as_a_job(workspace: Path) -> None:
    (workspace / "cross.yaml").write_text(EXAMPLE)

    async def session() -> tuple[dict[str, Any], dict[str, Any]]:
        async with Client(make_server(workspace)) as client:
            given = {"file": "cross.yaml", "hypothesis": HYPOTHESIS, "wait_s": 0}
            begun = (await client.call_tool("run", given)).structured_content
            assert begun is not None
            asked = {"id": begun["job"]["id"], "wait_s": 50}
            ended = (await client.call_tool("job", asked)).structured_content
            assert ended is not None
            return begun, ended

    begun, ended = asyncio.run(session())
    assert begun["job"]["state"] in ("waiting", "running", "done")
    assert ended["job"]["state"] == "done"
    assert ended["result"]["figures"]["verdict"]
    assert (workspace / "runs" / "sma-cross" / ended["result"]["run"]).is_dir()


def test_no_job_has_another_name(call: Call) -> None:
    assert "there is no job" in str(call("job", id="../x").document)


def test_a_job_states_how_far_it_is_and_stops_when_asked() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        progress("sweep", 3, 10, "settings")
        begun.set()
        assert go_on.wait(30)
        progress("sweep", 4, 10, "settings")
        raise AssertionError("it was to stop before")

    job = Jobs("cancel one").start("sweep", work)
    assert begun.wait(30)
    shown = job.document()
    assert (shown["state"], shown["done"], shown["total"]) == ("running", 3, 10)
    job.cancel()
    go_on.set()
    job.wait(30)
    assert job.document()["state"] == "cancelled"
    assert job.result is None


def test_jobs_take_turns_and_too_many_are_refused() -> None:
    jobs, go_on, most, running = Jobs("cancel one"), threading.Event(), [0], [0]

    def work(progress: Progress) -> dict[str, Any]:
        running[0] += 1
        most[0] = max(most[0], running[0])
        assert go_on.wait(30)
        running[0] -= 1
        return {}

    started = [jobs.start("run", work) for _ in range(LONG.most)]
    with pytest.raises(InputError, match="jobs are open"):
        jobs.start("run", work)
    go_on.set()
    for each in started:
        each.wait(30)
    assert [each.state for each in started] == ["done"] * LONG.most
    assert most == [1]


def test_what_is_begun_once_the_client_has_left_is_cancelled() -> None:
    """A call that was still reading its file would hold the server for as long as it may wait."""
    jobs, reached = Jobs("cancel one"), list[str]()

    def work(progress: Progress) -> dict[str, Any]:
        reached.append("its work")
        return {}

    jobs.close()
    job = jobs.start("run", work)
    job.wait(30)
    assert (job.state, reached) == ("cancelled", [])


def test_a_bug_ends_a_job_with_a_message(caplog: pytest.LogCaptureFixture) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        raise ZeroDivisionError("of a bug")

    job = Jobs("cancel one").start("run", work)
    job.wait(30)
    assert job.state == "failed"
    assert job.error is not None
    assert "ZeroDivisionError" in job.error.message
    assert "of a bug" in caplog.text


def test_data_of_the_workspace_are_listed(call: Call, workspace: Path) -> None:
    written(workspace)
    (workspace / "broken.csv").write_text("a,b\n1,2\n")
    outside = workspace.parent / "theirs.csv"
    outside.write_text("secret")
    (workspace / "link.csv").symlink_to(outside)
    found = call("data")
    assert [each["file"] for each in found["data"]] == ["bars.csv", "broken.csv"]
    assert found["data"][0]["bytes"] == (workspace / "bars.csv").stat().st_size
    read = call("data", bar="1h", symbol="BTC/USD", stamp="open")["data"]
    assert read[0]["symbols"][0]["bars"] == 400
    assert read[1]["problem"]
    part = call("data", limit=1)
    assert (part["truncated"], part["next"]) == (True, 1)
    assert call("data", query="BROKEN")["data"][0]["file"] == "broken.csv"


MODEL = """\
model:
  use: sklearn
  estimator: ESTIMATOR
  params: PARAMS
  label: {use: direction, horizon: 1 bar}
  training: {scheme: walk_forward, train: 5d, step: 5d, purge: 1 bar, min_rows: 50}
signal: {use: confidence, threshold: 0.05}
"""
HEAD, TAIL = TEXT.partition("signal:\n")[0], "risk:" + TEXT.partition("risk:")[2]


@pytest.mark.parametrize(
    ("estimator", "params", "key"),
    [
        ("RandomForestClassifier", "{n_estimators: 100000000}", "model.params.n_estimators"),
        ("RandomForestClassifier", "{n_estimators: 5, n_jobs: 500}", "model.params.n_jobs"),
        ("MLPClassifier", "{hidden_layer_sizes: [10, 100000]}", "model.params.hidden_layer_sizes"),
        ("LogisticRegression", "{max_iter: 1000000}", "model.params.max_iter"),
        (
            "MLPClassifier",
            f"{{hidden_layer_sizes: {[1000] * 60}}}",
            "model.params.hidden_layer_sizes",
        ),
        ("MLPClassifier", "{hidden_layer_sizes: [501, 500]}", "model.params.hidden_layer_sizes"),
        ("MLPClassifier", "{hidden_layer_sizes: [500, 500], max_iter: 1001}", "model.params"),
        ("RandomForestClassifier", "{n_estimators: 10000, max_leaf_nodes: 101}", "model.params"),
        ("LogisticRegressionCV", "{Cs: 100000000}", "model.params.Cs"),
        ("LogisticRegressionCV", "{Cs: 100, cv: 100, max_iter: 101}", "model.params"),
        (
            "BaggingClassifier",
            "{n_estimators: 5000, estimator: {estimator: RandomForestClassifier, "
            "params: {n_estimators: 5000}}}",
            "model.params",
        ),
        (
            "BaggingClassifier",
            "{n_estimators: 1000, estimator: {estimator: BaggingClassifier, "
            "params: {n_estimators: 1000, estimator: RandomForestClassifier}}}",
            "model.params",
        ),
        (
            "VotingClassifier",
            "{estimators: {a: {estimator: RandomForestClassifier, params: {n_estimators: 9000, "
            "max_leaf_nodes: 100}}, b: {estimator: MLPClassifier, params: "
            "{hidden_layer_sizes: [900, 100], max_iter: 200}}}}",
            "model.params",
        ),
        (
            "OutputCodeClassifier",
            "{estimator: DecisionTreeClassifier, code_size: 1000000000}",
            "model.params.code_size",
        ),
        ("CategoricalNB", "{min_categories: 1000000000}", "model.params.min_categories"),
    ],
)
def test_a_fit_that_would_go_on_for_hours_is_refused(
    call: Call, workspace: Path, estimator: str, params: str, key: str
) -> None:
    written(workspace)
    model = MODEL.replace("ESTIMATOR", estimator).replace("PARAMS", params)
    found = call("check", text=HEAD + model + TAIL)
    assert found["ok"] is False
    assert [each["key"] for each in found["problems"]] == [key]
    assert "cannot be interrupted" in found["problems"][0]["message"]


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("sklearn", {"hidden_layer_sizes": [500, 500], "max_iter": 1000}),
        ("sklearn", {"n_estimators": 10_000, "max_leaf_nodes": 100}),
        ("sklearn", {"n_estimators": 100, "estimator": "RandomForestClassifier"}),
        ("sklearn", {"Cs": [0.1, 1e5], "cv": 5, "max_iter": 1000}),
        ("lightgbm", {"n_estimators": 10_000, "num_leaves": 31, "max_bin": 255}),
    ],
)
def test_a_fit_up_to_the_bounds_is_taken(use: str, params: dict[str, Any]) -> None:
    require_bounded_training({"model": {"use": use, "params": params}}, {})


@pytest.mark.parametrize(
    ("params", "axis", "key"),
    [
        ({"n_estimators": 10}, "model.params.max_leaf_nodes", None),
        ({"n_estimators": 5000}, "model.params.max_leaf_nodes", "model.params"),
        ({"estimator": "RandomForestClassifier", "n_estimators": 100},
         "model.params.estimator.params.n_estimators", None),
        ({"estimator": "RandomForestClassifier", "n_estimators": 5000},
         "model.params.estimator.params.n_estimators", "model.params"),
        ({"hidden_layer_sizes": [100, 100]}, "model.params.hidden_layer_sizes", None),
    ],
)  # fmt: skip
def test_what_a_sweep_multiplies_is_bounded(
    params: dict[str, Any], axis: str, key: str | None
) -> None:
    """The largest value of an axis counts, also where the file has none for its key."""
    resolved = {"model": {"use": "sklearn", "params": params}}
    if key is None:
        require_bounded_training(resolved, {axis: "100..1000:100"})
        return
    with pytest.raises(ConfigError) as caught:
        require_bounded_training(resolved, {axis: "100..1000:100"})
    assert [each.key for each in caught.value.problems] == [key]
    assert resolved["model"]["params"] == params


def test_a_sweep_of_such_fits_is_refused(call: Call, workspace: Path) -> None:
    written(workspace)
    model = MODEL.replace("ESTIMATOR", "RandomForestClassifier")
    model = model.replace("PARAMS", "{n_estimators: 5}")
    call("save", file="trees.yaml", text=HEAD + model + TAIL)
    for values in ([10, 100_000_000], "10..100000000:99999990"):
        axes: dict[str, Any] = {"model.params.n_estimators": values}
        found = call("sweep", file="trees.yaml", axes=axes, hypothesis=HYPOTHESIS, wait_s=1)
        assert found.is_error
        assert "cannot be interrupted" in str(found.document), found.document


def test_a_run_on_much_data_is_a_process_of_its_own_and_finds_the_same(
    call: Call, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(workspace)
    here = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["figures"]["summary"]
    sizes = Workspace(workspace)
    loaded = sizes.load(file="cross.yaml")
    assert data_bytes(loaded) == (workspace / "bars.csv").stat().st_size
    large = sizes.load(file="cross.yaml", settings={
        "data.candles": {"use": "synthetic", "bars": 10_000_000},
    })  # fmt: skip
    assert data_bytes(large) > tools.MOST_DATA_HERE
    monkeypatch.setattr(tools, "MOST_DATA_HERE", 1_000)

    def computes(*given: Any, **more: Any) -> None:
        raise AssertionError("it runs in the process of the server")

    monkeypatch.setattr("septet._app.run.compute_backtest", computes)
    there = call("run", file="cross.yaml", hypothesis=HYPOTHESIS)["figures"]["summary"]
    of_the_clock = {"seconds", "seconds_total", "bars_per_second", "run_id"}
    assert {k: v for k, v in there.items() if k not in of_the_clock} == {
        k: v for k, v in here.items() if k not in of_the_clock
    }


def test_a_fit_that_asks_nobody_ends_when_it_is_cancelled(workspace: Path) -> None:
    rules = TEXT[TEXT.index("signal:") : TEXT.index("risk:")]
    text = TEXT.replace(
        rules,
        """\
model:
  use: sklearn
  estimator: RandomForestClassifier
  params: {n_estimators: 10000}
  training: {train: 12d, step: 2d, min_rows: 50, min_class: 10}
signal: {use: confidence, threshold: 0.1}
""",
    )
    written(workspace)
    (workspace / "cross.yaml").write_text(text)

    async def session() -> tuple[dict[str, Any], dict[str, Any]]:
        async with Client(make_server(workspace)) as client:
            given = {"file": "cross.yaml", "hypothesis": HYPOTHESIS, "wait_s": 0}
            begun = (await client.call_tool("run", given)).structured_content
            assert begun is not None
            asked = {"id": begun["job"]["id"], "cancel": True, "wait_s": 50}
            ended = (await client.call_tool("job", asked)).structured_content
            assert ended is not None
            return begun, ended

    begun, ended = asyncio.run(session())
    assert begun["job"]["state"] in ("waiting", "running")
    assert ended["job"]["state"] == "cancelled"
    assert not (workspace / "runs").exists()


def _asked(number: int, method: str, given: dict[str, Any]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": given}) + "\n"


@pytest.mark.parametrize("wait_s", [0, 50])
def test_a_server_whose_client_leaves_cancels_its_jobs_and_ends_with_status_0(
    workspace: Path, wait_s: float
) -> None:
    (workspace / "cross.yaml").write_text(EXAMPLE)
    program = [str(Path(sys.executable).parent / "septet"), "mcp", str(workspace)]
    given = {"file": "cross.yaml", "hypothesis": HYPOTHESIS, "wait_s": wait_s}
    client = {"name": "one", "version": "1"}
    began = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(_asked(0, "initialize", began))
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 0
        server.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        sweep = given | {"axes": {"features.fast.period": "2..60"}}
        server.stdin.write(_asked(1, "tools/call", {"name": "sweep", "arguments": sweep}))
        for number in range(2, 8):
            called = {"name": "run", "arguments": given}
            server.stdin.write(_asked(number, "tools/call", called))
        server.stdin.write(_asked(8, "ping", {}))
        server.stdin.flush()
        while json.loads(server.stdout.readline()).get("id") != 8:
            pass
        _, server_output = server.communicate()  # it closes stdin
    assert server.returncode == 0, server_output
    assert "FATAL" not in server_output
    assert len(list((workspace / "sweeps").rglob("*.parquet"))) < 5, "it went on for its client"


def test_what_goes_on_after_it_was_cancelled_ends_with_the_process() -> None:
    text = """\
import threading
from septet._jobs.jobs import Jobs
begun, jobs = threading.Event(), Jobs("")
def work(progress):
    begun.set()
    threading.Event().wait()
jobs.start("run", work)
begun.wait()
print("out")
jobs.leave(7, within_s=0.0)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
