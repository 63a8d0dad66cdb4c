"""What the account lacks of a position, as a person has accepted, is booked as closed."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core.ledger_check import unexplained
from septet._drill.sim.core_subject import core_subjects as core_of_seed
from septet._journal.fold import Fold
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from tests.live.diffs import LOT, SECOND, WARMUP, Lives, begun, walk
from tests.live.test_prices import NOW, close_bar, exits, held_long, quote
from tests.live.test_steps import BASE, END, GRID, PORTFOLIO, STEPS
from tests.live.test_steps import quote as priced

PLAIN = """\
signal: {use: rules, long_if: fast > slow, exit_if: fast < 0.98 * slow}
risk:
  sizing: {use: fixed_fraction, fraction: 20%}
  stops: {stop_loss: 9%}"""
CASH = 1e6


def holdings(
    at_ns: int, units: float, *, asked_ns: int | None = None, others: float = 0.0
) -> m.Holdings:
    return m.Holdings(
        at_ns=at_ns, balances={"BTC": (units, 0.0), "USDT": (CASH, 0.0)},
        asked_ns=at_ns if asked_ns is None else asked_ns, others={"BTC": others} if others else {},
    )  # fmt: skip


def resume(at_ns: int) -> m.Operated:
    return m.Operated(at_ns=at_ns, action="resume", name="ann", reason="I sold it")


def closings(found: list[m.Command]) -> list[Any]:
    return [
        (each.quantity, each.price) for each in found
        if isinstance(each, m.Traded) and each.reason == "gone"
    ]  # fmt: skip


def gone(core: Any, units: float, *, others: float = 0.0) -> list[m.Command]:
    """Read an account that lacks a part of a hundredth at 99.51, resume at 90.01, read it again."""
    at_ns = NOW + 310 * SECOND
    quote(core, at_ns, 99.5, 99.52)
    found: list[m.Command] = core.handle(holdings(at_ns, units, others=others))
    assert any(isinstance(each, m.Tripped) for each in found)
    quote(core, at_ns + SECOND, 99.49, 99.51)
    return read_after_resume(core, at_ns, units, others=others)


def read_after_resume(core: Any, at_ns: int, units: float, *, others: float = 0.0) -> Any:
    asked: list[m.Command] = core.handle(resume(at_ns + 60 * SECOND))
    assert [each.what for each in asked if isinstance(each, m.Refresh)] == ["holdings"]
    assert closings(asked) == []
    older = holdings(at_ns + 61 * SECOND, units, asked_ns=at_ns + 59 * SECOND, others=others)
    assert closings(core.handle(older)) == [], "a read from before the resume"
    return core.handle(holdings(at_ns + 62 * SECOND, units, others=others))


def test_what_a_person_accepts_as_gone_is_booked_at_the_price_when_it_was_first_missed() -> None:
    core: Any = core_of_seed(4)()
    held_long(core)
    before = core.engine.cash
    found = gone(core, 0.0)
    assert closings(found) == [(0.01, pytest.approx(99.51))]
    assert core.engine.held(0) == 0.0
    assert core.engine.cash == pytest.approx(before + 0.01 * 99.51)
    assert unexplained(core.engine.state, 1_000.0) == 0.0
    quote(core, NOW + 380 * SECOND, 90.0, 90.02)
    assert core.engine.equity == core.engine.cash
    assert [each.level for each in alerts(found, "gone")] == ["error"]
    assert "an estimate" in alerts(found, "gone")[0].text


@pytest.mark.parametrize(
    ("cash", "blocks", "warns"),
    [(500.0, False, True), (997.0, False, False), (400.0, True, False)],
    ids=["withdrawn", "sold", "more_is_missing"],
)
def test_one_resume_accepts_units_and_the_cash_that_went_with_them(
    cash: float, blocks: bool, warns: bool
) -> None:
    """Withdrawn units bring no cash; a shortfall beyond their value is another matter."""
    core: Any = core_of_seed(4)()
    for n in (1, 2):
        close_bar(core, NOW + 60 * n * SECOND, 100.0)
    core._carry(core.engine.adopt(0, 500_000_000.0, 100.0, NOW + 121 * SECOND))
    assert core.engine.cash == 500.0

    def read(seconds: int, cash: float = cash) -> list[m.Command]:
        event = holdings(NOW + seconds * SECOND, 0.0)
        balances = {"BTC": (0.0, 0.0), "USDT": (cash, 0.0)}
        found: list[m.Command] = core.handle(msgspec.structs.replace(event, balances=balances))
        return found

    quote(core, NOW + 310 * SECOND, 99.5, 99.52)
    read(310, 500.0)
    core.handle(resume(NOW + 370 * SECOND))
    found = read(372)
    assert closings(found) == [(5.0, pytest.approx(99.51))]
    texts = [each.text for each in alerts(found, "insufficient_funds") if each.level == "warning"]
    assert ["went with the units" in each for each in texts] == [True] * warns
    assert core.guards.blocked(0) == ("insufficient_funds" if blocks else "")
    assert alerts(read(400), "insufficient_funds") == [], "it is said once"
    core.restore(core.snapshot())
    read(430)
    assert core.guards.blocked(0) == ("insufficient_funds" if blocks else "")


def alerts(found: list[m.Command], event: str) -> list[m.Alerted]:
    return [each for each in found if isinstance(each, m.Alerted) and each.event == event]


def test_a_part_that_is_gone_leaves_the_rest_with_its_stop() -> None:
    core: Any = core_of_seed(4)()
    held_long(core)
    assert closings(gone(core, 0.004)) == [(0.006, pytest.approx(99.51))]
    assert core.engine.held(0) == pytest.approx(0.004)
    found = quote(core, NOW + 400 * SECOND, 98.9, 98.92)
    assert exits(found) == [("sell", 0.004)], "its stop is watched on"
    assert core.handle(holdings(NOW + 401 * SECOND, 0.004)) == []


def test_an_accepted_surplus_is_not_what_is_gone_of_a_position_sold_twice() -> None:
    """Five of the owner lie beside the run's; a sale that was executed twice took of them."""
    core: Any = core_of_seed(4)()
    held_long(core)
    at_ns = NOW + 310 * SECOND
    quote(core, at_ns, 99.5, 99.52)
    core.handle(holdings(at_ns, 5.01))
    core.handle(resume(at_ns + SECOND))
    core.handle(holdings(at_ns + 2 * SECOND, 5.01))
    units = round(core.engine.held(0) * core._scales[0])
    core._carry(core.engine.adopt(0, -2.0 * units, 99.5, at_ns + 3 * SECOND))
    assert core.engine.held(0) == -0.01
    found = core.handle(holdings(at_ns + 70 * SECOND, 4.99))
    assert closings(found) == []
    assert core.engine.held(0) == -0.01
    assert core.guards.sellable_position(0, -0.01) == -0.01, "it can be bought back"


def test_units_that_come_back_are_somebody_elses() -> None:
    core: Any = core_of_seed(4)()
    held_long(core)
    gone(core, 0.0)
    found = core.handle(holdings(NOW + 500 * SECOND, 0.01))
    assert [each.rule for each in found if isinstance(each, m.Tripped)] == [
        "position_mismatch:BTC/USDT"
    ]
    assert core.engine.held(0) == 0.0


def test_nothing_is_booked_where_other_strategies_hold_the_same_currency() -> None:
    """Of which of them it was sold is not known: the account of both lacks it."""
    core: Any = core_of_seed(4)()
    held_long(core)
    assert closings(gone(core, 0.5, others=0.5)) == []
    assert core.engine.held(0) == 0.01
    assert core.orders.lacks_stop(0) is False


def test_nothing_is_booked_while_an_exit_may_explain_it() -> None:
    core: Any = core_of_seed(4)()
    held_long(core)
    at_ns = NOW + 310 * SECOND
    assert exits(quote(core, at_ns, 98.5, 98.52)) == [("sell", 0.01)]
    core.guards._gaps[0] = -0.01  # as if a person had been shown it before
    core.handle(resume(at_ns + SECOND))
    assert closings(core.handle(holdings(at_ns + 5 * SECOND, 0.0))) == []


def test_a_difference_that_ends_or_changes_after_the_resume_is_not_booked() -> None:
    for units in (0.01, 0.007):
        core: Any = core_of_seed(4)()
        held_long(core)
        at_ns = NOW + 310 * SECOND
        quote(core, at_ns, 99.5, 99.52)
        core.handle(holdings(at_ns, 0.0))
        core.handle(resume(at_ns + SECOND))
        assert closings(core.handle(holdings(at_ns + 2 * SECOND, units))) == []
        assert core.engine.held(0) == 0.01


def test_a_side_that_others_have_closed_is_not_entered_at_the_same_signal() -> None:
    core: Any = core_of_seed(4)()
    held_long(core, 100.0, 101.0, 102.0)
    gone(core, 0.0)
    [row] = [
        each for each in close_bar(core, NOW + 420 * SECOND, 105.0) if isinstance(each, m.Decided)
    ]
    assert (row.signal, row.rejected_by) == ("long", "reentry_blocked")


@pytest.mark.parametrize("left", [0.0, 0.35])
@pytest.mark.parametrize(
    "body", [PLAIN, STEPS, GRID, PORTFOLIO], ids=["plain", "steps", "grid", "portfolio"]
)
def test_ledger_trades_replay_and_shadow_agree_after_it(
    body: str, left: float, tmp_path: Path
) -> None:
    bars = walk(160, 5)
    run = begun(tmp_path, bars, BASE + body + END)
    sold = 0
    for n, (bar, after) in enumerate(pairwise(bars)):
        run.bar(n, bar, after.open, Lives(first=WARMUP))
        for k, price in enumerate((after.open, after.low, after.high, after.close)):
            at_ns = after.open_ns + (10 + 600 * k) * SECOND
            run.follow(priced(at_ns, price), price)
        held = run.core.engine.held(0)
        if n > WARMUP + 40 * (sold + 1) and held > 10 * LOT and not run.core.orders.records.works:
            units = math.floor(left * held / LOT) * LOT
            for event in (
                holdings(at_ns + SECOND, units), resume(at_ns + 9 * SECOND),
                holdings(at_ns + 10 * SECOND, units),
            ):  # fmt: skip
                run.follow(event, after.close)
            assert run.core.engine.held(0) == pytest.approx(units)
            sold += 1
    run.journal.commit()
    run.journal.close()
    assert sold >= 2
    engine: Any = run.core.engine
    assert unexplained(engine.state, 5_000.0) == 0.0
    with Reader(tmp_path / "run" / JOURNAL) as journal:
        fold = Fold(journal.head).take(journal.read())
    assert "" not in fold.orders, "no order has closed it"
    closed = [row for row in fold.trades.rows if "gone" in row]
    assert len(closed) == (sold if left == 0.0 else 0), "a part is closed by what sells the rest"
    rows = [row for row in fold.fills if row[3] == ""]
    assert len(rows) == sold
    for proof in (replay, shadow):
        result = proof(tmp_path / "run")
        assert (result.differences, result.first) == (0, None), proof.__name__
