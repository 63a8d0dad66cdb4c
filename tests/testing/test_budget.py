"""All checks of a package share one budget, whose clock the test sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from septet.testing import budget
from septet.testing.budget import Budget, Spent
from septet.testing.watchdog import NotEnded


class Clock:
    """A clock that goes on by what a check takes, and a watchdog that goes by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr("septet.testing.budget.time.monotonic", lambda: self.now_s)
        monkeypatch.setattr(budget, "run_within", self.run_within)

    def run_within(self, seconds: float, check: Callable[[], Any], place: str) -> Any:
        takes_s: float = check()
        self.now_s += min(takes_s, seconds)
        if takes_s > seconds:
            raise NotEnded(f"{place}: did not end within {seconds:g} s")
        return takes_s


def endless() -> float:
    return 1e9


def test_endless_plugins_take_one_budget_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of them took 366 s: 60 each."""
    clock, shared = Clock(monkeypatch), Budget(6)
    with pytest.raises(NotEnded, match="did not end within 60 s"):
        shared.run(endless, "steps.py:3")
    assert not shared.is_spent
    with pytest.raises(Spent, match=r"have 90 s together; .* and this one did not end"):
        shared.run(endless)
    for _ in range(4):
        with pytest.raises(Spent, match="and this one was not begun"):
            shared.run(endless)
    assert shared.is_spent
    assert clock.now_s == 90.0


def test_what_passes_between_checks_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shared = Clock(monkeypatch), Budget()
    for _ in range(9):
        assert shared.run(lambda: 9.0) == 9.0
        clock.now_s += 1_000.0
    assert shared.used_s == 81.0
    assert not shared.is_spent


def test_a_large_package_has_time_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    assert Budget(18).total_s == 90.0
    assert Budget(100).total_s == 500.0


def test_what_a_check_raises_passes() -> None:
    def wrong() -> None:
        raise ValueError("of the check")

    with pytest.raises(ValueError, match="of the check"):
        Budget().run(wrong)
