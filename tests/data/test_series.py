"""Outside series: when a value is known, and that the first seen wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from septet._data.align import series_as_of
from septet._data.bars import SeriesTable
from septet._data.series import next_poll, normalise_series
from septet._data.source import Facts, RawSeries
from septet.errors import DataError
from septet_schemas.data import SeriesConfig
from septet_schemas.times import Poll
from tests.data.helpers import DAY_NS, HOUR_NS, block, counts, ns, request


def read(columns: dict[str, Any], now_ns: int = 2**62, **keys: Any) -> tuple[SeriesTable, Any]:
    raw = RawSeries(pl.DataFrame(columns), Facts("a test"))
    return normalise_series("mood", raw, SeriesConfig(**keys), now_ns=now_ns)


def test_a_value_is_known_after_its_delay_at_the_next_poll() -> None:
    days = [ns("2021-01-01"), ns("2021-01-02")]
    table, found = read(
        {"time": days, "value": [1.0, 2.0]}, known_after="24h", every="1d at 00:10", max_age="3d"
    )
    assert table.known_ns.tolist() == [ns("2021-01-02T00:10"), ns("2021-01-03T00:10")]
    assert table.vintage == "unknown"
    assert table.max_age_ns == 3 * DAY_NS
    assert any("vintage unknown" in each.message for each in found)
    at = np.array([ns("2021-01-02T00:09"), ns("2021-01-02T00:10"), ns("2021-01-07")])
    seen = series_as_of(table, at)
    assert np.isnan(seen[[0, 2]]).all()
    assert seen[1] == 1.0


@given(st.integers(0, 10**18), st.integers(1, 10**15), st.integers(0, 10**15))
def test_polls_never_come_early(time_ns: int, every: int, offset: int) -> None:
    poll = Poll(every, offset % every)
    raised = int(next_poll(np.array([time_ns]), poll)[0])
    assert time_ns <= raised < time_ns + every
    week = 7 * DAY_NS
    anchor = 4 * DAY_NS if every % week == 0 else 0
    assert (raised - offset % every - anchor) % every == 0


def test_weekly_polls_are_on_mondays() -> None:
    raised = next_poll(np.array([ns("2021-01-06")]), Poll(7 * DAY_NS))
    assert raised.tolist() == [ns("2021-01-11")]


def test_publication_times_of_the_source() -> None:
    table, _ = read(
        {
            "time": ["2021-01-01", "2021-02-01"],
            "value": ["1.5", "2.5"],
            "known": ["2021-02-10 13:30:00Z", "2021-03-10 13:30:00Z"],
        }
    )
    assert table.known_ns.tolist() == [ns("2021-02-10T13:30"), ns("2021-03-10T13:30")]
    assert table.vintage == "published"


def test_a_revision_is_a_new_row_known_when_it_was_seen() -> None:
    stamp = ns("2021-01-01")
    table, found = read(
        {
            "time": [stamp, stamp, stamp + DAY_NS],
            "value": [1.0, 1.2, 2.0],
            "known": [stamp + HOUR_NS, stamp + 5 * HOUR_NS, stamp + DAY_NS + HOUR_NS],
        }
    )
    at = np.array([stamp + HOUR_NS, stamp + 4 * HOUR_NS, stamp + 5 * HOUR_NS, stamp + 2 * DAY_NS])
    assert series_as_of(table, at).tolist() == [1.0, 1.0, 1.2, 2.0]
    assert any("1 revisions" in each.message for each in found)


def test_news_of_an_old_stamp_never_replaces_the_newest() -> None:
    stamp = ns("2021-01-01")
    table, found = read(
        {
            "time": [stamp, stamp + DAY_NS, stamp],
            "value": [1.0, 2.0, 9.0],
            "known": [stamp + 1, stamp + DAY_NS + 1, stamp + 2 * DAY_NS],
        }
    )
    assert series_as_of(table, np.array([stamp + 3 * DAY_NS])).tolist() == [2.0]
    assert counts(found) == {"late": 1}


def test_of_two_values_at_once_the_first_wins() -> None:
    stamp = ns("2021-01-01")
    rows = {"time": [stamp, stamp, stamp], "value": [1.0, 1.0, 3.0]}
    table, found = read(rows, known_after="1h", max_bad=0.5)
    assert table.value.tolist() == [1.0]
    assert counts(found) == {"duplicate": 1, "conflict": 1}


def test_what_is_not_known_yet_is_not_there() -> None:
    stamp = ns("2021-01-01")
    table, found = read(
        {"time": [stamp, stamp + DAY_NS], "value": [1.0, 2.0]},
        now_ns=stamp + DAY_NS + HOUR_NS,
        known_after="2h",
    )
    assert table.value.tolist() == [1.0]
    assert counts(found) == {"unfinished": 1}


def test_a_delay_must_be_given() -> None:
    with pytest.raises(DataError, match="write known_after"):
        read({"time": [ns("2021-01-01")], "value": [1.0]})
    with pytest.raises(DataError, match="no column value; found time"):
        read({"time": [1]}, known_after="1h")
    with pytest.raises(DataError, match="none of 1 values"):
        read({"time": [ns("2021-01-01")], "value": ["."]}, known_after="1h")


@pytest.mark.parametrize(
    ("dataset", "rows", "holidays"), [("vix", 1_259, 46), ("wti", 8_321, 290), ("core_cpi", 743, 0)]
)
def test_bundled_series(dataset: str, rows: int, holidays: int) -> None:
    made = block("series", "sample_series", dataset=dataset)
    raw = made.declaration(made.config).read(request("1d", "X"))
    table, found = normalise_series(dataset, raw, SeriesConfig(known_after="20h"))
    assert len(table.value) == rows
    assert counts(found).get("not_finite", 0) == holidays
    assert (table.known_ns == table.stamp_ns + 20 * HOUR_NS).all()


def test_every_row_of_events_is_kept_whenever_it_became_known() -> None:
    """A calendar of events: a later one was announced first, and two are of one instant."""
    stamps = [ns("2021-03-01"), ns("2021-01-01"), ns("2021-02-01"), ns("2021-02-01")]
    known = [ns("2020-06-01"), ns("2020-12-31"), ns("2020-12-31"), ns("2020-12-31")]
    frame = pl.DataFrame({"time": stamps, "value": [1.0, 2.0, 3.0, 4.0], "known": known})
    raw = RawSeries(frame, Facts("a test"))
    table, found = normalise_series("news", raw, SeriesConfig(), events=True)
    assert table.stamp_ns.tolist() == [stamps[0], stamps[1], stamps[2], stamps[3]]
    assert table.known_ns.tolist() == sorted(known)
    assert not {"late", "conflict"} & set(counts(found))
    values, _ = normalise_series("news", raw, SeriesConfig(max_bad=1.0), events=False)
    assert values.stamp_ns.tolist() == stamps[:1]
