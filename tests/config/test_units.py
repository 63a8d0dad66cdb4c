"""A distance is an amount of the price: warnings about one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config.load import load_text

TEXT = """version: 1
name: units
account: {{currency: USD}}
universe: {{symbols: [A/USD], bar: 1h}}
data: {{candles: {{use: synthetic, bars: 200}}}}
features:
  atr_14: {{use: atr, period: 14}}
  fast: {{use: ema, period: 20}}
  rsi_14: {{use: rsi, period: 14}}
  spread: {{use: expr, formula: atr_14 / fast}}
  top: {{use: highest, of: close, period: 20}}
signal: {{use: rules, long_if: close > fast, exit_if: close < fast}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  stops: {{stop_loss: "{0}"}}
"""


def warnings_of(formula: str) -> list[str]:
    loaded = load_text(TEXT.format(formula), "x.yaml", base_dir=Path())
    return [each.message for each in loaded.warnings if "amount of the price" in each.message]


@pytest.mark.parametrize(
    "formula",
    ["atr_14 / close", "3 * spread", "2 * atr_14 / prev(close, 1)", "(top - low) / max(high, low)"],
)
def test_a_ratio_of_prices_is_reported(formula: str) -> None:
    (message,) = warnings_of(formula)
    assert "a ratio of prices" in message


def test_a_product_of_prices_is_reported() -> None:
    (message,) = warnings_of("atr_14 * close")
    assert "a price to the power of 2" in message


@pytest.mark.parametrize(
    "formula",
    [
        "3 * atr_14", "spread * close", "top - low", "max(atr_14, 0.01 * close)", "prev(atr_14, 1)",
        "0.1 * rsi_14", "atr_14 * rsi_14", "max(atr_14, 5)", "atr_14 * 14 ** 0.5", "4%",
    ],
)  # fmt: skip
def test_an_amount_and_what_may_be_meant_are_not(formula: str) -> None:
    assert not warnings_of(formula)
