"""How the run of one strategy ends: entries off, calls answered, the journal whole; in a bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from septet import messages as m
from septet._live.stop import STOP_WITHIN_S, LaneEnd, cancel_entries, mark_failed
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._live.lane import Lane

__all__ = ["end_run"]


async def end_run(lane: Lane, reason: str) -> LaneEnd:
    """End a run in order, whatever it ends for; the caller frees its folder."""
    found = await _ending(lane, reason)
    _close(lane, found, reason)
    return found


async def _ending(lane: Lane, reason: str) -> LaneEnd:
    if lane.ended is None:
        await _disconnect(lane)
        return LaneEnd("stopped", reason)
    if not lane.ended.done():
        event = m.Operated(at_ns=lane.clock.now_ns(), action="stop", name="septet", reason=reason)
        lane.shell.put_first(event)
        await _quietly(lane, lane.shell.drain())
    left = None
    if lane.ended.done() and lane.ended.result().why != "stopped":
        # The position keeps what protects it: nobody is there to watch its level any more.
        left = await cancel_entries(
            lane.venue, lane.place.tag, lane.dispatcher.is_entry, tell=lane.tell
        )
    await _quietly(lane, lane.shell.settle(STOP_WITHIN_S / 4))
    await _disconnect(lane)
    if not lane.ended.done():
        await _quietly(lane, lane.shell.drain())
        await asyncio.sleep(0)
    failed = lane.ended.result() if lane.ended.done() else None
    lane.shell.stop(reason)
    lane.dispatcher.close()
    if failed is not None and failed.why != "stopped":
        return LaneEnd("failed", failed.text, left)
    if lane.halted:
        return LaneEnd("halted", f"{reason}; {', '.join(lane.known.held()) or 'halted'}")
    return LaneEnd("finished" if lane.finished.is_set() else "stopped", reason)


async def _quietly(lane: Lane, call: Any) -> None:
    try:
        await asyncio.wait_for(call, STOP_WITHIN_S / 4)
    except TimeoutError:
        lane.tell("warning", "stop", {"text": "something did not answer in time"})


async def _disconnect(lane: Lane) -> None:
    if lane.training is not None:
        lane.training.close()
    for each in (lane.market, lane.venue):
        if each is not None:
            try:
                await asyncio.wait_for(each.close(), STOP_WITHIN_S / 4)
            except Exception as error:  # the run ends whatever an adapter does
                text = f"closing: {type(error).__name__}: {error}"
                lane.tell("warning", "stop", {"text": text})


def _close(lane: Lane, found: LaneEnd, reason: str) -> None:
    journal, clean = lane.journal, found.how != "failed"
    if not clean:
        ended = lane.ended.result() if lane.ended is not None else None
        error, event = (ended.error, ended.event) if ended else (None, None)
        mark_failed(lane.place.folder, found.text, error, event)
        lane.tell("critical", "failed", {"text": found.text})
    if journal is None:
        return
    try:
        if clean and lane.ended is not None:
            journal.commit(True)
            lane.snapshot()
        if lane.ended is not None:
            journal.end(clean=clean, how=found.text[:500], now_ns=lane.clock.now_ns())
    except (SeptetError, OSError) as error:
        lane.tell("error", "stop", {"text": f"the journal: {error}"})
    finally:
        journal.close()
    lane.tell("info", found.how, {"text": reason})
