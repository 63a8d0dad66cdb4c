"""A run in stretches against the same run in one piece: bit for bit, whatever the stretch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._core.batch import Batch
from septet._results.result import RunResult
from septet._results.summary import summarise
from septet._shell.backtest import backtest
from septet._shell.session import plan_of
from septet._shell.stretch_backtest import run_by_stretches
from septet._store.find_runs import open_run
from septet._store.tables import stored_frames
from septet.cli import main
from septet.errors import DataError, InputError
from septet.plugin import unbounded
from septet_plugins.data.synthetic import SyntheticConfig, walk_bars

HOUR_NS = 3_600_000_000_000
EXACT = ("orders", "fills", "trades", "round_trips", "monitoring")
HEAD = "version: 1\nname: stream\n"
TWO = "universe: {symbols: [AAA/USDT, BBB/USDT], bar: 1h}\n"
ONE = "universe: {symbols: [AAA/USDT], bar: 1h}\n"
MADE = (
    "data: {candles: {use: synthetic, bars: 1600, volatility: 120%, gaps: 6, gap_bars: 40, "
    "defects: {bad_price: 4, duplicate: 5, conflict: 3, zero_volume: 2}}}\n"
)
FILES = "data: {candles: {use: parquet, path: '{symbol}.parquet'}}\n"
HALF = "risk: {sizing: {use: fixed_fraction, fraction: 50%}}\n"
CROSS = "features: {fast: {use: sma, period: 4}, slow: {use: sma, period: 12}}\n"
RULES = "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}\n"

STRATEGIES = {
    "stops and halts over files with gaps and a late start": HEAD + TWO + FILES + CROSS + RULES
    + "risk:\n  sizing: {use: fixed_fraction, fraction: 50%}\n"
    "  stops: {stop_loss: 2%, take_profit: 5%, trailing: 3%}\n"
    "  halts:\n    drawdown: {above: 8%, then: flatten, resume: 3d}\n"
    "    daily_loss: {above: 2%, then: block_entries, resume: next_day}\n",
    "a higher time frame, rules that look back, days of another zone": HEAD
    + "time_zone: America/New_York\n" + ONE + MADE
    + "features: {tall: {use: rsi, period: 3, bar: 4h}, fast: {use: sma, period: 4}}\n"
    "signal: {use: rules, long_if: 'tall > 50 and fast > prev(close, 9)', exit_if: tall < 45}\n"
    + HALF,
    "a limit that rests, latency, participation": HEAD + ONE + MADE + CROSS
    + "signal: {use: rules, long_if: fast > slow, exit_if: fast < slow, min_interval: 7 bars}\n"
    + HALF + "execution:\n  order: {use: limit, offset: 2%, time_in_force: 30 bars}\n"
    "  simulation: {fee: 10bps, slippage: 5bps, latency: 1 bar, participation: 5%}\n",
    "both sides of a perpetual, rebalanced, with funding": HEAD
    + "account: {type: perpetual}\nperpetual: {leverage: 2, funding: {rate: 1bps, every: 8h}}\n"
    + TWO + MADE + CROSS
    + "signal: {use: rules, long_if: fast > slow, short_if: fast < slow, exit: {after: 40 bars}}\n"
    "risk: {sizing: {use: fixed_fraction, fraction: 40%}, rebalance: {band: 10%}}\n",
    "an anchor, a rank across symbols, correlation": HEAD + TWO + FILES
    + "features: {day: {use: vwap, anchor: day}, place: {use: cross_rank, of: close}, "
    "late: {use: zscore, of: place, period: 5}, other: {use: expr, formula: close@AAA/USDT}}\n"
    "signal: {use: rules, long_if: close > day and place > 0.5, exit_if: close < day}\n"
    "risk:\n  sizing: {use: fixed_fraction, fraction: 40%}\n"
    "  limits: {correlated: {above: 0.3, window: 48h, max: 30%}}\n",
    "hours that end flat, a week that begins elsewhere": HEAD
    + "time_zone: America/New_York\nday_start: '09:30'\n"
    + TWO.replace("bar: 1h", "bar: 1h, trading_hours: {open: XNYS, flat_at_close: true}") + FILES
    + "features: {hour: {use: hour}, fair: {use: vwap, anchor: week}}\n"
    "signal: {use: rules, long_if: close > fair and hour < 15, exit_if: close < fair}\n"
    "risk: {sizing: {use: fixed_fraction, fraction: 50%}, max_positions: 1}\n",
    "adds that rest on both sides, takes": HEAD
    + "account: {type: perpetual}\nperpetual: {leverage: 2, funding: {rate: 1bps, every: 8h}}\n"
    + TWO + FILES + CROSS
    + "signal: {use: rules, long_if: fast > slow, short_if: fast < slow}\n"
    "risk:\n  sizing: {use: fixed_fraction, fraction: 10%}\n  stops: {stop_loss: 9%}\n"
    "  position:\n    add: [{at: [-1%, 2%], size: 50%}, {when: close > last_price, size: 30%}]\n"
    "    take: [{at: 3%, size: 30%}]\n",
    "a portfolio that rebalances, a symbol that begins before the first of the file": HEAD
    + "universe: {symbols: [BBB/USDT, AAA/USDT], bar: 1h}\n" + FILES + CROSS
    + "portfolio: {use: top, by: fast, long: 1, rebalance: {every: 11h, drift: 1%, quorum: 50%}}\n"
    "risk: {stops: {trailing: 5%}}\n",
}  # fmt: skip
RESTS = "adds that rest on both sides, takes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars in small row groups: one symbol whole, one that starts late and is silent for long."""
    place = tmp_path_factory.mktemp("stream")
    for seed, symbol in enumerate(("AAA/USDT", "BBB/USDT")):
        config = SyntheticConfig.model_validate({"bars": 1600, "volatility": "120%", "seed": seed})
        rows = np.arange(1600)
        if seed:
            rows = rows[(rows >= 300) & ((rows < 700) | (rows >= 1_100)) & (rows % 97 != 5)]
        frame = pl.DataFrame(walk_bars(config, symbol, HOUR_NS))[rows]
        name = symbol.replace("/", "")
        frame.write_parquet(place / f"{name}.parquet", row_group_size=64)
    return place


def _loaded(folder: Path, text: str) -> Any:
    path = folder / "strategy.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def _figures(result: RunResult) -> dict[str, Any]:
    found = summarise(result, stored_frames(result), run_id="x")
    return {name: value for name, value in found.items() if "second" not in name}


def _same(whole: RunResult, parts: RunResult, *, span: bool = False) -> None:
    """Compare everything; of the curve the stretches keep some rows.

    A run over a `span` in stretches checks no rows outside it.
    """
    before, after = stored_frames(whole), stored_frames(parts)
    for name in EXACT:
        assert before[name].equals(after[name], null_equal=True), name
    assert whole.halts == parts.halts
    assert whole.notes == parts.notes[:-1]
    assert whole.data_hashes == parts.data_hashes
    for key in ("first_index", "plan", "memory_bars", "sources"):
        assert whole.manifest[key] == parts.manifest[key]
    first, second = _figures(whole), _figures(parts)
    assert first.pop("turnover") == pytest.approx(second.pop("turnover"), rel=1e-12)
    assert first == second
    if not span:
        assert _found(whole) == _found(parts)
    rows = after["equity"].join(before["equity"], on="time", how="inner")
    assert rows.height == after["equity"].height
    assert rows["equity"].equals(rows["equity_right"].rename("equity"))
    assert rows["drawdown"].equals(rows["drawdown_right"].rename("drawdown"))


def _found(result: RunResult) -> list[Any]:
    return sorted((each.symbol, each.kind, each.count, each.message) for each in result.findings)


@pytest.mark.parametrize("name", STRATEGIES)
def test_stretches_of_any_length_change_no_bit(folder: Path, name: str) -> None:
    loaded = _loaded(folder, STRATEGIES[name])
    whole = backtest(loaded, tables=False)
    assert stored_frames(whole)["fills"].height > 20
    if "halts" in name:
        assert len(whole.halts) > 1
    for chunk in (4_000, 801, 100, 37):
        _same(whole, run_by_stretches(loaded, chunk))


def test_orders_that_rest_over_a_border_keep_their_fills(folder: Path) -> None:
    """What the comparison above is about happens: fills and ends in another stretch."""
    orders = stored_frames(run_by_stretches(_loaded(folder, STRATEGIES[RESTS]), 37))["orders"]
    assert set(orders["status"].cast(pl.String)) >= {"filled", "cancelled"}
    assert (orders["status"] == "open").sum() <= 4
    fills = stored_frames(backtest(_loaded(folder, STRATEGIES[RESTS]), tables=False))["fills"]
    sums = fills.group_by("order_id").agg(pl.col("quantity").sum())
    both = orders.filter(pl.col("filled") > 0).join(sums, on="order_id", how="full")
    assert both["filled"].to_list() == pytest.approx(both["quantity"].to_list(), rel=1e-12)
    late = orders.join(fills.group_by("order_id").agg(pl.col("time").max()), on="order_id")
    stretch_ns = 37 * HOUR_NS
    began, ended = (late[name].to_physical() // stretch_ns for name in ("time", "time_right"))
    assert (began != ended).sum() > 10


def test_stretches_of_single_bars(folder: Path) -> None:
    text = STRATEGIES["stops and halts over files with gaps and a late start"]
    loaded = _loaded(folder, text.replace("bar: 1h}", "bar: 1h, end: 2020-01-17}"))
    _same(backtest(loaded, tables=False), run_by_stretches(loaded, 1), span=True)


def test_a_span_is_cut_out_with_the_warm_up_before_it(folder: Path) -> None:
    span = "bar: 1h, start: 2020-01-20, end: 2020-02-20}"
    loaded = _loaded(folder, (HEAD + ONE + FILES + CROSS + RULES + HALF).replace("bar: 1h}", span))
    whole, parts = backtest(loaded, tables=False), run_by_stretches(loaded, 50)
    _same(whole, parts, span=True)
    assert parts.facts.start_ns == whole.facts.start_ns
    assert parts.facts.bars == whole.facts.bars


@pytest.mark.parametrize(
    "stamp",
    [
        pl.col("timestamp") // 1_000_000_000,
        pl.from_epoch("timestamp", time_unit="ns").cast(pl.Datetime("ms", "UTC")),
        pl.from_epoch("timestamp", time_unit="ns").cast(pl.Datetime("us")),
    ],
    ids=["seconds", "milliseconds in UTC", "microseconds without a zone"],
)
def test_stamps_of_any_unit(folder: Path, tmp_path: Path, stamp: pl.Expr) -> None:
    frame = pl.read_parquet(folder / "AAAUSDT.parquet").with_columns(stamp.alias("timestamp"))
    frame.write_parquet(tmp_path / "AAAUSDT.parquet", row_group_size=100)
    files = FILES.replace("use: parquet", "use: parquet, time_zone: UTC")
    loaded = _loaded(tmp_path, HEAD + ONE + files + CROSS + RULES + HALF)
    _same(backtest(loaded, tables=False), run_by_stretches(loaded, 90))


def test_daily_bars_by_their_dates(tmp_path: Path) -> None:
    frame = pl.DataFrame(walk_bars(SyntheticConfig(bars=400), "AAA/USDT", 24 * HOUR_NS))
    date = pl.from_epoch("timestamp", time_unit="ns").cast(pl.Date)
    frame.with_columns(date.alias("timestamp")).write_parquet(tmp_path / "AAAUSDT.parquet")
    loaded = _loaded(tmp_path, (HEAD + ONE + FILES + CROSS + RULES + HALF).replace("1h", "1d"))
    _same(backtest(loaded, tables=False), run_by_stretches(loaded, 30))


@pytest.mark.filterwarnings("ignore:Series.values returning")  # of exchange_calendars, in a thread
def test_sessions_of_an_exchange(tmp_path: Path) -> None:
    calendar = "data: {candles: {use: parquet, path: '{symbol}.parquet', calendar: XNYS}}\n"
    frame = pl.DataFrame(walk_bars(SyntheticConfig(bars=1_500), "AAA/USDT", HOUR_NS))
    frame.write_parquet(tmp_path / "AAAUSDT.parquet")
    text = HEAD + ONE + calendar.replace("XNYS", "XNYS, max_bad: 100%") + CROSS + RULES + HALF
    loaded = _loaded(tmp_path, text)
    whole = backtest(loaded, tables=False)
    assert stored_frames(whole)["fills"].height > 20
    _same(whole, run_by_stretches(loaded, 300))


def test_files_out_of_order_and_several_of_them(folder: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(folder / "AAAUSDT.parquet").sort("close")
    for number, part in enumerate((frame[:700], frame[700:])):
        part.write_parquet(tmp_path / f"AAA-USDT-{number}.parquet", row_group_size=100)
    text = HEAD + ONE + FILES.replace("{symbol}.parquet", "*.parquet") + CROSS + RULES + HALF
    loaded = _loaded(tmp_path, text)
    whole, parts = backtest(loaded, tables=False), run_by_stretches(loaded, 200)
    assert stored_frames(whole)["fills"].equals(stored_frames(parts)["fills"])
    assert _figures(whole)["final_equity"] == _figures(parts)["final_equity"]


def test_a_symbol_column(folder: Path, tmp_path: Path) -> None:
    frames = [
        pl.read_parquet(folder / f"{name}USDT.parquet").with_columns(symbol=pl.lit(name + "/USDT"))
        for name in ("AAA", "BBB")
    ]
    pl.concat(frames).sort("timestamp").write_parquet(tmp_path / "all.parquet", row_group_size=99)
    text = HEAD + TWO + FILES.replace("{symbol}", "all") + CROSS + RULES + HALF
    loaded = _loaded(tmp_path, text)
    _same(backtest(loaded, tables=False), run_by_stretches(loaded, 150))


@pytest.mark.parametrize(
    ("change", "expected", "key"),
    [
        (lambda text: text, "it was 0", ""),
        (
            lambda text: text.replace("synthetic, bars: 1600, volatility: 120%", "sample"),
            "sample cannot be read in stretches",
            "data.candles.use",
        ),
        (lambda text: text.replace("bars: 1600", "policy: {gap: fill}, bars: 1600"), "gap: fill",
         "data.candles.policy.gap"),
        (lambda text: text.replace("bars: 1600", "adjust: splits, bars: 1600"), "every split",
         "data.candles.adjust"),
        (lambda text: text.replace("1600", "9"), "no decision could be taken", "features.slow"),
        (
            lambda text: text.replace("bar: 1h}", "bar: 1h, start: 2031-01-01}"),
            "do not overlap",
            "universe.start",
        ),
        (
            lambda text: text + "execution: {simulation: {fills: quotes}}\n",
            "fills: quotes",
            "execution.simulation.fills",
        ),
        (
            lambda text: text + "monitoring: {costs: {use: cost_share, trades: 5}}\n",
            "reads the whole curve",
            "monitoring.costs",
        ),
    ],
    ids=["zero", "no scan", "gap", "splits", "too few", "outside", "fills",
         "monitor"],
)  # fmt: skip
def test_what_cannot_be_cut_is_refused_with_a_message(
    tmp_path: Path, change: Callable[[str], str], expected: str, key: str
) -> None:
    text = change(HEAD + ONE + MADE.split(", gaps")[0] + "}}\n" + CROSS + RULES + HALF)
    with pytest.raises(InputError, match=expected) as caught:
        run_by_stretches(_loaded(tmp_path, text), 0 if expected == "it was 0" else 500)
    problem = caught.value.problem
    assert (problem.key if problem else "") == key
    assert (problem is not None and problem.line > 0) == bool(key), "what the file causes"


def test_a_feature_that_never_forgets_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*given: Any, **named: Any) -> Any:
        made = plan_of(*given, **named)
        made.assembly.graph.nodes[1].memory = unbounded()
        return made

    monkeypatch.setattr("septet._shell.stretch_backtest.plan_of", plan)
    loaded = _loaded(tmp_path, HEAD + ONE + MADE + CROSS + RULES + HALF)
    with pytest.raises(InputError, match=r"features\.slow never forgets"):
        run_by_stretches(loaded, 500)


def test_a_model_is_refused(tmp_path: Path) -> None:
    text = (
        HEAD + ONE + MADE + "features: {ret: {use: log_return}}\n"
        "model: {use: sklearn, estimator: LogisticRegression, label: {use: direction}, "
        "training: {train: 30d, step: 15d}}\n"
        "signal: {use: confidence, threshold: 0.01}\n" + HALF
    )
    with pytest.raises(InputError, match="a model is trained"):
        run_by_stretches(_loaded(tmp_path, text), 500)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (pl.from_epoch("timestamp", time_unit="ns").dt.strftime("%Y-%m-%d %H:%M"), "String"),
        (pl.col("timestamp") / 1e9, "Float64"),
        (
            pl.when(pl.int_range(pl.len()) == 0)
            .then(pl.col("timestamp") // 1_000_000)
            .otherwise("timestamp"),
            "not of one unit",
        ),
    ],
    ids=["text", "fractions", "two units"],
)
def test_stamps_that_cannot_be_cut(
    folder: Path, tmp_path: Path, stamp: pl.Expr, expected: str
) -> None:
    frame = pl.read_parquet(folder / "AAAUSDT.parquet").with_columns(stamp.alias("timestamp"))
    frame.write_parquet(tmp_path / "AAAUSDT.parquet")
    with pytest.raises(DataError, match=expected):
        run_by_stretches(_loaded(tmp_path, HEAD + ONE + FILES + CROSS + RULES + HALF), 90)


def test_mostly_bad_data_is_refused_as_in_one_piece(folder: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(folder / "AAAUSDT.parquet")
    bad = pl.when(pl.int_range(pl.len()) % 5 < 3).then(-1.0).otherwise("low")
    frame.with_columns(low=bad).write_parquet(tmp_path / "AAAUSDT.parquet")
    loaded = _loaded(tmp_path, HEAD + ONE + FILES + CROSS + RULES + HALF)
    for run in (lambda: backtest(loaded), lambda: run_by_stretches(loaded, 90)):
        with pytest.raises(DataError, match="too much of the data is bad, 640 of 1600"):
            run()


def test_the_command_stores_the_run_and_states_how_it_went(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _loaded(folder, HEAD + TWO + FILES + CROSS + RULES + HALF)
    words = ["run", str(folder / "strategy.yaml"), "--out", str(folder / "runs"), "--json"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--chunk", "200"])
    assert left.value.code == 0
    (place,) = (folder / "runs" / "stream").iterdir()
    run = open_run(place)
    assert run.left_out == ("decisions",)
    assert any("stretches of 200 bars" in note for note in run.manifest["notes"])
    assert run.table("equity", ["time", "equity"]).height < 100
    capsys.readouterr()
    for wrong in (["--chunk", "-5"], ["--chunk", "200", "--engine", "event"]):
        with pytest.raises(SystemExit) as left:
            main([*words, *wrong])
        assert left.value.code == 2
        assert "--chunk" in capsys.readouterr().err


def test_an_interruption_leaves_no_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _loaded(folder, HEAD + TWO + FILES + CROSS + RULES + HALF)
    calls: list[int] = []
    real = Batch.run

    def run(self: Batch, first: int) -> None:
        calls.append(first)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, first)

    monkeypatch.setattr(Batch, "run", run)
    out = folder / "stopped"
    with pytest.raises(SystemExit) as left:
        main(["run", str(folder / "strategy.yaml"), "--out", str(out), "--chunk", "200"])
    assert left.value.code not in (0, None)
    assert len(calls) == 3
    assert not out.exists()


def test_bars_for_display_are_joined_as_they_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("septet._shell.stretch_backtest.DISPLAY_BARS", 400)
    loaded = _loaded(folder, HEAD + ONE + FILES + CROSS + RULES + HALF)
    whole, parts = backtest(loaded, tables=False), run_by_stretches(loaded, 100)
    bars, shown = whole.bars["AAA/USDT"], parts.bars["AAA/USDT"]
    assert len(shown) < len(bars) / 4
    assert shown.volume.sum() == pytest.approx(bars.volume.sum())
    assert (shown.high.max(), shown.low.min()) == (bars.high.max(), bars.low.min())
    assert shown.open[0] == bars.open[0]
    assert shown.close[-1] == bars.close[-1]
    assert _figures(parts)["buy_and_hold_return"] == _figures(whole)["buy_and_hold_return"]
    again = replace(parts, max_drawdown=None)
    assert _figures(again)["max_drawdown"] <= _figures(whole)["max_drawdown"]
