"""A missing stop stands in `/healthz` and in `septet top`, by the rows that the run has stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._app.run_view import view_of_fold
from septet._app.runs import standing_in
from septet._journal.fold import Fold
from septet._journal.journal_format import Entry, Head, encode_commands, encode_event
from septet._journal.lease import Holder, Lease
from septet._live.health_check import condition_of
from septet._live.journal_fold import Known
from septet._terminal.rows import head_lines
from tests.live.feeds import World
from tests.live.test_metrics import _strategy_run, world
from tests.live.test_overdue_stops import START, ended, protected
from tests.live.test_prices import SECOND

__all__ = ["world"]

RULE = "unprotected:BTC/USDT"
Row = tuple[m.Event, Sequence[m.Command]]


def rows_without_stop() -> list[Row]:
    """Return what a run stores whose venue ended its stop and rejects every other."""
    core, stop = protected()
    rows: list[Row] = []

    def handle(event: m.Event) -> None:
        rows.append((event, core.handle(event)))

    found = ended(core, stop, 2)
    for second in range(3, 40):
        at_ns = START + second * SECOND
        for each in found:
            if isinstance(each, m.Submit):
                handle(
                    m.Rejected(
                        at_ns=at_ns, client_id=each.client_id, code="rejected", text="", by="venue"
                    )
                )
        handle(
            m.Quoted(
                at_ns=at_ns, symbol=0, venue_ns=at_ns, bid=99.5, bid_quantity=1.0, ask=99.52,
                ask_quantity=1.0, market_ns=at_ns,
            )
        )  # fmt: skip
        found = [command for _, commands in rows[-2:] for command in commands]
    return rows


def test_a_missing_stop_is_in_healthz(world: World) -> None:
    known = Known(world.load(), keep_ns=1)
    assert known.tripped == {}
    for event, commands in rows_without_stop():
        known.take(event, commands)
    decided = SimpleNamespace(
        tripped=known.tripped, decided_ns=world.clock.market_ns(), model_expired=False
    )
    condition = condition_of(_strategy_run(world, known=decided))
    assert not condition.ok
    assert any(f"{RULE} holds; it is cleared by: " in each for each in condition.reasons)


def test_a_missing_stop_is_on_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path))
    facts: dict[str, Any] = {"symbols": ["BTC/USDT"], "currency": "USDT", "capital": 1_000.0}
    fold = Fold(
        Head(
            run_id="r1", strategy="s", mode="live", account="", created_ns=0, origin_ns=0,
            facts=facts,
        )
    )  # fmt: skip
    for seq, (event, commands) in enumerate(rows_without_stop(), 1):
        at_ns, kind, text = encode_event(event)
        fold.take([Entry(seq, at_ns, kind, text, encode_commands(commands), b"")])
    holder = Holder.this_process(run_id="r1", strategy="s", folder=tmp_path, now_ns=0)
    with Lease.take(holder):
        standing = standing_in(tmp_path, [asdict(each) for each in fold.blocks], "")
        view = view_of_fold(tmp_path, fold, standing, fold.last_at_ns)
    (line,) = (each for each in head_lines(view, fold.last_at_ns, "r1") if "Entries" in each)
    assert f"BLOCKED: blocked by {RULE} until " in line
