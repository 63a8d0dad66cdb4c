"""Live cores and backtests on plans that are not compiled: short runs of shapes of their own."""

from __future__ import annotations

import pytest

from septet._plan.plain import COMPILE

__all__ = ["compile_nothing"]


def compile_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every plan of this process run as plain Python; the text is the same."""
    monkeypatch.setenv(COMPILE, "never")
