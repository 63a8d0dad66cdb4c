"""Administrative requests to the venue, under ``/septet/``: not part of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from septet._drill.venue.config import Fault
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._drill.venue.server import LocalVenue

__all__ = ["Admin", "ClockReading", "Step"]


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """Both times at one instant; `ended` after all prices, `failure` after an error."""

    wall_ns: int
    market_ns: int
    speed: float
    bar_ns: int
    bar: int
    ended: bool
    paused: bool
    failure: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How far to advance paused time."""

    bars: int = 1
    ticks: int = 0


class Admin:
    """GET clock, journal, faults; POST faults, step, pause, resume."""

    def __init__(self, venue: LocalVenue) -> None:
        self._venue = venue

    def clock(self) -> ClockReading:
        """Read both clocks."""
        market = self._venue.market
        return ClockReading(
            wall_ns=market.clock.wall_ns(), market_ns=market.clock.market_ns(),
            speed=market.clock.speed, bar_ns=market.bar_ns, bar=market.bar, ended=market.ended,
            paused=market.clock.paused, failure=self._venue.failure,
        )  # fmt: skip

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer an administrative request."""
        body = await request.read() if request.can_read_body else b""
        name = request.raw_path.partition("?")[0].removeprefix("/septet/")
        try:
            answer = self._answer(f"{request.method} {name}", body)
        except (InputError, msgspec.MsgspecError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if answer is None:
            return web.json_response({"error": f"nothing at /septet/{name}"}, status=404)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def _answer(self, what: str, body: bytes) -> Any:
        venue, market = self._venue, self._venue.market
        match what:
            case "GET clock":
                return self.clock()
            case "GET journal":
                return venue.journal.dump()
            case "GET faults":
                return [{"fault": s.fault, "count": s.count} for s in venue.faults.plan]
            case "POST faults":
                return {"numbers": venue.inject(*msgspec.json.decode(body, type=list[Fault]))}
            case "POST step":
                how = msgspec.json.decode(body or b"{}", type=Step)
                market.clock.pause()
                market.step(how.bars, how.ticks)
                return self.clock()
            case "POST pause":
                market.clock.pause()
                return self.clock()
            case "POST resume":
                market.clock.run()
                market.poke()
                return self.clock()
            case _:
                return None
