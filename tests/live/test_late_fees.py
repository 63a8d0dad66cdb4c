"""A fee that the venue states late, at another rate than the file's: the ledger is corrected."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._core.expected_fees import ASK_NS
from septet._core.ledger_check import unexplained
from septet._diff.live_side import Booking, read_lived
from septet._journal.fold import Fold
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from tests.live.diffs import SECOND, WARMUP, Hand, Lives, Venue, begun, walk
from tests.live.test_gone_positions import PLAIN
from tests.live.test_steps import BASE, END, GRID, PORTFOLIO, STEPS
from tests.live.test_steps import quote as priced

CAPITAL, RATE = 5_000.0, 0.002
"""The venue's rate is twice that of the file."""


class LateVenue(Venue):
    """States no fee in its reports; its list has them."""

    def __init__(self, currency: str) -> None:
        super().__init__({n: Hand(fee=RATE, currency=currency) for n in range(10_000)}, "USDT")
        self.listed: list[m.Filled] = []

    def take(self, order: m.Submit, at_ns: int, opened: float) -> Any:
        for each in super().take(order, at_ns, opened):
            if isinstance(each, m.Filled):
                self.listed.append(msgspec.structs.replace(each, listed=True))
                each = msgspec.structs.replace(each, fee=0.0, fee_currency="", fee_quote=None)
            yield each


class LateRun:
    """A run whose venue states fees late: in lists that are read from time to time."""

    def __init__(self, folder: Path, body: str, currency: str) -> None:
        self.bars = walk(120, 5)
        self.run = begun(folder, self.bars, BASE + body + END)
        self.run.venue = self.venue = LateVenue(currency)
        self.currency, self.read, self.units = currency, 0, 0.0

    @property
    def core(self) -> Any:
        return self.run.core

    def live(self, *, every: int, reads: bool) -> None:
        """Live through all bars; the list is read at every n-th, the account before where it is."""
        for n, (bar, after) in enumerate(pairwise(self.bars)):
            self.run.bar(n, bar, after.open, Lives(first=WARMUP))
            for k, price in enumerate((after.open, after.low, after.high, after.close)):
                at_ns = after.open_ns + (10 + 600 * k) * SECOND
                self.run.follow(priced(at_ns, price), price)
            if n % every == 0:
                if reads:
                    self.run.follow(self.holdings(at_ns + SECOND), after.close)
                self.list(at_ns + 2 * SECOND, after.close)
        self.list(at_ns + 9 * SECOND, after.close)
        self.run.journal.commit()
        self.run.journal.close()

    def holdings(self, at_ns: int) -> m.Holdings:
        """Read the account: what the executions have moved, fees in the base included."""
        moved = [
            (each.quantity if each.side == "buy" else -each.quantity)
            - (each.fee if each.fee_currency == "BTC" else 0.0)
            for each in self.venue.listed
        ]
        return m.Holdings(
            at_ns=at_ns, balances={"BTC": (math.fsum(moved), 0.0), "USDT": (1e6, 0.0)},
            asked_ns=at_ns,
        )  # fmt: skip

    def list(self, at_ns: int, price: float) -> None:
        """Answer with all executions, those known already too."""
        for each in self.venue.listed:
            self.run.follow(msgspec.structs.replace(each, at_ns=at_ns), price)


def fold_of(folder: Path) -> Fold:
    with Reader(folder / "run" / JOURNAL) as journal:
        return Fold(journal.head).take(journal.read())


@pytest.mark.parametrize("currency", ["quote", "BTC", "BNB"])
@pytest.mark.parametrize(
    ("body", "reads"), [(PLAIN, False), (STEPS, True), (GRID, True), (PORTFOLIO, False)],
    ids=["plain", "steps_account_read_before", "grid_account_read_before", "portfolio"],
)  # fmt: skip
def test_the_ledger_follows_the_fee_that_the_list_states(
    body: str, currency: str, reads: bool, tmp_path: Path
) -> None:
    late = LateRun(tmp_path, body, currency)
    late.live(every=7, reads=reads)
    engine, listed = late.core.engine, late.venue.listed
    assert len(listed) > 3
    assert late.core.guards.expected_fees.fills == {}
    assert engine.held(0) == pytest.approx(
        late.holdings(0).balances["BTC"][0], abs=1e-8 * len(listed)
    )
    worth = [
        each.fee_quote if each.fee_quote is not None
        else each.fee * (each.price if each.fee_currency == "BTC" else 1.0)
        for each in listed
    ]  # fmt: skip
    signs = [1.0 if each.side == "buy" else -1.0 for each in listed]
    paid = [
        sign * each.quantity * each.price + (0.0 if each.fee_currency == "BTC" else fee)
        for sign, each, fee in zip(signs, listed, worth, strict=True)
    ]
    assert engine.cash == pytest.approx(CAPITAL - math.fsum(paid), abs=1e-3)
    assert unexplained(engine.state, CAPITAL) == 0.0
    fold = fold_of(tmp_path)
    assert [row[4] for row in fold.fills] == [each.trade_id for each in listed], "each once"
    assert [(row[8], row[9]) for row in fold.fills] == [
        (each.fee, each.fee_currency) for each in listed
    ]
    assert [row[10] for row in fold.fills] == pytest.approx(worth, abs=1e-5)
    marks = {0: late.bars[-1].close}
    rows = fold.trades.rows + fold.trades.still_open(marks, 1)
    equity = engine.cash + engine.held(0) * late.bars[-1].close
    assert math.fsum(row[7] for row in rows) == pytest.approx(equity - CAPITAL, abs=1e-6)
    assert fold.trades.units(0) == round(engine.held(0) * 1e8)
    for proof in (replay, shadow):
        result = proof(tmp_path / "run")
        assert (result.differences, result.first) == (0, None), proof.__name__
    booked = [each.traded for each in read_lived(tmp_path / "run").moves if type(each) is Booking]
    assert [(each.fee, each.fee_currency) for each in booked] == [
        (each.fee, each.fee_currency) for each in listed
    ]


def test_the_list_is_asked_for_at_each_read_of_the_account_for_a_while(tmp_path: Path) -> None:
    late = LateRun(tmp_path, PLAIN, "quote")
    for n, (bar, after) in enumerate(pairwise(late.bars)):
        late.run.bar(n, bar, after.open, Lives(first=WARMUP))
        if late.venue.listed:
            break
    filled_ns = late.venue.listed[0].at_ns

    def asked(at_ns: int) -> list[int]:
        found = late.run.handle(late.holdings(at_ns))
        return [each.since_ns for each in found if getattr(each, "what", "") == "fills"]

    (since_ns,) = asked(filled_ns + 60 * SECOND)
    assert filled_ns - 120 * SECOND < since_ns < filled_ns
    assert asked(filled_ns + ASK_NS + SECOND) == []
