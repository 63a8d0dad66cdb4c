"""Takes, adds, regular buys and rebalances of a live core: sent once, replayed and shadowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._diff.compare import TOLERANCE, diff
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._report.save import save_run
from septet._shell.backtest import backtest
from tests.live.diffs import LOT, SECOND, START, TICK, WARMUP, Bar, Lives, Runner, walk, write_file

BASE = """\
version: 1
name: pair
account: {capital: 5000}
universe: {symbols: [BTC/USDT], bar: 1h}
data:
  candles: {use: csv, path: bars.csv, stamp: open}
features:
  fast: {use: sma, period: 2}
  slow: {use: sma, period: 5}
  range: {use: atr, period: 4}
"""
END = """
execution:
  instruments: {BTC/USDT: {lot: 0.00001, tick: 0.01, min_notional: 0}}
  simulation: {fee: 10bps, slippage: 2bps}
"""
STEPS = """\
signal: {use: rules, long_if: fast > slow, exit_if: fast < 0.98 * slow, reentry: immediate}
risk:
  sizing: {use: fixed_fraction, fraction: 20%}
  stops: {stop_loss: 3 * range, take_profit: 4R}
  position:
    add:
      - {at: [-1%, 0.5 * range], size: 40%}
      - {when: close > last_price, size: 30%, times: 2}
    take:
      - {at: 0.5R, size: 40%, then: {stop: break_even}}
      - {when: open_return > 0.02, size: 25%}"""
BUYS = """\
risk:
  stops: {stop_loss: 6%, take_profit: 9%}
  position:
    buy_every: {every: 3 bars, amount: 200}
    take: [{at: 1.5%, size: 50%, then: {stop: break_even}}]"""
GRID = """\
risk:
  stops: {stop_loss: 8%}
  position:
    grid: {centre: slow, step: 0.6%, levels: 5, size: 15%}"""
NET = """\
perpetual: {leverage: 2, funding: {rate: 1bps, every: 8h}}
risk:
  stops: {stop_loss: 8%}
  position:
    grid: {centre: slow, step: 0.6%, levels: 4, size: 10%, short: true}
    take: [{at: 3%, size: 50%}]"""
HARVEST = """\
portfolio:
  use: top
  by: fast
  long: 1
  gross: 60%
  where: fast > slow
  exit_if: bars_held > 9
  rebalance: {every: 2 bars}
risk:
  stops: {stop_loss: 3 * range}
  position:
    take:
      - {at: 0.3R, size: 40%, then: {stop: break_even}}
      - {when: open_return > 0.005, size: 25%}"""
PORTFOLIO = """\
portfolio: {use: top, by: fast, long: 1, gross: 60%, where: fast > slow, rebalance: {every: 3 bars}}
risk: {stops: {stop_loss: 4%}}"""


def quote(at_ns: int, price: float) -> m.Quoted:
    """Return a quote around a price."""
    return m.Quoted(
        at_ns=at_ns, symbol=0, venue_ns=at_ns, market_ns=at_ns, bid=price - TICK, ask=price + TICK,
        bid_quantity=1e3, ask_quantity=1e3,
    )  # fmt: skip


def live(
    folder: Path, body: str, bars: Sequence[Bar], *, fills: str, holds_stops: bool = False
) -> Path:
    """Let a run live through bars, with quotes inside each, and a start in the middle."""
    path = write_file(folder, bars)
    account = "capital: 5000, type: perpetual" if "perpetual:" in body else "capital: 5000"
    path.write_text(BASE.replace("capital: 5000", account) + body + END, encoding="utf-8")
    run_folder = folder / "run"
    run_folder.mkdir()
    loaded = load(path, mode="paper", sets=[f"execution.simulation.fills={fills}"])
    traded = [Instrument("BTC/USDT", LOT, TICK, 0.0, 1e-8)]
    run = Runner(loaded, run_folder, traded, {}, holds_stops=holds_stops)
    run.start(1, START)
    for n, bar in enumerate(bars[:-1]):
        run.bar(n, bar, bars[n + 1].open, Lives(first=WARMUP))
        if n == len(bars) // 2:
            run.start(2, bar.known_ns + SECOND)
        after = bars[n + 1]
        for k, price in enumerate((after.open, after.low, after.high, after.close)):
            at_ns = after.open_ns + (10 + 600 * k) * SECOND
            if fills == "quotes":
                run.follow(quote(at_ns, price), price)
    run.journal.commit()
    run.journal.close()
    return run_folder


def commands(folder: Path) -> list[m.Command]:
    """Return every command of a journal."""
    with Reader(folder / JOURNAL) as journal:
        return [each for entry in journal.read() for each in entry.commands]


@pytest.mark.parametrize("fills", ["quotes", "next_open"])
@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        (STEPS, {"entry", "add", "take"}), (BUYS, {"buy_every", "take"}),
        (PORTFOLIO, {"rebalance", "stop_loss"}),
        (HARVEST, {"rebalance", "take"}), (GRID, {"grid", "grid_exit"}),
        (NET, {"grid", "grid_exit"}),
    ],
    ids=["steps", "buys", "portfolio", "takes of a portfolio", "grid", "both sides"],
)  # fmt: skip
def test_a_journal_is_replayed_and_shadowed(
    tmp_path: Path, fills: str, body: str, reasons: set[str]
) -> None:
    folder = live(tmp_path, body, walk(120, 3), fills=fills)
    traded = Counter(each.reason for each in commands(folder) if isinstance(each, m.Traded))
    assert reasons <= traded.keys(), traded
    if body == NET:
        sides = {
            each.side
            for each in commands(folder)
            if isinstance(each, m.Placed) and each.reason == "grid"
        }
        assert sides == {"buy", "sell"}
    for proof in (replay, shadow):
        found = proof(folder)
        assert (found.differences, found.first) == (0, None), proof.__name__
        assert found.decisions > 90


def test_each_take_is_sent_once_a_trade_and_sells_its_share_of_what_was_entered(
    tmp_path: Path,
) -> None:
    bought = sold = 0.0
    sent: Counter[str] = Counter()
    trades = 0
    for each in commands(live(tmp_path, STEPS, walk(240, 5), fills="quotes")):
        if isinstance(each, m.Placed) and each.reason in ("take", "add"):
            sent[each.reason] += 1
            assert sent["take"] <= 2
            assert sent["add"] <= 4
        if isinstance(each, m.Submit) and each.reason == "take":
            assert each.reduces
            assert each.quantity < bought - sold, "a take of a part is no exit"
        if isinstance(each, m.Traded):
            bought += each.quantity if each.side == "buy" else 0.0
            sold += each.quantity if each.side == "sell" else 0.0
            if each.reason == "take":
                share = 0.65 if sent["take"] == 2 else 0.4
                assert sold <= share * bought + LOT
            if each.position < LOT:
                trades += sent["take"] > 0
                bought, sold, sent = 0.0, 0.0, Counter()
    assert trades > 3


def test_the_stop_at_the_venue_makes_way_for_a_take_and_follows_what_is_left(
    tmp_path: Path,
) -> None:
    folder = live(tmp_path, STEPS, walk(240, 5), fills="quotes", holds_stops=True)
    assert shadow(folder).differences == replay(folder).differences == 0
    held, stands, trigger, at_break_even = 0.0, 0.0, 0.0, 0
    after_take = False
    for each in commands(folder):
        if isinstance(each, m.Traded):
            held = each.position if each.position >= LOT else 0.0
            after_take |= each.reason == "take"
        elif isinstance(each, m.Changed) and each.order == -1 and each.state == "cancelled":
            stands = 0.0
        elif isinstance(each, m.Submit) and each.reason == "protective_stop":
            assert each.trigger_price is not None
            assert stands == 0.0
            assert abs(each.quantity - held) <= LOT
            at_break_even += after_take and each.trigger_price > trigger
            stands, trigger, after_take = each.quantity, each.trigger_price, False
        elif isinstance(each, m.Submit) and each.reduces:
            assert stands == 0.0, "nothing is sold twice"
    assert at_break_even > 3


@pytest.mark.parametrize(
    "body", [STEPS, BUYS, PORTFOLIO, GRID], ids=["steps", "buys", "portfolio", "grid"]
)
def test_the_gap_to_the_backtest_is_explained(tmp_path: Path, body: str) -> None:
    bars = walk(120, 3)
    for fills in ("quotes", "next_open"):
        folder = tmp_path / fills
        folder.mkdir()
        run = live(folder, body, bars, fills=fills)
        loaded = load(folder / "pair.yaml")
        past = save_run(backtest(loaded, engine="batch"), folder / "runs", report=False)
        gap = diff(run, past, base=folder)
        assert abs(gap.remainder) <= TOLERANCE * gap.capital
        if fills == "next_open":
            assert set(gap.parts.values()) == {0.0}
            assert gap.causes == ()


def test_takes_of_both_runs_are_compared_by_the_bar_in_which_a_price_met_them(
    tmp_path: Path,
) -> None:
    """An order of the same bar and size has no cause, though it left at another moment."""
    folder = live(tmp_path, BUYS, walk(120, 3), fills="quotes")
    takes = [each for each in commands(folder) if isinstance(each, m.Placed)]
    assert sum(each.reason == "take" for each in takes) > 3
    past = save_run(backtest(load(tmp_path / "pair.yaml")), tmp_path / "runs", report=False)
    gap = diff(folder, past, base=tmp_path)
    assert gap.causes == ()
