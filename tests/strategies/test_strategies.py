"""Every strategy that is shipped is checked and run, on the data that is shipped with it."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from septet._config import load
from septet._plan.plain import COMPILE
from septet._results.result import SUMMARY, TABLES
from septet.cli import main
from septet_schemas.position import LEVEL_COLUMNS
from tests.core.shapes import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "strategies").glob("*.yaml"))
SIMPLE = ("mean-reversion", "sma-cross")
"""Strategies whose every plugin a shape of `tests/core` compiles: rules, on one spot account."""
STORED = ("decisions", "orders", "fills", "trades", "equity", "monitoring", "bars")

Septet = Callable[..., tuple[int, str, str]]
RunOf = Callable[[str], "Stored"]


@dataclass(frozen=True)
class Stored:
    """A run as read from its folder."""

    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        return self._document("summary")

    @property
    def manifest(self) -> dict[str, Any]:
        return self._document("manifest")

    def _document(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text("utf-8"))
        return found

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")


def _call(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


def _run(file: Path, out: Path, *more: str) -> Stored:
    assert _call("run", str(file), "--out", str(out), *more) == 0
    (folder,) = (path for path in out.glob("*/*") if not path.name.startswith("."))
    return Stored(folder)


@pytest.fixture
def septet(capfd: pytest.CaptureFixture[str]) -> Septet:
    """Run one command; give its exit status, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = _call(*words)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """Give the run of a file by its name, as plain Python; every file runs once for the module."""

    @cache
    def run(name: str) -> Stored:
        return _run(ROOT / "strategies" / f"{name}.yaml", tmp_path_factory.mktemp(name))

    return run


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def ran(request: pytest.FixtureRequest, run_of: RunOf) -> tuple[Path, Stored]:
    """A strategy file and its run."""
    return request.param, run_of(request.param.stem)


def _header(file: Path) -> str:
    """The comment at the top, without the line for editors."""
    text = file.read_text("utf-8")
    lines = text.partition("\nversion:")[0].splitlines()
    return "\n".join(each.lstrip("# ") for each in lines if "$schema" not in each).strip()


def test_the_promised_strategies_are_there() -> None:
    assert {file.stem for file in FILES} >= {
        "demo", "gradient-boosting", "logistic", "mean-reversion", "perpetual-trend",
        "random-forest", "sma-cross", "us-stocks", "us-stocks-forecasts", "us-stocks-momentum",
    }  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_shows_what_it_shows_and_explains_its_warnings(file: Path) -> None:
    header = _header(file)
    assert len(header.split()) >= 30
    loaded = load(file)
    assert loaded.strategy.name == file.stem
    assert loaded.strategy.data.candles.use in ("sample", "synthetic")
    for warning in loaded.warnings:
        assert warning.key in header, warning.message


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_check_passes(file: Path, septet: Septet) -> None:
    code, out, _ = septet("check", str(file))
    assert code == 0
    assert out.startswith("ok")


def test_costs_are_never_forgotten(ran: tuple[Path, Stored]) -> None:
    file, run = ran
    simulation = load(file).strategy.execution.simulation
    assert simulation.fee.taker > 0.0
    assert simulation.slippage.fraction > 0.0
    fills = run.table("fills")
    assert (fills["fee"] > 0.0).all()


def test_a_run_writes_every_table(ran: tuple[Path, Stored]) -> None:
    file, run = ran
    strategy = load(file).strategy
    names = [*STORED, "predictions"] if strategy.model else STORED
    for name in names:
        columns = run.table(name).columns
        if name == "decisions":
            wanted = list(TABLES[name])
            assert columns[:2] == wanted[:2]
            assert columns[-len(wanted) + 2 :] == wanted[2:]
            read = {each.partition("_")[0] for each in columns[2 : -len(wanted) + 2]}
            added = {"target"} if strategy.portfolio.decides else set()
            added |= {each.partition("_")[0] for each in LEVEL_COLUMNS}
            assert read <= {each.partition("_")[0] for each in strategy.features} | added
        else:
            assert columns == list(TABLES[name])
    for name in ("manifest", "resolved", "findings"):
        json.loads((run.folder / f"{name}.json").read_text("utf-8"))
    assert (run.folder / "strategy.yaml").read_text("utf-8") == file.read_text("utf-8")
    assert "<html" in (run.folder / "report.html").read_text("utf-8")[:2_000]


def test_the_summary_agrees_with_the_tables(ran: tuple[Path, Stored]) -> None:
    _, run = ran
    summary, equity, trades = run.summary, run.table("equity"), run.table("trades")
    assert set(SUMMARY) <= set(summary)
    closed = trades.filter(pl.col("exit_reason") != "open")
    assert summary["trades"] == closed.height
    assert summary["final_equity"] == equity["equity"][-1]
    earned = summary["final_equity"] - summary["initial_capital"]
    assert math.isclose(trades["pnl"].sum(), earned, abs_tol=1e-6)
    assert equity["time"].is_sorted()
    assert run.table("decisions")["time"].min() >= equity["time"][0]


def test_a_strategy_trades_as_often_as_its_comment_claims(ran: tuple[Path, Stored]) -> None:
    file, run = ran
    promised = re.search(r"At least (\d+) trades", _header(file))
    count = run.summary["trades"]
    if promised is None:
        assert count < 30
        assert "too few to judge" in run.summary["verdict"]
    else:
        assert count >= int(promised[1])


def test_spot_accounts_never_go_short(ran: tuple[Path, Stored]) -> None:
    file, run = ran
    sides = set(run.table("trades")["side"].to_list())
    kind = load(file).strategy.account.type
    assert sides == ({"long", "short"} if kind == "perpetual" else {"long"} & sides)


def test_predictions_are_out_of_sample(ran: tuple[Path, Stored]) -> None:
    file, run = ran
    if load(file).strategy.model is None:
        assert run.table("decisions")["probability_up"].is_nan().all()
        assert not (run.folder / "predictions.parquet").exists()
        return
    cards = [json.loads(path.read_text("utf-8")) for path in run.folder.glob("models/*/card.json")]
    assert cards
    assert all(card["last_label_ns"] <= card["trained_to_ns"] for card in cards)
    first = run.table("predictions")["time"].dt.timestamp("ns").min()
    assert isinstance(first, int)
    assert first > min(card["trained_to_ns"] for card in cards)


@pytest.mark.parametrize("name", [*SHIPPED, *SIMPLE])
def test_a_run_repeats_itself(name: str, run_of: RunOf, tmp_path: Path) -> None:
    one = run_of(name)
    two = _run(ROOT / "strategies" / f"{name}.yaml", tmp_path, "--no-report")
    for table in STORED:
        assert_frame_equal(one.table(table), two.table(table), check_exact=True)
    timed = {"run_id", "seconds", "seconds_total", "bars_per_second"}
    same = [{k: v for k, v in run.summary.items() if k not in timed} for run in (one, two)]
    assert same[0] == same[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_both_engines_and_plain_python_agree(
    name: str, run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, runs = ROOT / "strategies" / f"{name}.yaml", [run_of(name)]
    assert runs[0].manifest["compiled"] is False
    monkeypatch.setenv(COMPILE, "always")
    for engine in ("batch", "event"):
        runs.append(_run(file, tmp_path / engine, "--no-report", "--engine", engine))
        assert runs[-1].manifest["compiled"] is True
    for table in STORED:
        for other in runs[1:]:
            assert_frame_equal(runs[0].table(table), other.table(table), check_exact=True)


@pytest.mark.parametrize("name", SIMPLE)
def test_both_engines_agree(name: str, tmp_path: Path) -> None:
    file, until = ROOT / "strategies" / f"{name}.yaml", "universe.end=2021-11-15"
    runs = [
        _run(file, tmp_path / engine, "--no-report", "--engine", engine, "--set", until)
        for engine in ("batch", "event")
    ]
    assert runs[0].table("trades").height > 10
    for table in STORED:
        assert_frame_equal(*(run.table(table) for run in runs), check_exact=True)


def test_a_group_limits_its_own_symbols_only(tmp_path: Path) -> None:
    text = (ROOT / "strategies" / "us-stocks.yaml").read_text("utf-8")
    file = tmp_path / "us-stocks.yaml"
    file.write_text("".join(x for x in text.splitlines(True) if "machines:" not in x), "utf-8")
    decisions = _run(file, tmp_path / "runs", "--no-report").table("decisions")
    refused = decisions.filter(pl.col("rejected_by") == "groups")["symbol"].unique()
    assert set(refused.to_list()) <= {"FB", "GOOG", "MSFT"}
    assert (decisions.filter(pl.col("symbol") == "AAPL")["granted"] > 0.0).any()


def test_funding_is_paid_by_longs_and_received_by_shorts(run_of: RunOf, tmp_path: Path) -> None:
    file, free_of_it = ROOT / "strategies" / "perpetual-trend.yaml", "perpetual.funding.rate=0bps"
    usual, free = run_of(file.stem), _run(file, tmp_path, "--no-report", "--set", free_of_it)
    # The first trade of each side has the same fills in both runs but for its size.
    for side, sign in (("long", 1.0), ("short", -1.0)):
        paid, unpaid = (
            run.table("trades").filter(pl.col("side") == side)[0] for run in (usual, free)
        )
        assert paid["entry_time"][0] == unpaid["entry_time"][0]
        share = [each["pnl"][0] / each["quantity"][0] for each in (paid, unpaid)]
        assert sign * (share[1] - share[0]) > 0.0


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_satisfies_the_schema_it_names(file: Path) -> None:
    first = file.read_text("utf-8").partition("\n")[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    schema = json.loads((file.parent / named).read_text("utf-8"))
    problems = list(
        jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(file.read_text("utf-8")))
    )
    assert [each.message for each in problems] == []


def test_set_changes_one_value(run_of: RunOf, tmp_path: Path) -> None:
    file = ROOT / "strategies" / "sma-cross.yaml"
    usual = run_of("sma-cross")
    half = _run(file, tmp_path / "half", "--no-report", "--set", "risk.sizing.fraction=50%")
    known = [json.loads((run.folder / "resolved.json").read_text("utf-8")) for run in (usual, half)]
    values = [each["risk"]["sizing"].pop("fraction") for each in known]
    assert values == [1.0, 0.5]
    assert known[0] == known[1]
    columns = ["symbol", "side", "entry_time", "entry_price", "exit_time", "exit_price"]
    assert_frame_equal(usual.table("trades")[columns], half.table("trades")[columns])
    assert 0.0 < half.summary["fees"] < 0.7 * usual.summary["fees"]


REFUSED = {
    "no overlap": (
        "sma-cross",
        "universe.start=2030-01-01",
        2,
        "do not overlap",
        "--set universe.start",
    ),
    "the data begins later": (
        "sma-cross",
        "universe.end=2001-01-01",
        2,
        "do not overlap",
        "--set universe.end",
    ),
    "too few bars": ("sma-cross", "features.slow.period=20000", 2, "too few", ":18:9"),
    "a window too short": (
        "logistic",
        "model.training.min_rows=5000",
        2,
        "no window can be",
        ":32:43",
    ),
    "no window trains": (
        "logistic",
        "model.training.min_class=5000",
        1,
        "could be trained",
        ":32:43",
    ),
    "before the first model": ("logistic", "universe.end=2017-01-10", 1, "training", ":32:43"),
    "an unknown key": (
        "sma-cross",
        "risk.sizing.fractoin=50%",
        2,
        "did you mean fraction?",
        "--set risk.sizing.fractoin",
    ),
    "a slip of the unit": (
        "sma-cross",
        "risk.sizing.fraction=50",
        2,
        "write 50%",
        "--set risk.sizing.fraction",
    ),
    "an unknown symbol": (
        "sma-cross",
        "universe.symbols=[DOGE/USD]",
        2,
        "no bundled sample",
        ":14:12",
    ),
    "another bar": ("sma-cross", "universe.bar=1h", 2, "no bundled sample", ":14:12"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_what_cannot_run_states_why_and_leaves_nothing(
    case: str, tmp_path: Path, septet: Septet
) -> None:
    name, setting, status, text, place = REFUSED[case]
    file = ROOT / "strategies" / f"{name}.yaml"
    code, _, err = septet("run", str(file), "--set", setting, "--out", str(tmp_path))
    assert (code, text in err) == (status, True), err
    at = f"{file}{place}" if place.startswith(":") else place
    first = next(line for line in err.splitlines() if not line.endswith(" done"))  # of the training
    assert first.startswith(f"{at}: error: "), "the line and column, or the option that was given"
    assert "hint" in err or "expected" in err
    assert not list(tmp_path.glob("*/*"))


def test_the_full_file_passes_check(septet: Septet) -> None:
    file = Path(__file__).with_name("full.yaml")
    code, out, err = septet("check", str(file), "--no-data")
    assert code == 0
    assert "3 warnings" in out
    for key in ("signal.exit.after", "risk.sizing.max", "risk.limits.gross_exposure"):
        assert f"warning: {key}: " in err
    strategy = load(file).strategy
    unset = [name for name in type(strategy).model_fields if name not in strategy.model_fields_set]
    assert set(unset) == {
        "plugins", "perpetual", "time_zone", "day_start", "benchmark", "paper", "sweep",
        "portfolio", "spreads", "strategies", "netting", "reset",
    }  # fmt: skip


def test_levels_are_shown_while_held_and_stops_act_at_them(ran: tuple[Path, Stored]) -> None:
    """The row before a stop has its level; nothing has a level while nothing is held."""
    _, run = ran
    rows = run.table("decisions")
    names = [each for each in LEVEL_COLUMNS if each in rows.columns]
    if not names:
        pytest.skip("the file has no stop, target, take or resting add")
    levels = {"stop_loss", "trailing", "level", "break_even"}
    fills = run.table("fills").join(run.table("orders").select("order_id", "reason"), "order_id")
    trades = run.table("trades")
    for (symbol,), mine in rows.group_by("symbol", maintain_order=True):
        times = mine["time"].to_physical().to_numpy()
        held, doubtful = np.zeros(len(times), bool), np.zeros(len(times), bool)
        for trade in _physical(trades, symbol, "entry_time", "exit_time"):
            after = (times < trade["exit_time"]) | (trade["exit_reason"] == "open")
            held |= (times >= trade["entry_time"]) & after
            # the open that follows a close has its time: a fill there comes after the row
            doubtful |= (times == trade["entry_time"]) | (times == trade["exit_time"])
        for name in names:
            assert np.isnan(mine[name].to_numpy()[~held & ~doubtful]).all()
        filled = sorted(_physical(fills, symbol, "time"), key=lambda fill: int(fill["time"]))
        filled_ns = [fill["time"] for fill in filled]
        for fill in filled:
            if fill["reason"] in levels:
                stops = mine["stop_price"].to_numpy()
                at = np.searchsorted(times, fill["time"], side="right") - 1
                at -= np.isnan(stops[at])  # filled inside the bar: the row before
                between = filled[
                    bisect_left(filled_ns, times[at]) : bisect_right(filled_ns, fill["time"])
                ]
                sign = 1.0 if fill["side"] == "sell" else -1.0
                if all(f["side"] == fill["side"] for f in between):  # else that has moved the stop
                    assert sign * (fill["price"] - stops[at]) <= 1e-9 * stops[at]


def _physical(table: pl.DataFrame, symbol: object, *times: str) -> Iterator[dict[str, Any]]:
    """Yield rows of a symbol, with times as nanoseconds."""
    mine = table.filter(pl.col("symbol") == symbol)
    yield from mine.with_columns(pl.col(*times).to_physical()).iter_rows(named=True)
