"""Rows under another symbol are recognised where they cover parts of months, or some are left out.

Two markets that have nothing in common are not one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from septet._trials.months import Month, months_of_closes
from tests.trials.test_ledger import DAY_NS, closes, counted, recorded

START = np.datetime64("2023-01-01").astype("datetime64[D]").astype(np.int64)
SPANS = [
    ("2023-03-10", "2023-04-20"), ("2023-02-03", "2023-02-20"), ("2023-01-05", "2023-01-16"),
    ("2023-02-10", "2023-03-25"), ("2023-03-01", "2023-03-31"), ("2023-01-14", "2023-02-12"),
]  # fmt: skip


def part(
    symbol: str, since: str = "2023-01-01", until: str = "2023-04-30", *, seed: int = 1,
    bars_a_day: int = 24, shift: int = 0, left_out: int = 0,
) -> tuple[Month, ...]:  # fmt: skip
    """Return the months of some days of one market, both included; every n-th row is left out."""
    bar_ns = DAY_NS // bars_a_day
    prices = closes(120 * bars_a_day, seed)
    known = START * DAY_NS + (np.arange(len(prices)) + 1) * bar_ns
    first, last = (np.datetime64(each).astype(np.int64) * DAY_NS for each in (since, until))
    kept = (known > first) & (known <= last + DAY_NS)
    if left_out:
        kept &= np.arange(len(prices)) % left_out != 3
    columns = [prices * each for each in (1.0, 1.01, 0.99, 1.001)]
    moved = known[kept] + shift * bar_ns
    return tuple(months_of_closes(symbol, moved, prices[kept], [each[kept] for each in columns]))


@pytest.mark.parametrize("bars_a_day", [1, 24, 288])
@pytest.mark.parametrize(("since", "until"), SPANS)
def test_a_part_of_the_months_under_another_symbol_is_recognised(
    tmp_path: Path, since: str, until: str, bars_a_day: int
) -> None:
    path = tmp_path / "state" / "trials.sqlite"
    recorded(path, part("BTC/USD", bars_a_day=bars_a_day), "a", "b", "c")
    assert counted(path, part("Q/USD", since, until, bars_a_day=bars_a_day)) == 3
    other = part("R/USD", since, until, bars_a_day=bars_a_day, seed=2)
    assert counted(path, other) == 0


@pytest.mark.parametrize("bars_a_day", [1, 24, 288])
@pytest.mark.parametrize("left_out", [2, 3, 11])
def test_rows_that_are_left_out_hide_no_data(
    tmp_path: Path, bars_a_day: int, left_out: int
) -> None:
    if bars_a_day == 1 and left_out < 11:
        pytest.skip("no five days are left: results.md names it")
    path = tmp_path / "state" / "trials.sqlite"
    recorded(path, part("BTC/USD", bars_a_day=bars_a_day), "a", "b", "c")
    assert counted(path, part("Q/USD", left_out=left_out, bars_a_day=bars_a_day)) == 3


@pytest.mark.parametrize(("since", "until"), [SPANS[0], SPANS[1], SPANS[3]])
@pytest.mark.parametrize("shift", [-1, 1, 9])
def test_a_part_with_another_stamp_or_zone_is_recognised_by_the_middle_of_a_month(
    tmp_path: Path, since: str, until: str, shift: int
) -> None:
    path = tmp_path / "state" / "trials.sqlite"
    recorded(path, part("BTC/USD"), "a", "b", "c")
    assert counted(path, part("Q/USD", since, until, shift=shift)) == 3


def test_days_that_go_on_after_the_data_are_no_closes(tmp_path: Path) -> None:
    whole = {each.closes for each in part("BTC/USD")}
    ends_at_noon = part("Q/USD", "2023-01-01", "2023-01-10")
    cut = tuple(
        months_of_closes(
            "Q/USD", START * DAY_NS + (np.arange(228) + 1) * (DAY_NS // 24),
            closes(120 * 24)[:228],
        )
    )  # fmt: skip
    assert len({each.closes for each in ends_at_noon} & whole) == 2
    assert len({each.closes for each in cut} & whole) == 1, "the 6th to the 10th ends at noon"


def test_stable_prices_of_two_markets_share_no_block(tmp_path: Path) -> None:
    path = tmp_path / "state" / "trials.sqlite"
    known = (START + 1 + np.arange(120)) * DAY_NS
    rng = np.random.default_rng(3)
    one, other = ((1.0 + 0.0001 * rng.integers(-1, 2, 120)).astype(np.float64) for _ in range(2))
    recorded(path, tuple(months_of_closes("USDC/USD", known, one, [one])), "a")
    assert counted(path, tuple(months_of_closes("DAI/USD", known, other, [other]))) == 0
