"""What a drill waits for: bars that may be over, and a person whose halt stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from septet import messages as m
from septet._core.guards import RULES
from septet._drill import record_watch, rehearsal
from septet._drill.local_market import LocalMarket
from septet._drill.options import Options
from septet._drill.outcome import Outcome, Row
from septet._drill.record_watch import BarsOverError, GivenUpError
from septet._drill.trading_records import Block, RunRecord
from septet._drill.venue.config import VenueConfig
from septet._journal.journal_format import Entry, Head, encode_event

HEAD = Head(run_id="r1", strategy="s", mode="live", account="", created_ns=0, origin_ns=0)


class Time:
    """A clock that only waiting moves; `at` states what happens at its seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.at: dict[int, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for second in [each for each in self.at if each <= self.now_s]:
            self.at.pop(second)()


class Drill(rehearsal._Rehearsal):
    """A drill whose venue and run are made by hand."""

    def __init__(self, folder: Path, rows: list[Row], bars: int = 20) -> None:
        self.bar, self.lines = 0, list[str]()
        venue: Any = SimpleNamespace(rows=list, clock=self._clock)
        run: Any = SimpleNamespace(
            rows=list, ended=None, starts=1, tail=lambda: "its last line", stop=lambda: 0
        )
        stage = LocalMarket(VenueConfig(symbols=[]), {}, bars, "made")
        options = Options(seed=1, codes=(), folder=folder, bars=bars)
        outcome = Outcome("s", "live", 1, "made", str(folder), rows)
        super().__init__(venue, run, stage, options, outcome, frozenset(), self.lines.append)
        self._ours = RunRecord(HEAD)
        self._live_bar = 0

    def _clock(self) -> Any:
        return SimpleNamespace(failure="", ended=False, bar=self.bar)

    def operate(self, action: Literal["halt", "resume"], name: str, at_ns: int = 1) -> None:
        event = m.Operated(at_ns=at_ns, action=action, name=name, reason="why")
        at_ns, kind, text = encode_event(event)
        assert self._ours is not None
        self._ours.take([Entry(1, at_ns, kind, text, b"[]", b"")])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(record_watch, "time", made)
    monkeypatch.setattr(rehearsal, "time", made)
    return made


def test_a_wait_for_bars_ends_with_them_and_not_with_its_patience(
    tmp_path: Path, clock: Time
) -> None:
    drill = Drill(tmp_path, [])
    clock.at[3] = lambda: setattr(drill, "bar", 20)
    with pytest.raises(BarsOverError):
        drill._until(lambda: False, 90.0)
    assert clock.now_s < 4.0
    assert drill._until(lambda: True, 90.0), "what is so already needs no bars"
    assert not drill._until(lambda: False, 5.0, plays=False)


def test_the_bars_are_counted_from_when_the_run_is_live(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that starts slowly, on a loaded machine, is rehearsed for as many bars."""
    drill = Drill(tmp_path, [])
    drill._live_bar, drill.bar = None, 27
    assert not drill._until(lambda: False, 5.0), "bars before the run is live end nothing"
    for name in ("_await_live", "_inject_all", "_finish"):
        monkeypatch.setattr(drill, name, lambda: None)
    run: Any = drill._run
    run.start = lambda: None
    drill.play()
    drill.bar = 46
    assert not drill._is_over()
    drill.bar = 47
    assert drill._is_over()
    assert Options(seed=1, codes=(), folder=tmp_path, bars=20).bars_needed == 220


def test_faults_without_bars_are_not_reached_and_no_failure(tmp_path: Path, clock: Time) -> None:
    rows = [Row("D2", asked=4, injected=2, resolved=1), Row("D3", asked=3), Row("N1", asked=1)]
    rows[2].injected = rows[2].resolved = 1
    drill = Drill(tmp_path, rows)
    drill._unchecked = ["D2"]
    drill._not_reached()
    outcome = drill._outcome
    assert [(row.injected, row.held) for row in rows] == [
        (1, "yes"), (0, "not reached"), (1, "yes"),
    ]  # fmt: skip
    assert rows[0].remark == "the bars were over before it was resolved"
    assert rows[1].remark == "the bars were over"
    text = "all 20 bars were played, and 6 of 8 faults were not reached"
    assert outcome.over == text == drill.lines[-1]
    assert (outcome.ok, outcome.status) == (True, "bars over")
    assert any(line.startswith(f"the bars are over: {text}") for line in outcome.summary())
    assert (outcome.document()["status"], outcome.document()["over"]) == ("bars over", text)
    outcome.failures.append("something else")
    assert (outcome.ok, outcome.status) == (False, "failed")
    assert Outcome("s", "live", 1, "", "", []).status == "held"


def test_waiting_gives_up_on_decisions_once_no_bar_comes(tmp_path: Path, clock: Time) -> None:
    drill = Drill(tmp_path, [Row("D2", asked=1, injected=1)])
    clock.at[2] = lambda: setattr(drill, "bar", 20)
    with pytest.raises(BarsOverError):
        drill._wait_until_resolved(["D2"], 0, bars=2)
    assert clock.now_s < 4.0, "and not after the 90 seconds of a fault"
    assert drill._outcome.failures == []


@pytest.mark.parametrize(
    ("rule", "state"), [("feed_stale:bars:BTC/USDT", ""), ("unknown_order:BTC/USDT", "unknown")]
)
def test_a_fault_that_is_not_resolved_when_the_bars_end_is_not_checked(
    tmp_path: Path, clock: Time, rule: str, state: Any
) -> None:
    """Silent streams block for good then, and what is in flight the end of the drill resolves."""
    row = Row("A4", asked=1, injected=1)
    drill = Drill(tmp_path, [row])
    assert drill._ours is not None
    drill._ours.blocks[rule] = Block(rule, RULES[rule.partition(":")[0]].clears_when, 0)
    if state:
        drill._ours.states["o-1"] = (state, 0.0)
    clock.at[2] = lambda: setattr(drill, "bar", 20)
    with pytest.raises(BarsOverError):
        drill._wait_until_resolved(["A4"], 0, bars=2)
    assert clock.now_s < 4.0
    assert (row.notes, drill._outcome.failures) == ([], [])


def killed(drill: Drill) -> None:
    """End the process of the run, which nobody asked for."""
    run: Any = drill._run
    run.ended = -9


@pytest.mark.parametrize("wait", ["bars", "time", "condition"])
def test_a_run_that_dies_while_the_drill_waits_has_failed_it(
    tmp_path: Path, clock: Time, wait: str
) -> None:
    drill = Drill(tmp_path, [])
    clock.at[2] = lambda: killed(drill)
    waits = {
        "bars": drill._linger, "time": lambda: drill._wait(30.0),
        "condition": lambda: drill._until(lambda: False, 30.0),
    }  # fmt: skip
    with pytest.raises(GivenUpError):
        waits[wait]()
    assert clock.now_s < 3.0
    drill._finish()
    assert drill._outcome.failures == ["septet run ended with status -9:\nits last line"]
    assert not drill._outcome.ok


def test_a_run_that_is_dead_when_the_bars_are_over_has_failed_the_drill(
    tmp_path: Path, clock: Time
) -> None:
    drill = Drill(tmp_path, [])
    drill.bar = 20
    killed(drill)
    drill._finish()
    assert drill._outcome.failures == ["septet run ended with status -9:\nits last line"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_drill_whose_run_decided_nothing_has_rehearsed_nothing(
    tmp_path: Path, clock: Time, begun: bool
) -> None:
    """Its plan was still being compiled when the bars were over."""
    drill = Drill(tmp_path, [])
    drill.bar = 20
    if not begun:
        drill._ours = None
    venue: Any = drill._venue
    venue.pause = lambda: SimpleNamespace(market_ns=0)
    drill._finish()
    assert any("had made no decision" in each for each in drill._outcome.failures)
    assert not drill._outcome.ok


def wrong_book(drill: Drill) -> None:
    """Book an execution that the venue does not know."""
    assert drill._ours is not None
    drill._ours.names = ["BTC/USDT"]
    row = m.Traded(
        order=0, symbol=0, trade_id="7", side="buy", quantity=1.0, price=0.0, fee=0.0,
        fee_currency="", position=1.0, market_ns=1,
    )  # fmt: skip
    drill._ours.booked["BTCUSDT", "7"], drill._ours.positions[0] = [row], 1.0


def test_a_finding_fails_the_fault_that_made_it_and_none_after_it(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row("A2", asked=1, injected=1), Row("A19", asked=1, injected=1)]
    drill = Drill(tmp_path, rows)
    monkeypatch.setattr(drill, "_audit", lambda occurred, first_ns: None)
    assert drill._ours is not None
    wrong_book(drill)
    drill._wait_until_resolved(["A2"], 0, bars=2)
    assert (clock.now_s > 90.0, rows[0].held) == (True, "no")
    assert {each.kind for each in rows[0].findings} == {"invented_fill", "balance"}
    drill._ours.decided_ns = 1 << 62
    began_s = clock.now_s
    drill._wait_until_resolved(["A19"], clock.time_ns(), bars=2)
    assert (clock.now_s - began_s < 1.0, rows[1].held, rows[1].findings) == (True, "yes", [])


def test_orders_of_the_last_moment_hide_no_finding(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("A3", asked=1, injected=1)
    drill = Drill(tmp_path, [row])
    monkeypatch.setattr(drill, "_audit", lambda occurred, first_ns: None)
    wrong_book(drill)
    assert drill._ours is not None
    states = drill._ours.states
    clock.at[89] = lambda: states.update({"o-1": ("submitted", 0.0)})
    drill._wait_until_resolved(["A3"], 0, bars=2)
    (note,) = row.notes
    assert note.startswith("not resolved: 1 orders, such as o-1, are under way; before that: bal")


def test_a_persons_halt_stands_until_a_person_resumes(tmp_path: Path, clock: Time) -> None:
    drill = Drill(tmp_path, [])
    drill._outcome.run = str(tmp_path / "runs" / "s" / "R1")
    drill.operate("halt", "mara")
    assert drill._trouble(0, 2) == (record_watch.HALTED, [])
    clock.at[400] = lambda: drill.operate("resume", "mara", 2)
    assert drill._until(lambda: not drill._waits_for_person, 5.0)
    assert 400.0 <= clock.now_s < 401.0, "no patience of five seconds ends it"
    (line,) = drill.lines
    assert line == (
        "mara has halted the run: the drill waits for septet resume R1 --name YOU --reason WHY "
        f"--runs {tmp_path / 'runs'}, for 10 minutes at most"
    )
    assert not list(tmp_path.iterdir()), "the drill has asked for no resume of its own"


def test_a_persons_halt_is_cleared_after_ten_minutes(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill, asked = Drill(tmp_path, []), list[str]()
    monkeypatch.setattr(rehearsal, "ask_resume", lambda *each, name, **more: asked.append(name))
    drill._reader = SimpleNamespace(path=tmp_path / "journal.sqlite")  # type: ignore[assignment]
    monkeypatch.setattr(drill, "_look", lambda: None)
    drill.operate("halt", "mara")
    assert drill._until(lambda: not drill._waits_for_person, 5.0)
    assert 600.0 <= clock.now_s < 601.0
    assert drill.lines[-1] == "nobody has resumed the run: the drill clears the halt"
    assert drill._trouble(0, 2) == (record_watch.QUIET, [])
    assert asked == ["drill"]


@pytest.mark.parametrize("name", ["signal", "safe_mode"])
def test_a_halt_of_the_runs_own_is_cleared_as_before(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    drill, asked = Drill(tmp_path, []), list[str]()
    clock.now_s = 10.0
    monkeypatch.setattr(rehearsal, "ask_resume", lambda *each, name, **more: asked.append(name))
    drill._reader = SimpleNamespace(path=tmp_path / "journal.sqlite")  # type: ignore[assignment]
    drill.operate("halt", name)
    assert drill._trouble(0, 2) == (record_watch.QUIET, [])
    assert (asked, drill.lines) == (["drill"], [])


def test_a_run_may_end_halted_by_a_person(tmp_path: Path, clock: Time) -> None:
    drill = Drill(tmp_path, [])
    drill.operate("halt", "mara")
    assert drill._trouble(0, 0) == ("", [])


def test_a_rejected_order_that_was_to_be_listed_otherwise_is_not_reached(
    tmp_path: Path, clock: Time
) -> None:
    """E23: the venue had no units for it, so that it lists nothing."""
    row = Row("E23", asked=1, injected=1, resolved=1)
    drill = Drill(tmp_path, [row])
    drill._reader = SimpleNamespace(path=tmp_path / "journal.sqlite")  # type: ignore[assignment]
    drill._audit(["E23"], 0)
    assert (row.held, row.remark) == ("not reached", "the venue rejected the order that it met")


def test_the_bars_before_the_first_decision_are_shown(
    tmp_path: Path, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    drill = Drill(tmp_path, [])
    drill.bar = 12
    for name in ("_await_live", "_inject_all", "_finish"):
        monkeypatch.setattr(drill, name, lambda: None)
    run: Any = drill._run
    run.start = lambda: None
    drill.play()
    outcome = drill._outcome
    assert outcome.document()["bars_before_first_decision"] == 12
    assert any("the first decision after 12 bars" in line for line in outcome.summary())
