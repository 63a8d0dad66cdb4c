"""What a plan's text uses is read from its syntax tree."""

from __future__ import annotations

import ast
from textwrap import dedent

from septet._plan.plan_text import prune
from septet._plan.rule_choices import RULES

ARRAYS = {"A": "float64_1d", "B": "float64_2d", "C": "int64_1d"}
TEXT = dedent(
    '''\
    # features


    @kernel
    def unreached(k, ARRAYS):
        return B[k, 0]


    @kernel
    def none(k, ARRAYS):
        """It speaks of A, and reads nothing."""
        return k  # B


    @routine
    def inner(k, ARRAYS):
        return A[0] + none(k, ARRAYS)


    @kernel
    def outer(
        k, ARRAYS
    ):
        return inner(
            k + len("A, B"), ARRAYS
        ) + C[0]


    @entry("int64(int64, int64[:, ::1])")
    def trade(t, V):
        UNPACK
        return outer(t, ARRAYS)
    '''
)


def made() -> str:
    return prune(TEXT, ARRAYS)


def signatures() -> dict[str, str]:
    tree = ast.parse(made())
    return {each.name: ast.unparse(each.args) for each in tree.body if hasattr(each, "args")}  # type: ignore[attr-defined]


def test_a_function_is_given_the_arrays_that_it_and_what_it_calls_read():
    assert signatures() == {"none": "k", "inner": "k, A", "outer": "k, A, C", "trade": "t, V"}


def test_calls_hand_over_what_the_function_asks_for():
    text = made()
    assert "none(k)\n" in text
    assert 'k + len("A, B"), A\n' in text
    assert "return outer(t, A, C)" in text


def test_what_no_entry_reaches_is_left_out_with_its_blank_lines():
    text = made()
    assert "unreached" not in text
    assert text.startswith("# features\n\n\n@kernel\ndef none(k):")
    assert "\n\n\n\n" not in text


def test_an_entry_takes_its_arrays_out_of_the_table_by_their_place():
    assert "    A = float64_1d(V, 0)\n    C = int64_1d(V, 2)\n    return outer" in made()


def test_words_of_docstrings_and_comments_ask_for_nothing():
    assert '"""It speaks of A, and reads nothing."""' in made()
    assert "return k  # B" in made()


def test_no_two_rules_have_one_name() -> None:
    """The text of a plan holds them side by side: the later would take the place of the earlier."""
    places: dict[str, list[str]] = {}
    for module in RULES:
        for name, value in vars(module).items():
            if callable(value) and getattr(value, "__module__", None) == module.__name__:
                places.setdefault(name, []).append(module.__name__)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
