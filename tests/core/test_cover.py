"""The shapes of the parity tests together reach everything a strategy file can express."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet._plan import rule_choices
from septet._plan.specialise import Choices
from septet._shell.session import plan_of
from septet_plugins.execution.manifest import septet_execution
from septet_plugins.features.manifest import FEATURES
from septet_plugins.risk.manifest import septet_risk
from septet_plugins.signals.manifest import septet_signals
from tests.core.column_rules import session_with
from tests.core.markets import Rough
from tests.core.paths import by_batch, by_events, plainly
from tests.core.properties import session_of_body
from tests.core.shapes import COMPILED, SHIPPED, body_of, names

NO_STRATEGY = {
    "venue": "where orders go does not change how they are decided",
}
"""Kinds of components that no shape needs to name."""


def _used(part: Any) -> Iterator[str]:
    """Yield the plugins a shape names; a rule of risk may stand under its own name alone."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "use" and isinstance(value, str):
                yield value
            elif key in ("limits", "stops", "halts"):
                yield from value
            yield from _used(value)
    elif isinstance(part, list):
        for value in part:
            yield from _used(value)


@cache
def used(shapes: tuple[str, ...]) -> frozenset[str]:
    # A file without an order style sends market orders.
    return frozenset(name for shape in shapes for name in _used(body_of(shape))) | {"market"}


def test_there_are_some_forty_shapes_a_good_part_of_one_symbol():
    alone = [name for name in names() if len(body_of(name)["universe"]["symbols"]) == 1]
    assert 28 <= len(names()) <= 45
    assert len(names()) == len(set(names()))
    assert len(alone) >= 10


def shipped() -> frozenset[str]:
    folder = Path(__file__).resolve().parents[2] / "strategies"
    texts = [(folder / f"{name}.yaml").read_text("utf-8") for name in SHIPPED]
    return frozenset(name for text in texts for name in _used(yaml.safe_load(text)))


@pytest.mark.parametrize("found", [used(tuple(names())), used(COMPILED) | shipped()])
def test_every_signal_size_limit_stop_halt_and_order_is_in_some_shape(found):
    components = [*septet_signals(), *septet_risk(), *septet_execution()]
    missing = [
        f"{each.kind} {each.name}"
        for each in components
        if each.kind not in NO_STRATEGY and each.name not in found
    ]
    assert missing == []


@pytest.mark.parametrize("module", list(FEATURES))
def test_every_family_of_features_is_in_some_shape(module):
    family = {key.partition(":")[0] for key in FEATURES[module]}
    assert family & used(tuple(names())), f"no shape uses a feature of {module}"


# -------------------------------------------------------------------------- switches


def _assemble_every_kind_of_plan() -> None:
    for name in (*names(), "savings", "nets"):
        for tables in (True, False):
            session = session_of_body(name, count=20, tables=tables)
            assert session.plan.assembly.text
        assert plan_of(session.loaded, tables=False, curve=False).assembly.text  # of a sweep
        assert plan_of(session.loaded, venue_fills=True).assembly.text
    session = session_with({"several": True})  # rules of others, which read columns
    assert plan_of(session.loaded, venue_fills=True).assembly.text


WIRING = (
    "one", "loops", "acrosses", "signal_ignores_account", "spot", "model_row", "answer_checks",
)  # fmt: skip
"""What decides how features and signal are wired."""


def test_every_switch_of_rules_and_wiring_goes_both_ways(monkeypatch, tmp_path):
    """Each choice that folds a rule, and each condition of the wiring, was true and false."""
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))  # no text was made before
    made: list[Choices] = []
    wired: dict[str, set[bool]] = defaultdict(set)

    def choices_of(context: Any) -> Choices:
        for name in WIRING:
            value = context[name]
            wired[name].add(value is not None if name == "model_row" else bool(value))
        made.append(choose(context))
        return made[-1]

    choose = rule_choices.choices_of
    monkeypatch.setattr(rule_choices, "choices_of", choices_of)
    _assemble_every_kind_of_plan()
    assert {name: seen for name, seen in wired.items() if len(seen) < 2} == {}
    ways: dict[str, set[Any]] = defaultdict(set)
    for each in made:
        for name, value in each.values.items():
            if isinstance(value, bool | str):
                ways[name].add(value)
        for name, elements in each.lists.items():
            if name not in ("CAPS", "ORDER_LIMITS"):  # limits are never off
                ways[name].add(bool(elements))
    ways.pop("PORTFOLIO")  # `tests/core/test_portfolio.py` draws those
    assert len(ways) > 30
    assert {name: seen for name, seen in ways.items() if len(seen) < 2} == {}
    assert ways["REENTRY"] == {"immediate", "rearm", "after"}


# -------------------------------------------------------------------------- markets


@pytest.mark.parametrize("name", names())
def test_every_shape_trades(name):
    left = by_batch(plainly(session_of_body(name)))
    assert len(left.outcome.rows(2)) > 0, "no fill: the property would compare nothing"


def test_the_window_of_the_event_path_slides():
    assert by_events(plainly(session_of_body("bare")), spare=8).slides > 10


def test_rough_markets_have_what_makes_them_hard():
    rough = Rough(
        3, 400, jumps=(50, 90), flats=((120, 40),), holes=((200, 30),), made_up=((300, 5),),
        quiet=0.1,
    )  # fmt: skip
    bars = rough.bars()
    moves = bars.close[1:] / bars.close[:-1] - 1.0
    gaps = bars.open[1:] / bars.close[:-1] - 1.0
    assert max(abs(moves).max(), abs(gaps).max()) > 0.4
    assert (bars.high[120:160] == bars.low[120:160]).all()
    assert (bars.open_ns[1:] - bars.open_ns[:-1]).max() == 31 * 3_600_000_000_000
    assert bars.made_up is not None
    assert bars.made_up.sum() == 5
    assert (bars.volume == 0.0).sum() > 10
