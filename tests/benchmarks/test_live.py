"""The live benchmarks: their verdicts, and that what they measure runs; nothing is timed here."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.json import encode

from septet import messages as m
from septet._drill.venue.venue_journal import FillMade
from septet._journal.journal_format import Head
from septet._journal.journal_writer import Journal
from septet._journal.write_ahead_tail import Tail


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def figure(**changes: Any) -> Any:
    fields: dict[str, Any] = {"part": "check", "name": "a", "value": 3.0, "unit": "s"}
    return script("live_common").Figure(**(fields | changes))


def test_a_target_is_met_or_missed_by_a_share_of_it() -> None:
    assert figure().met is None
    assert figure(bound=4.0).met
    assert figure(bound=4.0).missed_by == 0.0
    assert figure(bound=2.0).missed_by == 0.5
    assert figure(bound=4.0, most=False).missed_by == 0.25
    assert figure(bound=3.0, most=False).met


def test_the_table_states_every_verdict() -> None:
    live = script("live")
    text = live.table([figure(bound=4.0), figure(bound=2.0, note="why"), figure()])
    assert [line.split("|")[-2].strip() for line in text.splitlines()[2:]] == [
        "met", "**missed by 50%**", "-",
    ]  # fmt: skip
    assert "a (why)" in text
    assert [row.verdict for row in live.rows([figure(bound=4.0), figure(bound=2.0)])] == [
        "met", "**missed**",
    ]  # fmt: skip


def test_a_report_survives_its_way_between_processes() -> None:
    common = script("live_common")
    report = common.Report([figure(bound=4.0, note="n")], ["said"])
    assert common.Report.of(json.loads(json.dumps(report.document()))) == report


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script("live").options(["--only", "latency,speed"])
    assert "--only was speed" in capsys.readouterr().err


def test_a_quick_run_never_writes_the_page() -> None:
    live = script("live")
    assert live.options([]).whole
    assert not live.options(["--quick"]).whole
    assert not live.options(["--only", "check"]).whole


def test_the_sync_of_a_disk_is_measured(tmp_path: Path) -> None:
    found = script("live_common").sync_times_ns(tmp_path, 3)
    assert len(found) == 3
    assert not list(tmp_path.iterdir())


def test_every_checked_order_is_allowed() -> None:
    check = script("live_check")
    checks = check.busy_checks()
    assert checks.check(0, 1, 0.01, 1.0, 60_000.01, None, False, 60_000.0, check.START_NS) == ""


def test_a_bar_comes_to_an_order_of_the_demo(tmp_path: Path) -> None:
    latency, world = script("live_latency"), script("live_world")
    ready = world._fit(tmp_path)

    async def way() -> list[int]:
        run = await latency.live(tmp_path, ready, "process")
        try:
            found: list[int] = await latency.bars(run, 40, before=latency.nothing)
            return found
        finally:
            await latency.stop(run)

    assert len(latency.run(way)) > 0
    [journal] = (tmp_path / "runs").rglob("journal.sqlite")
    recovered = script("live_recovery").recover(journal.parent)
    assert recovered["entries"] > 0


@pytest.mark.parametrize("without", ["nothing", "the tail"])
def test_a_trial_leaves_out_what_it_names_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    latency, world, trials = script("live_latency"), script("live_world"), script("live_trials")
    for name in ("_keep", "_require_sync"):
        monkeypatch.setattr(Journal, name, getattr(Journal, name))
    put: list[int] = []
    monkeypatch.setattr(Tail, "put", _counted(Tail.put, put))
    trials.WITHOUT[without]()
    ready = world._fit(tmp_path)

    async def way() -> tuple[int, int]:
        run = await latency.live(tmp_path, ready, "power")
        try:
            await latency.bars(run, 40, before=latency.nothing)
            return run.venue.orders, run.strategy_run.journal.seq
        finally:
            await latency.stop(run)

    sent, entries = latency.run(way)
    assert sent > 0
    assert bool(put) == (without != "the tail")
    [journal] = (tmp_path / "runs").rglob("journal.sqlite")
    assert script("live_recovery").recover(journal.parent)["entries"] >= entries


def _counted(put: Callable[..., None], lengths: list[int]) -> Callable[..., None]:
    def counted(tail: Tail, frames: bytes, **named: Any) -> None:
        lengths.append(len(frames))
        put(tail, frames, **named)

    return counted


def test_trials_are_measured_where_they_are_named_alone() -> None:
    live = script("live")
    assert "trials" not in live.options([]).parts
    assert live.options(["--only", "trials"]).parts == ["trials"]


def test_how_flat_memory_is() -> None:
    assert script("live_memory").swing([100, 104, 98]) == 4.0


def test_what_differs_from_the_venues_truth_is_counted(tmp_path: Path) -> None:
    orders = script("live_orders")
    head = Head(run_id="r", strategy="s", mode="live", account="", created_ns=0, origin_ns=0)
    core = orders.Asker()
    with Journal.create(tmp_path / "j.sqlite", head) as journal:
        start = m.Ticked(at_ns=1, market_ns=1)
        journal.append(start, core.handle(start))
        journal.commit()
    fill = FillMade(
        at_ns=1, market_ns=1, trade_id=7, order_id=1, client_id="x", symbol="BTCUSDT", side="BUY",
        quantity="0.1", price="1", quote_quantity="0.1", fee="0", fee_asset="BTC", maker=False,
        owner="account",
    )  # fmt: skip
    (tmp_path / "t.jsonl").write_bytes(encode(fill) + b"\n")
    found = orders.lost(tmp_path / "j.sqlite", tmp_path / "t.jsonl")
    assert found["orders that were sent and are not there"] == orders.IN_FLIGHT
    assert found["fills that differ"] == 1


def test_trades_are_framed_as_a_server_frames_them() -> None:
    wire = script("live_wire")
    block = wire._block(5)
    size, at = block[1], 2
    if size == 126:
        size, at = int.from_bytes(block[2:4], "big"), 4
    first = json.loads(block[at : at + size])
    assert (first["e"], first["s"], first["t"]) == ("trade", "BTCUSDT", 5)
    assert block[at + size] == 0x81


def test_trades_that_the_journal_lacks_are_counted(tmp_path: Path) -> None:
    wire = script("live_wire")
    head = Head(run_id="r", strategy="s", mode="live", account="", created_ns=0, origin_ns=0)

    def lacks(name: str, *numbers: int) -> int:
        with Journal.create(tmp_path / name, head) as journal:
            for number in numbers:
                trade = m.Printed(at_ns=1, symbol=0, venue_ns=1, price=1.0, quantity=number)
                journal.append(trade, [])
            journal.commit()
        return int(wire.missing(tmp_path / name))

    assert lacks("whole", 7, 8, 9) == 0
    assert lacks("gaps", 7, 9, 12) == 3
    with pytest.raises(AssertionError, match="each trade once"):
        lacks("twice", 7, 7, 8)
