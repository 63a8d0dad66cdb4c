"""The blocks of entries: the name of each, what clears it, and the alert level when it starts."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["RULES", "Rule", "cleared_by"]

Level = Literal["info", "warning", "error", "critical"]


class Rule(msgspec.Struct, frozen=True):
    """The condition that clears a guard, and the level of the alert at its beginning."""

    clears_when: str
    level: Level = "warning"
    person: bool = False


PERSON = "a person resumes the run (septet resume)"

RULES: dict[str, Rule] = {
    "feed_stale": Rule("data arrives again"),
    "feed_down": Rule("the stream is live again"),
    "venue_down": Rule("the venue answers again", "error"),
    "venue_limited": Rule("the pause the venue asked for is over"),
    "venue_banned": Rule("the ban is over", "critical"),
    "venue_maintenance": Rule("the venue reports that it is up"),
    "symbol_halted": Rule("the venue lets the symbol trade"),
    "unlisted": Rule("the exchange lists the symbol again", "error"),
    "filters_changed": Rule(
        "the filters are as before the change, or a person resumes (septet resume)",
        "error",
        person=True,
    ),
    "clock_skew": Rule("the clocks agree again", "error"),
    "unknown_order": Rule("it is known what became of the order", "info"),
    "unexplained_order": Rule(
        "the venue shows the order, what was seen is explained, "
        "or a person resumes (septet resume)",
        "critical",
        person=True,
    ),
    "position_mismatch": Rule(
        "the balances agree, or a person resumes (septet resume)", "critical", person=True
    ),
    "disputed_fill": Rule(
        "the account agrees with what is booked, or a person resumes (septet resume)",
        "critical",
        person=True,
    ),
    "lost_fill": Rule(
        "the account or the executions show what became of the order, or septet resume leaves out "
        "executions that neither shows",
        "error",
    ),
    "account_unread": Rule("the balances are read", "error"),
    "rejected_entry": Rule("the account was read after the rejection", "info"),
    "unprotected": Rule(
        "the exit is filled, the stop rests at the venue again, or septet resume accepts that the "
        "account no longer holds the position",
        "info",
    ),
    "insufficient_funds": Rule(
        "the account holds the ledger's cash again, or a person resumes (septet resume)",
        "critical",
        person=True,
    ),
    "ack_mismatch": Rule(PERSON, "critical", person=True),
    "safe_mode": Rule(PERSON, "critical", person=True),
    "operator_halt": Rule(PERSON, "warning", person=True),
    "stopping": Rule("the next start", "info"),
    "quarantine": Rule("the plugin is tried again"),
    "throttled": Rule(PERSON, "critical", person=True),
    "turnover": Rule(PERSON, "critical", person=True),
}
"""Every guard: `blocked` answers with one of these names."""


_RESUMED = frozenset({"manual", "septet resume"})


def cleared_by(clears_when: str) -> str:
    """Return what clears a block or a halt, in words; a halt of the file may state `manual`."""
    return PERSON if clears_when in _RESUMED else clears_when
