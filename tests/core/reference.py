"""A plain simulator written from the rules, not from the plan: objects, floats, nothing compiled.

It reads `Settings` and `Bars`, and gives decisions, rejections, orders, fills, trades, halts and
the equity curve in the same words as the core. Quantities are whole units (integers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.core.book import HAIR, NAN, Account, Order, Position, floor_lots
from tests.core.halting import Halt, Halts
from tests.core.matching import Matching
from tests.core.resting import Stops
from tests.core.settings import DAY, HOUR, Bars, Settings
from tests.core.sizing import Planned, Sizer

__all__ = ["Decision", "Reference", "simulate"]


@dataclass
class Decision:
    """One row of the decisions table."""

    time_ns: int
    symbol: int
    target: float
    confidence: float
    requested: float = 0.0
    granted: float = 0.0
    capped: str = ""
    rejected: str = ""


@dataclass
class Reference(Matching, Stops, Halts):
    """The state of a run."""

    s: Settings
    bars: Sequence[Bars]
    chances: Sequence[Sequence[float]] | None = None
    missed: frozenset[int] = frozenset()
    decisions: list[Decision] = field(default_factory=list)
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)
    halt_log: list[tuple[int, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = Account(self.s, len(self.bars))
        self.sizer = Sizer(self.s, self)
        self.halts = [
            Halt(name, keys.get("then", "flatten"), keys.get("resume", "manual"),
                 keys.get("above", keys.get("count", 0)))
            for name, keys in self.s.halts.items()
        ]  # fmt: skip
        self.rows = [{int(t) + HOUR: i for i, t in enumerate(b.open_ns)} for b in self.bars]
        self.times = sorted(set().union(*self.rows))
        self.ages = [self._ages(b) for b in self.bars]
        self.day_base = self.s.capital
        for halt in self.halts:
            halt.peak = self.s.capital
        self.day = -1
        self.minute, self.sent = -1, 0
        self.last_target = [NAN] * len(self.bars)
        self.sources = [self._made(b) for b in self.bars]

    @staticmethod
    def _made(bars: Bars) -> list[bool]:
        return [False] * len(bars) if bars.made_up is None else [bool(x) for x in bars.made_up]

    @staticmethod
    def _ages(bars: Bars) -> list[int]:
        ages, age = [], 0
        for i in range(len(bars)):
            gap = i and (int(bars.open_ns[i]) - int(bars.open_ns[i - 1])) // HOUR - 1
            age = 0 if i == 0 or gap > 24 else age + 1
            ages.append(age)
        return ages

    # ------------------------------------------------------------------ one time

    def run(self, first: int) -> Reference:
        """Run from the time with number `first` on."""
        for now in self.times[first:]:
            self.step(now)
        return self

    def step(self, now: int) -> None:
        """Everything that happens at one decision time, in the order of the rules."""
        if now // 60_000_000_000 != self.minute:
            self.minute, self.sent = now // 60_000_000_000, 0
        here = [(k, self.rows[k][now]) for k in range(len(self.bars)) if now in self.rows[k]]
        self._bar(now, here)
        self.equity = self.account.equity()
        for halt in self.halts:
            halt.peak = max(halt.peak, self.equity)
        exposed = sum(abs(p.worth()) for p in self.account.positions)
        self.curve.append((now, self.equity, self.account.cash, exposed))
        if now // DAY != self.day:
            self.day, self.day_base = now // DAY, self.equity
        if now in self.missed:  # nobody was there: what rested at the venue has met the bars
            for k, _ in here:
                self.decisions.append(Decision(now, k, NAN, 0.0))
                self.last_target[k] = NAN
            return
        self._halts(now)
        signals = [self._exits(k, i, now) for k, i in here]
        candidates = [each for each in signals if each is not None]
        self._entries(candidates, now)

    # ------------------------------------------------------------------ 1 and 2: the bar

    def _bar(self, now: int, here: list[tuple[int, int]]) -> None:
        book = self.account
        tradable = [(k, i) for k, i in here if not self.sources[k][i]]
        at = self.times.index(now)
        rows, before = dict(here), self.times[at - 1] if at else now
        for k, position in enumerate(book.positions):
            position.volume_used = 0  # and what was due while the symbol had no bar
            until = int(self.bars[k].open_ns[rows[k]]) if k in rows else now
            self.account.fund(k, before, until, position.mark)
        for k, i in tradable:  # opens: reductions first, stops that the open jumped over included
            if book.orders[k] is not None and book.orders[k].reduces:
                if self._bust(k, i):  # the venue is before any order of ours
                    self._protect(k, i, now, only_open=True)
                if book.orders[k] is not None:
                    self._meet_open(k, i)
            if book.positions[k].side:
                self._protect(k, i, now, only_open=True)
            self._expire_flip(k, i)
        for k, i in tradable:
            book.release(k)
            if book.orders[k] is not None and not book.orders[k].reduces:
                self._meet_open(k, i)
        for k in range(len(self.bars)):
            if k not in rows:
                self._expire_without_open(k, now)
                continue
            i = rows[k]
            if not self.sources[k][i]:
                self._inside(k, i, now)
            self._close_of_bar(k, i, now)

    def _inside(self, k: int, i: int, now: int) -> None:
        book, bars = self.account, self.bars[k]
        order = book.orders[k]
        if order is not None and order.kind != "market" and bars.open_ns[i] >= order.active_ns:
            self._meet_within(k, i, now)
        if book.positions[k].side:
            self._protect(k, i, now, only_open=False)
        position = book.positions[k]
        if position.side:
            best = float(bars.high[i] if position.side > 0 else bars.low[i])
            pick = max if position.side > 0 else min
            position.best = pick(position.best, best)

    def _close_of_bar(self, k: int, i: int, now: int) -> None:
        book, bars = self.account, self.bars[k]
        position = book.positions[k]
        close = float(bars.close[i])
        if position.side:
            position.inside = False
            position.held += 1
            self.account.fund(k, int(bars.open_ns[i]), now, close)
        position.mark = close
        book.release(k)
        queued = book.queued[k]
        if queued is not None and bars.open_ns[i] >= queued.active_ns:
            queued.bars_left -= not self.sources[k][i]
            if queued.bars_left <= 0:
                book.drop(k, "expired", "unfilled", now)
        order = book.orders[k]
        if order is not None and not order.reduces and bars.open_ns[i] >= order.active_ns:
            first = int(bars.open_ns[i - 1]) < order.active_ns
            order.bars_left -= not self.sources[k][i]
            if self.sources[k][i] and order.kind == "market" and first:
                self._expire(k, "no_market", now)  # a bar that was made up has no open
            elif order.bars_left <= 0:
                self._expire(k, "unfilled", now)
        position.since_entry += 1
        for side, left in list(position.reentry_blocked.items()):
            if isinstance(self.s.reentry, int) and (
                position.side != side or position.exit_to_retry
            ):
                position.reentry_blocked[side] = left - 1  # closes from that of the exit's fill on
                if left - 1 < 0:
                    del position.reentry_blocked[side]

    def _expire(self, k: int, reason: str, now: int) -> None:
        """End an entry; what it would have closed an exit closes, at any open from then on."""
        order, position = self.account.orders[k], self.account.positions[k]
        self.account.end(k, "expired", reason, now)
        if order.units * position.units < 0:
            self._exit(k, "reversal", now, order.active_ns)

    def _execute(
        self, k: int, i: int, price: float, maker: bool, time_ns: int, *, inside: bool
    ) -> None:
        """Fill the order at a price, as far as position, volume and cash reach."""
        book, s = self.account, self.s
        order, position = book.orders[k], book.positions[k]
        units = order.units
        if order.reduces:
            cover = min(abs(units), abs(position.units)) if units * position.units < 0 else 0
            units = order.units = cover if units > 0 else -cover
        if s.participation is not None:
            room = floor_lots(
                s.participation * float(self.bars[k].volume[i]) * book.scale, book.lot
            )
            room = max(0, room - position.volume_used)
            units = max(-room, min(room, units))
        short = False
        if s.spot and units > 0:
            rate = 0.0 if s.received else s.maker if maker else s.taker
            afford = floor_lots(max(0.0, book.cash) * book.scale / (price * (1 + rate)), book.lot)
            if units > afford:
                units, short = afford, True
        if units:
            position.volume_used += abs(units)
            side = position.side
            book.fill(k, order, units, price, maker, time_ns, inside)
            if side and position.side != side and not order.has_waited:
                self._closed_by(position, side, order.reason)
            self.sizer.reported(book)
            if not order.reduces:
                position.exit_to_retry = ""
                if order.begins_again and position.side == side:
                    book.begin_again(k, time_ns, inside)
                order.begins_again = False
        order.units -= units
        if abs(order.units) < book.lot:
            book.end(k, "filled", order.reason, time_ns)
        elif order.reduces and not position.side:
            book.end(k, "cancelled", order.reason, time_ns)
        elif short:
            book.end(k, "cancelled", "cash", time_ns)
        else:
            order.kind = {"stop": "market", "stop_limit": "limit"}.get(order.kind, order.kind)

    def _place(
        self, k: int, kind: str, units: int, reason: str, now: int, reduces: bool,
        limit: float = NAN, trigger: float = NAN, price: float = NAN, active_ns: int | None = None,
    ) -> Order:  # fmt: skip
        self.sent += 1
        if active_ns is None:
            active_ns = now + self.s.latency * HOUR
        return self.account.place(
            k, kind, units, reason, now, reduces, limit, trigger, price, active_ns,
            self.s.time_in_force,
        )  # fmt: skip

    # ------------------------------------------------------------------ 7: signals and exits

    def _target_side(self, k: int, i: int) -> tuple[float, float, str, float]:
        """Target side, confidence, reason, probability up."""
        s = self.s
        if self.chances is not None:
            up = self.chances[k][i]
            if math.isnan(up):
                return NAN, 0.0, "not_finite", NAN
            confidence = 2.0 * abs(up - 0.5)
            if confidence < s.threshold - HAIR or up == 0.5:
                return NAN, confidence, "below_threshold", up
            return (1.0 if up > 0.5 else -1.0), confidence, "", up
        close, age = self.bars[k].close, self.ages[k][i]

        def moved(back: int, sign: float) -> bool:
            known = back > 0 and age >= back
            return known and sign * (float(close[i]) - float(close[i - back])) > 0.0

        if moved(s.exit_back, -1.0):
            return 0.0, 1.0, "", NAN
        long, short = moved(s.long_back, 1.0), moved(s.short_back, -1.0)
        if long != short:
            return (1.0 if long else -1.0), 1.0, "", NAN
        return NAN, 0.0, "conflict" if long else "no_rule_true", NAN

    def _exits(self, k: int, i: int, now: int) -> tuple[int, int, float, Decision] | None:
        """Step 7 for a symbol: exits go out at once; a candidate for entry is returned."""
        s, book = self.s, self.account
        position, order = book.positions[k], book.orders[k]
        target, confidence, reason, up = self._target_side(k, i)
        if s.spot and target == -1.0:
            target, reason = 0.0, "short_as_flat"
        row = Decision(now, k, target, confidence, rejected=reason)
        self.decisions.append(row)
        if position.exit_to_retry:  # an exit that waits is sent as soon as it may be
            self._exit(k, position.exit_to_retry, now)
            before, order = order, book.orders[k]
            if order is not None and order is not before:
                order.has_waited = True  # it has blocked its side, and does not again
        found = self._candidate(k, i, row, order, up, now)
        if position.exit_to_retry and found is None:
            row.rejected = "too_small"
        self.last_target[k] = target
        return found

    def _candidate(
        self, k: int, i: int, row: Decision, order: Order | None, up: float, now: int
    ) -> tuple[int, int, float, Decision] | None:
        s, book, target = self.s, self.account, row.target
        position = book.positions[k]
        if s.reentry == "rearm":
            here = (target, 0 if position.exit_to_retry else position.side)  # it leaves in parts
            position.reentry_blocked = {x: 0 for x in position.reentry_blocked if x in here}
        side, queued = position.side, book.queued[k]
        if queued is not None:  # what is held is being closed: the entry behind it may be unwanted
            if target == 0.0 or (s.opposite and target * queued.units < 0):
                book.drop(k, "cancelled", "exit" if target == 0.0 else "opposite", now)
            return None
        if order is not None and not order.reduces:
            side = 1 if order.units > 0 else -1
        if not side or self._enters_again(k, i, target, order):
            return (k, i, target, row) if target in (1.0, -1.0) else None
        if s.model and target == side:
            position.held = 0
        leave = self._why_leave(position, side, target, up, now)
        if not leave:
            free = book.orders[k] is None
            resize = s.band is not None and position.side and free and not position.exit_to_retry
            if resize and target == side:
                return (k, i, float(side), row)
            return None
        due = None
        if order is not None and not order.reduces:
            if leave == "opposite" and target == position.side:  # a flip is cancelled: what is held
                if s.model:  # stays, unless it is left for another reason
                    position.held = 0
                leave = self._why_leave(position, position.side, target, up, now)
            book.end(k, "cancelled", leave or "opposite", now)
            due = self._due_of_closing(position, order)
        if not leave:  # the position is kept, and its signal has its side: it is resized
            kept = s.band is not None and not position.exit_to_retry
            return (k, i, float(position.side), row) if kept else None
        if not s.spot and leave == "opposite" and book.orders[k] is None:
            return (k, i, target, row)
        if position.side:
            self._exit(k, leave, now, due)
        return None

    def _due_of_closing(self, position: Position, order: Order) -> int | None:
        """The time at which a flip at market closes what is held, whatever becomes of the rest."""
        turns = order.kind == "market" and order.units * position.units < 0
        return order.active_ns if turns else None

    def _enters_again(self, k: int, i: int, target: float, order: Order | None) -> bool:
        """A position below the minimum notional blocks no entry of a new side or while it waits."""
        position = self.account.positions[k]
        small = not self.account.may_send(position.units, float(self.bars[k].close[i]))
        if order is not None or not small or target != position.side:
            return False
        return bool(position.exit_to_retry) or self.last_target[k] != target

    def _why_leave(self, position: Position, side: int, target: float, up: float, now: int) -> str:
        s = self.s
        after = s.after if s.after is not None else (3 if s.model else None)
        why = ""
        if target == 0.0:
            why = "exit"
        elif s.opposite and target == -side:
            why = "opposite"
        elif position.side and after is not None and position.held >= after:
            why = "after"
        elif position.side and s.below is not None and side * (up - 0.5) * 2.0 < s.below - HAIR:
            why = "below"
        limit = s.stops.get("time_limit")
        if position.side and limit is not None and now - position.entry_ns >= limit * HOUR:
            why = "time_limit"
        return why

    def _exit(self, k: int, reason: str, now: int, active_ns: int | None = None) -> None:
        book, position = self.account, self.account.positions[k]
        units = floor_lots(abs(position.units), book.lot)
        order = book.orders[k]
        if order is not None:
            if order.reduces and abs(order.units) >= units:
                if reason == position.exit_to_retry:  # all of it is on its way
                    position.exit_to_retry = ""
                return
            book.end(k, "cancelled", reason, now)
        if units and not book.may_send(units, position.mark):
            if not position.exit_to_retry:
                position.exit_to_retry = reason
                self._closed_by(position, position.side, reason)
        elif units:
            position.exit_to_retry = ""
            way = -1 if position.units > 0 else 1
            price = position.mark
            self._place(k, "market", way * units, reason, now, True, NAN, NAN, price, active_ns)

    # ------------------------------------------------------------------ 8: entries

    def _entries(self, candidates: list[tuple[int, int, float, Decision]], now: int) -> None:
        for each in list(candidates):  # a flip that no size would let through is an exit
            k, i, side, row = each
            if self.account.positions[k].side == -side and self.sizer.early(k, i, int(side)):
                self._enter(k, i, int(side), row, now)
                candidates.remove(each)
        candidates.sort(key=lambda c: (-c[3].confidence, c[0]))
        if self.s.pro_rata and len(self.bars) > 1:
            self._enter_scaled(candidates, now)
            return
        for k, i, side, row in candidates:
            self._enter(k, i, int(side), row, now)

    def _enter_scaled(
        self, candidates: list[tuple[int, int, float, Decision]], now: int
    ) -> None:  # fmt: skip
        """pro_rata: plan all entries without a look at cash, then send one share of each.

        What a flip closes counts as closed for all others, and a planned entry has its place.
        """
        orders, planned = self.account.orders, []

        def closing(k: int, wish: float) -> Order:
            held = self.account.positions[k]
            units = -held.units if held.side == -wish else 0
            return Order(-1, "market", units, "", 0, False, NAN, NAN, NAN, 0)

        for k, _, wish, _ in candidates:
            if self.account.positions[k].side == -wish:
                orders[k] = closing(k, wish)
        for k, i, wish, row in candidates:
            side, price, held = int(wish), float(self.bars[k].close[i]), self.account.positions[k]
            if held.side == -side:
                orders[k] = None
            rejected, order = self.sizer.order(k, i, side, row, by_cash=False)
            if rejected != "" or order is None:
                self._send(k, i, side, row, rejected, order, now)
                continue
            units = float(abs(order[1]) - (abs(held.units) if held.side == -side else 0))
            if not row.capped:  # what was asked for, not yet in whole lots
                units = abs(row.requested) * self.account.scale
            planned.append((k, i, side, row, units, price))
            orders[k] = closing(k, side)
            self.sent += 1
        for k, _, side, *_ in planned:
            self.sent -= 1
            if self.account.positions[k].side != -side:
                orders[k] = None
        share = self.sizer.share([(units, price) for *_, units, price in planned])
        for k, i, side, row, units, price in planned:
            orders[k] = None
            rejected, order = self.sizer.scaled(k, i, side, row, units, share, price)
            self._send(k, i, side, row, rejected, order, now)

    def _enter(self, k: int, i: int, side: int, row: Decision, now: int) -> None:
        rejected, order = self.sizer.order(k, i, side, row)
        self._send(k, i, side, row, rejected, order, now)

    def _send(
        self, k: int, i: int, side: int, row: Decision, rejected: str | None,
        order: Planned | None, now: int,
    ) -> None:  # fmt: skip
        position = self.account.positions[k]
        flips = position.side == -side
        if rejected is not None:
            row.rejected = rejected
        if rejected and flips:
            self._exit(k, "opposite", now)
        if order is None:
            return
        kind, units, limit, trigger, reason = order
        price = float(self.bars[k].close[i])
        if reason == "rebalance" and not self.account.may_send(units, price):
            row.rejected = "too_small"
            return
        if reason == "rebalance":
            row.granted = units / self.account.scale
        begins_again = False
        if reason == "entry":
            position.exit_to_retry = ""
            if position.side == side and not self.account.may_send(position.units, price):
                position.entry_ns, position.held, position.best = now, 0, price
                begins_again = True
        if flips and kind != "market":  # it rests: what is held is closed at market before it
            self._exit(k, "opposite", now)
            if self.account.orders[k] is not None:
                active_ns, self.sent = now + self.s.latency * HOUR, self.sent + 1
                self.account.queued[k] = self.account.make(
                    k, now, kind, units + position.units, reason, active_ns, False, limit, trigger,
                    price, self.s.time_in_force,
                )  # fmt: skip
                position.since_entry = 0
                return
            position.exit_to_retry = ""
        reduces = reason == "rebalance"
        made = self._place(k, kind, units, reason, now, reduces, limit, trigger, price)
        made.begins_again = begins_again
        if reason == "entry":
            position.since_entry = 0


def simulate(s: Settings, bars: Sequence[Bars], first: int, chances: Any = None) -> Reference:
    """Run the reference over a market."""
    return Reference(s, bars, chances).run(first)
