"""What the keys of a venue's block do that no other test changes."""

from __future__ import annotations

import asyncio

import pytest

from septet._live.wiring import core_terms
from tests.execution.helpers import SYMBOLS, Received, WallTime, account, local_venue, read


@pytest.mark.parametrize("final_after_s", [3, 90])
def test_answers_final_after_is_how_long_the_core_waits_before_no_such_order_is_final(
    final_after_s: int,
) -> None:
    async def case() -> None:
        async with local_venue() as venue:
            block = account(venue.urls, answers_final_after=f"{final_after_s}s")
            live = block.connect(name="main", clock=WallTime(), read=read)
            facts = await live.open(SYMBOLS, Received())
            await live.close()
        assert core_terms(facts, 1.0)["timing"]["answers_final_after_ns"] == final_after_s * 10**9

    asyncio.run(case())
