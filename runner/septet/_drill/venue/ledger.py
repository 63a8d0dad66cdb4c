"""The account's money: free and locked, in units; every change has a second leg."""

from __future__ import annotations

from collections.abc import Mapping

from septet._drill.venue.amounts import units

__all__ = ["Ledger"]

_MAX_NOTES = 10_000
"""Most records of earlier balances."""
Balances = dict[str, tuple[int, int]]
"""Free and locked units by asset."""


class Ledger:
    """Balances of the account and of its counterparties: the sum never changes."""

    def __init__(self, balances: Mapping[str, str]) -> None:
        self.free = {asset: units(amount) for asset, amount in balances.items()}
        self.locked = dict.fromkeys(self.free, 0)
        self.world = dict.fromkeys(self.free, 0)
        self.changed: set[str] = set()
        self._past: list[tuple[int, Balances]] = [(0, self.balances())]

    def balances(self) -> Balances:
        """Return the free and locked units of every asset."""
        return {asset: (free, self.locked[asset]) for asset, free in sorted(self.free.items())}

    def note(self, now_ms: int) -> None:
        """Record the balances at a time."""
        self._past.append((now_ms, self.balances()))
        if len(self._past) > _MAX_NOTES:
            del self._past[: _MAX_NOTES // 2]

    def as_of(self, at_ms: int) -> Balances:
        """Return the balances at an earlier time; the oldest on record for a time before them."""
        return next((was for when, was in reversed(self._past) if when <= at_ms), self._past[0][1])

    def assets(self) -> list[str]:
        """Return every asset that was ever touched."""
        return sorted(self.free)

    def has(self, asset: str, amount: int) -> bool:
        """Whether an amount is free."""
        return self.free.get(asset, 0) >= amount

    def lock(self, asset: str, amount: int) -> None:
        """Lock free money; a negative amount releases it."""
        self._know(asset)
        self.free[asset] -= amount
        self.locked[asset] += amount
        assert self.free[asset] >= 0, f"{asset}: more was locked than was free"
        assert self.locked[asset] >= 0, f"{asset}: more was released than was locked"

    def pay(self, asset: str, amount: int, *, from_locked: bool = False) -> None:
        """Pay money to the counterparties; a negative amount is received."""
        self._know(asset)
        purse = self.locked if from_locked else self.free
        purse[asset] -= amount
        self.world[asset] += amount
        assert purse[asset] >= 0, f"{asset}: more was paid than was there"

    def _know(self, asset: str) -> None:
        self.changed.add(asset)
        for purse in (self.free, self.locked, self.world):
            purse.setdefault(asset, 0)
