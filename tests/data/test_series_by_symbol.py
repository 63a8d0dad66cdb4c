"""A series with a file for each symbol, as a feature and as the model's probability."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet import _learn as learn
from septet._config.load import load
from septet._data.bad_rows import doubts
from septet._data.load import fingerprints, load_market
from septet._data.series import check_funding, ending
from septet._shell.backtest import backtest
from septet._shell.preflight import check_data
from septet._shell.session import open_session
from septet.errors import ConfigError, DataError
from septet.plugin.model import Untrainable, Window
from septet_plugins.models.series import SeriesModel, series_model
from tests.data.helpers import HOUR_NS, START_NS, clean

SYMBOLS = ("BTC/USDT", "ETH/USDT")
GUIDE = Path(__file__).parents[2] / "docs" / "yaml.md"


def recipe() -> str:
    """The snippet of the guide, with a name and a shorter load."""
    part = GUIDE.read_text(encoding="utf-8").partition("### Probabilities from outside")[2]
    return "version: 1\nname: outside\n" + part.partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, symbol in enumerate(SYMBOLS):
        plain = symbol.replace("/", "")
        (tmp_path / "candles").mkdir(exist_ok=True)
        (tmp_path / "forecasts").mkdir(exist_ok=True)
        bars = clean(400, seed=number)
        bars.write_parquet(tmp_path / "candles" / f"{plain}.parquet")
        draw = np.random.default_rng(number)
        stamps = pl.Series(START_NS + HOUR_NS * np.arange(1, 400)).cast(pl.Datetime("ns"))
        values = draw.uniform(0.1, 0.9, 399)
        pl.DataFrame({"time": stamps, "value": values}).write_csv(
            tmp_path / "forecasts" / f"{plain}.csv"
        )
    (tmp_path / "x.yaml").write_text(recipe(), encoding="utf-8")
    return tmp_path


def test_each_symbol_reads_its_own_file(folder: Path) -> None:
    loaded = load(folder / "x.yaml")
    assert check_data(loaded).problems == []
    session = open_session(loaded)
    names = [f"forecast@{symbol}" for symbol in SYMBOLS]
    assert list(session.market.series) == names
    assert set(names) <= set(fingerprints(session.market))
    row = session.plan.assembly.rows.x["series:forecast"]
    for k, symbol in enumerate(SYMBOLS):
        values = session.aligned.X[k, row, : session.aligned.lengths[k]]
        table = session.market.series[f"forecast@{symbol}"]
        known = session.market.bars[symbol].known_ns
        assert np.isnan(values[0])  # the first value is known a minute after the first close
        at = np.searchsorted(table.known_ns, known[1:], side="right") - 1
        assert values[1:].tolist() == table.value[at].tolist()
    assert session.market.series[names[0]].value[0] != session.market.series[names[1]].value[0]


def test_a_file_that_is_missing_for_one_symbol_is_named_with_its_place(folder: Path) -> None:
    (folder / "forecasts" / "ETHUSDT.csv").unlink()
    with pytest.raises(DataError) as caught:
        load_market(load(folder / "x.yaml"))
    assert "forecasts/ETHUSDT.csv" in str(caught.value)
    problem = caught.value.problem
    assert problem is not None
    assert problem.key == "data.forecast.path"
    assert problem.line > 0


def window(values: list[float]) -> Window:
    rows = len(values)
    x = np.column_stack([np.zeros(rows), np.array(values)])
    times = np.arange(rows, dtype=np.int64)
    return Window(x, times % 2, times, times, ("other", "p"), 0)


def test_the_model_hands_the_feature_on_to_the_last_bit() -> None:
    trainer = series_model(SeriesModel(of="p"))
    made = trainer.fit(window([0.1, 0.7, 1.0]))
    x = np.array([[5.0, 0.3], [6.0, 1.5], [7.0, -0.5]])
    for values in (made.model.predict(x), [made.model.predict_row(row) for row in x]):
        assert values[0] == 0.3
        assert np.isnan(values[1:]).all()  # no probabilities, and no certainty either
    again = trainer.restore(made.model.arrays())
    assert again.predict(x)[:1].tolist() == [0.3]
    with pytest.raises(Untrainable, match="expected 0 to 1"):
        trainer.fit(window([0.1, 55.0]))
    with pytest.raises(Untrainable, match="not among the inputs"):
        replace(trainer, of="q").fit(window([0.1]))
    with pytest.raises(ValueError, match="column 7"):
        trainer.restore({"place": np.array([7, 2])})


def test_the_recipe_walks_with_the_probabilities_of_each_symbol(folder: Path) -> None:
    result = backtest(load(folder / "x.yaml"))
    assert learn is not None
    assert result.decisions is not None
    table = pl.DataFrame(result.decisions)
    for symbol in SYMBOLS:
        rows = table.filter(pl.col("symbol").cast(pl.String) == symbol)
        same = rows.filter(pl.col("probability_up").is_not_nan() & pl.col("forecast").is_not_nan())
        assert same.height > 200
        assert same["probability_up"].to_list() == same["forecast"].to_list()
    assert result.trades is not None


def changed(folder: Path, symbol: str, values: pl.Expr, first: int = 399) -> None:
    path = folder / "forecasts" / f"{symbol.replace('/', '')}.csv"
    pl.read_csv(path).with_columns(values.alias("value"))[:first].write_csv(path)


def test_a_model_that_learns_nothing_has_no_training_and_decides_from_the_first_bar(
    folder: Path,
) -> None:
    loaded = load(folder / "x.yaml")
    assert "training" not in recipe()
    assert loaded.resolved["model"]["training"]["scheme"] == "none"
    result = backtest(loaded)
    assert [each["rows"] for each in result.models] == [0]
    table = pl.DataFrame(result.decisions)
    assert table.filter(pl.col("rejected_by").cast(pl.String) == "no_model").height == 0
    text = recipe().replace("  of: forecast\n  label", "  of: forecast\n  {}\n  label")
    for wrong in ("training: {train: 2d}", "scale: standard", "calibrate: sigmoid"):
        path = folder / "y.yaml"
        path.write_text(text.replace("{}", wrong), encoding="utf-8")
        with pytest.raises(ConfigError, match=r"series learns nothing: \w+ has no effect"):
            load(path)
    path.write_text(text.replace("{}", "training: {scheme: none}"), encoding="utf-8")
    assert load(path).resolved["model"] == loaded.resolved["model"]


def test_percents_are_refused_by_check_and_run_with_their_time(folder: Path) -> None:
    changed(folder, "ETH/USDT", pl.col("value") * 100.0)
    loaded = load(folder / "x.yaml")
    (problem,) = check_data(loaded).problems
    assert problem.severity == "error"
    assert problem.key == "model.of"
    assert "probabilities are 0 to 1, forecast is " in problem.message
    assert " at 2020-01-01T01:00:00Z (399 of 399 values" in problem.message
    assert problem.hint.startswith("divide by 100")
    with pytest.raises(DataError, match="probabilities are 0 to 1, forecast is") as caught:
        backtest(loaded)
    assert caught.value.problem is not None
    assert caught.value.problem.line == problem.line


def test_a_series_that_no_decision_knows_is_one_error_for_all_its_symbols(folder: Path) -> None:
    for path in (folder / "forecasts").iterdir():
        path.write_text(path.read_text().replace("2020-", "2022-"))
    found = [each for each in check_data(load(folder / "x.yaml")).problems if each.key != "model"]
    assert [(each.key, each.message) for each in found if each.severity == "error"] == [
        ("data.forecast",
         "no value of this series is known at any decision for BTC/USDT, ETH/USDT"),
    ]  # fmt: skip


def test_values_a_little_above_one_are_no_percents(folder: Path) -> None:
    changed(folder, "ETH/USDT", pl.col("value") * 1.7 / pl.col("value").max())
    (problem,) = check_data(load(folder / "x.yaml")).problems
    assert "probabilities are 0 to 1" in problem.message
    assert "divide" not in problem.hint
    assert "scores and odds are none" in problem.hint


def test_a_series_trains_nothing_and_states_nothing_of_training(folder: Path) -> None:
    reported: list[str] = []

    def report(stage: str, done: int, total: int | None, text: str, /) -> None:
        reported.append(f"{stage} {text}")

    backtest(load(folder / "x.yaml"), progress=report)
    assert reported
    assert not [text for text in reported if "train" in text]


def test_one_value_beyond_is_refused_without_the_advice_to_divide(folder: Path) -> None:
    changed(folder, "BTC/USDT", pl.when(pl.int_range(399) == 7).then(-3.0).otherwise("value"))
    (problem,) = check_data(load(folder / "x.yaml")).problems
    assert "forecast is -3 at 2020-01-01T08:00:00Z (1 of 399" in problem.message
    assert "divide" not in problem.hint


def test_what_ends_with_a_series_is_reported_of_funding_as_it_is() -> None:
    times = np.arange(10, dtype=np.int64) * HOUR_NS
    for name, text in (("funding", "for which no funding is charged"), ("macro", "its last value")):
        table: Any = SimpleNamespace(name=f"{name}@BTC/USDT", known_ns=times, max_age_ns=None)
        (found,) = ending(table, {"BTC/USDT": np.arange(40, dtype=np.int64) * HOUR_NS})
        assert text in found.message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0001] * 20, ""),
        ([0.0001] * 14 + [-0.02, 0.03], ""),  # rates that exchanges have charged
        ([0.0] * 20, ""),
        ([0.0001] * 9 + [0.35], "1 of 10 rates of funding@BTC/USDT are beyond 4%"),
        ([0.01, 0.02, -0.01] * 7, "a median of 1%"),  # percent
        ([1.0, 1.0, 0.0, -2.0] * 5, "a median of 100%"),  # basis points
    ],
)
def test_funding_that_no_exchange_charges_is_reported(values: list[float], expected: str) -> None:
    table: Any = SimpleNamespace(
        name="funding@BTC/USDT", value=np.array(values),
        stamp_ns=np.arange(len(values), dtype=np.int64) * HOUR_NS,
    )  # fmt: skip
    found = check_funding(table)
    assert len(found) == len(doubts(found)) == bool(expected)
    assert not expected or expected in found[0].message


@pytest.mark.parametrize("age", [", max_age: 4h", ""])
def test_a_forecast_that_ends_before_the_data_is_reported(folder: Path, age: str) -> None:
    changed(folder, "BTC/USDT", pl.col("value"), 300)
    path = folder / "x.yaml"
    path.write_text(recipe().replace(", max_age: 4h", age), encoding="utf-8")
    loaded = load(path)
    (problem,) = check_data(loaded).problems
    assert problem.severity == "warning"
    assert "The values of forecast end at 2020-01-13T12:01:00Z" in problem.message
    assert "bars of BTC/USDT come later" in problem.message
    assert problem.key == "data.forecast"
    assert problem.line > 0
    (given,) = doubts(backtest(loaded).findings)  # what the verdict repeats
    assert given.message == problem.message
