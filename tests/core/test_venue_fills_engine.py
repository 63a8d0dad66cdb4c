"""Fills from the venue: given the fills of the simulator, the same rules decide the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from septet._kernel import layout
from tests.core import drawn_cases
from tests.core.engine_harness import EngineHarness
from tests.core.paths import plainly
from tests.core.properties import cases, session_of_body
from tests.core.settings import Settings, walk
from tests.core.shapes import body_of, names
from tests.core.venue_fills import (
    TOUCHED,
    Follower,
    Recorded,
    engine_of,
    recorded,
    same_words,
    with_venue_fills,
    words_of,
)
from tests.core.world import session_of
from tests.scale import examples

COMPILED = ("together", "pyramids", "shifts")
"""Few, for each is another plan to compile; the others run as plain text."""
NOT_EXACT = {
    "capped": "a stop that is triggered outside counts as an order of the minute before",
    "leaders": "as for capped",
    "quoting": "the rest of a partly filled entry works until the venue has cancelled it",
    "office": "as for quoting",
    "shares": "as for quoting, and as for flips: it is funded",
    **dict.fromkeys(
        ("flips", "leaning", "spread", "crowd", "hedged", "funded", "watchers", "ladders"),
        "a stop fills before the funding of a bar, or of another symbol, is paid: sums round "
        "differently, and a liquidation is charged without that funding",
    ),
}
EXACT = [name for name in names() if name not in NOT_EXACT]


def follows(run: Recorded, *, compiled: bool = False, spare: int = 8) -> int:
    """Let an engine without a simulator follow a backtest; return how many fills it booked."""
    engine = engine_of(with_venue_fills(run.session, compiled=compiled), spare)
    follower, fills = Follower(engine, run), 0
    with np.errstate(all="ignore"):
        for at in run.times:
            for _ in follower.follow(at.deeds):
                fills += 1
            engine.handle(at.event)
            same_words(words_of(engine), at.words)
    return fills


@given(st.data())
@settings(max_examples=examples(30))
def test_with_the_same_fills_the_same_is_decided(data):
    """Bit for bit: every decision, equity and cash at every T.

    Stops, halts, flips and liquidations included. Not shares of a bar's volume: the rest of a
    partly filled entry works at a venue until it is cancelled, and here it ends with its bar.
    """
    s: Settings = replace(data.draw(drawn_cases.settings()), participation=None)
    limits = {key: value for key, value in s.limits.items() if key != "orders_per_minute"}
    s = replace(s, limits=limits)
    if len(s.symbols) > 1:  # funding and fills inside a bar are summed in another order
        s = replace(s, funding=0.0)
    follows(recorded(plainly(session_of(s, data.draw(drawn_cases.markets(s))))))


@pytest.mark.parametrize(
    "stops", [{"trailing": {"distance": 0.005}}, {"stop_loss": 0.01}, {"take_profit": 0.005}]
)
def test_an_exit_that_is_too_small_at_its_level_waits_in_both(stops):
    """The notional of 7 units is at most a few above the minimum: levels lie below it, or not."""
    s = Settings(
        model=True, threshold=0.0, exit_back=0, opposite=False, slippage=0.0, taker=0.0,
        sizing="fixed_quantity", amount=7.0, min_notional=800.0, stops=stops,
        halts={"drawdown": {"above": 0.01, "then": "flatten"}},
    )  # fmt: skip
    run = recorded(plainly(session_of(s, [walk(0, 110, step=0.02, holes=0.0)])))
    if "take_profit" not in stops:
        assert sum(each.kind == TOUCHED for at in run.times for each in at.deeds) > 0
    follows(run)


@given(st.data())
@settings(max_examples=examples(12))
def test_funding_is_charged_as_in_the_backtest(data):
    """Market orders without stops fill at the open, before anything else at that T.

    But for the funding of a time without a bar, which comes before: here no bar is missing.
    """
    s: Settings = data.draw(
        drawn_cases.settings(
            spot=False, order="market", stops={}, leverage=1.0, maintenance=0.001, limits={},
            short_back=0, model=False, below=None, sizing="fixed_fraction", amount=0.4,
        )
    )  # fmt: skip
    bars = data.draw(drawn_cases.markets(s, missing=False))
    follows(recorded(plainly(session_of(s, bars))))


@pytest.mark.parametrize("name", EXACT)
@given(st.data())
@settings(max_examples=examples(2))
def test_every_shape_follows(name, data):
    case = data.draw(cases(body_of(name), name), label=name)
    follows(recorded(plainly(case.session())), spare=data.draw(st.integers(8, 60)))


@pytest.mark.parametrize("seed", [3, 8])
def test_a_take_that_is_reached_while_all_is_being_closed_is_not_done_in_either(seed):
    body = body_of("shifts")
    body["execution"] = {"simulation": {"latency": "1 bar"}}
    body["risk"]["position"]["take"] = [{"at": "1%", "size": "20%"}]
    follows(recorded(plainly(session_of_body("shifts", seed=seed, body=body))))


@given(st.data())
@settings(max_examples=examples(3))
def test_resting_adds_follow_where_no_funding_is_paid(data):
    free = {"leverage": 2, "funding": {"rate": "0bps", "every": "8h"}}
    case = data.draw(cases({**body_of("ladders"), "perpetual": free}, "ladders"), label="ladders")
    run = recorded(plainly(case.session()))
    # an entry that meets no bar ends at its open there, and at its close where a venue fills: an
    # add of another symbol that is decided between them finds it working
    no_market = run.reasons.index("no_market")
    assume(all(each.reason != no_market for at in run.times for each in at.deeds))
    assert follows(run) >= 0


def test_takes_and_adds_of_every_kind_are_followed():
    """What the shapes compare is not nothing."""
    for name in ("pyramids", "shifts"):
        run = recorded(plainly(session_of_body(name, seed=8)))
        reasons = run.reasons
        filled = {
            (reasons[each.reason], each.of == layout.MARKET)
            for at in run.times
            for each in at.deeds
            if each.kind == layout.FILL
        }
        wanted = {("take", False), ("take", True), ("add", True)}
        wanted = wanted if name == "pyramids" else {("take", False), ("add", False), ("add", True)}
        assert wanted <= filled, name
        assert follows(run) > 20


@pytest.mark.parametrize("name", COMPILED)
def test_the_compiled_text_follows_too(name):
    for seed in (7, 8):
        run = recorded(plainly(session_of_body(name, seed)))
        assert follows(run, compiled=True) > 20


def test_nothing_is_matched_in_the_text():
    text = with_venue_fills(session_of_body("held", count=20)).plan.assembly.text
    for word in ("match_open", "match_within", "book_fill(", "def protect(", "trigger_exit"):
        assert word not in text, word
    assert "def step" in text


def test_reasons_of_the_rules_keep_their_numbers():
    session = session_of_body("held", count=20)
    ours, theirs = (each.plan.assembly for each in (session, with_venue_fills(session)))
    assert ours.reasons == theirs.reasons
    assert ours.reasons[ours.facts.venue_reasons :] == (
        "late_fill", "operator", "adopted", "unknown", "monitor", "gone", "foreign_order",
    )  # fmt: skip


@pytest.mark.parametrize(("missing", "why"), [(1, None), (2, "unfilled"), (3, "no_market")])
def test_bars_that_are_missing_count_against_an_entry_that_works(missing, why):
    harness = EngineHarness("+++++", order="limit", time_in_force=3, skip=range(2, 2 + missing))
    entry = harness.order(harness.step(2))
    ended = harness.ends(harness.step())
    assert ended == ([] if why is None else [(entry.order, layout.STATUS_EXPIRED, why)])


def test_plans_state_whether_a_price_between_decision_times_may_add():
    """A live run looks for a missing stop before such a price alone."""
    found = {}
    for name in names():
        plan = with_venue_fills(session_of_body(name, seed=1)).plan
        text = plan.assembly.text
        adds = "touch_adds(" in text or "touch_grid(" in text
        assert plan.facts.adds_between == adds, name
        found[name] = adds
    assert found["ladders"]
    assert not found["together"]
