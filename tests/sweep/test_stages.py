"""Settings in stretches of the history: the bits of the unbroken run, and early ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from septet._config import load
from septet._config.load import Loaded
from septet._data.stamps import iso
from septet._kernel import layout
from septet._sweep import compiled
from septet._sweep.backtest_evaluator import run_setting
from septet._sweep.evaluate import Staged
from septet._sweep.first_decision import begin_sweep
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.space import Space, space_of
from septet._sweep.stages import StagedEvaluator
from septet._sweep.swept_parameters import numbers_of
from tests.sweep.files import swept
from tests.sweep.test_compiled import EVERYTHING, SHARED, chosen, close

pytestmark = pytest.mark.compiled

GUIDED = EVERYTHING.replace("{over:", "{method: tpe, goal: max_drawdown, over:")


def opened(loaded: Loaded) -> tuple[Space, StagedEvaluator]:
    """An evaluator in stages over the whole grid of a file."""
    space = space_of(loaded)
    numbers = numbers_of(loaded, space)
    first_ns = begin_sweep(loaded, space, numbers, print).first_ns
    return space, StagedEvaluator(loaded, space, numbers, first_ns, 2, print)


def never(stage: int, goals: Mapping[int, float | None]) -> dict[int, str]:
    return {}


def test_a_guided_search_runs_in_stages(tmp_path: Path) -> None:
    loaded = swept(tmp_path, GUIDED)
    space = space_of(loaded)
    numbers = numbers_of(loaded, space)
    first_ns = begin_sweep(loaded, space, numbers, print).first_ns
    evaluator = open_evaluator(loaded, space, first_ns, 1, print, numbers)
    assert isinstance(evaluator, Staged)
    evaluator.close()


@pytest.mark.parametrize("shares", [(), (0.5,), (0.0, 0.001, 0.125, 0.37, 0.371, 0.999)])
def test_rows_are_those_of_the_unbroken_run(tmp_path: Path, shares: tuple[float, ...]) -> None:
    space, evaluator = opened(swept(tmp_path, EVERYTHING))
    block = chosen(space, 0, 5, 17, 30, 44, 71)
    whole = evaluator.evaluate(block)
    assert sum(row["trades"] for row in whole) > 20
    assert evaluator.evaluate_in_stages(block, shares, never) == whole
    assert evaluator.evaluate_in_stages(block[::-1], shares, never) == whole[::-1]
    evaluator.close()


def test_what_is_given_up_does_not_touch_the_others(tmp_path: Path) -> None:
    space, evaluator = opened(swept(tmp_path, SHARED))
    block = chosen(space, 3, 9, 11, 40, 70)
    whole = evaluator.evaluate(block)
    asked: list[list[int]] = []

    def give_up(stage: int, goals: Mapping[int, float | None]) -> dict[int, str]:
        asked.append(list(goals))
        return {9: "too slow"} if stage == 0 else {70: "too late", 3: "too early"}

    rows = evaluator.evaluate_in_stages(block, (0.25, 0.5), give_up)
    assert asked == [[3, 9, 11, 40, 70], [3, 11, 40, 70]], "what is given up is not asked again"
    assert [row["status"] for row in rows] == ["pruned", "pruned", "done", "done", "pruned"]
    assert [row["problem"] for row in rows] == ["too early", "too slow", None, None, "too late"]
    assert rows[2:4] == whole[2:4]
    assert rows[0]["sharpe"] is rows[0]["trades"] is rows[0]["block_sums"] is None
    assert rows[0]["features.fast.period"] == whole[0]["features.fast.period"]
    evaluator.close()


@pytest.mark.parametrize("goal", ["max_drawdown", "total_return", "sharpe"])
def test_the_goal_so_far_is_that_of_a_shorter_history(tmp_path: Path, goal: str) -> None:
    section = SHARED.replace("{over:", f"{{goal: {goal}, over:")
    loaded = swept(tmp_path, section)
    space, evaluator = opened(loaded)
    block = chosen(space, 3, 40)
    session, reported = evaluator._session, dict[int, float | None]()
    known = session.aligned.T[layout.KNOWN]
    stop = session.first + int((len(known) - session.first) * 0.5)

    def keep(stage: int, goals: Mapping[int, float | None]) -> dict[int, str]:
        reported.update(goals)
        return {}

    evaluator.evaluate_in_stages(block, (0.5,), keep)
    end = f"universe.end={iso(int(known[stop - 1]))}"
    for setting in block:
        short = load(loaded.path, sets=[end])
        figures, problem = run_setting(short, space.changes(setting), int(known[session.first]))
        assert not problem
        # a ratio counts days, of which the last is only begun
        tolerant = goal == "sharpe" and abs(figures[goal] - (reported[setting.number] or 0.0)) < 0.2
        assert tolerant or close(reported[setting.number], figures[goal])
    evaluator.close()


def test_features_that_do_not_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = swept(tmp_path, SHARED)
    space, roomy = opened(loaded)
    block = list(space.settings())[:12]
    whole = roomy.evaluate(block)
    height = roomy._session.plan.rows.F * roomy._session.aligned.width * 8
    monkeypatch.setattr(compiled, "FEATURE_BYTES", 3 * height)
    _, tight = opened(loaded)
    assert tight.evaluate_in_stages(block, (0.5,), never) == whole
    roomy.close()
    tight.close()
