"""Every shape of strategy, drawn, in stretches: each stored table is that of the run in one piece.

What stands over a border of two stretches is in no stretch alone: orders that rest there, trades
that are open, round trips, halts that hold, rebalances that wait.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from septet._config import load
from septet._kernel import layout
from septet._results.result import RunResult
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._shell.result_tables import Outcome, orders_of
from septet._shell.stretch_backtest import run_by_stretches
from septet._store.tables import stored_frames
from septet.errors import SeptetError
from tests.core.markets import made_series, rough_market, roughs
from tests.core.paths import by_batch, plainly
from tests.core.properties import session_of_body
from tests.core.settings import Bars
from tests.core.shapes import PORTFOLIOS, body_of, drawn, names, written
from tests.core.strangers import host_with_strangers
from tests.scale import examples

CHUNKS: Final = ((16, 101), (7, 50), (3, 137))
LENGTHS: Final = (160, 60, 320)
TIMED: Final = ("seconds", "seconds_total", "bars_per_second")
SHAPES: Final = [
    name for name in (*names(), *names(PORTFOLIOS)) if "model" not in body_of(name)
]  # fmt: skip
"""A model is trained on the whole history, and refused."""


def _with_files(body: dict[str, Any], folder: Path, hours: int) -> dict[str, Any]:
    """Give a shape data of files in place of made-up data, with the same names of series."""
    made = copy.deepcopy(body)
    data = made.setdefault("data", {})
    keys = {
        key: value for key, value in data.get("candles", {}).items() if key not in ("use", "policy")
    }
    path = str(folder / "{symbol}.parquet")
    data["candles"] = {**keys, "use": "parquet", "path": path, "calendar": "24x7"}
    for name in set(data) - {"candles"}:
        series = made_series(5, hours)["mood"]
        scale = 0.001 if name == "funding" else 1.0
        stamp = np.unique(series.stamp_ns)
        value = series.value[: len(stamp)] * scale
        pl.DataFrame({"timestamp": stamp // 1_000_000_000, "value": value}).write_csv(
            folder / f"{name}.csv"
        )
        data[name] = {"use": "csv_series", "path": str(folder / f"{name}.csv"), "known": "seen"}
    return made


def _write_bars(folder: Path, symbol: str, bars: Bars) -> None:
    pl.DataFrame({
        "timestamp": bars.open_ns, "open": bars.open, "high": bars.high, "low": bars.low,
        "close": bars.close, "volume": bars.volume,
    }).write_parquet(folder / f"{symbol.replace('/', '')}.parquet", row_group_size=29)  # fmt: skip


def _figures(result: RunResult, frames: dict[str, pl.DataFrame]) -> dict[str, Any]:
    found = summarise(result, frames, run_id="x")
    return {name: value for name, value in found.items() if name not in TIMED}


def _assert_same(whole: RunResult, parts: RunResult) -> None:
    before, after = stored_frames(whole), stored_frames(parts)
    assert before.keys() == after.keys()
    for name in sorted(before.keys() - {"equity"}):
        ours, theirs = before[name], after[name]
        assert ours.columns == theirs.columns, name
        assert ours.height == theirs.height, name
        for column in ours.columns:
            same = ours[column].eq_missing(theirs[column])
            assert same.all(), (
                f"{name}.{column}", ours.filter(~same).head(3), theirs.filter(~same).head(3)
            )  # fmt: skip
    rows = after["equity"].join(before["equity"], on="time", how="inner")
    assert rows.height == after["equity"].height
    for column in set(after["equity"].columns) - {"time"}:
        assert rows[column].eq_missing(rows[f"{column}_right"]).all(), f"equity.{column}"
    assert whole.halts == parts.halts, (whole.halts, parts.halts)
    assert whole.notes == parts.notes[: len(whole.notes)], (whole.notes, parts.notes)
    first, second = _figures(whole, before), _figures(parts, after)
    turnover = first.pop("turnover"), second.pop("turnover")
    assert turnover[0] == (None if turnover[1] is None else pytest.approx(turnover[1], rel=1e-9))
    assert first == second, {
        key: (first[key], second[key]) for key in first if first[key] != second[key]
    }


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=examples(3), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_stretches_of_a_shape_give_its_tables(tmp_path: Path, name: str, data: Any) -> None:
    body = body_of(name)
    symbols = body["universe"]["symbols"]
    made = data.draw(roughs(symbols, LENGTHS))
    values = data.draw(drawn(body))
    text = written(_with_files(values, tmp_path, made[0].count), name)
    note(text)
    note(repr(made))
    specs = (values.get("execution") or {}).get("instruments", {})
    ticks = [float(specs.get(symbol, {}).get("tick", 0.0)) for symbol in symbols]
    for symbol, bars in zip(symbols, rough_market(symbols, made, ticks), strict=True):
        _write_bars(tmp_path, symbol, bars)
    path = tmp_path / "strategy.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = load(path, host=host_with_strangers(), unchecked=True)
    chunks = data.draw(st.sampled_from(CHUNKS))
    try:
        whole = backtest(loaded, tables=False)
    except SeptetError as refused:
        for chunk in chunks:
            with pytest.raises(type(refused)):
                run_by_stretches(loaded, chunk)
        return
    for chunk in chunks:
        _assert_same(whole, run_by_stretches(loaded, chunk))


def test_a_row_of_another_order_is_refused() -> None:
    """A log is projected whole: no fill goes to the next order that is there."""
    session = plainly(session_of_body("pyramids"))
    whole = by_batch(session).outcome
    (ordered, *_), fills = whole.rows(layout.ORDER), whole.rows(layout.FILL)
    assert whole.LI[ordered, 3] in whole.LI[fills, 3]
    kept = np.arange(len(whole.LI)) != ordered
    with pytest.raises(AssertionError, match="an order that is not there"):
        orders_of(
            session, Outcome(whole.LI[kept], whole.LF[kept], whole.F, whole.D, whole.G, whole.state)
        )
