"""An entry without an open within one bar ends at the decision time after it, in every limit.

SEMANTICS, Time: "An entry order that finds no open within one bar after T expires (`no_market`);
reductions wait." It counts for no limit of that decision time any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from septet._core.events import OrderEnded
from septet._kernel import layout
from tests.core.cases import bars_of
from tests.core.compare import assert_agrees, tables_of
from tests.core.engine_harness import EngineHarness, flat_market
from tests.core.paths import by_batch, by_events, plainly
from tests.core.reference import simulate
from tests.core.settings import HOUR, START, Bars, Settings, made_bars
from tests.core.world import Ran, run_core, session_of

PATHS: dict[str, Any] = {"batch": by_batch, "event": by_events}
AAA, BBB = "AAA/USDT", "BBB/USDT"
BASE: dict[str, Any] = {
    "symbols": (AAA, BBB), "maker": 0.0, "taker": 0.0, "slippage": 0.0, "exit_back": 0,
    "sizing": "fixed_fraction", "amount": 1.0,
}  # fmt: skip
FIRST: tuple[str, list[int]] = "+=======", [2, 3, 4]
"""AAA signals at its second bar, and the next three are missing."""
SECOND: tuple[str, list[int]] = "=+======", []
"""BBB signals one bar later, when that of AAA is missing."""
Ended = tuple[float, int, str, str]


def market(moves: str, skip: Sequence[int]) -> Bars:
    rows = flat_market(moves)
    return bars_of([row for n, row in enumerate(rows) if n not in skip], skip=skip)


def run(path: str, *markets: Bars, **keys: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Return the tables of a path, which are those of the reference as well."""
    s = Settings(**(BASE | keys))
    session = session_of(s, markets, 1)
    assert_agrees(run_core(session), simulate(s, markets, 1))
    left = PATHS[path](plainly(session))
    outcome = left.outcome
    made = type("Made", (), {"state": outcome.state, "LI": outcome.LI, "LF": outcome.LF})
    made.F, made.D, made.G = outcome.F, outcome.D, outcome.G  # type: ignore[attr-defined]
    return tables_of(Ran(session, made))  # type: ignore[arg-type]


def ended(tables: dict[str, list[tuple[Any, ...]]]) -> list[Ended]:
    """Return when orders ended, in bars after the start: symbol, status and reason."""
    return [((t - START) / HOUR, k, status, why) for t, k, _, status, why in tables["ended"]]


LIMITS: dict[str, dict[str, Any]] = {
    "cash": {"limits": {"gross_exposure": 2.0}},
    "gross_exposure": {"spot": False, "short_back": 0, "limits": {"gross_exposure": 1.0}},
    "groups": {
        "spot": False, "leverage": 3.0,
        "limits": {"gross_exposure": 3.0,
                   "groups": {"all": {"symbols": [AAA, BBB], "max": 1.0}}},
    },
    "max_positions": {"amount": 0.4, "max_positions": 1},
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("limit", LIMITS)
def test_it_leaves_its_share_of_each_limit_to_the_entries_of_that_time(
    path: str, limit: str
) -> None:
    """The signal of BBB comes when the bar of AAA is missing, and all of the limit is free."""
    tables = run(path, market(*FIRST), market(*SECOND), **LIMITS[limit])
    assert ended(tables) == [(3.0, 0, "expired", "no_market"), (3.0, 1, "filled", "entry")]
    granted = [row[5] for row in tables["decisions"] if row[1] == 1 and row[4] > 0.0]
    asked = [row[4] for row in tables["decisions"] if row[1] == 1 and row[4] > 0.0]
    assert granted == pytest.approx(asked)
    assert len(granted) == 1


@pytest.mark.parametrize("path", PATHS)
def test_it_counts_until_then(path: str) -> None:
    """Both signal at the same time: the bar of AAA may still come."""
    tables = run(path, market(*FIRST), market("+=======", []))
    rejected = [row[7] for row in tables["decisions"] if row[1] == 1]
    assert rejected[:2] == ["gross_exposure", "no_rule_true"]


@pytest.mark.parametrize("path", PATHS)
def test_a_symbol_whose_bars_have_ended_holds_nothing_back(path: str) -> None:
    tables = run(path, market("+", []), market(*SECOND))
    assert ended(tables)[0] == (3.0, 0, "expired", "no_market")
    assert [fill[1] for fill in tables["fills"]] == [1]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("time_in_force", "end"), [(1, 3.0), (2, 4.0), (3, 5.0)])
def test_a_resting_entry_ends_with_its_time_in_force(
    path: str, time_in_force: int, end: float
) -> None:
    keys = {"order": "limit", "offset": 0.04, "time_in_force": time_in_force, "amount": 0.4}
    tables = run(path, market(*FIRST), market("========", []), **keys)
    assert ended(tables) == [(end, 0, "expired", "no_market")]


@pytest.mark.parametrize("path", PATHS)
def test_bars_that_came_and_bars_that_did_not_count_alike(path: str) -> None:
    keys = {"order": "limit", "offset": 0.04, "time_in_force": 3, "amount": 0.4}
    tables = run(path, market("+=======", [3, 4]), market("========", []), **keys)
    assert ended(tables)[0] == (5.0, 0, "expired", "no_market")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("latency", [1, 2])
def test_latency_delays_the_bar_that_is_waited_for(path: str, latency: int) -> None:
    tables = run(path, market("+=======", [2, 3, 4, 5]), market("========", []), latency=latency)
    assert ended(tables) == [(3.0 + latency, 0, "expired", "no_market")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("moves", [(), ("========",)])
def test_a_bar_that_opens_before_the_order_works_is_not_missed(
    path: str, moves: tuple[str, ...]
) -> None:
    """It is decided at 2:00, works from 3:00 on, and the bar that opens at 2:00 is missing."""
    markets = [market("+=======", [2]), *(market(each, []) for each in moves)]
    tables = run(path, *markets, latency=1, symbols=(AAA, BBB)[: len(markets)])
    assert [(fill[0] - START) / HOUR for fill in tables["fills"]] == [3.0]


@pytest.mark.parametrize("path", PATHS)
def test_the_exit_in_place_of_a_reversal_waits_for_any_open(path: str) -> None:
    """It is sent when the reversal ends, and fills at the first open."""
    keys: dict[str, Any] = {"spot": False, "short_back": 1, "sizing": "fixed_quantity"}
    tables = run(path, market("+-=====", [3, 4]), market("=======", []), **keys)
    assert ended(tables) == [
        (2.0, 0, "filled", "entry"), (4.0, 0, "expired", "no_market"),
        (5.0, 0, "filled", "reversal"),
    ]  # fmt: skip
    assert [((order[0] - START) / HOUR, order[6]) for order in tables["orders"]] == [
        (2.0, "entry"), (3.0, "entry"), (4.0, "reversal"),
    ]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("time_in_force", [1, 3])
def test_a_bar_that_was_made_up_has_no_open(path: str, time_in_force: int) -> None:
    rows = [(*row, 1e6) for row in flat_market("+=====")]
    columns = [np.array(each) for each in zip(*rows, strict=True)]
    filled = np.array([False, False, True, True, False, False, False])
    bars = made_bars(START + HOUR * np.arange(7), columns, filled)
    s = Settings(**(BASE | {"symbols": (AAA,), "time_in_force": time_in_force}))
    assert_agrees(run_core(session_of(s, [bars], 1)), simulate(s, [bars], 1))
    session = session_of(s, [bars], 1)
    left = PATHS[path](plainly(session))
    names = session.plan.assembly.reasons
    whys = [names[row[5]] for row in left.outcome.LI.tolist() if row[0] == layout.STATUS]
    assert whys[:1] == ["no_market"]


def test_a_venue_is_asked_to_cancel_it_at_that_time() -> None:
    """The bar of the order did not come: at the venue it has not filled."""
    run = EngineHarness("+=======", "========", skip=[])
    entry = run.order(run.step(2))
    events = run.events
    facts = events[run.next].facts.copy()
    facts[0, 1] = -(2**62) + START + 2 * HOUR
    run.events[run.next] = type(events[run.next])(
        events[run.next].time_ns, events[run.next].day, events[run.next].columns, facts
    )
    (end,) = [each for each in run.step() if isinstance(each, OrderEnded)]
    assert (end.order, run.reasons[end.reason]) == (entry.order, "no_market")
    assert (end.time_ns - START) / HOUR == 3.0
