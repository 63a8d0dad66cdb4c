"""What a drill asks of a fault besides books that agree: blocks, lines of the log, a stop kept."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from septet._drill.fault_audits import audit
from septet._drill.fault_kinds import CATALOGUE, Kind
from septet._drill.outcome import Row
from septet._drill.record_checks import check_all
from septet._drill.stop_cover import Cover, Terms
from septet._drill.trading_records import RunRecord, VenueRecord
from septet._drill.venue.venue_journal import Answered, FillMade, OrderChanged
from septet._live.logs import iso
from tests.drill.test_record_checks import HEAD, T0, fill, order

MS = 1_000_000
TERMS = {"BTCUSDT": Terms("BTC", Decimal("0.1"), Decimal("5"))}
ANSWERS = [(1, 200), (5, 418), (9, 200)]
STOP = {"side": "SELL", "type": "STOP_LOSS", "status": "NEW"}


def bought(at_ms: int) -> FillMade:
    return fill(1, "n", "1", at_ns=T0 + at_ms * MS)


def stop(at_ms: int, **changes: Any) -> OrderChanged:
    return order(2, "s", at_ns=T0 + at_ms * MS, **(STOP | changes))


def covered(*rows: OrderChanged | FillMade) -> Cover:
    cover = Cover(TERMS)
    for row in rows:
        cover.take(row)
    return cover


def test_a_position_is_bare_from_its_fill_to_its_stop_and_from_its_cancel_to_its_sale() -> None:
    sale = fill(2, "x", "0.95", side="SELL", at_ns=T0 + 700 * MS)
    cover = covered(bought(0), stop(100), stop(400, status="CANCELED"), sale)
    assert cover.unprotected() == []  # 0.049 is left: less than a lot
    assert cover.longest_ms(T0, T0 + 900 * MS) == (300.0, "BTCUSDT")
    assert cover.longest_ms(T0 + 500 * MS, T0 + 900 * MS) == (200.0, "BTCUSDT")
    assert cover.longest_ms(T0 + 800 * MS, T0 + 900 * MS) == (0.0, "")


def test_a_position_that_stays_bare_is_named_and_one_of_a_strategy_without_stops_is_not() -> None:
    unprotected = covered(bought(0), stop(100), stop(400, status="CANCELED"))
    assert unprotected.unprotected() == unprotected.unprotected(T0 + 401 * MS) == ["BTCUSDT"]
    assert unprotected.unprotected(T0 + 400 * MS) == []
    assert unprotected.longest_ms(T0, T0 + 900 * MS) == (500.0, "BTCUSDT")
    assert covered(bought(0)).unprotected() == []
    assert covered(stop(0), fill(1, "n", "0.01")).unprotected() == []  # too small for any order
    assert covered(stop(0), fill(1, "n", "1", owner="other")).unprotected() == []


def test_the_truth_check_names_a_naked_position() -> None:
    venue = VenueRecord(cover=covered(bought(0), stop(100), stop(400, status="EXPIRED")))
    assert [(each.kind, each.subject) for each in check_all(venue, RunRecord(HEAD))] == [
        ("unprotected", "BTCUSDT")
    ]


@pytest.mark.parametrize(
    ("event", "after_ms", "rule", "kinds"),
    [
        ("task_failed", 5, "feed_down:bars:BTC/USDT", set()),
        ("task_failed", 5, "venue_down:drill", set()),
        ("task_failed", -500, "venue_down:drill", {"unnoticed"}),
        ("task_works", 5, "venue_down:drill", {"unnoticed"}),
        ("task_failed", 5, "clock_skew:drill", {"unnoticed"}),
    ],
)
def test_a_fault_must_block_entries_and_stand_in_the_log(
    tmp_path: Path, event: str, after_ms: int, rule: str, kinds: set[str]
) -> None:
    line = {"timestamp": iso(T0 + after_ms * MS), "event": event}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    kind = Kind("A4", "", blocks=("feed_down", "venue_down"), logs=("task_failed",))
    ours = RunRecord(HEAD)
    ours.tripped.append((T0 + MS, rule))
    found = audit(kind, VenueRecord(), ours, tmp_path, T0, T0 + 900 * MS)
    assert {each.kind for each in found} == kinds


def test_a_stop_that_left_while_the_fault_acted_is_found(tmp_path: Path) -> None:
    venue = VenueRecord(cover=covered(bought(0), stop(1), stop(100, status="CANCELED")))
    for unprotected_ms, kinds in ((700.0, ["unprotected"]), (900.0, [])):
        kind = Kind("A7", "", unprotected_ms=unprotected_ms)
        found = audit(kind, venue, RunRecord(HEAD), tmp_path, T0, T0 + 900 * MS)
        assert [each.kind for each in found] == kinds


def test_a_ban_that_was_not_reported_was_not_reached() -> None:
    answers = [Answered(at_ns=T0 + ms * MS, number=ms, status=status) for ms, status in ANSWERS]
    venue = VenueRecord().take(answers)
    assert [venue.was_banned_since(T0 + at_ms * MS) for at_ms in (0, 5, 6)] == [True, True, False]
    row = Row("A10", asked=2, injected=2, resolved=2)
    row.take_back(1)
    assert (row.injected, row.resolved, row.held) == (1, 1, "yes")
    row.take_back(1)
    assert row.held == "not reached"
    assert row.remark == "no request came by while it lasted"


@pytest.mark.parametrize(
    ("text", "after_ms", "kinds"),
    [
        ("it is stamped 120 s ahead of the local clock", 1, set()),
        ("it is stamped 120 s ahead of the local clock", -50_000, set()),
        ("it is stamped 120 s ahead of the local clock", -70_000, {"unnoticed"}),
        ("quantity: -1 is none", 1, {"unnoticed"}),
    ],
)
def test_what_is_logged_once_a_minute_is_noticed_by_the_line_of_that_minute(
    tmp_path: Path, text: str, after_ms: int, kinds: set[str]
) -> None:
    line = {"timestamp": iso(T0 + after_ms * MS), "event": "unreadable", "text": text}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    found = audit(CATALOGUE["A5"], VenueRecord(), RunRecord(HEAD), tmp_path, T0, T0 + 900 * MS)
    assert {each.kind for each in found} == kinds
