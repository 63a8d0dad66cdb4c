"""Starting, going on, stopping: whole runs in memory, on shortened bars and a real journal."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._data.bars import Instrument
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.lease import holder_of
from septet._journal.reader import Reader
from septet._live import start as begin
from septet._live.kill_switch import HALT, ask_halt, ask_resume
from septet._live.process import LiveResult, keep_apart, run_live, tidy
from septet._live.run_location import JOURNAL, tag_of
from septet._live.scheduled_reports import reports
from septet._live.stop import FAILED
from septet._live.wiring import Wiring
from septet.errors import ConfigError, InputError, JournalError, RunError
from septet_schemas.times import Daily
from tests.live.feeds import World
from tests.live.scripted import MemoryVenue


class Scripted:
    """A core that keeps count, and buys and fails on request."""

    def __init__(self, tag: str, *, buys: bool = False, fails: bool = False) -> None:
        self.tag, self.buys, self.fails = tag, buys, fails
        self.handled: list[str] = []
        self.orders = 0
        self.blocked = False
        self.guards = SimpleNamespace(active=list)
        self.checks = None
        self.may_send = bool  # every order that has a name

    def handle(self, event: m.Event) -> Sequence[m.Command]:
        self.handled.append(type(event).__name__)
        if isinstance(event, m.Operated):
            self.blocked = event.action != "resume"
            return [m.CancelAll(symbols=(0,))] if event.action == "halt" else []
        if not isinstance(event, m.DecisionTimeReached) or not event.decides:
            return []
        if self.fails:
            raise ZeroDivisionError("a strategy's bug")
        if not self.buys or self.blocked:
            return [m.Ruled(time_ns=event.time_ns, equity=1e4, cash=1e4, exposure=0.0)]
        self.orders += 1
        return [
            m.Submit(
                client_id=f"{self.tag}{self.orders}-0", parent=self.orders, symbol=0, side="buy",
                order_type="limit", quantity=0.01, limit_price=90.0, reduces=False,
                deadline_ns=2**62,
            )
        ]  # fmt: skip

    def snapshot(self) -> bytes:
        return json.dumps([self.handled, self.orders, self.blocked]).encode()

    def restore(self, state: bytes) -> None:
        self.handled, self.orders, self.blocked = json.loads(state)


class Stage:
    """A world whose cores are scripted and whose venue, in live mode, is in memory."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.venue = MemoryVenue()
        self.cores: dict[str, Scripted] = {}
        self.behaviour: dict[str, dict[str, bool]] = {}
        self.gone: BaseException | None = None

    def core(
        self, loaded: Any, *, tag: str, instruments: Sequence[Instrument], **_: Any
    ) -> SimpleNamespace:
        name = loaded.strategy.name
        core = self.cores[name] = Scripted(tag, **self.behaviour.get(name, {}))
        return SimpleNamespace(
            core=core, plan=SimpleNamespace(name="p"), instruments=tuple(instruments),
            bars_needed=10, features=("fast", "slow"),
        )  # fmt: skip

    def connected(self, loaded: Any, *_: Any) -> Any:
        return self.venue if loaded.strategy.mode == "live" else None

    def run(
        self,
        *names: str,
        mode: str = "paper",
        yes: bool = True,
        signals: bool = False,
        sets: Sequence[str] = (),
        **options: Any,
    ) -> LiveResult:
        files = [self.world.load(name, mode=mode, sets=sets) for name in names or ("live",)]
        wiring = Wiring(self.core, self.connected, self.world.feed)
        options = {"bars": 3, **options}
        return run_live(
            files, self.world.options(**options), confirm=lambda question: yes,
            clock=self.world.clock, wiring=wiring, signals=signals,
        )  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def rows(result: LiveResult, name: str = "live") -> list[tuple[m.Event, list[Any]]]:
    [folder] = [run.location.folder for run, _ in result.ends if run.strategy.name == name]
    with Reader(folder / JOURNAL) as journal:
        return [(each.event, list(each.commands)) for each in journal.read()]


def test_a_new_run_reads_history_decides_and_ends_whole(stage: Stage) -> None:
    result = stage.run()
    [(run, end)] = result.ends
    assert (result.exit_code, end.how, run.known.decisions) == (0, "finished", 3)
    events = [event for event, _ in rows(result)]
    assert isinstance(events[0], m.Started)
    assert events[0].session == 1
    bars = [each for each in events if isinstance(each, m.BarClosed)]
    assert [each.open_ns for each in bars] == sorted({each.open_ns for each in bars})
    assert events[0].origin_ns == bars[0].open_ns
    assert bars[0].source == "history"
    times = [each for each in events if isinstance(each, m.DecisionTimeReached) and each.decides]
    known_ns = max(each.known_ns for each in bars if each.source == "history")
    assert min(each.time_ns for each in times) > known_ns
    (stop,) = (each for each in events if isinstance(each, m.Operated))
    assert stop.action == "stop"
    after = events[events.index(stop) + 1 :]  # the feed closes last, and decides nothing
    assert all(isinstance(each, m.BarClosed | m.FeedChanged) for each in after)
    for name in ("strategy.yaml", "manifest.json", "resolved.json", "log.jsonl"):
        assert (run.location.folder / name).is_file()
    with Reader(run.location.journal) as journal:
        assert ([x.clean for x in journal.sessions()], len(journal.snapshots())) == ([True], 1)
    assert holder_of(run.location.folder) is None


def test_the_same_file_goes_on_and_fresh_begins_anew(stage: Stage) -> None:
    first = stage.run()
    again = stage.run(bars=5)
    other = stage.run(fresh=True)
    folders = [each.ends[0][0].location.folder for each in (first, again, other)]
    assert folders[0] == folders[1] != folders[2]
    found = [event for event, _ in rows(again)]
    assert [each.session for each in found if isinstance(each, m.Started)] == [1, 2]
    opens = [each.open_ns for each in found if isinstance(each, m.BarClosed)]
    assert opens == sorted(set(opens))  # what was missed meanwhile was filled in, in order
    core = stage.cores["live"]
    assert core.handled[0] == "Started"


def test_the_fold_gives_the_state_the_run_had(stage: Stage) -> None:
    stage.run()
    before = stage.cores["live"].handled
    stage.run(bars=4)
    after = stage.cores["live"].handled
    assert after[: len(before)] == before


def test_a_snapshot_of_another_build_is_passed_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole journal is folded on a blank core, not on one that was half restored."""
    stage.run()
    before = stage.cores["live"].handled
    restore = Scripted.restore

    def other(core: Scripted, state: bytes) -> None:
        restore(core, state)
        if core.handled:
            raise msgspec.ValidationError("a field is missing")

    monkeypatch.setattr(Scripted, "restore", other)
    stage.run(bars=4)
    after = stage.cores["live"].handled
    assert after[: len(before)] == before


def test_a_second_process_is_refused(stage: Stage) -> None:
    from septet._journal.lease import Holder, Lease

    first = stage.run()
    folder = first.ends[0][0].location.folder
    holder = Holder.this_process(run_id="x", strategy="live", folder=folder, now_ns=0)
    with Lease.take(holder), pytest.raises(RunError, match="goes on"):
        stage.run()


def test_a_changed_file_is_refused(stage: Stage) -> None:
    stage.run()
    wiring = Wiring(stage.core, stage.connected, stage.world.feed)
    changed = stage.world.load(sets=["risk.sizing.fraction=25%"])
    with pytest.raises(InputError, match="another strategy file"):
        run_live(
            [changed], stage.world.options(), clock=stage.world.clock, wiring=wiring, signals=False
        )


def test_a_source_that_cannot_be_listened_to_is_refused(stage: Stage) -> None:
    from septet._live.wiring import feed_of

    loaded = stage.world.load()
    with pytest.raises(
        ConfigError, match=r"live\.yaml:\d+:\d+: data\.candles: use: synth"
    ) as caught:
        feed_of(loaded, stage.world.clock)
    assert "use: ccxt" in str(caught.value)


def test_a_daily_report_is_scheduled_in_its_zone(stage: Stage) -> None:
    async def scene() -> None:
        daily = Daily.parse("daily 08:30 Europe/Paris")
        run: Any = SimpleNamespace(
            strategy=SimpleNamespace(schedule=SimpleNamespace(report=daily)),
            location=SimpleNamespace(folder=stage.world.folder), notify=None,
        )  # fmt: skip
        scheduler = reports([run])
        [job] = scheduler.get_jobs()
        due = job.next_run_time
        assert (due.hour, due.minute, str(due.tzinfo)) == (8, 30, "Europe/Paris")
        scheduler.shutdown(wait=False)
        run.strategy.schedule.report = None
        assert reports([run]) is None

    asyncio.run(scene())


def test_n11_a_feed_that_is_away_at_the_start_is_waited_for(stage: Stage) -> None:
    stage.world.refusals = 1
    result = stage.run()
    log = (result.ends[0][0].location.folder / "log.jsonl").read_text()
    assert "the feed: connection refused; nothing is assumed" in log
    assert result.ends[0][1].how == "finished"


# ---------------------------------------------------------------- live


def live(stage: Stage, *names: str, **options: Any) -> LiveResult:
    return stage.run(*names, mode="live", **options)


def test_live_reconciles_before_it_goes_live(stage: Stage) -> None:
    stage.behaviour["live"] = {"buys": True}
    result = live(stage)
    calls = [call for call, _ in stage.venue.calls]
    assert calls.index("holdings") < calls.index("submit")
    assert calls.index("open_orders") < calls.index("submit")
    events = [event for event, _ in rows(result)]
    kinds = [type(each).__name__ for each in events]
    assert kinds.index("OpenOrders") < kinds.index("Holdings")
    [holdings] = [each for each in events if isinstance(each, m.Holdings)][:1]
    assert holdings.first
    assert stage.venue.closed


def test_live_asks_for_missed_fills_when_it_goes_on_and_posts_nothing_twice(stage: Stage) -> None:
    stage.behaviour["live"] = {"buys": True}
    live(stage)
    posted = [each.client_id for each in stage.venue.named("submit")]
    result = live(stage, bars=6)
    assert stage.venue.named("fills")[0][0] == 0
    everything = [each.client_id for each in stage.venue.named("submit")]
    assert everything[: len(posted)] == posted
    assert len(set(everything)) == len(everything)
    firsts = [event.first for event, _ in rows(result) if isinstance(event, m.Holdings)]
    assert firsts == [True, False]


def test_live_needs_a_yes(stage: Stage) -> None:
    with pytest.raises(InputError, match="nobody confirmed"):
        live(stage, yes=False)
    assert stage.venue.named("submit") == []
    assert stage.venue.closed


def test_two_live_strategies_share_a_connection_and_each_has_its_own_orders(stage: Stage) -> None:
    stage.behaviour |= {"one": {"buys": True}, "two": {"buys": True}}
    result = live(stage, "one", "two", sets=["account.capital=4000"])
    assert [end.how for _, end in result.ends] == ["finished", "finished"]
    assert len(stage.venue.named("open")) == 1
    tags = {run.location.tag for run, _ in result.ends}
    posted = [each.client_id for each in stage.venue.named("submit")]
    assert {each[:8] for each in posted} == tags
    assert len(set(posted)) == len(posted)
    for run, _ in result.ends:
        acked = [event for event, _ in rows(result, run.strategy.name)]
        ids = [each.client_id for each in acked if isinstance(each, m.Acked)]
        assert ids
        assert all(each.startswith(run.location.tag) for each in ids)
    assert "add up on one account" in result.document()["netting"]


def test_differences_refuse_the_start_if_the_file_requires_it(tmp_path: Path) -> None:
    fill = m.Traded(
        order=1, symbol=0, trade_id="1", side="buy", quantity=1.0, price=1.0, fee=0.0,
        fee_currency="USDT", position=1.0, market_ns=0,
    )  # fmt: skip
    tick = m.Ticked(at_ns=0, market_ns=0)
    begin.require_venue_agreement([(tick, [])], tmp_path)
    with pytest.raises(RunError, match="a fill that was missed: buy 1"):
        begin.require_venue_agreement([(tick, [fill])], tmp_path)


# ---------------------------------------------------------------- halts, failures, signals


def test_o1_a_halt_of_a_run_that_is_not_running_takes_effect_at_its_start(stage: Stage) -> None:
    stage.behaviour["live"] = {"buys": True}
    first = live(stage)
    folder = first.ends[0][0].location.folder
    posted = len(stage.venue.named("submit"))
    ask_halt(folder, flatten=False, name="ann", reason="news", now_ns=1)
    result = live(stage, bars=6)
    assert len(stage.venue.named("submit")) == posted
    assert stage.venue.named("cancel_all")
    assert (result.exit_code, result.ends[0][1].how) == (3, "halted")
    assert (folder / HALT).is_file()
    ask_resume(folder, name="ben", reason="read it", now_ns=2)
    result = live(stage, bars=8)
    assert len(stage.venue.named("submit")) > posted
    assert result.exit_code == 0
    assert not (folder / HALT).exists()


def test_p5_one_strategy_fails_and_the_other_goes_on(stage: Stage) -> None:
    stage.behaviour["bad"] = {"fails": True}
    result = stage.run("good", "bad")
    ends = {run.strategy.name: (run, end) for run, end in result.ends}
    assert ends["good"][1].how == "finished"
    assert ends["bad"][1].how == "failed"
    assert result.exit_code == 1
    reported = json.loads((ends["bad"][0].location.folder / FAILED).read_text())
    assert "ZeroDivisionError at DecisionTimeReached" in reported["failed"]
    assert reported["event"]["kind"] == "decision_time"
    assert "a strategy's bug" in reported["traceback"]
    with Reader(ends["bad"][0].location.journal) as journal:
        assert [each.clean for each in journal.sessions()] == [False]
    assert result.netting


def test_p9_too_many_unclean_ends_begin_in_safe_mode(stage: Stage) -> None:
    def safe_modes() -> list[str]:
        kept = [each for each, _ in rows(stage.run(bars=3)) if isinstance(each, m.Operated)]
        return [each.reason for each in kept if each.name == "safe_mode"]

    for crashes, wanted in ((begin.CRASHES + 1, 1), (1, 2)):
        stage.behaviour["live"] = {"fails": True}
        assert [stage.run(bars=50).exit_code for _ in range(crashes)] == [1] * crashes
        stage.behaviour["live"] = {}
        assert len(safe_modes()) == wanted
        assert len(safe_modes()) == wanted, "the end before it was clean"
    assert safe_modes()[0] == "safe mode: 4 unclean ends within 10 minutes"


@pytest.mark.parametrize("early", ["", "SIGTERM"])
def test_p6_a_signal_stops_in_order(stage: Stage, early: str) -> None:
    before = signal.getsignal(signal.SIGTERM)
    if not early:
        stage.world.on_open = lambda: os.kill(os.getpid(), signal.SIGTERM)
    result = stage.run(bars=None, signals=True, early=lambda: early)
    assert result.exit_code == 0
    assert result.ends[0][1].how == "stopped"
    assert "SIGTERM" in result.ends[0][1].text
    assert signal.getsignal(signal.SIGTERM) == before


# ---------------------------------------------------------------- the fold alone


def journal_of(path: Path, commands: Sequence[m.Command]) -> Journal:
    head = Head(
        run_id="r", strategy="s", mode="paper", account="", created_ns=0, origin_ns=0,
        fingerprints={"strategy": "a", "septet": "1"},
    )  # fmt: skip
    journal = Journal.create(path, head)
    journal.append(m.Ticked(at_ns=1, market_ns=1), commands)
    journal.commit()
    return journal


def test_a_core_that_answers_otherwise_is_refused_unless_versions_differ(tmp_path: Path) -> None:
    reported: list[str] = []

    def recover(now: dict[str, str]) -> begin.Recovered:
        return begin.recover(
            Scripted("s"), journal, now, restored=lambda kept, seq: None,
            each=lambda event, commands: None,
            notify=lambda level, name, fields: reported.append(name),
        )  # fmt: skip

    with journal_of(tmp_path / "j.sqlite", [m.Wake(at_ns=5)]) as journal:
        with pytest.raises(JournalError, match="replay differs at entry 1"):
            recover({"strategy": "a", "septet": "1"})
        found = recover({"strategy": "a", "septet": "2"})
        assert found.differences == 1
        assert reported == ["versions", "replay_differs"]
        with pytest.raises(InputError, match="another strategy file"):
            recover({"strategy": "b", "septet": "1"})
        with pytest.raises(InputError, match="other plugin code: none then, odd-steps 12 now"):
            recover({"strategy": "a", "plugins": "odd-steps 12", "septet": "1"})


def test_tags_are_of_a_run_and_fit_an_order_id() -> None:
    tags = {tag_of(f"run{k}") for k in range(1_000)}
    assert len(tags) == 1_000
    assert all(len(each) == 8 and each.isalnum() and each[0] == "s" for each in tags)


def test_cycles_are_collected_aside_and_a_run_leaves_collection_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = gc.get_threshold()  # the command line has one of its own
    before = (700, 10, 10)
    try:
        gc.set_threshold(*before)
        keep_apart()
        assert gc.get_threshold()[0] > before[0]
        gc.unfreeze()
        gc.set_threshold(*before)
        Stage(tmp_path).run()
        assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
    finally:
        gc.unfreeze()
        gc.set_threshold(*found)
    asked: list[int] = []
    monkeypatch.setattr(gc, "collect", asked.append)
    for old in (0, 100_000):
        monkeypatch.setattr(gc, "get_count", lambda old=old: (0, 0, old))
        tidy()
    assert asked == [1, 2]


def test_a_start_that_was_refused_leaves_nothing(stage: Stage) -> None:
    with pytest.raises(InputError, match="nobody confirmed"):
        stage.run(mode="live", yes=False)
    [parent] = stage.world.options().out.iterdir()
    assert not list(parent.iterdir())
    # What the hint asks to change is then no other strategy's file.
    assert stage.run(mode="live", sets=["account.capital=900"]).exit_code == 0


def test_why_a_run_could_not_go_on_is_in_its_log(stage: Stage) -> None:
    [(run, _)] = stage.run(mode="live").ends
    with pytest.raises(InputError, match="nobody confirmed"):
        stage.run(mode="live", yes=False, bars=5)
    text = (run.location.folder / "log.jsonl").read_text()
    lines = [json.loads(each) for each in text.splitlines()]
    [line] = [each for each in lines if each["event"] == "gave_up"]
    assert (line["level"], line["text"]) == (
        "error", "nobody confirmed that real orders may be sent",
    )  # fmt: skip
    assert "--yes" in line["hint"]


def test_a_halt_by_signal_counts_while_a_run_begins(stage: Stage) -> None:
    made = stage.core

    def signalled(loaded: Any, **given: Any) -> SimpleNamespace:
        if not stage.cores:
            os.kill(os.getpid(), signal.SIGUSR1)
        return made(loaded, **given)

    stage.core = signalled  # type: ignore[method-assign]
    result = stage.run(signals=True)
    asked = [event.action for event, _ in rows(result) if isinstance(event, m.Operated)]
    assert asked == ["halt", "stop"]
    [(run, _)] = result.ends
    assert (run.location.folder / HALT).is_file()
    assert stage.cores["live"].blocked


def test_ctrl_c_is_an_answer_to_the_question(stage: Stage) -> None:
    def interrupted(question: str) -> bool:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        return False

    wiring = Wiring(stage.core, stage.connected, stage.world.feed)
    with pytest.raises(InputError, match="nobody confirmed"):
        run_live(
            [stage.world.load("live", mode="live")], stage.world.options(bars=1),
            confirm=interrupted, clock=stage.world.clock, wiring=wiring,
        )  # fmt: skip
