"""What of an error of plain Python compiled code would answer with a number."""

from __future__ import annotations

from septet._plan.plain import is_arithmetic


def test_a_cause_counts_and_causes_in_a_circle_end() -> None:
    outer = RuntimeError("a step failed")
    outer.__cause__ = ZeroDivisionError("division by zero")
    assert is_arithmetic(outer)
    one, other = NameError("a"), NameError("b")
    one.__cause__, other.__cause__ = other, one
    assert not is_arithmetic(one)
