"""A paper run whose model is an outside series: read at decision times, halted as in a backtest."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from septet import messages as m
from septet._config import load
from septet._journal.reader import Reader
from septet._kernel import layout
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._shell.backtest import backtest
from septet._shell.session import open_session
from tests.live.test_monitoring import Runner
from tests.monitoring.test_model_halts import BARS, BEGIN_NS, HOUR_NS, strategy_that_turns


class Forecast(Runner):
    """A run that also hands over the values of its series, each when it is known."""

    points: pl.DataFrame

    def handle(self, event: m.Event) -> None:
        if isinstance(event, m.DecisionTimeReached):
            for row in self.points.filter(pl.col("time") == event.time_ns).iter_rows(named=True):
                super().handle(
                    m.SeriesPoint(
                        at_ns=event.at_ns, name="forecast", value=row["value"],
                        stamp_ns=event.time_ns, known_ns=event.time_ns,
                    )
                )  # fmt: skip
        super().handle(event)


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Forecast]:
    folder = tmp_path_factory.mktemp("halted")
    opens = BEGIN_NS // HOUR_NS * HOUR_NS + np.arange(BARS) * HOUR_NS
    path = strategy_that_turns(folder, opens, "1h", "calendar: 24x7")
    text = path.read_text(encoding="utf-8").replace("bar: 1h}", "bar: 1h, start: 2021-01-05}")
    path.write_text(text, encoding="utf-8")
    result: Any = backtest(load(path))
    session = open_session(load(path))
    (folder / "run").mkdir()
    runner = Forecast(load(path, mode="paper"), folder / "run", session, snapshots=313)
    known = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ns").cast(pl.Int64)
    runner.points = pl.read_csv(folder / "p.csv").with_columns(known)
    runner.run(int(result.equity["time"][0]))
    return result, runner


def test_the_third_bad_reading_in_a_row_halts_at_its_decision_time(
    halted: tuple[Any, Forecast],
) -> None:
    result, runner = halted
    (halt,) = result.halts
    read = [e for e in runner.commands if isinstance(e, m.Watched) and e.metric == "auc"]
    assert {each.time_ns for each in read} <= set(runner.session.aligned.T[layout.KNOWN].tolist())
    days = [each.time_ns // (24 * HOUR_NS) for each in read]
    assert len(days) == len(set(days)), "more than one reading a day"
    first = next(n for n, each in enumerate(read) if each.verdict == "halt")
    assert read[first].time_ns == halt.time_ns
    bad = [e.verdict for e in read[: first + 1] if e.compared is not None and e.compared < 0.5]
    assert bad == ["warn", "warn", "halt"]


def test_after_the_halt_nothing_is_entered_and_orders_are_those_of_the_backtest(
    halted: tuple[Any, Forecast],
) -> None:
    result, runner = halted
    (halt,) = result.halts
    decided = [each for each in runner.commands if isinstance(each, m.Decided)]
    later = [each for each in decided if each.time_ns > halt.time_ns]
    assert len(later) > 10
    assert not any(each.granted for each in later)
    assert any(each.granted for each in decided if each.time_ns < halt.time_ns)
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(result.equity["equity"])


@pytest.mark.parametrize("prove", [replay, shadow])
def test_its_journal_gives_the_same_halt_again(halted: tuple[Any, Forecast], prove: Any) -> None:
    _, runner = halted
    found = prove(runner.folder)
    assert found.differences == 0, str(found.first)
    with Reader(runner.folder / JOURNAL) as journal:
        commands = [each for entry in journal.read() for each in entry.commands]
    assert any(isinstance(e, m.Watched) and e.verdict == "halt" for e in commands)
