"""The clock and the anchors of features follow `time_zone` and `day_start`, on taller bars, too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from septet._kernel import layout
from septet._live.intake import PlacedBar
from septet._shell.aligned_bars import DERIVED, AlignmentRules, align_bars
from septet._shell.session import Session, alignment_rules
from tests.core.markets import Rough, rough_market
from tests.core.paths import by_batch, by_events, plainly
from tests.core.settings import DAY, HOUR, START
from tests.core.table_comparison import assert_same
from tests.core.world import load_text, open_made

FILE = """\
version: 1
name: clock
universe: {{symbols: [AAA/USDT], bar: 1h}}
{top}
data: {{candles: {{use: synthetic, reset_after: 12}}}}
features:
  hour: {{use: hour}}
  minute: {{use: minute_of_day}}
  weekday: {{use: weekday}}
  month: {{use: month}}
  day: {{use: day_number}}
  of_day: {{use: vwap, anchor: day}}
  of_week: {{use: vwap, anchor: week}}
  of_session: {{use: vwap, anchor: session}}
  hour_4h: {{use: hour, bar: 4h}}
  day_4h: {{use: day_number, bar: 4h}}
  of_week_4h: {{use: vwap, anchor: week, bar: 4h}}
  of_session_4h: {{use: vwap, anchor: session, bar: 4h}}
  flow_week: {{use: obv, anchor: week}}
signal: {{use: rules, long_if: hour == 9 and weekday < 5, exit_if: hour >= 16 or month == 2}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""
NEW_YORK = "time_zone: America/New_York\nday_start: '17:00'"
COUNT = 24 * 60
HOLES = ((300, 3), (605, 15), (900, 2), (1_104, 30))
"""Missing bars: one stretch over `reset_after` is inside a day, one inside a week."""


def session_of(top: str) -> Session:
    """Return a session over two months of hourly bars, plain text."""
    loaded = load_text(FILE.format(top=top))
    bars = rough_market(["AAA/USDT"], [Rough(5, COUNT, holes=HOLES)], (0.0,))
    made = open_made(loaded, bars, 0)
    rules = alignment_rules(loaded.strategy)
    aligned = align_bars(made.plan, made.market, rules)
    return plainly(Session(loaded, made.plan, made.market, aligned, 1, made.log))


def columns(top: str) -> tuple[Session, dict[str, Any]]:
    """Return every feature of a run by its name."""
    session = session_of(top)
    left = by_batch(session)
    rows = session.plan.assembly.features
    return session, {name: left.outcome.F[0, row] for name, row in rows.items()}


@pytest.mark.parametrize(
    ("top", "zone", "start"), [("", "UTC", 0), (NEW_YORK, "America/New_York", 17)]
)
def test_features_read_the_clock_of_the_file(top: str, zone: str, start: int) -> None:
    session, found = columns(top)
    table = session.market.bars["AAA/USDT"]
    price = (table.high + table.low + table.close) / 3.0
    day_of, week_of = [], []
    for i, known_ns in enumerate(table.known_ns.tolist()):
        known = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=known_ns // 10**9)
        local = known.astimezone(ZoneInfo(zone))
        assert found["hour"][i] == local.hour
        assert found["minute"][i] == local.hour * 60 + local.minute
        assert found["weekday"][i] == local.weekday()
        assert found["month"][i] == local.month
        opened = (known - timedelta(hours=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        day = (opened - timedelta(hours=start) - datetime(1970, 1, 1)).days
        assert found["day"][i] == day
        day_of.append(day)
        week_of.append((day - 4) // 7)
    for name, anchors in (("of_day", day_of), ("of_week", week_of), ("of_session", day_of)):
        for i in range(200, len(price)):
            mine = [j for j in range(i + 1) if anchors[j] == anchors[i]]
            volume = table.volume[mine]
            wanted = float((price[mine] * volume).sum() / volume.sum())
            assert found[name][i] == pytest.approx(wanted, rel=1e-12), (name, i)
    signs = [0.0, *np.sign(np.diff(table.close)).tolist()]
    begun = np.flatnonzero(session.aligned.M[0, layout.AGE, : len(price)] == 0)
    assert len(begun) == 3  # the first bar, and those after two long gaps
    for at in begun:
        signs[at] = 0.0
    for i in range(200, len(price)):
        if i in begun:
            assert np.isnan(found["flow_week"][i])
            continue
        mine = [j for j in range(i + 1) if week_of[j] == week_of[i]]
        flow = sum(signs[j] * float(table.volume[j]) for j in mine)
        assert found["flow_week"][i] == pytest.approx(flow, rel=1e-9, abs=1e-6), i


def test_taller_bars_stay_utc_and_are_anchored_where_they_open() -> None:
    session, found = columns(NEW_YORK)
    table, zone = session.market.bars["AAA/USDT"], ZoneInfo("America/New_York")
    ages = session.aligned.M[0, layout.AGE]
    frame = table.open_ns // (4 * HOUR)
    for i in range(300, len(frame)):
        closed = [j for j in range(i + 1) if (frame[j] + 1) * 4 * HOUR <= table.known_ns[i]]
        last = frame[closed[-1]]
        begun = np.flatnonzero(ages[: i + 1] == 0)[-1]
        if (last + 1) * 4 * HOUR <= table.open_ns[begun]:  # none has closed since a long gap
            assert np.isnan(found["hour_4h"][i])
            continue
        mine = [j for j in closed if frame[j] == last]
        known = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=int(table.known_ns[mine[-1]]) // 10**9
        )
        assert found["hour_4h"][i] == known.astimezone(zone).hour
        opened = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=int(table.open_ns[mine[0]]) // 10**9
        )
        local = opened.astimezone(zone).replace(tzinfo=None) - timedelta(hours=17)
        assert found["day_4h"][i] == (local - datetime(1970, 1, 1)).days


@pytest.mark.parametrize("top", ["", NEW_YORK])
def test_both_paths_give_the_same_bits(top: str) -> None:
    whole = by_batch(session_of(top))
    assert len(whole.outcome.LI) > 20
    assert_same(whole, by_events(session_of(top), 40))


@pytest.mark.parametrize("calendar", ["24x7", "XFX"])
def test_a_bar_as_it_arrives_has_the_columns_of_the_table(calendar: str) -> None:
    rules = AlignmentRules("America/New_York", 17 * HOUR)
    open_ns = START + np.arange(0, 400, dtype=np.int64) * HOUR
    table = PlacedBar(open_ns, open_ns + HOUR, open_ns // DAY, open_ns // HOUR, HOUR)  # type: ignore[arg-type]
    for name, derive in DERIVED.items():
        whole = np.asarray(derive(table, rules, calendar)).tolist()
        alone = [
            float(derive(PlacedBar(t, t + HOUR, t // DAY, t // HOUR, HOUR), rules, calendar))
            for t in open_ns.tolist()
        ]
        assert [float(each) for each in whole] == alone, name
