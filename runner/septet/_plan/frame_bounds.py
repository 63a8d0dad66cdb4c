"""Plan text for the position of a base bar in the bars of a higher time frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from septet._kernel.time_frames import FRAME_ROWS

__all__ = ["Frame", "FrameBounds"]

DAY_NS: Final = 86_400_000_000_000
SECOND_NS: Final = 1_000_000_000
EARLIEST_NS: Final = -(2**63)
_OPENED: Final = "M[k, OPEN_NS, i]"
_MISSING: Final = "M[k, MISSING, i]"


class Frame(msgspec.Struct, frozen=True):
    """A higher time frame: its rows in Y and its state in S; `more` are rows that few ask for."""

    bar_ns: int
    row: int
    slot: int
    more: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def row_numbers(self) -> list[int]:
        """Return every row of Y that belongs to the frame itself."""
        return [*range(self.row, self.row + FRAME_ROWS), *self.more.values()]


class FrameBounds(msgspec.Struct, frozen=True):
    """Where base bars of `bar_ns` lie in the bars of a frame; `cell` is a column's value at i.

    Around the clock it follows from a base bar's open. Where there are sessions, a frame of whole
    days lies on their dates: its boundary is the close of its last session.
    """

    frame: Frame
    bar_ns: int
    calendar: str
    cell: Callable[[str], str]

    @property
    def extends(self) -> str:
        """Return the test whether base bar i extends the bar in progress, which closes at `end`.

        So it is where the next scheduled bar is before `end`, too.
        """
        ends = f"{_OPENED} + {self.bar_ns} < end"
        if self.calendar == "24x7":
            return ends
        if self.frame.bar_ns % DAY_NS:
            return f"{ends} and {self.cell('next_open')} < end // {SECOND_NS} and {_MISSING} == 0"
        return f"{self.cell('next_session')} < end // {DAY_NS} and {_MISSING} == 0"

    @property
    def places(self) -> tuple[str, ...]:
        """Return where a base bar lies, the scheduled ones beside it, and where it ends (ns).

        Then how many bars are missing right before it; or, where that need not be read since each
        bar of the frame has as many base bars, that number.
        """
        ends = f"{_OPENED} + {self.bar_ns}"
        if self.calendar == "24x7":
            whole = -(-self.frame.bar_ns // self.bar_ns)
            return _OPENED, f"{_OPENED} - {self.bar_ns}", ends, ends, "0", str(whole)
        if self.frame.bar_ns % DAY_NS:
            before, after = self._before("previous_open", SECOND_NS), self._ns("next_open")
            return _OPENED, before, after, ends, _MISSING, "0"
        here, after = self._ns("session_date", DAY_NS), self._ns("next_session", DAY_NS)
        return here, self._before("previous_session", DAY_NS), after, after, _MISSING, "0"

    def _ns(self, name: str, unit_ns: int = SECOND_NS) -> str:
        return f"int({self.cell(name)}) * {unit_ns}"

    def _before(self, name: str, unit_ns: int) -> str:
        """Return where the scheduled bar before a bar's first base bar lies.

        Where none is missing that is the row before, which is in an earlier bar: then its column
        is not read.
        """
        asked = f"{_MISSING} > 0 or S[k, {self.frame.slot}] == 0.0"
        return f"{self._ns(name, unit_ns)} if {asked} else {EARLIEST_NS}"
