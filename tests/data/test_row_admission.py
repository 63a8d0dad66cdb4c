"""Live bars pass the same rules as history, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._data.load import read_candles
from septet._data.row_admission import Admission
from septet.errors import DataError
from septet_plugins.data.synthetic import inject
from septet_schemas.data import CandlesConfig, Policies
from tests.data.helpers import HOUR_NS, NAMES, block, checked, clean, counts, ns, request
from tests.scale import examples

KINDS = (
    "duplicate", "conflict", "gap", "off_grid", "not_finite", "bad_price", "high_below_low",
    "outside_range", "bad_volume", "zero_volume",
)  # fmt: skip


def feed(live: Admission, frame: Any, now_ns: int = 2**62) -> tuple[list[Any], dict[str, int]]:
    bars: list[Any] = []
    found: dict[str, int] = {}
    for row in frame.iter_rows():
        bar, findings = live.admit(*row, now_ns=now_ns)
        if bar is not None:
            bars.append(bar)
        for each in findings:
            found[each.kind] = found.get(each.kind, 0) + each.count
    return bars, found


@settings(max_examples=examples(40), deadline=None)
@given(
    st.dictionaries(st.sampled_from(KINDS), st.integers(1, 4)),
    st.integers(0, 2**30),
    st.integers(5, 100),
)
def test_row_by_row_gives_the_bars_of_history(defects: dict[str, int], seed: int, cut: int) -> None:
    frame = inject(clean(200), defects, np.random.default_rng(seed))
    whole = checked(frame).bars
    history = checked(frame[:cut], max_bad=1.0)
    bars, _ = feed(Admission.after(history, CandlesConfig()), frame[cut:])
    n = len(history.bars)
    assert [bar.open_ns for bar in bars] == whole.open_ns[n:].tolist()
    assert [bar.known_ns for bar in bars] == whole.known_ns[n:].tolist()
    for name in NAMES:
        assert [getattr(bar, name) for bar in bars] == getattr(whole, name)[n:].tolist()


def test_every_refusal_is_reported() -> None:
    frame = clean(6)
    live = Admission.after(checked(frame[:2]), CandlesConfig())
    assert feed(live, frame[:2]) == ([], {"unordered": 1, "duplicate": 1})
    bars, found = feed(live, frame[4:5])
    assert len(bars) == 1
    assert found == {"gap": 2}
    late, found = feed(live, frame[3:4])
    assert late == []
    assert found == {"unordered": 1}
    now = int(frame["timestamp"][5]) + HOUR_NS - 1
    assert feed(live, frame[5:], now) == ([], {"unfinished": 1})
    assert len(feed(live, frame[5:], now + 1)[0]) == 1


def test_policies_hold_live_too() -> None:
    frame = inject(clean(20), {"outside_range": 1, "bad_volume": 1}, np.random.default_rng(0))
    mend = CandlesConfig(policy=Policies(outside_range="fill"), volume_in="quote")
    bars, found = feed(Admission.after(checked(frame[:1]), mend), frame[1:])
    assert len(bars) == 19
    assert found == {"outside_range": 1, "bad_volume": 1}
    assert all(bar.low <= bar.close <= bar.high for bar in bars)
    assert bars[0].volume == frame["volume"][1] / frame["close"][1]
    stop = CandlesConfig(policy=Policies(bad_volume="refuse"))
    with pytest.raises(DataError, match="bad_volume"):
        feed(Admission.after(checked(frame[:1]), stop), frame[1:])


def test_sessions_go_on_over_the_weekend() -> None:
    ((raw, done),) = read_candles(block("candles", "sample"), request("1h", "EUR/USD"))
    cut = 3_000
    keys = CandlesConfig()
    part = checked(raw.frame[:cut], calendar="XFX")
    rest = raw.frame[cut:].with_columns(raw.frame["timestamp"][cut:].dt.timestamp("ns"))
    bars, found = feed(Admission.after(part, keys), rest)
    assert [bar.known_ns for bar in bars] == done.bars.known_ns[cut:].tolist()
    assert found == {"gap": 15}


def test_closes_as_stamps() -> None:
    ends = clean(10).with_columns(clean(10)["timestamp"] + HOUR_NS)
    live = Admission.after(checked(ends[:4], stamp="close"), CandlesConfig(stamp="close"))
    bars, found = feed(live, ends[4:])
    assert [bar.open_ns for bar in bars] == clean(10)["timestamp"][4:].to_list()
    assert found == {}
    fresh = Admission("X", HOUR_NS, CandlesConfig(), calendar="XNYS")
    friday = ns("2021-03-12T20:00")
    assert feed(fresh, ends[:0]) == ([], {})
    bar, _ = fresh.admit(friday, 1.0, 1.0, 1.0, 1.0, 1.0, now_ns=2**62)
    assert bar is not None
    assert bar.known_ns == ns("2021-03-12T21:00")
    bar, findings = fresh.admit(ns("2021-03-13T20:00"), 1.0, 1.0, 1.0, 1.0, 1.0, now_ns=2**62)
    assert bar is None
    assert counts(findings) == {"outside_session": 1}
    far = ns("2023-03-13T14:00")
    bar, findings = fresh.admit(far, 1.0, 1.0, 1.0, 1.0, 1.0, now_ns=2**62)
    assert bar is not None
    assert counts(findings)["gap"] > 3_000
