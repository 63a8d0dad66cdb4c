"""One WebSocket of a client: an outgoing queue, and network faults."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

__all__ = ["Socket"]

_MAX_WAITING = 20_000
_IN_A_ROW = 20


class Socket:
    """Sends in order and never blocks the venue; a client that does not read is disconnected.

    `silent` sends nothing at all, `deaf` nothing but pongs: the two ways a dead pipe looks.
    """

    def __init__(self, request: web.BaseRequest, kind: str) -> None:
        self.kind = kind
        self.silent = False
        self.deaf = False
        self._request = request
        self._web = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=2**20)
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_MAX_WAITING)
        self._writer: asyncio.Task[None] | None = None

    def send(self, text: str) -> None:
        """Queue a message."""
        if self.silent or self.deaf:
            return
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.reset()

    def reset(self) -> None:
        """Reset the connection."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    async def close(self, code: int = 1001) -> None:
        """Close the connection as the protocol requires."""
        await self._web.close(code=code)

    async def serve(
        self, received: Callable[[str], Awaitable[None] | None]
    ) -> web.WebSocketResponse:
        """Read until the client disconnects; `received` takes each text."""
        await self._web.prepare(self._request)
        self._writer = asyncio.ensure_future(self._write())
        try:
            async for message in self._web:
                if message.type == WSMsgType.TEXT and not self.silent:
                    waits = received(message.data)
                    if waits is not None:
                        await waits
                elif message.type == WSMsgType.PING and not self.silent:
                    await self._web.pong(message.data)
        except ConnectionError:
            pass  # the client is gone, or a fault cut it off
        finally:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        return self._web

    async def _write(self) -> None:
        try:
            sent = 0
            while True:
                await self._web.send_str(await self._waiting.get())
                sent += 1
                # Neither call waits while there is room: a burst must not hold up orders.
                if not sent % _IN_A_ROW:
                    await asyncio.sleep(0)
        except ConnectionError:
            pass  # reading notices it as well and ends
