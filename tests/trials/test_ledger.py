"""The ledger of trials: once for a plan on data, whichever way the data come, and never less."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from septet._trials.ledger import BLOCKS, Ledger, LedgerError, Trial
from septet._trials.months import Month, months_of_closes

DAY_NS = 86_400 * 10**9
START = np.datetime64("2021-01-01").astype("datetime64[D]").astype(np.int64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trials.sqlite"


def closes(days: int = 365, seed: int = 1) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, days)))


def months(
    symbol: str = "BTC/USDT", days: int = 365, skip: int = 0, seed: int = 1, each: int = 1
) -> tuple[Month, ...]:
    """Return the months of daily closes from 2021 on, as bars of a day or `each` of one."""
    prices = closes(days, seed)[skip:]
    known = (START + skip + 1 + np.arange(len(prices))) * DAY_NS
    if each > 1:
        known = np.concatenate([known - n * DAY_NS // each for n in range(each)])
        order = np.argsort(known)
        within = np.concatenate([prices, *(prices * 1.01 for _ in range(each - 1))])
        known, prices = known[order], within[order]
    return tuple(months_of_closes(symbol, known, prices))


def trial(name: str, *, seed: int | None = None, first_day: int = 0) -> Trial:
    rng = np.random.default_rng(abs(hash(name)) % 2**32 if seed is None else seed)
    returns = rng.normal(0, 0.01, 200)
    return Trial(name.encode(), b"file", "demo", first_day, returns)


def recorded(path: Path, of: Sequence[Month], *names: str, now_ns: int = 5) -> int:
    with Ledger(path) as ledger:
        return ledger.record(of, [trial(each) for each in names], now_ns)


def counted(path: Path, of: Sequence[Month]) -> int | None:
    with Ledger(path) as ledger:
        return ledger.known(of).tries.count


def test_a_plan_on_the_same_data_counts_once_whoever_asks(path: Path) -> None:
    assert recorded(path, months(), "a", "b") == 2
    assert recorded(path, months(), "a") == 0
    assert counted(path, months()) == 2


def asked(name: str, face: str = "", client: str = "", hypothesis: str = "") -> Trial:
    return replace(trial(name, seed=1), face=face, client=client, hypothesis=hypothesis)


def test_each_client_and_hypothesis_has_a_row_and_plans_are_counted(path: Path) -> None:
    rows = [
        asked("a"), asked("a", "python"), asked("a", "mcp", "one", "trends last"),
        asked("a", "mcp", "one", "trends end"), asked("a", "mcp", "two", "trends last"),
        asked("a", "mcp", "two", "trends last"), asked("b"),
    ]  # fmt: skip
    with Ledger(path) as ledger:
        assert ledger.record(months(), rows, 5) == 5
        found = [each[2:5] for each in ledger.rows(months())]
        assert found == [
            ("", "", ""), ("mcp", "one", "trends last"), ("mcp", "one", "trends end"),
            ("mcp", "two", "trends last"), ("", "", ""),
        ]  # fmt: skip
        assert ledger.rows() == ledger.rows(ledger.months_of("demo"))
        assert ledger.rows(months("ETH/USDT", seed=3)) == []
        assert ledger.known(months()).tries.count == 2
        assert ledger.verify_rows() == 5


def test_a_ledger_of_another_format_is_refused_and_left_as_it_is(path: Path) -> None:
    recorded(path, months(), "a", "b")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(LedgerError, match="has format 1, and this septet writes 3"):
        Ledger(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (2,)


@pytest.mark.parametrize(
    "same",
    [
        {"skip": 8}, {"each": 24}, {"symbol": "MYBTC"}, {"symbol": "BTC/EUR", "seed": 2},
        {"days": 300}, {"symbol": "BTC/USDT:USDT", "skip": 40},
    ],
    ids=["another start", "another bar", "another name", "another venue", "an end", "a contract"],
)  # fmt: skip
def test_the_same_market_is_recognised(path: Path, same: dict[str, int]) -> None:
    recorded(path, months(), "a", "b", "c")
    assert counted(path, months(**same)) == 3  # type: ignore[arg-type]


def test_other_data_and_a_shared_month_or_two_are_not_the_same(path: Path) -> None:
    recorded(path, months(), "a", "b", "c")
    assert counted(path, months("ETH/USDT", seed=3)) == 0
    later = months(days=365 + 340, skip=340)  # one month of twelve is shared
    assert counted(path, later) == 0


def test_the_effective_number_lies_between_one_and_the_count(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.record(months(), [trial(f"t{n}", seed=7) for n in range(20)], 5)
        assert ledger.known(months()).tries.effective == pytest.approx(1.0, abs=1e-5)
        ledger.record(months(), [trial(f"u{n}") for n in range(20)], 5)
        worth = ledger.known(months()).tries.effective
    assert worth is not None
    assert 20.0 < worth < 40.0


def test_settings_of_a_sweep_have_sums_of_blocks(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.record(months(), [trial(f"s{n}", seed=7, first_day=BLOCKS) for n in range(9)], 5)
        known = ledger.known(months(), declared=3)
    assert (known.tries.count, known.tries.declared) == (12, 3)
    assert known.tries.effective == pytest.approx(1.0, abs=1e-5)


def test_the_first_record_of_a_file_is_remembered(path: Path) -> None:
    recorded(path, months(), "a", now_ns=70)
    recorded(path, months(), "b", now_ns=90)
    with Ledger(path) as ledger:
        assert ledger.known(months(), b"file").file_first_ns == 70
        assert ledger.known(months(), b"other").file_first_ns is None


def test_rows_are_chained_and_stay(path: Path) -> None:
    recorded(path, months(), "a", "b", "c")
    with Ledger(path) as ledger:
        assert ledger.verify_rows() == 3
    with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError, match="append"):
        other.execute("DELETE FROM trials WHERE seq = 2")
    with sqlite3.connect(path) as other:
        other.execute("DROP TRIGGER trials_same")
        other.execute("UPDATE trials SET strategy = 'x' WHERE seq = 2")
    with pytest.raises(LedgerError, match="row 2 is not the one"):
        Ledger(path)


def test_what_cannot_be_used_is_reported(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(path)
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "link")


def test_two_processes_write_one_after_the_other(path: Path) -> None:
    with Ledger(path) as one, Ledger(path) as other:
        one.record(months(), [trial("a")], 5)
        other.record(months(), [trial("b")], 6)
        one.record(months(), [trial("c")], 7)
        assert other.verify_rows() == 3


def test_the_file_is_the_users_alone(path: Path) -> None:
    recorded(path, months(), "a")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def rows_of(
    symbol: str, prices: np.ndarray, *, shift: int = 0, bars_a_day: int = 24, first: int = 0
) -> tuple[Month, ...]:
    """Return the months of five columns of bars, moved by `shift` bars in time."""
    known = START * DAY_NS + (np.arange(len(prices)) + 1 + shift) * (DAY_NS // bars_a_day)
    columns = [prices * each for each in (1.0, 1.01, 0.99, 1.001)] + [np.ones(len(prices))]
    columns = columns[first:] + columns[:first]
    return tuple(sorted(set(months_of_closes(symbol, known, columns[0], columns))))


@pytest.mark.parametrize("bars_a_day", [1, 24, 1440])
def test_moved_and_renamed_rows_are_recognised_and_others_are_not(
    path: Path, bars_a_day: int
) -> None:
    count = 100 * bars_a_day if bars_a_day > 1 else 700
    recorded(path, rows_of("BTC/USD", closes(count), bars_a_day=bars_a_day), "a", "b")
    for shift in (-1, 1):
        moved = rows_of("X/Y", closes(count), shift=shift, bars_a_day=bars_a_day, first=1)
        assert counted(path, moved) == 2
    other = rows_of("X/Y", closes(count, seed=2), bars_a_day=bars_a_day)
    assert counted(path, other) == 0


def test_markets_whose_prices_hardly_move_are_not_one(path: Path) -> None:
    rng = np.random.default_rng(5)
    one, other = (1.0 + 0.0001 * rng.integers(-1, 2, 24 * 200) for _ in range(2))
    recorded(path, rows_of("USDC/USD", one), "a")
    assert counted(path, rows_of("DAI/USD", other)) == 0
    assert counted(path, rows_of("EUR/USD", np.full(24 * 200, 1.0))) == 0
