"""A symbol without a bar while others have theirs: its entry ends in time, its exit waits."""

from __future__ import annotations

import pytest

from tests.fidelity.positions.cases import LETTERS, RULES, fills, hour, market
from tests.fidelity.positions.in_engine import assert_same_run
from tests.fidelity.positions.market import Market
from tests.fidelity.positions.settings import Sizing, Strategy
from tests.fidelity.positions.simulator import simulate

FLAT = (100.0,)
TURNS = Strategy(account="perpetual", signal=RULES, sizing=Sizing("fixed_quantity", 10))


def beside_another(signals: str, *missing: int) -> Market:
    """A market of `A` with signals, of which bars are missing, and of `B` without both."""
    rows = {"A": [None if n in missing else FLAT for n in range(len(signals))]}
    rows["B"] = [FLAT] * len(signals)
    sides = {"A": [LETTERS[each] for each in signals], "B": [LETTERS["-"]] * len(signals)}
    return market(rows, {"side": sides})


@pytest.mark.parametrize("missing", [(3,), (3, 4)])
def test_what_a_reversal_would_have_closed_is_closed_at_the_next_open(
    missing: tuple[int, ...],
) -> None:
    """SEMANTICS, Time: an entry without an open within one bar expires, a reduction waits."""
    bars = beside_another("L-S----", *missing)
    out = simulate(TURNS, bars)
    assert [(order.status, order.ended_by) for order in out.orders] == [
        ("filled", "entry"), ("expired", "no_market"), ("filled", "reversal"),
    ]  # fmt: skip
    assert hour(out.orders[1].ended_ns) == 4.0, "though its symbol has no bar then"
    assert fills(out)[1] == (max(missing) + 1.0, -10.0, 100.0)
    assert_same_run(TURNS, bars, out)
