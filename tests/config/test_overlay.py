"""Modes and --set lie over the file; the last word wins and its origin is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import Loaded, load
from septet._config.load import variant
from septet._config.overlay import parse_setting
from septet._plan.run_terms import terms_of
from septet.errors import ConfigError
from tests.config.plugins import fixed_host

VALID = Path(__file__).parent / "valid"
HOST = fixed_host()


def loaded(name: str = "smallest", mode: str | None = None, *sets: str) -> Loaded:
    return load(VALID / f"{name}.yaml", host=HOST, mode=mode, sets=sets)


def problems(name: str, mode: str | None, *sets: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(name, mode, *sets)
    return str(caught.value)


def test_mode_flag_wins() -> None:
    run = loaded("full", "paper", "mode=backtest")
    assert run.strategy.mode == "backtest"
    assert str(loaded("full", "paper").origins["mode"]) == "--mode"


def test_overlay_applies_in_its_mode_only() -> None:
    assert loaded("full").strategy.account.capital == 10_000.0
    live = loaded("full", "live")
    assert live.strategy.account.capital == 2_000.0
    assert live.origins["account.capital"].kind == "overlay"
    assert live.strategy.account.currency == "USDT"


def test_a_setting_of_an_overlay_acts_in_its_mode_only() -> None:
    live = loaded("full", "live", "live.account.capital=3000")
    assert live.strategy.account.capital == 3_000.0
    assert loaded("full", None, "live.account.capital=3000").strategy.account.capital == 10_000.0
    both = loaded("full", "live", "live.account.capital=3000", "account.capital=4000")
    assert both.strategy.account.capital == 4_000.0
    new = loaded("smallest", "paper", "paper.account.capital=3000")
    assert new.strategy.account.capital == 3_000.0


def test_overlay_with_another_plugin_starts_the_block_anew() -> None:
    run = loaded("rules-on-perpetual", "paper")
    assert run.strategy.risk.sizing.use == "fixed_fraction"
    assert run.resolved["risk"]["sizing"] == {"use": "fixed_fraction", "fraction": 0.05}


def test_set_replaces_a_value_a_list_entry_and_a_short_form() -> None:
    run = loaded(
        "smallest", None, "features.fast.period=7", "universe.symbols.0=ETH/USDT",
        "risk.limits.position.max=30%", "data.candles.path=x.parquet",
    )  # fmt: skip
    assert run.resolved["features"]["fast"]["period"] == 7
    assert run.strategy.universe.symbols == ("ETH/USDT",)
    assert run.resolved["risk"]["limits"]["position"]["max"] == 0.3
    assert str(run.origins["features.fast.period"]) == "--set features.fast.period"


def test_the_values_of_a_variant_come_from_its_settings() -> None:
    run = loaded("smallest")
    made = variant(run, [parse_setting("features.fast.period=7")])
    assert str(made.origins["features.fast.period"]) == "--set features.fast.period"
    assert run.origins["features.fast.period"].kind == "file"


def test_set_takes_a_block_and_merges_it() -> None:
    run = loaded("smallest", None, "signal={min_interval: 3 bars}")
    assert run.strategy.signal.extra["min_interval"] == 3
    assert run.resolved["signal"]["long_if"] == "fast > slow"


def test_set_of_an_empty_block_empties_it() -> None:
    base = loaded("smallest", None, "risk.stops={stop_loss: 4%}")
    assert list(base.strategy.risk.stops) == ["stop_loss"]
    run = loaded("smallest", None, "risk.stops={stop_loss: 4%}", "risk.stops={}")
    assert run.strategy.risk.stops == {}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["signal.long_if.1=3"], "a whole new value for the key in front of it"),
        (["features.fast.period.1=3"], "no number stands in it"),
        (["signal.long_if=fast > slow * 1.5", "signal.long_if.2=3"], "from 1 to 1"),
    ],
)
def test_a_number_that_a_value_does_not_have_is_named(settings: list[str], expected: str) -> None:
    text = problems("smallest", None, *settings)
    flag, _, _ = settings[-1].partition("=")
    assert f"--set {flag}: the value has no number {flag[-1]}" in text
    assert expected in text
    assert "a block of keys" not in text


def test_set_of_another_plugin_drops_the_keys_of_the_old() -> None:
    run = loaded("smallest", None, "features.fast.use=rsi")
    assert run.resolved["features"]["fast"]["period"] == 14


def test_last_setting_wins() -> None:
    run = loaded("smallest", None, "seed=1", "seed=2")
    assert run.strategy.seed == 2


def test_set_reaches_into_quoted_keys() -> None:
    run = loaded("rules-on-perpetual", None, 'execution.instruments."BTC/USDT:USDT".lot=0.5')
    assert run.strategy.execution.instruments["BTC/USDT:USDT"].lot == 0.5


@pytest.mark.parametrize("text", ["", "x", "=3", "a..b=1", "a.b=[1", "a=12:30"])
def test_unreadable_setting(text: str) -> None:
    assert "--set" in problems("smallest", None, text)


def test_error_of_a_setting_names_the_flag_and_hides_the_value() -> None:
    text = problems("full", None, "execution.venues.binance.secret=hunter2-hunter2")
    assert "--set execution.venues.binance.secret" in text
    assert "hunter2" not in text


def test_an_error_below_a_set_key_has_the_place_of_the_flag() -> None:
    """It was reported at the line of the file, which was right."""
    text = problems("full", None, "risk.stops.stop_loss=2 ATR")
    assert text.startswith("--set risk.stops.stop_loss: ")
    assert "write 2 * ATR, where ATR is a feature of the file" in text


def test_list_entry_that_is_not_there() -> None:
    assert "not an entry of this list of 1" in problems(
        "smallest", None, "universe.symbols.5=ETH/USDT"
    )


def test_unknown_key_of_a_setting() -> None:
    text = problems("smallest", None, "risk.sizing.fractoin=3%")
    assert "did you mean fraction?" in text


def test_a_volatility_target_is_rebalanced_unless_the_file_sets_never() -> None:
    sizing = "risk.sizing={use: volatility_target, of: fast}"
    run = loaded("smallest", None, sizing)
    assert run.strategy.risk.rebalance is not None
    assert run.strategy.risk.rebalance.band == 0.2
    assert run.origins["risk.rebalance.band"].kind == "derived"
    assert loaded("smallest").strategy.risk.rebalance is None
    never = loaded("smallest", None, sizing, "risk.rebalance=never").strategy
    assert never.risk.rebalance is None
    assert terms_of(run.strategy).rebalance == 0.2
    assert terms_of(never).rebalance is None


def test_steps_are_added_to_a_volatility_target_that_is_never_rebalanced() -> None:
    sets = (
        "risk.sizing={use: volatility_target, of: fast, max: 20%}",
        "risk.position={add: [{when: close > fast, size: 50%}]}",
    )
    assert "write rebalance: never" in problems("smallest", None, *sets)
    assert loaded("smallest", None, *sets, "risk.rebalance=never").strategy.risk.position


def test_currency_follows_the_symbols() -> None:
    run = loaded("smallest", None, "universe.symbols=[BTC/EUR, ETH/EUR]")
    assert run.strategy.account.currency == "EUR"
    assert run.origins["account.currency"].kind == "derived"
    assert loaded("smallest", None, "universe.symbols=[AAPL]").strategy.account.currency == "USD"


@pytest.mark.parametrize("value", ["%m/%d/%Y", "*.csv", "{symbol}.csv", "@x", "`x"])
def test_a_value_that_yaml_reads_otherwise_gets_the_hint_to_quote_it(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_setting(f"data.candles.path={value}")
    assert """and these in the shell's: 'data.candles.path="..."'""" in str(caught.value)
    assert value not in str(caught.value).partition("\n")[0]
    assert parse_setting(f'data.candles.path="{value}"').node.plain() == value
