"""Detection of two alternating price levels: rows of two symbols or sources with similar prices.

Where every other row is of a dearer source, the move from close to open, or from close to close, is
up, down, up, down: it holds a part that changes its sign with the number of the row. In a market
the sign of one move predicts next to nothing of the sign of the move an exact number of rows later.
Trades at bid and ask go back and forth as well, but in no fixed order, and their bars reach over
both prices as soon as they hold a few trades.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from septet._data.bars import Floats, Ints

__all__ = ["Alternation", "Turns"]

BLOCK: Final = 32_768  # rows checked at once
TURNS: Final = 64  # moves in one window
_ONES: Final = np.ones((1, TURNS))
_SIGNS: Final = _ONES * np.where(np.arange(TURNS) % 2, -1.0, 1.0)
PERIODS: Final = (*range(1, 11), 12, 15, 16, 20, 24, 25, 30, 32, 48, 50, 60, 100)
_CLOSES: Final = 10  # for these periods (up to ten rows) close-to-close moves are tested too
_BOUNCE_SCALE: Final = 2.0
"""Largest factor by which bid-ask bounce in random order raises the power of the alternating
part."""
_OTHER_SCALE: Final = 1.25
_WHOLE_EXPONENT, _RUN_EXPONENT = 16.0, 25.0
"""Minus the logarithm of the probability of a false detection: over all rows, and within a run."""
_CERTAIN_SHARE, _LIKELY_SHARE = 0.1, 0.05  # least share of the alternating part in the moves
_CERTAIN_SIZE, _LIKELY_SIZE = 0.1, 0.02  # least distance of the levels, in bar ranges
_ROUNDING: Final = 1e-9  # more than the rounding error of a sum taken in another order
_PAIRS: Final = 512
_CLIP: Final = 4.0
_LIKELY_PAIRS, _CERTAIN_PAIRS = (7.0, -0.25, 0.2), (9.0, -0.35, 0.3)
_EMPTY_MOVES: Final = 64
_LIKELY_EMPTY, _CERTAIN_EMPTY = (7.0, -0.5, 0.0), (7.0, -0.8, 0.0)
"""Least deviations from chance, highest correlation of neighbours, least distance in bar ranges."""


class Turns(msgspec.Struct, frozen=True):
    """Alternating price levels: their period in rows (0: irregular), size, and first time.

    `size` is the distance of the levels as a share of the price, `rows` the number of rows that
    show it, `share` the share of the moves over those rows that it explains.
    """

    every: int
    share: float
    size: float
    rows: int
    open_ns: int
    is_certain: bool


class _Sums(msgspec.Struct):
    """Sums of one kind of moves over all blocks, for one period: one entry for each phase."""

    power: Floats
    size: Floats
    windows: int = 0


class _Signs(msgspec.Struct):
    """Sums of products of neighbouring moves: negative if one move reverses the other."""

    count: int = 0
    product: float = 0.0
    squares: float = 0.0
    energy: float = 0.0

    @classmethod
    def of(cls, first: Floats, second: Floats) -> _Signs:
        """Return the sums over pairs of moves."""
        product = first * second
        energy = 0.5 * float(first @ first + second @ second)
        return cls(len(product), float(product.sum()), float(product @ product), energy)

    def add(self, other: _Signs) -> None:
        """Add the sums over other pairs."""
        self.count += other.count
        self.product += other.product
        self.squares += other.squares
        self.energy += other.energy

    def distance(self, limits: tuple[float, float, float], unit: float) -> float:
        """Return the distance of the levels between which the moves alternate.

        0 if there are none.
        """
        least, most, size = limits
        if self.product >= 0.0 or -self.product < least * np.sqrt(self.squares):
            return 0.0
        apart = 2.0 * float(np.sqrt(-self.product / self.count))
        return apart if self.product <= most * self.energy and apart >= size * unit else 0.0


class Alternation(msgspec.Struct):
    """Finds alternating price levels in a series read in parts, however it is divided.

    `certain` and `likely` hold the levels found, the first of each kind.
    """

    certain: list[Turns] = msgspec.field(default_factory=list)
    likely: list[Turns] = msgspec.field(default_factory=list)
    _tail: tuple[np.ndarray, ...] = ()
    _last: tuple[float, float, float] | None = None
    _rows: int = 0
    _first_ns: int = 0
    _unit: list[float] = msgspec.field(default_factory=list)
    _sums: dict[tuple[int, int], _Sums] = msgspec.field(default_factory=dict)
    _pairs: _Signs = msgspec.field(default_factory=_Signs)
    _empty: _Signs = msgspec.field(default_factory=_Signs)
    _moves: tuple[Floats, Ints] = (np.zeros(0), np.zeros(0, np.int64))

    def add(self, open_ns: Ints, opened: Floats, high: Floats, low: Floats, close: Floats) -> None:
        """Add the bars that follow the previous ones: arrays of shape (n,), prices above zero."""
        new: tuple[np.ndarray, ...] = (open_ns, opened, high, low, close)
        if self._tail:
            new = tuple(np.concatenate(each) for each in zip(self._tail, new, strict=True))
        at = 0
        while len(new[0]) - at >= BLOCK:
            self._check_block(tuple(each[at : at + BLOCK] for each in new))
            at += BLOCK
        self._tail = tuple(each[at:].copy() for each in new)

    def finish(self) -> None:
        """Check the remaining rows, then all rows together."""
        if self._tail and len(self._tail[0]):
            self._check_block(self._tail)
        self._tail = ()
        self._whole()

    def _check_block(self, bars: tuple[np.ndarray, ...]) -> None:
        open_ns, opened, high, low, close = bars
        if self._last is None:
            self._first_ns = int(open_ns[0])
            self._last = float(high[0]), float(low[0]), float(opened[0])
        with np.errstate(over="ignore"):
            before = [
                np.concatenate(([was], each[:-1]))
                for was, each in zip(self._last, (high, low, close), strict=True)
            ]
            gap = opened / before[2] - 1.0
            ranges = high / low - 1.0
            wide = ranges[ranges > 0.0]
            unit = float(np.median(wide)) if 2 * len(wide) >= len(ranges) else 0.0
            moves = close / before[2] - 1.0
            for kind, (part, periods) in enumerate(((gap, PERIODS), (moves, PERIODS[:_CLOSES]))):
                squares = np.square(part)
                for every in periods:
                    self._take_turns((kind, every), part, squares, unit, open_ns)
        self._take_pairs(gap, ranges > 0.0, unit, open_ns)
        self._take_empty(gap, before[0], before[1], bars, unit)
        self._last = float(high[-1]), float(low[-1]), float(close[-1])
        self._rows += len(close)
        self._unit.append(unit)

    def _take_turns(
        self, key: tuple[int, int], moves: Floats, squares: Floats, unit: float, open_ns: Ints
    ) -> None:
        """Look for moves that alternate up and down; `key` is their kind and the rows between them.

        `squares` are the squares of `moves`.
        """
        _, every = key
        windows = len(moves) // (TURNS * every)
        if not windows:
            return
        rows, shape = windows * TURNS * every, (windows, TURNS, every)
        total = np.abs(np.matmul(_SIGNS, moves[:rows].reshape(shape))[:, 0])
        energy = np.matmul(_ONES, squares[:rows].reshape(shape))[:, 0]
        power = np.divide(total * total, energy, out=np.zeros_like(total), where=energy > 0.0)
        size = total / TURNS
        sums = self._sums.setdefault(key, _Sums(np.zeros(every), np.zeros(every)))
        sums.power += power.sum(axis=0)
        sums.size += size.sum(axis=0)
        sums.windows += windows
        run, near = 1, power
        while run <= windows:
            least, count = _chance(run, every, _RUN_EXPONENT), windows // run
            if near.max() > least * (1.0 - _ROUNDING):
                of_runs = power[: count * run].reshape(count, run, every).sum(axis=1)
                at, phase = np.unravel_index(int(np.argmax(of_runs)), of_runs.shape)
                if of_runs[at, phase] > least:
                    far = float(size[at * run : (at + 1) * run, phase].mean())
                    share = float(of_runs[at, phase]) / (TURNS * run)
                    first_ns = int(open_ns[at * run * TURNS * every])
                    self._keep(every, far, share, unit, run * TURNS, first_ns)
            run, near = 2 * run, near[: count // 2 * 2 : 2] + near[1 : count // 2 * 2 : 2]

    def _keep(
        self, every: int, size: float, share: float, unit: float, rows: int, open_ns: int
    ) -> None:
        certain = share >= _CERTAIN_SHARE and size >= _CERTAIN_SIZE * unit
        if certain or (share >= _LIKELY_SHARE and size >= _LIKELY_SIZE * unit):
            self._add(Turns(every, share, size, rows, open_ns, certain))

    def _add(self, turns: Turns) -> None:
        collected = self.certain if turns.is_certain else self.likely
        if len(collected) < 100:
            collected.append(turns)

    def _take_pairs(self, gap: Floats, ranged: np.ndarray, unit: float, open_ns: Ints) -> None:
        """Look for bars that lie on the same side of both the bar before and the bar after.

        Only bars with a range count; bars of a single trade have none.
        """
        some = np.abs(gap[gap != 0.0])
        if not len(some) or unit <= 0.0:
            return
        most = _CLIP * float(np.median(some))
        clipped = np.clip(gap, -most, most)
        inside = ranged[:-2] & ranged[1:-1] & ranged[2:]
        for at in range(0, len(gap) - 2, _PAIRS):
            mask = inside[at : at + _PAIRS]
            first = clipped[at + 1 : at + 1 + len(mask)][mask]
            second = clipped[at + 2 : at + 2 + len(mask)][mask]
            window = _Signs.of(first, second)
            self._pairs.add(window)
            if 2 * window.count >= _PAIRS:
                self._check_signs(window, _CERTAIN_PAIRS, _LIKELY_PAIRS, unit, int(open_ns[at]))

    def _take_empty(
        self, gap: Floats, high: Floats, low: Floats, bars: tuple[np.ndarray, ...], unit: float
    ) -> None:
        """Look for moves over price ranges without a trade that reverse the previous such move."""
        rows = np.flatnonzero((bars[3] > high) | (bars[2] < low))
        rows = rows[(bars[2][rows] > bars[3][rows]) & (high[rows] > low[rows])]
        moves = np.concatenate((self._moves[0], gap[rows]))
        times = np.concatenate((self._moves[1], bars[0][rows]))
        while len(moves) > _EMPTY_MOVES:
            some = moves[: _EMPTY_MOVES + 1]
            most = _CLIP * float(np.median(np.abs(some)))
            some = np.clip(some, -most, most)
            window = _Signs.of(some[:-1], some[1:])
            self._empty.add(window)
            self._check_signs(window, _CERTAIN_EMPTY, _CERTAIN_EMPTY, unit, int(times[0]))
            moves, times = moves[_EMPTY_MOVES:], times[_EMPTY_MOVES:]
        self._moves = moves, times

    def _check_signs(
        self,
        signs: _Signs,
        certain: tuple[float, float, float],
        likely: tuple[float, float, float],
        unit: float,
        open_ns: int,
    ) -> None:
        for limits in (certain, likely):
            apart = signs.distance(limits, unit)
            if apart:
                self._add(Turns(0, 0.0, apart, signs.count, open_ns, limits is certain))
                return

    def _whole(self) -> None:
        unit = float(np.median(self._unit)) if self._unit else 0.0
        for (_, every), sums in self._sums.items():
            phase = int(np.argmax(sums.power))
            power, far = float(sums.power[phase]), float(sums.size[phase]) / sums.windows
            if power > _chance(sums.windows, every, _WHOLE_EXPONENT):
                share = power / (TURNS * sums.windows)
                self._keep(every, far, share, unit, TURNS * sums.windows, self._first_ns)
        self._check_signs(self._pairs, _CERTAIN_PAIRS, _LIKELY_PAIRS, unit, self._first_ns)
        self._check_signs(self._empty, _CERTAIN_EMPTY, _LIKELY_EMPTY, unit, self._first_ns)


def _chance(windows: int, every: int, size: float) -> float:
    """Return the power that this many windows exceed by chance with probability exp(-`size`).

    The power of one window is at most that of a squared normal variable, whatever the moves are,
    because it is divided by the squares of its own moves.
    """
    scale = _BOUNCE_SCALE if every == 1 else _OTHER_SCALE
    return scale * (windows + 2.0 * float(np.sqrt(windows * size)) + 2.0 * size)
