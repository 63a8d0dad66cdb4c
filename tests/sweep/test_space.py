"""Which settings a sweep has: grids, ranges, draws, conditions."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from septet._config import load
from septet._config.cross_sweep import parse_where, whole_name
from septet._config.load import variant
from septet._config.overlay import parse_setting
from septet._expressions import ExpressionError
from septet._sweep.setting_filter import holds
from septet._sweep.space import space_of
from septet._sweep.value_ranges import draw_of, range_of
from septet.errors import InputError
from septet_schemas.sweep import GOALS, Sweep, SweepDraw, SweepRange, parse_quantity
from tests.sweep.files import BASE, space, swept

GRID = (
    "{over: {features.fast.period: [5, 10, 20], features.slow.period: "
    "{from: 50, to: 150, step: 50}, risk.stops.stop_loss: [2%, 4%]}}"
)


def test_a_grid_counts_like_an_odometer(tmp_path: Path) -> None:
    made = space(tmp_path, GRID)
    assert made.keys == (
        "features.fast.period", "features.slow.period", "risk.stops.stop_loss.distance",
    )  # fmt: skip
    expected = list(itertools.product((5.0, 10.0, 20.0), (50.0, 100.0, 150.0), (0.02, 0.04)))
    assert [tuple(made.values(each).values()) for each in made.settings()] == expected
    assert [each.number for each in made.settings()] == list(range(18))
    assert made.setting(7) == list(made.settings())[7]
    assert made.sets(made.setting(7)) == [
        "features.fast.period=10", "features.slow.period=50", "risk.stops.stop_loss.distance=4%",
    ]  # fmt: skip


def test_where_leaves_numbers_out_and_moves_none(tmp_path: Path) -> None:
    whole = space(tmp_path, GRID)
    part = space(tmp_path, GRID[:-1] + ", where: fast.period * 10 <= slow.period}")
    kept = {each.number: part.values(each) for each in part.settings()}
    assert kept == {
        each.number: whole.values(each)
        for each in whole.settings()
        if whole.values(each)["features.fast.period"] * 10
        <= whole.values(each)["features.slow.period"]
    }
    assert 0 < len(part) < len(whole)


def test_slices_follow_each_other(tmp_path: Path) -> None:
    made = space(tmp_path, GRID)
    assert [*made.settings(0, 5), *made.settings(5, 11), *made.settings(11)] == [*made.settings()]


def test_draws_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    section = (
        "{over: {features.fast.period: {low: 5, high: 30}, risk.stops.stop_loss: "
        "{low: 1%, high: 10%, log: true}, features.slow.period: [50, 100]}, trials: 200}"
    )
    first, again = space(tmp_path, section), space(tmp_path, section)
    other = space_of(swept(tmp_path, section), seed=8)
    rows = [first.sets(each) for each in first.settings()]
    assert rows == [again.sets(each) for each in again.settings()]
    assert rows != [other.sets(each) for each in other.settings()]
    assert len(first) == 200
    assert len({tuple(each) for each in rows}) == 200
    table = np.array([list(first.values(each).values()) for each in first.settings()])
    assert set(table[:, 0]) <= set(range(5, 31))
    assert {5.0, 30.0} < set(table[:, 0])
    assert set(table[:, 2]) == {50.0, 100.0}
    assert 0.01 <= table[:, 1].min() < table[:, 1].max() <= 0.1
    middle = math.sqrt(0.01 * 0.1)
    assert 60 < (table[:, 1] < middle).sum() < 140, "half of a log draw lies below the middle"


def test_a_draw_begins_like_a_longer_one(tmp_path: Path) -> None:
    """More trials later, on the same seed, are the same settings and some more."""
    section = "{over: {features.fast.period: {low: 2, high: 90}, account.capital: [100, 200]}"
    short = space(tmp_path, section + ", trials: 20}")
    long = space(tmp_path, section + ", trials: 60}")
    rows = [long.sets(each) for each in long.settings()]
    assert [short.sets(each) for each in short.settings()] == rows[:20]


def test_a_small_space_is_drawn_whole(tmp_path: Path) -> None:
    made = space(
        tmp_path,
        "{over: {features.fast.period: {low: 5, high: 7}, features.slow.period: [50, 100]}, "
        "where: fast.period != 6, trials: 500}",
    )
    found = sorted(tuple(made.values(each).values()) for each in made.settings())
    assert found == [(5.0, 50.0), (5.0, 100.0), (7.0, 50.0), (7.0, 100.0)]


def test_what_is_written_is_what_is_run(tmp_path: Path) -> None:
    """The number in the table is the one that septet reads from the text beside it."""
    section = (
        "{over: {risk.stops.stop_loss: {low: 1%, high: 10%}, risk.sizing.fraction: "
        "{low: 0.1, high: 0.9}, account.capital: {low: 10.5, high: 99.5}}, trials: 30}"
    )
    loaded = swept(tmp_path, section)
    made = space_of(loaded)
    for setting in made.settings():
        values = made.values(setting)
        for one in (
            variant(loaded, made.changes(setting)),
            variant(loaded, [parse_setting(each) for each in made.sets(setting)]),
        ):
            stop: Any = one.strategy.risk.stops["stop_loss"].config
            size: Any = one.strategy.risk.sizing.config
            assert stop.distance == values["risk.stops.stop_loss.distance"]
            assert size.fraction == values["risk.sizing.fraction"]
            assert one.strategy.account.capital == values["account.capital"]


def test_a_bare_value_keeps_its_other_keys(tmp_path: Path) -> None:
    """`fee: 10bps` is both fees: sweeping one of them leaves the other."""
    loaded = swept(tmp_path, "{over: {execution.simulation.fee.maker: [1bps, 2bps]}}")
    made = space_of(loaded)
    changed = variant(loaded, made.changes(made.setting(0)))
    fee = changed.strategy.execution.simulation.fee
    assert (fee.maker, fee.taker) == (0.0001, 0.001)
    loaded = swept(tmp_path, "{over: {execution.simulation.fee: [1bps, 2bps]}}")
    made = space_of(loaded)
    fee = variant(loaded, made.changes(made.setting(1))).strategy.execution.simulation.fee
    assert (fee.maker, fee.taker) == (0.0002, 0.0002)


def test_a_setting_is_the_same_by_set(tmp_path: Path) -> None:
    """What `--set` changes in a bare value leaves the rest of it as well."""
    loaded = swept(
        tmp_path,
        "{over: {execution.simulation.fee.maker: [1bps], risk.stops.stop_loss: [2%], "
        "execution.simulation.slippage.volatility: [0.5], features.fast.period: [7]}}",
    )
    made = space_of(loaded)
    changed = variant(loaded, made.changes(made.setting(0)))
    by_set = load(loaded.path, sets=made.sets(made.setting(0)))
    assert by_set.resolved == changed.resolved
    simulation = by_set.strategy.execution.simulation
    assert (simulation.fee.maker, simulation.fee.taker) == (0.0001, 0.001)
    assert (simulation.slippage.fraction, simulation.slippage.volatility) == (0.0005, 0.5)


def test_a_fee_that_is_a_block_has_no_number_of_its_own(tmp_path: Path) -> None:
    base = BASE.replace("fee: 10bps", "fee: {maker: 5bps, taker: 10bps}")
    with pytest.raises(InputError, match="this key is a block") as refused:
        swept(tmp_path, "{over: {execution.simulation.fee: [1bps]}}", base=base)
    assert "execution.simulation.fee.maker" in str(refused.value)


def test_a_run_takes_no_notice_of_the_section(tmp_path: Path) -> None:
    loaded = swept(tmp_path, GRID)
    assert "sweep" not in loaded.resolved
    (tmp_path / "plain.yaml").write_text(BASE, encoding="utf-8")
    assert load(tmp_path / "plain.yaml").resolved == loaded.resolved
    with pytest.raises(InputError, match="has nothing to sweep"):
        space_of(load(tmp_path / "plain.yaml"))


def test_the_method_follows_from_what_is_written() -> None:
    def method(**more: object) -> str:
        return Sweep.model_validate({"over": {"a": [1, 2]}, **more}).chosen_method

    assert method() == "grid"
    assert method(trials=10) == "random"
    assert method(method="random") == "random"
    assert method(over={"a": {"low": 1, "high": 2}}) == "random"


def test_every_goal_is_known_by_the_schema() -> None:
    for goal in GOALS:
        assert Sweep.model_validate({"over": {"a": [1]}, "goal": goal}).goal == goal


@given(
    first=st.decimals(-1000, 1000, places=3),
    step=st.decimals("0.001", 10, places=3),
    count=st.integers(0, 200),
    unit=st.sampled_from(["", "%", "bps"]),
)
def test_a_range_has_no_rounding(first: Decimal, step: Decimal, count: int, unit: str) -> None:
    written = SweepRange.model_validate(
        {"from": f"{first}{unit}", "to": f"{first + step * count}{unit}", "step": f"{step}{unit}"}
    )
    found = [each.number for each in range_of(written)]
    assert found == [first + step * place for place in range(count + 1)]


def test_a_range_may_mix_units_of_a_kind() -> None:
    written = SweepRange.model_validate({"from": "50bps", "to": "2%", "step": "0.5%"})
    assert [str(each) for each in range_of(written)] == ["50bps", "100bps", "150bps", "200bps"]
    written = SweepRange.model_validate({"from": "12h", "to": "2d", "step": "12h"})
    assert [str(each) for each in range_of(written)] == ["12h", "24h", "36h", "48h"]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        ({"low": 5, "high": 7}, {"5", "6", "7"}),
        ({"low": "5 bars", "high": "6 bars"}, {"5 bars", "6 bars"}),
        ({"low": "1h", "high": "3h"}, {"1h", "2h", "3h"}),
        ({"low": "1%", "high": "2%", "step": "0.5%"}, {"1%", "1.5%", "2%"}),
        ({"low": 1, "high": 8, "log": True}, set("12345678")),
    ],
)
def test_what_is_counted_is_drawn_whole(draw: dict[str, object], expected: set[str]) -> None:
    chance = np.random.default_rng(1)
    drawn = list(draw_of(SweepDraw.model_validate(draw), chance, 400))
    assert {str(each) for each in drawn} == expected


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [
        ("10%", 0.1, "10%"), ("5bps", 0.0005, "5bps"), ("20 bars", 20.0, "20 bars"),
        ("12h", 12 * 3_600e9, "12h"), (20, 20.0, "20"), (0.25, 0.25, "0.25"),
        ("50 trades", 50.0, "50 trades"), (1e-3, 0.001, "0.001"), (1_000_000, 1e6, "1000000"),
    ],
)  # fmt: skip
def test_quantities(text: object, number: float, shown: str) -> None:
    found = parse_quantity(text)
    assert found.value == number
    assert str(found) == shown
    assert parse_quantity(str(found)) == found


@pytest.mark.parametrize("text", [True, "ten", "", "10 %%", None, "0h", [1], "5 apples"])
def test_what_is_no_quantity(text: object) -> None:
    with pytest.raises(PydanticCustomError):
        parse_quantity(text)


def test_names_of_where_may_be_short() -> None:
    keys = ["features.fast.period", "features.slow.period", "risk.stops.stop_loss.distance"]
    assert whole_name("fast.period", keys) == keys[0]
    assert whole_name("distance", keys) == keys[2]
    assert whole_name(keys[1], keys) == keys[1]
    for wrong in ("period", "ast.period", "loss"):
        with pytest.raises(ExpressionError):
            whole_name(wrong, keys)


def test_where_reads_every_word_of_the_language() -> None:
    columns = {"a.x": np.array([1.0, 2.0, 3.0, 0.0]), "b.y": np.array([3.0, 2.0, 1.0, 0.0])}
    cases = {
        "a.x < b.y": [True, False, False, False],
        "a.x >= y": [False, True, True, True],
        "x == y or x / y > 2": [False, True, True, True],
        "not x / y > 1": [True, True, False, False],  # 0/0 is unknown, and so is its opposite
        "x / y > 1 or x == 0": [False, False, True, True],
        "between(x, 1, 2) and y != 2": [True, False, False, False],
        "max(x, y) - min(x, y) == 2": [True, False, True, False],
        "abs(-x) ** 2 == 4": [False, True, False, False],
        "sqrt(x) * sqrt(x) > 2.5": [False, False, True, False],
        "1 < x <= 3": [False, True, True, False],
        "sign(x) + exp(0) + log(1) == 2": [True, True, True, False],
    }
    for text, expected in cases.items():
        assert holds(parse_where(text, list(columns)), columns, 4).tolist() == expected, text
