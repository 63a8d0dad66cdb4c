"""A run that goes on may hold positions: what would end a first start is only reported."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._live import alerts, local_run
from septet._live.kill_switch import ask_halt, ask_resume
from septet.errors import DataError, InputError
from septet_plugins.monitoring.alerts import AppriseChannel
from tests.live.test_start import Stage, rows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise imports


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_halt_goes_before_the_start_and_a_resume_after_it(stage: Stage, resumes: bool) -> None:
    """What a resume sends was not on its way when the last process ended."""
    folder = stage.run(mode="live").ends[0][0].location.folder
    ask_halt(folder, flatten=False, name="ann", reason="news", now_ns=1)
    if resumes:
        stage.run(mode="live", bars=6)
        ask_resume(folder, name="ben", reason="read it", now_ns=2)
    wanted = "resume" if resumes else "halt"
    order = [
        "start" if isinstance(event, m.Started) else event.action
        for event, _ in rows(stage.run(mode="live", bars=8))
        if isinstance(event, m.Started)
        or (isinstance(event, m.Operated) and event.name != "septet")
    ]
    first = order.index(wanted)
    assert order[first - 1 if resumes else first + 1] == "start", order
    assert "start" not in order[first + (0 if resumes else 2) :], order


ALERTS = "monitoring.alerts={use: apprise, urls: ['env:ALERT_URL'], events: [error]}"


def test_a_run_that_goes_on_is_not_ended_by_a_channel_of_alerts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a position: that nobody can be alerted is an error in the log."""
    monkeypatch.setattr(local_run, "Alerts", partial(unbound, alerts.Alerts))
    monkeypatch.setenv("ALERT_URL", "json://localhost")
    stage.run(mode="live", sets=[ALERTS])
    monkeypatch.delenv("ALERT_URL")
    result = stage.run(mode="live", bars=6, sets=[ALERTS])
    assert result.exit_code == 0
    assert "alerts_unusable" in events(stage)
    with pytest.raises(InputError, match="ALERT_URL"):
        stage.run(mode="live", sets=[ALERTS], fresh=True)


def unbound(made: Any, block: Any, name: str, base: Any, notify: Any, _: Any, **given: Any) -> Any:
    """Make alerts whose secrets nobody had to allow."""
    return made(block, name, base, notify, **given)


def events(stage: Stage) -> set[str]:
    """Return the names of what the log of the run holds."""
    (path,) = stage.world.folder.rglob("log.jsonl")
    return {json.loads(line)["event"] for line in path.read_bytes().splitlines()}


def test_a_run_that_goes_on_is_not_ended_by_the_rights_of_its_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(mode="live")
    usual = stage.venue.open

    async def withdraws(*given: Any) -> Any:
        return dataclasses.replace(await usual(*given), can_withdraw=True)

    monkeypatch.setattr(stage.venue, "open", withdraws)
    assert stage.run(mode="live", bars=6).exit_code == 0
    assert "rights" in events(stage)
    with pytest.raises(InputError, match="may withdraw"):
        stage.run(mode="live", fresh=True)


@pytest.mark.parametrize("name", ["open", "open_orders", "fills", "holdings", "skew"])
@pytest.mark.parametrize(
    "error",
    [TypeError("none"), KeyError("price"), DataError("v lists no B/USDT"), RuntimeError()],
)
def test_whatever_an_adapter_raises_does_not_end_a_run_that_goes_on(
    stage: Stage, name: str, error: Exception
) -> None:
    stage.run(mode="live")
    usual, asked = getattr(stage.venue, name), 0

    async def fails(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise error
        return await usual(*given)

    setattr(stage.venue, name, fails)
    assert stage.run(mode="live", bars=6).exit_code == 0
    assert asked >= 3


def test_a_first_start_is_ended_by_a_symbol_that_is_not_listed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unlisted(*_: Any) -> Any:
        raise DataError("v lists no BTC/USDT")

    monkeypatch.setattr(stage.venue, "open", unlisted)
    with pytest.raises(DataError, match="lists no"):
        stage.run(mode="live")


def test_an_alert_reports_that_a_run_with_a_history_could_not_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(local_run, "Alerts", partial(unbound, alerts.Alerts))
    monkeypatch.setattr(AppriseChannel, "send", lambda self, title, *_: sent.append(title))
    monkeypatch.setenv("ALERT_URL", "json://localhost")
    stage.run(mode="live", sets=[ALERTS])
    sent.clear()
    with pytest.raises(InputError):
        stage.run(mode="live", sets=[ALERTS, "seed=5"])
    assert len(sent) == 1


def test_filters_that_changed_while_nobody_ran_are_known_before_the_first_exit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(mode="live")
    usual = stage.venue.open

    async def less(*given: Any) -> Any:
        facts = await usual(*given)
        markets = {
            name: dataclasses.replace(each, max_quantity=5.0, tick=0.5)
            for name, each in facts.markets.items()
        }
        return dataclasses.replace(facts, markets=markets)

    monkeypatch.setattr(stage.venue, "open", less)
    result = stage.run(mode="live", bars=6)
    found = [event for event, _ in rows(result) if isinstance(event, m.FiltersChanged)]
    assert [(each.max_quantity, each.tick) for each in found] == [(5.0, 0.5)]


def test_a_folder_that_is_moved_away_is_reported_once(stage: Stage, tmp_path: Path) -> None:
    """A file HALT in it does nothing then, and nobody would know: its entries are blocked."""
    [(run, _)] = stage.run().ends
    asked: list[m.Event] = []
    run.shell.put = asked.append  # type: ignore[method-assign, assignment]
    reported: list[str] = []
    run.notify = lambda level, event, fields: reported.append(event)  # type: ignore[method-assign]
    run._look_for_folder()
    run.location.folder.rename(tmp_path / "elsewhere")
    run._look_for_folder()
    run._look_for_folder()
    assert reported == ["folder_gone", "safe_mode"]
    assert [(each.action, each.name) for each in asked if isinstance(each, m.Operated)] == [
        ("halt", "safe_mode")
    ]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_key_that_may_withdraw_is_taken_where_the_file_allows_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    usual = stage.venue.open

    async def withdraws(*given: Any) -> Any:
        return dataclasses.replace(await usual(*given), can_withdraw=True)

    monkeypatch.setattr(stage.venue, "open", withdraws)
    sets = [f"execution.venues.v.allow_withdrawal={str(allowed).lower()}"]
    if allowed:
        assert stage.run(mode="live", sets=sets).exit_code == 0
    else:
        with pytest.raises(InputError, match="may withdraw"):
            stage.run(mode="live", sets=sets)
