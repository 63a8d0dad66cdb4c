"""The reference's stops and targets: orders that rest with a position and meet every bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.core.book import NAN, Account, at_or_below, floor_lots, rounded
from tests.core.settings import Bars, Settings

__all__ = ["Stops"]


class Stops:
    """What a position's stops do to it in a bar; part of `Reference`."""

    s: Settings
    bars: Sequence[Bars]
    account: Account
    _cost: Any
    _place: Any
    _execute: Any
    _block_reentry: Any
    _exit: Any

    def _levels(self, k: int, i: int, opened: float) -> tuple[float, str, float, tuple[float, str]]:
        s, p = self.s, self.account.positions[k]
        side, stop, reason = float(p.side), NAN, ""
        found: list[tuple[float, str]] = []
        if "stop_loss" in s.stops:
            found.append((p.average * (1.0 - side * s.stops["stop_loss"]), "stop_loss"))
        if "trailing" in s.stops:
            keys = s.stops["trailing"]
            distance, after = keys["distance"], keys.get("after", 0.0)
            if at_or_below(p.best, p.average * (1.0 + side * after), -side):
                found.append((p.best * (1.0 - side * distance), "trailing"))
        for level, name in found:
            if math.isnan(stop) or side * (level - stop) > 0.0:
                stop, reason = level, name
        wait, name = NAN, reason
        if not math.isnan(stop) and not self._rests(p, self._price_there_was(k, i, stop)):
            wait, stop, reason = stop, NAN, ""
        if not s.spot:
            level = self._liquidation(p)
            if math.isnan(stop) or side * (level - stop) > 0.0 or at_or_below(opened, level, side):
                stop, reason = level, "liquidation"
        target = NAN
        if "take_profit" in s.stops:
            target = p.average * (1.0 + side * s.stops["take_profit"])
            target = rounded(target, side, s.tick)
        return stop, reason, target, (wait, name)

    def _liquidation(self, p: Any) -> float:
        """Where what is left of the isolated margin is the maintenance margin."""
        amount = p.units / self.account.scale
        margin = abs(amount) * p.average / self.s.leverage - p.margin_paid
        return float((amount * p.average - margin) / (amount - abs(amount) * self.s.maintenance))

    def _rests(self, p: Any, level: float) -> bool:
        """Whether an order at a level may be sent; else a touch makes an exit that is retried."""
        return self.account.may_send(floor_lots(abs(p.units), self.account.lot), level)

    def _owe(self, p: Any, reason: str, *, leaving: bool, blocks_reentry: bool) -> None:
        """Let an exit wait; where one of all was sent, it goes on and none waits."""
        if p.exit_to_retry:
            return
        if not leaving:
            p.exit_to_retry = reason
        if blocks_reentry:
            self._block_reentry(p, p.side)

    def _bust(self, k: int, i: int) -> bool:
        """Whether a bar opens where the position is liquidated, and none is under way."""
        s, p, order = self.s, self.account.positions[k], self.account.orders[k]
        if s.spot or not p.side:
            return False
        if order is not None and order.reduces and order.reason == "liquidation":
            return False
        level = self._liquidation(p)
        return at_or_below(float(self.bars[k].open[i]), level, p.side)

    def _protect(self, k: int, i: int, now: int, *, only_open: bool) -> None:
        """Stop and target of a position against the bar; pessimistic where both are touched."""
        bars, p, order = self.bars[k], self.account.positions[k], self.account.orders[k]
        whole = floor_lots(abs(p.units), self.account.lot)
        leaving = order is not None and order.reduces and abs(order.units) >= whole
        if leaving and order.active_ns <= int(bars.open_ns[i]) and not self._bust(k, i):
            return  # an exit in flight has used this bar's volume
        side = float(p.side)
        opened = p.average if p.inside else float(bars.open[i])
        stop, reason, target, (wait, name) = self._levels(k, i, opened)
        worst = float(bars.low[i] if side > 0 else bars.high[i])
        best = float(bars.high[i] if side > 0 else bars.low[i])
        at_open = int(bars.open_ns[i])
        # An entry that filled inside the bar: its target was certainly traded through only where
        # the close is beyond it; the best price may have come before the entry.
        seen = float(bars.close[i]) if p.inside else best
        gone = not math.isnan(target) and not self._rests(p, target)
        if gone and not p.inside and not at_or_below(opened, target, side):
            self._owe(p, "take_profit", leaving=leaving, blocks_reentry=False)
        if at_or_below(opened, wait, side) or (not only_open and at_or_below(worst, wait, side)):
            self._owe(p, name, leaving=leaving, blocks_reentry=True)
        if gone:
            if not only_open and not at_or_below(seen, target, side):
                self._owe(p, "take_profit", leaving=leaving, blocks_reentry=False)
            target = NAN
        if not math.isnan(target) and not p.inside and not at_or_below(opened, target, side):
            self._leave(k, i, "limit", target, opened, "take_profit", at_open)
            # what the volume held back rests on, and may be stopped in the same bar
            if p.side and not only_open and not math.isnan(stop):
                if at_or_below(opened, stop, side):  # the open lies beyond both
                    self._leave(k, i, "stop", stop, self._cost(-side, opened), reason, at_open)
                elif at_or_below(worst, stop, side):
                    self._leave(k, i, "stop", stop, self._cost(-side, stop), reason, now)
        elif not math.isnan(stop) and at_or_below(opened, stop, side):
            price = self._cost(-side, opened)
            self._leave(k, i, "stop", stop, price, reason, now if p.inside else at_open)
        elif only_open:
            return
        elif not math.isnan(stop) and at_or_below(worst, stop, side):
            price = self._cost(-side, stop)
            self._leave(k, i, "stop", stop, price, reason, now)
        elif not math.isnan(target) and not at_or_below(seen, target, side):
            self._leave(k, i, "limit", target, target, "take_profit", now)

    def _price_there_was(self, k: int, i: int, level: float) -> float:
        """Price against which a stop's slippage counts: its level, if the market was ever there."""
        bars, p = self.bars[k], self.account.positions[k]
        opened = p.average if p.inside else float(bars.open[i])
        beyond = not at_or_below(opened, level, -p.side)
        unreached = not at_or_below(p.best, level, -p.side) or p.entry_ns >= int(bars.open_ns[i])
        unreached = unreached or at_or_below(float(bars.close[max(i - 1, 0)]), level, p.side)
        return opened if beyond and unreached else level

    def _leave(
        self, k: int, i: int, kind: str, level: float, price: float, reason: str, time_ns: int
    ) -> None:
        book, p = self.account, self.account.positions[k]
        side = p.side
        if kind == "limit" and self.s.participation is not None:
            volume = self.s.participation * float(self.bars[k].volume[i]) * book.scale
            if floor_lots(volume, book.lot) <= p.volume_used:
                return  # a limit that nothing is left for rests on
        before = book.orders[k]
        if before is not None:
            book.end(k, "cancelled", reason, time_ns)
        units = floor_lots(abs(p.units), book.lot)
        limit, trigger = (level, NAN) if kind == "limit" else (NAN, level)
        ours = kind == "stop" and reason != "liquidation"
        seen = self._price_there_was(k, i, level) if ours else level
        self._place(k, kind, -side * units, reason, time_ns, True, limit, trigger, seen, time_ns)
        self._execute(k, i, price, kind == "limit", time_ns, inside=False)
        if kind == "stop":
            self._block_reentry(p, side)
        if book.orders[k] is not None and kind == "stop":
            book.orders[k].kind = "market"  # it goes on until it is done
        elif book.orders[k] is not None:  # the rest of a target is a limit at its level as before
            book.end(k, "expired", "unfilled", time_ns)
            if before is not None and before.units * p.units < 0 and before.reason != "rebalance":
                why = before.reason if before.reduces else "reversal"
                self._exit(k, why, time_ns, before.active_ns)  # what it has replaced goes on
                if book.orders[k] is not None:
                    book.orders[k].has_waited = before.has_waited
