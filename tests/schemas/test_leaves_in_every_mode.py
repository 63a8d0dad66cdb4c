"""A key that acts in a backtest acts in paper and live, or it is written here why it does not.

What a live core is built with is read off the functions that build it, with the text of a plan
whose orders are filled elsewhere; nothing is compiled or run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from septet import _learn as learn
from septet._live import build_core
from septet._live.live_monitors import monitors_of
from septet._live.market_data.opening import history_ns_of, request_of
from septet._live.model_in_force import Models
from septet._shell.session import plan_of
from tests.schemas import leaves
from tests.schemas.leaf_cases import CASES, MODEL, NOT_YET, PLAIN, Case
from tests.schemas.portfolio_leaves import PORTFOLIO_CASES, PORTFOLIO_NOT_YET, WEIGHED
from tests.schemas.test_every_leaf_acts import SEES

TESTS: Final = Path(__file__).resolve().parents[1]
DAY_NS: Final = 86_400_000_000_000
ALL: Final = ("backtest", "paper", "live")
SIMULATED: Final = ("backtest", "paper")
TRIED: Final = frozenset({
    "Risk", "Rebalance", "HaltKeys", "SignalKeys", "ExitRule", "Reentry", "RegimeKeys",
    "FeatureKeys", "ModelKeys", "Training", "DirectionLabel", "ThresholdLabel",
    "TripleBarrierLabel", "ModelMonitoring", "FillMonitoring", "Monitoring", "AlertKeys", "Metrics",
    "Schedule", "Portfolio", "Where", "InverseVolatility", "Net", "PortfolioRebalance", "Forecast",
})  # fmt: skip
"""Everything under risk, signal, portfolio, features, model, monitoring and schedule."""
ALL_CASES: Final = {**CASES, **PORTFOLIO_CASES}
ELSEWHERE: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "Account": (ALL, "books and funds: live/test_funds_check.py, live/test_paper.py"),
    "CandleKeys": (ALL, "bars as they come in: data/test_normalise.py, live/test_feed.py"),
    "CandlesConfig": (ALL, "as CandleKeys"),
    "SeriesKeys": (ALL, "values as they come in: live/test_series.py"),
    "SeriesConfig": (ALL, "as SeriesKeys"),
    "Policies": (ALL, "one path for history and live bars: data/test_normalise.py"),
    "Data": (ALL, "the sources themselves"),
    "Execution": (ALL, "venues and instruments: live/test_start.py"),
    "InstrumentSpec": (SIMULATED, "live, the venue reports what its instruments are"),
    "Fee": (SIMULATED, "live, the venue charges"),
    "Slippage": (SIMULATED, "live, the market decides"),
    "Simulation": (SIMULATED, "live, nothing is simulated"),
    "Funding": (SIMULATED, "live perpetuals are refused"),
    "PositionSteps": (SIMULATED, "in live, and with quotes, check reports not yet"),
    "Add": (SIMULATED, "as PositionSteps"),
    "Grid": (SIMULATED, "as PositionSteps"),
    "BuyEvery": (SIMULATED, "as PositionSteps"),
    "Take": (SIMULATED, "as PositionSteps"),
    "Then": (SIMULATED, "as PositionSteps"),
    "Perpetual": (SIMULATED, "live perpetuals are refused"),
    "Universe": (ALL, "`start` and `end` bound a backtest alone: a live run begins now"),
    "TradingHours": (ALL, "flags of each decision time, by one function in every mode"),
    "Blackout": (ALL, "events act from when they are known, in every mode"),
    "Strategy": (ALL, "the whole file"),
    "Sweep": (("backtest",), "a sweep is of backtests"),
    "SweepDraw": (("backtest",), "a sweep is of backtests"),
    "SweepRange": (("backtest",), "a sweep is of backtests"),
}
EXCEPTIONS: Final[Mapping[str, str]] = dict.fromkeys(
    ("Portfolio.short", "Where.short", "Net.target", "Net.beta", "Portfolio.net: any"),
    "live perpetuals are refused",
)
"""Leaves of `TRIED` that do not act in each mode, and why."""
BASE: Final = {
    "paper": (),
    "live": (
        "execution.venues={binance: {use: ccxt, exchange: binance}}",
        "risk.halts={drawdown: {above: 5%, then: flatten, resume: manual}}",
    ),
}
INSTRUMENT: Final = 1e8
"""Units of a symbol that no venue describes."""


def live_core(loaded: Any) -> str:
    """Return what the core of a paper or live run is built with, and what trains its model."""
    strategy = loaded.strategy
    venue_fills = build_core.has_venue_fills(strategy)
    plan = plan_of(loaded, venue_fills=venue_fills)
    names = build_core._names(plan, strategy, venue_fills)
    block, bar_ns = strategy.model, int(strategy.universe.bar)
    models: Any = SimpleNamespace()
    found: list[Any] = []
    if block is not None:
        rule = learn.training_rule(block.extra["training"], bar_ns)
        models = Models(lambda event: None, rule.ready_at)
        found += [
            # what the training process reads of it; the rest is the schedule of the core
            rule.train_ns, rule.window, rule.purge_ns, rule.purge_bars, rule.embargo_ns,
            rule.min_rows, rule.min_class, rule.expire_after_ns,
            learn.label_rule(block.extra["label"], bar_ns), learn.stored_folder(block),
            strategy.seed,
        ]  # fmt: skip
        if learn.stored_folder(block) is None:
            found.append(repr(learn.trainer_of(block)))
    inputs = build_core._model_inputs(plan, strategy)
    made = monitors_of(
        strategy, [INSTRUMENT] * len(strategy.universe.symbols),
        build_core._input_names(plan, strategy), inputs, models, lambda: None,  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    due = names.training_times
    times = [list(due(-1, day * DAY_NS)) for day in range(1, 60, 3)] if due is not None else []
    health = made.health
    found += [
        plan.name, plan.parameters.tolist(), [each.tolist() for each in plan.tables],
        plan.memory_bars, names.reasons, names.halts, names.on_drift, times, inputs,
        build_core._order_rules(strategy, 1.0, protects=True), build_core.limits_of(strategy, 1.0),
        [(each.name, each.monitor) for each in made.monitors.watchers], made.monitors._alarm,
        None if block is None else models.ready_at(0), None if health is None else
        [health._names, health._label, health._rule, health._keep_ns, health._every],
        history_ns_of(strategy), request_of(strategy), plan.facts.schedule,
        sorted((unit.name, rows) for unit, rows in plan.assembly.unit_rows.items()),
    ]  # fmt: skip
    return repr(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("modes")
    (made / "plain.yaml").write_text(PLAIN, encoding="utf-8")
    (made / "model.yaml").write_text(MODEL, encoding="utf-8")
    (made / "weighed.yaml").write_text(WEIGHED, encoding="utf-8")
    return made


def _differs(folder: Path, case: Case, mode: str) -> str:
    """Return why a case shows nothing in a mode, empty if it does."""
    see = SEES[case.see] if case.see in ("alerted", "served") else live_core
    path, base = folder / f"{case.file}.yaml", (*BASE[mode], *case.base)
    before = leaves.seen_or_refused(path, see, *base, mode=mode)
    after = leaves.seen_or_refused(path, see, *base, case.change, mode=mode)
    if before.startswith("refused:") or after.startswith("refused:"):
        return f"refused: {before[:300]} and {after[:300]}"
    return "" if before != after else f"{case.change} changes nothing"


MODED = [leaf for leaf in ALL_CASES if leaf.partition(".")[0] in TRIED and leaf not in EXCEPTIONS]


def test_every_schema_has_its_modes() -> None:
    kinds = {
        leaf.partition(".")[0]
        for leaf in leaves.leaves_of_schemas()
        if leaf not in (*NOT_YET, *PORTFOLIO_NOT_YET)
    }
    assert kinds == TRIED | set(ELSEWHERE)
    assert set(EXCEPTIONS) <= set(ALL_CASES)
    for _, reason in ELSEWHERE.values():
        for file in re.findall(r"[a-z]+/test_[a-z_]+\.py", reason):
            assert (TESTS / file).is_file(), file


@pytest.mark.parametrize("leaf", MODED)
def test_what_acts_in_a_backtest_acts_live(leaf: str, folder: Path) -> None:
    """A paper run is made by the same functions as a live one; a few leaves are tried in both."""
    text = _differs(folder, ALL_CASES[leaf], "live")
    assert not text, f"{leaf} acts in a backtest; live {text}"


IN_PAPER = ("Risk", "HaltKeys", "Training", "ModelMonitoring", "FillMonitoring")


@pytest.mark.parametrize("leaf", [leaf for leaf in MODED if leaf.startswith(IN_PAPER)])
def test_what_acts_in_a_backtest_acts_in_paper(leaf: str, folder: Path) -> None:
    text = _differs(folder, ALL_CASES[leaf], "paper")
    assert not text, f"{leaf} acts in a backtest; in paper {text}"
