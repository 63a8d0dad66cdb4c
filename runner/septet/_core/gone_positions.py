"""Positions that the account no longer holds, as a person has accepted: what the ledger books.

A resume accepts the difference between account and ledger. What the account lacks of a position was
sold, withdrawn or converted by somebody else, and the ledger books it as closed (`gone`) at the
price that was known when the difference was first read: nearest to that at which it went. It does
so at a read of the account that was sent after the resume and still shows that difference, since by
then everything else that explains it is booked.
"""

from __future__ import annotations

import msgspec

__all__ = ["GonePositions", "missing_of"]


def missing_of(position: float, gap: float) -> float:
    """Return what the account lacks of a booked position (base, signed like the position).

    `gap` is the account's position minus the booked one.
    """
    if position > 0.0:
        return min(position, max(0.0, -gap))
    return max(position, min(0.0, -gap))


class GonePositions(msgspec.Struct):
    """Prices of the differences, by symbol, and those that a person has accepted.

    `first_seen` has the last known price when a difference was first read in its present size
    (quote), `accepted` that price and the time of the resume (wall time). `cash` is what the ledger
    counts for units that are booked as gone, until a read shows whether the account has it (quote).
    """

    first_seen: dict[int, float] = {}
    accepted: dict[int, tuple[float, int]] = {}
    cash: float = 0.0

    def differs(self, k: int, price: float, *, anew: bool, lacks: bool) -> None:
        """Note a difference of the account; `anew` if it is new, or of another size.

        Nothing is gone unless the account `lacks` a part of the booked position.
        """
        if not lacks:
            self.first_seen.pop(k, None)
        elif anew or not self.first_seen.get(k, 0.0) > 0.0:
            self.first_seen[k] = price

    def agrees(self, k: int) -> None:
        """Note that the account agrees with the ledger."""
        self.first_seen.pop(k, None)
        self.accepted.pop(k, None)

    def accept(self, symbols: list[int], now_ns: int) -> bool:
        """Note that a person accepts the differences of symbols; return whether there is any."""
        for k in symbols:
            if k in self.first_seen:
                self.accepted[k] = self.first_seen.pop(k), now_ns
            else:
                self.accepted.pop(k, None)
        return bool(symbols)

    def is_accepted(self, k: int) -> bool:
        """Whether a person has accepted that a part of the position of a symbol is gone."""
        return k in self.accepted

    def price(self, k: int, asked_ns: int, last_price: float) -> float:
        """Return the price at which an accepted difference is booked; 0 if it is not to be booked.

        `asked_ns` is when the read that shows it was sent (wall time), `last_price` the last known
        one, which counts if none was known when the difference was first read.
        """
        price, since_ns = self.accepted.get(k, (0.0, 0))
        if k not in self.accepted or asked_ns <= since_ns:
            return 0.0
        return price if price > 0.0 else max(0.0, last_price)
