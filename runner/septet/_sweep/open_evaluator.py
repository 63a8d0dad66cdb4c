"""Selects how settings are run: by one compiled plan, in stages, or each as a backtest."""

from __future__ import annotations

from collections.abc import Callable

from septet._config.load import Loaded
from septet._sweep.backtest_evaluator import BacktestEvaluator
from septet._sweep.compiled import CompiledEvaluator, ModelHalts
from septet._sweep.evaluate import Evaluator
from septet._sweep.space import Space
from septet._sweep.stages import StagedEvaluator
from septet._sweep.swept_parameters import Numbers

__all__ = ["open_evaluator"]


def open_evaluator(
    loaded: Loaded,
    space: Space,
    first_ns: int,
    threads: int,
    log: Callable[[str], None],
    numbers: Numbers,
) -> Evaluator:
    """Return the evaluator that runs the settings of a space.

    `first_ns` is the first decision of every setting; `numbers` states which keys change only
    numbers of the plan.
    """
    why = numbers.reasons[0] if numbers.reasons else "a part of the plan has no compiled step"
    if loaded.strategy.monitoring.monitors:
        why = "monitors of the file may block entries"
    elif numbers.enough and numbers.plan.compiled:
        kind = StagedEvaluator if space.method == "tpe" else CompiledEvaluator
        try:
            return kind(loaded, space, numbers, first_ns, threads, log)
        except ModelHalts:
            why = "the model's health halts the run"
    log(f"every setting is a whole backtest: {why}")
    return BacktestEvaluator(loaded, space, first_ns, threads, log)
