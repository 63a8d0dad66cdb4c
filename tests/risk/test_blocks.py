"""What blocks entries against the table of docs/live.md, through restarts at any moment."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septet import messages as m
from septet._core.guards import RULES, Guards

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
PERSON = {
    "filters_changed", "position_mismatch", "ack_mismatch", "safe_mode", "operator_halt",
    "throttled", "turnover", "disputed_fill", "insufficient_funds",
    "unexplained_order",
}  # fmt: skip
"""Blocks of the table that end when a person resumes the run."""
LOT = 0.001
GAPS = {"none": 0.0, "some": 1.0, "half": 0.5}
VENUE = ("up", "down", "limited", "banned", "maintenance")

Step = tuple[str, Any]
STEPS = st.one_of(
    st.tuples(st.just("feed"), st.sampled_from(["live", "stale", "down"])),
    st.tuples(st.just("venue"), st.tuples(st.sampled_from(VENUE), st.sampled_from([0, 5, 20, 90]))),
    st.tuples(st.just("lot"), st.sampled_from([LOT / 10, LOT, LOT * 10])),
    st.tuples(st.just("trading"), st.booleans()),
    st.tuples(st.just("skew"), st.sampled_from([0, 500_000_000, -500_000_001])),
    st.tuples(st.just("person"), st.sampled_from(["halt", "flatten", "resume", "rearm", "stop"])),
    st.tuples(st.just("trip"), st.sampled_from(sorted(PERSON))),
    st.tuples(st.just("gap"), st.tuples(st.sampled_from(sorted(GAPS)), st.booleans())),
    st.tuples(st.just("quarantine"), st.sampled_from([10, 60])),
    st.tuples(st.just("pass"), st.sampled_from([1, 30])),
    st.tuples(st.just("restart"), st.booleans()),
)


class Table:
    """The table, word by word: a block and when it ends by itself, in seconds (0: never)."""

    def __init__(self) -> None:
        self.now = 0
        self.on: dict[str, int] = {}
        self.lot = LOT
        self.accepted = self.found = 0.0

    def take(self, kind: str, what: Any) -> None:
        getattr(self, kind)(what)

    def off(self, *names: str) -> None:
        for name in names:
            self.on.pop(name, None)

    def feed(self, state: str) -> None:
        self.off("feed_stale", "feed_down")
        if state != "live":
            self.on[f"feed_{state}"] = 0

    def venue(self, what: tuple[str, int]) -> None:
        state, within = what
        before = self.on.get(f"venue_{state}")
        self.off(*(f"venue_{each}" for each in VENUE))
        if state != "up":
            until = self.now + within if within else 0
            self.on[f"venue_{state}"] = max(until, before or 0) if until else 0

    def filters(self, lot: float, *, trading: bool) -> None:
        self.off("symbol_halted")
        if not trading:
            self.on["symbol_halted"] = 0
        if lot > self.lot:
            self.on["filters_changed"] = 0
        self.lot = lot

    def skew(self, skew_ns: int) -> None:
        self.off("clock_skew")
        if abs(skew_ns) > 500_000_000:
            self.on["clock_skew"] = 0

    def person(self, action: str) -> None:
        if action == "resume":
            if "position_mismatch" in self.on and self.found:
                self.accepted = self.found
            self.off(*PERSON)
        elif action == "rearm":
            self.off("throttled")
        else:
            self.on["stopping" if action == "stop" else "operator_halt"] = 0

    def trip(self, name: str) -> None:
        self.on[name] = 0

    def gap(self, what: tuple[str, bool]) -> None:
        size = GAPS[what[0]]
        explained = what[1] and size >= self.accepted  # orders explain what is beyond the accepted
        if size in (0.0, self.accepted):
            self.accepted = size and self.accepted
            self.found = 0.0
            self.off("position_mismatch")
        elif not explained:
            self.found = size
            self.on["position_mismatch"] = 0

    def quarantine(self, within: int) -> None:
        self.on["quarantine"] = max(self.on.get("quarantine", 0), self.now + within)

    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.off(*[name for name, until in self.on.items() if 0 < until <= self.now])

    def restart(self) -> None:
        self.off("stopping")
        self.wait(0)


def made() -> Guards:
    return Guards(["A"], lots=(LOT,))


def act(guards: Guards, table: Table, kind: str, what: Any) -> Guards:
    """Do one thing to both; return the guards, which may be restored ones."""
    at_ns = NOW + table.now * SECOND
    if kind == "feed":
        guards.handle(m.FeedChanged(at_ns=at_ns, stream="bars", symbol=0, state=what))
        table.feed(what)
    elif kind == "venue":
        until = at_ns + what[1] * SECOND if what[1] and what[0] != "up" else 0
        guards.handle(m.VenueChanged(at_ns=at_ns, venue="v", state=what[0], until_ns=until))
        table.venue(what)
    elif kind in ("lot", "trading"):
        lot, trading = (what, True) if kind == "lot" else (table.lot, what)
        guards.handle(
            m.FiltersChanged(
                at_ns=at_ns, symbol=0, lot=lot, tick=0.01, min_notional=1.0, trading=trading
            )
        )
        table.filters(lot, trading=trading)
    elif kind == "skew":
        guards.handle(m.Skewed(at_ns=at_ns, venue="v", skew_ns=what))
        table.skew(what)
    elif kind == "person":
        guards.handle(m.Operated(at_ns=at_ns, action=what, name="ann", reason="why"))
        table.person(what)
    elif kind == "trip":
        guards.trip(what, at_ns, symbol=0 if what in SYMBOLS else -1)
        table.trip(what)
    elif kind == "gap":
        band = (0.0, GAPS[what[0]]) if what[1] else (0.0, 0.0)
        guards.compare(
            0, 1.0, 1.0 + GAPS[what[0]], tolerance=LOT, band=band, lags=[(0.0, 0.0)], now_ns=at_ns
        )
        table.gap(what)
    elif kind == "quarantine":
        until = at_ns + what * SECOND
        guards.handle(m.Quarantined(at_ns=at_ns, plugin="p", until_ns=until, text=""))
        table.quarantine(what)
    elif kind == "pass":
        table.wait(what)
        guards.ticked(NOW + table.now * SECOND)
    else:
        guards = restarted(guards, at_ns, started=what)
        if what:
            table.restart()
    return guards


SYMBOLS = ("filters_changed", "position_mismatch")


def restarted(guards: Guards, at_ns: int, *, started: bool) -> Guards:
    """Go on from a snapshot; what is taken in before the first event is blocked as well."""
    other = made()
    other.restore(guards.snapshot())
    assert other.snapshot() == guards.snapshot()
    if started:
        other.handle(
            m.Started(
                at_ns=at_ns,
                session=2,
                run_id="r",
                mode="live",
                strategy="s",
                origin_ns=0,
                market_ns=at_ns,
                fingerprints={},
            )
        )
    return other


@settings(max_examples=600, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_blocks_begin_and_end_as_in_the_table_across_restarts(
    steps: list[Step],
) -> None:
    guards, table = made(), Table()
    for kind, what in steps:
        guards = act(guards, table, kind, what)
        assert {each.rule for each in guards.active()} == set(table.on), (kind, what)
        assert bool(guards.blocked(0)) == bool(table.on)


def test_the_table_names_who_clears_what() -> None:
    assert {name for name, rule in RULES.items() if rule.person} == PERSON


@pytest.mark.parametrize("rule", sorted(PERSON))
def test_neither_time_nor_a_start_nor_good_news_clears_what_waits_for_a_person(rule: str) -> None:
    guards, table = made(), Table()
    for step in (
        ("trip", rule), ("restart", True), ("pass", 30), ("feed", "live"), ("venue", ("up", 0)),
        ("lot", LOT / 10), ("skew", 0), ("gap", ("some", True)), ("restart", True),
    ):  # fmt: skip
        guards = act(guards, table, *step)
        assert guards.blocked(0) == rule
    act(guards, table, "person", "resume")
    assert guards.blocked(0) == ""
