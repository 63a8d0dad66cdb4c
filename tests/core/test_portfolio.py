"""Portfolios and regular buys give one answer on every path, and with fills of a venue."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from septet._kernel import layout
from tests.core.paths import by_batch, plainly
from tests.core.properties import (
    cases,
    check_every_path,
    check_fast_form,
    check_interleaved,
    check_one_answer,
    session_of_body,
)
from tests.core.shapes import PORTFOLIOS, body_of, names
from tests.core.venue_fills import (
    PASSED,
    Follower,
    NotServed,
    Recorded,
    engine_of,
    recorded,
    same_words,
    with_venue_fills,
    words_of,
)
from tests.scale import examples

SHAPES = names(PORTFOLIOS)
COMPILED = ("balanced", "blended")
"""Shapes that are compiled: together they use every rule of a portfolio but one loop of weights."""

BAR_FILLS = ("strongest", "nets")
"""Shapes whose fills only a bar can give: by the share of its volume, or by a grid."""


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
@settings(max_examples=examples(6))
def test_every_path_gives_one_answer(name: str, data: Any) -> None:
    check_every_path(data, data.draw(cases(body_of(name), name), label=name), plainly)


@pytest.mark.parametrize("name", SHAPES)
@given(st.data())
@settings(max_examples=examples(3))
def test_without_tables_the_same_is_traded(name: str, data: Any) -> None:
    check_fast_form(name, data, plainly)


@pytest.mark.compiled
@pytest.mark.parametrize("name", COMPILED)
@given(st.data())
@settings(max_examples=examples(4))
def test_compiled_it_gives_the_same_answer(name: str, data: Any) -> None:
    check_one_answer(name, data)
    check_interleaved(name, data)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_rebalances_and_trades(name: str) -> None:
    """What the others compare is not nothing."""
    outcome = by_batch(plainly(session_of_body(name))).outcome
    kinds = np.bincount(outcome.LI[:, 0], minlength=layout.REBALANCE + 1)
    assert kinds[layout.REBALANCE] >= 2 or name in ("savings", "nets")
    assert kinds[layout.FILL] >= 4


@pytest.mark.parametrize("name", [each for each in SHAPES if each not in BAR_FILLS])
@given(st.data())
@settings(max_examples=examples(3))
def test_with_the_fills_of_a_venue_the_same_is_decided(name: str, data: Any) -> None:
    body = body_of(name)
    if "funding" in body.get("perpetual", {}):  # of several symbols it is summed in another order
        body = {**body, "perpetual": {"leverage": 3, "funding": {"rate": "0bps", "every": "8h"}}}
    case = data.draw(cases(body, name), label=name)
    try:
        _follow(recorded(plainly(case.session())))
    except NotServed:
        assert name == "savings"
        reject()


def _follow(run: Recorded) -> None:
    engine = engine_of(with_venue_fills(run.session), 12)
    follower = Follower(engine, run)
    with np.errstate(all="ignore"):
        for at in run.times:
            for _ in follower.follow(at.deeds):
                pass
            engine.handle(at.event)
            same_words(words_of(engine), at.words)


def test_a_take_that_is_too_small_is_done_with_where_a_venue_fills() -> None:
    """Nothing is sold at its level, in a bar or past a price, and the next makes up for it."""
    body = body_of("savings")
    small = {symbol: {"min_notional": 100} for symbol in body["universe"]["symbols"]}
    body = copy.deepcopy(body)
    body["execution"]["instruments"] = small
    body["risk"]["position"]["take"][0]["at"] = "0.5%"  # before the other's condition is true
    run = recorded(plainly(session_of_body("savings", body=body)))
    deeds = [deed for at in run.times for deed in at.deeds]
    takes = run.reasons.index("take")
    assert sum(each.kind == PASSED for each in deeds) > 4
    assert sum(each.kind == layout.FILL and each.reason == takes for each in deeds) > 4
    _follow(run)
