"""The feed whose messages are used, and its replacement while it goes on.

A feed is opened anew because a stream of it fell silent; its other streams may be live, and the new
one may take long to open, or bring nothing. So it is opened beside the one in use, which is closed
once the new one has data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from septet._host.venues import BarSeen, FeedFacts, FeedRequest, LiveFeed, PrintSeen, QuoteSeen
from septet.errors import RunError

__all__ = ["OVERLAP_S", "FeedInUse"]

OVERLAP_S: Final = 10.0
"""How long the first data of a new feed is waited for while a stream of the other one is live."""


class FeedInUse:
    """A feed that can be replaced; messages of one that is not in use any more are dropped."""

    def __init__(self, feed: LiveFeed, receive: Callable[[Any], None]) -> None:
        self._feed, self._receive = feed, receive
        self._next: LiveFeed | None = None
        self._received = asyncio.Event()

    async def open(self, request: FeedRequest) -> FeedFacts:
        """Connect; see `LiveFeed.open`."""
        return await self._feed.open(request, self._sink_of(self._feed))

    async def bars(self, symbol: str, since_ns: int, until_ns: int) -> Sequence[BarSeen]:
        """Return closed bars; see `LiveFeed.bars`."""
        return await self._feed.bars(symbol, since_ns, until_ns)

    async def close(self) -> None:
        """Close the connections."""
        await self._feed.close()

    async def renew(
        self, request: FeedRequest, *, is_any_live: Callable[[], bool], lost: Callable[[], None]
    ) -> None:
        """Open a feed in place of the one in use, or that one again if it has no successor.

        Where `is_any_live`, its data is waited for first. `lost` is called once messages may have
        been missed.

        Raises
        ------
        SeptetError, OSError
            The new one cannot be opened, or brings no data: the other one stays in use.
        """
        successor: Callable[[], LiveFeed] | None = getattr(self._feed, "successor", None)
        if successor is None:
            await self._feed.close()
            lost()
            await self._feed.open(request, self._sink_of(self._feed))
            return
        before, self._next, self._received = self._feed, successor(), asyncio.Event()
        taken = self._next
        try:
            await taken.open(request, self._sink_of(taken))
            if is_any_live():
                async with asyncio.timeout(OVERLAP_S):
                    await self._received.wait()
            self._feed = taken
        except TimeoutError:
            raise RunError("it brings no data; the connections before stay open") from None
        finally:
            self._next = None
            if self._feed is before:
                await taken.close()
        lost()
        await before.close()

    def _sink_of(self, feed: LiveFeed) -> Callable[[Any], None]:
        """Return what takes the messages of a feed.

        Of one that is not in use yet it takes data only: its failures end no stream of the other.
        """

        def sink(message: Any) -> None:
            if feed is self._feed:
                self._receive(message)
            elif feed is self._next and isinstance(message, BarSeen | QuoteSeen | PrintSeen):
                self._received.set()
                self._receive(message)

        return sink
