from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from septet._results.intervals import MeanInterval
from septet._results.result import HaltEvent
from septet._results.verdict import Evidence, tone, verdict

NS = 1_000_000_000
DAY = 86_400 * NS
HALT = HaltEvent(1_684_000_000 * NS, "drawdown", 0.1532, 0.15, "flatten", "manual")
AUC = HaltEvent(
    1_684_000_000 * NS, "monitoring.model", 0.41, 0.5, "cancel_all", "manual",
    metric="auc", compared=0.48,
)  # fmt: skip
PLAIN = Evidence(
    currency="USDT",
    symbols=("BTC/USDT",),
    trades=214,
    open_trades=0,
    fills=428,
    decisions=9000,
    rejections={"threshold": 8000, "held": 700},
    total_return=-0.022,
    hold_return=0.61,
    sharpe=-0.4,
    fees=120.5,
    net=MeanInterval(-1.18, -4.22, 1.86),
    halts=(),
    final_equity=9780.0,
)


def test_enough_trades() -> None:
    assert verdict(PLAIN) == (
        "214 trades. Return -2.2 % after costs; holding BTC/USDT: +61.0 %. The average trade, "
        "-1.18 USDT (95 % interval -4.22 to 1.86 USDT), cannot be distinguished from zero."
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.2, 2.0, "was above zero in this sample; one backtest is no promise."),
        (-2.0, -0.2, "lost money after costs."),
        (-1.0, 1.0, "cannot be distinguished from zero."),
    ],
)
def test_the_average_trade(low: float, high: float, words: str) -> None:
    net = MeanInterval((low + high) / 2, low, high)
    assert verdict(replace(PLAIN, net=net, hold_return=-0.1)).endswith(words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"only_long": True, "above_holding": True},
            "was above zero in this sample, and its return above that of holding the same "
            "exposure; one backtest is no promise.",
        ),
        (
            {"only_long": True, "above_holding": False},
            "was above zero in this sample; its return cannot be distinguished from that of "
            "holding the same exposure.",
        ),
        ({"only_long": True}, "whether that is more than holding the same exposure made cannot be"),
        ({}, "how much of that the market's own rise made is not measured, because it was short"),
        ({"hold_return": None}, "was above zero in this sample; one backtest is no promise."),
    ],
)
def test_an_average_above_zero_in_a_rising_market(change: dict[str, Any], words: str) -> None:
    given = verdict(replace(PLAIN, net=MeanInterval(1.1, 0.2, 2.0), **change))
    assert words in given


def test_an_average_that_cannot_be_decided() -> None:
    given = verdict(replace(PLAIN, net=MeanInterval(2.5, problem="only 2 of 214 trades won")))
    assert given.endswith(
        "The average trade, +2.50 USDT, cannot be assessed: only 2 of 214 trades won."
    )


@pytest.mark.parametrize(("trades", "words"), [(1, "1 trade"), (29, "29 trades")])
def test_under_thirty_trades_are_too_few(trades: int, words: str) -> None:
    given = verdict(replace(PLAIN, trades=trades))
    assert given.startswith(f"{words}, too few to judge. Return -2.2 %")
    assert "average trade" not in given


def test_thirty_trades_get_a_verdict() -> None:
    assert "too few" not in verdict(replace(PLAIN, trades=30))


def test_a_halt_comes_first() -> None:
    given = verdict(replace(PLAIN, halts=(HALT,)))
    assert given.startswith("halted on 2023-05-13: drawdown (15.3 %, limit 15.0 %); closed ev")
    assert tone(given, 214) == "bad"


def test_a_persons_halt_has_no_figure() -> None:
    halt = replace(HALT, rule="operator_halt", then="block_entries", value=0.0, threshold=0.0)
    given = verdict(replace(PLAIN, halts=(halt,)))
    assert given.startswith("halted on 2023-05-13 by a person: no new positions after that.")


def test_a_cleared_halt_does_not() -> None:
    cleared = replace(HALT, resumed_ns=HALT.time_ns + NS)
    assert verdict(replace(PLAIN, halts=(cleared,))) == verdict(PLAIN)


def test_a_halt_and_too_few_trades() -> None:
    given = verdict(replace(PLAIN, trades=3, halts=(HALT,)))
    assert given.startswith("halted on 2023-05-13")
    assert "3 trades, too few to judge." in given


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "0 trades, too few to judge. The most frequent reason not to act: threshold, 8,000"),
        ({"models": 0}, "No model could be trained, so nothing was decided."),
        ({"rejections": {}}, "Nothing was bought or sold in 9,000 decisions."),
        ({"open_trades": 1, "fills": 1}, "1 position opened and none was closed. Return -2.2 %"),
    ],
)
def test_no_trades(change: dict[str, object], words: str) -> None:
    nothing = replace(PLAIN, trades=0, fills=0, net=None)
    given = verdict(replace(nothing, **change))  # type: ignore[arg-type]
    assert words in given
    assert tone(given, 0) == "caution"


def test_what_should_make_a_reader_look_twice() -> None:
    assert "No fees were charged." in verdict(replace(PLAIN, fees=0.0))
    assert "No fees" not in verdict(replace(PLAIN, fees=0.0, fills=0))
    assert "more often a mistake" in verdict(replace(PLAIN, sharpe=4.5))
    for ratio, is_told in ((5.09, True), (3.9, False), (None, False)):
        excess = {"exposure": 0.5, "cagr": 0.3, "sharpe": ratio}
        seen = replace(PLAIN, sharpe=3.3, excess=excess)
        assert ("more often a mistake" in verdict(seen)) == is_told


def test_a_long_silence_is_named() -> None:
    last = 1_684_000_000 * NS
    silent = replace(PLAIN, span_ns=(last - 60 * DAY, last + 40 * DAY), last_fill_ns=last)
    words = "Nothing was bought or sold after 2023-05-13."
    assert words in verdict(silent)
    assert words not in verdict(replace(silent, span_ns=(last - 70 * DAY, last + 30 * DAY)))
    assert words not in verdict(replace(silent, span_ns=(last - 60 * NS, last + 40 * NS)))
    # A halt or an open position is the reason, and is reported elsewhere.
    assert words not in verdict(replace(silent, halts=(HALT,)))
    assert words not in verdict(replace(silent, open_trades=1))


def test_everything_lost() -> None:
    given = verdict(replace(PLAIN, final_equity=-1.0))
    assert "The whole capital was lost." in given
    assert tone(given, 214) == "bad"


def test_several_symbols_are_held_equally() -> None:
    given = verdict(replace(PLAIN, symbols=("A", "B", "C")))
    assert "holding the 3 symbols equally: +61.0 %" in given


def test_praise_has_no_colour() -> None:
    good = replace(PLAIN, total_return=3.0, net=MeanInterval(5.0, 4.0, 6.0))
    assert tone(verdict(good), 214) == "plain"


def test_bad_rows_stand_in_the_verdict() -> None:
    bad = "0.5% of the rows of BTC/USDT were dropped or mended (5 of 1,000: conflict 5)"
    assert verdict(replace(PLAIN, bad_rows=(bad,))).endswith(f"{bad}.")
    assert "dropped" not in verdict(PLAIN)


def test_a_return_that_no_market_pays_is_the_first_doubt() -> None:
    given = verdict(replace(PLAIN, total_return=1.3e25, final_equity=1.3e29, bad_rows=["Bad rows"]))
    assert "Return +1.3e+27 % after costs" in given
    assert "Equity grew to 1e+25 times the capital, which no market pays" in given
    assert given.index("no market pays") < given.index("Bad rows")
    assert "no market pays" not in verdict(replace(PLAIN, total_return=50.0))


def test_a_halt_of_a_monitor_names_what_it_read_and_what_was_compared() -> None:
    text = verdict(replace(PLAIN, halts=[AUC]))
    assert text.startswith(
        "halted on 2023-05-13: monitoring.model (auc 0.41, its upper 95 % end 0.48, the bound "
        "0.5); cancelled all orders"
    )
    churn = replace(AUC, rule="monitoring.churn", metric="churn", value=12.0, threshold=10.0)
    text = verdict(replace(PLAIN, halts=[replace(churn, compared=None)]))
    assert text.startswith("halted on 2023-05-13: monitoring.churn (12, the bound 10);")


def test_a_small_limit_is_not_rounded_away() -> None:
    text = verdict(replace(PLAIN, halts=[replace(HALT, value=0.0016, threshold=0.0015)]))
    assert "drawdown (0.16 %, limit 0.15 %)" in text
