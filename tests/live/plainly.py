"""Live cores and backtests on plans that are not compiled: short runs of shapes of their own."""

from __future__ import annotations

from typing import Any

import pytest

from septet._live import build
from septet._shell import session
from tests.core.plain import run_plainly

__all__ = ["compile_nothing"]


def compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every plan of this process run as plain Python; the text is the same."""
    plan_of = session.plan_of

    def plain(*args: Any, **options: Any) -> Any:
        plan = plan_of(*args, **options)
        run_plainly(plan)
        return plan

    monkeypatch.setattr(build, "plan_of", plain)
    monkeypatch.setattr(session, "plan_of", plain)
