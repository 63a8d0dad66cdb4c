"""A single path from raw rows to valid bars, for history and live data.

The order is fixed: stamps, numbers, prices, volume, place on the grid, unfinished bars, order and
duplicates, adjustment, gaps. A row is counted under the first defect it has. Nothing is left out
without a finding, and a series that is mostly bad is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from septet._data import adjust
from septet._data.adjust_rows import adjust_rows
from septet._data.bad_rows import BadRows, check_bad_rows, limit_text, share_finding
from septet._data.bar_checks import (
    PRICES,
    Rows,
    numbers_of,
    pick,
    price_defects,
    take_rows,
    volume_defects,
    volume_unit_jumps,
)
from septet._data.bar_length import check_step
from septet._data.bars import BarTable, Finding, Floats, Ints, no_bars
from septet._data.calendar_signs import DayEnds, is_calendar_named, warn_calendar
from septet._data.calendars import Anchor, Calendar, Placed, Stamp, load_calendar
from septet._data.cell_kinds import price_cell_advice
from septet._data.column_names import missing_columns, name_in_source
from septet._data.constant_prices import warn_constant
from septet._data.defects import EXAMPLES, Findings, first_rows, report_facts
from septet._data.level_checks import PriceLevels, refuse_levels
from septet._data.message_limits import shown_cell
from septet._data.mixed_rows import separating_column
from septet._data.price_steps import Before, Range, spike_rows, wick_rows
from septet._data.source import Facts, RawBars
from septet._data.source_rows import SourceRows
from septet._data.stamp_formats import UnreadStamps, placed_cell
from septet._data.stamps import Bools, Stamps, iso, read_stamps
from septet._data.unread_columns import check_unread_columns
from septet._data.zone_signs import check_zone
from septet._data.zones import zone_that_fits
from septet.errors import DataError
from septet_schemas.data import CandlesConfig

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Normalised", "calendar_of", "jump_examples", "normalise", "stamp_of"]


class Normalised(msgspec.Struct, frozen=True):
    """Valid bars, the findings, and how the rows were read (live rows are read the same way).

    `rows` counts raw rows, `defects` those that were dropped or repaired; `before` is the state
    with which later rows are compared.
    """

    bars: BarTable
    findings: tuple[Finding, ...]
    calendar: str
    stamp: Stamp
    anchor: Anchor
    rows: int = 0
    defects: int = 0
    before: Before | None = None


class _State(msgspec.Struct):
    """The shared state of the steps of one normalisation; `alive` marks rows still in use."""

    source: str
    symbol: str
    bar_ns: int
    keys: CandlesConfig
    found: Findings
    rows: Rows
    time_ns: Ints
    alive: Bools
    defects: int = 0
    raw: pl.DataFrame | None = None
    conflict: str = ""
    wall_ns: Ints | None = None
    places: SourceRows | None = None

    def show(self, mask: Bools) -> list[str]:
        return [
            placed_cell(
                self.places, row, f"{iso(self.time_ns[row])} {self.rows.show(row, self.raw)}"
            )
            for row in first_rows(mask)
        ]

    def apply_policy(
        self, kind: str, mask: Bools, *, defect: bool = True, examples: Sequence[str] = ()
    ) -> str:
        """Record the rows under `mask` that are still in use; drop them if that is the policy."""
        mask = mask & self.alive
        count = int(np.count_nonzero(mask))
        policy = self.found(kind, count, examples or (self.show(mask) if count else ()))
        if count and defect:
            self.defects += count
        if count and policy == "drop":
            self.alive &= ~mask
        return policy


def stamp_of(keys: CandlesConfig, facts: Facts, symbol: str) -> Stamp:
    """Return what stamps mark: as set in the file, else as stated by the source.

    Raises
    ------
    DataError
        If neither states it.
    """
    stamp = keys.stamp or facts.stamp
    if stamp is None:
        raise DataError(
            f"{symbol} from {facts.origin}: nothing states whether a time stamp is the start or "
            "the end of its bar, and a wrong guess shows every bar before it is known",
            hint="write stamp: open or stamp: close beside use:",
        )
    return stamp


def calendar_of(keys: CandlesConfig, facts: Facts, symbol: str) -> str:
    """Return the calendar's name: the file's, else the source's, else 24x7."""
    calendar = keys.calendar
    named = calendar.get(symbol) if isinstance(calendar, dict) else calendar
    return named or facts.calendar or "24x7"


def _complete_until(facts: Facts, now_ns: int) -> int:
    """Return the time until which bars have ended; synthetic bars are complete at any time."""
    return np.iinfo(np.int64).max if facts.vintage == "synthetic" else now_ns


def normalise(
    raw: RawBars,
    keys: CandlesConfig,
    *,
    bar_ns: int,
    now_ns: int = 2**63 - 1,
    part: bool = False,
    anchor: Anchor | None = None,
    before: Before | None = None,
    ahead: Callable[[], Range] | None = None,
) -> Normalised:
    """Turn raw rows into the valid bars of one symbol.

    Parameters
    ----------
    raw, keys, bar_ns
        Rows and facts from the source, generic keys of the candles block, the bar's length.
    now_ns
        When the rows were read: a bar that ends later is unfinished, unless bars are synthetic.
    part
        These are some rows of a longer series: whether most of it is bad, of another bar length
        or jumps from session to session is reported by the caller, who has it all.
    anchor
        Grid that an earlier part was placed on.
    before, ahead
        Of a part: what the first row is compared with, and how to look at the rows after it.

    Returns
    -------
        Bars in order, each once; prices and volume float64 without NaN, arrays owned.

    Raises
    ------
    DataError
        If columns are missing, if a policy refuses, if an adjusted close comes without
        `adjust`, if rows are further apart or closer than a bar, or if the share of bad rows
        exceeds `max_bad`.
    """
    facts, now_ns = raw.facts, _complete_until(raw.facts, now_ns)
    stamp = stamp_of(keys, facts, raw.symbol)
    state, stamps = _begin(raw, keys, bar_ns, part=part)
    name = calendar_of(keys, facts, raw.symbol)
    if not part:
        _refuse_unread(raw, stamps, keys)
        check_zone(state.found, stamps, keys.time_zone or "UTC", bar_ns, name)
    total = len(state.time_ns)
    future = state.time_ns > now_ns
    state.apply_policy("unfinished", future, defect=int(np.count_nonzero(future)) > 1)
    _check_prices(state, has_volume="volume" in raw.frame.columns)
    if part and not state.alive.any():
        return Normalised(
            no_bars(raw.symbol, bar_ns), state.found.all(), name, stamp, anchor or "utc", total,
            state.defects, before,
        )  # fmt: skip
    if not part:
        _check_step(state, raw)
    if not state.alive.any():
        check_bad_rows(_seen(state, raw), keys)
    placed, calendar = _place(state, name, stamp, anchor)
    state.apply_policy("unfinished", placed.known_ns > now_ns, defect=False)
    if not part:  # before the remaining rows are compared
        check_bad_rows(_seen(state, raw), keys)
    order = _unique_in_order(state, placed)
    order, before = _drop_spikes(state, placed, order, before, ahead, part=part)
    if not part:
        check_bad_rows(_seen(state, raw), keys)
    bars = _bars(raw, keys, state, placed, order, calendar, part=part)
    report_facts(state.found, facts, stamps.notes)
    found = (*state.found.all(), *(() if part else share_finding(_seen(state, raw))))
    return Normalised(bars, found, name, stamp, placed.anchor, total, state.defects, before)


def _check_step(state: _State, raw: RawBars) -> None:
    """Reject rows of another bar length."""
    unread = [each for each in raw.frame.columns if each != "timestamp"]
    where = f"{raw.symbol} from {raw.facts.origin}"
    check_step(state.time_ns[state.alive], state.bar_ns, where, unread, raw.facts.doubts)


def _bars(
    raw: RawBars,
    keys: CandlesConfig,
    state: _State,
    placed: Placed,
    order: Ints | slice,
    calendar: Calendar,
    *,
    part: bool,
) -> BarTable:
    """Return the remaining rows by time, adjusted, and record what is suspicious about them."""
    rows = take_rows(state.rows, order)
    columns = [pick(each, order) for each in (placed.open_ns, placed.known_ns, placed.session)]
    ordinal = pick(placed.ordinal, order)
    rows = adjust_rows(raw, keys, state.found, rows, order, columns[0])
    if (keys.volume_in or raw.facts.volume_in) == "quote":
        rows = Rows(rows.open, rows.high, rows.low, rows.close, rows.volume / rows.close)
        state.found.note("volume was in the quote currency; divided by the close")
    if not part:
        levels = PriceLevels(state.bar_ns, keys.policy, keys.reset_after)
        levels.add(
            state.found, columns[0], rows,
            lambda: np.diff(ordinal, prepend=ordinal[:1]) - 1, is_last=True,
        )  # fmt: skip
        levels.finish(state.found)
        _check_pauses(state, raw, keys, columns[0])
        hits, ratio = adjust.moves(rows.close, columns[2])
        state.found("jump", len(hits), jump_examples(columns[0][hits], ratio))
        if len(rows.close):
            warn_constant(state.found, rows.close.min(), rows.close.max(), len(rows.close))
    units = volume_unit_jumps(rows.volume)
    state.found("volume_unit", len(units), [iso(columns[0][row]) for row in units[:EXAMPLES]])
    bars = _table(raw.symbol, state.bar_ns, columns, rows)
    return _fill(state, calendar, placed.anchor, ordinal, bars)


def _check_pauses(state: _State, raw: RawBars, keys: CandlesConfig, open_ns: Ints) -> None:
    if is_calendar_named(keys, raw.facts, raw.symbol):
        return
    stamp, ends = stamp_of(keys, raw.facts, raw.symbol), DayEnds()
    ends.add(open_ns + state.bar_ns if stamp == "close" else open_ns)
    is_local = state.wall_ns is not None and keys.time_zone == "UTC"
    warn_calendar(state.found, ends, state.bar_ns, stamp, keys.reset_after, may_be_local=is_local)


def _begin(raw: RawBars, keys: CandlesConfig, bar_ns: int, *, part: bool) -> tuple[_State, Stamps]:
    frame, origin = raw.frame, raw.facts.origin
    where = f"{raw.symbol} from {origin}"
    missing = missing_columns(frame.columns, ("timestamp", *PRICES), where, raw.facts.notes)
    if missing is not None:
        raise missing
    if frame.height == 0:
        raise DataError(
            f"{where}: there are no rows below its first line",
            hint="download it again, or name another file",
        )
    stamps = read_stamps(frame["timestamp"], unit=keys.time_unit, zone=keys.time_zone, where=where)
    prices = [numbers_of(frame[name]) for name in PRICES]
    has_volume = "volume" in frame.columns
    volume = numbers_of(frame["volume"]) if has_volume else np.zeros(frame.height)
    found = Findings(origin, raw.symbol, keys.policy)
    alive = np.ones(frame.height, dtype=np.bool_)
    rows = Rows(prices[0], prices[1], prices[2], prices[3], volume)
    state = _State(
        origin, raw.symbol, bar_ns, keys, found, rows, stamps.time_ns, alive, raw=frame,
        wall_ns=stamps.wall_ns, places=raw.facts.rows,
    )  # fmt: skip
    if not has_volume:
        found.note("no volume column; volume is 0")
    if not part:
        check_unread_columns(found, frame, keys.adjust)
    for kind, mask in stamps.dropped.items():
        state.apply_policy(kind, mask, examples=_raw_stamps(raw, mask))
    for kind, mask in stamps.noticed.items():
        state.apply_policy(kind, mask, defect=False)
    return state, stamps


def _raw_stamps(raw: RawBars, mask: Bools) -> list[str]:
    """Return the first stamps under a mask as written in the source, with their places."""
    rows, cells = raw.facts.rows, raw.frame["timestamp"]
    found = []
    for row in first_rows(mask):
        written = rows.time(row) if rows is not None else None
        found.append(placed_cell(rows, row, shown_cell(cells[row] if written is None else written)))
    return found


def _refuse_unread(raw: RawBars, stamps: Stamps, keys: CandlesConfig) -> None:
    """Reject a table with more unreadable stamps than `max_bad`.

    The remaining rows would look like bars of another length.
    """
    bad = stamps.dropped.get("bad_stamp")
    if bad is not None and np.count_nonzero(bad) > keys.max_bad * len(bad):
        where = f"{raw.symbol} from {raw.facts.origin}"
        unread = UnreadStamps(
            raw.frame["timestamp"], bad, raw.facts.rows, where, raw.frame.columns,
            name_in_source("timestamp", raw.facts.notes),
        )  # fmt: skip
        raise unread.refuse(limit_text(keys.max_bad))


def _check_prices(state: _State, *, has_volume: bool) -> None:
    for kind, mask in price_defects(state.rows).items():
        if state.apply_policy(kind, mask) == "fill":
            state.rows = state.rows.with_range(mask & state.alive)
    for kind, mask in volume_defects(state.rows.volume).items() if has_volume else ():
        policy = state.apply_policy(kind, mask, defect=kind == "bad_volume")
        if policy == "fill":
            volume = np.where(mask, 0.0, state.rows.volume)
            old = state.rows
            state.rows = Rows(old.open, old.high, old.low, old.close, volume)


def _place(
    state: _State, name: str, stamp: Stamp, anchor: Anchor | None
) -> tuple[Placed, Calendar]:
    alive = state.time_ns[state.alive]
    calendar = load_calendar(name, int(alive.min()), int(alive.max()))
    time_ns = state.time_ns
    if len(alive) < len(time_ns):  # rows already dropped must not affect the grid
        time_ns = np.where(state.alive, time_ns, alive[0])
    placed = calendar.place(time_ns, state.bar_ns, stamp, anchor)
    state.apply_policy("outside_session", placed.outside, defect=name != "24x7")
    state.apply_policy("off_grid", placed.off_grid)
    return placed, calendar


def _seen(state: _State, raw: RawBars) -> BadRows:
    """Return the counts of the bad rows so far."""
    left = int(np.count_nonzero(state.alive))
    found, rows = state.found.all(), len(state.alive)
    bad = not left or state.defects > state.keys.max_bad * rows
    apart = zone = cells = ""
    own = state.keys.time_zone or "UTC"
    if bad:
        apart = separating_column(raw.frame)
        calendar = calendar_of(state.keys, raw.facts, raw.symbol)
        zone = zone_that_fits(state.wall_ns, calendar, own, state.bar_ns)
        cells = price_cell_advice(raw.frame, raw.facts.rows)
    return BadRows(
        raw.symbol, raw.facts, state.bar_ns, rows, state.defects, left, found, state.conflict,
        apart, zone, own, cells,
    )  # fmt: skip


def _unique_in_order(state: _State, placed: Placed) -> Ints | slice:
    """Return the row numbers of the bars to keep, in time order; the first seen of each bar."""
    alive, open_ns = state.alive, placed.open_ns
    clean = bool(alive.all())
    numbers = np.arange(len(open_ns)) if clean else np.flatnonzero(alive)
    times = open_ns if clean else open_ns[alive]
    step = np.diff(times)
    if clean and (not len(step) or int(step.min()) > 0):
        return slice(None)
    if np.any(step < 0):
        late = np.zeros(len(open_ns), dtype=np.bool_)
        late[numbers[1:]] = times[1:] < np.maximum.accumulate(times)[:-1]
        state.apply_policy("unordered", late, defect=False)
        order = np.argsort(times, kind="stable")
        numbers, times = numbers[order], times[order]
    again = np.zeros(len(numbers), dtype=np.bool_)
    again[1:] = times[1:] == times[:-1]
    if again.any():
        _check_repeats(state, numbers, again)
    return numbers[~again]


def _drop_spikes(
    state: _State,
    placed: Placed,
    order: Ints | slice,
    before: Before | None,
    ahead: Callable[[], Range] | None,
    *,
    part: bool,
) -> tuple[Ints | slice, Before | None]:
    """Compare prices with those of neighbouring bars; return the rows to keep, in time order."""
    rows = take_rows(state.rows, order)
    spikes, after = spike_rows((rows.high, rows.low, rows.close), before, ahead)
    numbers = np.arange(len(placed.open_ns))[order]
    if len(spikes):
        if len(spikes) > max(10, (0.1 if part else state.keys.max_bad) * len(rows)):
            refuse_levels(state.found, placed.open_ns[numbers], rows.close)
        if state.apply_policy("price_spike", _mask(state, numbers[spikes])) == "drop":
            keep = np.ones(len(rows), dtype=np.bool_)
            keep[spikes] = False
            order = numbers = numbers[keep]
            rows = rows.take(keep)
    last = np.nan if before is None else before.close
    wicks = wick_rows(rows.open, rows.high, rows.low, rows.close, last)
    if len(wicks):
        drops = state.keys.policy.price_wick == "drop"
        state.apply_policy("price_wick", _mask(state, numbers[wicks]), defect=drops)
        order = np.delete(numbers, wicks) if drops else order
    return order, after


def _mask(state: _State, rows: Ints) -> Bools:
    found = np.zeros(len(state.alive), dtype=np.bool_)
    found[rows] = True
    return found


def _check_repeats(state: _State, numbers: Ints, again: Bools) -> None:
    """Distinguish a repeated row from one that contradicts the first seen."""
    repeats, firsts = np.flatnonzero(again), np.flatnonzero(~again)
    head = firsts[np.searchsorted(firsts, repeats, side="right") - 1]
    same = np.ones(len(repeats), dtype=np.bool_)
    for name in (*PRICES, "volume"):
        values = getattr(state.rows, name)
        same &= values[numbers[repeats]] == values[numbers[head]]
    masks = {}
    for kind, chosen in (("duplicate", repeats[same]), ("conflict", repeats[~same])):
        masks[kind] = _mask(state, numbers[chosen])
    if not same.all():
        state.conflict = _apart(state.rows.close[numbers[repeats]], state.rows.close[numbers[head]])
    for kind, rows in masks.items():
        state.apply_policy(kind, rows, defect=kind == "conflict")


def _apart(close: Floats, first: Floats) -> str:
    """Describe how far closes of the same time differ; empty if by less than one percent."""
    ratio = float(np.median(np.maximum(close / first, first / close)))
    return f"closes {ratio:.3g} times as high or low" if ratio >= 1.01 else ""


def jump_examples(time_ns: Ints, ratio: Floats) -> list[str]:
    """Format the time and size of jumps between closes, and the splits that would explain them."""
    examples = []
    for moment, value in zip(time_ns[:EXAMPLES], ratio[:EXAMPLES], strict=True):
        name = adjust.likely_split(float(value))
        text = f", as a split of {name} would" if name else ""
        examples.append(f"{iso(moment)} {100 * (value - 1.0):+.1f} %{text}")
    return examples


def _table(symbol: str, bar_ns: int, times: list[Ints], rows: Rows) -> BarTable:
    open_ns, known_ns, session = times
    return BarTable(
        symbol, bar_ns, open_ns, known_ns,
        rows.open, rows.high, rows.low, rows.close, rows.volume, session,
    )  # fmt: skip


def _fill(
    state: _State, calendar: Calendar, anchor: Anchor, ordinal: Ints, bars: BarTable
) -> BarTable:
    """Count missing bars; if the policy is `fill`, fill them with the previous close."""
    step = np.diff(ordinal)
    holes = np.flatnonzero(step > 1)
    count = int((step[holes] - 1).sum())
    examples = [f"{int(step[j]) - 1} after {iso(bars.open_ns[j])}" for j in holes[:EXAMPLES]]
    if state.found("gap", count, examples) != "fill" or count == 0:
        return bars
    everything = np.arange(ordinal[0], ordinal[-1] + 1)
    source = np.searchsorted(ordinal, everything, side="right") - 1
    is_synthetic = ordinal[source] != everything
    placed = calendar.at(everything, state.bar_ns, anchor)
    close = bars.close[source]
    prices = [np.where(is_synthetic, close, getattr(bars, name)[source]) for name in PRICES]
    pick = [
        np.where(is_synthetic, theirs, ours[source])
        for theirs, ours in (
            (placed.open_ns, bars.open_ns),
            (placed.known_ns, bars.known_ns),
            (placed.session, bars.session),
        )
    ]
    volume = np.where(is_synthetic, 0.0, bars.volume[source])
    return BarTable(
        bars.symbol, bars.bar_ns, pick[0], pick[1],
        prices[0], prices[1], prices[2], prices[3], volume, pick[2], is_synthetic,
    )  # fmt: skip
