"""Active blocks of entries: each has a name, a start, and a condition that clears it.

A guard never stops a reduction. `Guards.blocked` is called before every entry and is one list
lookup; everything else runs once for each change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from septet import messages as m
from septet._core.block_rules import RULES, Rule
from septet._core.expected_fees import ExpectedFees
from septet._core.gone_positions import GonePositions, missing_of

__all__ = ["PROCESS", "RULES", "TASK", "Guard", "SKEW_NS", "Guards", "Rule", "instant"]

PROCESS = "process"
"""The stream of blocks that a process sets because it stood still."""
TASK = "task "
"""How the names of blocks begin that a process sets because a task of its own failed."""

MISMATCH_TEXT = "{symbol}: booked {ours:.12g}, the venue holds {theirs:.12g}"
FUNDS_TEXT = "the ledger counts {ours:.12g} in cash, and the account has {holdings}"
UNLISTED_TEXT = "the exchange no longer lists it"
LONGEST_NS = 3 * 86_400_000_000_000
"""No venue bans for longer; a longer time from an adapter is cut to it."""
CASH = -1
"""Stands for the cash where a gap is kept by symbol."""
SKEW_NS: Final = 500_000_000
"""How far the clocks may be apart where no venue of the file declares it."""


def instant(time_ns: int) -> str:
    """Return an instant in UTC, to the second."""
    return f"{np.datetime64(time_ns // 1_000_000_000, 's')}Z"


FEED = {"stale": "feed_stale", "down": "feed_down"}
VENUE = ("down", "limited", "banned", "maintenance")


class Guard(msgspec.Struct):
    """An active block. `symbol` -1 is the whole run; `until_ns` 0 means no scheduled end."""

    rule: str
    symbol: int
    of: str
    since_ns: int
    until_ns: int
    text: str


class _Saved(msgspec.Struct):
    guards: list[Guard]
    accepted: dict[int, float]
    gaps: dict[int, float]
    lots: dict[int, float]
    equity: float
    doubts: dict[int, tuple[float, int]] = {}
    gone: GonePositions = msgspec.field(default_factory=GonePositions)
    expected_fees: ExpectedFees = msgspec.field(default_factory=ExpectedFees)
    filters_before: dict[int, tuple[float, ...]] = {}


class Guards:
    """The active blocks of entries.

    Parameters
    ----------
    symbols
        Names of the universe's symbols, in order.
    skew_limit_ns
        How far the local clock may be from a venue's.
    watched
        Prefixes of the streams whose silence blocks entries; empty means all.
    lots
        The lot of each symbol when the run began; a coarser one blocks entries.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        skew_limit_ns: int = SKEW_NS,
        watched: tuple[str, ...] = (),
        lots: Sequence[float] = (),
    ) -> None:
        self.symbols = tuple(symbols)
        self.equity = 0.0
        self._skew_limit_ns, self._watched = skew_limit_ns, watched
        self._guards: dict[tuple[str, int, str], Guard] = {}
        self._reasons = [""] * len(self.symbols)
        self._accepted: dict[int, float] = {}
        self._gaps: dict[int, float] = {}
        self._doubts: dict[int, tuple[float, int]] = {}
        self._gone = GonePositions()
        self.expected_fees = ExpectedFees()
        self.filters_before: dict[int, tuple[float, ...]] = {}
        self._lots = dict(enumerate(lots))
        self._handlers: dict[type[m.Event], Callable[[Any], list[m.Command]]] = {
            m.FeedChanged: self._feed,
            m.VenueChanged: self._venue,
            m.FiltersChanged: self._filters,
            m.Skewed: self._skew,
            m.Operated: self._operated,
            m.Quarantined: self._quarantined,
            m.Started: self._started,
            m.Ticked: self._timer,
        }

    def blocked(self, k: int) -> str:
        """Return the name of the oldest block of entries of a symbol, or ""."""
        return self._reasons[k]

    def active(self) -> list[Guard]:
        """Return every active block, the oldest first."""
        return list(self._guards.values())

    def symbols_of(self, rule: str) -> list[int]:
        """Return the single symbols that a block is active for."""
        if not self._guards:
            return []
        return [k for name, k, _ in self._guards if name == rule and k >= 0]

    def is_unlisted(self, k: int) -> bool:
        """Whether the exchange does not list a symbol: no order of it can be sent or cancelled."""
        return ("unlisted", k, "") in self._guards

    def wake_ns(self) -> int:
        """Return when the next block ends by itself (wall time), or 0."""
        if not self._guards:
            return 0
        return min((guard.until_ns for guard in self._guards.values() if guard.until_ns), default=0)

    # ------------------------------------------------------------------ changes

    def trip(
        self, rule: str, now_ns: int, *, symbol: int = -1, of: str = "", text: str = "",
        until_ns: int = 0,
    ) -> list[m.Command]:  # fmt: skip
        """Begin a block; if it is active already, only its end changes.

        The later end counts; a block without an end is no longer ended by time.
        """
        held = self._guards.get((rule, symbol, of))
        if held is not None:
            held.until_ns = max(held.until_ns, until_ns) if until_ns else 0
            return []
        self._guards[rule, symbol, of] = Guard(rule, symbol, of, now_ns, until_ns, text)
        self._refresh()
        known = RULES[rule]
        name = self._name(rule, symbol, of)
        alert = f"{name}: {text}; no entries until {known.clears_when}".replace(": ;", ":")
        return [
            m.Tripped(
                rule=name,
                then="block_entries",
                clears_when=known.clears_when,
                equity=self.equity,
                text=text,
            ),
            m.Alerted(level=known.level, event=rule, text=alert, symbol=symbol),
        ]

    def clear(self, rule: str, by: str, *, symbol: int = -1, of: str = "") -> list[m.Command]:
        """End a block, if it is active."""
        held = self._guards.pop((rule, symbol, of), None)
        if held is None:
            return []
        self._refresh()
        return [m.Cleared(rule=self._name(rule, symbol, of), by=by, text=held.text)]

    def _name(self, rule: str, symbol: int, of: str) -> str:
        parts = (rule, of, self.symbols[symbol] if symbol >= 0 else "")
        return ":".join(part for part in parts if part)

    def _refresh(self) -> None:
        reasons = [""] * len(self.symbols)
        for guard in self._guards.values():
            if guard.symbol < 0:
                reasons = [reason or guard.rule for reason in reasons]
            elif not reasons[guard.symbol]:
                reasons[guard.symbol] = guard.rule
        self._reasons = reasons

    def _clear_all(self, rules: Sequence[str], by: str) -> list[m.Command]:
        keys = [key for key in self._guards if key[0] in rules]
        return [each for rule, k, of in keys for each in self.clear(rule, by, symbol=k, of=of)]

    # ------------------------------------------------------------------ events

    def handle(self, event: m.Event) -> list[m.Command]:
        """Process an event; events that concern no guard have no effect."""
        handler = self._handlers.get(type(event))
        return [] if handler is None else handler(event)

    def _started(self, event: m.Started) -> list[m.Command]:
        """End the blocks that the previous process set for itself: it cannot clear them."""
        own = [key for key in self._guards if key[2] == PROCESS or key[2].startswith(TASK)]
        commands = self._clear_all(["stopping"], "start")
        commands += [
            each for rule, k, of in own for each in self.clear(rule, "start", symbol=k, of=of)
        ]
        return commands + self.ticked(event.at_ns)

    def _quarantined(self, event: m.Quarantined) -> list[m.Command]:
        return self.trip(
            "quarantine", event.at_ns, of=event.plugin, text=event.text, until_ns=event.until_ns
        )

    def _timer(self, event: m.Ticked) -> list[m.Command]:
        """End what is over; after a jump of the clock every end is as much later."""
        if event.jumped_ns > 0:
            for guard in self._guards.values():
                guard.until_ns += event.jumped_ns if guard.until_ns else 0
        return self.ticked(event.at_ns)

    def ticked(self, now_ns: int) -> list[m.Command]:
        """End the blocks whose time has passed."""
        over = [key for key, guard in self._guards.items() if 0 < guard.until_ns <= now_ns]
        return [each for rule, k, of in over for each in self.clear(rule, "time", symbol=k, of=of)]

    def _feed(self, event: m.FeedChanged) -> list[m.Command]:
        if self._watched and not event.stream.startswith(self._watched):
            return []
        tripped = FEED.get(event.state, "")
        commands: list[m.Command] = []
        held = self._guards.get((tripped, event.symbol, event.stream))
        if held is not None:
            held.text = event.reason
        for rule in FEED.values():
            if rule != tripped:
                commands += self.clear(rule, event.state, symbol=event.symbol, of=event.stream)
        if tripped:
            commands += self.trip(
                tripped, event.at_ns, symbol=event.symbol, of=event.stream, text=event.reason
            )
        return commands

    def _venue(self, event: m.VenueChanged) -> list[m.Command]:
        commands: list[m.Command] = []
        for state in VENUE:
            if state != event.state:
                commands += self.clear(f"venue_{state}", event.state, of=event.venue)
        if event.state == "up" and event.reason and not event.venue.startswith(TASK):
            text = f"{event.venue}: {event.reason}"
            commands.append(m.Alerted(level="warning", event="account_polled", text=text))
        if event.state in VENUE:
            rule, until_ns, text = f"venue_{event.state}", 0, event.reason
            if event.until_ns > 0:
                until_ns = min(event.until_ns, event.at_ns + LONGEST_NS)
                text = f"{text}; until {instant(until_ns)}".removeprefix("; ")
            held = self._guards.get((rule, -1, event.venue))
            if held is not None and 0 < held.until_ns < until_ns:
                held.text = text
                if event.state == "banned":
                    longer = f"{self._name(rule, -1, event.venue)}: longer, {text}"
                    commands.append(m.Alerted(level="critical", event=rule, text=longer))
            commands += self.trip(rule, event.at_ns, of=event.venue, text=text, until_ns=until_ns)
        return commands

    def _filters(self, event: m.FiltersChanged) -> list[m.Command]:
        """Block entries after a coarser lot: sizes were decided with the finer one."""
        k, now_ns = event.symbol, event.at_ns
        commands: list[m.Command] = []
        if not event.listed:
            commands += self.trip("unlisted", now_ns, symbol=k, text=UNLISTED_TEXT)
            return commands + self.clear("symbol_halted", "the venue", symbol=k)
        commands += self.clear("unlisted", "the venue", symbol=k)
        if event.trading:
            commands += self.clear("symbol_halted", "the venue", symbol=k)
        else:
            commands += self.trip("symbol_halted", now_ns, symbol=k, text="trading is off")
        before = self._lots.get(k, event.lot)
        self._lots[k] = event.lot
        if event.lot > before:
            text = f"the lot was {before:.12g} and is {event.lot:.12g}"
            commands += self.trip("filters_changed", now_ns, symbol=k, text=text)
        return commands

    def _skew(self, event: m.Skewed) -> list[m.Command]:
        if abs(event.skew_ns) <= self._skew_limit_ns:
            return self.clear("clock_skew", "the clock", of=event.venue)
        text = f"the local clock is {event.skew_ns / 1e6:+.0f} ms from the venue's"
        return self.trip("clock_skew", event.at_ns, of=event.venue, text=text)

    def _operated(self, event: m.Operated) -> list[m.Command]:
        if event.action == "resume":
            self._accepted.update(self._gaps)
            self.filters_before.clear()
            names = [name for name, rule in RULES.items() if rule.person]
            commands = self._clear_all(names, event.name)
            if self._gone.accept([k for k in self._gaps if k != CASH], event.at_ns):
                commands.append(m.Refresh(what="holdings"))
            return commands
        if event.action == "rearm":
            return self._clear_all(["throttled"], event.name)
        rule = "stopping" if event.action == "stop" else "operator_halt"
        return self.trip(rule, event.at_ns, text=f"{event.name}: {event.reason}")

    # ------------------------------------------------------------------ the account

    def read(self, event: m.Holdings) -> list[m.Command]:
        """Begin or end the block of an account that cannot be read."""
        if event.unread:
            return self.trip("account_unread", event.at_ns, text=event.unread)
        return self.clear("account_unread", "the balances were read")

    def read_after(self, rule: str, k: int, asked_ns: int) -> list[m.Command]:
        """End a block of a symbol that waits for a read of the account asked for after it began."""
        held = self._guards.get((rule, k, ""))
        if held is None or asked_ns <= held.since_ns:
            return []
        return self.clear(rule, "the account was read", symbol=k)

    def compare(
        self, k: int, booked_units: float, account_units: float, *, tolerance: float,
        band: tuple[float, float], lags: Sequence[tuple[float, float]], now_ns: int,
        others: tuple[float, float] = (0.0, 0.0), complete_until_ns: int = 0, price: float = 0.0,
        unread: Callable[[int], tuple[float, float]] | None = None,
    ) -> list[m.Command]:  # fmt: skip
        """Compare the booked position of a symbol with the account's.

        Parameters
        ----------
        booked_units, account_units
            The booked position, and that of the account for this run (base currency, signed).
        tolerance
            Difference that is ignored (base): a lot, and remainders of fees.
        band
            Base currency that unfinished orders may have sold and bought since (`Orders.band`).
        lags
            How far the account's answer may be behind (`Orders.lags`): a gap within one of them is
            inconclusive.
        others
            Base currency that open orders of other strategies may have sold and bought since. Once
            they book these fills the gap ends: a gap that persists unchanged is not explained by
            them.
        complete_until_ns
            Time up to which the account's answer is complete (`Orders.complete_until_ns`).
        price
            The last known price (quote), at which what is gone is booked once it is accepted.
        unread
            `band` of orders that were not read since a time: a gap that has stayed the same since
            then is explained by these only. None stands for all of `band`.
        """
        gap = account_units - booked_units
        accepted = self._accepted.get(k, 0.0)
        if abs(gap) <= tolerance or abs(gap - accepted) <= tolerance:
            if abs(gap) <= tolerance:
                self._accepted.pop(k, None)
                self._gone.agrees(k)
            self._gaps.pop(k, None)
            self._doubts.pop(k, None)
            return self.clear("position_mismatch", "the balances agree", symbol=k)
        spans = [(0.0, 0.0), *lags]

        def explains(low: float, high: float) -> bool:
            low, high = low - tolerance, high + tolerance
            return any(low + below <= gap - accepted <= high + above for below, above in spans)

        if explains(0.0, 0.0):
            return []  # a stale read may explain it: nothing changes
        if explains(band[0] + others[0], band[1] + others[1]):
            before, since_ns = self._doubts.get(k, (math.inf, 0))
            if not abs(gap - before) <= tolerance:
                self._doubts[k] = (gap, now_ns)
                return []
            if complete_until_ns <= since_ns or explains(*(unread(since_ns) if unread else band)):
                return []
        anew = not abs(gap - self._gaps.get(k, math.inf)) <= tolerance
        lacks = abs(missing_of(booked_units, gap)) >= tolerance
        self._gone.differs(k, price, anew=anew, lacks=lacks)
        self._gaps[k] = gap
        text = MISMATCH_TEXT.format(symbol=self.symbols[k], ours=booked_units, theirs=account_units)
        return self.trip("position_mismatch", now_ns, symbol=k, text=text)

    def accepted(self, k: int) -> float:
        """Return how much more than booked the account may hold, as accepted by a resume (base)."""
        return self._accepted.get(k, 0.0)

    def sellable_position(self, k: int, position: float) -> float:
        """Return the part of a booked position (base, signed) that the account still holds.

        It is less than the position only as far as a person has accepted by a resume that it is
        gone: what the account holds beyond the ledger is no part of it.
        """
        gone = missing_of(position, self.accepted(k)) if self._gone.is_accepted(k) else 0.0
        return position - gone

    def gone(
        self, k: int, booked_units: float, account_units: float, *, tolerance: float,
        asked_ns: int, price: float,
    ) -> tuple[float, float]:  # fmt: skip
        """Return what a person has accepted as gone of a position, and at what price to book it.

        The units are signed like the position (base) and 0 if nothing is to be booked: the account
        was not read after the resume, or shows another difference. The arguments are those of
        `compare`; `asked_ns` is when the read was sent (wall time).
        """
        gap = account_units - booked_units
        price = self._gone.price(k, asked_ns, price)
        missing = missing_of(booked_units, gap)
        if not price > 0.0 or abs(gap - self.accepted(k)) > tolerance or abs(missing) < tolerance:
            return 0.0, 0.0
        return missing, price

    def booked_gone(self, k: int, missing: float, price: float) -> None:
        """Note that the ledger has booked what a person has accepted as gone."""
        self._accepted[k] = self.accepted(k) + missing
        self._gone.agrees(k)
        self._gone.cash += max(0.0, missing * price)
        self.expected_fees.accepted_gone(k, missing)

    def differs(self, k: int) -> bool:
        """Whether the account holds a different position than is booked."""
        return k in self._gaps or self._accepted.get(k, 0.0) != 0.0

    def compare_funds(
        self,
        booked_cash: float,
        account_cash: float,
        *,
        tolerance: float,
        unread: float,
        now_ns: int,
        holdings: str,
    ) -> list[m.Command]:
        """Compare the cash that the ledger counts with what the account has for it.

        Parameters
        ----------
        booked_cash, account_cash
            The ledger's cash, and the account's cash available for entries (quote currency).
        tolerance
            Shortfall that is ignored (quote currency).
        unread
            Shortfall that unreported changes of the account may explain (quote currency); such a
            shortfall is inconclusive.
        holdings
            Text that describes the holdings of the account.
        """
        short, accepted = booked_cash - account_cash, self._accepted.get(CASH, 0.0)
        if short - accepted <= tolerance:
            if short <= tolerance:
                self._accepted.pop(CASH, None)
            self._gaps.pop(CASH, None)
            self._gone.cash = 0.0
            return self.clear("insufficient_funds", "the account holds it again")
        if short - accepted <= tolerance + unread:
            return []
        gone, self._gone.cash = self._gone.cash, 0.0
        if short - accepted <= tolerance + gone:
            self._accepted[CASH] = short
            self._gaps.pop(CASH, None)
            return self._went_with_units(booked_cash, short, holdings)
        self._gaps[CASH] = short
        text = FUNDS_TEXT.format(ours=booked_cash, holdings=holdings)
        return self.trip("insufficient_funds", now_ns, text=text)

    def _went_with_units(self, booked: float, short: float, holdings: str) -> list[m.Command]:
        """Report cash that the account lacks with units that a person has accepted as gone."""
        text = FUNDS_TEXT.format(ours=booked, holdings=holdings)
        text += (
            f": {short:.12g} less, which went with the units that a person has accepted as gone. "
            "Entries are sized by the ledger, and may be rejected for it; pay it in, or begin a "
            "run with the capital that is there (--fresh)"
        )
        alert = m.Alerted(level="warning", event="insufficient_funds", text=text)
        return [alert, *self.clear("insufficient_funds", "it went with units that are gone")]

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> bytes:
        """Return every block, and the differences accepted by a resume."""
        saved = _Saved(
            list(self._guards.values()), self._accepted, self._gaps, self._lots, self.equity,
            self._doubts, self._gone, self.expected_fees, self.filters_before,
        )  # fmt: skip
        return msgspec.msgpack.encode(saved)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot of the guards."""
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._guards = {(each.rule, each.symbol, each.of): each for each in saved.guards}
        self._accepted, self._gaps, self._lots = saved.accepted, saved.gaps, saved.lots
        self.equity, self._doubts, self._gone = saved.equity, saved.doubts, saved.gone
        self.expected_fees, self.filters_before = saved.expected_fees, saved.filters_before
        self._refresh()
