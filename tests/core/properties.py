"""What every shape promises, whatever its values and its market: one answer on every path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import note
from hypothesis import strategies as st

from septet._data.bars import SeriesTable
from septet._kernel import layout
from septet._plan.binding import UNITS
from septet._plan.plan import Plan
from septet._shell.session import Session
from tests.core.markets import LENGTHS, Rough, calendars_of, rough_market, roughs, series_of
from tests.core.paths import begin, both, by_batch, by_events, by_shell, finish, plainly, stretch
from tests.core.settings import Bars
from tests.core.shapes import body_of, drawn, plainest, written
from tests.core.table_comparison import assert_same
from tests.core.world import load_text, open_made

__all__ = [
    "Case", "cases", "check_every_path", "check_fast_form", "check_interleaved",
    "check_one_answer", "session_of_body", "text_of",
]  # fmt: skip

LONG = (*LENGTHS, 2_300)
Prepare = Callable[[Session], Session]


@dataclass(frozen=True)
class Case:
    """A strategy with its values, and its market."""

    loaded: Any
    bars: Sequence[Bars]
    series: Mapping[str, SeriesTable]
    spare_first: int
    plans: dict[bool, Plan] = field(default_factory=dict, repr=False)

    def session(self, *, tables: bool = True) -> Session:
        """Return a session of its own."""
        strategy = self.loaded.strategy
        made = open_made(
            self.loaded, self.bars, 0, self.series, tables=tables,
            calendars=calendars_of(strategy.universe.symbols), plan=self.plans.get(tables),
        )  # fmt: skip
        self.plans.setdefault(tables, made.plan)
        made.first = min(self.spare_first + made.plan.warmup_bars, made.aligned.times - 1)
        return made


def _case(text: str, made: Sequence[Rough], first: int) -> Case:
    loaded = load_text(text)
    strategy = loaded.strategy
    symbols = strategy.universe.symbols
    specs = [strategy.execution.instruments.get(symbol) for symbol in symbols]
    ticks = [spec.tick if spec is not None else 0.0 for spec in specs]
    series = series_of(strategy, made[0].seed, made[0].count)
    return Case(loaded, rough_market(symbols, made, ticks), series, first)


@st.composite
def cases(
    draw: Any, body: dict[str, Any], name: str = "drawn", lengths: Sequence[int] = LENGTHS
) -> Case:
    """Draw the values of a shape and a market for it; a failure prints both."""
    symbols = body["universe"]["symbols"]
    text = written(draw(drawn(body)), name)
    made = draw(roughs(symbols, lengths))
    note(text)
    note(repr(made))
    return _case(text, made, draw(st.sampled_from([0, 0, 1, 40])))


def session_of_body(
    name: str, seed: int = 7, count: int = 300, *, tables: bool = True,
    body: dict[str, Any] | None = None,
) -> Session:  # fmt: skip
    """Return a session of a shape with the first of every choice, over a market with some gaps.

    `body` takes the place of what is written under the name.
    """
    body = body_of(name) if body is None else body
    symbols = body["universe"]["symbols"]
    made = [
        Rough(seed + k, count, jumps=(90,), flats=((40, 30),), holes=((200 + 9 * k, 5),))
        for k in range(len(symbols))
    ]
    return _case(written(plainest(body), name), made, 0).session(tables=tables)


@cache
def text_of(name: str) -> str:
    """Return the text of a shape's plan."""
    return session_of_body(name).plan.assembly.text


def _as_it_is(session: Session) -> Session:
    return session


def check_one_answer(name: str, data: Any, prepare: Prepare = _as_it_is) -> None:
    """Draw the values of a shape and its market, and compare every path with every other.

    Where plans are compiled, plain Python is one more path, and markets may be longer.
    """
    body, compiled = body_of(name), prepare is _as_it_is
    longer = compiled and len(body["universe"]["symbols"]) == 1
    case = data.draw(cases(body, name, LONG if longer else LENGTHS), label=name)
    session = case.session()
    assert session.plan.assembly.text == text_of(name), f"values changed the text of {name}"
    check_every_path(data, case, prepare)
    if compiled:
        plain = by_batch(plainly(case.session()))
        plain.path = "plain Python"
        assert_same(by_batch(case.session()), plain)


def check_every_path(data: Any, case: Case, prepare: Prepare = _as_it_is) -> None:
    """Compare the whole batch with events, with uneven stretches, and with a change midway."""
    whole = by_batch(prepare(case.session()))
    times_of = st.integers(0, whole.session.aligned.times)
    assert_same(whole, by_events(prepare(case.session()), data.draw(st.integers(8, 60))))
    cuts = sorted(data.draw(st.lists(times_of, min_size=1, max_size=6), label="cuts"))
    assert_same(whole, by_batch(prepare(case.session()), cuts))
    cut = data.draw(times_of, label="events from")
    assert_same(whole, both(prepare(case.session()), cut, data.draw(st.integers(8, 400))))
    if whole.session.strategy.model is None:
        for engine in ("batch", "event"):
            assert_same(whole, by_shell(prepare(case.session()), engine))


def check_interleaved(name: str, data: Any) -> None:
    """Run two settings of one shape in turns on one module; neither may see the other."""
    pair = [data.draw(cases(body_of(name), name), label=each) for each in ("one", "other")]
    alone = [by_batch(each.session()) for each in pair]
    sessions = [each.session() for each in pair]
    for unit in UNITS:
        one, other = (each.plan.units.of(unit) for each in sessions)
        assert one.module is other.module
    batches = [begin(each) for each in sessions]
    parts = data.draw(st.integers(2, 9), label="parts")
    with np.errstate(all="ignore"):
        for part in range(parts):
            for session, batch in zip(sessions, batches, strict=True):
                times = session.aligned.times
                stretch(session, batch, times * part // parts, times * (part + 1) // parts)
    for left, session, batch in zip(alone, sessions, batches, strict=True):
        assert_same(left, finish(session, batch, "in turns"))


def check_fast_form(name: str, data: Any, prepare: Prepare = _as_it_is) -> None:
    """Without the table of decisions: the same orders, fills, trades and equity."""
    case = data.draw(cases(body_of(name), name), label=name)
    full = by_batch(prepare(case.session()))
    cut = data.draw(st.integers(0, full.session.aligned.times), label="cut")
    fast = by_batch(prepare(case.session(tables=False)), [cut])
    fast.path = "without tables"
    assert_same(full, fast, decisions=False)
    account, equity = fast.outcome.state.A, full.outcome.G[layout.G_EQUITY, full.session.first :]
    tops = np.maximum.accumulate(np.maximum(equity, full.session.strategy.account.capital))
    assert account[layout.TOP] == tops[-1]
    assert account[layout.DEEPEST] == pytest.approx(float((1.0 - equity / tops).max()), abs=1e-12)
