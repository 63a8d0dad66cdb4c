"""Downloading history with the unmodified ccxt client from a local server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from septet._data.bar_store import BarStore
from septet._data.load import read_candles
from septet.errors import DataError, RunError
from tests.data.helpers import HOUR_NS, block, request
from tests.data.venue import BAR_MS, Venue, venue

FIRST_MS = 1_600_002_000_000 // BAR_MS * BAR_MS
SYMBOL = "BTC/USDT"
OPTIONS = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}


@pytest.fixture
def exchange() -> Iterator[Venue]:
    with venue(FIRST_MS, 2_500) as running:
        yield running


def source_of(exchange: Venue, **config: Any) -> Any:
    """A ccxt source that waits for nothing but reports how long it would have waited."""
    settings = {"venue": "binance", "urls": exchange.urls, "options": OPTIONS, **config}
    made = block("candles", "ccxt", **settings)
    source = made.declaration(made.config)
    source.waits = []
    source._wait = source.waits.append
    return source


def at(bar: int) -> int:
    return FIRST_MS * 1_000_000 + bar * HOUR_NS


def ask(store: BarStore, first: int, last: int, *, now: int = 10_000) -> Any:
    return request("1h", SYMBOL, store=store, start_ns=at(first), end_ns=at(last), now_ns=at(now))


def silent(stage: str, done: int, total: int | None, what: str, /) -> None:
    return None


def opens(store: BarStore, source: Any) -> list[int]:
    frame = store.read(source.source, SYMBOL, "1h")
    assert frame is not None
    return [(each - at(0)) // HOUR_NS for each in frame["timestamp"].to_list()]


def test_pages_until_the_end_and_reads_back(exchange: Venue, tmp_path: Path) -> None:
    store, source, seen = BarStore(tmp_path), source_of(exchange, page_bars=1_000), []
    report = source.fetch(
        ask(store, 100, 2_200),
        lambda stage, done, total, what: seen.append((stage, what, done, total)),
    )
    assert opens(store, source) == list(range(100, 2_200))
    assert report[0].rows == 2_100
    assert [int(each["startTime"]) for each in exchange.asked] == [
        at(j) // 1_000_000 for j in (100, 1_100, 2_100)
    ]
    assert seen[-1] == ("download", "BTC/USDT 1h", 2_100, 2_100)
    made = block(
        "candles", "ccxt", venue="binance", urls=exchange.urls, options=OPTIONS, page_bars=1_000
    )
    ((raw, done),) = read_candles(made, ask(store, 100, 2_200))
    assert len(done.bars) == 2_100
    assert done.bars.close[0] == 100.0 + 100 % 50 + 1
    assert dict(raw.facts.instrument or {}) == {
        "lot": 1e-5, "tick": 0.01, "min_notional": 5.0, "precision": 1e-8,
        "min_quantity": 1e-5,
    }  # fmt: skip


def test_asks_for_nothing_it_holds(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange)
    source.fetch(ask(store, 200, 900), silent)
    asked = len(exchange.asked)
    again = source.fetch(ask(store, 200, 900), silent)
    assert len(exchange.asked) == asked
    assert again[0].rows == 0
    assert again[0].requests == 0
    source.fetch(ask(store, 100, 1_000), silent)
    assert opens(store, source) == list(range(100, 1_000))
    later = [int(each["startTime"]) * 1_000_000 for each in exchange.asked[asked:]]
    assert later == [at(100), at(900)]


def test_goes_on_after_an_interruption(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange, page_bars=500)

    def interrupt(stage: str, done: int, total: int | None, what: str, /) -> None:
        if done >= 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.fetch(ask(store, 0, 2_000), interrupt)
    assert opens(store, source) == list(range(1_000))
    source.fetch(ask(store, 0, 2_000), silent)
    assert opens(store, source) == list(range(2_000))
    starts = [int(each["startTime"]) for each in exchange.asked]
    assert len(starts) == len(set(starts)) == 4


def test_waits_as_long_as_the_exchange_reports(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange, page_bars=500)
    exchange.fail[2] = (429, {"Retry-After": "17"}, {"code": -1003, "msg": "Too many requests."})
    exchange.fail[3] = (503, {}, {"msg": "busy"})
    source.fetch(ask(store, 0, 1_000), silent)
    assert opens(store, source) == list(range(1_000))
    assert source.waits[0] == 17.0
    assert len(source.waits) == 2


def test_the_client_keeps_the_rate_limit(exchange: Venue, tmp_path: Path) -> None:
    """Every request goes through ccxt's own limiter, at the exchange's own pace."""
    import ccxt

    throttled: list[Any] = []
    source = source_of(exchange, page_bars=100)
    with source._client() as client:
        assert client.enableRateLimit
        assert client.rateLimit == ccxt.binance().rateLimit > 0
        keep = client.throttle
        client.throttle = lambda cost=None: throttled.append(cost)
        client.load_markets()
        client.fetch_ohlcv(SYMBOL, "1h", FIRST_MS, 100)
        client.throttle = keep
    assert len(throttled) == 2
    assert all(cost > 0 for cost in throttled)


def test_gives_up_with_what_it_has(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange, page_bars=500, retries=2)
    exchange.fail.update({j: (503, {}, {"msg": "busy"}) for j in range(2, 9)})
    with pytest.raises(RunError, match=r"cannot be reached.*(?s:.*)goes on from there"):
        source.fetch(ask(store, 0, 1_000), silent)
    assert source.waits == [1.0, 2.0]
    assert opens(store, source) == list(range(500))


def test_leaves_out_the_bar_that_is_still_open(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange)
    now = request("1h", SYMBOL, store=store, start_ns=at(0), now_ns=at(10) + HOUR_NS // 2)
    source.fetch(now, silent)
    assert opens(store, source) == list(range(10))


def test_history_before_the_listing_is_empty_not_an_error(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange)
    source.fetch(ask(store, -3_000, 50), silent)
    assert opens(store, source) == list(range(50))
    assert store.covered(source.source, SYMBOL, "1h") == [(at(-3_000), at(50))]


def test_an_exchange_that_answers_by_windows(
    exchange: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty windows before the listing are stepped over, and remembered once bars appear."""
    store, source = BarStore(tmp_path), source_of(exchange, page_bars=500)
    whole = exchange.respond

    def windows(path: str, query: dict[str, str]) -> Any:
        status, headers, body = whole(path, query)
        if path.endswith("/klines"):
            end = int(query["startTime"]) + 500 * BAR_MS
            body = [each for each in body if each[0] < end]
        return status, headers, body

    monkeypatch.setattr(exchange, "respond", windows)
    from tests.data.venue import serve

    with serve(windows) as url:
        monkeypatch.setattr(exchange, "url", url)
        source = source_of(exchange, page_bars=500)
        source.fetch(ask(store, -1_200, 100), silent)
    assert opens(store, source) == list(range(100))
    assert store.covered(source.source, SYMBOL, "1h") == [(at(-1_200), at(100))]


def test_a_recent_empty_end_is_asked_for_again(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange)
    source.fetch(ask(store, 2_400, 2_510, now=2_510), silent)
    assert store.covered(source.source, SYMBOL, "1h") == [(at(2_400), at(2_500))]
    exchange.count = 2_510
    source.fetch(ask(store, 2_400, 2_510, now=2_510), silent)
    assert opens(store, source) == list(range(2_400, 2_510))


@pytest.mark.parametrize(
    ("config", "symbol", "bar", "message"),
    [
        ({}, "BTC/USDC", "1h", "did you mean BTC/USDT"),
        ({}, SYMBOL, "7m", "no bars of 7m"),
    ],
)
def test_names_what_does_not_exist(
    exchange: Venue, tmp_path: Path, config: dict[str, Any], symbol: str, bar: str, message: str
) -> None:
    source = source_of(exchange, **config)
    asked = request(bar, symbol, store=BarStore(tmp_path), start_ns=at(0), now_ns=at(9))
    with pytest.raises(DataError, match=message):
        source.fetch(asked, silent)


def test_an_exchange_that_ccxt_does_not_know_is_refused_before_it_is_asked() -> None:
    import ccxt

    from septet_plugins.exchange.exchange_ids import exchange_ids

    assert exchange_ids() == frozenset(ccxt.exchanges)
    wrong: list[dict[str, Any]] = [{"venue": "binnance"}, {"venue": "a", "exchange": "binnance"}]
    for config in wrong:
        with pytest.raises(ValidationError, match="ccxt knows no exchange of this id"):
            block("candles", "ccxt", **config)
    assert block("candles", "ccxt", venue="main", exchange="binance").use == "ccxt"


def test_needs_a_beginning_and_a_download(exchange: Venue, tmp_path: Path) -> None:
    source, store = source_of(exchange), BarStore(tmp_path)
    with pytest.raises(DataError, match="needs a beginning"):
        source.fetch(request("1h", SYMBOL, store=store, now_ns=at(9)), silent)
    with pytest.raises(DataError, match=r"no BTC/USDT 1h of binance.*(?s:.*)data fetch"):
        source.read(ask(store, 0, 5))


def test_other_addresses_are_another_source(exchange: Venue) -> None:
    made = block("candles", "ccxt", venue="main", exchange="binance")
    assert made.declaration(made.config).source == "binance"
    assert source_of(exchange).source.startswith("binance-")
    assert source_of(exchange, urls={}, sandbox=True).source == "binance-sandbox"


def test_names_what_was_never_downloaded(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange)
    source.fetch(ask(store, 100, 200), silent)
    source.fetch(ask(store, 300, 400), silent)
    whole = source.read(ask(store, 100, 200))[0]
    assert whole.facts.notes == ()
    assert whole.frame.height == 200
    (note,) = source.read(ask(store, 50, 450))[0].facts.notes
    assert note.startswith("never downloaded: ")
    assert note.count(" to ") == 3
    unbounded = request("1h", SYMBOL, store=store, now_ns=at(10_000))
    (note,) = source.read(unbounded)[0].facts.notes
    assert note.count(" to ") == 1


def test_params_of_the_file_go_with_each_request(exchange: Venue, tmp_path: Path) -> None:
    store, source = BarStore(tmp_path), source_of(exchange, params={"timeZone": "8:00"})
    source.fetch(ask(store, 0, 10), silent)
    assert {each.get("timeZone") for each in exchange.asked} == {"8:00"}


@pytest.mark.parametrize(("page_bars", "pages"), [(500, 2), (100, 10)])
def test_a_page_holds_as_many_bars_as_the_file_sets(
    exchange: Venue, tmp_path: Path, page_bars: int, pages: int
) -> None:
    source_of(exchange, page_bars=page_bars).fetch(ask(BarStore(tmp_path), 0, 1_000), silent)
    assert len(exchange.asked) == pages
    assert {each["limit"] for each in exchange.asked} == {str(page_bars)}
