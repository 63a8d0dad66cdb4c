"""Ends a strategy's run within a bound: no entries, in-flight requests awaited, journal closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from septet import messages as m
from septet._core.unsellable import can_close, unsold
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
    from septet._core.live_core import LiveCore
    from septet._live.strategy_run import StrategyRun

__all__ = ["end_run"]

_LOOK_S: Final = 0.05
_STEP_S: Final = STOP_WITHIN_S / 4
FLATTEN_WITHIN_S: Final = 80.0
"""How long a shutdown waits for its exits: one whose answer was lost is sent again after 65 s."""


async def end_run(run: StrategyRun, reason: str, bound: StopBound) -> RunEnd:
    """End a run in order, for any reason; the caller releases its folder."""
    end = await _ending(run, reason, bound)
    return _close(run, end, reason)


async def _ending(run: StrategyRun, reason: str, bound: StopBound) -> RunEnd:
    if run.ended is None:
        await _disconnect(run, bound)
        return RunEnd("stopped", reason)
    held: tuple[str, ...] = ()
    if not run.ended.done():
        event = m.Operated(at_ns=run.clock.now_ns(), action="stop", name="septet", reason=reason)
        run.shell.put_first(event)
        await _awaited(run, run.shell.drain(), bound)
        held = await _flattened(run, bound)
    open_orders = None
    if run.ended.done() and run.ended.result().why != "stopped":
        # The position keeps its protective stop: no process watches its level any more.
        open_orders = await cancel_entries(
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
        return RunEnd("failed", failed.text, open_orders)
    if run.halted:
        return RunEnd("halted", f"{reason}; {', '.join(run.known.held()) or 'halted'}", held=held)
    return RunEnd("finished" if run.finished.is_set() else "stopped", reason, held=held)


async def _flattened(run: StrategyRun, bound: StopBound) -> tuple[str, ...]:
    """Wait, within a bound, for the fills of the exits that `on_shutdown: flatten` has sent.

    Returns the symbols that are still held. In paper, an exit that fills only at the next bar
    waits for the next start, which receives that bar.
    """
    if run.strategy.execution.on_shutdown != "flatten" or not has_venue_fills(run.strategy):
        return ()
    loop, core = asyncio.get_running_loop(), run.build.core
    began, ended = loop.time(), run.ended
    while _closing(core) and loop.time() < began + FLATTEN_WITHIN_S:
        if ended is None or ended.done():
            break
        await asyncio.sleep(_LOOK_S)
    bound.extend(loop.time() - began)
    unsold_by_symbol = dict.fromkeys(_closing(core), "its exit is not filled")
    unsold_by_symbol.update(unsold(core.engine, core.checks, core.orders, core.guards))
    held = tuple(core.names.symbols[k] for k in unsold_by_symbol)
    if held:
        reasons = "; ".join(unsold_by_symbol.values())
        text = f"on_shutdown: flatten: {', '.join(held)} is still held: {reasons}"
        run.notify("critical", "stop", {"text": f"{text}; the next start goes on"})
    return held


def _closing(core: LiveCore) -> list[int]:
    """Return the symbols that an order works, or that an order could still close."""
    engine, checks = core.engine, core.checks
    return [
        k
        for k in range(len(core.names.symbols))
        if engine.working(k) is not None or can_close(engine, checks, k)
    ]


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


def _close(run: StrategyRun, end: RunEnd, reason: str) -> RunEnd:
    """Close the journal; a run whose end cannot be stored has failed."""
    journal, clean = run.journal, end.how != "failed"
    if not clean:
        ended = run.ended.result() if run.ended is not None else None
        error, event = (ended.error, ended.event) if ended else (None, None)
        mark_failed(run.location.folder, end.text, error, event)
        run.notify("critical", "failed", {"text": end.text})
    if journal is None:
        return end
    try:
        if clean and run.ended is not None:
            journal.commit(True)
            run.snapshot()
        if run.ended is not None:
            journal.end(clean=clean, how=end.text[:500], now_ns=run.clock.now_ns())
    except (SeptetError, OSError) as error:
        text = f"{end.text}; its end is not in the journal: {error}"
        run.notify("critical", "failed", {"text": text})
        end = RunEnd("failed", text, end.open_orders)
    finally:
        journal.close()
    run.notify("info", end.how, {"text": reason})
    return end
