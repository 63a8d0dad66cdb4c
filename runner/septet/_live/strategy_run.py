"""One strategy of a live process: its start, its periodic work and its stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from septet import messages as m
from septet._core.venue_fills import VenueFillsEngine
from septet._host.background_tasks import CLOSE_S
from septet._host.venues import FeedFacts, LiveFeed, LiveVenue, VenueFacts, require_listed_symbols
from septet._journal.journal_writer import Journal
from septet._journal.lease import boot_id, mark_path
from septet._live import start as begin
from septet._live.alerts import FLUSH_S
from septet._live.journal_head import describe, head_of
from septet._live.kill_switch import moved_aside, moved_aside_text
from septet._live.local_run import LocalRun
from septet._live.logs import lines_of
from septet._live.market_data.handler import MarketDataHandler
from septet._live.market_data.opening import (
    history_ns_of,
    make_market,
    request_of,
    require_kinds,
    unmarked,
)
from septet._live.paper.liquidation import liquidates
from septet._live.paper.venue import PaperVenue
from septet._live.run_end import end_run
from septet._live.stop import LATE_S, RunEnd, StopBound
from septet._live.unwatched import stop_text
from septet._live.wiring import (
    core_terms,
    filters_of,
    instruments_of,
    markets_of,
    take_up,
)
from septet.errors import InputError, JournalError, RunError

__all__ = ["StrategyRun"]

SNAPSHOT_ENTRIES: Final = 50_000
SNAPSHOT_NS: Final = 600 * 1_000_000_000
HEARTBEAT_NS: Final = 10 * 1_000_000_000
CATCH_UP_NS: Final = 30 * 1_000_000_000


class StrategyRun(LocalRun):
    """A strategy in paper or live mode.

    `prepare` opens only local files. A resumed live run opens its venue first, so that positions
    are managed even without market data: `reach`, `wake`, `agree`, then `connect`. A new run
    needs its history first: `connect`, `wake`, `agree`. Then `go_live` starts decisions, and
    `end` stops the run in order.
    """

    # ------------------------------------------------------------ connected

    async def reach(self, venue: LiveVenue) -> None:
        """Open the venue."""
        self.start_alerts()
        if self.venue is None:
            open_it = partial(venue.open, self.symbols, self.put)
            facts = await begin.retry_until_answered(
                "the venue",
                open_it,
                notify=self.notify,
                stopping=self.stopping,
                goes_on=self.resumed,
            )
            self.facts, self.venue = facts, venue
            if not self.resumed:
                require_listed_symbols(facts.exchange, facts.unlisted)

    async def _open_feed(self, market: MarketDataHandler) -> FeedFacts:
        return require_kinds(request_of(self.strategy), await market.open())

    async def connect(self, feed: LiveFeed, venue: LiveVenue | None) -> None:
        """Open the feed, and the venue if it is not open yet; a new run reads its history."""
        self.start_alerts()
        remaining = self.options.bars and self.options.bars - self.known.decisions
        market = make_market(
            self.loaded, feed, self.known.standing, clock=self.clock, notify=self.notify,
            put=begin.until_enough(self.put, remaining), points=self.known.points,
            tasks=self.tasks, goes_on=self.resumed,
        )  # fmt: skip
        self.market, market.put_in_order = market, self.put_in_order
        received = await begin.retry_until_answered(
            "the feed",
            partial(self._open_feed, market),
            notify=self.notify,
            stopping=self.stopping,
            goes_on=self.resumed,
        )
        for kind, how in received.how.items():
            self.notify("info", "feed", {"text": f"{kind} of {received.exchange} come by {how}"})
        for note in received.notes:
            self.notify("info", "feed", {"text": note})
        if text := unmarked(self.strategy):
            self.notify("info", "marks", {"text": text})
        if venue is not None:
            await self.reach(venue)
        if self.build is None:
            markets = self.facts.markets if self.facts is not None else received.markets
            instruments = instruments_of(self.loaded, markets)
        else:
            instruments = self.build.instruments
        if venue is None:
            listed = markets_of(self.loaded, instruments)
            self.venue = self.wiring.venue(self.loaded, self.clock, listed, self.tasks)
            if self.venue is not None:  # in this process: it fills against what the feed shows
                self.facts = await self.venue.open(self.symbols, self.put)
                market.quoted = getattr(self.venue, "quoted", None)
                self._charge = getattr(self.venue, "charged", None)
                if isinstance(self.venue, PaperVenue):
                    market.unquoted = self.venue.silent
                    self.venue.liquidates = self._liquidates
                    self.venue.is_contradicted = self._is_contradicted
                if not self.location.fresh:
                    take_up(self.venue, self.build.core)
        if self.build is None:
            self._make_core(instruments, core_terms(self.facts, self.clock.speed))
        if self._begins:
            since_ns = self._since_ns()
            self._history = await begin.retry_until_answered(
                "history",
                lambda: market.history(since_ns),
                notify=self.notify,
                stopping=self.stopping,
            )
        else:
            self.known.resume(market.bars)
        self._history = [*await market.points(), *self._history]

    def _liquidates(self, k: int, price: float) -> bool:
        engine = None if self.build is None else self.build.core.engine
        if self.strategy.account.type == "spot" or not isinstance(engine, VenueFillsEngine):
            return False
        return liquidates(engine, self.strategy.perpetual, k, price)

    def _is_contradicted(self, k: int, bid: float, ask: float) -> bool:
        checks = None if self.build is None else self.build.core.checks
        return checks is not None and not checks.symbols[k].quote.may_use(bid, ask)

    def _since_ns(self) -> int:
        bar_ns = int(self.strategy.universe.bar)
        since_ns = self.clock.market_ns() - history_ns_of(self.strategy, self.build.bars_needed)
        return since_ns - since_ns % bar_ns

    def _create(self) -> Journal:
        head = head_of(
            self.loaded, self.build, self.location, clock=self.clock, terms=self._terms,
            account=self.facts.account if self.facts is not None else "",
            history=self._history, stored=self._stored,
        )  # fmt: skip
        describe(self.location, self.loaded, head)
        return Journal.create(
            self.location.journal, head, durability=self.durability,
            mark=mark_path(self.location.run_id),
        )  # fmt: skip

    def require_same_account(self, facts: VenueFacts) -> None:
        """Refuse to resume with another account than the run began with.

        Raises
        ------
        InputError
            The journal names another account.
        """
        known = self.journal.head.account if self.journal is not None else ""
        if known and known != facts.account:
            raise InputError(
                f"the run in {self.location.folder} trades another account of {facts.exchange}",
                hint="put its key back, or begin another run with --fresh",
            )

    @property
    def closes(self) -> dict[str, float]:
        """Return the last close of each symbol in the history that was read."""
        bars = [each for each in self._history if isinstance(each, m.BarClosed)]
        return {self.symbols[each.symbol]: each.close for each in bars}

    # ------------------------------------------------------------ trading

    async def wake(self) -> None:
        """Start, halt if requested, and query the venue for fills and open orders.

        A new run makes its journal, and takes its history in first.
        """
        if self.journal is None:
            self.journal = self._create()
            self._make_shell(self.journal)
        self.dispatcher.venue = self.venue
        journal, now_ns = self.journal, self.clock.now_ns()
        self._owed, tail = list(self.known.trains.values()), journal.tail_facts()
        self._first = tail.seq == 0
        assert self.lease is not None
        holder = self.lease.holder
        session = journal.begin(pid=holder.pid, host=holder.host, boot=boot_id(), now_ns=now_ns)
        if ended := begin.unrecorded_end(journal, tail.at_ns):
            self.notify("error", "unrecorded_end", {"text": ended})
        self.ended = self.shell.start()
        self.take_up_halts()  # one may have been asked for since the lease was taken
        operated = self.switch.look()  # it is first in `_early`
        early, self._early = self._early or [], None
        # A halt goes before the start. A resume goes after it: what it sends, a stop among it,
        # would be taken for requests in flight when the last process ended.
        if operated is not None and operated.action != "resume":
            self.shell.put(early.pop(0))
        self.shell.put(
            m.Started(
                at_ns=now_ns, session=session, run_id=self.location.run_id, mode=self.strategy.mode,
                strategy=self.strategy.name, origin_ns=journal.head.origin_ns,
                market_ns=self.clock.market_ns(), fingerprints=journal.head.fingerprints,
                id_part=begin.new_id_part() if self.strategy.mode == "live" else "",
            )
        )  # fmt: skip
        self._announce_stored()
        for event in early:
            self.shell.put(event)
        for doubt in begin.doubts(journal, now_ns):
            self._safe_mode(doubt)
        if self.market is not None:
            self._give()
        await self._handled()
        if self.venue is not None:
            self._reconciling = []
            if self.facts is not None and not self._first:
                for changed in filters_of(self.facts, self.build.instruments, self.clock.now_ns()):
                    self.shell.put(changed)
            await begin.reconcile_orders(
                self.venue, self.symbols, since_ns=max(0, tail.at_ns - begin.OVERLAP_NS),
                first=self._first, put=self.shell.put, notify=self.notify, stopping=self.stopping,
            )  # fmt: skip
            await self._handled()

    async def agree(self) -> None:
        """Compare the account with the books; then close positions if a flatten was requested."""
        if self.venue is not None:
            await begin.reconcile_account(
                self.venue, first=self._first, put=self.shell.put,
                notify=self.notify, stopping=self.stopping, now_ns=self.clock.now_ns,
            )  # fmt: skip
            await self._handled()
            rows, self._reconciling = self._reconciling or [], None
            if not self._first and self.strategy.execution.at_start == "refuse_if_different":
                begin.require_venue_agreement(rows, self.location.folder)
        self.switch.agreed = True
        self.switch.look()
        for at_ns in list(self.known.wakes):
            self.dispatcher.wake(at_ns)
        if self.venue is not None:
            await begin.reconcile_clock(
                self.venue, first=self._first, put=self.shell.put, notify=self.notify,
                stopping=self.stopping,
            )  # fmt: skip
            await self._handled()

    async def go_live(self) -> None:
        """Process the missed market data, and start the handler."""
        assert self.market is not None
        self._give()
        await self._handled()
        self.ready.set()
        self.dispatcher.dispatch(self._owed)  # requested before a restart, and never received
        if self._begins and await begin.first_model(self.known.trains, self.stopping, self.notify):
            self.market.decision_times.begin_here()
        self.market.start()
        self.live_ns = self.clock.market_ns()
        assert self.journal is not None
        try:
            self.journal.note_live()
        except JournalError as error:  # a full disk: then an end of this start counts for none
            self.notify("warning", "journal_failed", {"text": error.message})
        self.notify("info", "live", {"text": f"{self.strategy.name} is live"})
        for name in moved_aside(self.location.folder):
            self.notify("warning", "moved_aside", {"text": moved_aside_text(name)})

    def _give(self) -> None:
        assert self.market is not None
        if not self._history_given:
            self._history_given = True
            self.market.give(self._history, catch_up_ns=CATCH_UP_NS, fresh=self._begins)
            self._history = []

    def _safe_mode(self, doubt: str) -> None:
        reason = f"safe mode: {doubt}"
        self.notify("critical", "safe_mode", {"text": f"{reason}; septet resume clears it"})
        event = m.Operated(
            at_ns=self.clock.now_ns(), action="halt", name="safe_mode", reason=reason
        )
        self.shell.put(event)

    async def _handled(self) -> None:
        await self.shell.drain()
        await asyncio.sleep(0)  # what was handled reaches `_watch` a step later
        self.require_running_strategy()

    def require_running_strategy(self) -> None:
        """Refuse to continue a start whose strategy has failed.

        Raises
        ------
        RunError
            The strategy has failed.
        """
        if self.ended is not None and self.ended.done():
            raise RunError(f"{self.strategy.name} ended while it began: {self.ended.result().text}")

    def _watch(self, event: m.Event, commands: Sequence[m.Command]) -> None:
        """Pass a stored row to the fold beside the core, the account, the switch and the log."""
        self.known.take(event, commands)
        self.member.watch(event, commands)
        self.switch.stored(event)
        if self._reconciling is not None:
            self._reconciling.append((event, commands))
        if self._charge is not None:
            for each in commands:
                if isinstance(each, m.Funded | m.Traded):
                    self._charge(each)
        self.seen.take(event, commands, self.symbols)
        self.alerts.row(event, commands, self.symbols)
        for level, name, fields in lines_of(event, commands, self.symbols):
            self.log.notify(level, name, fields)
        bars, until_ns = self.options.bars, self.options.until_ns
        if (bars is not None and self.known.decisions >= bars) or (
            until_ns is not None and self.clock.market_ns() >= until_ns
        ):
            self.finished.set()

    # ------------------------------------------------------------ now and then

    def _look_for_folder(self) -> None:
        """Report once that the folder is gone: a file cannot halt the run then."""
        is_gone = not self.location.folder.is_dir()
        if is_gone and not self._homeless:
            text = f"the folder {self.location.folder} is gone: `septet halt` and a file "
            text += "HALT do nothing until it is put back; SIGUSR1 halts the run"
            self.notify("critical", "folder_gone", {"text": text})
            if self.shell.journal_works:  # entries of a run that nobody can halt are blocked
                self._safe_mode("its folder is gone")
        self._homeless = is_gone

    def tend(self) -> None:
        """Run the non-urgent work, several times a second."""
        if self.ended is None:  # it begins: `wake` looks, so that a halt goes before the start
            return
        self.switch.look()
        self._look_for_folder()
        self._check_prices()
        journal, now_ns = self.journal, self.clock.now_ns()
        if journal is None or self.ended is None or self.ended.done():
            return
        if self.options.until_ns is not None and self.clock.market_ns() >= self.options.until_ns:
            self.finished.set()
        try:
            if now_ns - self._heartbeat_ns > HEARTBEAT_NS:
                self._heartbeat_ns = now_ns
                journal.heartbeat(now_ns)
            if self.shell.journal_works and (
                journal.seq - self._snapshot_seq > SNAPSHOT_ENTRIES
                or now_ns - self._snapshot_ns > SNAPSHOT_NS
            ):
                self.snapshot()
            journal.checkpoint_if_idle()
        except JournalError as error:
            self.notify("warning", "journal", {"text": error.message})

    def _check_prices(self) -> None:
        """Alert about positions of which no price comes."""
        market = self.market if self.live_ns >= 0 else None
        self._unwatched.check(
            asyncio.get_running_loop().time(), self.member.positions,
            lambda symbol: market is not None and market.is_watched(symbol),
            lambda symbol: stop_text(self.build.core, self.symbols.index(symbol)),
        )  # fmt: skip

    def snapshot(self) -> None:
        """Store a snapshot, if the core is exactly at the journal's last entry."""
        journal = self.journal
        if journal is None or self.known.entries != self.shell.handled:
            return  # at the next call
        snapshot = self.known.kept(
            self.build.core.snapshot(), self.member, self.dispatcher.recent()
        )
        journal.snapshot(msgspec.msgpack.encode(snapshot))
        self._snapshot_ns, self._snapshot_seq = self.clock.now_ns(), journal.seq

    def measure(self) -> None:
        """Query the venue's clock and filters; the answers arrive as events."""
        if self.venue is not None:
            self.dispatcher.start(self._measured(self.venue), "clock and filters")

    async def _measured(self, venue: LiveVenue) -> None:
        try:
            events = [await venue.skew(), *(await venue.refresh_markets() or ())]
        except Exception as error:  # a bug of the adapter: the next call may succeed
            self._fault("skew", error)
            return
        for each in events:
            if each is not None:
                self.put(each)

    def clock_jumped(self, by_ns: int) -> None:
        """Let the core count its bounds anew: the clock jumped ahead, and less time has passed."""
        clock = self.clock
        self.put(m.Ticked(at_ns=clock.now_ns(), market_ns=clock.market_ns(), jumped_ns=by_ns))

    def stood_still(self, seconds: float, why: str) -> None:
        """Block entries until fresh data arrives after a suspension."""
        text = f"{why} for {seconds:.1f} s: entries wait for fresh data"
        self.notify("error", "stood_still", {"text": text})
        if self.market is not None:
            self.market.stood_still(text, CATCH_UP_NS)

    # ------------------------------------------------------------ end

    async def end(self, reason: str, bound: StopBound) -> RunEnd:
        """End the run in order, and release its folder for another start; see `run_end`.

        The log stays open for later messages.
        """
        try:
            return await end_run(self, reason, bound)
        finally:
            await self.alerts.close(bound.left_s(FLUSH_S, of_s=LATE_S))
            await self.tasks.close(bound.left_s(CLOSE_S, of_s=LATE_S))
            if self.lease is not None:
                self.lease.release()
