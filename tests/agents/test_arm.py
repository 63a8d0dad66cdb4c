"""The tool `halt` exists while a person has armed a run, and does no more than halt it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from septet import messages as m
from septet._agents.server import make_server
from septet._app.arm import ARMED, LONGEST_NS, arm_of, arm_run, armed_runs, disarm_run
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import Holder, Lease
from septet._live.kill_switch import HALT, Switch, read_halt
from septet.errors import InputError, RunError
from tests.agents.conftest import Call, called, over_stdio
from tests.cli.conftest import Command, command_of

RUN_ID = "20260101T000000Z-abcdef"
MINUTE = 60 * 10**9
AT = 1_000 * MINUTE


@pytest.fixture
def septet_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_of(capsys)


@pytest.fixture
def folder(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper run of the workspace, with its journal."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    made = workspace / "runs" / "old" / RUN_ID
    made.mkdir(parents=True)
    head = Head(run_id=RUN_ID, strategy="old", mode="paper", account="", created_ns=0, origin_ns=0)
    Journal.create(made / "journal.sqlite", head).close()
    return made


def held(folder: Path, since_ns: int = 0) -> Lease:
    holder = Holder.this_process(run_id=RUN_ID, strategy="old", folder=folder, now_ns=since_ns)
    return Lease.take(holder)


@pytest.fixture
def lease(folder: Path) -> Iterator[Lease]:
    """This process runs it."""
    taken = held(folder)
    yield taken
    taken.release()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a terminal, as where a person types."""
    near, far = os.openpty()
    with os.fdopen(far, "r") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        yield
    os.close(near)


def names(workspace: Path) -> set[str]:
    return set(asyncio.run(called(make_server(workspace)))[1])


@pytest.mark.usefixtures("lease")
def test_an_arm_ends_by_time_by_off_and_with_the_process(folder: Path, lease: Lease) -> None:
    made = arm_run(folder, for_ns=15 * MINUTE, name="ann", now_ns=AT)
    assert arm_of(folder, AT) == made
    assert arm_of(folder, AT + 15 * MINUTE - 1) == made
    assert arm_of(folder, AT + 15 * MINUTE) is None, "its time is over"
    assert arm_of(folder, AT - 1) is None, "the clock was set back"
    assert disarm_run(folder) is False, "by this clock it has ended"
    arm_run(folder, for_ns=MINUTE, name="ann")
    assert armed_runs(folder.parents[1]) == (RUN_ID,)
    assert disarm_run(folder) is True
    assert armed_runs(folder.parents[1]) == ()
    arm_run(folder, for_ns=MINUTE, name="ann")
    lease.release()
    assert arm_of(folder) is None, "no process runs it"
    again = held(folder, since_ns=1)
    assert arm_of(folder) is None, "the next process is not armed"
    again.release()


def test_what_cannot_be_armed(folder: Path) -> None:
    with pytest.raises(InputError, match="no process of this machine runs"):
        arm_run(folder, for_ns=MINUTE, name="ann")
    taken = held(folder)
    for wrong in (0, -1, LONGEST_NS + 1):
        with pytest.raises(InputError, match="up to 24 hours"):
            arm_run(folder, for_ns=wrong, name="ann")
    (folder / ARMED).mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        arm_run(folder, for_ns=MINUTE, name="ann")
    with pytest.raises(RunError, match="cannot be removed"):
        disarm_run(folder)
    taken.release()


@pytest.mark.parametrize(
    "change",
    [
        {"until_ns": 2**62}, {"pid": 1}, {"boot": "x"}, {"since_ns": 7}, {"asked_ns": 2**61},
        {"until_ns": "soon"}, None,
    ],
)  # fmt: skip
@pytest.mark.usefixtures("lease")
def test_a_file_that_states_otherwise_arms_nothing(
    folder: Path, change: dict[str, Any] | None
) -> None:
    arm_run(folder, for_ns=15 * MINUTE, name="ann", now_ns=AT)
    found = json.loads((folder / ARMED).read_text())
    (folder / ARMED).write_text("no json" if change is None else json.dumps({**found, **change}))
    assert arm_of(folder, AT) is None
    (folder / ARMED).unlink()
    (folder / "other").write_text(json.dumps(found))
    (folder / ARMED).symlink_to(folder / "other")
    assert arm_of(folder, AT) is None, "no link is followed"


@pytest.mark.usefixtures("lease")
def test_the_tool_is_there_while_a_run_is_armed(workspace: Path, folder: Path, call: Call) -> None:
    assert "halt" not in names(workspace)
    unknown = call("halt", run=RUN_ID, reason="The fills look wrong.", wait_s=0)
    assert unknown.is_error
    assert "Unknown tool" in unknown["message"]
    arm_run(folder, for_ns=MINUTE, name="ann")
    assert {"halt"} == names(workspace) & {"halt", "flatten", "resume", "arm"}
    for wrong in ("", " "):
        assert call("halt", run=RUN_ID, reason=wrong, wait_s=0).is_error
    assert not (folder / HALT).exists()
    answer = call("halt", run=RUN_ID, reason="The fills look wrong.", wait_s=0)
    assert (answer["run"], answer["running"], answer["taken"]) == (RUN_ID, True, False)
    standing = read_halt(folder)
    assert standing is not None
    assert (standing.action, standing.reason) == ("halt", "The fills look wrong.")
    acts: list[m.Operated] = []
    Switch(folder, now_ns=lambda: 1, act=acts.append).look()
    assert acts[0].name.startswith("agent mcp "), "what the run writes to its journal"
    refused = call("halt", run=RUN_ID, reason="x", flatten=True, wait_s=0)
    after = read_halt(folder)
    assert after is not None
    assert after.action == "halt", refused.document
    disarm_run(folder)
    assert "halt" not in names(workspace)


@pytest.mark.usefixtures("lease")
def test_another_run_than_the_armed_one_is_refused(
    workspace: Path, folder: Path, call: Call
) -> None:
    arm_run(folder, for_ns=MINUTE, name="ann")
    other = workspace / "runs" / "old" / "20260102T000000Z-abcdef"
    other.mkdir()
    head = Head(
        run_id=other.name, strategy="old", mode="paper", account="", created_ns=0, origin_ns=0
    )
    Journal.create(other / "journal.sqlite", head).close()
    answer = call("halt", run=other.name, reason="It looks wrong.", wait_s=0)
    assert answer.is_error
    assert "is not armed" in answer["message"]
    assert not (other / HALT).exists()
    for reference in ("../old", str(folder), "nothing"):
        assert call("halt", run=reference, reason="It looks wrong.", wait_s=0).is_error
    assert not (folder / HALT).exists()


@pytest.mark.usefixtures("lease")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_is_notified_of_changed_tools(workspace: Path, folder: Path, mode: str) -> None:
    async def work() -> list[bool]:
        heard, wait = list[bool](), anyio.Event()

        async def received(message: Any) -> None:
            if getattr(message, "method", "") == "notifications/tools/list_changed":
                wait.set()

        async def has_halt(client: Client) -> bool:
            tools = (await client.list_tools(cache_mode="bypass")).tools
            return "halt" in {each.name for each in tools}

        server = make_server(workspace, look_s=0.01)
        async with Client(server, mode=mode, message_handler=received) as client:
            heard.append(await has_halt(client))
            with anyio.fail_after(20):
                if mode == "legacy":
                    arm_run(folder, for_ns=MINUTE, name="ann")
                    await wait.wait()
                    heard.append(await has_halt(client))
                    return heard
                async with client.listen(tools_list_changed=True) as events:
                    arm_run(folder, for_ns=MINUTE, name="ann")
                    await anext(aiter(events))
                    heard.append(await has_halt(client))
                    disarm_run(folder)
                    await anext(aiter(events))
                    heard.append(await has_halt(client))
                    return heard

    assert asyncio.run(work()) == [False, True, *([False] if mode == "auto" else [])]


def test_over_stdio_the_change_is_announced(workspace: Path) -> None:
    async def work() -> Any:
        transport = over_stdio(workspace, dict(os.environ))
        async with Client(transport, mode="legacy") as client:
            return client.server_capabilities.tools

    assert asyncio.run(work()).list_changed is True


@pytest.mark.usefixtures("lease", "terminal")
def test_the_command_arms_and_ends_it(folder: Path, septet_command: Command) -> None:
    root = folder.parents[1]
    printed = septet_command("arm", "old", "--for", "15m", "--name", "ann", "--runs", root).out
    assert "agents may halt it until" in printed
    made = arm_of(folder)
    assert made is not None
    assert (made.name, made.until_ns - made.asked_ns) == ("ann", 15 * MINUTE)
    found = json.loads(septet_command("arm", folder, "--for", "1h", "--json").out)
    assert found["armed"]["pid"] == os.getpid()
    assert "no longer armed" in septet_command("arm", folder, "--off").out
    assert "was not armed" in septet_command("arm", folder, "--off").out
    for words in (("--for", "soon"), ("--for", "25h"), (), ("--for", "1m", "--off")):
        assert septet_command("arm", folder, *words).code == 2
    assert arm_of(folder) is None


@pytest.mark.usefixtures("lease")
def test_without_a_terminal_nothing_is_armed(
    folder: Path, septet_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        output = septet_command("arm", folder, "--for", "15m")
        assert output.code == 2
        assert "at a terminal, by a person" in output.err
        assert arm_of(folder) is None
        assert septet_command("arm", folder, "--off").code == 0
