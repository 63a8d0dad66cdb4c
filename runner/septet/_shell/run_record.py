"""Data of a run in progress for its monitors: fills, trades and curve, row by row."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from septet._host.monitoring import BEGINNING_NS, FillRows, RunView, TradeRows
from septet._kernel import layout

__all__ = ["MOST_ROWS", "MOST_TIMES", "Record", "fill_rows", "trade_rows"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_TIMES: Final = 100_000
"""Number of newest decision times that a monitor sees in a run in progress."""
MOST_ROWS: Final = 50_000
"""Number of newest fills, and of newest trades, that it sees."""
_SLACK: Final = 1.25


def fill_rows(LI: Ints, LF: Floats, scale: Floats, time_ns: Ints | None = None) -> FillRows:
    """Return rows of the log about fills in the format of monitors.

    `scale` is the number of units in one of each symbol's base currency; `time_ns` is the known
    time of each fill, if it differs from the time of the fill.
    """
    return FillRows(
        time_ns=LI[:, 1] if time_ns is None else time_ns, symbol=LI[:, 2],
        side=np.sign(LF[:, 0]).astype(np.int64), quantity=np.abs(LF[:, 0]) / scale[LI[:, 2]],
        price=LF[:, 1], decision_price=LF[:, 4], fee=LF[:, 2],
    )  # fmt: skip


def trade_rows(LI: Ints, LF: Floats, time_ns: Ints | None = None) -> TradeRows:
    """Return rows of the log about trades in the format of monitors."""
    return TradeRows(
        entry_ns=LI[:, 3], exit_ns=LI[:, 1] if time_ns is None else time_ns, symbol=LI[:, 2],
        side=LI[:, 5], quantity=LF[:, 3], entry_price=LF[:, 1], exit_price=LF[:, 2],
        pnl=LF[:, 4], fees=LF[:, 5], funding=LF[:, 6], liquidation=LF[:, 7],
        slippage=LF[:, 8],
    )  # fmt: skip


class _Rows:
    """Rows of the log of one kind, and their known times."""

    def __init__(self) -> None:
        self.known, self.whole, self.parts = array("q"), array("q"), array("d")
        self.width = 0

    def __len__(self) -> int:
        return len(self.known)

    def add(self, known_ns: int, whole: Ints, parts: Floats) -> None:
        self.width = len(parts)
        self.known.append(known_ns)
        self.whole.extend(whole.tolist())
        self.parts.extend(parts.tolist())
        if len(self) > MOST_ROWS * _SLACK:
            surplus = len(self) - MOST_ROWS
            del self.known[:surplus]
            del self.whole[: surplus * layout.LI_COLUMNS]
            del self.parts[: surplus * self.width]

    def tables(self, before_ns: int) -> tuple[Ints, Ints, Floats]:
        """Return the rows known before a time: their times, integers and floats."""
        known_ns = np.array(self.known, np.int64)
        stop = int(np.searchsorted(known_ns, before_ns, side="left"))
        LI = np.array(self.whole, np.int64).reshape(-1, layout.LI_COLUMNS)[:stop]
        LF = np.array(self.parts, np.float64).reshape(-1, self.width or layout.LF_LEAST)
        return known_ns[:stop], LI, LF[:stop]

    def kept(self) -> list[Any]:
        return [self.width, *(each.tobytes() for each in (self.known, self.whole, self.parts))]

    @classmethod
    def of(cls, state: list[Any]) -> _Rows:
        rows = cls()
        rows.width = int(state[0])
        columns: tuple[Any, ...] = (rows.known, rows.whole, rows.parts)
        for column, part in zip(columns, state[1:], strict=True):
            column.frombytes(part)
        return rows


class Record:
    """Fills, trades and curve of a run, in the order in which they became known.

    A row that arrives after its time was read counts as known only from then on, so that no earlier
    reading changes. `scale` is the number of units in one of each symbol's base currency.
    """

    def __init__(self, symbols: Sequence[str], bar_ns: int, scale: Sequence[float]) -> None:
        self.symbols, self.bar_ns = tuple(symbols), bar_ns
        self._scale = np.array(scale, np.float64)
        self._fills, self._trades = _Rows(), _Rows()
        self._times = array("q")
        self._curve = tuple(array("d") for _ in range(3))
        self.read_ns = BEGINNING_NS
        """All rows known before this time have been read."""

    def log(self, LI: Ints, LF: Floats) -> None:
        """Process rows of the log, in order."""
        for row in range(len(LI)):
            kind = LI[row, 0]
            if kind not in (layout.FILL, layout.TRADE):
                continue
            rows = self._fills if kind == layout.FILL else self._trades
            last = rows.known[-1] if len(rows) else self.read_ns
            rows.add(max(int(LI[row, 1]), last, self.read_ns), LI[row], LF[row])

    def ruled(self, time_ns: int, equity: float, cash: float, exposed: float) -> None:
        """Process the account at a decision time; `exposed` is the sum of |notional| (quote)."""
        self._times.append(time_ns)
        for column, value in zip(self._curve, (equity, cash, exposed), strict=True):
            column.append(value)
        if len(self._times) > MOST_TIMES * _SLACK:
            surplus = len(self._times) - MOST_TIMES
            columns: tuple[Any, ...] = (self._times, *self._curve)
            for each in columns:
                del each[:surplus]

    def counts(self, before_ns: int) -> tuple[int, int, int]:
        """Return the number of times, fills and trades known before a time."""
        columns = (self._times, self._fills.known, self._trades.known)
        times, fills, trades = (bisect_left(each, before_ns) for each in columns)
        return times, fills, trades

    def fills(self, before_ns: int) -> FillRows:
        """Return the fills known before a time."""
        known_ns, LI, LF = self._fills.tables(before_ns)
        return fill_rows(LI, LF, self._scale, known_ns)

    def view(self, before_ns: int, since_ns: int) -> RunView:
        """Return the run as known before a time; what was known before `since_ns` was read."""
        times = np.array(self._times, np.int64)
        stop = int(np.searchsorted(times, before_ns, side="left"))
        equity, cash, exposed = (np.array(each, np.float64)[:stop] for each in self._curve)
        known_ns, LI, LF = self._trades.tables(before_ns)
        return RunView(
            self.symbols, self.bar_ns, times[:stop], equity, cash, exposed / equity,
            self.fills(before_ns), trade_rows(LI, LF, known_ns), since_ns,
        )  # fmt: skip

    def snapshot(self) -> bytes:
        """Return the whole state."""
        columns: tuple[Any, ...] = (self._times, *self._curve)
        curve = [each.tobytes() for each in columns]
        state = [self._fills.kept(), self._trades.kept(), curve, self.read_ns]
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Restore a snapshot."""
        fills, trades, curve, self.read_ns = msgspec.msgpack.decode(data)
        self._fills, self._trades = _Rows.of(fills), _Rows.of(trades)
        self._times = array("q")
        self._curve = tuple(array("d") for _ in range(3))
        columns: tuple[Any, ...] = (self._times, *self._curve)
        for column, part in zip(columns, curve, strict=True):
            column.frombytes(part)
