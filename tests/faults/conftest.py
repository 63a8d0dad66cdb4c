"""At the end of a run: each fault, how often it was made, and that it held every time."""

from __future__ import annotations

from typing import Any

from tests.faults import judge


def pytest_terminal_summary(terminalreporter: Any) -> None:
    from tests.faults.catalogue import CATALOGUE

    found = judge.tally()
    if not found:
        return
    terminalreporter.section("faults")
    for code, fault in CATALOGUE.items():
        if code in found:
            terminalreporter.write_line(f"{code:<4}{found[code]:>5} times, held  {fault.what}")
