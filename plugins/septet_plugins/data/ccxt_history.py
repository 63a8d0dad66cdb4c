"""Bars of any exchange of ccxt: downloaded once into the store and read from there, or live."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from septet.errors import DataError, RunError
from septet.plugin import Config, WallDuration
from septet.plugin.data import (
    FetchReport,
    Progress,
    RawBars,
    Request,
    Store,
    candles,
    format_duration,
)
from septet.plugin.live import Clock, LiveFeed, Tasks, Unreadable, require_listed_symbols
from septet_plugins.data.stored import read_stored, the_store
from septet_plugins.exchange.answer_bodies import check_body
from septet_plugins.exchange.bar_pages import Pages, timeframe_of
from septet_plugins.exchange.exchange_ids import known_exchange
from septet_plugins.exchange.listing import unlisted_of
from septet_plugins.exchange.sessions import guard_sessions

__all__ = ["CcxtHistory", "CcxtHistoryConfig"]

_MS: Final = 1_000_000
_DAY_NS: Final = 86_400_000 * _MS
_MAX_WAIT_S: Final = 300.0


class CcxtHistoryConfig(Config):
    """Bars of an exchange, downloaded or live.

    `venue` is the exchange's id in ccxt, or any name with `exchange` giving the id. `urls`,
    `options` and `params` are passed to ccxt unchanged, so that test networks need no code, and
    `streaming` to its streams. `page_bars` is the number of bars per request, `poll` the polling
    interval of live data that is not streamed.
    """

    venue: str
    """Id of the exchange in ccxt, or a name of your choice with `exchange`."""
    exchange: str | None = None
    """Id of the exchange in ccxt, if `venue` is another name."""
    sandbox: bool = False
    """Use the exchange's own test network."""
    urls: dict[str, Any] = {}
    """Addresses that replace the exchange's own; they need the operator's consent."""
    options: dict[str, Any] = {}
    """Options of ccxt's client."""
    streaming: dict[str, Any] = {}
    """Settings of ccxt's streams."""
    params: dict[str, Any] = {}
    """Fields sent with every request of bars."""
    rate_limit: bool = True
    """Keep to the exchange's rate limits."""
    poll: WallDuration = Field(default="2s")  # type: ignore[assignment]
    """Polling interval of live data that is not streamed."""
    page_bars: int | None = Field(default=None, ge=1, le=10_000)
    """Number of bars per request; by default the maximum of the exchange."""
    timeout: WallDuration = Field(default="30s")  # type: ignore[assignment]
    """Timeout of one request."""
    retries: int = Field(default=5, ge=0, le=100)
    """Number of repetitions of a failed request."""

    @field_validator("exchange")
    @classmethod
    def _exchange_is_known(cls, value: str | None) -> str | None:
        return None if value is None else known_exchange(value)

    @model_validator(mode="after")
    def _venue_is_an_exchange(self) -> Self:
        """Use `venue` as the id if `exchange` is not set."""
        if self.exchange is None:
            try:
                known_exchange(self.venue)
            except PydanticCustomError as problem:
                detail = InitErrorDetails(type=problem, loc=("venue",), input=self.venue)
                raise ValidationError.from_exception_data("venue", [detail]) from None
        return self


@candles(CcxtHistoryConfig)
class CcxtHistory:
    """Bars of an exchange: `fetch` downloads missing bars to the store, `read` reads the store."""

    def __init__(self, config: CcxtHistoryConfig) -> None:
        """Store the configuration; nothing is imported or requested yet."""
        self._config = config
        self._wait: Callable[[float], None] = time.sleep

    @property
    def exchange(self) -> str:
        """The exchange's id in ccxt."""
        return self._config.exchange or self._config.venue

    @property
    def source(self) -> str:
        """Name in the store; other addresses give another name."""
        config = self._config
        kind = "-sandbox" if config.sandbox else ""
        if not config.urls:
            return self.exchange + kind
        text = json.dumps(config.urls, sort_keys=True)
        return f"{self.exchange}{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def read(self, request: Request) -> list[RawBars]:
        """Return stored bars of every symbol."""
        return [self._stored(request, symbol) for symbol in request.symbols]

    def stream(self, *, clock: Clock, tasks: Tasks | None = None) -> LiveFeed:
        """Return the live feed of the exchange, not yet open; `tasks` owns its tasks."""
        from septet_plugins.data.ccxt_feed import CcxtFeed, FeedTerms
        from septet_plugins.exchange.clients import Terms

        config = self._config
        reach = Terms(
            exchange=self.exchange, sandbox=config.sandbox, urls=config.urls,
            options=config.options, streaming=config.streaming,
            timeout_ms=config.timeout // _MS, rate_limit=config.rate_limit,
        )  # fmt: skip
        terms = FeedTerms(
            reach, params=config.params, page_bars=config.page_bars, retries=config.retries,
            poll_ns=config.poll,
        )  # fmt: skip
        return CcxtFeed(terms, clock, tasks)

    def _stored(self, request: Request, symbol: str) -> RawBars:
        """Return stored bars, and report parts of the requested span that were never downloaded."""
        how = "septet data fetch FILE downloads it"
        raw = read_stored(request, self.source, symbol, how, {"stamp": "open"})
        bar_ns, bar = request.bar_ns, format_duration(request.bar_ns)
        covered = the_store(request).covered(self.source, symbol, bar)
        first = covered[0][0] if request.start_ns is None else request.start_ns
        last = covered[-1][1] if request.end_ns is None else min(request.end_ns, request.now_ns)
        lacking = _missing(covered, first, last // bar_ns * bar_ns)
        if not lacking:
            return raw
        spans = ", ".join(f"{_day(start)} to {_day(end)}" for start, end in lacking[:3])
        note = f"never downloaded: {spans}; {how}"
        return replace(raw, facts=replace(raw.facts, notes=(*raw.facts.notes, note)))

    def fetch(self, request: Request, progress: Progress) -> Sequence[FetchReport]:
        """Download every symbol's bars that the store does not hold.

        Each page is stored before the next is requested: an interruption loses nothing, and the
        same call continues there.

        Raises
        ------
        DataError
            If the exchange, the symbol or the bar does not exist there, or no start is given.
        RunError
            If the exchange cannot be reached or keeps rejecting requests.
        """
        if request.start_ns is None:
            raise DataError(
                "a download needs a beginning", hint="write universe: {start}, or give --since"
            )
        store = the_store(request)
        with self._client() as client:
            self._ask(client, client.load_markets)
            frame = timeframe_of(client, request.bar_ns)
            return [
                self._fetch_symbol(client, store, request, symbol, frame, progress)
                for symbol in request.symbols
            ]

    @contextmanager
    def _client(self) -> Iterator[Any]:
        from septet_plugins.exchange.clients import check_exchange

        check_exchange(self.exchange)
        import ccxt

        config = self._config
        settings: dict[str, Any] = {
            "enableRateLimit": True,
            "timeout": config.timeout // _MS,
            "options": config.options,
        }
        if config.urls:
            settings["urls"] = config.urls
        client = getattr(ccxt, self.exchange)(settings)
        guard_sessions(client)
        _check_bodies(client)
        try:
            if config.sandbox:
                client.set_sandbox_mode(True)
            if not client.has.get("fetchOHLCV"):
                raise DataError(f"{self.exchange} offers no history of bars")
            yield client
        finally:
            client.session.close()

    def _ask(self, client: Any, question: Callable[..., Any], *args: Any, **keys: Any) -> Any:
        """Call the exchange; wait if the rate limit is exceeded, retry after a failure."""
        import ccxt

        for attempt in range(self._config.retries + 1):
            try:
                return question(*args, **keys)
            except (ccxt.AuthenticationError, ccxt.BadSymbol, ccxt.BadRequest) as error:
                raise RunError(f"{self.exchange} refused: {error}") from error
            except (ccxt.NetworkError, Unreadable) as error:
                if attempt == self._config.retries:
                    raise RunError(
                        f"{self.exchange} cannot be reached: {type(error).__name__}: {error}",
                        hint="what was downloaded is kept; the same command goes on from there",
                    ) from error
                self._wait(_pause(client, attempt))
            except ccxt.BaseError as error:
                raise RunError(f"{self.exchange}: {type(error).__name__}: {error}") from error
        raise AssertionError("every attempt returns or raises")

    def _fetch_symbol(
        self,
        client: Any,
        store: Store,
        request: Request,
        symbol: str,
        timeframe: str,
        progress: Progress,
    ) -> FetchReport:
        require_listed_symbols(self.exchange, unlisted_of(client, [symbol]))
        bar_ns = request.bar_ns
        bar, start_ns = format_duration(bar_ns), request.start_ns or 0
        last = request.now_ns if request.end_ns is None else min(request.end_ns, request.now_ns)
        start_ns, end_ns = -(-start_ns // bar_ns) * bar_ns, last // bar_ns * bar_ns
        job = _Job(self, client, store, request, symbol, bar, timeframe, progress)
        spans = _missing(store.covered(self.source, symbol, bar), start_ns, end_ns)
        job.total = sum((end - start) // bar_ns for start, end in spans)
        for first, stop in spans:
            job.download(first, stop)
        if store.covered(self.source, symbol, bar):
            store.describe(
                self.source, symbol, bar, stamp="open", taken_ns=request.now_ns,
                instrument=_instrument(client, client.markets[symbol]),
            )  # fmt: skip
        return FetchReport(symbol, job.rows, job.requests, start_ns, end_ns, tuple(job.notes))


class _Job:
    """Download of one symbol, page by page, each stored before the next is requested."""

    def __init__(
        self,
        history: CcxtHistory,
        client: Any,
        store: Store,
        request: Request,
        symbol: str,
        bar: str,
        timeframe: str,
        progress: Progress,
    ) -> None:
        self._history, self._client, self._store = history, client, store
        self._request, self._symbol, self._bar = request, symbol, bar
        self._timeframe, self._progress = timeframe, progress
        self.total = self.rows = self.requests = 0
        self._done = 0
        self.notes: list[str] = []

    def download(self, first_ns: int, stop_ns: int) -> None:
        """Download ``[first_ns, stop_ns)``; both on the grid, `stop_ns` not in the future."""
        import polars as pl

        bar_ns = self._request.bar_ns
        page_bars = self._history._config.page_bars
        label = f"{self._symbol} {self._bar}"
        pages = Pages(self._history.exchange, label, first_ns, stop_ns, bar_ns, page_bars)
        while pages.going:
            at = pages.at_ns
            page = self._history._ask(
                self._client, self._client.fetch_ohlcv, self._symbol, self._timeframe,
                pages.since_ns // _MS, page_bars, dict(self._history._config.params),
            )  # fmt: skip
            self.requests += 1
            rows = pages.take(page)
            if pages.at_ns > at:
                self._keep(_frame(rows), (at, pages.at_ns))
            if not rows and not pages.going and page:
                return  # there were no trades up to the end
            self._done = min(self.total, self._done + max(1, len(rows)))
            self._progress("download", self._done, self.total, label)
        at = pages.at_ns
        old = self._request.now_ns - _DAY_NS
        if at < stop_ns and at < old:  # an empty end is final after one day
            self._keep(pl.DataFrame(), (at, min(stop_ns, old // bar_ns * bar_ns)))
            self.notes.append("no bars at the end of the span")

    def _keep(self, frame: Any, covered: tuple[int, int]) -> None:
        self._store.append(self._history.source, self._symbol, self._bar, frame, covered)
        self.rows += frame.height


def _check_bodies(client: Any) -> None:
    """Raise an error for an answer of unexpected shape, which ccxt returns as an empty page."""
    fetch = client.fetch

    def fetching(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        answer = fetch(url, method, headers, body)
        check_body(client.id, method, url, answer)
        return answer

    client.fetch = fetching


def _frame(rows: Sequence[Sequence[Any]]) -> Any:
    import polars as pl

    names = ("open", "high", "low", "close", "volume")
    columns: dict[str, Any] = {
        "timestamp": pl.Series([int(row[0]) * _MS for row in rows], dtype=pl.Int64)
    }
    for j, name in enumerate(names, start=1):
        values = [None if row[j] is None else float(row[j]) for row in rows]
        columns[name] = pl.Series(values, dtype=pl.Float64)
    return pl.DataFrame(columns)


def _missing(covered: Sequence[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return the spans of ``[start, end)`` that `covered` does not contain."""
    gaps = []
    for first, last in covered:
        if start < first and start < end:
            gaps.append((start, min(first, end)))
        start = max(start, last)
    return [*gaps, (start, end)] if start < end else gaps


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _instrument(client: Any, market: Mapping[str, Any]) -> dict[str, float]:
    """Return the current lot, tick and minimum notional of a market."""
    import ccxt

    def step(value: Any, default: float) -> float:
        if value is None:
            return default
        if client.precisionMode == ccxt.TICK_SIZE:
            return float(value)
        return float(10.0 ** -int(value))

    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    lot = step(precision.get("amount"), 1e-8)
    least = (limits.get("cost") or {}).get("min")
    fewest = (limits.get("amount") or {}).get("min")
    return {
        "lot": lot,
        "tick": step(precision.get("price"), 0.0),
        "min_notional": float(least or 0.0),
        "precision": min(1e-8, lot),
        "min_quantity": float(fewest or 0.0),
    }


def _pause(client: Any, attempt: int) -> float:
    """Return the seconds to wait: the exchange's Retry-After, else increasing."""
    headers = getattr(client, "last_response_headers", None) or {}
    header = next((v for k, v in headers.items() if str(k).lower() == "retry-after"), None)
    try:
        wait = float(header) if header is not None else 2.0**attempt
    except ValueError:
        wait = 2.0**attempt
    return min(max(wait, 0.0), _MAX_WAIT_S)
