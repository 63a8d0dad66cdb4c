"""The expression language: what it means, and that nothing else can be written in it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._expressions import (
    MAX_LENGTH,
    And,
    Binary,
    Call,
    Compare,
    Expr,
    ExpressionError,
    Name,
    Negate,
    Not,
    Number,
    Or,
    is_condition,
    look_back,
    names_in,
    parse_expression,
    walk,
)


def shape(expression: Expr) -> str:
    """Write an expression with every bracket."""
    match expression:
        case Number(value=value):
            return f"{value:g}"
        case Name():
            return str(expression)
        case Negate(operand=operand):
            return f"(-{shape(operand)})"
        case Not(operand=operand):
            return f"(not {shape(operand)})"
        case Binary(operator=sign, left=left, right=right):
            return f"({shape(left)} {sign} {shape(right)})"
        case Compare(operator=sign, left=left, right=right):
            return f"({shape(left)} {sign} {shape(right)})"
        case And(parts=parts):
            return f"({' and '.join(map(shape, parts))})"
        case Or(parts=parts):
            return f"({' or '.join(map(shape, parts))})"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(shape, arguments))})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast > slow", "(fast > slow)"),
        ("a + b * c ** 2", "(a + (b * (c ** 2)))"),
        ("-x ** 2 < 0", "((-(x ** 2)) < 0)"),
        ("+a", "a"),
        ("1 < x <= 3", "((1 < x) and (x <= 3))"),
        ("a > 1 and b > 2 or not c > 3", "(((a > 1) and (b > 2)) or (not (c > 3)))"),
        ("close@ETH/USDT / close", "(close@ETH/USDT / close)"),
        ("close@'BTC-USD' > 1", "(close@BTC-USD > 1)"),
        ("close@BTC/USDT:USDT != open", "(close@BTC/USDT:USDT != open)"),
        (" \n a\n  > b ", "(a > b)"),
        ("max(a, b, 3)", "max(a, b, 3)"),
        ("between(x, -1, 1)", "between(x, (-1), 1)"),
    ],
)
def test_shape(text: str, expected: str) -> None:
    assert shape(parse_expression(text)) == expected


@pytest.mark.parametrize(
    ("text", "offset", "word"),
    [
        ("", 0, "empty"),
        ("a + (b > c)", 5, "condition stands where a number"),
        ("not a", 4, "a is a number where a condition is needed"),
        ("a > 1 and b", 10, "b is a number where a condition is needed"),
        ("a > 1 and b + 1", 10, "a number stands where a condition is needed"),
        ("(a > 1", 0, "without its partner"),
        ("a = 1", 2, "write =="),
        ("a > 2%", 5, "percent"),
        ("a & b", 2, "not in the language"),
        (
            "hour >= 9:45",
            8,
            "write 9 * 60 + 45, and compare a feature {use: minute_of_day} with it; or limit "
            "entries by universe.trading_hours: {open: 'mon-fri 09:45-16:00 UTC'}",
        ),
        ("a // b", 2, "// is not"),
        ("close crosses open", 0, "write crosses_above(close, open) or crosses_below(close, open)"),
        ("close > 2 ATR", 8, "write 2 * ATR, where ATR is a feature"),
        ("1.5xatr", 0, "write 1.5 * atr, where atr is a feature"),
        ("a[1] > 2", 0, "x[n]"),
        ("a.b > 2", 0, "dot"),
        ("hi.upper > 2", 0, "write hi_upper for the output upper of a feature hi"),
        ("sma(a, 5) > 1", 0, "a value over several bars is a feature"),
        ("f(a) > 1", 0, "unknown function"),
        ("abs > 1", 0, "is a function"),
        ("abs(a, b) > 1", 0, "2 arguments"),
        ("abs(x=1) > 1", 0, "no names"),
        ("prev(a, 0) > 1", 8, "whole number"),
        ("prev(a, 1.5) > 1", 8, "whole number"),
        ("prev(a, b) > 1", 8, "whole number"),
        ("True", 0, "not in the language"),
        ("'a' > 1", 0, "not in the language"),
        ("1j > 1", 0, "not in the language"),
        ("a in b", 0, "'in'"),
        ("a if b else c", 0, "if"),
        ("(lambda: 1)", 1, "lambda"),
        ("(a := 1) > 0", 1, ":="),
        ("[a for a in b]", 0, "not in the language"),
        ("1e999 > a", 0, "too large"),
        ("a > é", 4, "character"),
        ("x.__class__", 0, "dot"),
        ("().__class__.__bases__", 0, "dot"),
        ("(1).real()", 0, "functions of the language"),
        ("f'{a}'", 0, "not in the language"),
        ("(" * 300 + "a" + ")" * 300, 0, ""),
        ("a" * (MAX_LENGTH + 1), 0, "longer"),
        ("+".join("a" * 500), 0, "too large"),
    ],
)
def test_refused_with_its_place(text: str, offset: int, word: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert word in f"{caught.value.message} {caught.value.hint}"
    if word not in ("longer", "too large", ""):
        assert caught.value.offset == offset


def test_expectation() -> None:
    assert is_condition(parse_expression("a > b", "condition"))
    assert not is_condition(parse_expression("a - b", "number"))
    with pytest.raises(ExpressionError, match="condition is needed"):
        parse_expression("a - b", "condition")
    with pytest.raises(ExpressionError, match="number is needed"):
        parse_expression("a > b", "number")


@pytest.mark.parametrize(
    ("text", "bars"),
    [("a > b", 0), ("prev(a, 3) > b", 3), ("crosses_above(a, b)", 1), ("prev(prev(a, 2), 3)", 5),
     ("crosses_below(prev(a, 4), b) and prev(b, 2) > 1", 5), ("abs(prev(a, 7)) + prev(b, 9)", 9)],
)  # fmt: skip
def test_look_back(text: str, bars: int) -> None:
    assert look_back(parse_expression(text)) == bars


def test_names_in_order_each_once() -> None:
    found = names_in(parse_expression("b > a and close@ETH/USDT > b and close > 1"))
    assert [str(name) for name in found] == ["b", "a", "close@ETH/USDT", "close"]


def test_offsets_point_into_the_text() -> None:
    text = "  fast + close@ETH/USDT * 2 > slow"
    for part in walk(parse_expression(text)):
        if isinstance(part, Name):
            assert text[part.offset :].startswith(str(part))


numbers = st.floats(0, 1e6, allow_nan=False).map(lambda value: Number(float(f"{value:.6g}")))
names = st.sampled_from([Name("a"), Name("b"), Name("close", "ETH/USDT")])


def _grow(below: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    signs = st.sampled_from(["+", "-", "*", "/", "**"])
    return st.one_of(
        st.builds(Binary, signs, below, below),
        st.builds(Negate, below),
        st.builds(lambda x: Call("abs", (x,)), below),
        st.builds(lambda x, y: Call("max", (x, y)), below, below),
    )


numeric = st.recursive(st.one_of(numbers, names), _grow, max_leaves=12)


@given(numeric, numeric)
def test_what_is_written_is_what_is_read(left: Expr, right: Expr) -> None:
    text = f"{shape(left)} < {shape(right)}"
    assert shape(parse_expression(text, "condition")) == f"({text})"


@given(st.floats(0, 1e300, allow_nan=False))
def test_numbers_are_exact(value: float) -> None:
    expression = parse_expression(repr(value))
    assert isinstance(expression, Number)
    assert math.isclose(expression.value, value, rel_tol=0.0)
