"""Time stamps that name no zone: refused until the file names it, and checked by what they show."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from septet._config import load
from septet._data.bad_rows import doubts
from septet._data.calendars import DAY_NS, Sessions, load_calendar
from septet._data.clock_changes import all_zones, clock_changes
from septet._data.load import read_candles, read_series
from septet._data.zone_signs import ZONE_SIGN, likely_utc
from septet._data.zones import doubt_zone
from septet._shell.backtest import backtest
from septet._shell.stretch_backtest import run_by_stretches
from septet.errors import DataError
from tests.data.helpers import HOUR_NS, MINUTE_NS, block, checked, clean, ns, request

NEW_YORK = "America/New_York"


def wall(frame: pl.DataFrame, zone: str = "UTC") -> pl.DataFrame:
    """Write the stamps as the clocks of a zone show them, without a zone."""
    times = pl.col("timestamp").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    return frame.with_columns(times.dt.convert_time_zone(zone).dt.replace_time_zone(None))


def sessions(since: str, days: int, bar_ns: int = 30 * MINUTE_NS) -> pl.DataFrame:
    """Bars of the New York session, stamped in UTC."""
    first = ns(since)
    found = load_calendar("XNYS", first, first + 2 * days * 24 * HOUR_NS)
    assert isinstance(found, Sessions)
    at = int(np.searchsorted(found.opens_ns, first))
    ends = zip(found.opens_ns[at : at + days], found.closes_ns[at : at + days], strict=True)
    stamps = np.concatenate([np.arange(begin, end, bar_ns) for begin, end in ends])
    return clean(len(stamps)).with_columns(timestamp=pl.Series(stamps))


@pytest.mark.parametrize("use", ["csv", "parquet"])
def test_times_of_day_without_a_zone_are_refused_until_the_file_sets_it(
    tmp_path: Path, use: str
) -> None:
    frame = wall(clean(48))
    path = tmp_path / f"x.{use}"
    frame.write_csv(path) if use == "csv" else frame.write_parquet(path)

    def read(**keys: Any) -> Any:
        made = block("candles", use, {"stamp": "open", **keys}, path=path.name)
        return read_candles(made, request("1h", "BTC/USDT", base=tmp_path))[0][1].bars

    with pytest.raises(DataError) as caught:
        read()
    assert "time stamps such as 2020-01-01 01:00:00 name no time zone" in str(caught.value)
    assert "write time_zone: UTC" in str(caught.value)
    assert read(time_zone="UTC").open_ns.tolist() == clean(48)["timestamp"].to_list()
    berlin = read(time_zone="Europe/Berlin")
    assert berlin.open_ns[0] == clean(48)["timestamp"][0] - HOUR_NS


@pytest.mark.parametrize(
    "stamps",
    [
        pl.col("timestamp"),
        pl.col("timestamp").cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"),
        pl.col("timestamp").cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        pl.col("timestamp").cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%d %H:%M:%S+00:00"),
    ],
)
def test_stamps_with_a_zone_and_numbers_need_none(stamps: pl.Expr) -> None:
    assert len(checked(clean(48).with_columns(timestamp=stamps)).bars) == 48


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d"])
def test_dates_need_none(form: str) -> None:
    daily = clean(48, 24 * HOUR_NS)
    text = daily.with_columns(pl.col("timestamp").cast(pl.Datetime("ns")).dt.strftime(form))
    assert len(checked(text, 24 * HOUR_NS).bars) == 48
    dates = daily.with_columns(pl.col("timestamp").cast(pl.Datetime("ns")).cast(pl.Date))
    assert len(checked(dates, 24 * HOUR_NS).bars) == 48


def test_a_series_needs_a_zone_as_well(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,value\n2020-01-01 08:00,1\n2020-01-02 08:00,2\n", encoding="utf-8")
    made = block("series", "csv_series", {"known_after": "1h"}, path="x.csv")
    asked = request("1h", "BTC/USDT", base=tmp_path)
    with pytest.raises(DataError, match="name no time zone"):
        read_series("s", made, asked)
    text = block("series", "csv_series", {"known_after": "1h", "time_zone": "UTC"}, path="x.csv")
    assert len(read_series("s", text, asked)[0].value) == 2


def test_new_york_stamps_read_as_utc_are_refused_by_the_changes_of_clocks() -> None:
    local = wall(clean(330 * 24, start_ns=ns("2021-01-05")), NEW_YORK)
    with pytest.raises(DataError) as caught:
        checked(local, time_zone="UTC")
    message = str(caught.value)
    assert f"hours missing or doubled where the clocks of {NEW_YORK}, America/Chicago" in message
    assert (
        "local time of one of these zones, which all change their clocks at these hours" in message
    )
    assert "2021-03-14T02:00:00; 2021-11-07T01:00:00" in message
    assert f"time_zone: {NEW_YORK}" in message
    kept = checked(local, time_zone="UTC", policy={"wrong_zone": "keep"})
    assert "wrong_zone" in {each.kind for each in kept.findings}


LOCAL = (
    "Australia/Sydney", "Pacific/Auckland", "America/Santiago", "Asia/Jerusalem", "Africa/Cairo",
    "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin", "Europe/Athens",
    "Asia/Beirut", "America/Havana",
)  # fmt: skip


@pytest.mark.parametrize("zone", LOCAL)
@pytest.mark.parametrize("repeats", ["both", "first"])
def test_local_stamps_of_any_zone_read_as_utc_are_refused(zone: str, repeats: str) -> None:
    """Also where the hour that autumn shows twice was taken out once."""
    since = "2023-06-01" if repeats == "both" else "2023-02-20"
    local = wall(clean(800 * 24, start_ns=ns(since)), zone)
    if repeats == "first":
        local = local.unique("timestamp", keep="first", maintain_order=True)
    with pytest.raises(DataError) as caught:
        checked(local, time_zone="UTC")
    message = str(caught.value)
    assert "wrong_zone" in message
    assert "where the clocks of " in message
    same = {"Europe/Athens": "Europe/Helsinki"}.get(zone, zone)
    assert same in message.partition("time_zone: ")[2]
    right = checked(wall(clean(800 * 24, start_ns=ns(since)), zone), time_zone=zone)
    assert not {"wrong_zone", ZONE_SIGN} & {each.kind for each in right.findings}


def zones_that_change(year: int) -> dict[str, tuple[tuple[int, int], ...]]:
    """One zone for each way in which clocks were changed in a year: when, and by how much."""
    days = date(year, 1, 1), date(year, 12, 31)
    found = {clock_changes(zone, days): zone for zone in reversed(all_zones())}
    return {zone: changes for changes, zone in found.items() if len(changes) > 1}


@pytest.mark.parametrize("minutes", [60, 30, 5])
@pytest.mark.parametrize("year", [2013, 2024])
def test_local_stamps_of_every_zone_that_changes_its_clocks_are_refused(
    year: int, minutes: int
) -> None:
    """At any hour of the day, by half an hour, one or two: none is known but by the database."""
    bar_ns = minutes * MINUTE_NS
    table = pl.DataFrame(
        {"timestamp": np.arange(ns(f"{year}-01-01"), ns(f"{year + 1}-01-01"), bar_ns)}
    )
    zones = zones_that_change(year)
    at_night = {at % DAY_NS < 4 * HOUR_NS for each in zones.values() for at, _ in each}
    assert at_night == {True, False}
    assert {abs(by) // MINUTE_NS for each in zones.values() for _, by in each} >= {30, 60}
    for zone, changes in zones.items():
        stamps = wall(table, zone)["timestamp"].cast(pl.Int64).to_numpy()
        doubt = doubt_zone(stamps, "UTC", bar_ns)
        assert doubt is not None, zone
        assert doubt.is_proof, zone
        assert len(doubt.examples) == len(changes), zone
        assert doubt_zone(stamps, zone, bar_ns) is None, zone


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("minutes", [30, 5])
def test_spans_of_short_bars_that_are_missing_or_doubled_by_chance_raise_no_doubt(
    seed: int, minutes: int
) -> None:
    """Runs of half an hour to two hours, as changes of clocks leave them."""
    draw = np.random.default_rng(seed)
    slots = int(draw.choice([4_000, 12_000, 36_000]))
    begin = ns("2014-01-01") + int(draw.integers(0, 3_000)) * DAY_NS
    halves = np.arange(slots)
    kept = np.ones(slots, dtype=np.bool_)
    twice: list[int] = []
    for _ in range(int(draw.integers(4, 60))):
        at, size = int(draw.integers(8, slots - 12)), int(draw.choice([1, 2, 2, 4]))
        if draw.random() < 0.8:
            kept[at : at + size] = False
        else:
            twice += range(at, at + size)
    used = np.sort(np.concatenate((halves[kept], np.array(twice, dtype=np.int64))))
    inside = np.arange(30 // minutes) * minutes * MINUTE_NS
    stamps = (begin + used[:, None] * 30 * MINUTE_NS + inside).ravel()
    doubt = doubt_zone(np.sort(stamps), "UTC", minutes * MINUTE_NS)
    assert doubt is None


@pytest.mark.parametrize("zone", ["Pacific/Easter", "America/Nuuk", "Antarctica/Troll"])
def test_stretches_check_unusual_changes_as_a_run_in_one_piece_does(
    tmp_path: Path, zone: str
) -> None:
    bars = wall(clean(365 * 24, start_ns=ns("2022-01-01")), zone)
    bars.write_parquet(tmp_path / "A.parquet", row_group_size=500)
    (tmp_path / "x.yaml").write_text(
        "version: 1\nname: x\nuniverse: {symbols: [A/USD], bar: 1h}\n"
        "data: {candles: {use: parquet, path: A.parquet, time_zone: UTC, calendar: 24x7}}\n"
        "features: {fast: {use: sma, period: 5}}\n"
        "signal: {use: rules, long_if: close > fast, exit_if: close < fast}\n"
        "risk: {sizing: {use: fixed_fraction, fraction: 50%}}\n",
        encoding="utf-8",
    )
    loaded = load(tmp_path / "x.yaml")
    for run in (lambda: backtest(loaded), lambda: run_by_stretches(loaded, 2_000)):
        with pytest.raises(DataError, match=f"where the clocks of .*{zone}"):
            run()


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "America/Chicago"])
def test_a_single_hour_that_is_missing_at_a_change_of_clocks_is_a_warning(zone: str) -> None:
    local = wall(clean(180 * 24, start_ns=ns("2021-01-05")), zone)
    [doubt] = doubts(checked(local, time_zone="UTC").findings)
    assert doubt.kind == ZONE_SIGN
    assert f"{zone}" in doubt.message
    assert "2021-03-" in doubt.message
    assert not doubts(checked(local, time_zone="UTC", policy={"wrong_zone": "keep"}).findings)


@pytest.mark.parametrize("seed", range(150))
def test_hours_that_are_missing_or_doubled_by_chance_raise_no_doubt(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.choice([4_320, 12_000, 26_000]))
    begin = ns("2012-01-01") + int(draw.integers(0, 3_650)) * 24 * HOUR_NS
    hours = begin + HOUR_NS * np.arange(count)
    kept = hours[draw.random(count) >= draw.choice([0.0005, 0.005, 0.03])]
    twice = np.concatenate((kept, draw.choice(kept, int(draw.integers(0, 8)))))
    assert doubt_zone(np.sort(twice), "UTC", HOUR_NS) is None


def test_utc_stamps_read_as_new_york_are_refused_by_the_hour_that_was_left_out() -> None:
    frame = wall(clean(200 * 24, start_ns=ns("2021-01-05")))
    with pytest.raises(DataError, match="hours that the clocks of America/New_York left out"):
        checked(frame, time_zone=NEW_YORK)


@pytest.mark.parametrize("calendar", ["24x7", "XNYS"])
def test_sessions_at_odd_hours_are_refused(calendar: str) -> None:
    frame = sessions("2021-02-15", 60)
    bar = 30 * MINUTE_NS
    keys: dict[str, Any] = {"calendar": calendar, "max_bad": 0.01}
    assert len(checked(wall(frame), bar, time_zone="UTC", **keys).bars) == frame.height
    assert len(checked(wall(frame, NEW_YORK), bar, time_zone=NEW_YORK, **keys).bars) == frame.height
    with pytest.raises(DataError) as caught:
        checked(wall(frame, NEW_YORK), bar, time_zone="UTC", **keys)
    assert "sessions that begin at 09:30 all year" in str(caught.value)
    assert f"time_zone: {NEW_YORK}" in str(caught.value)
    with pytest.raises(DataError) as caught:
        checked(wall(frame), bar, time_zone=NEW_YORK, **keys)
    assert "begin at another hour after each change of the clocks" in str(caught.value)
    assert "2021-03-14: 14:30, then 13:30" in str(caught.value)


def test_the_zone_that_fits_the_calendar_is_named_without_a_change_of_clocks() -> None:
    frame = wall(sessions("2021-06-01", 20), NEW_YORK)
    keys: dict[str, Any] = {"time_zone": "UTC", "calendar": "XNYS", "max_bad": 0.01}
    with pytest.raises(DataError, match=f"2021-06-01 at 05:30(?s:.*)time_zone: {NEW_YORK}"):
        checked(frame, 30 * MINUTE_NS, **keys)
    with pytest.raises(DataError) as caught:
        checked(frame, 30 * MINUTE_NS, policy={"wrong_zone": "keep"}, **keys)
    assert f"the stamps fit the sessions as local time: write time_zone: {NEW_YORK}" in str(
        caught.value
    )


@pytest.mark.parametrize("zone", ["America/Chicago", "America/Los_Angeles"])
def test_the_zone_is_named_that_puts_the_sessions_right(zone: str) -> None:
    frame = wall(sessions("2021-01-11", 200), zone)
    for calendar in ("24x7", "XNYS"):
        with pytest.raises(DataError) as caught:
            checked(frame, 30 * MINUTE_NS, time_zone="UTC", calendar=calendar, max_bad=0.01)
        assert f"time_zone: {zone}" in str(caught.value)
        assert NEW_YORK not in str(caught.value).partition("time_zone: ")[2]


def test_bars_on_holidays_do_not_ask_for_the_zone_that_is_there() -> None:
    frame = sessions("2021-01-11", 60)
    holidays = np.concatenate(
        [ns(day) + MINUTE_NS * 30 * np.arange(29, 42) for day in ("2021-01-18", "2021-02-15")]
    )
    stamps = np.sort(np.concatenate((frame["timestamp"].to_numpy(), holidays)))
    both = clean(len(stamps)).with_columns(timestamp=pl.Series(stamps))
    with pytest.raises(DataError) as caught:
        checked(
            wall(both, NEW_YORK), 30 * MINUTE_NS, time_zone=NEW_YORK, calendar="XNYS",
            max_bad=0.01, policy={"wrong_zone": "keep"},
        )  # fmt: skip
    assert "outside_session 26" in str(caught.value)
    assert "time_zone is right: take out the rows of days and hours" in str(caught.value)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"])
@pytest.mark.parametrize("seed", range(5))
def test_right_stamps_raise_no_doubt(zone: str, seed: int) -> None:
    """True local stamps, whole or with gaps, round the clock or in sessions, are not doubted."""
    draw = np.random.default_rng(seed)
    begin = ns("2019-01-01") + int(draw.integers(0, 700)) * 24 * HOUR_NS
    count = int(draw.integers(2_000, 10_000))
    frame = clean(count, start_ns=begin)
    frame = frame.filter(pl.Series(draw.random(count) < draw.choice([1.0, 0.97])))
    for table in (frame, sessions("2019-11-01", 200)):
        stamps = wall(table, zone)["timestamp"].cast(pl.Int64).to_numpy()
        assert doubt_zone(stamps, zone, HOUR_NS) is None


EASTERN = "Etc/GMT+5"
FIXED = ("America/Panama", EASTERN, "Asia/Tokyo", "Etc/GMT-3", "Asia/Kolkata")


@pytest.mark.parametrize("zone", FIXED)
@pytest.mark.parametrize("calendar", ["24x7", "XNYS"])
@pytest.mark.parametrize("bar", [5 * MINUTE_NS, 30 * MINUTE_NS])
def test_new_york_sessions_read_in_a_zone_without_changes(
    zone: str, calendar: str, bar: int
) -> None:
    frame = wall(sessions("2021-01-11", 200, bar), NEW_YORK)
    with pytest.raises(DataError) as caught:
        checked(frame, bar, time_zone=zone, calendar=calendar, max_bad=0.01)
    message = str(caught.value)
    assert "wrong_zone" in message
    assert "sessions on the days of XNYS, which opens at 09:30, begin at other hours" in message
    assert f"not of {zone}: write time_zone: {NEW_YORK}" in message


def test_a_wrong_zone_needs_no_change_of_clocks_where_the_hours_are_of_an_exchange() -> None:
    frame = wall(sessions("2021-05-24", 80), NEW_YORK)  # three holidays, all in summer
    for calendar in ("24x7", "XNYS"):
        with pytest.raises(DataError, match=f"write time_zone: {NEW_YORK}"):
            checked(frame, 30 * MINUTE_NS, time_zone="Asia/Tokyo", calendar=calendar)


@pytest.mark.parametrize(
    ("right", "wrong"), [("UTC", EASTERN), (EASTERN, "UTC"), (EASTERN, "Etc/GMT+3")]
)
def test_a_fixed_zone_in_which_sessions_move_is_right_or_wrong_by_the_hour(
    right: str, wrong: str
) -> None:
    frame = wall(sessions("2021-01-11", 200), right)
    assert len(checked(frame, 30 * MINUTE_NS, time_zone=right).bars) == frame.height
    with pytest.raises(DataError) as caught:
        checked(frame, 30 * MINUTE_NS, time_zone=wrong)
    assert f"not of {wrong}: write time_zone: {right}" in str(caught.value)


@pytest.mark.parametrize("zone", FIXED)
def test_new_york_hours_round_the_clock_read_in_a_zone_without_changes(zone: str) -> None:
    local = wall(clean(330 * 24, start_ns=ns("2021-01-05")), NEW_YORK)
    with pytest.raises(DataError, match=f"time_zone: {NEW_YORK}"):
        checked(local, time_zone=zone)


@pytest.mark.parametrize("zone", [*FIXED, "America/Toronto", "Europe/Paris", "Australia/Sydney"])
@pytest.mark.parametrize("shift", [0, 30 * MINUTE_NS])
def test_right_stamps_of_more_zones_raise_no_doubt(zone: str, shift: int) -> None:
    """Whole days or sessions, stamped with opens or closes, extended hours as well."""
    whole = clean(9_000, start_ns=ns("2021-01-05"))
    frame = sessions("2021-01-11", 200)
    early = frame.filter(pl.int_range(frame.height) % 13 == 0)["timestamp"].to_numpy()
    extended = np.unique(np.concatenate([early + k * 30 * MINUTE_NS for k in range(-11, 21)]))
    for stamps in (whole["timestamp"].to_numpy(), frame["timestamp"].to_numpy() + shift, extended):
        table = wall(pl.DataFrame({"timestamp": stamps}), zone)
        shown = table["timestamp"].cast(pl.Int64).to_numpy()
        assert doubt_zone(shown, zone, 30 * MINUTE_NS) is None


def currencies(since: str, weeks: int) -> pl.DataFrame:
    """Hours of currencies in UTC: from Sunday to Friday, 17:00 in New York."""
    times = pl.Series(ns(since) + HOUR_NS * np.arange(weeks * 168)).cast(pl.Datetime("ns"))
    local = times.dt.replace_time_zone("UTC").dt.convert_time_zone(NEW_YORK)
    day, hour = local.dt.weekday(), local.dt.hour()
    shut = (day == 6) | ((day == 5) & (hour >= 17)) | ((day == 7) & (hour < 17))
    stamps = times.filter(~shut).cast(pl.Int64)
    return clean(len(stamps)).with_columns(timestamp=stamps)


SIGNS = {
    "an hour of autumn": (clean(24 * 60, start_ns=ns("2021-10-01")), "has once"),
    "sessions of a summer": (sessions("2021-06-01", 30), "read as UTC they begin at 09:30"),
    "weeks of currencies": (currencies("2021-06-01", 6), "read as UTC they begin at 17:00"),
    "weeks and a change": (currencies("2021-10-01", 8), "read as UTC they begin at 17:00"),
}


@pytest.mark.parametrize("name", SIGNS)
def test_stamps_of_utc_that_are_read_in_new_york_are_warned_about(name: str) -> None:
    frame, text = SIGNS[name]
    bar_ns = 30 * MINUTE_NS if "sess" in name else HOUR_NS
    found = doubts(checked(wall(frame), bar_ns, time_zone=NEW_YORK).findings)
    [doubt] = [each for each in found if each.kind == ZONE_SIGN]
    assert text in doubt.message
    assert "write time_zone: UTC" in doubt.hint


@pytest.mark.parametrize("zone", [NEW_YORK, "Europe/London", "Europe/Berlin", "Asia/Tokyo", "UTC"])
@pytest.mark.parametrize("name", SIGNS)
def test_stamps_of_their_own_zone_show_no_such_sign(name: str, zone: str) -> None:
    frame, _ = SIGNS[name]
    stamps = wall(frame, zone)["timestamp"].cast(pl.Int64).to_numpy()
    bar_ns = 30 * MINUTE_NS if "sess" in name else HOUR_NS
    assert likely_utc(stamps, zone, bar_ns) is None
