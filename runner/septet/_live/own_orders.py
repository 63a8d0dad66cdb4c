"""Cancels every order of a run, and none of anybody else: a person's stop protects the person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from septet import messages as m
from septet._core.orders.ids import is_marked
from septet._host.venues import LiveVenue

__all__ = ["LISTED_WITHIN_S", "cancel_listed", "cancel_own"]

LISTED_WITHIN_S: Final = 2.0
"""How long a kill waits for the list of open orders before it goes on without it."""


async def cancel_own(venue: LiveVenue, tag: str, symbols: Sequence[int]) -> list[m.Event]:
    """Cancel all orders of the run with a tag on some symbols; return the answers.

    Where the venue has such a request, one request cancels all orders of a symbol: on symbols
    without orders of others, and on all symbols if the open orders are not listed in time. On
    the others, and where that request fails, the listed orders of the run are cancelled singly.
    """
    try:
        listing = await asyncio.wait_for(venue.open_orders(), LISTED_WITHIN_S)
    except Exception:  # whatever the list fails by, the kill goes on without it
        listing = None
    orders = () if listing is None else listing.orders
    others = {each.symbol for each in orders if not is_marked(tag, each.client_id)}
    by_symbol, listed = await asyncio.gather(
        _cancel_whole(venue, tag, orders, [k for k in symbols if k not in others]),
        cancel_listed(venue, tag, orders, others & set(symbols)),
    )
    return by_symbol + listed


async def _cancel_whole(
    venue: LiveVenue, tag: str, orders: Iterable[m.OrderSeen], symbols: Sequence[int]
) -> list[m.Event]:
    """Cancel all orders of some symbols; those of the list one by one if that fails."""
    answers = list(await venue.cancel_all(symbols)) if symbols else []
    if any(isinstance(each, m.CancelFailed) for each in answers):
        answers += await cancel_listed(venue, tag, orders, set(symbols))
    return answers


async def cancel_listed(
    venue: LiveVenue, tag: str, orders: Iterable[m.OrderSeen], symbols: set[int]
) -> list[m.Event]:
    """Cancel those of some listed orders that have the tag, all at once; return the answers."""
    calls = [
        venue.cancel(
            m.Cancel(
                client_id=each.client_id, symbol=each.symbol, venue_order_id=each.venue_order_id
            )
        )
        for each in orders
        if each.symbol in symbols and is_marked(tag, each.client_id)
    ]  # fmt: skip
    return list(await asyncio.gather(*calls))
