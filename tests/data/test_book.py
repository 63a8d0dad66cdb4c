"""The book builder: right or invalid, never quietly wrong."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet.plugin.live import Clock, QuoteSeen, StreamDown
from septet_plugins.data.book import Book
from septet_plugins.data.ccxt_books import Books

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data"


class Truth:
    """A book kept the plain way, and the differences that lead to it."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.bids = {100.0 - n: 1.0 for n in range(1, 6)}
        self.asks = {100.0 + n: 1.0 for n in range(1, 6)}
        self.last_id = 10

    def change(self) -> tuple[int, int, list[Any], list[Any]]:
        first = self.last_id + 1
        bids: list[Any] = []
        asks: list[Any] = []
        for _ in range(self.draw.randint(1, 4)):
            side, price = (
                (self.bids, 100.0 - self.draw.randint(1, 9))
                if self.draw.random() < 0.5
                else (self.asks, 100.0 + self.draw.randint(1, 9))
            )
            quantity = self.draw.choice([0.0, 1.0, 2.5])
            (bids if side is self.bids else asks).append([str(price), str(quantity)])
            if quantity:
                side[price] = quantity
            else:
                side.pop(price, None)
            self.last_id += 1
        return first, self.last_id, bids, asks

    def snapshot(self) -> tuple[int, list[Any], list[Any]]:
        return self.last_id, list(map(list, self.bids.items())), list(map(list, self.asks.items()))

    def top(self, count: int) -> tuple[Any, Any]:
        return (
            tuple(sorted(self.bids.items(), reverse=True)[:count]),
            tuple(sorted(self.asks.items())[:count]),
        )


@given(st.integers(0, 10**6), st.integers(0, 20), st.integers(0, 20))
def test_a_book_is_what_its_differences_make_of_a_snapshot(
    seed: int, early: int, late: int
) -> None:
    """Differences from before the snapshot are dropped or applied, whichever is right."""
    truth, book = Truth(seed), Book()
    taken = truth.snapshot()
    for number in range(early):
        if number == early // 2:
            taken = truth.snapshot()
        assert not book.update(*truth.change())
    assert book.snapshot(*taken)
    assert book.top(20) == truth.top(20)
    for _ in range(late):
        assert book.update(*truth.change())
        assert book.top(20) == truth.top(20)
        assert book.last_id == truth.last_id
    assert book.depth() == (len(truth.bids), len(truth.asks))


@given(st.integers(0, 10**6), st.integers(0, 10), st.integers(1, 3))
def test_a_gap_makes_it_invalid_until_a_newer_snapshot(seed: int, before: int, lost: int) -> None:
    truth, book = Truth(seed), Book()
    book.snapshot(*truth.snapshot())
    for _ in range(before):
        book.update(*truth.change())
    for _ in range(lost):
        truth.change()
    old = truth.snapshot()
    assert not book.update(*truth.change())
    assert "missing" in book.reason
    assert book.gaps == 1
    with pytest.raises(ValueError, match="not valid"):
        book.top(1)
    book.update(*truth.change())
    assert book.snapshot(*old), "what came after the gap was kept"
    assert book.top(20) == truth.top(20)


def test_a_snapshot_that_is_too_old_leaves_a_gap() -> None:
    truth, book = Truth(1), Book()
    old = truth.snapshot()
    truth.change()
    book.update(*truth.change())
    assert not book.snapshot(*old)
    assert book.snapshot(*truth.snapshot())
    assert book.top(20) == truth.top(20)


def test_a_repeated_difference_changes_nothing() -> None:
    truth, book = Truth(2), Book()
    book.snapshot(*truth.snapshot())
    change = truth.change()
    assert book.update(*change)
    assert book.update(*change)
    assert book.top(20) == truth.top(20)


def test_futures_name_the_number_before() -> None:
    book = Book()
    book.snapshot(10, [[99, 1]], [[101, 1]])
    assert book.update(8, 12, [[98, 1]], [], 7)
    assert book.update(15, 16, [[97, 1]], [], 12)
    assert not book.update(19, 20, [[96, 1]], [], 18)


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (["-1", "804627.7"], "no price"),
        (["0", "1"], "no price"),
        (["nan", "1"], "no price"),
        (["99", "inf"], "no price"),
        (["99", "-2"], "no price"),
        (["x", "1"], "no number"),
        (["99"], "no number"),
        (["101", "1"], "crossed"),
        (["102.5", "1"], "crossed"),
    ],
)
def test_what_cannot_be_makes_it_invalid(level: list[str], reason: str) -> None:
    book = Book()
    assert book.snapshot(10, [[99, 1]], [[101, 1]])
    assert not book.update(11, 11, [level], [])
    assert reason in book.reason
    assert book.snapshot(12, [[99, 1]], [[101, 1]])


def test_a_reset_forgets_what_was_kept() -> None:
    book = Book()
    book.update(11, 12, [[98, 1]], [])
    book.reset("the connection is gone")
    assert book.snapshot(5, [[99, 1]], [[101, 1]])
    assert book.last_id == 5


# ---------------------------------------------------------------------------- recorded


def recorded(name: str) -> Any:
    path = RECORDED / name
    if not path.exists():
        pytest.skip("the recorded data is not on this machine")
    import polars as pl

    return pl.read_parquet(path)


def test_eleven_minutes_of_a_real_book_equal_the_recorded_best_prices() -> None:
    rows = recorded("book/spot_btcusdt_depth.parquet")
    best = {
        each[0]: each[1:]
        for each in recorded("book/spot_btcusdt_bookticker.parquet")
        .select("update_id", "bid", "bid_qty", "ask", "ask_qty")
        .iter_rows()
    }
    messages = rows.group_by("first_id", "last_id", "is_snapshot", maintain_order=True).agg(
        "side", "price", "qty"
    )
    book, compared, valid, skipped = Book(), 0, 0, Book()
    for number, (first, last, whole, sides, prices, sizes) in enumerate(messages.iter_rows()):
        levels = list(zip(sides, prices, sizes, strict=True))
        bids = [each[1:] for each in levels if each[0] == "b"]
        asks = [each[1:] for each in levels if each[0] == "a"]
        if whole:
            book.snapshot(last, bids, asks)
            skipped.snapshot(last, bids, asks)
            continue
        if number != 3_000:
            skipped.update(first, last, bids, asks)
        if book.update(first, last, bids, asks):
            valid += 1
            if last in best:
                (bid,), (ask,) = book.top(1)
                assert (*bid, *ask) == best[last]
                compared += 1
    assert (valid, compared, book.gaps) == (6_492, 1_072, 0)
    assert skipped.gaps == 1
    assert not skipped.valid


@pytest.mark.parametrize(("kind", "sound"), [("positive", True), ("negative", False)])
def test_recorded_differences_sound_and_corrupted(kind: str, sound: bool) -> None:
    name = f"test_{kind}_binance_difference_depth_stream_spot_trxusdt_04-03-2025.parquet"
    rows = recorded(f"book_defects/{name}")
    messages = rows.group_by("FirstUpdateId", "FinalUpdateId", maintain_order=True).agg(
        "IsAsk", "Price", "Quantity"
    )
    book, faults = Book(), []
    for first, last, sides, prices, sizes in messages.iter_rows():
        levels = list(zip(sides, prices, sizes, strict=True))
        bids = [each[1:] for each in levels if each[0] == "0"]
        asks = [each[1:] for each in levels if each[0] == "1"]
        if not book.last_id or not book.valid:
            book = Book()
            book.snapshot(int(first) - 1, [], [])
        if not book.update(int(first), int(last), bids, asks):
            faults.append(book.reason)
    assert (not faults) == sound, faults


class Still(Clock):
    """A clock that stands still."""

    @property
    def speed(self) -> float:
        return 1.0

    def now_ns(self) -> int:
        return 1

    def market_ns(self) -> int:
        return 1


def test_a_side_drained_beyond_its_snapshot_has_another_one_asked_for() -> None:
    """What lies deeper than a snapshot goes was never reported: an empty side may not be one."""
    received: list[Any] = []
    asked: list[str] = []

    async def fetch(symbol: str, limit: Any, params: Any) -> dict[str, Any]:
        asked.append(symbol)
        levels = [[101.0, 1.0]] if len(asked) == 1 else [[105.0, 2.0]]
        return {"nonce": 10 * len(asked), "bids": [[100.0, 1.0]], "asks": levels}

    def drained(first: int, last: int) -> dict[str, Any]:
        return {"s": "AB", "U": first, "u": last, "b": [], "a": [["101.0", "0"]], "E": 1}

    async def case() -> None:
        client = SimpleNamespace(
            id="binance", markets={"A/B": {"id": "AB"}}, fetch_order_book=fetch
        )
        books = Books(client, ("A/B",), Still(), received.append)
        await client.fetch_order_book("A/B")
        assert books.raw(drained(11, 12))
        assert isinstance(received[-1], StreamDown)
        assert received[-1].reason == "a side of the book is empty"
        await asyncio.gather(*(each.task for each in books._asking.values() if each.task))
        assert len(asked) == 2
        assert isinstance(received[-1], QuoteSeen)
        assert received[-1].ask == 105.0

    asyncio.run(case())
