"""A server that speaks the two methods of the Bot API that are used, with faults on request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from septet._chat.bot import Bot
from septet._chat.settings import Chat, ChatSettings
from septet._chat.state import Offsets
from septet._chat.telegram import Telegram

TOKEN = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
USER, GROUP = 7, -100


class Server:
    """Gives out batches of updates, and faults before them; remembers what was sent."""

    def __init__(self) -> None:
        self.batches = asyncio.Queue[list[Any]]()
        self.sent = asyncio.Queue[dict[str, Any]]()
        self.faults: list[web.Response] = []
        self.offsets: list[int] = []
        self.elsewhere = 0
        self.number = 10
        self.address = ""

    def update(
        self, text: str, *, user: int = USER, chat: int = USER, age_s: float = 0, **more: Any
    ) -> dict[str, Any]:
        self.number += 1
        kind = "private" if chat > 0 else "supergroup"
        message = {
            "date": int(time.time() - age_s), "text": text, "chat": {"id": chat, "type": kind},
            "from": {"id": user, "first_name": "Ada\n\u202e"}, **more,
        }  # fmt: skip
        return {"update_id": self.number, "message": message}

    async def say(self, text: str, **more: Any) -> str:
        """Send one message and return the answer to it."""
        self.batches.put_nowait([self.update(text, **more)])
        return await self.answer()

    async def answer(self) -> str:
        found = await asyncio.wait_for(self.sent.get(), 15)
        assert "parse_mode" not in found
        assert len(found["text"]) <= 4_096
        return str(found["text"])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        token, method = request.match_info["token"], request.match_info["method"]
        assert token == f"bot{TOKEN}"
        values = await request.json()
        if method == "getMe":
            return self._ok({"username": "septet_bot"})
        if self.faults:
            return self.faults.pop(0)
        if method == "sendMessage":
            self.sent.put_nowait(values)
            return self._ok({})
        self.offsets.append(values["offset"])
        return self._ok(await self.batches.get())

    async def other(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()

    def _ok(self, result: Any) -> web.Response:
        date = {"Date": formatdate(time.time(), usegmt=True)}
        return web.json_response({"ok": True, "result": result}, headers=date)


def chatting(
    folder: Path, root: Path, steps: Callable[[Server, list[str], list[float]], Awaitable[None]]
) -> None:
    """Serve a bot against a server of this machine, and carry out steps."""
    chats = {USER: Chat(USER, "operate"), 8: Chat(8, "view"),
             GROUP: Chat(GROUP, "operate", frozenset({USER}))}  # fmt: skip

    async def whole() -> None:
        server, logged, waits = Server(), list[str](), list[float]()
        app = web.Application()
        app.router.add_post("/{token}/{method}", server.handle)
        app.router.add_route("*", "/elsewhere", server.other)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"

        async def wait(seconds: float) -> None:
            waits.append(seconds)

        offsets = Offsets(folder, TOKEN)
        try:
            async with Telegram(TOKEN, server.address, wait=wait) as api:
                bot = Bot(api, ChatSettings(TOKEN, chats), offsets, root, logged.append,
                          act_wait_s=0.2)  # fmt: skip
                task = asyncio.create_task(bot.run())
                try:
                    await steps(server, logged, waits)
                finally:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
        finally:
            offsets.close()
            await runner.cleanup()
        assert not any(TOKEN in line or "AAAA" in line for line in logged)

    asyncio.run(whole())
