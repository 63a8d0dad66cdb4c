"""Requests are retried until there is an answer, and a stop meanwhile ends them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from septet._live.retry import Stopped, retry_until_answered


def test_a_stop_while_an_answer_is_waited_for_is_no_fault_of_the_adapter() -> None:
    reported: list[tuple[str, str, dict[str, Any]]] = []

    async def case() -> None:
        stopping = asyncio.Event()

        async def never() -> str:
            stopping.set()
            await asyncio.sleep(60.0)
            return "late"

        with pytest.raises(Stopped):
            await retry_until_answered(
                "balances", never, notify=lambda *event: reported.append(event), stopping=stopping
            )

    asyncio.run(case())
    assert reported == []
