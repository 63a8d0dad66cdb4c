"""A kill cancels the orders of the run, whatever the venue does, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from septet import messages as m
from tests.live.scripted import MemoryVenue, submit
from tests.live.test_dispatch import DispatchHarness

TAG = "x0000001"


def killed(
    *orders: m.Submit, symbols: tuple[int, ...] = (0,),
    breaks: Callable[[MemoryVenue], None] = lambda venue: None,
) -> MemoryVenue:  # fmt: skip
    """Return a venue with these orders after a kill of the run."""
    found: list[MemoryVenue] = []

    async def scene() -> None:
        harness = DispatchHarness(tag=TAG)
        for each in orders:
            await harness.venue.submit(each)
        breaks(harness.venue)
        await harness.do(m.CancelAll(symbols=symbols))
        found.append(harness.venue)

    asyncio.run(scene())
    return found[0]


def on(k: int, client_id: str) -> m.Submit:
    return msgspec.structs.replace(submit(client_id), symbol=k)


def test_what_a_person_placed_on_the_symbol_stays() -> None:
    """Another run's stop does as well; symbols without others take one request."""
    venue = killed(
        on(0, f"{TAG}1-0"), on(0, "web_1"), on(0, "x00000020-1"), on(1, f"{TAG}1-1"),
        symbols=(0, 1),
    )  # fmt: skip
    assert list(venue.open_ids) == ["web_1", "x00000020-1"]
    assert venue.named("cancel_all") == [(1,)]
    assert [each.client_id for each in venue.named("cancel")] == [f"{TAG}1-0"]


def test_one_by_one_where_the_request_for_a_symbol_fails() -> None:
    async def failing(symbols: object) -> list[m.Event]:
        return [m.CancelFailed(at_ns=0, client_id="", text="503")]

    def breaks(venue: MemoryVenue) -> None:
        setattr(venue, "cancel_all", failing)  # noqa: B010 - in place of a method

    assert list(killed(on(0, f"{TAG}1-0"), breaks=breaks).open_ids) == []


@pytest.mark.parametrize("how", ["without an answer", "with an error", "late"])
def test_whole_symbols_where_the_open_orders_are_not_listed(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unlisted() -> None:
        if how == "late":
            await asyncio.Event().wait()
        assert how != "with an error"

    def breaks(venue: MemoryVenue) -> None:
        setattr(venue, "open_orders", unlisted)  # noqa: B010 - in place of a method

    monkeypatch.setattr("septet._live.own_orders.LISTED_WITHIN_S", 0.01)
    assert list(killed(on(0, f"{TAG}1-0"), breaks=breaks).open_ids) == []
