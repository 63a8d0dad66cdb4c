"""A setting of a sweep, and a paper or live run, report that a rule gave invalid answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._config.load import variant
from septet._data.bars import Instrument
from septet._results.invalid_answers import short_invalid_answers
from septet._shell.backtest import backtest
from septet._store.journal_view import LiveRun, open_live
from septet._sweep.backtest_evaluator import BacktestEvaluator
from septet._sweep.compiled import CompiledEvaluator
from septet._sweep.first_decision import begin_sweep
from septet._sweep.open_evaluator import open_evaluator
from septet._sweep.setting_row import INVALID_ANSWERS
from septet._sweep.space import space_of
from septet._sweep.swept_parameters import numbers_of
from septet.cli import main
from tests.live.diffs import LOT, SECOND, START, TICK, Lives, Runner, walk, write_file
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

SOURCE = """
@stop(Plain)
def far_stop(average_price, side, share):
    return average_price * (1.0 - side * share)


@stop(Plain)
def wrong_stop(high_water, side, share):
    return high_water * (1.0 + side * share)


@stop(Plain)
def no_price(side, share):
    return -1.0 if side > 0.0 else math.inf


@stop(Plain, role="target")
def no_target(side, share):
    return math.inf if side > 0.0 else -1.0


@halt(Plain)
def odd_halt(equity, peak, share):
    return math.nan
"""
KINDS = {
    "far_stop": ("risk", "stop"), "wrong_stop": ("risk", "stop"), "no_price": ("risk", "stop"),
    "no_target": ("risk", "stop"), "odd_halt": ("risk", "halt"),
}  # fmt: skip
STOPS = "{stop_loss: 2%}"


def written(folder: Path, sweep: str = "") -> Path:
    files = {"steps.py": HEAD + SOURCE, "manifest.py": manifest_of("odd_rules", KINDS)}
    write_package(folder, "odd-rules", files)
    text = STRATEGY.format(plugins="plugins: [odd-rules]", feature="{use: roc, period: 2}")
    path = folder / "strategy.yaml"
    text = text.replace(STOPS, "{mine: {use: far_stop, share: 5%}}")
    path.write_text(text + sweep, encoding="utf-8")
    return path


SWEEP = "sweep: {over: {risk.stops.mine.share: [5%, 100%, 150%]}}\n"


@pytest.mark.parametrize(
    "kind", [pytest.param(CompiledEvaluator, marks=pytest.mark.compiled), BacktestEvaluator]
)
def test_a_setting_that_breaks_a_contract_is_reported(tmp_path: Path, kind: Any) -> None:
    with installed(tmp_path, "odd_rules"):
        loaded = load(written(tmp_path, SWEEP), unchecked=True)
        space = space_of(loaded)
        numbers = numbers_of(loaded, space)
        first_ns = begin_sweep(loaded, space, numbers, print).first_ns
        if kind is CompiledEvaluator:
            made = open_evaluator(loaded, space, first_ns, 1, print, numbers)
        else:
            made = BacktestEvaluator(loaded, space, first_ns, 1, print)
        assert isinstance(made, kind)
        rows = made.evaluate(list(space.settings()))
        made.close()
        whole = [
            backtest(variant(loaded, space.changes(each)), not_before_ns=first_ns)
            for each in space.settings()
        ]
    assert [row[INVALID_ANSWERS] for row in rows] == [
        short_invalid_answers(each.invalid_answers) for each in whole
    ]
    assert rows[0][INVALID_ANSWERS] is None
    assert rows[2][INVALID_ANSWERS].startswith("risk.stops.mine ")
    assert int(rows[2][INVALID_ANSWERS].split()[1]) > 10


def test_the_verdict_of_a_sweep_states_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, SWEEP)
    with installed(tmp_path, "odd_rules"), pytest.raises(SystemExit) as left:
        main(["sweep", "strategy.yaml", "--yes", "--unchecked"])
    assert left.value.code == 0
    text = "a rule gave answers that its kind does not allow"
    assert f"In 2 settings of 3 {text}" in " ".join(capsys.readouterr().out.split())
    (page,) = tmp_path.rglob("sweep.html")
    assert text in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("fills", ["next_open", "quotes"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("wrong_stop", "stop"), ("no_price", "stop"), ("no_target", "target"), ("odd_halt", "halt")],
)
def test_invalid_answers_are_counted_while_a_run_goes_on(
    tmp_path: Path, name: str, kind: str, fills: str
) -> None:
    bars, rule = walk(), f"risk.{'halts' if kind == 'halt' else 'stops'}.mine"
    written(tmp_path)
    path = write_file(tmp_path, bars)
    then = ", then: block_entries, resume: 2h" if kind == "halt" else ""
    sets = ["plugins=[odd-rules]", f"{rule}={{use: {name}{then}}}"]
    live = tmp_path / "live"
    live.mkdir()
    with installed(tmp_path, "odd_rules"):
        tried = backtest(load(path, sets=sets, unchecked=True))
        more = [f"execution.simulation.fills={fills}"]
        loaded = load(path, mode="paper", sets=[*sets, *more], unchecked=True)
        traded = [Instrument("BTC/USDT", LOT, TICK, 0.0, 1e-8)]
        run = Runner(loaded, live, traded, {})
        run.start(1, START)
        for n, bar in enumerate(bars):
            following = bars[min(n + 1, len(bars) - 1)].open
            run.bar(n, bar, following, Lives(venue_fills=fills == "quotes"))
            for k in range(3):
                price, at_ns = bar.close * (1.0 - 1e-5 * k), bar.known_ns + (k + 2) * SECOND
                quote = m.Quoted(
                    at_ns=at_ns, market_ns=at_ns, venue_ns=at_ns, symbol=0,
                    bid=price, bid_quantity=1.0, ask=price, ask_quantity=1.0,
                )  # fmt: skip
                run.follow(quote, price)
        run.journal.commit()
        run.journal.close()
    reported = open_live(live)
    assert isinstance(reported, LiveRun)
    (found,) = reported.result.invalid_answers
    assert (found["rule"], found["kind"]) == (rule, kind)
    (same,) = tried.invalid_answers
    if kind != "halt":  # a price between two bars tests a halt earlier
        assert found["first_ns"] == same["first_ns"]
    if fills == "next_open":
        assert found == same
    assert 0 < found["times"] <= len(bars)
    (alert,) = [each for each in reported.fold.alerts if each["event"] == "invalid_answer"]
    assert f"{rule} gave an answer that a {kind} may not give" in alert["text"]
    (line,) = reported.summary["invalid_answers"]
    assert (line["rule"], line["plugin"], line["times"]) == (rule, name, found["times"])
    assert rule in reported.summary["verdict"]
