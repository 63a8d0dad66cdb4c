"""The live side of a comparison: the journal of a paper or live run, folded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._journal.journal_format import Entry, Head
from septet._journal.reader import Reader
from septet._live.replay import JOURNAL
from septet._store.damage_messages import journal_finding
from septet.errors import InputError

__all__ = ["Booking", "Closing", "Lived", "is_deed", "read_lived", "trace_of"]

MARKET: Final = (
    m.BarClosed, m.Gapped, m.SeriesPoint, m.DecisionTimeReached, m.ModelReady, m.ModelFailed,
)  # fmt: skip
"""What a backtest knows of, too."""
DEEDS: Final = ("halt", "flatten", "resume")
"""What a person may do that no backtest knows of, and that changes a run."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A booked fill, and the fill that the venue reported."""

    traded: m.Traded
    fill: m.Filled | None

    @property
    def sign(self) -> float:
        """One for a buy, minus one for a sale."""
        return 1.0 if self.traded.side == "buy" else -1.0


@dataclass(frozen=True, slots=True)
class Closing:
    """A decision time, and the newest close of each symbol present.

    One without decisions took in bars that had been missed.
    """

    time_ns: int
    closes: dict[int, float]
    decides: bool


@dataclass
class Lived:
    """A run, folded from its journal.

    `events` are the events of the core that a backtest has too, and actions of persons; for a run
    with simulated fills, all events of the core. `moves` are bookings and closings in the order in
    which they changed the account. `taken` gives the decision time that took a bar in, `marks` the
    last prices of the symbols at each decision time, `ends` the last state of each order; `sent`
    has the children that were sent, by client id.
    """

    head: Head
    folder: Path
    symbols: tuple[str, ...]
    venue_fills: bool
    events: list[m.Event] = field(default_factory=list)
    bars: dict[tuple[int, int], m.BarClosed] = field(default_factory=dict)
    points: dict[tuple[str, int], m.SeriesPoint] = field(default_factory=dict)
    decision_times: dict[int, m.DecisionTimeReached] = field(default_factory=dict)
    taken: dict[tuple[int, int], m.DecisionTimeReached] = field(default_factory=dict)
    ruled: dict[int, float] = field(default_factory=dict)
    decided: dict[tuple[int, int], m.Decided] = field(default_factory=dict)
    moves: list[Booking | Closing] = field(default_factory=list)
    marks: dict[int, dict[int, float]] = field(default_factory=dict)
    placed: dict[int, m.Placed] = field(default_factory=dict)
    sent: dict[str, m.Submit] = field(default_factory=dict)
    ends: dict[int, m.Changed] = field(default_factory=dict)
    late_models: list[tuple[m.ModelReady, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def first_ns(self) -> int:
        """Time of the first decision."""
        return min(self.ruled)

    @property
    def last_ns(self) -> int:
        """Time of the last decision."""
        return max(self.ruled)

    @property
    def has_deeds(self) -> bool:
        """Whether a person changed something that a backtest does not have."""
        return any(map(is_deed, self.events))


def is_deed(event: m.Event) -> bool:
    """Whether an operator's action changed what is traded."""
    return isinstance(event, m.Operated) and event.action in DEEDS


def trace_of(text: str) -> tuple[str, int] | None:
    """Return symbol and time of a command's trace; None if it does not come from a decision."""
    symbol, at, time_ns = text.rpartition("@")
    return (symbol, int(time_ns)) if at and time_ns.isdigit() else None


def read_lived(folder: Path, venue_fills: bool | None = None) -> Lived:
    """Fold a run's journal.

    Raises
    ------
    InputError
        If it has no journal, or no decision yet.
    JournalError
        If the journal is missing, damaged or changed.
    """
    finding = journal_finding(folder)
    if finding is not None and finding.kind == "gone":
        raise InputError(
            f"{finding.message}: the comparison needs the bars, decisions and fills in it",
            hint=f"{finding.hint}. Without it `septet runs show {folder}` and `septet runs export "
            f"{folder} --to DIR` give its tables as they were last written, to be compared by hand "
            "with those of the backtest",
        )
    if finding is not None and not finding.is_usable:
        raise finding.error()
    if not (folder / JOURNAL).exists():
        raise InputError(
            f"{folder} has no journal: it is a backtest's",
            hint="name the paper or live run first, then the backtest",
        )
    with Reader(folder / JOURNAL) as journal:
        head = journal.head
        if venue_fills is None:
            venue_fills = _has_venue_fills(head)
        lived = Lived(head, folder, tuple(head.facts["symbols"]), venue_fills)
        if finding is not None:
            lived.notes.append(finding.what)
        fold = _Folding(lived)
        for entry in journal.read():
            fold.take(entry)
    if not lived.ruled:
        raise InputError(
            f"the run in {folder} has not decided anything yet", hint="wait for its first bar"
        )
    return lived


def _has_venue_fills(head: Head) -> bool:
    resolved = head.facts.get("resolved", {})
    fills = resolved.get("execution", {}).get("simulation", {}).get("fills", "next_open")
    return head.mode == "live" or fills != "next_open"


class _Folding:
    """Processes a journal's entries in order."""

    def __init__(self, lived: Lived) -> None:
        self._lived = lived
        self._marks: dict[int, float] = {}
        self._fills: dict[tuple[int, str], m.Filled] = {}
        self._waiting: list[list[m.BarClosed]] = [[] for _ in lived.symbols]
        self._time_ns = -1

    def take(self, entry: Entry) -> None:
        """Process an entry: its event first, then its commands."""
        event, lived = entry.event, self._lived
        if not lived.venue_fills or isinstance(event, MARKET) or is_deed(event):
            lived.events.append(event)
        match event:
            case m.BarClosed():
                lived.bars.setdefault((event.symbol, event.open_ns), event)
                self._waiting[event.symbol].append(event)
            case m.SeriesPoint():
                lived.points.setdefault((event.name, event.stamp_ns), event)
            case m.DecisionTimeReached():
                self._decision_time(event)
            case m.Quoted():
                self._mark(event.symbol, 0.5 * (event.bid + event.ask))
            case m.Printed():
                self._mark(event.symbol, event.price)
            case m.Filled():
                self._fills.setdefault((event.symbol, event.trade_id), event)
            case m.ModelReady() if event.ready_ns <= self._time_ns:
                lived.late_models.append((event, self._time_ns))
        self._commands(entry.commands)

    def _mark(self, k: int, price: float) -> None:
        if self._lived.venue_fills:
            self._marks[k] = price

    def _decision_time(self, event: m.DecisionTimeReached) -> None:
        lived, closes = self._lived, {}
        for k in event.present:
            bar = self._waiting[k].pop(0)
            lived.taken[(k, bar.open_ns)] = event
            if event.decides or lived.ruled:  # history leaves the account alone
                closes[k] = self._marks[k] = bar.close
        if closes:
            lived.moves.append(Closing(event.time_ns, closes, event.decides))
        if event.present and event.decides:
            self._time_ns = event.time_ns
            lived.decision_times[event.time_ns] = event
            lived.marks.setdefault(event.time_ns, dict(self._marks))

    def _commands(self, commands: Sequence[m.Command]) -> None:
        lived = self._lived
        for each in commands:
            match each:
                case m.Ruled():  # a symbol that is late decides at a time that had one
                    lived.ruled.setdefault(each.time_ns, each.equity)
                case m.Decided():
                    lived.decided[(each.time_ns, each.symbol)] = each
                case m.Traded():
                    fill = self._fills.get((each.symbol, each.trade_id))
                    lived.moves.append(Booking(each, fill))
                case m.Corrected():
                    _correct(lived.moves, each)
                case m.Placed():
                    lived.placed[each.order] = each
                case m.Submit():
                    lived.sent[each.client_id] = each
                case m.Changed():
                    lived.ends[each.order] = each


def _correct(moves: list[Booking | Closing], by: m.Corrected) -> None:
    """Replace price and fee in the booking of a fill that was booked by an estimate."""
    for number in range(len(moves) - 1, -1, -1):
        move = moves[number]
        if isinstance(move, Closing):
            continue
        traded = move.traded
        if (traded.symbol, traded.trade_id) != (by.symbol, by.of):
            continue
        if by.fee_booked is not None:
            fee = {"fee": by.fee, "fee_currency": by.fee_currency, "fee_quote": by.fee_quote}
            moves[number] = Booking(msgspec.structs.replace(traded, **fee), move.fill)
            return
        moved = (by.price - by.booked_price) * by.quantity / traded.quantity
        changes: dict[str, Any] = {"price": traded.price + moved}
        in_quote = by.fee_quote and by.fee == by.fee_quote
        if in_quote and (traded.fee_currency == by.fee_currency or not traded.fee):
            changes.update(fee=traded.fee + by.fee_quote, fee_currency=by.fee_currency)
        moves[number] = Booking(msgspec.structs.replace(traded, **changes), move.fill)
        return
