"""Columns of arrays become the types in which a table is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from septet._store.tables import as_frame, coded

FIRST, LAST = -(2**63) + 1, 2**63 - 1


def _equity(times: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    numbers = np.ones(len(times))
    return {"time": times, "equity": numbers, "drawdown": numbers}


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_nanoseconds_become_times_in_utc(kind: Any) -> None:
    stamps = [0, 1_700_000_000_123_456_789, LAST]
    frame = as_frame("equity", _equity(np.array(stamps, kind)))
    assert frame.schema["time"] == pl.Datetime("ns", "UTC")
    assert frame["time"].to_physical().to_list() == stamps
    assert frame["time"][0] == datetime(1970, 1, 1, tzinfo=UTC)


def test_times_before_the_epoch_keep_their_nanoseconds() -> None:
    frame = as_frame("equity", _equity(np.array([FIRST, -1])))
    assert frame["time"].to_physical().to_list() == [FIRST, -1]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64])
def test_codes_become_the_texts_they_stand_for(kind: Any) -> None:
    names = ["BTC/USDT", "", "ETH/USDT"]
    codes: npt.NDArray[Any] = np.array([2, 0, 0, 1], kind)
    found = coded(codes, names)
    assert found.to_list() == ["ETH/USDT", "BTC/USDT", "BTC/USDT", ""]
    assert found.dtype == pl.Enum(names)
    assert coded(codes[:0], names).to_list() == []
