"""Orders on the local venue: sent by the dispatcher, answered, journaled, and compared with truth.

A small core asks for the next order whenever one is answered, so that a fixed number is always on
its way; shell, journal, dispatcher, adapter and ccxt client are the product's. Market orders buy
and sell by turns. The venue is another process; it shares the machine's cores with us.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from live_common import Figure, Report, folder, median, quantile
from live_latency import run
from live_local import BTC, Local, connection, local

from septet import messages as m
from septet._drill.venue.venue_journal import FillMade, OrderChanged, read_venue_journal
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet._live.clock import WallClock
from septet._live.dispatch import Dispatcher
from septet._live.process import keep_apart
from septet._live.shell import Shell

SECONDS, IN_FLIGHT = 60.0, 32
TAG = "sbench00"
ENDS = (m.Acked, m.Rejected, m.Uncertain)


class Asker:
    """A core that keeps a number of orders on their way until it is stopped."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}
        self.took_ns: list[int] = []
        self.refused = self.filled = 0
        self.going = True

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        """Answer a start with all of them, an answer with the next one."""
        if isinstance(event, m.Ticked):
            return [self._order(event.at_ns) for _ in range(IN_FLIGHT)]
        if isinstance(event, m.Filled):
            self.filled += 1
        elif isinstance(event, ENDS):
            self.refused += not isinstance(event, m.Acked)
            self.took_ns.append(time.perf_counter_ns() - self.sent[event.client_id])
            return [self._order(event.at_ns)] if self.going else []
        return []

    def _order(self, now_ns: int) -> m.Submit:
        number = len(self.sent) + 1
        client_id = f"{TAG}{number:x}-0"
        self.sent[client_id] = time.perf_counter_ns()
        return m.Submit(
            client_id=client_id, parent=number, symbol=0, side="buy" if number % 2 else "sell",
            order_type="market", quantity=0.1, reduces=False, deadline_ns=now_ns + 10_000_000_000,
        )  # fmt: skip


def _no_words(level: str, event: str, fields: dict[str, Any]) -> None:
    if level in ("error", "critical"):
        raise SystemExit(f"{event}: {fields}")


async def _measured(place: Path, venue: Local, seconds: float) -> dict[str, Any]:
    clock, core = WallClock(), Asker()
    head = Head(
        run_id="orders", strategy="orders", mode="live", account="", created_ns=0, origin_ns=0
    )
    with Journal.create(place / "journal.sqlite", head, durability="process") as journal:
        adapter = connection(venue.urls, clock)
        shell: Shell | None = None
        early: list[m.Event] = []

        def put(event: m.Event) -> None:
            early.append(event) if shell is None else shell.put(event)

        dispatcher = Dispatcher(adapter, clock=clock, put=put)
        shell = Shell(core, journal, dispatcher, clock=clock, notify=_no_words)
        shell.start()
        await adapter.open([BTC], shell.put)
        keep_apart()
        try:
            began = time.perf_counter()
            spent = time.thread_time()
            shell.put(m.Ticked(at_ns=clock.now_ns(), market_ns=0))
            await asyncio.sleep(seconds)
            core.going = False
            while len(core.took_ns) < len(core.sent):
                await asyncio.sleep(0.01)
            lasted, busy = time.perf_counter() - began, time.thread_time() - spent
            await _all_fills(core)
            await shell.drain()
        finally:
            await adapter.close()
            shell.stop()
    took = [each / 1e6 for each in core.took_ns]
    return {
        "rate": len(took) / lasted, "orders": len(core.sent), "refused": core.refused,
        "filled": core.filled, "p50": median(took), "p99": quantile(took, 0.99),
        "busy": busy / lasted,
    }  # fmt: skip


async def _all_fills(core: Asker) -> None:
    """Wait until the user stream has delivered everything, for ten seconds at most."""
    for _ in range(100):
        if core.filled >= len(core.sent):
            return
        await asyncio.sleep(0.1)


def lost(journal: Path, truth: Path) -> dict[str, int]:
    """Compare our journal with the venue's own; return how many orders and fills differ."""
    sent, answered, fills = set[str](), list[str](), set[tuple[str, str, float]]()
    with Reader(journal) as reader:
        for entry in reader.read(0, reader.last_seq):
            sent |= {each.client_id for each in entry.commands if isinstance(each, m.Submit)}
            event = entry.event
            if isinstance(event, m.Acked):
                answered.append(event.client_id)
            elif isinstance(event, m.Filled):
                fills.add((event.trade_id, event.client_id, event.quantity))
    rows = read_venue_journal(truth)
    theirs = {each.order_id: each.client_id for each in rows if isinstance(each, OrderChanged)}
    executed = {
        (str(each.trade_id), each.client_id, float(each.quantity))
        for each in rows
        if isinstance(each, FillMade)
    }
    return {
        "orders that were sent and are not there": len(sent - set(theirs.values())),
        "orders that are there twice": len(theirs) - len(set(theirs.values())),
        "orders that are there and were not answered": len(set(theirs.values()) - set(answered)),
        "fills that differ": len(fills ^ executed),
    }


def _of_children_s() -> float:
    """Return the processor time of child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(quick: bool) -> Report:
    """Send for a minute, then count."""
    seconds = 2.0 if quick else SECONDS
    with folder() as place:
        before = _of_children_s()
        with local(place) as venue:
            found = run(partial(_measured, place, venue, seconds))
        venues = (_of_children_s() - before) * found["rate"] / found["orders"]
        missing = lost(place / "journal.sqlite", place / "venue-journal.jsonl")
    note = (
        f"{found['orders']:,} orders in {seconds:.0f} s, {IN_FLIGHT} on their way at a time, "
        f"{found['refused']} refused; our process was busy {found['busy']:.0%} of a core, "
        f"the venue's, with its start, {venues:.0%}"
    )
    name = "orders a second, acknowledged and journaled"
    return Report(
        [
            Figure("orders", name, found["rate"], "/s", 1_000.0, most=False, note=note),
            Figure("orders", "lost, doubled or unanswered, by the venue's own journal",
                   float(sum(missing.values())), "orders", 0.0,
                   note=", ".join(f"{count} {what}" for what, count in missing.items())),
            Figure("orders", "from the decision to its acknowledgement, p50", found["p50"], "ms"),
            Figure("orders", "from the decision to its acknowledgement, p99", found["p99"], "ms"),
        ]
    )  # fmt: skip
