"""The local venue as a server: sockets in front of the api, the streams and the market."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Self
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from septet._drill.venue.admin import Admin
from septet._drill.venue.amounts import text
from septet._drill.venue.api import Api
from septet._drill.venue.binance_messages import balance_update, execution_report, position_event
from septet._drill.venue.config import Fault, VenueConfig
from septet._drill.venue.engine import MatchingEngine, Report
from septet._drill.venue.faults import Injector
from septet._drill.venue.market import Market
from septet._drill.venue.market_requests import MarketRequests
from septet._drill.venue.order_requests import OrderRequests
from septet._drill.venue.sockets import Socket
from septet._drill.venue.stream_faults import StreamFaults
from septet._drill.venue.streams import MarketStreams
from septet._drill.venue.user_stream import UserStreams
from septet._drill.venue.venue_journal import BalanceChanged, VenueJournal
from septet._drill.venue.venue_request import VenueRequest, VenueResponse

__all__ = ["LocalVenue"]

_BIND_TRIES = 100


class LocalVenue:
    """A venue on this machine; `async with` starts and stops it.

    `port` serves the protocol, `admin_port` the questions under ``/septet/`` whatever faults
    are going on.
    """

    def __init__(self, config: VenueConfig) -> None:
        self.config = config
        self.journal = VenueJournal(config.journal_path)
        self.engine = MatchingEngine(
            config.symbols, config.balances, fees=config.fees,
            participation=config.participation, seed=config.seed, notify=self._reported,
        )  # fmt: skip
        self.market = Market(config, self.engine)
        self.clock = self.market.clock
        self.faults = Injector(config.seed, self.clock, self.journal)
        self.trading = OrderRequests(
            self.engine, self.clock, self.faults, can_withdraw=config.can_withdraw
        )
        self.public = MarketRequests(
            self.market, self._skew_ms, config.limits,
            lambda symbol: self.faults.lasting("E24", symbol) is None,
        )  # fmt: skip
        self.api = Api(config, self.public, self.trading, self.faults, self.journal)
        self.streams = MarketStreams(self.market)
        self.users = UserStreams(self.api, self.trading.now_ms)
        self.sockets: set[Socket] = set()
        self.stream_faults = StreamFaults(self)
        self.admin = Admin(self)
        self.market.listener = self.streams
        self.port = config.port
        self.admin_port = config.admin_port
        self.failure = ""
        self._server: asyncio.Server | None = None
        self._admin_server: asyncio.Server | None = None
        self._web = web.Server(self._serve, access_log=None)
        self._tasks: list[asyncio.Task[None]] = []
        self._opening_balances()

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the ports, and start the market."""
        loop = asyncio.get_running_loop()
        self._admin_server = await loop.create_server(
            web.Server(self.admin.serve, access_log=None), self.config.host, self.admin_port
        )
        self.admin_port = self._admin_server.sockets[0].getsockname()[1]
        await self.listen()
        self.faults.add(self.config.faults)
        self.stream_faults.look()
        for work in (self.market.run(), self.stream_faults.run()):
            self._tasks.append(self.watch(asyncio.ensure_future(work)))

    def watch(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Report the failure of a task."""
        task.add_done_callback(self._stopped)
        return task

    def _stopped(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failure = repr(error)
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the local venue stopped", "exception": error, "task": task}
            )

    async def listen(self) -> None:
        """Open the venue's port; its number stays the same once it was chosen."""
        loop = asyncio.get_running_loop()
        for left in reversed(range(_BIND_TRIES)):
            try:
                self._server = await loop.create_server(
                    self._web, self.config.host, self.port, ssl=self._ssl(), backlog=512
                )
                break
            except OSError:
                # While the port was closed, a connection may have left from it: it goes away.
                if not (left and self.port):
                    raise
                await asyncio.sleep(0.05)
        assert self._server is not None, "create_server returns or raises"
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def listening(self) -> bool:
        """Whether the venue's own port is open."""
        return self._server is not None

    def refuse(self) -> None:
        """Close the venue's own port and cut every connection to it."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every connection to the venue's own port."""
        for handler in list(self._web.connections):
            if handler.transport is not None:
                handler.transport.abort()

    async def close(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.trading.close()
        self.refuse()
        if self._admin_server is not None:
            self._admin_server.close()
        await self._web.shutdown(0.1)
        self.journal.close()

    def _ssl(self) -> ssl.SSLContext | None:
        if not self.config.certificate:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.config.certificate, self.config.private_key or None)
        return context

    # ------------------------------------------------------------ handy in tests

    @property
    def rest_url(self) -> str:
        """Address of the REST API."""
        return f"{'https' if self.config.certificate else 'http'}://{self.config.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Address of the WebSockets."""
        return self.rest_url.replace("http", "ws", 1)

    @property
    def urls(self) -> dict[str, Any]:
        """The `urls` that point a ccxt client at this venue."""
        rest, ws = self.rest_url, self.ws_url
        return {"api": {
            "public": f"{rest}/api/v3", "private": f"{rest}/api/v3", "sapi": f"{rest}/sapi/v1",
            "ws": {"spot": f"{ws}/stream/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}},
        }}  # fmt: skip

    def inject(self, *faults: Fault) -> list[int]:
        """Add faults to the plan; those whose time has passed begin at once."""
        numbers = self.faults.add(faults)
        self.stream_faults.look()
        return numbers

    # ------------------------------------------------------------ what happened

    def _skew_ms(self) -> float:
        planned = self.faults.lasting("E4")
        return planned.number_of("skew_ms", 10_000) if planned is not None else 0.0

    def _opening_balances(self) -> None:
        self._balances(tuple(self.engine.ledger.assets()), "opening")

    def _balances(self, assets: tuple[str, ...], cause: str) -> None:
        ledger, now = self.engine.ledger, self.clock.wall_ns()
        for asset in assets:
            self.journal.write(
                BalanceChanged(
                    at_ns=now, asset=asset, free=text(ledger.free[asset]),
                    locked=text(ledger.locked[asset]), cause=cause,
                )
            )  # fmt: skip

    def _reported(self, report: Report) -> None:
        """Write a change to the venue's journal, then send it to the subscribers."""
        now = self.clock.wall_ns()
        if report.order is not None:
            self.journal.order(now, report.order, str(report.execution), report.by)
            if report.fill is not None:
                self.journal.fill(now, self.clock.market_ns(), report.order, report.fill)
        cause = str(report.execution or ("deposit" if report.delta > 0 else "withdrawal"))
        if report.assets:
            self._balances(report.assets, cause)
        if self.users.subscribers:
            self.stream_faults.pass_on(self._events(report))

    def _events(self, report: Report) -> list[dict[str, Any]]:
        events = [] if report.order is None else [execution_report(report)]
        if report.order is None:
            events += [balance_update(a, report.delta, report.at_ms) for a in report.assets]
        if report.assets:
            events.append(position_event(self.engine.ledger, report.assets, report.at_ms))
        return events

    # ------------------------------------------------------------ requests

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith("/septet/"):
            return await self.admin.serve(request)
        if self.stream_faults.dark:
            return await self._vanish(request, 0)
        if "upgrade" in request.headers.get("Connection", "").lower():
            return await self._socket(request, path, query)
        body = (await request.read()).decode() if request.can_read_body else ""
        payload = query + body
        params = _fields(f"{query}&{body}" if query and body else payload)
        signed = payload.partition("&signature=")[0]
        key = request.headers.get("X-MBX-APIKEY", "")
        response = self.api.handle(VenueRequest(request.method, path, params, signed, key))
        return await self._send(request, response)

    async def _send(self, request: web.BaseRequest, response: VenueResponse) -> web.StreamResponse:
        if response.mode != "send":
            return await self._vanish(request, response.hold_ms)
        if response.hold_ms:
            await asyncio.sleep(response.hold_ms / 1000)
        body = response.raw if response.raw is not None else msgspec.json.encode(response.body)
        return web.Response(
            status=response.status, body=body, headers=response.headers,
            content_type="application/json",
        )  # fmt: skip

    async def _vanish(self, request: web.BaseRequest, hold_ms: float) -> web.StreamResponse:
        """Close the connection, now or after a while, without an answer."""
        if hold_ms:
            await asyncio.sleep(hold_ms / 1000)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _socket(
        self, request: web.BaseRequest, path: str, query: str
    ) -> web.StreamResponse:  # fmt: skip
        if any(self.faults.lasting(code) for code in ("E20", "E3", "A10")):
            return web.Response(status=503 if self.faults.lasting("E20") else 418)
        socket = Socket(request, "user" if path.startswith("/ws-api") else "market")
        self.stream_faults.welcome(socket)
        self.sockets.add(socket)
        try:
            if socket.kind == "user":
                return await socket.serve(lambda message: self.users.received(socket, message))
            named = dict(parse_qsl(query)).get("streams", "")
            last = path.rpartition("/")[2]
            streams = named.split("/") if named else ([last] if "@" in last else [])
            self.streams.join(socket, combined="/ws" not in path, streams=streams)
            return await socket.serve(lambda message: self.streams.received(socket, message))
        finally:
            self.sockets.discard(socket)
            self.streams.leave(socket)
            self.users.leave(socket)


def _fields(payload: str) -> dict[str, str]:
    """Return the fields of a query; the usual one has nothing quoted."""
    if "%" in payload or "+" in payload:
        return dict(parse_qsl(payload, keep_blank_values=True))
    return dict(pair.split("=", 1) for pair in payload.split("&") if "=" in pair)
