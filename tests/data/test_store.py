"""The store: first seen wins, an interruption leaves it whole, damage is named."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._data.bar_store import BarStore, default_root
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, START_NS, clean

KEY = ("binance", "BTC/USDT", "1h")


def at(bar: int) -> int:
    return START_NS + bar * HOUR_NS


def put(store: BarStore, first: int, last: int, seed: int = 0) -> None:
    frame = clean(last, seed=seed)[first:last]
    store.append(*KEY, frame, (at(first), at(last)))


def test_rows_come_back_in_order_and_the_first_seen_wins(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    assert store.read(*KEY) is None
    put(store, 10, 20)
    put(store, 0, 12, seed=9)
    frame = store.read(*KEY)
    assert frame is not None
    assert frame["timestamp"].to_list() == [at(j) for j in range(20)]
    assert frame["close"][11] == clean(20)["close"][11]
    assert frame["close"][5] == clean(12, seed=9)["close"][5]
    part = store.read(*KEY, at(3), at(5))
    assert part is not None
    assert part["timestamp"].to_list() == [at(3), at(4)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=8))
def test_covered_and_missing_spans_are_each_others_rest(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
) -> None:
    store = BarStore(tmp_path_factory.mktemp("store"))
    held: set[int] = set()
    for first, count in spans:
        store.append(*KEY, pl.DataFrame(), (first, first + count))
        held |= set(range(first, first + count))
    listed = {j for a, b in store.covered(*KEY) for j in range(a, b)}
    assert listed == held
    missing = [j for a, b in store.missing(*KEY, 0, 80) for j in range(a, b)]
    assert missing == [j for j in range(80) if j not in held]


def test_many_parts_are_put_into_one(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    for j in range(40):
        put(store, 2 * j, 2 * j + 2)
    folder = store.path(*KEY)
    assert len(list(folder.glob("*.parquet"))) < 10
    frame = store.read(*KEY)
    assert frame is not None
    assert frame.height == 80
    assert store.covered(*KEY) == [(at(0), at(80))]


@pytest.mark.parametrize("kill_at", range(4))
def test_a_kill_at_any_write_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    store = BarStore(tmp_path)
    put(store, 0, 10)
    written = 0
    replace = os.replace

    def dying(part: Path, path: Path) -> None:
        nonlocal written
        written += 1
        if written == kill_at + 1:
            raise KeyboardInterrupt
        replace(part, path)

    monkeypatch.setattr(os, "replace", dying)
    for first in (10, 20):
        try:
            put(store, first, first + 10)
        except KeyboardInterrupt:
            break
    monkeypatch.undo()
    frame = store.read(*KEY)
    assert frame is not None
    (covered,) = store.covered(*KEY)
    assert frame["timestamp"].to_list() == list(range(at(0), covered[1], HOUR_NS))
    put(store, 10, 30)
    again = store.read(*KEY)
    assert again is not None
    assert again["timestamp"].to_list() == [at(j) for j in range(30)]


def test_facts_beside_the_rows(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    with pytest.raises(DataError, match="the store has no BTC/USDT"):
        store.describe(*KEY, lot=1)
    put(store, 0, 5)
    store.describe(*KEY, instrument={"lot": 0.1})
    put(store, 5, 9)
    assert store.meta(*KEY)["instrument"] == {"lot": 0.1}
    (entry,) = store.entries()
    assert (entry.source, entry.name, entry.bar, entry.rows) == (*KEY, 9)
    assert (entry.first_ns, entry.last_ns) == (at(0), at(8))


def test_damage_is_named(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    put(store, 0, 5)
    (part,) = store.path(*KEY).glob("*.parquet")
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(DataError, match=r"cannot be read(?s:.*)fetch again"):
        store.read(*KEY)
    part.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        store.read(*KEY)
    meta = store.path(*KEY) / "meta.json"
    meta.write_text('{"version": 99}')
    with pytest.raises(DataError, match="of version 99"):
        store.read(*KEY)
    meta.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        store.read(*KEY)


def test_names_never_leave_the_store(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    assert store.path("a/../..", "x/../y", "1h").is_relative_to(tmp_path)
    assert ".." not in store.path("a/../..", "x/../y", "1h").relative_to(tmp_path).parts
    with pytest.raises(DataError, match="no name for a folder"):
        store.path("..", "x", "1h")


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEPTET_DATA", str(tmp_path))
    assert default_root() == tmp_path
    assert BarStore().root == tmp_path
    monkeypatch.delenv("SEPTET_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert default_root() == tmp_path / "share" / "septet"


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda j: put(BarStore(tmp_path), 2 * j, 2 * j + 2), range(60)))
    store = BarStore(tmp_path)
    frame = store.read(*KEY)
    assert frame is not None
    assert frame["timestamp"].to_list() == [at(j) for j in range(120)]
    assert store.covered(*KEY) == [(at(0), at(120))]


def test_a_reader_finds_the_parts_put_together_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BarStore(tmp_path)
    put(store, 0, 5)
    put(store, 5, 9)
    stale = store.meta(*KEY)
    store.compact(*KEY)
    fresh, asked = store.meta, []

    def meta(*key: str) -> dict[str, object]:
        asked.append(key)
        return dict(stale) if len(asked) == 1 else fresh(*key)

    monkeypatch.setattr(store, "meta", meta)
    frame = store.read(*KEY)
    assert frame is not None
    assert frame.height == 9


def test_a_description_that_is_nested_too_deeply_is_damage(tmp_path: Path) -> None:
    store = BarStore(tmp_path)
    put(store, 0, 5)
    (store.path(*KEY) / "meta.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DataError, match="is damaged: it is nested more than 100 levels deep"):
        store.meta(*KEY)
    with pytest.raises(DataError, match="is damaged"):
        put(store, 5, 9)
