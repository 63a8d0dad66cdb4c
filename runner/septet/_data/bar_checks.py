"""Checks of single bars: the same rules for a million rows and for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import numpy as np
from msgspec import structs

from septet._data.bars import Floats, Ints
from septet._data.message_limits import shown_cell
from septet._data.stamps import Bools

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MIN_VALUE", "MAX_VALUE", "PRICES", "Rows", "numbers_of", "pick", "price_defects", "take_rows",
    "volume_defects", "volume_unit_jumps",
]  # fmt: skip

T = TypeVar("T", Ints, Floats)

PRICES: Final = ("open", "high", "low", "close")
_BLOCK: Final = 50
_TILE: Final = 16_384
MIN_VALUE: Final = 1e-30
MAX_VALUE: Final = 1e30  # limits of prices and volumes; products of larger values overflow
_UNIT_JUMP: Final = 2.5  # decades: a factor of about 316


class Rows(msgspec.Struct, frozen=True):
    """Columns of raw rows as float64 arrays of shape (n,); NaN where the value is not a number."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.open)

    def take(self, pick: Ints | Bools) -> Rows:
        """Return the rows selected by index or mask, as copies."""
        return Rows(
            self.open[pick], self.high[pick], self.low[pick], self.close[pick], self.volume[pick]
        )

    def show(self, row: int, raw: pl.DataFrame | None = None) -> str:
        """Format one row for an example; a cell that is not a number is shown as it is in `raw`."""
        return " ".join(f"{name} {self._cell(name, row, raw)}" for name in (*PRICES, "volume"))

    def _cell(self, name: str, row: int, raw: pl.DataFrame | None) -> str:
        value = float(getattr(self, name)[row])
        if np.isnan(value) and raw is not None and name in raw.columns:
            text = raw[name][row]
            if text is None:
                return "empty"
            if isinstance(text, str):
                return shown_cell(text)
        return f"{value:.10g}"

    def with_range(self, mask: Bools) -> Rows:
        """Widen high and low to include open and close where `mask` is set."""
        high = np.maximum(self.high, np.maximum(self.open, self.close))
        low = np.minimum(self.low, np.minimum(self.open, self.close))
        return structs.replace(
            self, high=np.where(mask, high, self.high), low=np.where(mask, low, self.low)
        )


def take_rows(rows: Rows, order: Ints | slice) -> Rows:
    """Select rows: each column by `pick`."""
    return Rows(*(pick(getattr(rows, name), order) for name in (*PRICES, "volume")))


def pick(values: T, order: Ints | slice) -> T:
    """Select rows into a writable, contiguous array.

    If all rows are selected, nothing is copied.
    """
    if isinstance(order, slice):
        return values if values.flags.writeable else values.copy()
    return np.ascontiguousarray(values[order])


def numbers_of(column: pl.Series) -> Floats:
    """Return a column as float64 in its own memory; cells that are not numbers become NaN."""
    import polars as pl

    if column.dtype in (pl.String, pl.Categorical):
        column = column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    values = column.cast(pl.Float64, strict=False)
    if values.null_count():
        values = values.fill_null(float("nan"))
    found: Floats = values.to_numpy(writable=True)
    return found


def _plain(rows: Rows, start: int, stop: int) -> bool:
    """Return whether the prices of a block of rows, small enough for the cache, have no defect."""
    part = slice(start, stop)
    open_, high, low, close = rows.open[part], rows.high[part], rows.low[part], rows.close[part]
    # NaN fails every comparison; an infinite value is a minimum or a maximum.
    fits = (low <= open_) & (open_ <= high) & (low <= close) & (close <= high)
    return bool(fits.all() and low.min() >= MIN_VALUE and high.max() <= MAX_VALUE)


def price_defects(rows: Rows) -> dict[str, Bools]:
    """Return masks of rows whose prices cannot be used; each row is in the first that applies.

    The kinds are `not_finite`, `bad_price` (below `MIN_VALUE` or above `MAX_VALUE`),
    `high_below_low`, `outside_range` (open or close outside of high and low).
    """
    if all(_plain(rows, at, at + _TILE) for at in range(0, len(rows), _TILE)):
        return {}
    open_, high, low, close = rows.open, rows.high, rows.low, rows.close
    with np.errstate(over="ignore", invalid="ignore"):
        total = open_ + high + low + close  # if it is finite, all four are
    found: dict[str, Bools] = {}
    taken = np.zeros(len(rows), dtype=np.bool_)
    if not np.isfinite(total).all():
        taken = ~(np.isfinite(open_) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close))
        found["not_finite"] = taken
    bottom = np.minimum(np.minimum(open_, close), low)
    top = np.maximum(open_, close)
    checks: tuple[tuple[str, Bools], ...] = (
        (
            "bad_price",
            (bottom < MIN_VALUE) | (high < MIN_VALUE) | (np.maximum(top, high) > MAX_VALUE),
        ),
        ("high_below_low", high < low),
        ("outside_range", (top > high) | (bottom < low)),
    )
    for kind, mask in checks:
        if mask.any():
            mask = mask & ~taken
            if mask.any():
                found[kind] = mask
                taken = taken | mask
    return found


def volume_defects(volume: Floats) -> dict[str, Bools]:
    """Return masks of invalid volumes (`bad_volume`) and of volumes of 0."""
    if len(volume) and volume.min() > 0.0 and volume.max() <= MAX_VALUE:
        return {}
    bad = ~(volume >= 0.0) | (volume > MAX_VALUE)
    zero = volume == 0.0
    return {kind: mask for kind, mask in (("bad_volume", bad), ("zero_volume", zero)) if mask.any()}


def volume_unit_jumps(volume: Floats) -> list[int]:
    """Rows at which the size of volume changes as if its unit had changed.

    Medians of blocks of 50 traded bars are compared: a change by a factor of 300 or more between
    neighbours that lasts two blocks counts.
    """
    some = volume > 0.0
    if not some.all():
        traded = np.flatnonzero(some)
        return [int(traded[at]) for at in volume_unit_jumps(volume[traded])]
    blocks = len(volume) // _BLOCK
    if blocks < 4:
        return []
    level = _levels(volume[: blocks * _BLOCK].reshape(blocks, _BLOCK))
    before, after = level[:-3], level[3:]
    inner = np.abs(level[2:-1] - level[1:-2]) >= _UNIT_JUMP
    lasting = (np.abs(level[1:-2] - before) < 1.0) & (np.abs(after - level[2:-1]) < 1.0)
    return [(int(j) + 2) * _BLOCK for j in np.flatnonzero(inner & lasting)]


def _levels(cut: Floats) -> Floats:
    """Return the decades of the medians of blocks where a jump is possible; NaN elsewhere.

    Medians take ten times as long as minimum and maximum; if these are close in neighbouring
    blocks, so are the medians.
    """
    low, high = cut.min(axis=1), cut.max(axis=1)
    far = 10.0 ** (_UNIT_JUMP - 0.01)
    jump = np.flatnonzero((high[1:] > far * low[:-1]) | (high[:-1] > far * low[1:]))
    near = np.unique((jump[:, None] + np.arange(-1, 3)).ravel())
    near = near[(near >= 0) & (near < len(cut))]
    level: Floats = np.full(len(cut), np.nan)
    level[near] = np.log10(np.median(cut[near], axis=1))
    return level
