"""An account that is kept from fills and bars alone, in exact fractions; nothing of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.core.settings import HOUR, Bars, Settings
from tests.exact_fraction import Fraction

__all__ = ["Audit", "Round", "Rounds"]


@dataclass
class Round:
    """A trade, flat to flat: what was entered and left, and the order whose fill ended it."""

    k: int
    side: int
    entered: Fraction = Fraction(0)
    paid: Fraction = Fraction(0)
    left: Fraction = Fraction(0)
    received: Fraction = Fraction(0)
    ended_by: str = ""

    @property
    def entry_price(self) -> float:
        """Mean price of what was entered."""
        return float(self.paid / self.entered)

    @property
    def exit_price(self) -> float:
        """Mean price of what was left."""
        return float(self.received / self.left)


@dataclass
class Rounds:
    """The trades of one symbol; less than `lot` is flat. Counts no dust."""

    k: int
    lot: Fraction
    now: Round | None = None
    closed: list[Round] = field(default_factory=list)

    def fill(self, net_units: Fraction, price: Fraction, order_id: str) -> None:
        """Take in what a fill brought (signed)."""
        if net_units and self.now is not None and net_units * self.now.side < 0:
            held = self.now.entered - self.now.left
            part = min(abs(net_units), held)
            self.now.left += part
            self.now.received += part * price
            if held - part < self.lot:
                self.now.ended_by = order_id
                self.closed.append(self.now)
                self.now = None
            net_units += part if net_units < 0 else -part
        if abs(net_units) >= self.lot:
            if self.now is None:
                self.now = Round(self.k, 1 if net_units > 0 else -1)
            self.now.entered += abs(net_units)
            self.now.paid += abs(net_units) * price

    def marked(self, mark: float) -> Round | None:
        """The open trade, were the rest of it left at a mark."""
        if self.now is None:
            return None
        rest = self.now.entered - self.now.left
        worth = self.now.received + rest * Fraction(mark)
        return Round(
            self.k, self.now.side, self.now.entered, self.now.paid, self.now.entered, worth
        )


@dataclass
class Audit:
    """An account that knows of fills and bars alone."""

    s: Settings
    bars: list[Bars]
    cash: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    liquidation: Fraction = Fraction(0)
    held: list[Fraction] = field(default_factory=list)
    marks: list[float] = field(default_factory=list)
    rounds: list[Rounds] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cash = Fraction(self.s.capital)
        self.held = [Fraction(0)] * len(self.bars)
        self.marks = [0.0] * len(self.bars)
        lot = Fraction(self.s.lot) * Fraction(999, 1000)
        self.rounds = [Rounds(k, lot) for k in range(len(self.bars))]
        self.at = [{int(o) + HOUR: i for i, o in enumerate(b.open_ns)} for b in self.bars]

    def fund(self, k: int, after: int, until: int) -> None:
        """Charge the instants after one time and up to another."""
        every = self.s.funding_every
        count = max(0, until // every - after // every)
        if self.s.spot or not count:
            return
        paid = self.held[k] * Fraction(self.marks[k]) * Fraction(self.s.funding) * count
        self.cash -= paid
        self.funding += paid

    def fill(self, k: int, row: dict[str, Any]) -> None:
        """Book one row of the table of fills."""
        side = 1 if row["side"] == "buy" else -1
        quantity, fee = Fraction(row["quantity"]), Fraction(row["fee"])
        price, charge = Fraction(row["price"]), Fraction(row["liquidation"])
        self.held[k] += side * quantity
        self.cash -= side * quantity * price + charge
        self.liquidation += charge
        net_units = side * quantity
        if row["fee_currency"] == "USDT":
            self.cash -= fee
            self.fees += fee
        else:
            self.held[k] -= fee
            self.fees += fee * price
            net_units -= fee
        self.rounds[k].fill(net_units, price, row["order_id"])

    def step(self, before: int, now: int, rows: list[tuple[int, dict[str, Any]]]) -> float:
        """Pass one decision time; return the equity at it."""
        here = {k: at[now] for k, at in enumerate(self.at) if now in at}
        for k in range(len(self.bars)):
            until = int(self.bars[k].open_ns[here[k]]) if k in here else now
            self.fund(k, before, until)
        for k, row in rows:
            self.fill(k, row)
        for k, i in here.items():
            self.marks[k] = float(self.bars[k].close[i])
            self.fund(k, int(self.bars[k].open_ns[i]), now)
        worth = (held * Fraction(mark) for held, mark in zip(self.held, self.marks, strict=True))
        return float(self.cash + sum(worth, Fraction(0)))
