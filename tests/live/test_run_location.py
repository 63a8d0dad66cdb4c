"""Which run a start goes on with."""

from __future__ import annotations

from pathlib import Path

from septet._live.run_location import find_run_location

SECOND = 1_000_000_000
NOON = 1_790_000_000 * SECOND


def test_a_run_begun_later_sorts_last(tmp_path: Path) -> None:
    """Also within one second, and after a run that was begun while the clock ran ahead."""
    ids: list[str] = []
    for second in (3_600, 0, 0, 0, 0, 1, 0):
        location = find_run_location(
            tmp_path, "sma", "paper", fresh=True, now_ns=NOON + second * SECOND + len(ids)
        )
        location.journal.write_bytes(b"")
        ids.append(location.run_id)
    assert ids == sorted(ids)
    assert ids[0].startswith("20260921T")


def test_a_folder_without_a_run_sends_no_orders(tmp_path: Path) -> None:
    for name in ("99999999T999999Z-abcdef", "notes", "99991231T235959Z-abcdef"):
        (tmp_path / "sma" / name).mkdir(parents=True)
        (tmp_path / "sma" / name / "journal.sqlite").write_bytes(b"")
    location = find_run_location(tmp_path, "sma", "paper", fresh=True, now_ns=NOON)
    assert location.run_id.startswith("20260921T")
