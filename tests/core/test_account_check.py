"""What the account holds beside a run's own proves no fill of the run's orders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._core.account_check import Account
from septet._core.guards import Guards


class Reported:
    """Orders that are given what the account holds more than is booked."""

    def __init__(self) -> None:
        self.gaps: list[float] = []

    def resolve_disputes(self, k: int, base: str, gap: float, *rest: Any) -> bool:
        self.gaps.append(gap)
        return True


def nothing(k: int, quantity: float, price: float) -> None:
    """Book nothing."""


def read(guards: Guards, holds: float) -> float:
    """Return the gap that orders are given, where 10 is booked."""
    reported = Reported()
    names = SimpleNamespace(base=("BTC",), quote=("USDT",), symbols=("BTC/USDT",))
    checks = SimpleNamespace(symbols=[SimpleNamespace(instrument=SimpleNamespace(lot=1e-5))])
    made: Any = Account(names, guards, reported, checks)  # type: ignore[arg-type]
    books: Any = SimpleNamespace(cash=0.0, held=lambda k: 10.0)
    holdings = m.Holdings(at_ns=9, balances={"BTC": (holds, 0.0)}, asked_ns=9)
    made.compare(holdings, books, nothing, nothing)
    return reported.gaps[0]


@pytest.mark.parametrize(("holds", "gap"), [(60.0, 0.0), (50.0, -10.0), (10.0, -50.0)])
def test_what_a_person_has_accepted_is_no_part_of_what_orders_may_explain(
    holds: float, gap: float
) -> None:
    """Fifty coins of the owner's lie beside ten of the run; fifty left: its stop has filled."""
    guards = Guards(["BTC/USDT"], lots=[1e-5])
    assert read(guards, 60.0) == 50.0, "nobody has accepted anything yet"
    guards.compare(
        0, 10.0, 60.0, tolerance=1e-5, band=(0.0, 0.0), lags=[], now_ns=1
    )  # fmt: skip
    guards.handle(m.Operated(at_ns=2, action="resume", name="ann", reason="mine"))
    assert read(guards, holds) == gap
