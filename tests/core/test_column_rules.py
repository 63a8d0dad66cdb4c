"""Rules that read columns: every kind is planned for both ends, and levels are the same there."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from septet._host.declare import VOCABULARY
from septet._kernel import layout
from septet._plan.plain import plain_module
from septet._shell.event_backtest import decision_times
from septet.errors import PluginError
from septet.plugin import Config, Expression, Input, halt
from septet.testing.planning import undefined_names
from tests.core.column_rules import EVERY_WORD, RULES, session_with
from tests.core.venue_fills import (
    Follower,
    engine_of,
    placed,
    recorded,
    same_words,
    with_venue_fills,
    words_of,
)

SOURCES = {
    "feature": {},
    "bar": {"of": "open", "level": "max(prev(close, 1), low)"},
    "series": {"of": "far", "level": "far + tone"},
}
SHAPES = [
    {"several": False, "spot": True, "model": False},
    EVERY_WORD,
    {"several": True, "spot": True, "model": False},
]


def test_the_rules_ask_for_every_word_of_their_kind():
    asked: dict[str, set[str]] = {}
    for rules in RULES.values():
        for kind, rule in rules:
            asked.setdefault(kind, set()).update(rule.parameters)
    elsewhere = {
        "limit": {"correlations"},  # needs a window of its own
        "regime": {"local_day", "local_seconds"},  # of features: the clock of the file
        "sizing": {"stop_distance"},  # makes steps of every position: the shape `pyramids`
    }
    for kind, words in asked.items():
        assert set(VOCABULARY[kind]) - elsewhere.get(kind, set()) <= words, kind


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_kind_of_rule_is_planned_for_both_ends(shape, source):
    session = session_with({**shape, **SOURCES[source]})
    for each in (session, with_venue_fills(session)):
        made = each.plan.assembly
        assert undefined_names(plain_module(each.plan.name, made.text, made.flavour)) == set()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_bar_meets_the_levels_that_a_live_run_knew_before_it(shape, source):
    """What the venue would hold before a bar is, bit for bit, what the simulator lets it meet."""
    run = recorded(session_with({**shape, **SOURCES[source]}))
    engine = engine_of(with_venue_fills(run.session))
    follower = Follower(engine, run)
    reasons, met = run.session.plan.assembly.reasons, Counter[str]()
    with np.errstate(all="ignore"):
        for at in run.times:
            for deed in at.deeds:
                for commands in follower.follow([deed]):
                    if deed.kind == layout.ORDER:
                        ours = [(each.limit_price, each.trigger_price) for each in placed(commands)]
                        np.testing.assert_array_equal(ours, [deed.values[1:3]])
                        met[reasons[deed.reason]] += 1
            engine.handle(at.event)
            if shape["spot"]:  # funding of several symbols is summed in another order
                same_words(words_of(engine), at.words)
    assert min(met["stop_columns"], met["target_columns"]) > 4


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_prices_between_bars_meet_the_same_levels(shape, source):
    """A price at the level leaves the position, whatever its level reads."""
    session = session_with({**shape, **SOURCES[source]})
    engine, left = engine_of(with_venue_fills(session)), 0
    with np.errstate(all="ignore"):
        for event in decision_times(session):
            engine.handle(event)
            for k in range(len(session.plan.symbols)):
                price, order = float(engine.state.B[k, layout.MARK]), engine.working(k)
                if order is not None:
                    at = (price, order.units, 0.0, False, event.time_ns)
                    engine.fill(k, order.order, order.units, *at)
                (level, reason), units = engine.protection(k), engine.position(k)[0]
                assert (level == level) == (units != 0.0 and reason >= 0)
                assert not placed(engine.mark(k, price, math.nan, event.time_ns))
                left += len(placed(engine.mark(k, level, level, event.time_ns)))
    assert left > 4


def test_a_halt_has_no_columns():
    """It is tested once for all symbols: which column would it read?"""

    class Far(Config):
        of: Input = "far"
        when: Expression | None = None

    with pytest.raises(PluginError, match=r"test_column_rules.*reads columns \(of, when\)"):

        @halt(Far)
        def far_away(of, when):
            return of > when


@pytest.mark.compiled
def test_rules_of_every_kind_compile_for_a_live_run():
    """What the kit plans uncompiled before a run, the compiler takes as well."""
    plan = with_venue_fills(session_with(EVERY_WORD), compiled=True).plan
    plan.compile()
    assert plan.compiled
    for name in ("trade", "observe", "book", "reprice", "protection", "respond"):
        assert len(getattr(plan.module, name).signatures) == 1, name
