"""Steps 1 and 2 of a rebalance by hand."""

from __future__ import annotations

import math

from tests.fidelity.positions.selection import Choice, Row, choose, ranked
from tests.fidelity.positions.settings import Portfolio, Sides

NAN = math.nan


def rows(**scores: float | Row) -> dict[str, Row]:
    return {n: each if isinstance(each, Row) else Row(by=each) for n, each in scores.items()}


def top(long: int = 2, short: int = 0, hold_rank: int = 0) -> Portfolio:
    return Portfolio(by="x", long=long, short=short, hold_rank=hold_rank)


def test_high_is_good_and_ties_stand_in_universe_order() -> None:
    assert ranked(rows(a=1, b=3, c=3, d=2), {}, 1) == ["b", "c", "d", "a"]


def test_shorts_come_from_the_other_end() -> None:
    choice = choose(top(1, 2), rows(a=1, b=3, c=2, d=0), {})
    assert (choice.long, choice.short) == (["b"], ["d", "a"])


def test_ranked_needs_a_bar_finite_inputs_and_a_true_condition() -> None:
    found = rows(
        a=Row(by=5, has_bar=False), b=Row(by=4, where_long=False), c=Row(by=3, where_long=None),
        d=Row(by=NAN), e=Row(by=2, volatility=NAN), f=Row(by=2, volatility=0.0),
        g=Row(by=1, member=False), h=Row(by=0),
    )  # fmt: skip
    assert ranked(found, {}, 1) == ["h"]


def test_a_held_name_is_ranked_unless_its_condition_is_false() -> None:
    unknown, false = Row(by=3, where_long=None), Row(by=4, where_long=False)
    assert ranked(rows(a=unknown, b=false, c=1), {"a": 0.5, "b": 0.5}, 1) == ["a", "c"]


def test_held_means_a_weight_in_the_previous_target() -> None:
    """The account is not asked: a name that a stop has closed is held as well."""
    choice = choose(top(1, hold_rank=2), rows(a=1, b=2), {"a": 0.4})
    assert choice.long == ["a"]
    assert choice.reasons == {"a": "held", "b": "below_rank"}


def test_held_names_stay_while_their_rank_is_good_enough() -> None:
    previous = {"d": 0.5, "e": 0.5}
    found = rows(a=5, b=4, c=3, d=2, e=1)
    assert choose(top(2, hold_rank=4), found, previous).long == ["a", "d"]
    assert choose(top(2, hold_rank=5), found, previous).long == ["d", "e"]
    assert choose(top(2, hold_rank=3), found, previous).long == ["a", "b"]


def test_of_many_held_names_the_best_stay() -> None:
    previous = {"a": 0.3, "c": 0.3, "d": 0.3}
    assert choose(top(2, hold_rank=4), rows(a=1, b=4, c=3, d=2), previous).long == ["c", "d"]


def test_a_held_name_without_bar_or_rank_keeps_weight_and_slot() -> None:
    found = rows(a=Row(has_bar=False), b=NAN, c=3, d=2, e=1)
    choice = choose(top(3), found, {"a": 0.3, "b": 0.2})
    assert choice.kept == {"a": 0.3, "b": 0.2}
    assert choice.long == ["c"]
    assert (choice.reasons["a"], choice.reasons["b"]) == ("kept_no_bar", "kept_no_rank")


def test_a_false_condition_ends_what_a_missing_rank_would_keep() -> None:
    choice = choose(top(2), rows(a=Row(by=NAN, where_long=False), b=1), {"a": 0.5})
    assert (choice.kept, choice.long) == ({}, ["b"])


def test_a_held_name_that_left_the_universe_is_neither_kept_nor_chosen() -> None:
    choice = choose(top(2, hold_rank=9), rows(a=Row(by=9, member=False), b=1), {"a": 0.5})
    assert (choice.kept, choice.long, choice.reasons["a"]) == ({}, ["b"], "not_member")


def test_with_fewer_ranked_than_both_sides_need_both_shrink_rounded_down() -> None:
    # 4 ranked of 3 + 3: 3 * 4 // 6 = 2 on each side; 3 of 4 + 2: 4 * 3 // 6 = 2 and 2 * 3 // 6 = 1.
    choice = choose(top(3, 3), rows(a=4, b=3, c=2, d=1), {})
    assert (choice.long, choice.short) == (["a", "b"], ["d", "c"])
    choice = choose(top(4, 2), rows(a=3, b=2, c=1), {})
    assert (choice.long, choice.short) == (["a", "b"], ["c"])
    # 3 of 2 + 2: 2 * 3 // 4 = 1 on each side, and one ranked name is in neither.
    choice = choose(top(2, 2), rows(a=3, b=2, c=1), {})
    assert (choice.long, choice.short) == (["a"], ["c"])


def test_each_side_may_have_its_condition() -> None:
    portfolio = Portfolio(by="x", long=1, short=1, where=Sides("up > 0", "up < 0"))
    assert (portfolio.where_of(1), portfolio.where_of(-1)) == ("up > 0", "up < 0")
    found = rows(
        a=Row(by=3, where_long=False, where_short=True), b=Row(by=2, where_short=False),
        c=Row(by=1, where_long=True, where_short=False),
    )  # fmt: skip
    choice = choose(portfolio, found, {})
    assert (choice.long, choice.short) == (["b"], ["a"])


def test_a_held_short_stays_within_its_rank_from_the_other_end() -> None:
    choice = choose(top(1, 1, hold_rank=2), rows(a=4, b=3, c=2, d=1), {"c": -0.5})
    assert (choice.long, choice.short) == (["a"], ["c"])
    assert choice.reasons == {"a": "chosen", "b": "below_rank", "c": "held", "d": "below_rank"}


def test_held_names_of_both_sides_come_before_others_of_either() -> None:
    found = rows(a=3, b=2, c=1)
    choice = choose(top(2, 1, hold_rank=2), found, {"b": -0.5})
    assert (choice.long, choice.short) == (["a", "c"], ["b"])
    choice = choose(top(2, 1), found, {"b": -0.5})  # being held gives no advantage
    assert (choice.long, choice.short) == (["a", "b"], ["c"])


def test_held_means_held_on_that_side() -> None:
    choice = choose(top(1, 1, hold_rank=3), rows(a=3, b=2, c=1), {"c": 0.5, "a": -0.5})
    assert (choice.long, choice.short) == (["c"], ["a"])


def test_others_of_the_long_side_come_first() -> None:
    up = {"a": Row(by=2, where_short=True), "b": Row(by=1, where_long=False, where_short=False)}
    choice = choose(top(1, 1), {**up, "c": Row(by=0, where_long=False, where_short=False)}, {})
    assert (choice.long, choice.short) == ([], [])  # one is ranked of two: 1 * 1 // 2 on each side
    choice = choose(top(1, 1), {**up, "c": Row(by=0, where_short=False)}, {})
    assert (choice.long, choice.short) == (["a"], [])


def test_of_equal_names_the_later_one_is_shorted_first() -> None:
    assert choose(top(0, 1), rows(a=1, b=1, c=2), {}).short == ["b"]
    assert choose(top(0, 1, hold_rank=2), rows(a=1, b=1, c=2), {"a": -0.5}).short == ["a"]


def test_an_unknown_condition_ranks_what_is_held_on_its_side() -> None:
    unknown = Row(by=3, where_long=None, where_short=None)
    for held, long, short in ((0.5, ["a"], ["b"]), (-0.5, ["b"], ["a"]), (0.0, [], [])):
        found = {"a": unknown, "b": Row(by=2)}
        choice = choose(top(1, 1), found, {"a": held})
        assert (choice.long, choice.short) == (long, short)


def test_an_empty_universe_chooses_nobody() -> None:
    assert choose(top(2, 1), rows(a=NAN), {}) == Choice(reasons={"a": "not_ranked"})
