"""A key in the wrong block names its own, and a value where a block belongs shows the block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from septet._config.load import load_text
from septet._config.pydantic_problems import MOST_ERRORS
from septet.errors import ConfigError, Problem
from septet_schemas.strategy import Strategy
from tests.config.wrong_blocks import BASE, HOST, block_paths, fields_of, stated

TOP = [
    (block, key)
    for block in ("account", "universe", "portfolio", "risk", "execution", "perpetual")
    for key in fields_of((block,))
    if key not in Strategy.model_fields and key != "use"
]


def problems_of(data: dict[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with a file of these keys."""
    text = yaml.safe_dump(data, sort_keys=False)
    try:
        load_text(text, "x.yaml", base_dir=Path(), host=HOST)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(("block", "key"), TOP, ids=[".".join(each) for each in TOP])
def test_a_key_of_a_block_at_the_top_level_names_the_block(block: str, key: str) -> None:
    found = [each for each in problems_of({**BASE, key: "1"}) if each.key == key]
    assert [each.message for each in found] == [f"unknown key {key!r}"]
    named = found[0].hint.partition("belongs under ")[2]
    assert named.split(":")[0].startswith((block, *BASE))  # a block that the file has comes first


@pytest.mark.parametrize("block", ["limits", "halts"])
@pytest.mark.parametrize(
    "key",  # position is a limit as well
    [each for each in fields_of(("risk",)) if each not in ("use", "limits", "halts", "position")],
)
def test_a_key_of_risk_among_plugins_that_are_listed_by_name_is_named(block: str, key: str) -> None:
    risk = {**BASE["risk"], block: {key: 1}}
    found = [each for each in problems_of({**BASE, "risk": risk}) if each.severity == "error"]
    assert [(each.key, each.hint.partition(": ")[0]) for each in found] == [
        (f"risk.{block}.{key}", f"{key} belongs under risk")
    ]


@pytest.mark.parametrize("key", ["symbols", "bar"])
def test_a_block_whose_keys_stand_elsewhere_is_not_called_missing(key: str) -> None:
    data = {name: each for name, each in BASE.items() if name != "universe"}
    found = problems_of({**data, key: "1h"})
    assert [each.key for each in found if each.severity == "error"] == [key]


def test_a_signal_that_is_missing_beside_a_right_portfolio_of_each_is_reported() -> None:
    data = {name: each for name, each in BASE.items() if name != "signal"}
    found = problems_of({**data, "portfolio": {"use": "each"}})
    assert "signal is missing" in [each.message for each in found]


def test_a_value_where_a_block_belongs_shows_one() -> None:
    shown = 0
    for path in block_paths():
        for each in problems_of(stated(path, "abc")):
            if each.key == ".".join(path) and each.message.startswith("this is not a block"):
                assert each.hint.startswith(f"write {path[-1]}: {{"), each
                shown += 1
    assert shown >= 20


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("account", "5000"), ("universe", "ETH/USDT"), ("data", "prices.csv"),
        ("data.candles", "prices.parquet"), ("data.candles", "synthetic"), ("features", "sma"),
        ("features.fast", "ema"), ("signal", "fast > slow"), ("risk", "20%"),
        ("risk.sizing", "20%"), ("risk.stops", "3%"), ("risk.limits", "50%"),
        ("risk.halts", "20%"), ("risk.rebalance", "10%"), ("execution", "simulated"),
        ("execution.simulation", "0.1%"), ("data.fear", "vix.csv"), ("perpetual", "2"),
    ],
)  # fmt: skip
def test_the_block_that_is_shown_is_accepted(path: str, value: str) -> None:
    keys = tuple(path.split("."))
    wrong = [each for each in problems_of(stated(keys, value)) if each.key == path]
    shown = yaml.safe_load("{" + wrong[0].hint.removeprefix("write ") + "}")
    left = problems_of(stated(keys, shown[keys[-1]]))
    assert not [each for each in left if each.severity == "error" and each.key.startswith(path)]


@pytest.mark.parametrize(("word", "every"), [("weekly", "1w"), ("1w", "1w"), ("monthly", "1mo")])
def test_a_rebalance_in_one_word(word: str, every: str) -> None:
    portfolio = {"use": "top", "by": "fast", "long": 1, "rebalance": word}
    data = {key: each for key, each in BASE.items() if key != "signal"}
    found = problems_of({**data, "risk": {}, "portfolio": portfolio})
    assert [each.hint for each in found] == [f"write rebalance: {{every: {every}}}"]
    right = {**portfolio, "rebalance": {"every": every}}
    assert not [
        each
        for each in problems_of({**data, "risk": {}, "portfolio": right})
        if each.severity == "error"
    ]


@pytest.mark.parametrize("name", ["grid", "buy_every"])
def test_what_is_shown_in_place_of_a_signal_is_accepted(name: str) -> None:
    found = problems_of({**BASE, "signal": {"use": name}})
    shown = found[0].hint.partition("write ")[2].partition(" in place of ")[0]
    data = {key: each for key, each in BASE.items() if key not in ("signal", "risk")}
    left = problems_of({**data, **yaml.safe_load(shown)})
    assert not [each for each in left if each.severity == "error"]


def test_of_very_many_wrong_keys_the_first_are_explained_and_the_others_counted() -> None:
    """Each explained key is compared with all that are known: of 20,000 that took a minute."""
    many = 50 * MOST_ERRORS
    found = problems_of({**BASE, **{f"k{number}": 1 for number in range(many)}})
    assert len(found) == MOST_ERRORS + 1
    (counted,) = [each for each in found if "unknown key" not in each.message]
    assert counted.message.startswith(f"{many - MOST_ERRORS:,} more keys or values are wrong")
