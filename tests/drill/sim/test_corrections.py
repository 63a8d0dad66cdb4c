"""Lists of executions come only after the account has shown what was executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from septet import messages as m
from septet._drill.sim import end_checks, run_schedule
from septet._drill.sim.core_subject import core_subjects
from septet._drill.sim.venue import SimVenue
from septet._drill.venue.orders import Fill


def test_what_was_booked_at_a_guess_is_corrected_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the ledger too: each schedule ends with a replay and with both books compared."""
    listed, check, made = SimVenue.fills, end_checks._corrected, list[m.Corrected]()

    def late(venue: SimVenue, since_ns: int, put: Callable[[m.Event], None]) -> None:
        if venue._fault_rates.calm:
            listed(venue, since_ns, put)

    def counted(rows: end_checks.Rows, ours: Mapping[str, Fill]) -> list[str]:
        made.extend(each for _, found in rows for each in found if isinstance(each, m.Corrected))
        return check(rows, ours)

    monkeypatch.setattr(SimVenue, "fills", late)
    monkeypatch.setattr(end_checks, "_corrected", counted)
    for seed in range(1, 25):
        run_schedule(seed, core_subjects, only=frozenset({"E14 fill lost", "P1 crash"}))
    assert made
    assert any(each.cash for each in made)
