"""Values that are valid where they stand and make no sense there are warned about."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config.amounts import lengths_of, shares_of
from septet._config.load import load
from septet._shell.preflight import check_data

SMALLEST = Path(__file__).parent / "valid" / "smallest.yaml"
TEXT = """\
version: 1
name: x
universe: {symbols: [BTC/USD], bar: 15m}
data: {candles: {use: sample}}
features: {fast: {use: ema, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
PERPETUAL = TEXT.replace(
    "universe:",
    "account: {type: perpetual}\nperpetual: {leverage: 50, funding: {rate: 1bps}}\nuniverse:",
)


def warned(*sets: str, text: str = TEXT, folder: Path) -> dict[str, str]:
    (folder / "x.yaml").write_text(text, encoding="utf-8")
    found = load(folder / "x.yaml", sets=list(sets)).warnings
    return {each.key: each.message for each in found}


@pytest.mark.parametrize(
    ("key", "good", "bad", "expected"),
    [
        ("execution.simulation.slippage", "0.9%", "1%", "every trade costs 1% of its value"),
        ("execution.simulation.slippage", "0.9%", "5%", "every trade costs 5% of its value"),
        ("risk.cash_buffer", "5%", "95%", "entries share the other 5%"),
        ("risk.rebalance.band", "20%", "500%", "when it is 6 times its target"),
        ("risk.stops.take_profit", "500%", "5000%", "51 times the entry price"),
        ("risk.stops.trailing", "{distance: 5%, after: 9%}", "{distance: 5%, after: 4000%}",
         "after is 4000%, 40 times the whole"),
    ],
)  # fmt: skip
def test_shares_without_sense(key: str, good: str, bad: str, expected: str, tmp_path: Path) -> None:
    assert not warned(f"{key}={good}", folder=tmp_path)
    (message,) = warned(f"{key}={bad}", folder=tmp_path).values()
    assert expected in message


@pytest.mark.parametrize(
    ("key", "sets", "expected"),
    [
        ("slippage.window", ["simulation.slippage={fraction: 5bps, window: 9}"],
         "no effect without slippage.volatility"),
        ("slippage.volatility",
         ["simulation.slippage={volatility: 0.1}", "simulation.fills=quotes"],
         "pays slippage.fraction alone"),
        ("slippage.volatility", ["simulation.slippage={volatility: 0.1}", "simulation.fills=book"],
         "a fill against the book pays"),
        ("time_in_force",
         ["simulation.time_in_force=3 bars", "order={use: limit, offset: 5bps}"],
         "has a time_in_force of its own"),
    ],
)  # fmt: skip
def test_keys_of_the_simulation_without_an_effect(
    key: str, sets: list[str], expected: str, tmp_path: Path
) -> None:
    given = ["mode=paper", *(f"execution.{each}" for each in sets)]
    assert expected in warned(*given, folder=tmp_path)[f"execution.simulation.{key}"]


@pytest.mark.parametrize("fills", ["next_open", "quotes", "book"])
def test_keys_of_the_simulation_with_an_effect(fills: str, tmp_path: Path) -> None:
    """`tests/live/test_paper.py` shows what each does to a fill."""
    terms = "slippage: 9bps, latency: 3, participation: 1%, time_in_force: 2 bars, fee: 5bps"
    given = f"execution.simulation={{{terms}, fills: {fills}}}"
    found = warned("mode=paper", given, folder=tmp_path)
    assert not [key for key in found if key.startswith("execution")]


def test_a_short_never_reaches_a_target_of_all(tmp_path: Path) -> None:
    stops = "risk.stops={stop_loss: 1%, take_profit: 100%}"
    found = warned("perpetual.leverage=2", stops, text=PERPETUAL, folder=tmp_path)
    assert "the price would be 0" in found["risk.stops.take_profit"]


def test_leverage_with_a_near_liquidation_requires_a_stop(tmp_path: Path) -> None:
    found = warned(text=PERPETUAL, folder=tmp_path)
    assert "liquidated 0.9901% away from its entry, and no stop" in found["perpetual.leverage"]
    assert "perpetual.leverage" not in warned(
        "perpetual.leverage=5", text=PERPETUAL, folder=tmp_path
    )
    assert "perpetual.leverage" not in warned(
        "risk.stops.stop_loss=0.5%", text=PERPETUAL, folder=tmp_path
    )


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("signal.min_interval", "100000", "min_interval of 100000 bars"),
        ("signal.reentry.after", "100000", "after of 100000 bars"),
        ("signal.exit.after", "100000 bars", "after of 100000 bars"),
        ("signal.exit.after", "2000d", "after of 2000d"),
        ("risk.stops.time_limit", "2000d", "time_limit of 2000d"),
    ],
)
def test_lengths_beyond_the_data_are_reported_with_both(
    key: str, value: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, encoding="utf-8")
    problems = check_data(load(tmp_path / "x.yaml", sets=[f"{key}={value}"])).problems
    (found,) = [each for each in problems if "not over within the data" in each.message]
    assert found.severity == "warning"
    assert name in found.message
    assert "8,686 bars of 15m in 93 days" in found.message
    short = f"{key}=1h" if "limit" in key else f"{key}=3 bars"
    problems = check_data(load(tmp_path / "x.yaml", sets=[short])).problems
    assert not [each for each in problems if "not over within" in each.message]


def test_lengths_and_shares_are_found_by_their_type(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(PERPETUAL, encoding="utf-8")
    strategy = load(tmp_path / "x.yaml", sets=["risk.stops.time_limit=1h"]).strategy
    lengths = {".".join(map(str, each.path)) for each in lengths_of(strategy)}
    assert {"signal.min_interval", "risk.stops.time_limit.after"} <= lengths
    shares = {".".join(map(str, path)) for path, _ in shares_of(strategy)}
    assert {"risk.cash_buffer", "execution.simulation.fee.taker", "risk.sizing.fraction"} <= shares


LEARNED = TEXT.replace(
    "signal: {use: rules, long_if: close > fast, exit_if: close < fast}",
    "model: {use: sklearn, estimator: RandomForestClassifier, label: {use: triple_barrier, "
    "take_profit: 2%, stop_loss: 1%, time_limit: 24 bars}}\n"
    "signal: {use: confidence, threshold: 10%}",
)


def test_uneven_barriers_that_pass_the_threshold_without_skill(tmp_path: Path) -> None:
    """On a random walk such a model was short at 8,544 of 8,544 decisions."""
    perpetual = ("account.type=perpetual", "perpetual.funding.rate=1bps")
    message = warned(*perpetual, text=LEARNED, folder=tmp_path)["signal.threshold"]
    assert "predicts about 0.33, the base rate, and a confidence of 33% short" in message
    long = ("model.label.take_profit=1%", "model.label.stop_loss=3%")
    message = warned(*long, text=LEARNED, folder=tmp_path)["signal.threshold"]
    assert "a confidence of 50% long: it would enter long at every bar" in message
    for sets in (
        (),  # spot is never short
        (*perpetual, "signal.threshold=34%"),
        (*perpetual, "model.class_weight=balanced"),
        ("model.label.take_profit=1%",),
    ):
        assert "signal.threshold" not in warned(*sets, text=LEARNED, folder=tmp_path), sets


@pytest.mark.parametrize(("bar", "warns"), [("15m", False), ("4h", False), ("1d", True)])
def test_a_daily_loss_on_daily_bars_never_trips(bar: str, warns: bool, tmp_path: Path) -> None:
    halt = "risk.halts={daily_loss: {above: 4%, then: flatten, resume: next_day}}"
    found = warned(f"universe.bar={bar}", halt, folder=tmp_path)
    assert ("never trips in a backtest" in found.get("risk.halts.daily_loss", "")) == warns
    assert not warned(f"universe.bar={bar}", halt, "mode=paper", folder=tmp_path)
