"""Requests for market data, retried with increasing pauses while an exchange is unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from septet.errors import RunError
from septet.plugin.live import Backoff, Clock, race
from septet_plugins.exchange.clients import Scrub, Terms
from septet_plugins.exchange.requests import Barred, Gate, call
from septet_plugins.exchange.sessions import Redirected

__all__ = ["FeedTerms", "Requests"]

_NS: Final = 1_000_000_000
_END_S: Final = 2.0
"""Longest wait for a cancelled request to end."""


@dataclass(frozen=True, slots=True)
class FeedTerms:
    """Connection settings of a feed: addresses, timeouts and retries."""

    reach: Terms
    params: Mapping[str, Any] = field(default_factory=dict)
    page_bars: int | None = None
    retries: int = 5
    poll_ns: int = 2 * _NS


class Requests:
    """Requests of one client; `doubt_symbols` is called after a symbol was rejected."""

    def __init__(
        self, client: Any, terms: FeedTerms, gate: Gate, clock: Clock, scrub: Scrub
    ) -> None:
        self._client, self._terms, self._gate = client, terms, gate
        self._clock, self._scrub = clock, scrub
        self.doubt_symbols: Callable[[], None] = lambda: None
        self._closing, self._idle, self._in_flight = asyncio.Event(), asyncio.Event(), 0
        self._idle.set()

    async def ask(self, method: str, *args: Any) -> Any:
        """Send a request to the exchange.

        Raises
        ------
        RunError
            The exchange rejected it or stayed unreachable, or `close` was called meanwhile.
        """
        if self._closing.is_set():
            raise self._closed()
        self._in_flight += 1
        self._idle.clear()
        try:
            number, answer = await race(self._ask(method, *args), self._closing.wait())
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
        if number:
            raise self._closed()
        return answer

    async def load_markets(self, known: Any = None) -> None:
        """Read the markets, or take those of the client before, which are to be read again later.

        An exchange that answers slowly must not keep streams from being opened again.
        """
        if known is None:
            await self.ask("load_markets")
        else:
            self._client.set_markets_from_exchange(known)

    async def close(self) -> None:
        """Cancel the requests in flight, so that the client is not closed while it is in use."""
        self._closing.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _END_S)

    def _closed(self) -> RunError:
        return RunError(f"the feed of {self._terms.reach.exchange} is closed: nothing is asked")

    async def _ask(self, method: str, *args: Any) -> Any:
        import ccxt

        name, retries, backoff = self._terms.reach.exchange, self._terms.retries, Backoff()
        for attempt in range(retries + 1):
            try:
                with call():
                    return await getattr(self._client, method)(*args)
            except (ccxt.AuthenticationError, ccxt.BadSymbol, ccxt.BadRequest) as error:
                if isinstance(error, ccxt.BadSymbol):
                    self.doubt_symbols()
                raise RunError(f"{name} refused: {self._scrub(error)}") from None
            except Redirected as error:
                raise RunError(f"{name}: {self._scrub(error)}") from None
            except (ccxt.OperationFailed, Barred) as error:
                final = isinstance(error, Barred) and error.code == "host"
                if final or attempt == retries:
                    raise RunError(f"{name} cannot be reached: {self._scrub(error)}") from None
                blocked_s = max(0.0, (self._gate.open_ns() - self._clock.now_ns()) / _NS)
                await asyncio.sleep(max(backoff.wait_s(), min(blocked_s, 60.0)))
            except ccxt.BaseError as error:
                raise RunError(f"{name}: {self._scrub(error)}") from None
        raise AssertionError("every attempt returns or raises")
