"""Four blocks of the time grid at once give the bits of one bar after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet._config import load
from septet._core.batch import Batch
from septet._kernel import layout
from septet._kernel.step import jit
from septet._plan.cache import load_text
from septet._plan.plan_text import prune
from septet._shell.session import Session, open_session
from septet.testing import same_bits

pytestmark = pytest.mark.compiled

BARS = 700
STRATEGY = f"""\
version: 1
name: lanes
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {{use: synthetic, bars: {BARS}, seed: 5}}}}
features:
  mean: {{use: sma, of: close, period: 7}}
  long: {{use: sma, of: mean, period: 100}}
  weighted: {{use: wma, of: close, period: 12}}
  score: {{use: zscore, of: volume, period: 20, ddof: 1}}
  bands: {{use: bollinger, of: close, period: 9}}
  place: {{use: bollinger_percent, of: close, period: 2}}
signal: {{use: rules, long_if: close > mean}}
risk: {{sizing: {{use: fixed_fraction, fraction: 10%}}}}
"""
SLOT = 5


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path: Path = tmp_path_factory.mktemp("lanes") / "lanes.yaml"
    path.write_text(STRATEGY, encoding="utf-8")
    return open_session(load(path))


@pytest.fixture(scope="module")
def observe(session: Session) -> Any:
    """The entry that computes the features, compiled without the rules of trading."""
    plan = session.plan
    first, *functions = re.split(r"^(?=@)", plan.assembly.text, flags=re.M)
    others = [each for each in functions if re.match(r"@entry.*\ndef (?!observe\()", each)]
    assert others
    text = prune("".join([first, *(each for each in functions if each not in others)]), {})
    return load_text(text, f"{plan.name}_features").observe


def observed(session: Session, observe: Any, stops: list[int]) -> tuple[Any, Any]:
    """Observe stretch after stretch; what the features and their states are in the end."""
    state = session.plan.state(1.0, session.instruments)
    batch = Batch(session.plan, session.aligned, state)
    for start, stop in zip([0, *stops], [*stops, BARS], strict=True):
        observe(start, stop, batch.arrays.table)
    return batch.F[0, :, :BARS].copy(), state.S.copy()


places = st.integers(0, BARS - 1)
lengths = st.sampled_from([1, 2, 19, 150])
stretches = st.lists(st.tuples(places, lengths), max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    first=st.sampled_from([3, 100, 1_001, 27_000_019]),
    gaps=st.lists(st.tuples(places, lengths), max_size=3),
    flats=stretches,
    holes=st.lists(st.tuples(places, st.sampled_from([np.nan, np.inf])), max_size=2),
    restart=st.one_of(st.none(), st.integers(1, BARS - 1)),
    stops=st.lists(st.integers(1, BARS - 1), max_size=4, unique=True),
)
def test_blocks_at_once_and_bars_alone_have_the_same_bits(
    session: Session, observe: Any, seed: int, first: int, gaps: Any, flats: Any, holes: Any,
    restart: Any, stops: list[int],
) -> None:  # fmt: skip
    random = np.random.default_rng(seed)
    columns, ages = session.aligned.X[0], session.aligned.M[0, layout.AGE]
    columns[layout.CLOSE, :BARS] = 1e3 * np.exp(np.cumsum(1e-2 * random.normal(size=BARS)))
    columns[layout.VOLUME, :BARS] = random.lognormal(size=BARS)
    columns[SLOT, :BARS] = first + np.arange(BARS)
    ages[:BARS] = np.arange(BARS)
    for place, length in gaps:
        columns[SLOT, place:BARS] += length
    for row in (layout.CLOSE, layout.VOLUME):
        for place, length in flats:
            columns[row, place : place + length] = columns[row, place]
        for place, value in holes:
            columns[row, place] = value
    if restart is not None:
        ages[restart:BARS] -= restart
    blocks, kept = observed(session, observe, sorted(stops))
    alone, state = observed(session, observe, list(range(1, BARS)))
    assert same_bits(blocks, alone).all()
    assert same_bits(kept, state).all()


def test_blocks_are_taken_where_there_is_no_gap(session: Session) -> None:
    from septet._kernel.time_frames import blocks

    slot = np.array([7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 16.0, 17.0])
    assert blocks(0, 10, slot, 2, 0) == (10, False)
    assert blocks(0, 10, slot, 2, 4) == (1, False)
    assert blocks(1, 10, slot, 2, 3) == (7, True)
    assert blocks(1, 10, slot, 2, 4) == (3, False)
    assert blocks(5, 10, slot, 2, 4) == (10, False)


def test_a_branch_on_what_differs_between_blocks_is_refused() -> None:
    from numba.core.errors import TypingError

    from septet._plan.compiled import beside, lanes, scatter

    def branch(x: Any, out: Any) -> None:
        wide, state = beside(x, 2), lanes(1)
        state[0] = wide[0]
        if state[0] > 1.0:
            scatter(out, 0, 2, wide[0])

    x = np.zeros(10)
    with pytest.raises(TypingError):
        jit(branch)(x, x)
