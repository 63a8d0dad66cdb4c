"""Receives the updates of a bot and answers them; a halt does not wait for other commands."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from septet._chat import command_answers
from septet._chat.message import Command, command_of, update_number
from septet._chat.settings import ChatSettings
from septet._chat.state import Offsets
from septet._chat.telegram import ApiProblem, Telegram, is_fatal, pause_s
from septet._host.background_tasks import Tasks
from septet._text import one_line, shortened
from septet.errors import InputError, SeptetError

__all__ = ["Bot"]

_OLD_S: Final = 60.0
_CODE_S: Final = 120.0
_LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_QUEUED: Final = 100
_LOGGED: Final = 100
_MINUTE_S: Final = 60.0
_READS: Final = 20
_HALTS: Final = 10
_OLD: Final = "not acted on, send it again: it is older than 60 s, or its age is not known"
_REFUSED: Final = "not acted on: this chat or user may not halt or resume"
_UNFIT: Final = "the code is wrong or has expired; send /resume again"
_ACTS: Final = ("/halt", "/resume")


@dataclass(frozen=True, slots=True)
class _Pending:
    """A resume that waits for its code."""

    code: str
    folder: Path
    reason: str
    until_s: float
    blocks: frozenset[object]


class Bot:
    """One bot: `notify` logs a line, `clock_s` is a monotonic clock."""

    def __init__(
        self,
        api: Telegram,
        settings: ChatSettings,
        offsets: Offsets,
        root: Path,
        notify: Callable[[str], None],
        *,
        clock_s: Callable[[], float] = time.monotonic,
        act_wait_s: float = command_answers.WAIT_S,
        poll_s: int = 25,
    ) -> None:
        self._api, self._settings, self._offsets, self._root = api, settings, offsets, root
        self._notify, self._clock_s = notify, clock_s
        self._act_wait_s, self._poll_s = act_wait_s, poll_s
        self._unlisted = set[int]()
        self._pending = dict[tuple[int, int], _Pending]()
        self._sent = dict[tuple[int, str], deque[float]]()
        self._queue = asyncio.Queue[Command](_QUEUED)
        self._halts = set[asyncio.Task[None]]()
        self._tasks = Tasks("septet chat")
        self._name = ""

    async def run(self) -> None:
        """Receive updates until it is cancelled.

        Raises
        ------
        InputError
            If the token is rejected.
        """
        self._tasks.keep("answers", self._work)
        try:
            await self._poll()
        finally:
            if self._halts:  # what was begun is done
                await asyncio.wait(self._halts, timeout=self._act_wait_s + 5.0)
            await self._tasks.close()

    async def _poll(self) -> None:
        failed = 0
        while True:
            try:
                if not self._name:
                    me = (await self._api.call("getMe")).result
                    self._name = str(me.get("username", "")) if isinstance(me, dict) else ""
                    if not self._name:
                        raise ApiProblem("getMe: the answer names no bot")
                reply = await self._api.call(
                    "getUpdates", offset=self._offsets.next(), timeout=self._poll_s, limit=100,
                    allowed_updates=["message"],
                )  # fmt: skip
                if not isinstance(reply.result, list):
                    raise ApiProblem("getUpdates: the answer is no list")
            except ApiProblem as problem:
                if is_fatal(problem):
                    raise InputError(problem.message, hint="see the token in chat.toml") from None
                if failed == 0:
                    self._notify(f"{problem.message}; it is tried again")
                await self._api.wait(pause_s(failed, problem.retry_s))
                failed += 1
                continue
            failed = 0
            self._take(reply.result[:100], reply.server_s)

    def _take(self, updates: list[Any], server_s: float | None) -> None:
        """Store that updates were received, then act on them: at most once each."""
        first = self._offsets.next()
        by_number = {update_number(each): each for each in reversed(updates)}
        numbered = sorted(
            (n, each) for n, each in by_number.items() if n is not None and n >= first
        )
        if not numbered:
            return
        self._offsets.advance(numbered[-1][0] + 1)
        for _, update in numbered:
            command = command_of(update, self._name)
            if command is None or not self._is_listed(command):
                continue
            # the age at its arrival; what it waits here is added when it is acted on
            age_s = float("inf") if server_s is None else server_s - command.sent_s
            if age_s < -_OLD_S:  # no server dates a message a minute ahead of its own clock
                age_s = float("inf")
            self._dispatch(replace(command, sent_s=self._clock_s() - max(0.0, age_s)))

    def _is_listed(self, command: Command) -> bool:
        if command.chat_id in self._settings.chats:
            return True
        if command.chat_id not in self._unlisted and len(self._unlisted) < _LOGGED:
            self._unlisted.add(command.chat_id)
            self._notify(f"chat {command.chat_id} is not listed in chat.toml; it gets no answer")
        return False

    def _dispatch(self, command: Command) -> None:
        is_halt = command.name == "/halt"
        if not self._has_room(command.chat_id, "halt" if is_halt else "read"):
            return
        if is_halt:
            task = self._tasks.once("halt", self._answer(command))
            self._halts.add(task)
            task.add_done_callback(self._halts.discard)
            return
        try:
            self._queue.put_nowait(command)
        except asyncio.QueueFull:
            self._notify("too many commands wait; one was not answered")

    def _has_room(self, chat_id: int, kind: str) -> bool:
        """Whether a chat is below its limit of messages; the first message above it is logged."""
        now, most = self._clock_s(), _HALTS if kind == "halt" else _READS
        sent = self._sent.setdefault((chat_id, kind), deque(maxlen=most + 1))
        while sent and now - sent[0] > _MINUTE_S:
            sent.popleft()
        if len(sent) < most:
            sent.append(now)
            return True
        if len(sent) == most:
            sent.append(now)
            self._notify(f"chat {chat_id} sends more than {most} in a minute; the rest is ignored")
        return False

    async def _work(self) -> None:
        while True:
            await self._answer(await self._queue.get())

    async def _answer(self, command: Command) -> None:
        try:
            text = await self._outcome(command)
        except SeptetError as problem:
            text = shortened(one_line(problem.message), 1_000)
        except Exception as problem:  # one command must not end the process
            self._notify(f"{one_line(command.name)[:20]} failed: {type(problem).__name__}")
            text = f"failed: {type(problem).__name__}"
        if not text:
            return
        try:
            await self._api.send(command.chat_id, text)
        except ApiProblem as problem:
            self._notify(f"an answer to chat {command.chat_id} was lost: {problem.message}")

    async def _outcome(self, command: Command) -> str:
        words, root = command.words, self._root
        first_word = words[0] if words else ""
        if command.name == "/status":
            return await asyncio.to_thread(command_answers.status, first_word, root)
        if command.name == "/pnl":
            return await asyncio.to_thread(command_answers.pnl, first_word, root)
        if command.name == "/why":
            name = words[1] if len(words) > 1 else ""
            return await asyncio.to_thread(command_answers.why, first_word, name, root)
        if command.name in ("/help", "/start"):
            return command_answers.HELP
        key = (command.chat_id, command.user_id)
        is_code = len(words) == 1 and key in self._pending
        if command.name in _ACTS or (not command.name and is_code):
            if not self._settings.chats[command.chat_id].may_operate(command.user_id):
                return _REFUSED
            if self._clock_s() - command.sent_s > _OLD_S:
                return _OLD
            if command.name == "/halt":
                return await self._halt(command)
            return await (self._confirm(command) if is_code else self._issue(command))
        return "unknown command; /help lists them" if command.name else ""

    def _parts(self, command: Command) -> tuple[Path, str]:
        reason = " ".join(command.words[1:])
        if not reason:
            raise InputError(f"not acted on: write {command.name} RUN and the reason")
        halts = command.name == "/halt"
        folder = command_answers.run_named(command.words[0], self._root, acts=True, to_halt=halts)
        return folder, reason

    async def _halt(self, command: Command) -> str:
        folder, reason = await asyncio.to_thread(self._parts, command)
        return await asyncio.to_thread(
            command_answers.do_halt, folder, command.signed, reason, self._act_wait_s,
            command.words[0],
        )  # fmt: skip

    async def _issue(self, command: Command) -> str:
        folder, reason = await asyncio.to_thread(self._parts, command)
        blocks = await asyncio.to_thread(command_answers.blocks_of, folder)
        now = self._clock_s()
        self._pending = {
            key: pending for key, pending in self._pending.items() if pending.until_s > now
        }
        code = "".join(secrets.choice(_LETTERS) for _ in range(6))
        key = (command.chat_id, command.user_id)
        self._pending[key] = _Pending(code, folder, reason, now + _CODE_S, blocks)
        return (
            f"to resume {one_line(folder.name)[:100]} repeat within 2 minutes: {code}\n"
            f"(in a group: /resume@{self._name} {code})"
        )

    async def _confirm(self, command: Command) -> str:
        pending = self._pending.pop((command.chat_id, command.user_id))  # one try for each code
        code = command.words[0].upper().encode()
        if self._clock_s() > pending.until_s or not hmac.compare_digest(
            code, pending.code.encode()
        ):
            return _UNFIT
        now = await asyncio.to_thread(command_answers.blocks_of, pending.folder)
        if now - pending.blocks:
            return "not resumed: the run was halted or blocked again since; look at /status"
        return await asyncio.to_thread(
            command_answers.do_resume,
            pending.folder,
            command.signed,
            pending.reason,
            self._act_wait_s,
        )
