from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from septet._config import load
from septet._data.stamps import iso
from septet._report.chart_data import chart_data
from septet._report.page import render
from septet._report.rule_texts import text_of_rule, text_of_threshold
from septet._report.save import save_run
from septet._report.why import explain, parse_time, sentence_of
from septet._report.why_terminal import show_why
from septet._shell.backtest import backtest
from septet._store import tables
from septet._store.run_folder import Run
from septet._text import dump_json
from septet.errors import InputError
from tests.report.goldens import check_golden
from tests.report.read_once import ReadOnce
from tests.report.synthetic import FEATURES, HOUR_NS, THRESHOLD, make_result

GOLDEN = Path(__file__).parent / "golden"


def printed(run: Run, reference: str) -> str:
    out = io.StringIO()
    show_why(explain(run, reference), Console(file=out, width=80, highlight=False))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def test_why_an_order_was_made(full_run: Run) -> None:
    found = explain(full_run, "o1")
    order = full_run.table("orders").row(0, named=True)
    assert found["order"]["quantity"] == order["quantity"]
    assert found["order"]["side"] == "buy"
    assert list(found["features"]) == list(FEATURES)
    assert found["decision"]["signal"] == "long"
    assert found["decision"]["capped_by"] == "position"
    assert found["decision"]["probability_up"] == order["probability_up"]
    assert found["threshold"] == THRESHOLD
    assert found["sizing_inputs"]["fraction"] == 0.25
    assert found["model"] == "m1"
    assert [fill["order_id"] for fill in found["fills"]] == ["o1"]
    assert found["bar"]["time"] == found["time"] == found["order"]["time"]
    assert found["bar"]["close"] == order["decision_price"]
    assert found["bar"]["bars_joined"] == 1


def test_why_there_was_no_order(full_run: Run) -> None:
    rejected = full_run.table("decisions").row(-1, named=True)
    assert rejected["rejected_by"]
    found = explain(full_run, f"{rejected['symbol']}@{rejected['time'].isoformat()}")
    assert found["order"] is None
    assert found["fills"] == []
    assert found["decision"]["rejected_by"] == rejected["rejected_by"]


def test_a_time_between_decisions_means_the_last_before_it(full_run: Run) -> None:
    exact = explain(full_run, "BTC/USDT@2023-02-03T04:00:00")
    assert exact["time"] == "2023-02-03T04:00:00Z"
    assert explain(full_run, "BTC/USDT@2023-02-03T04:59:59+00:00") == exact
    # The bar is the one that was known then, never the next.
    assert exact["bar"]["time"] == "2023-02-03T04:00:00Z"


@pytest.fixture(scope="module")
def joined_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with so many bars that they are joined for display."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables.thin_bars, "__kwdefaults__", {"limit": 60, "alone_ns": None})
        made = make_result(symbols=("BTC/USDT", "ETH/USDT"), bars=700)
        return save_run(made, tmp_path_factory.mktemp("joined"), report=False)


def test_every_order_shows_the_bar_it_was_decided_on(full_run: Run, joined_run: Run) -> None:
    joined = joined_run.manifest["display"]["bars_joined"]
    assert min(joined.values()) > 10
    orders = joined_run.table("orders")
    assert orders.height > 5
    for order_id, decided, price in orders.select("order_id", "time", "decision_price").rows():
        bar = explain(joined_run, order_id)["bar"]
        assert bar["time"] == explain(joined_run, order_id)["time"]
        assert (bar["close"], bar["bars_joined"]) == (price, 1), decided
        assert bar["open_time"] == iso(parse_time(bar["time"]) - HOUR_NS)


def test_no_bar_is_shown_that_holds_later_ones(joined_run: Run) -> None:
    """A decision without an order: its own bar is not stored, and the group around it is not."""
    ordered = set(joined_run.table("orders")["time"].to_list())
    decided = joined_run.table("decisions").filter(symbol="BTC/USDT")["time"].to_list()
    shown = 0
    for time in [each for each in decided if each not in ordered][:40]:
        bar = explain(joined_run, f"BTC/USDT@{time.isoformat()}")["bar"]
        if "time" in bar:  # it lies alone between two orders
            assert parse_time(bar["time"]) <= parse_time(time.isoformat())
            continue
        shown += 1
        assert set(bar) == {"bars_joined"}
        output = printed(joined_run, f"BTC/USDT@{time.isoformat()}")
        assert "the bar of this decision is not kept alone" in " ".join(output.split())
        assert "Bar\n" not in output
    assert shown > 20


def test_symbol_and_time_of_an_order_find_the_order(full_run: Run) -> None:
    order = explain(full_run, "o2")
    assert explain(full_run, f"{order['symbol']}@{order['time']}") == order


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("o99999", "has no order 'o99999'"),
        ("DOGE/USDT@2023-02-03", "no decisions for 'DOGE/USDT'; it traded BTC/USDT, ETH/USDT"),
        ("BTC/USDT@2020-01-01", "its first decision was at 2023-01-26T01:00:00Z"),
        ("BTC/USDT@yesterday", "'yesterday' is no time"),
        ("", "has no order ''"),
    ],
)
def test_what_is_not_there_is_reported(full_run: Run, reference: str, words: str) -> None:
    with pytest.raises(InputError) as problem:
        explain(full_run, reference)
    assert words in str(problem.value)


def test_why_reports_that_a_run_has_no_orders(rejected_run: Run) -> None:
    with pytest.raises(InputError, match="it has 0 orders, there are none"):
        explain(rejected_run, "o1")
    found = explain(rejected_run, "BTC/USDT@2023-01-27")
    assert found["decision"]["rejected_by"] == "threshold"


def test_explanation_is_json(full_run: Run) -> None:
    assert json.loads(dump_json(explain(full_run, "o1")))["order"]["order_id"] == "o1"


@pytest.mark.parametrize(
    ("name", "reference"), [("order", "o1"), ("none", "ETH/USDT@2023-02-01T12:00")]
)
def test_printed_explanation(full_run: Run, name: str, reference: str) -> None:
    check_golden(GOLDEN / f"why-{name}.txt", printed(full_run, reference))


def test_times_are_utc_unless_they_state_otherwise() -> None:
    assert parse_time("1970-01-01T01:00") == HOUR_NS
    assert parse_time("1970-01-01T01:00+01:00") == 0
    assert parse_time("1970-01-01 00:00:00.000001") == 1000


@pytest.fixture(scope="module")
def fast_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose decisions were left out."""
    result = make_result(symbols=("BTC/USDT",), bars=700)
    result = replace(result, decisions=None, left_out=("decisions",))
    return save_run(result, tmp_path_factory.mktemp("fast"), report=False)


def test_an_order_of_a_run_without_decisions_reports_its_own_half(fast_run: Run) -> None:
    found = explain(fast_run, "o1")
    order = fast_run.table("orders").row(0, named=True)
    assert found["left_out"] == ["decisions"]
    assert found["order"]["quantity"] == order["quantity"]
    assert found["decision"]["probability_up"] == order["probability_up"]
    assert found["decision"]["signal"] is None
    assert found["features"] == {}
    output = printed(fast_run, "o1")
    assert "made with --fast" in output
    assert "signal" not in output


def test_why_there_was_no_order_is_not_known_without_decisions(fast_run: Run) -> None:
    with pytest.raises(InputError, match="made with --fast"):
        explain(fast_run, "BTC/USDT@2023-01-20T00:00:00")


def test_the_report_notes_that_a_run_has_no_decisions(fast_run: Run) -> None:
    text = render(fast_run)
    assert "The decisions were left out (--fast)" in text
    assert "No decision was rejected" not in text


def test_a_run_whose_curve_is_equity_alone_has_a_summary_and_a_report(tmp_path: Path) -> None:
    result = make_result(symbols=("BTC/USDT",), bars=700)
    assert isinstance(result.equity, dict)
    curve = {name: result.equity[name] for name in ("time", "equity", "drawdown")}
    run = save_run(
        replace(result, equity=curve, decisions=None, left_out=("decisions",), mean_exposure=0.25),
        tmp_path,
    )
    assert run.summary["exposure"] == 0.25
    assert run.table("equity")["exposure"].null_count() == run.table("equity").height
    assert chart_data(run)["curve"]["exposure"] == {"t": [], "mean": [], "long": [], "short": []}


def test_a_rule_of_the_calendar_is_reported_with_the_hours_of_the_file() -> None:
    hours = {"open": "XNYS", "flat_at_close": True, "blackout": {"series": "news"}}
    resolved = {"universe": {"trading_hours": hours}, "risk": {"max_positions": 2}}
    closed = text_of_rule(resolved, "closed_hours", ordered=False)
    assert closed is not None
    assert "(XNYS)" in closed
    assert "news" in closed
    last = [text_of_rule(resolved, "flat_at_close", ordered=each) for each in (True, False)]
    assert last[0] != last[1]
    assert "max_positions is 2" in str(text_of_rule(resolved, "max_positions", ordered=False))
    assert text_of_rule(resolved, "stop_loss", ordered=True) is None
    assert text_of_rule({}, "exit", ordered=True) is None


STEPS = {
    "add": [
        {"when": "close > last_price", "at": [], "size": 0.5, "times": 2},
        {"when": None, "at": [-0.03, "-1R"], "size": 1.0},
    ],
    "take": [{"at": "2R", "when": None, "size": 0.33}, {"at": None, "when": "x > 1", "size": 0.25}],
    "buy_every": {"every": "1d at 12:00", "amount": 50.0},
    "grid": {"centre": "slow", "step": 0.01, "levels": 6, "size": 0.05},
}


@pytest.mark.parametrize(
    ("reason", "order_type", "text"),
    [
        ("add", "market", "of risk.position.add: 50% of the first order when close > last_price; "
         "or 100% of the first order at -3%, -1R from the first price"),
        ("add", "limit", "of risk.position.add: 100% of the first order at -3%, -1R from the first "
         "price"),
        ("take", "limit", "of risk.position.take: 33% of all that was entered at 2R from the "
         "average entry price"),
        ("buy_every", "market", "of risk.position.buy_every: 50.0 at 1d at 12:00"),
        ("grid", "limit", "a level of the grid, 5% of equity as it was laid"),
        ("grid_exit", "limit", "what a level of the grid has bought is sold one step (1%) up"),
        ("break_even", "stop", "the stop stood where what is held closes at zero after its entry "
         "and taker fees"),
        ("stop_loss", "stop", None),
    ],
)  # fmt: skip
def test_an_order_of_a_position_in_steps_names_which_step(
    reason: str, order_type: str, text: str | None
) -> None:
    resolved = {"risk": {"position": STEPS}}
    assert text_of_rule(resolved, reason, ordered=True, order_type=order_type) == text
    assert text_of_rule(resolved, reason, ordered=False) is None


RULES = """
version: 1
name: entries
account: {capital: 10000, currency: USDT}
universe: {symbols: [AA/USDT, BB/USDT], bar: 1d}
data: {candles: {use: synthetic, bars: 120, seed: 3}}
features: {fast: {use: sma, period: 3}, slow: {use: sma, period: 20}}
signal:
  use: rules
  long_if: crosses_above(fast, slow) or (close > 1.05 * prev(close, 1) and close@BB/USDT > 0)
  exit_if: fast < slow and bars_held > 2
risk: {sizing: {use: fixed_fraction, fraction: 20%}}
"""


def test_a_decision_shows_the_rule_that_was_true_or_those_that_were_not(tmp_path: Path) -> None:
    path = tmp_path / "entries.yaml"
    path.write_text(RULES, encoding="utf-8")
    made = save_run(backtest(load(str(path))), tmp_path / "runs", report=False)
    run = ReadOnce(made.folder)
    table = run.table("decisions").filter(pl.col("symbol").cast(pl.String) == "AA/USDT")
    bars = run.table("bars").filter(pl.col("symbol") == "AA/USDT").select("time", "close")
    rows = table.join(bars, on="time", how="left").rows(named=True)
    seen = set()
    for before, row in itertools.pairwise(rows):
        found = explain(run, f"AA/USDT@{row['time'].isoformat()}")
        crossed = row["fast"] > row["slow"] and before["fast"] <= before["slow"]
        jumped = row["close"] > 1.05 * before["close"]
        if row["rejected_by"] == "no_rule_true":
            assert not crossed
            assert not jumped
            assert found["rule"].startswith("`long_if` was false: crosses_above(fast, slow) or (")
            assert f"(fast {row['fast']:.6g}, slow {row['slow']:.6g}, close " in found["rule"]
            assert f"prev(close, 1) {before['close']:.6g}" in found["rule"]
            assert found["rule"] in sentences(run, found)
            seen.add("false")
        elif row["signal"] == "long":
            assert crossed or jumped
            assert found["rule"].startswith("`long_if` was true: crosses_above(fast, slow) or (")
            assert f"(fast {row['fast']:.6g}, slow {row['slow']:.6g}, close " in found["rule"]
            if found["order"] is None and not row["rejected_by"]:
                words = f"it is held long since {found['held']['entry_time']}"
                assert f"the signal was long, and {words}" in sentence_of(found)
                seen.add("held")
            seen.add("long")
        elif row["signal"] == "flat" and found["order"] and found["order"]["reason"] == "exit":
            assert found["rule"] is None, "bars_held is not stored"
            seen.add("exit")
    assert seen == {"false", "long", "exit", "held"}
    first = explain(run, f"AA/USDT@{rows[0]['time'].isoformat()}")
    assert first["rule"] is None  # the bar before it is not stored


def sentences(run: Run, found: dict[str, Any]) -> str:
    return " ".join(printed(run, f"{found['symbol']}@{found['time']}").replace("`L", "`l").split())


def test_a_date_is_the_end_of_its_day() -> None:
    assert iso(parse_time("2023-05-01"))[:19] == "2023-05-01T23:59:59"
    assert iso(parse_time("2023-05-01T00:00"))[:19] == "2023-05-01T00:00:00"


CONFLICT = RULES.replace("currency: USDT", "currency: USDT, type: perpetual").replace(
    "exit_if: fast < slow and bars_held > 2", "short_if: close < slow\n  exit_if: fast < 0.9 * slow"
)
CONFLICT += "perpetual: {funding: {rate: 1bps, every: 8h}}\n"


def test_exits_reversals_and_conflicts_state_their_rules(tmp_path: Path) -> None:
    path = tmp_path / "entries.yaml"
    long_if = "close > 1.001 * prev(close, 1)"
    text = CONFLICT.replace(RULES.partition("long_if: ")[2].partition("\n")[0], long_if)
    path.write_text(text.replace("AA/USDT, BB/USDT", "AA/USDT:USDT"), encoding="utf-8")
    made = save_run(backtest(load(str(path))), tmp_path / "runs", report=False)
    run = ReadOnce(made.folder)
    seen = set()
    wanted = {
        "entry": ("`long_if` was true", "`short_if` was true"),
        "exit": ("`exit_if` was true: fast < 0.9 * slow (fast ",),
        "reversal": ("`long_if` was true", "`short_if` was true"),
        "conflict": (f"`long_if` was true: {long_if} (close ",),
        "held": ("`long_if` was true", "`short_if` was true"),
    }
    for row in run.table("decisions").tail(90).iter_rows(named=True):
        found = explain(run, f"{row['symbol']}@{row['time'].isoformat()}")
        reason = found["order"]["reason"] if found["order"] else row["rejected_by"]
        if reason in wanted:
            assert found["rule"].startswith(wanted[reason]), reason
            seen.add(reason)
        if reason == "entry" and "`long_if`" in found["rule"]:
            assert "(close " in found["rule"]
            assert ", prev(close, 1) " in found["rule"]
        if reason == "conflict":
            assert "; `short_if` was true: close < slow (close " in found["rule"]
    assert seen >= {"entry", "conflict"}


def test_a_stop_shows_the_entry_that_placed_it_and_the_last_decision(tmp_path: Path) -> None:
    path = tmp_path / "stopped.yaml"
    long_if = "close > 1.001 * prev(close, 1)"
    text = CONFLICT.replace(RULES.partition("long_if: ")[2].partition("\n")[0], long_if)
    text = text.replace("AA/USDT, BB/USDT", "AA/USDT:USDT")
    assert "sizing: {use: fixed_fraction, fraction: 20%}" in text
    text = text.replace("fraction: 20%}", "fraction: 20%}, stops: {stop_loss: 0.5%}")
    path.write_text(text, encoding="utf-8")
    made = save_run(backtest(load(str(path))), tmp_path / "runs", report=False)
    run = ReadOnce(made.folder)
    orders = run.table("orders")
    stop = orders.filter(pl.col("reason") == "stop_loss").row(0, named=True)
    entries = orders.filter((pl.col("reason") == "entry") & (pl.col("time") < stop["time"]))
    found = explain(run, stop["order_id"])
    sent = entries.filter(pl.col("filled") > 0.0).row(-1, named=True)
    assert found["entry"]["order_id"] == sent["order_id"]
    assert found["entry"]["granted"] == pytest.approx(
        sent["quantity"] * (1.0 if sent["side"] == "buy" else -1.0)
    )
    assert found["entry"]["decided"] < found["time"]
    shown = printed(run, stop["order_id"])
    assert "Entry that placed it" in shown
    assert "Last decision before it" in shown
    assert explain(run, sent["order_id"])["entry"] is None
    assert "Entry that placed it" not in printed(run, sent["order_id"])


def test_a_decision_under_the_threshold_states_the_probability_it_asks_for(tmp_path: Path) -> None:
    run = save_run(make_result(symbols=("BTC/USDT",), bars=300, first=100), tmp_path)
    highest = run.table("decisions")["confidence"].drop_nulls().drop_nans().to_numpy().max()
    resolved = {"signal": {"use": "confidence", "threshold": 0.55}}
    text = text_of_threshold(run, resolved, "below_threshold") or ""
    assert "asks for p of 0.775 or more for long, 0.225 or less for short" in text
    assert text.endswith(f"the highest confidence of the run was {highest:.3g}")
    assert text_of_threshold(run, resolved, "not_finite") is None
    assert text_of_threshold(run, {"signal": {"use": "rules"}}, "below_threshold") is None


def test_a_time_at_which_no_regular_buy_was_due(tmp_path: Path) -> None:
    """The file has no signal, so that "the signal was none" explains nothing."""
    text = """\
version: 1
name: regular
universe: {symbols: [AA/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 100}}
risk: {position: {buy_every: {every: 1d at 12:00, amount: 50}}}
"""
    path = tmp_path / "regular.yaml"
    path.write_text(text, encoding="utf-8")
    run = ReadOnce(save_run(backtest(load(path)), tmp_path / "runs", report=False).folder)
    found = explain(run, "AA/USDT@2020-01-02T11:00")
    assert sentence_of(found) == "No order for AA/USDT: no regular buy was due."
    assert found["rule"] == "no regular buy was due (risk.position.buy_every: 1d at 12:00)"
    assert "buy_every" in sentence_of(explain(run, "AA/USDT@2020-01-02T12:00"))
