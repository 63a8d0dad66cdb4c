"""Whatever is in a file, the answer is bars or one clear message, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from septet._data.load import read_candles
from septet._data.series import normalise_series
from septet._data.source import Facts, RawSeries
from septet.errors import DataError
from septet_schemas.data import SeriesConfig
from tests.data.helpers import NAMES, block, checked, clean, request
from tests.scale import examples

ODD: dict[str, Any] = {
    "texts": st.lists(st.text(max_size=12) | st.none(), min_size=8, max_size=8),
    "whole": st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=8, max_size=8),
    "floats": st.lists(st.floats() | st.none(), min_size=8, max_size=8),
    "stamps": st.lists(st.datetimes() | st.none(), min_size=8, max_size=8),
    "dates": st.lists(st.dates(), min_size=8, max_size=8),
    "flags": st.lists(st.booleans(), min_size=8, max_size=8),
}
COLUMN = st.sampled_from(sorted(ODD)).flatmap(lambda kind: ODD[kind])
WEIRD = [*NAMES, "timestamp", "adj_close", "split"]
QUICK = settings(
    max_examples=examples(90),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def outcome(read: Callable[[], Any]) -> Any:
    """What was read, or the message; any other exception is the failure looked for."""
    try:
        return read()
    except DataError as error:
        return str(error)


def sound(read: Any) -> None:
    """Bars that came through keep every promise of a bar table."""
    bars = read.bars
    assert len(bars) > 0
    assert (np.diff(bars.open_ns) > 0).all()
    assert (bars.known_ns > bars.open_ns).all()
    for name in NAMES[:4]:
        values = getattr(bars, name)
        assert np.isfinite(values).all()
        assert (values > 0.0).all()
    assert (bars.volume >= 0.0).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()


@QUICK
@given(
    st.dictionaries(st.sampled_from(WEIRD), COLUMN, min_size=1, max_size=4),
    st.sampled_from(["24x7", "XFX", "XNYS"]),
    st.sampled_from(["UTC", "America/New_York"]),
    st.sampled_from([None, "none", "splits", "total"]),
)
def test_odd_columns(columns: dict[str, Any], calendar: str, zone: str, adjust: Any) -> None:
    frame = clean(8).with_columns(
        pl.Series(name, values, strict=False) for name, values in columns.items()
    )
    keys = {"calendar": calendar, "time_zone": zone, "adjust": adjust, "max_bad": 1.0}
    found = outcome(lambda: checked(frame, now_ns=2**63 - 1, **keys))
    if isinstance(found, str):
        assert found.startswith("BTC/USDT from a test: ") or "calendar" in found
    else:
        sound(found)


@QUICK
@given(COLUMN, COLUMN, COLUMN | st.none(), st.sampled_from(["0", "1h", "30d"]))
def test_odd_series(time: Any, value: Any, known: Any, known_after: str) -> None:
    columns = {"time": time, "value": value, **({"known": known} if known is not None else {})}
    frame = pl.DataFrame([pl.Series(k, v, strict=False) for k, v in columns.items()])
    raw = RawSeries(frame, Facts("a test"))
    keys = SeriesConfig(known_after=known_after)
    found = outcome(lambda: normalise_series("s", raw, keys)[0])
    if isinstance(found, str):
        assert found.startswith("s from a test: ")
    else:
        assert (np.diff(found.known_ns) >= 0).all()
        assert (np.diff(found.stamp_ns) >= 0).all()
        assert np.isfinite(found.value).all()


TEXT = clean(30).write_csv().encode()


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.binary(max_size=4)), max_size=5),
    st.integers(0, len(TEXT)),
)
def test_mutilated_text(tmp_path: Path, edits: list[tuple[int, bytes]], length: int) -> None:
    data = bytearray(TEXT)
    for place, put in edits:
        data[place : place + len(put)] = put
    (tmp_path / "x.csv").write_bytes(bytes(data[:length]))
    made = block("candles", "csv", {"stamp": "open", "max_bad": "100%"}, path="x.csv")
    found = outcome(lambda: read_candles(made, request("1h", "BTC/USDT", base=tmp_path))[0][1])
    if isinstance(found, str):
        assert "x.csv" in found
    else:
        sound(found)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("packed") / "x.parquet"
    clean(30).write_parquet(path)
    return path.read_bytes()


@settings(QUICK, max_examples=examples(40))
@given(st.integers(4, 10_000), st.binary(min_size=1, max_size=6))
def test_mutilated_parquet(tmp_path: Path, packed: bytes, place: int, put: bytes) -> None:
    data = bytearray(packed)
    place = 4 + place % (len(data) - 16)
    data[place : place + len(put)] = put
    (tmp_path / "x.parquet").write_bytes(bytes(data))
    made = block("candles", "parquet", {"max_bad": "100%"}, path="x.parquet")
    found = outcome(lambda: read_candles(made, request("1h", "BTC/USDT", base=tmp_path))[0][1])
    if isinstance(found, str):
        assert "x.parquet" in found
    else:
        sound(found)
