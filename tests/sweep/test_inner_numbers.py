"""Numbers inside expressions are swept, and set, by their place in the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._config.inner_numbers import inner_numbers, with_number
from septet._config.tree import Mark, Node
from septet._shell.session import plan_of
from septet.errors import ConfigError
from tests.sweep.files import BASE
from tests.sweep.test_swept_parameters import asked, assert_exact

RULES = BASE.replace(
    "long_if: fast > slow", "long_if: fast > 1.01 * slow and 0.5 * atr_14 < 3 * close"
).replace("  fast:", "  atr_14: {use: atr, period: 14}\n  fast:").replace(
    "stop_loss: 4%", "stop_loss: 2 * atr_14, take_profit: 3R"
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("fast > 1.01 * slow", ["1.01"]), ("atr_14 * 2 - .5e-3*rsi_2", ["2", ".5e-3"]),
        ("1R", ["1"]), ("-1.5R", ["1.5"]), ("close@ETH/USDT > 2", ["2"]), ("x1 > y2", []),
        ("close@'1INCH/USDT' > prev(close, 3)", ["3"]), ("fast > slow", []), ("10R2", []),
    ],
)  # fmt: skip
def test_names_and_symbols_hold_no_numbers(text: str, numbers: list[str]) -> None:
    assert inner_numbers(Node("scalar", Mark("x"), text, text=text)) == numbers


def test_a_number_is_replaced_by_one_of_its_own_kind() -> None:
    text = Node("scalar", Mark("x"), "a > 1.01 * b and c < 2R", text="")
    changes = (("1", "1.02"), ("2", "3"), ("1", "2%"), ("0", "5"), ("3", "5"), ("x", "5"))
    found = [with_number(text, n, Node("scalar", Mark("x"), v, text=v)) for n, v in changes]
    assert [None if each is None else each.value for each in found] == [
        "a > 1.02 * b and c < 2R", "a > 1.01 * b and c < 3R", "a > 0.02 * b and c < 2R",
        None, None, None,
    ]  # fmt: skip


def test_what_is_set_is_what_is_written(tmp_path: Path) -> None:
    path, other = tmp_path / "x.yaml", tmp_path / "y.yaml"
    path.write_text(RULES)
    changed = RULES.replace("1.01 *", "1.02 *").replace("2 * atr_14", "2.5 * atr_14")
    other.write_text(changed.replace("3R", "4R"))
    sets = ["signal.long_if.1=1.02", "risk.stops.stop_loss.1=2.5", "risk.stops.take_profit.1=4"]
    assert load(path, sets=sets).resolved == load(other).resolved
    with pytest.raises(ConfigError, match=r"long_if"):
        load(path, sets=["signal.long_if.4=1"])


@pytest.mark.compiled
def test_numbers_inside_expressions_are_numbers_of_the_plan(tmp_path: Path) -> None:
    loaded, space, numbers = asked(
        tmp_path,
        "{over: {signal.long_if.1: [1, 1.01, 1.02], signal.long_if.3: [1, 3], "
        "risk.stops.stop_loss.1: [1, 2.5], risk.stops.take_profit.1: [2, 3], "
        "features.fast.period: [10, 20]}, where: stop_loss.1 < take_profit.1}",
        base=RULES,
    )
    assert_exact(loaded, space, numbers)
    assert space.keys[0] == "signal.long_if.1"
    written = RULES.replace("1.01 *", "1.02 *").replace("3 * close", "1 * close")
    path = tmp_path / "z.yaml"
    path.write_text(written.replace("2 * atr_14", "1 * atr_14"))
    last = [each for each in space.settings() if space.values(each)["signal.long_if.1"] == 1.02]
    own = plan_of(load(path)).parameters.tobytes()
    assert own in {numbers.vector(each).tobytes() for each in last}


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("signal.long_if: [1, 2]",
         "by its place: signal.long_if.1 is 1.01, signal.long_if.2 is 0.5, signal.long_if.3 is 3"),
        ("signal.long_if.4: [1]", "signal.long_if has 3 numbers"),
        ("risk.stops.take_profit: [1, 2]", "by its place: risk.stops.take_profit.1 is 3"),
        ("risk.stops.stop_loss: [2 * atr_14]",
         "a number inside a text is named by its place: signal.long_if.1: "),
        ("risk.stops.take_profit.1: [0, 2]", "a distance lies above zero"),
    ],
)  # fmt: skip
def test_messages_say_how_a_number_is_named(tmp_path: Path, axis: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(tmp_path, f"{{over: {{{axis}}}}}", base=RULES)
    assert any(words in f"{each.message} {each.hint}" for each in caught.value.problems)
