"""A monitor of a package asks for a model: three verdicts running, the same in every path."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from septet import messages as m
from septet._config import load
from septet._config.load import reopen
from septet._host.plugin_registry import Host
from septet._live import replay as replaying
from septet._live.replay import replay
from septet._live.shadow import shadow
from septet._shell.backtest import backtest
from septet._shell.monitor_actions import Acts
from septet._shell.session import open_session
from septet._store.tables import frames_of
from septet.plugin import Component, Config, hookimpl
from septet.plugin.live import Reading, RunView, monitor
from septet_plugins import manifest
from tests.live.test_monitoring import LEARNS, Runner

HOUR = 3_600 * 10**9
FILE = (
    LEARNS.replace("version: 1", "version: 1\nplugins: [septet-restless]")
    .replace("bars: 2200", "bars: 760")
    .replace("2020-01-29 01:00", "2020-01-17 01:00")
    .replace("step: 31d", "step: 14d")
    .replace("threshold: 0.02", "threshold: 0.005")
    + "  doubts: {use: restless}\n"
)


class RestlessConfig(Config):
    """How many losing trades a reading looks back on."""

    verdict: str = "retrain"


@dataclass
class Restless:
    verdict: str
    follows: frozenset[str] = frozenset({"trades"})

    def read(self, run: RunView) -> Sequence[Reading]:
        trades = run.trades
        rows = zip(
            trades.exit_ns.tolist(), trades.pnl.tolist(), trades.symbol.tolist(), strict=True
        )
        return [
            Reading(time_ns, "", pnl, 0.0, self.verdict if pnl < 0.0 else "ok", 1, run.symbols[k])  # type: ignore[arg-type]
            for time_ns, pnl, k in rows
            if run.time_ns[0] <= time_ns
        ]


@monitor(RestlessConfig)
def restless(config: RestlessConfig) -> Restless:
    return Restless(config.verdict)


def _host() -> Host:
    @hookimpl
    def septet_monitoring() -> list[Component]:
        return [Component("monitoring", "restless", f"{__name__}:restless", "monitor")]

    stranger = SimpleNamespace(__name__="stranger", septet_monitoring=septet_monitoring)
    return Host([("septet", "0", manifest), ("septet-restless", "1", stranger)])


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile nothing, and find the package of this file wherever a file is opened again."""
    monkeypatch.setenv("SEPTET_COMPILE", "never")
    again = partial(reopen, host=_host())
    monkeypatch.setattr(replaying, "reopen", again)
    monkeypatch.setattr(sys.modules["septet._config.load"], "reopen", again)


def _loaded(folder: Path, *sets: str, mode: str | None = None) -> Any:
    path = folder / "strategy.yaml"
    path.write_text(FILE, encoding="utf-8")
    return load(path, host=_host(), unchecked=True, sets=sets, mode=mode)


def _tested(loaded: Any, **options: Any) -> Any:
    return backtest(loaded, **options)


def _asked(result: Any) -> list[int]:
    step = 14 * 24 * HOUR
    return [int(card["trained_to_ns"]) for card in result.models if card["trained_to_ns"] % step]


def test_batch_event_paper_and_replay_fit_the_same_models(tmp_path: Path) -> None:
    """Also beside drift, which the model's own health reads."""
    batch, event = (_tested(_loaded(tmp_path), engine=each) for each in ("batch", "event"))
    others = frames_of(event)
    for name, frame in frames_of(batch).items():
        assert_frame_equal(frame, others[name], check_exact=True)
    assert batch.models == event.models
    quiet = _tested(_loaded(tmp_path, "monitoring.doubts.verdict=warn"))
    health_reads_ns = 24 * HOUR
    asked = [each for each in set(_asked(batch)) - set(_asked(quiet)) if each % health_reads_ns]
    assert asked
    folder = tmp_path / "run"
    folder.mkdir()
    session = open_session(_loaded(tmp_path))
    runner = Runner(_loaded(tmp_path, mode="paper"), folder, session, snapshots=97)
    runner.run(int(batch.equity["time"][0]))
    trains = [each for each in runner.commands if isinstance(each, m.Train)]
    assert [each.trained_to_ns for each in trains if each.cause == "drift"] == _asked(batch)
    equity = [each.equity for each in runner.commands if isinstance(each, m.Ruled)]
    assert equity == list(batch.equity["equity"])
    reported = [each for each in runner.commands if isinstance(each, m.Watched)]
    doubts = [each for each in reported if each.metric == "doubts"]
    for moment in asked:
        by_symbol: dict[int, list[m.Watched]] = {}
        for each in doubts:
            if each.time_ns < moment:
                by_symbol.setdefault(each.symbol, []).append(each)
        assert any(
            [each.verdict for each in rows[-3:]] == ["retrain"] * 3 for rows in by_symbol.values()
        )
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)


def test_without_on_drift_it_is_a_reading_and_nothing_else(tmp_path: Path) -> None:
    plain, quiet = (
        _tested(_loaded(tmp_path, "model.training.on_drift=false", *more))
        for more in ((), ("monitoring.doubts.verdict=warn",))
    )
    assert len(plain.models) == len(quiet.models)
    assert list(plain.equity["equity"]) == list(quiet.equity["equity"])
    assert "retrain" in set(plain.monitoring["verdict"])


def test_three_running_ask_and_a_fit_counts_anew() -> None:
    def read(acts: Acts, *verdicts: Any, symbol: str = "", name: str = "a") -> list[bool]:
        found = []
        for each in verdicts:
            assert not acts.take(name, [Reading(1, "m", 1.0, 2.0, each, 3, symbol)])
            found.append(acts.take_asks())
        return found

    acts = Acts()
    assert read(acts, "retrain", "retrain", "warn", "retrain", "retrain") == [False] * 5
    assert read(acts, "retrain", symbol="X") == [False], "each symbol counts its own"
    again = Acts()
    again.restore(acts.kept())
    assert read(again, "retrain", "retrain") == [True, True], "until a model is fitted"
    again.retrained()
    assert read(again, "retrain", "retrain", "retrain") == [False, False, True]
    assert read(again, *["retrain"] * 4, name="model") == [False] * 4, "it counts by itself"
