"""Frames of whole days over symbols that trade always and others that trade in sessions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from septet._shell.session import refuse_days_of_two_kinds
from septet.errors import InputError
from tests.core.markets import Rough, calendars_of, rough_market
from tests.core.world import load_text, open_made

SYMBOLS = ("AAA/USDT", "BBB/USDT", "EUR/USDT")
FILE = """\
version: 1
name: days
universe: {{symbols: [AAA/USDT, BBB/USDT, EUR/USDT], bar: 1h}}
data: {{candles: {{use: synthetic}}}}
features:
  top_2: {{use: highest, of: high, period: 2, bar: {bar}}}
signal: {{use: rules, long_if: close > top_2, exit_if: close < 0.9 * top_2}}
risk: {{sizing: {{use: fixed_fraction, fraction: 10%}}}}
"""


@pytest.mark.parametrize("bar", ["1d", "1w", "4h"])
@pytest.mark.parametrize("main", ["24x7", "XFX"])
def test_a_day_must_be_the_same_for_all(bar: str, main: str) -> None:
    loaded = load_text(FILE.format(bar=bar))
    bars = rough_market(SYMBOLS, [Rough(3, 200)] * 3, (0.0,) * 3)
    made = open_made(loaded, bars, 0, calendars=calendars_of(SYMBOLS))
    market = replace(made.market, calendar=main, calendars=calendars_of(SYMBOLS))
    if main == "XFX" or bar == "4h":
        refuse_days_of_two_kinds(made.plan, market)
        return
    with pytest.raises(InputError, match=r"sessions of XFX for EUR/USDT") as caught:
        refuse_days_of_two_kinds(made.plan, market)
    assert caught.value.key == ".features.top_2"
