"""Rules are written for one strategy: what it does not use is folded away."""

from __future__ import annotations

from textwrap import dedent
from types import ModuleType

import pytest

from septet._kernel import forecast_sums, match, maths, time_frames, touch
from septet._kernel import ledger as ledger_arithmetic
from septet._plan.rule_choices import RULES, names_of_rules
from septet._plan.specialise import Choices, RuleError, refuse_unbound, rule_places, specialise

CHOICES = Choices(
    values={"SPOT": True, "RESTS": False, "SYMBOLS": 3, "REENTRY": "after"},
    texts={"TAKER_FEE": "P[4]"},
    calls={"slippage_at_fill": "slip(P[1], F[k, R[2], i])"},
    lists={"TARGETS": ({"level": "first(P[7], side)", "code": "30"}, {"level": "x", "code": "31"}),
           "PROTECTIVE": ()},
)  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Write a rule of some lines for the choices above; return its lines."""

    def write(text: str, choices: Choices = CHOICES) -> list[str]:
        path = tmp_path / "mine.py"
        path.write_text(dedent(text), encoding="utf-8")
        module = ModuleType("mine")
        module.__file__ = str(path)
        made = "\n".join(specialise(module, choices).values())
        refuse_unbound([module], set(made.replace("(", " ").replace(")", " ").split()))
        return made.splitlines()

    return write


@pytest.mark.parametrize(
    ("rule", "folded"),
    [
        ("if SPOT: a = 1\n    else: a = 2", ["a = 1"]),
        ("if not SPOT: a = 1", ["pass"]),
        ("if RESTS: a = 1\n    elif k > 0: a = 2", ["if k > 0:", "    a = 2"]),
        ("a = 1 if RESTS else 2", ["a = 2"]),
        ("if SPOT and k > 0: a = 1", ["if k > 0:", "    a = 1"]),
        ("if RESTS and k > 0: a = 1", ["pass"]),
        ("if RESTS or k > 0: a = 1", ["if k > 0:", "    a = 1"]),
        ("if REENTRY != 'immediate': a = SYMBOLS", ["a = 3"]),
        ("if TARGETS: a = 1\n    if PROTECTIVE: a = 2", ["a = 1"]),
        ("while SPOT and k > 0:\n        if RESTS: a = 1", ["while k > 0:", "    pass"]),
        ("a = price * (1.0 + TAKER_FEE)", ["a = price * (1.0 + P[4])"]),
        ("a = slippage_at_fill(k, i, run)", ["a = slip(P[1], F[k, R[2], i])"]),
        ("a = run.cash - run.close[k, i]", ["a = A[CASH] - X[k, CLOSE, i]"]),
        ("run.units[k], a = 1.0, run.known_ns[t]", ["B[k, UNITS], a = (1.0, T[KNOWN, t])"]),
        ("a, b = run.close[k], run.known_ns", ["a, b = (X[k, CLOSE], T[KNOWN])"]),
        ("i = run.bar[k, t]", ["i = T[ROW + k, t]"]),
        ("i = 0 if SYMBOLS == 1 else run.bar[k]", ["i = T[ROW + k]"]),
        ("a = run.halt_is_active[h]", ["a = C[C_SLOTS + 4 * h]"]),
        ("run.halted_ns[2] = 0", ["C[C_SLOTS + 4 * 2 + 1] = 0"]),
        ("run.granted[k, i] = 0.0", ["F[k, H[DECISION_ROW] + F_GRANTED, i] = 0.0"]),
        ("if SPOT: return 1\n    return 2", ["return 1"]),
        ("if k > 0: return 1\n    return 2", ["if k > 0:", "    return 1", "return 2"]),
        ("run.LF[row, 6] = run.equity", ["LF[row, 6] = A[EQUITY]"]),
        ("return other(k, run)", ["return other(k, ARRAYS)"]),
        ("refused = R_CASH", ["refused = R_CASH"]),
    ],
)  # fmt: skip
def test_a_rule_is_folded(rule, folded, written):
    lines = written(f"def mine(k: int, run: Run) -> float:\n    {rule}\n")
    assert lines == ["def mine(k, ARRAYS):", *(f"    {each}" for each in folded)]


def test_a_loop_over_a_list_is_written_for_each_element(written):
    rule = """
    def mine(k, side, run: Run):
        '''Docstrings stay.'''
        for each in TARGETS:
            price = each.level(k, side, run)
            reason = each.code
    """
    assert written(rule)[1:] == [
        '    """Docstrings stay."""',
        "    price = first(P[7], side)", "    reason = 30",
        "    price = x", "    reason = 31",
    ]  # fmt: skip


def test_a_record_is_written_as_its_fields(written):
    rule = """
    def mine(k, at: RungColumns, run: Run):
        a = at.price + run.B[k, at.units]
        other(k, at, run)
        for each in TARGETS:
            other(k, at._replace(order=each.code), run)
        return log_order(k, Order(kind=1, units=a, reason=R_ADD, decision_price=SYMBOLS), run)
    """
    fields = "at_units, at_price, at_order, at_filled"
    assert written(rule) == [
        f"def mine(k, {fields}, ARRAYS):",
        "    a = at_price + B[k, at_units]",
        f"    other(k, {fields}, ARRAYS)",
        "    other(k, at_units, at_price, 30, at_filled, ARRAYS)",
        "    other(k, at_units, at_price, 31, at_filled, ARRAYS)",
        "    return log_order(k, 1, a, R_ADD, 3, nan, nan, ARRAYS)",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a = fill.size", "the record fill has no size"),
        ("a = fill", "fill is a record, which is only read by field or passed on"),
        ("a = Order(kind=1)", "Order is a record, which is only made to be passed on"),
        ("f(Order(1, 2.0), run)", "the fields of a record are given by name, in their order"),
        ("f(fill._replace(price=1, units=2), run)", "the fields of a record are given by name, in "
         "their order"),
        ("f(fill._replace(size=2), run)", "the fields of a record are given by name, in their "
         "order"),
        ("f(Order(kind=1, units=2.0, reason=3), run)", "the record lacks decision_price"),
        ("fill_units = 2.0", "fill_units is also a field of the record fill"),
    ],
)  # fmt: skip
def test_a_record_is_read_by_field_or_passed_on(line, expected, written):
    with pytest.raises(RuleError) as caught:
        written(f"\ndef mine(k, fill: Fill, run):\n    {line}\n")
    place, _, fault = str(caught.value).partition(": ")
    assert (place.startswith("_rules/mine.py:"), fault) == (True, expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a = run.balance", "_rules/mine.py:3: run.balance is no number of the run"),
        ("a = run.units", "_rules/mine.py:3: run.units is no number of the run"),
        ("a = run.units[k, i]", "_rules/mine.py:3: run.units has 2 indices"),
        ("for each in SYMBOLS: pass", "_rules/mine.py:3: SYMBOLS is not a list of the settings"),
        ("for x in TARGETS: a = x.size", "_rules/mine.py:3: an element of the list has no size"),
        ("a = f(run, k)", "_rules/mine.py:3: run may only be the last argument of a rule"),
        ("a = LEVERAGE", "_rules/mine.py:3: the strategy has nothing for LEVERAGE"),
    ],
)  # fmt: skip
def test_what_cannot_be_folded_is_named_with_its_line(line, expected, written):
    with pytest.raises(RuleError) as caught:
        written(f"\ndef mine(k, run):\n    {line}\n")
    assert str(caught.value) == expected


def test_the_names_of_rules_are_those_of_the_texts() -> None:
    """They are read from the modules: parsing every file of rules is much of a warm start."""
    assert set(rule_places(RULES)) <= names_of_rules()
    helpers = (forecast_sums, time_frames, ledger_arithmetic, match, maths, touch)
    assert names_of_rules() - set(rule_places(RULES)) <= {n for e in helpers for n in e.__all__}
