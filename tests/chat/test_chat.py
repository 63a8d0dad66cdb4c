"""The chat against a server of this machine that speaks the Bot API, with its faults."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from aiohttp import web

from septet._chat.settings import read_settings
from septet._chat.state import Offsets
from septet._chat.telegram import checked_address
from septet._live.kill_switch import ask_halt, read_halt, read_resume
from septet.errors import InputError
from tests.chat.server import GROUP, TOKEN, USER, Server, chatting
from tests.dashboard.conftest import stored
from tests.live.test_open_state import stopped
from tests.live.test_start import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def code_in(text: str) -> str:
    return text.splitlines()[0].rpartition(": ")[2]


def test_reads_answer_and_a_halt_and_a_resume_by_code_are_journalled_with_the_user(
    stage: Stage, tmp_path: Path
) -> None:
    folder = stopped(stage)
    run = folder.name

    async def steps(server: Server, logged: list[str], waits: list[float]) -> None:
        assert "not running" in await server.say("/status")
        assert "positions 1" in await server.say(f"/status {run}")
        assert "10,000.00" in await server.say("/pnl")
        assert "no order" in (await server.say("/why nothing")).lower()
        assert "not acted on" in await server.say(f"/halt {run}")
        assert read_halt(folder) is None
        assert run in await server.say(f"/halt {run} looks wrong")
        halt = read_halt(folder)
        assert halt is not None
        assert (halt.name, halt.reason) == ("Ada\\n\\u202e 7 (telegram)", "looks wrong")
        code = code_in(await server.say(f"/resume {run} checked"))
        assert len(code) == 6
        ask_halt(folder, flatten=False, name="B", reason="again", now_ns=halt.asked_ns + 1)
        assert "halted or blocked again" in await server.say(code)
        assert read_halt(folder) is not None
        code_in(await server.say(f"/resume {run} checked"))
        assert "wrong" in await server.say("/resume XXXXXX")
        code = code_in(await server.say(f"/resume {run} checked"))
        assert "may trade" in await server.say(code.lower())
        assert read_halt(folder) is None
        resumed = read_resume(folder)
        assert resumed is not None
        assert resumed.reason == "checked"

    chatting(tmp_path / "s", folder.parent.parent, steps)


def test_only_listed_users_act_and_others_get_no_answer(stage: Stage, tmp_path: Path) -> None:
    folder = stopped(stage)
    halt = f"/halt {folder.name} x"

    async def steps(server: Server, logged: list[str], waits: list[float]) -> None:
        server.batches.put_nowait([server.update(halt, user=9, chat=9) for _ in range(3)])
        server.batches.put_nowait([server.update(halt, chat=GROUP)])  # is not addressed
        server.batches.put_nowait([server.update(halt, forward_origin={"type": "user"})])
        server.batches.put_nowait([server.update(halt, forward_date=1_700_000_000)])
        server.batches.put_nowait([server.update(halt, is_automatic_forward=True)])
        assert "may not" in await server.say(halt, user=8, chat=8)
        assert "may not" in await server.say(
            halt.replace("/halt", "/halt@septet_bot"), user=8, chat=GROUP
        )
        assert "not acted on, send" in await server.say(halt, age_s=90)
        assert "not acted on, send" in await server.say(halt, age_s=-97_200)
        assert read_halt(folder) is None
        assert [each for each in logged if "not listed" in each] == [
            "chat 9 is not listed in chat.toml; it gets no answer"
        ]
        await server.say(halt.replace("/halt", "/halt@Septet_bot"), chat=GROUP)
        assert read_halt(folder) is not None

    chatting(tmp_path / "s", folder.parent.parent, steps)


def test_faults_of_the_server_are_waited_out_and_no_update_counts_twice(tmp_path: Path) -> None:
    run = stored(tmp_path / "runs")
    summary = json.loads((run.folder / "summary.json").read_text())
    name = "<b>\x1b[31m\u202e\n" + "x" * 9_000
    (run.folder / "summary.json").write_text(json.dumps(summary | {"strategy": name}))

    async def steps(server: Server, logged: list[str], waits: list[float]) -> None:
        limit = {"ok": False, "parameters": {"retry_after": 77}, "description": TOKEN}
        server.faults += [
            web.Response(status=500, text=TOKEN), web.json_response(limit, status=429),
            web.Response(text="{"), web.Response(text="[" * 5_000_000),
            web.json_response({"ok": True, "result": 5}),
            web.Response(status=302, headers={"Location": f"{server.address}/elsewhere"}),
        ]  # fmt: skip
        one = server.update("/help")
        server.batches.put_nowait([one, one, 5, {}, {"update_id": "x"}, {"update_id": 3}])
        server.batches.put_nowait([one])
        answer = await server.say(f"/status {run.run_id}")
        assert answer.startswith("/status")  # the one answer to /help
        text = await server.answer()
        assert "finished" in text
        assert not {"\x1b", "\u202e"} & set(text)
        assert len(text) < 2_000
        assert server.sent.empty()
        assert server.elsewhere == 0
        assert max(waits) == 77.0
        assert len(waits) >= 5

    chatting(tmp_path / "s", tmp_path / "runs", steps)


def test_a_flood_is_bounded_and_a_halt_is_acted_on_all_the_same(
    stage: Stage, tmp_path: Path
) -> None:
    folder = stopped(stage)

    async def steps(server: Server, logged: list[str], waits: list[float]) -> None:
        flood = [server.update("/help") for _ in range(60)]
        server.batches.put_nowait([*flood, server.update(f"/halt {folder.name} flood")])
        answers = [await server.answer() for _ in range(21)]
        assert sum(each.startswith("/status") for each in answers) == 20
        assert read_halt(folder) is not None
        assert sum("more than 20" in each for each in logged) == 1

    chatting(tmp_path / "s", folder.parent.parent, steps)


def test_a_killed_task_of_answers_is_logged_and_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def steps(server: Server, logged: list[str], waits: list[float]) -> None:
        assert (await server.say("/help")).startswith("/status")
        [task] = [each for each in asyncio.all_tasks() if each.get_name() == "septet chat: answers"]
        task.cancel()
        await asyncio.wait({task})
        assert (await server.say("/help")).startswith("/status")
        [row] = [each.getMessage() for each in caplog.records if each.name == "septet.tasks"]
        assert row.startswith("septet chat: the task 'answers' was cancelled; it is started again")

    chatting(tmp_path / "s", tmp_path / "runs", steps)


def test_the_next_update_is_stored_locked_and_dropped_after_six_days_without_updates(
    tmp_path: Path,
) -> None:
    now = [1_000.0]
    first = Offsets(tmp_path, TOKEN, lambda: now[0])
    first.advance(55)
    with pytest.raises(InputError, match="another septet chat"):
        Offsets(tmp_path, TOKEN)
    first.close()
    again = Offsets(tmp_path, TOKEN, lambda: now[0])
    assert again.next() == 55
    now[0] += 6 * 86_400 + 1
    assert again.next() == 0
    again.close()
    assert not any("AAAA" in each.name for each in tmp_path.rglob("*"))


def test_settings_are_private_and_their_errors_show_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT", TOKEN)
    path = tmp_path / "chat.toml"

    def written(text: str, mode: int = 0o600) -> Path:
        path.write_text(text)
        path.chmod(mode)
        return path

    good = f'token = "env:CHAT"\n[[chat]]\nid = {USER}\nright = "operate"\n'
    found = read_settings(written(good))
    assert found.chats[USER].may_operate(USER)
    assert TOKEN not in repr(found)
    for text, words in (
        (good.replace("env:CHAT", TOKEN), "no reference"),
        (good.replace('"operate"', '"all"'), "view or operate"),
        (good.replace("id = 7", "id = -7"), "operators"),
        (good + "x = 1\n", "unknown key"),
        ('token = "env:CHAT"\n', "lists no"),
    ):
        with pytest.raises(InputError, match=words) as wrong:
            read_settings(written(text))
        assert TOKEN not in str(wrong.value)
    with pytest.raises(InputError, match="others may read"):
        read_settings(written(good, 0o644))
    path.chmod(0o600)
    os.symlink(path, tmp_path / "link.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(tmp_path / "link.toml")


@pytest.mark.parametrize(
    "address", ["https://example.com", "http://127.0.0.1@example.com", "http://localhost.a", "x"]
)
def test_another_address_must_be_of_this_machine(address: str) -> None:
    with pytest.raises(InputError, match="neither Telegram's nor one of this machine"):
        checked_address(address)
