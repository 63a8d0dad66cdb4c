"""Symbols whose candles end before those of the others, or before the span asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.candle_ends import CANDLES_END, candles_ending
from septet._data.load import load_market
from septet._data.stretches import Memory, Stretches
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._shell.preflight import check_data
from septet._store.tables import frames_of
from tests.data.helpers import DAY_NS, HOUR_NS, START_NS, clean, request

ETH = "the candles of ETH/USDT end at 2020-01-05T04:00:00Z, 12 days before those of BTC/USDT"
SYMBOLS = ("BTC/USDT", "ETH/USDT")


def written(folder: Path, rows: tuple[int, int], *, universe: str = "") -> Path:
    for number, (symbol, count) in enumerate(zip(SYMBOLS, rows, strict=True)):
        frame = clean(400, seed=number)[:count]
        frame.write_parquet(folder / f"{symbol.replace('/', '')}.parquet")
    path = folder / "x.yaml"
    path.write_text(
        f"""\
version: 1
name: ended
universe: {{symbols: [BTC/USDT, ETH/USDT], bar: 1h{universe}}}
data: {{candles: {{use: parquet, path: "{{symbol}}.parquet"}}}}
signal: {{use: rules, long_if: close > 1, exit_if: close < 1}}
risk: {{sizing: {{use: fixed_fraction, fraction: 40%}}}}
""",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("rows", "universe", "expected"),
    [
        ((400, 400), "", []),
        ((400, 376), "", []),  # `reset_after` bars may be missing
        ((400, 375), "", ["ETH/USDT end at 2020-01-16T15:00:00Z, 25 hours before those of BTC"]),
        ((100, 400), "", ["BTC/USDT end at 2020-01-05T04:00:00Z, 12 days before those of ETH"]),
        ((100, 400), ", end: 2020-01-05 06:00", []),
        (
            (400, 400),
            ", end: 2020-01-20 00:00",
            [f"{each} end at 2020-01-17T16:00:00Z, 2 days before univ" for each in SYMBOLS],
        ),
    ],
)
def test_check_warns_at_the_symbol(
    tmp_path: Path, rows: tuple[int, int], universe: str, expected: list[str]
) -> None:
    loaded = load(written(tmp_path, rows, universe=universe))
    found = [each for each in check_data(loaded).problems if "The candles of" in each.message]
    assert [each.severity for each in found] == ["warning"] * len(expected)
    for problem, text in zip(found, expected, strict=True):
        assert f"The candles of {text}" in problem.message
        assert problem.key == f"universe.symbols.{SYMBOLS.index(text[:8])}"
        assert problem.line == 3


def test_the_verdict_names_the_symbol_and_the_position_at_an_old_price(tmp_path: Path) -> None:
    result = backtest(load(written(tmp_path, (400, 100))))
    (finding,) = [each for each in result.findings if each.kind == CANDLES_END]
    assert ETH in finding.message
    given = summarise(result, frames_of(result), run_id="x")["verdict"]
    assert ETH[1:] in given
    assert "The open position in ETH/USDT is valued at its last price, of 2020-01-05" in given
    assert "The open position in BTC/USDT" not in given


def test_stretches_agree(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, (400, 100)))
    stretches = Stretches(loaded, bars=64, memory=Memory(20), warmup_ns=0)
    for _ in stretches:
        pass
    found = [each for each in stretches.findings if each.kind == CANDLES_END]
    assert found == [e for e in load_market(loaded).findings if e.kind == CANDLES_END]
    assert len(found) == 1


def test_a_weekend_is_no_end_and_of_many_symbols_a_few_are_named() -> None:
    asked = request("1h", "BTC/USDT", "AAPL", now_ns=START_NS + 365 * DAY_NS)
    friday = START_NS + 2 * DAY_NS + 21 * HOUR_NS
    calendars = {"BTC/USDT": "24x7", "AAPL": "XNYS"}
    both = {"BTC/USDT": friday + 3 * DAY_NS, "AAPL": friday}
    assert candles_ending(both, calendars, 24, asked) == []
    both["BTC/USDT"] += 60 * DAY_NS
    assert [each.symbol for each in candles_ending(both, calendars, 24, asked)] == ["AAPL"]
    many = {f"S{k}": START_NS for k in range(40)} | {"BTC/USDT": START_NS + 90 * DAY_NS}
    found = candles_ending(many, dict.fromkeys(many, "24x7"), 24, asked)
    assert len(found) == 40
    reported = doubts(found)
    assert len(reported) == 4
    assert reported[-1].message.startswith("The candles of 37 more symbols end early: S3, S4, ")
