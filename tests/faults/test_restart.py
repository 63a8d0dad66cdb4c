"""What a start may find: money locked or spent, a feed that is away, a folder that was moved."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet import messages as m
from septet._journal.lease import Holder, Lease
from septet._journal.reader import Reader
from septet._live.kill_switch import ask_halt, read_halt
from septet._live.process import LiveResult
from septet._live.run_location import JOURNAL
from septet.errors import RunError
from tests.faults.fault_checks import MANY, assert_agreement, held
from tests.faults.process_harness import ProcessHarness
from tests.faults.test_operator import entries, operated
from tests.faults.test_process import BARS, made
from tests.live.feeds import MemoryFeed
from tests.live.test_start import Scripted, Stage, rows

BLOCK, UNREAD = "insufficient_funds", "account_unread"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    return Stage(tmp_path)


def live(stage: Stage, **options: Any) -> LiveResult:
    return stage.run(mode="live", **options)


# ---------------------------------------------------------------- funds


def test_a6_killed_with_all_of_the_balance_at_work(tmp_path: Path) -> None:
    """The capital is the whole balance: what an order has spent unheard is never missing money."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            for _ in range(3):
                harness.kill_at = {len(harness.moments) + harness.chance.randint(1, 30)}
                await harness.trade(harness.path_of(BARS // 2))
                await harness.rest(2)
            assert harness.starts > 1
            assert BLOCK not in {each.rule for each in harness.commands(m.Tripped)}, f"seed {seed}"
            await assert_agreement(harness)
            held("A6")

    asyncio.run(scene())


def test_a6_a_start_that_reads_no_balance_blocks_entries_until_the_next_read(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            await harness.trade(harness.path_of(BARS))
            for _ in range(4):
                await harness.quote(harness.price)
            await harness.bury()
            free = harness.chance.choice((0.0, 0.5, 900.0))
            harness.bend = lambda name, answer, free=free: (  # type: ignore[misc]
                msgspec.structs.replace(answer, balances={**answer.balances, "USDT": (free, 0.0)})
                if name == "holdings"
                else answer
            )
            cash = harness.venue._account.cash
            await harness.start()
            tripped = [each for each in harness.commands(m.Tripped) if each.rule == BLOCK]
            assert bool(tripped) == (cash - free > 2.0), f"seed {seed}: {cash}, {free}"
            before = entries(harness)
            await harness.trade(harness.path_of(4))
            if tripped:
                assert entries(harness) == before, f"seed {seed}"
                assert "septet" not in tripped[0].text
                assert "in cash, and the account has" in tripped[0].text
            harness.bend = lambda name, answer: answer
            await harness.wait_until_idle()
            harness.dispatcher.dispatch([m.Refresh(what="holdings")])
            await harness.wait_until_idle()
            cleared = [each.rule for each in harness.commands(m.Cleared)]
            assert cleared.count(BLOCK) == len(tripped), f"seed {seed}"
            await harness.trade(harness.path_of(3))
            await harness.rest()
            await assert_agreement(harness)
            held("A6")

    asyncio.run(scene())


def stops_at(harness: ProcessHarness) -> list[str]:
    """Return the ids of the stops that rest at the venue."""
    return [
        name for name, order in harness.venue._orders.items()
        if order.working and order.submit.order_type == "stop"
    ]  # fmt: skip


def misread(harness: ProcessHarness, rule: str) -> None:
    """Let reads of the balances return too little cash, or nothing that can be read."""

    def bend(name: str, answer: Any) -> Any:
        if name != "holdings":
            return answer
        if rule == UNREAD:
            return msgspec.structs.replace(answer, balances={}, unread="the balance is nan")
        return msgspec.structs.replace(answer, balances={**answer.balances, "USDT": (0.0, 0.0)})

    harness.bend = bend


@pytest.mark.parametrize("rule", [BLOCK, UNREAD])
def test_a6_what_is_held_stays_protected_while_the_account_blocks_entries(
    tmp_path: Path, rule: str
) -> None:
    """The stop of before stays, one that is lost is placed again, and what is held is sold."""

    async def scene() -> None:
        for seed in range(4):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            while not harness.venue._account.held(0):
                await harness.trade([harness.price * 1.01])
            await harness.rest(2)
            before, stops = entries(harness), stops_at(harness)
            assert len(stops) == (seed % 2 == 0), f"seed {seed}: odd ones have none at the venue"
            await harness.bury()
            misread(harness, rule)
            await harness.start()
            await harness.rest(3)
            assert rule in {each.rule for each in harness.commands(m.Tripped)}, f"seed {seed}"
            assert stops_at(harness) == stops, f"seed {seed}"
            for each in stops:
                harness.venue._orders[
                    each
                ].state = "cancelled"  # by the venue, and it reports nothing
                harness.dispatcher.dispatch([m.Refresh(what="open_orders")])
                await harness.rest(3)
                assert len(stops_at(harness)) == 1, f"seed {seed}: it is placed again"
            fall = 0.9 if seed < 2 else 0.99  # through the stop, or until the signal is an exit
            await harness.trade(
                [harness.price * 0.99, harness.price * fall, harness.price * fall * 0.99]
            )
            await harness.rest(3)
            assert harness.venue._account.held(0) == 0.0, f"seed {seed}"
            assert stops_at(harness) == []
            await harness.trade([harness.price * 1.01, harness.price * 1.03, harness.price * 1.05])
            assert entries(harness) == before, f"seed {seed}: entries stay blocked"
            assert rule not in {each.rule for each in harness.commands(m.Cleared)}
            harness.bend = lambda name, answer: answer
            await assert_agreement(harness)
            held("A6")

    asyncio.run(scene())


# ---------------------------------------------------------------- ids that begin anew


class Counts:
    """Numbers a venue's orders and trades as they come, from one on; `reset` begins anew."""

    def __init__(self, harness: ProcessHarness) -> None:
        self.harness = harness
        opened = harness.venue.open
        self.reset()
        harness.bend = lambda name, answer: self.renamed(answer)

        async def open_venue(symbols: Any, sink: Any) -> Any:
            return await opened(symbols, lambda event: sink(self.renamed(event)))

        harness.venue.open = open_venue  # type: ignore[method-assign]

    def reset(self) -> None:
        """Forget everything but the balances, as a test network does."""
        self.ids: dict[str, dict[str, str]] = {"trade_id": {}, "venue_order_id": {}}
        self.harness.venue._orders.clear()
        self.harness.venue._fills.clear()

    def renamed(self, what: Any) -> Any:
        if isinstance(what, list | tuple):
            return [self.renamed(each) for each in what]
        if isinstance(what, m.OpenOrders):
            return msgspec.structs.replace(what, orders=tuple(self.renamed(what.orders)))
        changes = {
            name: ids.setdefault(given, f"{len(ids) + 1}")
            for name, ids in self.ids.items()
            if (given := getattr(what, name, ""))
        }
        return msgspec.structs.replace(what, **changes) if changes else what


def test_a12_fills_with_the_ids_of_older_ones_are_booked_after_a_restart(tmp_path: Path) -> None:
    """A test network is reset while nobody runs, and counts trades and orders from one again."""

    async def scene() -> None:
        for seed in range(max(2, MANY // 10)):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            counts = Counts(harness)
            await harness.start()
            for begins in (1, 2):
                while not harness.venue._account.held(0):
                    await harness.trade([harness.price * 1.01])
                while harness.venue._account.held(0):
                    await harness.trade([harness.price * 0.99])
                await harness.rest(2)
                fills = [event for event, _ in harness.rows() if isinstance(event, m.Filled)]
                booked = [(each.trade_id, each.side) for each in harness.commands(m.Traded)]
                assert booked == [("1", "buy"), ("2", "sell")] * begins, f"seed {seed}"
                assert fills[-2].venue_order_id == "1", f"seed {seed}"
                assert harness.commands(m.Traded)[-1].position == 0.0
                await harness.bury()
                counts.reset()
                await harness.start()
            assert "disputed_fill" not in {each.rule for each in harness.commands(m.Tripped)}
            assert "position_mismatch" not in {each.rule for each in harness.commands(m.Tripped)}
            await harness.bury()
            assert harness.differences() == 0
            held("A12")

    asyncio.run(scene())


# ---------------------------------------------------------------- halts


class Away(MemoryFeed):
    """A feed that never answers, and what happens when it is asked for the second time."""

    def __init__(self, clock: Any, asked: Callable[[int], None]) -> None:
        super().__init__(clock)
        self.asks, self.asked = 0, asked

    async def open(self, request: Any, sink: Any) -> Any:
        self.asks += 1
        self.asked(self.asks)
        raise RunError("connection refused")


class Closing(Scripted):
    """Ends the process once it was asked to close what it holds."""

    def handle(self, event: m.Event) -> Any:
        if isinstance(event, m.Operated) and event.action == "flatten":
            os.kill(os.getpid(), signal.SIGTERM)
        return super().handle(event)


def away(stage: Stage, monkeypatch: pytest.MonkeyPatch, asked: Callable[[int], None]) -> None:
    monkeypatch.setattr("tests.live.test_start.Scripted", Closing)
    monkeypatch.setattr(stage.world, "feed", lambda loaded, clock, *_: Away(clock, asked))


@pytest.mark.parametrize("when", ["before the start", "while it waits", "and then a plain halt"])
def test_a8_a_flatten_at_a_start_needs_no_market_data(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder = live(stage).ends[0][0].location.folder

    def ask(flatten: bool = True) -> None:
        ask_halt(folder, flatten=flatten, name="ann", reason="news", now_ns=1)

    if when != "while it waits":
        ask()
    if when == "and then a plain halt":
        ask(flatten=False)

    def asked(times: int) -> None:
        if times == 1 and when == "while it waits":
            ask()

    away(stage, monkeypatch, asked)
    result = live(stage, bars=9, signals=True)
    assert result.ends[0][1].how == "halted"
    found = [event for event, _ in rows(result)]
    last = max(k for k, each in enumerate(found) if isinstance(each, m.Started))
    kinds = [
        each.action if isinstance(each, m.Operated) else type(each).__name__
        for each in found[last:]
    ]  # fmt: skip
    assert "flatten" in kinds
    assert kinds.index("OpenOrders") < kinds.index("Holdings") < kinds.index("flatten")
    assert "BarClosed" not in kinds
    standing = read_halt(folder)
    assert standing is not None
    assert standing.action == "flatten"
    held("A8")


def test_a8_a_halt_after_a_flatten_still_closes(tmp_path: Path) -> None:
    """The second word comes before, while or after the exit is under way, with deaths between."""

    async def scene() -> None:
        for seed in range(MANY):
            harness = ProcessHarness(made(tmp_path / f"{seed}"), seed)
            await harness.start()
            while not harness.venue._account.held(0):
                await harness.trade(
                    harness.path_of(1) if harness.chance.random() < 0.5 else [harness.price * 1.01]
                )
            harness.put(operated(harness, "flatten"))
            for _ in range(harness.chance.randint(0, 3)):
                await asyncio.sleep(0)
            if harness.chance.random() < 0.3:
                await harness.bury()
                await harness.start()
                harness.put(operated(harness, "flatten"))  # its file is still there
            for _ in range(harness.chance.randint(1, 3)):
                harness.put(operated(harness, "halt"))
                await asyncio.sleep(0)
            await harness.rest(12)
            assert harness.venue._account.held(0) == 0.0, f"seed {seed}"
            await assert_agreement(harness)
            held("A8")

    asyncio.run(scene())


# ---------------------------------------------------------------- folders


def test_a11_a_renamed_folder_goes_on(stage: Stage) -> None:
    stage.behaviour["live"] = {"buys": True}
    folder = live(stage).ends[0][0].location.folder
    run_id = folder.name
    for number, name in enumerate(("keep-this-one", "0-first", "zzz")):
        folder = folder.rename(folder.with_name(name))
        result = live(stage, bars=6 + 3 * number)
        [(run, end)] = result.ends
        assert (end.how, run.location.folder, run.location.run_id) == (
            "finished",
            folder,
            run_id,
        )
        ids = [each.client_id for each in stage.venue.named("submit")]
        assert len(set(ids)) == len(ids) > 0
        assert {each[:8] for each in ids} == {run.location.tag}
        assert f"{name} is the folder of run {run_id}" in (folder / "log.jsonl").read_text()
        held("A11")


def test_a11_of_copies_beside_each_other_the_newest_goes_on(stage: Stage) -> None:
    folder = live(stage).ends[0][0].location.folder
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy)
    [(run, _)] = live(stage, bars=6).ends
    assert (run.location.folder, run.location.copies) == (folder, (copy,))
    older = folder.with_name("zz-older")
    folder.rename(older.with_name("a-newest"))
    copy.rename(older)
    [(run, end)] = live(stage, bars=9).ends
    assert (run.location.folder.name, end.how) == ("a-newest", "finished")
    assert "its copies stay: zz-older" in (run.location.folder / "log.jsonl").read_text()
    held("A11")


def test_a11_a_copy_of_a_run_that_goes_on_is_refused(stage: Stage) -> None:
    run = live(stage).ends[0][0]
    folder, run_id = run.location.folder, run.location.run_id
    other = stage.world.folder / "elsewhere" / folder.name
    shutil.copytree(folder, other)
    holder = Holder.this_process(run_id=run_id, strategy="live", folder=other, now_ns=0)
    with Lease.take(holder), pytest.raises(RunError, match="is a copy of run") as caught:
        live(stage, bars=6)
    assert f"{run_id}, which goes on elsewhere" in caught.value.message
    assert "--fresh" in caught.value.hint
    assert live(stage, bars=6).exit_code == 0
    held("A11")


def test_a11_a_damaged_run_beside_refuses_only_where_it_is_the_newest(stage: Stage) -> None:
    old = live(stage).ends[0][0].location.folder
    new = live(stage, fresh=True).ends[0][0].location.folder
    (old / JOURNAL).write_bytes(b"no journal" * 100)
    assert live(stage, bars=6).ends[0][0].location.folder == new
    (new / JOURNAL).write_bytes(b"no journal" * 100)
    with pytest.raises(Exception, match="journal"):
        live(stage, bars=9)
    held("A11")


def test_a11_what_a_run_leaves_is_its_users_alone(stage: Stage) -> None:
    before = os.umask(0)
    try:
        folder = live(stage).ends[0][0].location.folder
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    there = {each.relative_to(folder).as_posix(): each for each in folder.rglob("*")}
    assert there.keys() >= {JOURNAL, "log.jsonl", "manifest.json", "resolved.json", "strategy.yaml"}
    for name, each in there.items():
        expected = 0o700 if each.is_dir() else 0o600
        assert each.stat().st_mode & 0o777 == expected, name
    folder.chmod(0o755)
    live(stage, bars=6)
    assert "is open to other users of this machine (mode 755)" in (folder / "log.jsonl").read_text()
    with Reader(folder / JOURNAL) as journal:
        assert journal.head.run_id == folder.name
    held("A11")
