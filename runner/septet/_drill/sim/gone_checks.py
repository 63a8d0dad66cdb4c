"""What is booked as gone, since a person has accepted it: no more than others have taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from septet import messages as m
from septet._drill.sim.market import LOT, Market
from septet._drill.venue.amounts import SCALE

__all__ = ["GONE_REASON", "gone_units", "wrongly_gone"]

GONE_REASON: Final = "gone"


def gone_units(booked: Sequence[m.Traded], k: int) -> float:
    """Return how much of a symbol was booked as gone (base)."""
    return sum(each.quantity for each in booked if each.reason == GONE_REASON and each.symbol == k)


def wrongly_gone(booked: Sequence[m.Traded], market: Market) -> list[str]:
    """Return the symbols of which more was booked as gone than others sold or withdrew."""
    wrong = []
    for of in market.listings:
        others = sum(
            each.quantity for each in market.engine.fills[of.id]
            if not each.buys and not market.is_ours(each)
        )  # fmt: skip
        most, gone = (sum(of.withdrawn) + others + LOT) / SCALE, gone_units(booked, of.k)
        if gone > most:
            wrong.append(f"{gone} {of.name} was booked as gone, and others took {most} at most")
    return wrong
