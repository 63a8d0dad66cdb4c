"""Defects: each one is counted once, treated by its policy, and moves no bar in time."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.bad_rows import doubts
from septet._data.normalise import normalise
from septet._data.source import Facts, RawBars
from septet.errors import DataError
from septet_plugins.data.synthetic import DEFECTS, inject
from septet_schemas.data import CandlesConfig, Policies
from tests.data.helpers import DAY_NS, HOUR_NS, NAMES, START_NS, checked, clean, counts, ns
from tests.scale import examples

DROPPED = ("gap", "off_grid", "not_finite", "bad_price", "high_below_low", "outside_range")


def test_flawless_bars_pass_unchanged_into_arrays_of_their_own() -> None:
    frame = clean(500)
    done = checked(frame)
    assert counts(done.findings) == {}
    for name in NAMES:
        values = getattr(done.bars, name)
        assert values.tolist() == frame[name].to_list()
        assert values.dtype == np.float64
        assert values.flags.owndata
        assert values.flags.writeable
        assert values.flags.c_contiguous
    assert done.bars.open_ns.tolist() == frame["timestamp"].to_list()
    assert (done.bars.known_ns - done.bars.open_ns == HOUR_NS).all()
    assert (done.bars.session == done.bars.open_ns // DAY_NS).all()


@settings(max_examples=examples(60), deadline=None)
@given(
    st.dictionaries(st.sampled_from(list(DEFECTS)), st.integers(1, 6)),
    st.integers(0, 2**32),
    st.randoms(use_true_random=False),
)
def test_every_defect_is_counted_once(defects: dict[str, int], seed: int, shuffler: object) -> None:
    frame = clean(400, seed=seed % 7)
    spoiled = inject(frame, defects, np.random.default_rng(seed))
    done = checked(spoiled)
    found = counts(done.findings)
    missing = sum(defects.get(kind, 0) for kind in DROPPED)
    assert found.pop("gap", 0) == missing
    expected = {kind: count for kind, count in defects.items() if kind != "gap"}
    assert found == expected
    # Nothing valid is lost, nothing is known sooner than in the clean data.
    assert len(done.bars) == 400 - missing
    truth = dict(zip(frame["timestamp"].to_list(), frame["close"].to_list(), strict=True))
    assert (np.diff(done.bars.open_ns) > 0).all()
    for opened, known, close in zip(
        done.bars.open_ns.tolist(), done.bars.known_ns.tolist(), done.bars.close, strict=True
    ):
        assert known == opened + HOUR_NS
        assert close == truth[opened]


@settings(max_examples=examples(40), deadline=None)
@given(st.permutations(range(60)), st.integers(0, 59))
def test_order_of_rows_does_not_matter_without_conflicts(order: list[int], twice: int) -> None:
    frame = clean(60)
    shuffled = frame[[*order, twice]]
    done = checked(shuffled)
    assert done.bars.close.tolist() == frame["close"].to_list()
    assert counts(done.findings)["duplicate"] == 1


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(2, 399), st.integers(0, 1000))
def test_later_rows_change_nothing_before_them(cut: int, seed: int) -> None:
    """No look-ahead: the bars up to a row are the same with or without the rows after it."""
    kinds = {"duplicate": 3, "conflict": 2, "off_grid": 3, "not_finite": 2, "zero_volume": 2}
    frame = inject(clean(400), kinds, np.random.default_rng(seed))
    whole = checked(frame).bars
    part = checked(frame[:cut], max_bad=0.9).bars
    n = len(part)
    for name in ("open_ns", "known_ns", *NAMES):
        assert getattr(part, name).tolist() == getattr(whole, name)[:n].tolist()


@pytest.mark.parametrize("kind", list(DEFECTS))
def test_every_kind_can_be_refused(kind: str) -> None:
    frame = inject(clean(100), {kind: 2}, np.random.default_rng(1))
    with pytest.raises(DataError, match=rf"BTC/USDT from a test: {kind}: 2 ") as caught:
        checked(frame, policy=Policies(**{kind: "refuse"}))
    assert "2020-01-0" in str(caught.value)


def test_every_policy_has_its_words() -> None:
    from septet._data.defects import MESSAGES

    assert set(Policies.model_fields) <= set(MESSAGES)


def test_filled_gaps_are_marked_and_are_not_known_before() -> None:
    frame = clean(50)
    done = checked(frame[[*range(10), *range(13, 50)]], policy=Policies(gap="fill"))
    bars = done.bars
    assert len(bars) == 50
    assert bars.filled is not None
    assert np.flatnonzero(bars.filled).tolist() == [10, 11, 12]
    assert bars.volume[10:13].tolist() == [0.0] * 3
    for name in NAMES[:4]:
        assert (getattr(bars, name)[10:13] == bars.close[9]).all()
    assert (np.diff(bars.open_ns) == HOUR_NS).all()
    assert counts(done.findings) == {"gap": 3}


def test_filled_gaps_keep_to_the_sessions() -> None:
    stamps = [ns(f"2021-03-{day:02d}") for day in (10, 12, 16)]
    frame = clean(3).with_columns(pl.Series("timestamp", stamps))
    done = checked(frame, DAY_NS, calendar="XNYS", policy=Policies(gap="fill"))
    assert counts(done.findings)["gap"] == 2  # the 11th and Monday the 15th, no weekend
    assert done.bars.known_ns[1] == ns("2021-03-11T21:00")
    assert done.bars.known_ns[3] == ns("2021-03-15T20:00")


def test_outside_range_can_be_mended_or_kept() -> None:
    frame = inject(clean(60), {"outside_range": 1}, np.random.default_rng(3))
    row = int((frame["close"] > frame["high"]).arg_max() or 0)
    wide = checked(frame, policy=Policies(outside_range="fill")).bars
    assert wide.high[row] == frame["close"][row]
    kept = checked(frame, policy=Policies(outside_range="keep")).bars
    assert kept.high[row] == frame["high"][row]


def test_the_unfinished_bar_is_left_out() -> None:
    frame = clean(10)
    now = START_NS + 9 * HOUR_NS + HOUR_NS // 2
    done = checked(frame, now_ns=now)
    assert len(done.bars) == 9
    assert counts(done.findings) == {"unfinished": 1}
    assert len(checked(frame, now_ns=now + HOUR_NS // 2).bars) == 10


def test_a_stamp_must_be_given_where_the_source_cannot_know() -> None:
    raw = RawBars("X", clean(5), Facts("x.csv"))
    with pytest.raises(DataError, match="write stamp: open or stamp: close"):
        normalise(raw, CandlesConfig(), bar_ns=HOUR_NS)
    done = normalise(raw, CandlesConfig(stamp="close"), bar_ns=HOUR_NS)
    assert done.bars.known_ns.tolist() == raw.frame["timestamp"].to_list()


@pytest.mark.parametrize(
    ("bar_ns", "message"),
    [
        (DAY_NS, "mostly 1h apart, expected bars of 1d"),
        (HOUR_NS // 60, "mostly 1h apart, expected bars of 1m"),
    ],
)
def test_another_bar_length_is_refused(bar_ns: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(clean(200), bar_ns)


def test_what_is_mostly_bad_is_refused_with_the_reason() -> None:
    shifted = clean(50, start_ns=START_NS + 30 * 60_000_000_000)
    with pytest.raises(
        DataError, match=r"0 of 50 rows are usable as they (?s:.*)off_grid 50(?s:.*)time_zone"
    ):
        checked(shifted)
    half = clean(50).with_columns(
        pl.when(pl.int_range(50) % 10 < 6).then(None).otherwise(pl.col("close")).alias("close")
    )
    with pytest.raises(DataError, match="20 of 50 rows are usable as they are: not_finite 30"):
        checked(half)
    assert len(checked(half, max_bad=0.7).bars) == 20


def test_text_and_missing_columns() -> None:
    text = clean(20).with_columns(pl.col(name).cast(pl.String) for name in NAMES)
    assert checked(text).bars.close.tolist() == clean(20)["close"].to_list()
    with pytest.raises(DataError, match="no column high, close; found timestamp, open, low"):
        checked(clean(5).select("timestamp", "open", "low"))
    with pytest.raises(DataError, match="there are no rows"):
        checked(clean(5)[:0])
    bare = checked(clean(5).drop("volume"))
    assert bare.bars.volume.tolist() == [0.0] * 5
    assert any("no volume" in each.message for each in bare.findings)


def test_volume_in_the_quote_currency_becomes_base() -> None:
    frame = clean(20)
    done = checked(frame, volume_in="quote")
    assert done.bars.volume.tolist() == (frame["volume"] / frame["close"]).to_list()


def test_a_change_of_the_volume_unit_is_detected_and_a_night_without_trades_is_not() -> None:
    frame = clean(1_000)
    jump = frame.with_columns(
        pl.when(pl.int_range(1_000) >= 400).then(pl.col("volume") * 1e3).otherwise("volume")
        .alias("volume")
    )  # fmt: skip
    assert counts(checked(jump).findings) == {"volume_unit": 1}
    quiet = frame.with_columns(
        pl.when((pl.int_range(1_000) >= 400) & (pl.int_range(1_000) < 450))
        .then(pl.col("volume") / 100.0).otherwise("volume").alias("volume")
    )  # fmt: skip
    assert counts(checked(quiet).findings) == {}


def daily(closes: list[float], **columns: list[float]) -> pl.DataFrame:
    stamps = [ns("2021-03-01") + DAY_NS * j for j in range(len(closes))]
    data = {"timestamp": stamps, "volume": [1000.0] * len(closes), **columns}
    return pl.DataFrame({**data, **dict.fromkeys(NAMES[:4], closes)})


def test_an_adjusted_close_is_refused_until_the_file_sets_adjust() -> None:
    frame = daily([100.0, 50.0], adj_close=[50.0, 50.0])
    with pytest.raises(DataError, match="write adjust: total"):
        checked(frame, DAY_NS)
    with pytest.raises(DataError, match="needs a column adj_close"):
        checked(daily([1.0, 2.0]), DAY_NS, adjust="total")


def test_adjustment_for_splits_and_dividends() -> None:
    # 2 for 1 between rows 1 and 2, a dividend of 1 % between rows 2 and 3.
    closes = [100.0, 102.0, 51.0, 50.5, 51.0]
    total = [100 / 2 * 0.99, 102 / 2 * 0.99, 51.0 * 0.99, 50.5, 51.0]
    frame = daily(closes, adj_close=total)
    none = checked(frame, DAY_NS, adjust="none")
    assert none.bars.close.tolist() == closes
    jump = next(each for each in none.findings if each.kind == "jump")
    assert jump.count == 1
    assert jump.examples == ("2021-03-03T00:00:00Z -50.0 %, as a split of 2 for 1 would",)
    whole = checked(frame, DAY_NS, adjust="total")
    np.testing.assert_allclose(whole.bars.close, total, rtol=1e-15)
    np.testing.assert_allclose(whole.bars.volume[:2], 1000.0 * 2 / 0.99, rtol=1e-15)
    assert "jump" not in counts(whole.findings)
    split = checked(frame, DAY_NS, adjust="splits")
    assert split.bars.close.tolist() == [50.0, 51.0, 51.0, 50.5, 51.0]
    assert split.bars.volume.tolist() == [2000.0, 2000.0, 1000.0, 1000.0, 1000.0]
    assert counts(split.findings) == {"split": 1}


def test_splits_of_their_own_column() -> None:
    frame = daily([90.0, 30.0, 10.0], split=[0.0, 3.0, 3.0])
    split = checked(frame, DAY_NS, adjust="splits")
    np.testing.assert_allclose(split.bars.close, [10.0, 10.0, 10.0], rtol=1e-15)


def test_a_broken_adjusted_close_stops() -> None:
    with pytest.raises(DataError, match="1 adjusted closes are missing"):
        checked(daily([1.0, 2.0], adj_close=[float("nan"), 2.0]), DAY_NS, adjust="total")


def test_negative_volumes_are_counted_as_rows_that_cannot_be_used() -> None:
    with pytest.raises(DataError, match="0 of 50 rows are usable as they are: bad_volume 50"):
        checked(clean(50).with_columns(volume=-pl.col("volume")))


def test_a_close_that_never_changes_is_a_doubt() -> None:
    still = clean(50).with_columns(
        pl.lit(7.0).alias(name) for name in ("open", "high", "low", "close")
    )
    [doubt] = doubts(checked(still).findings)
    assert "constant_price 50, bars, and the close is the same in all of them" in doubt.message
    assert "first: close 7" in doubt.message
    moved = pl.when(pl.int_range(50) == 9).then(7.1).otherwise(7.0)
    assert not doubts(checked(still.with_columns(close=moved, high=moved)).findings)
