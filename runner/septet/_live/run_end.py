"""Ends a strategy's run within a bound: no entries, in-flight requests awaited, journal closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from septet import messages as m
from septet._live.build_core import has_venue_fills
from septet._live.stop import (
    STOP_WITHIN_S,
    RunEnd,
    StopBound,
    cancel_entries,
    mark_failed,
    within,
)
from septet.errors import SeptetError

if TYPE_CHECKING:
    from septet._live.strategy_run import StrategyRun

__all__ = ["end_run"]

_LOOK_S: Final = 0.05
_STEP_S: Final = STOP_WITHIN_S / 4


async def end_run(run: StrategyRun, reason: str, bound: StopBound) -> RunEnd:
    """End a run in order, for any reason; the caller releases its folder."""
    found = await _ending(run, reason, bound)
    return _close(run, found, reason)


async def _ending(run: StrategyRun, reason: str, bound: StopBound) -> RunEnd:
    if run.ended is None:
        await _disconnect(run, bound)
        return RunEnd("stopped", reason)
    if not run.ended.done():
        event = m.Operated(at_ns=run.clock.now_ns(), action="stop", name="septet", reason=reason)
        run.shell.put_first(event)
        await _awaited(run, run.shell.drain(), bound)
        await _flattened(run, bound)
    left = None
    if run.ended.done() and run.ended.result().why != "stopped":
        # The position keeps its protective stop: no process watches its level any more.
        left = await cancel_entries(
            run.venue,
            run.location.tag,
            run.dispatcher.is_entry,
            notify=run.notify,
            within_s=bound.left_s(STOP_WITHIN_S / 2),
        )
    await _awaited(run, run.shell.wait_for_calls(bound.left_s(_STEP_S)), bound)
    await _disconnect(run, bound)
    if not run.ended.done():
        await _awaited(run, run.shell.drain(), bound)
        await asyncio.sleep(0)
    failed = run.ended.result() if run.ended.done() else None
    run.shell.stop(reason)
    run.dispatcher.close()
    if failed is not None and failed.why != "stopped":
        return RunEnd("failed", failed.text, left)
    if run.halted:
        return RunEnd("halted", f"{reason}; {', '.join(run.known.held()) or 'halted'}")
    return RunEnd("finished" if run.finished.is_set() else "stopped", reason)


async def _flattened(run: StrategyRun, bound: StopBound) -> None:
    """Wait, within a bound, for the fills of the exits that `on_shutdown: flatten` has sent.

    What fills at the next bar alone, in paper, waits for the next start, which receives that bar.
    """
    if run.strategy.execution.on_shutdown != "flatten" or not has_venue_fills(run.strategy):
        return
    bound.extend(STOP_WITHIN_S / 2)
    loop = asyncio.get_running_loop()
    until, engine = loop.time() + STOP_WITHIN_S / 2, run.build.core.engine
    while not (engine.is_flat or run.ended is None or run.ended.done()):
        if loop.time() >= until:
            text = "on_shutdown: flatten: not everything was closed in time; the next start goes on"
            run.notify("error", "stop", {"text": text})
            return
        await asyncio.sleep(_LOOK_S)


async def _awaited(run: StrategyRun, call: Any, bound: StopBound) -> None:
    if not await within(run.tasks, "stop", call, bound.left_s(_STEP_S)):
        run.notify("warning", "stop", {"text": "something did not answer in time"})


async def _disconnect(run: StrategyRun, bound: StopBound) -> None:
    if run.training is not None:
        run.training.close()
    for each in (run.market, run.venue):
        if each is not None:
            try:
                call, text = each.close(), "no answer in time"
                closed = await within(run.tasks, "close", call, bound.left_s(_STEP_S))
            except Exception as error:  # the run ends whatever an adapter does
                closed, text = False, f"{type(error).__name__}: {error}"
            if not closed:
                run.notify("warning", "stop", {"text": f"closing: {text}"})


def _close(run: StrategyRun, found: RunEnd, reason: str) -> RunEnd:
    """Close the journal; a run whose end cannot be stored has failed."""
    journal, clean = run.journal, found.how != "failed"
    if not clean:
        ended = run.ended.result() if run.ended is not None else None
        error, event = (ended.error, ended.event) if ended else (None, None)
        mark_failed(run.location.folder, found.text, error, event)
        run.notify("critical", "failed", {"text": found.text})
    if journal is None:
        return found
    try:
        if clean and run.ended is not None:
            journal.commit(True)
            run.snapshot()
        if run.ended is not None:
            journal.end(clean=clean, how=found.text[:500], now_ns=run.clock.now_ns())
    except (SeptetError, OSError) as error:
        text = f"{found.text}; its end is not in the journal: {error}"
        run.notify("critical", "failed", {"text": text})
        found = RunEnd("failed", text, found.open_orders)
    finally:
        journal.close()
    run.notify("info", found.how, {"text": reason})
    return found
