"""The reference's halts: what trips one, what it does, what ends it; and blocked sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.core.book import HAIR, Account, Position
from tests.core.settings import DAY, HOUR, Settings

__all__ = ["Halt", "Halts"]


@dataclass
class Halt:
    """A halt of the file and whether it is active."""

    name: str
    then: str
    resume: str | int
    above: float
    active: bool = False
    tripped_ns: int = 0
    peak: float = 0.0
    trades_before: int = 0


class Halts:
    """Step 6 of a decision time; part of `Reference`."""

    s: Settings
    account: Account
    equity: float
    day_base: float
    halts: list[Halt]
    halt_log: list[tuple[int, str, str]]
    _exit: Any
    _due_of_closing: Any

    def _halts(self, now: int) -> None:
        for halt in self.halts:
            over = (halt.resume == "next_day" and now // DAY != halt.tripped_ns // DAY) or (
                isinstance(halt.resume, int) and now - halt.tripped_ns >= halt.resume * HOUR
            )
            if halt.active and over:
                halt.active = False
                halt.peak, halt.trades_before = self.equity, len(self.account.trades)
                self.halt_log.append((now, halt.name, "cleared"))
            if not halt.active and self._trips(halt):
                halt.active, halt.tripped_ns = True, now
                self.halt_log.append((now, halt.name, "tripped"))
                self._obey(halt, now)

    def _trips(self, halt: Halt) -> bool:
        if halt.name == "drawdown":
            return 1.0 - self.equity / halt.peak >= halt.above - HAIR
        if halt.name == "daily_loss":
            return 1.0 - self.equity / self.day_base >= halt.above - HAIR
        since = len(self.account.trades) - halt.trades_before
        return min(self.account.losses, since) >= halt.above

    def _obey(self, halt: Halt, now: int) -> None:
        book = self.account
        if halt.then == "block_entries":
            return
        for k, position in enumerate(book.positions):
            order, due = book.orders[k], None
            if order is not None and not order.reduces:
                due = self._due_of_closing(position, order)
                book.end(k, "cancelled", halt.name, now)
            book.drop(k, "cancelled", halt.name, now)
            if halt.then == "flatten" and position.side:
                self._exit(k, halt.name, now, due)

    def _closed_by(self, position: Position, side: int, reason: str) -> None:
        """Block a side that a time limit or a halt has closed."""
        flattens = [halt.name for halt in self.halts if halt.then == "flatten"]
        if reason == "time_limit" or reason in flattens:
            self._block_reentry(position, side)

    def _block_reentry(self, position: Position, side: int) -> None:
        if self.s.reentry == "immediate":
            return
        position.reentry_blocked[side] = self.s.reentry if isinstance(self.s.reentry, int) else 0
