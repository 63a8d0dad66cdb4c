"""A ledger that has booked the executions of another copy of the run: its stop, its proofs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._core.ledger_check import unexplained
from septet._core.orders.ids import child_id
from septet._journal.fold import Fold
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from tests.live.diffs import SECOND, TAG, WARMUP, Lives, begun, walk
from tests.live.test_gone_positions import PLAIN, resume
from tests.live.test_steps import BASE, END, GRID, STEPS
from tests.live.test_steps import quote as priced

COPY = "zz9y"


def executed(at_ns: int, number: int, side: Any, quantity: float, price: float) -> m.Filled:
    return m.Filled(
        at_ns=at_ns, venue="sim", symbol=0, trade_id=f"c{number}", venue_order_id=f"v{number}",
        client_id=child_id(TAG, number, 1, COPY), venue_ns=at_ns, market_ns=at_ns, side=side,
        quantity=quantity, price=price, fee=0.001 * quantity * price, fee_currency="USDT",
    )  # fmt: skip


@pytest.mark.parametrize("body", [PLAIN, STEPS, GRID], ids=["plain", "steps", "grid"])
def test_ledger_trades_replay_and_shadow_agree_after_it(body: str, tmp_path: Path) -> None:
    bars = walk(120, 5)
    run = begun(tmp_path, bars, BASE + body + END, holds_stops=True)
    for n, (bar, after) in enumerate(pairwise(bars)):
        run.bar(n, bar, after.open, Lives(first=WARMUP))
        for k, price in enumerate((after.open, after.low, after.high, after.close)):
            at_ns = after.open_ns + (10 + 600 * k) * SECOND
            run.follow(priced(at_ns, price), price)
        held = run.core.engine.held(0)
        if n in (WARMUP + 30, WARMUP + 60):
            copys = [executed(at_ns + SECOND, 900 + n, "buy", 0.7, after.close)]
            if n == WARMUP + 60:
                copys.append(executed(at_ns + 2 * SECOND, 901 + n, "sell", 0.7 + held, after.close))
            for event in copys:
                run.follow(event, after.close)
            assert run.core.engine.held(0) == held
            found = run.handle(resume(at_ns + 9 * SECOND))
            assert run.core.engine.held(0) == pytest.approx(held + 0.7 if len(copys) == 1 else 0.0)
            booked = [each for each in found if isinstance(each, m.Traded)]
            assert [(each.trade_id, each.reason) for each in booked] == [
                (each.trade_id, "foreign_order") for each in copys
            ]
            assert [each.fee for each in booked] == [each.fee for each in copys]
            stops = [each for each in found if isinstance(each, m.Submit) and each.reduces]
            assert len(copys) > 1 or [each.order_type for each in stops] in ([], ["stop"])
    run.journal.commit()
    run.journal.close()
    assert unexplained(run.core.engine.state, 5_000.0) == 0.0
    with Reader(tmp_path / "run" / JOURNAL) as journal:
        fold = Fold(journal.head).take(journal.read())
    assert {row[3] for row in fold.fills} > {child_id(TAG, 900 + WARMUP + 30, 1, COPY)}
    for proof in (replay, shadow):
        result = proof(tmp_path / "run")
        assert (result.differences, result.first) == (0, None), proof.__name__
