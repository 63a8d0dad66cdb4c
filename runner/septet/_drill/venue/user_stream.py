"""The user stream and the WebSocket API: subscriptions by signature, requests, events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from septet._drill.venue.api import WS_METHODS, Api
from septet._drill.venue.orders import Rejection
from septet._drill.venue.sockets import Socket
from septet._drill.venue.streams import encode
from septet._drill.venue.venue_request import VenueRequest, VenueResponse

__all__ = ["UserStreams"]


class UserStreams:
    """Sends every event of the account to subscribers, in order; `bend` applies faults."""

    def __init__(self, api: Api, now_ms: Callable[[], int]) -> None:
        self._api = api
        self._now_ms = now_ms
        self._subscribed: dict[Socket, int] = {}
        self.count = 0

    @property
    def subscribers(self) -> int:
        """Return the number of subscribers of the account's events."""
        return len(self._subscribed)

    def leave(self, socket: Socket) -> None:
        """Forget a socket."""
        self._subscribed.pop(socket, None)

    def notify(self, event: dict[str, Any]) -> None:
        """Send an event to all subscribers."""
        for socket, number in self._subscribed.items():
            socket.send(encode({"subscriptionId": number, "event": event}))

    def terminate(self) -> None:
        """End every subscription; sockets stay open and silent, dead ones are closed."""
        self.notify({"e": "eventStreamTerminated", "E": self._now_ms()})
        for socket in self._subscribed:
            if socket.deaf:
                socket.reset()
        self._subscribed.clear()

    def raw(self, message: str) -> None:
        """Send a text to all subscribers."""
        for socket in self._subscribed:
            socket.send(message)

    async def received(self, socket: Socket, message: str) -> None:
        """Handle a request of the WebSocket API."""
        try:
            asked = msgspec.json.decode(message, type=dict[str, Any])
        except msgspec.MsgspecError:
            error = {"code": -1135, "msg": "Invalid JSON request."}
            socket.send(encode({"id": None, "status": 400, "error": error}))
            return
        number, method = asked.get("id"), str(asked.get("method", ""))
        given = asked.get("params") or {}
        params = {str(name): _plain(value) for name, value in given.items()}
        try:
            response = self._answer(socket, method, params)
        except Rejection as rejection:
            response = VenueResponse.rejected(rejection)
        if response.mode != "send":
            if response.mode == "abort":
                socket.reset()
            return
        if response.hold_ms:
            await asyncio.sleep(response.hold_ms / 1000)
        body: dict[str, Any] = {"id": number, "status": response.status}
        if response.status == 200:
            body["result"] = response.body
        else:
            body["error"] = response.body
        if response.raw is not None:
            body["result"] = {}
        socket.send(encode(body))

    def _answer(self, socket: Socket, method: str, params: dict[str, str]) -> VenueResponse:
        signed = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "signature")
        request = VenueRequest("WS", method, params, signed, params.get("apiKey", ""))
        if method == "userDataStream.subscribe.signature":
            self._api.verify(request)
            self.count += 1
            self._subscribed[socket] = self.count - 1
            return VenueResponse(200, {"subscriptionId": self.count - 1})
        if method == "userDataStream.unsubscribe":
            self.leave(socket)
            return VenueResponse(200, {})
        route = WS_METHODS.get(method)
        if route is None:
            raise Rejection(-1130, "Unknown method.")
        request.method, request.path = route
        return self._api.handle(request)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
