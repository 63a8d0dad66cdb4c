"""The compiled way and the whole-backtest way give the same rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from septet._config.load import Loaded
from septet._sweep import compiled
from septet._sweep.backtest_evaluator import BacktestEvaluator
from septet._sweep.compiled import CompiledEvaluator
from septet._sweep.first_decision import begin_sweep
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.space import Setting, Space, space_of
from septet._sweep.swept_parameters import numbers_of
from tests.sweep.files import swept

pytestmark = pytest.mark.compiled

EVERYTHING = (
    "{over: {features.fast.period: [10, 20, 30], features.slow.period: [50, 100, 150], "
    "risk.stops.stop_loss: [2%, 8%], risk.sizing.fraction: [50%, 100%], "
    "account.capital: [5000, 10000]}}"
)
SHARED = (
    "{over: {features.fast.period: {from: 5, to: 40, step: 1}, features.slow.period: [60, 90]}}"
)


def opened(loaded: Loaded, threads: int = 2) -> tuple[Space, CompiledEvaluator, BacktestEvaluator]:
    space = space_of(loaded)
    numbers = numbers_of(loaded, space, tables=False)
    first_ns = begin_sweep(loaded, space, numbers, lambda text: None).first_ns
    quick = open_evaluator(loaded, space, first_ns, threads, lambda text: None, numbers)
    assert isinstance(quick, CompiledEvaluator)
    return space, quick, BacktestEvaluator(loaded, space, first_ns, 1, lambda text: None)


def close(one: Any, other: Any) -> bool:
    """Equal, or sums that were taken in another order."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def compare(row: dict[str, Any], other: dict[str, Any]) -> None:
    assert row.keys() == other.keys()
    differs = {name: (row[name], other[name]) for name in row if not close(row[name], other[name])}
    assert not differs


def chosen(space: Space, *places: int) -> list[Setting]:
    return [space.setting(int(space.numbers[place])) for place in places]


def test_rows_are_those_of_whole_backtests(tmp_path: Path) -> None:
    space, quick, full = opened(swept(tmp_path, EVERYTHING))
    block = chosen(space, 0, 5, 17, 30, 44, 71)
    rows = quick.evaluate(block)
    assert sum(row["trades"] for row in rows) > 20
    for row, other in zip(rows, full.evaluate(block), strict=True):
        compare(row, other)
    quick.close()


def test_a_file_that_warms_up_longer_than_its_settings(tmp_path: Path) -> None:
    """The file's own slow average of 100 bars does not affect when settings of 50 and 60 begin."""
    section = "{over: {features.fast.period: [10], features.slow.period: [50, 60]}}"
    space, quick, full = opened(swept(tmp_path, section))
    block = list(space.settings())
    for row, other in zip(quick.evaluate(block), full.evaluate(block), strict=True):
        compare(row, other)
    quick.close()


def test_neither_threads_nor_company_change_a_row(tmp_path: Path) -> None:
    loaded = swept(tmp_path, SHARED)
    space, many, _ = opened(loaded, threads=2)
    _, alone, _ = opened(loaded, threads=1)
    together = many.evaluate(list(space.settings()))
    assert len(together) == 72
    for place in (71, 3, 40):
        (row,) = alone.evaluate(chosen(space, place))
        assert row == together[place]
    many.close()
    alone.close()


def test_features_that_do_not_fit_together_are_run_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = swept(tmp_path, SHARED)
    space, roomy, _ = opened(loaded)
    block = list(space.settings())
    expected = roomy.evaluate(block)
    height = roomy._session.plan.rows.F * roomy._session.aligned.width * 8
    monkeypatch.setattr(compiled, "FEATURE_BYTES", 3 * height)
    _, tight, _ = opened(loaded)
    assert tight._stack.room == 3
    assert len(list(tight._stack.parts(block))) > 10
    assert tight.evaluate(block) == expected
    assert tight.evaluate(block[::-1]) == expected[::-1]
    roomy.close()
    tight.close()


def test_a_small_log_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = swept(tmp_path, SHARED)
    space, roomy, _ = opened(loaded)
    monkeypatch.setattr(compiled, "LOG_ROWS", 0)
    _, tight, _ = opened(loaded)
    block = chosen(space, 0, 9)
    assert tight.evaluate(block) == roomy.evaluate(block)
    roomy.close()
    tight.close()


def test_settings_of_a_model_share_its_predictions(tmp_path: Path) -> None:
    base = (Path(__file__).parent / "model.yaml").read_text(encoding="utf-8")
    section = "{over: {signal.threshold: [0.05, 0.2], risk.sizing.fraction: [25%, 75%]}}"
    space, quick, full = opened(swept(tmp_path, section, base=base))
    block = list(space.settings())
    for row, other in zip(quick.evaluate(block), full.evaluate(block), strict=True):
        compare(row, other)
    assert quick.evaluate(block)[0]["trades"] > 0
    quick.close()
