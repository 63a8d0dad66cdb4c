"""Re-evaluates conditions of the file at a decision, from the stored data of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from septet._data.calendars import load_calendar
from septet._expressions import ExpressionError, Name, look_back, names_in, parse_expression
from septet._plan.plain_expression import plain_expression

if TYPE_CHECKING:
    import polars as pl

    from septet._store.run_folder import Run

__all__ = ["Condition", "condition_at"]

_BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")


class _NotStoredError(LookupError):
    """A value that the tables of a run do not have."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition at a decision: its text, true, false or None for unknown, and its values.

    `values` has what the condition read, each by its name as the file writes it: the value of three
    bars before as ``prev(fast, 3)``.
    """

    text: str
    state: bool | None
    values: Mapping[str, float]

    def words(self) -> str:
        """Return the state, the text and the values: ``false: close > mean (close 1, mean 2)``."""
        state = "unknown" if self.state is None else "true" if self.state else "false"
        read_values = ", ".join(
            f"{name} {value:.6g}" if math.isfinite(value) else f"{name} not known"
            for name, value in self.values.items()
        )
        return f"{state}: {self.text}" + (f" ({read_values})" if read_values else "")


def condition_at(run: Run, text: str, symbol: str, time_ns: int) -> Condition | None:
    """Evaluate a condition for a symbol at a decision time, or return None.

    None where the run did not store what the condition reads: a word of the position, a bar that
    was joined with others, the bars before the first decision. It is evaluated by the line that
    the plan of the run has, as plain Python.
    """
    try:
        tree = parse_expression(text)
        look_back_bars = look_back(tree)
        names = {str(name): name for name in names_in(tree)}
        values = _Values(run, symbol, time_ns, look_back_bars + 1)
        reads: dict[tuple[int, str], float] = {}

        def read(name: str, bars_back: int) -> float:
            value = reads[bars_back, name] = values.at(names[name], bars_back)
            return value

        state = plain_expression(tree)(read)
        if look_back_bars and values.is_broken():
            state = math.nan
    except (ExpressionError, _NotStoredError):
        return None
    newest_first = sorted(reads.items(), key=lambda each: each[0][0])
    values_read = {
        f"prev({name}, {bars_back})" if bars_back else name: value
        for (bars_back, name), value in newest_first
    }
    return Condition(text, None if state != state else state == 1.0, values_read)


class _Values:
    """Columns of a symbol's last decisions, and of others at the same time."""

    def __init__(self, run: Run, symbol: str, time_ns: int, rows: int) -> None:
        self.run, self.symbol, self.time_ns, self.rows = run, symbol, time_ns, rows
        self._kept: dict[str, pl.DataFrame] = {}

    def at(self, name: Name, bars_back: int) -> float:
        """Return a value so many bars before the decision; NaN where it was not known."""
        symbol = name.symbol or self.symbol
        if bars_back and symbol != self.symbol:
            raise _NotStoredError(str(name))
        frame = self._frame(symbol)
        if name.name not in frame.columns or frame.height <= bars_back:
            raise _NotStoredError(str(name))
        value = frame.item(frame.height - 1 - bars_back, name.name)
        if value is None and name.name in _BAR_COLUMNS:
            raise _NotStoredError(str(name))
        return math.nan if value is None else float(value)

    def _frame(self, symbol: str) -> pl.DataFrame:
        import polars as pl

        if symbol not in self._kept:
            at = pl.lit(self.time_ns).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
            own_rows = self.run.scan("decisions").filter(pl.col("symbol").cast(pl.String) == symbol)
            past = own_rows.filter(pl.col("time") <= at).tail(self.rows)
            columns_of_rows = self.run.collected("decisions", past)
            if (
                not columns_of_rows.height
                or int(columns_of_rows["time"].to_physical()[-1]) != self.time_ns
            ):
                raise _NotStoredError(symbol)
            bars = self.run.table("bars").filter(pl.col("symbol").cast(pl.String) == symbol)
            if int(self.run.manifest.get("display", {}).get("bars_joined", {}).get(symbol, 1)) > 1:
                length = (pl.col("time") - pl.col("open_time")).dt.total_nanoseconds()
                bars = bars.filter(length <= self.run.facts.bar_ns)
            columns = [each for each in _BAR_COLUMNS if each not in columns_of_rows.columns]
            self._kept[symbol] = columns_of_rows.join(
                bars.select("time", "open_time", *columns),
                on="time",
                how="left",
                maintain_order="left",
            )
        return self._kept[symbol]

    def is_broken(self) -> bool:
        """Whether history was cut between the bars that are read: nothing is then before the cut.

        Raises
        ------
        _NotStoredError
            The calendar of the bars is not known.
        """
        times = self._frame(self.symbol).get_column("time").to_physical().to_numpy()
        candles = self.run.manifest["resolved"]["data"]["candles"]
        bar_ns, most = self.run.facts.bar_ns, int(candles["reset_after"])
        if not (np.diff(times) // bar_ns - 1 > most).any():
            return False
        stored = self.run.manifest.get("calendars") or {}
        calendar = stored.get(self.symbol) or candles.get("calendar") or "24x7"
        if isinstance(calendar, Mapping):
            calendar = calendar.get(self.symbol, "24x7")
        if self.run.facts.sessions and calendar == "24x7":
            raise _NotStoredError("calendar")  # the source of the data named it
        opened = self._frame(self.symbol).get_column("open_time").to_physical()
        if opened.null_count():
            raise _NotStoredError("open_time")
        open_ns = opened.to_numpy()
        placed = load_calendar(calendar, int(open_ns[0]), int(open_ns[-1])).place(open_ns, bar_ns)
        return bool((np.diff(placed.ordinal) - 1 > most).any())
