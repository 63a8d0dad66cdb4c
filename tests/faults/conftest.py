"""A small tail; and at the end of a run each fault, how often it was made, and that it held."""

from __future__ import annotations

from typing import Any

import pytest

from septet._journal import disk_reserve, write_ahead_tail
from tests.faults import fault_checks


@pytest.fixture(autouse=True)
def small_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tail of a journal begin anew within a test; a copy of it costs less, too.

    The reserve beside it, which is written at each start, is as small.
    """
    monkeypatch.setattr(write_ahead_tail, "TAIL_BYTES", 1 << 17)
    for name in ("RESERVE_BYTES", "_PART_BYTES"):
        monkeypatch.setattr(disk_reserve, name, 1 << 17)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    from tests.faults.catalogue import CATALOGUE

    found = fault_checks.tally()
    if not found:
        return
    terminalreporter.section("faults")
    for code, fault in CATALOGUE.items():
        if code in found:
            terminalreporter.write_line(f"{code:<4}{found[code]:>5} times, held  {fault.what}")
