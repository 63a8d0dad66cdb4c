"""Monitors that act where a venue fills: what the backtest does, and the same when replayed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._data.bars import Instrument
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL, replay
from septet._live.shadow import shadow
from septet._shell.backtest import backtest
from septet._store.projections import write_projections
from tests.live import diffs

BARS = diffs.walk(260)
BLOCK = "monitoring.churn={use: turnover, window: 690m, above: 120%, verdict: block}"
HALT = "monitoring.losses={use: losing_streak, trades: 4, verdict: halt}"


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_COMPILE", "never")


class Rests(diffs.Venue):
    """Fills half of every order; the rest of it goes on working."""

    def take(self, order: m.Submit, at_ns: int, opened: float) -> Iterator[m.Event]:
        acked, filled, *_ = super().take(order, at_ns, opened)
        return iter((acked, filled))


def _lived(folder: Path, *sets: str, venue: Any = None, resume_at: int = -1) -> list[Any]:
    """Let a run live through the bars; return its entries."""
    path = diffs.write_file(folder, BARS)
    loaded = load(path, mode="paper", sets=["execution.simulation.fills=quotes", *sets])
    traded = [Instrument("BTC/USDT", diffs.LOT, diffs.TICK, 0.0, 1e-8)]
    live = folder / "live"
    live.mkdir()
    run = diffs.Runner(loaded, live, traded, {})
    run.venue = venue or run.venue
    lives = diffs.Lives(venue_fills=True)
    for n, bar in enumerate(BARS[:-1]):
        run.bar(n, bar, BARS[n + 1].open, lives)
        if n == resume_at:
            event = m.Operated(at_ns=bar.known_ns + 2, action="resume", name="ann", reason="well")
            run.follow(event, BARS[n + 1].open)
        if n % 37 == 36:
            run.core.restore(run.core.snapshot())
    run.journal.commit()
    run.journal.close()
    for prove in (replay, shadow):
        found = prove(live)
        assert found.differences == 0, str(found.first)
    with Reader(live / JOURNAL) as journal:
        return list(journal.read())


def _acts(entries: list[Any]) -> list[tuple[int, str, bool]]:
    """When a monitor's block or halt began (True) and ended, by its rule."""
    found = []
    for entry in entries:
        time_ns = getattr(entry.event, "time_ns", entry.at_ns)
        for each in entry.commands:
            if isinstance(each, m.Tripped | m.Cleared) and each.rule.startswith("monitoring."):
                found.append((time_ns, each.rule, isinstance(each, m.Tripped)))
    return found


@pytest.mark.parametrize(
    "monitors", [(BLOCK,), (HALT,), (BLOCK, HALT)], ids=["block", "halt", "both"]
)
def test_a_run_at_a_venue_acts_when_its_backtest_does(tmp_path: Path, monitors: Any) -> None:
    path = diffs.write_file(tmp_path, BARS[:-1])
    past: Any = backtest(load(path, sets=monitors), engine="batch")
    entries = _lived(tmp_path, *monitors)
    theirs = [(each.time_ns, each.rule, True) for each in past.halts]
    theirs += [(each.resumed_ns, each.rule, False) for each in past.halts if each.resumed_ns]
    assert sorted(_acts(entries)) == sorted(theirs)
    assert len(theirs) >= len(monitors)
    blocked: set[str] = set()
    entered, left, refused = 0, 0, 0
    for entry in entries:
        for each in entry.commands:
            if isinstance(each, m.Tripped) and each.rule.startswith("monitoring."):
                blocked.add(each.rule)
            elif isinstance(each, m.Cleared):
                blocked.discard(each.rule)
        sent = [each for each in entry.commands if isinstance(each, m.Submit)]
        entered += sum(not each.reduces for each in sent)
        left += sum(each.reduces for each in sent if blocked)
        refused += sum(
            each.rejected_by == "halted" for each in entry.commands if isinstance(each, m.Decided)
        )
        assert not blocked or all(each.reduces for each in sent), "an entry left while blocked"
    assert entered > 3
    assert refused
    assert left or monitors == (HALT,), "an exit leaves though entries are blocked"


def test_only_a_person_ends_a_halt(tmp_path: Path) -> None:
    plain = _acts(_lived(tmp_path / _made(tmp_path, "plain"), HALT))
    (halted_ns, rule, _) = plain[0]
    assert len(plain) == 1, "nothing but a person ends it"
    at = next(n for n, bar in enumerate(BARS) if bar.known_ns == halted_ns)
    entries = _lived(tmp_path / _made(tmp_path, "resumed"), HALT, resume_at=at + 20)
    acts = _acts(entries)
    assert acts[0] == (halted_ns, rule, True)
    assert acts[1][1:] == (rule, False)
    resumed_ns = BARS[at + 20].known_ns
    later = [
        each for entry in entries for each in entry.commands
        if isinstance(each, m.Submit) and not each.reduces and entry.at_ns > resumed_ns
    ]  # fmt: skip
    assert later
    run = write_projections(tmp_path / "resumed" / "live")
    halts = [(each.rule, each.time_ns) for each in run.result.halts]
    assert halts[0] == (rule, halted_ns)


def test_a_halt_cancels_the_rest_of_an_entry_at_the_venue(tmp_path: Path) -> None:
    """Its first fill trips the halt; what is held keeps its exits."""
    order = "execution.order={use: limit, offset: 1bps, time_in_force: 200 bars}"
    churn = "monitoring.churn={use: turnover, window: 690m, above: 20%, verdict: halt}"
    half = Rests({n: diffs.Hand(share=0.5) for n in range(99)}, "USDT")
    entries = _lived(tmp_path, churn, order, venue=half)
    [(halted_ns, _, _)] = _acts(entries)
    sent = [each for entry in entries for each in entry.commands if isinstance(each, m.Submit)]
    cancelled = [
        (getattr(entry.event, "time_ns", 0), each.client_id)
        for entry in entries for each in entry.commands if isinstance(each, m.Cancel)
    ]  # fmt: skip
    assert (halted_ns, sent[0].client_id) in cancelled
    assert not any(not each.reduces for each in sent[1:])


def _made(folder: Path, name: str) -> str:
    (folder / name).mkdir()
    return name
