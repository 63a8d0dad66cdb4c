"""Checks every value from a venue or a feed before it becomes an event.

A venue may send anything: NaN, 1e400, a negative quantity, a stamp of next year, an unknown
state. Adapters read each value with a function of this module, which returns it or raises
`Unreadable`; the live loop checks the events of every adapter once more, as a whole (`fault_of`).
What cannot be read is reported as `septet.messages.Unreadable`, at most once a minute for each
kind (`Notices`), and the core asks again. It never becomes an event, and never ends the run.
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from septet import messages as m
from septet._host.venues import BarSeen, Clock, Market, PrintSeen, QuoteSeen

__all__ = [
    "AHEAD_NS", "EVERY_NS", "Notices", "Unreadable", "bar_fault", "error_place", "fault_of",
    "is_programming_error", "market_fault", "read_choice", "read_id", "read_number", "read_price",
    "read_quantity",
    "read_stamp_ns", "with_readable_fee",
]  # fmt: skip

LARGEST: Final = 1e18
"""Larger than any traded quantity, and than any amount of a currency."""
DEAREST: Final = 1e15
"""Larger than any price."""
EARLIEST_NS: Final = 1_230_768_000_000_000_000
"""2009: no venue had trades before."""
AHEAD_NS: Final = 60_000_000_000
"""How far a stamp may be ahead of the local clock; it then counts as now."""
SKEW_NS: Final = 86_400_000_000_000
"""Largest accepted difference of a clock from the local one."""
EVERY_NS: Final = 60_000_000_000
"""Shortest time between two reports of the same kind of unreadable value."""
_ROUNDED: Final = 1.0 + 1e-6
_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON may contain and a journal cannot."""
_LONGEST_ID: Final = 128
_LONGEST_CODE: Final = 32
_SHOWN: Final = 60
_NO_ID: Final = frozenset({"none", "null", "nan", "undefined", "inf", "infinity"})
_SHORT_ID: Final = 12
"""Ids of up to this length are treated as numbers if they look like one: ``1e400``."""


_DATA: Final = (type(None), str, bytes, int, float, complex, list, tuple, dict, set, frozenset)
"""The types of message content: an attribute that one of these lacks may be the venue's fault."""
_METHOD: Final = re.compile(r"(fetch|watch|create|edit|cancel|load|sign|close|parse|safe)_?\w*")
_CALL: Final = re.compile(
    r"[\w.<>]+\(\) (missing \d+ required|takes |got (an unexpected keyword|multiple values))"
)


def is_programming_error(error: BaseException) -> bool:
    """Return whether an exception is a mistake in the reading code, whatever the answer was.

    Such mistakes are an unbound name, a missing attribute of an object of code, and a call with
    wrong arguments. An error caused by a number or a field of a message is not one.
    """
    if isinstance(error, NameError | ImportError | SyntaxError | NotImplementedError):
        return True
    if isinstance(error, AttributeError):
        of_code = not isinstance(error.obj, _DATA)
        return of_code or (error.obj is None and bool(_METHOD.fullmatch(error.name or "")))
    return isinstance(error, TypeError) and bool(_CALL.match(str(error)))


def error_place(error: BaseException) -> str:
    """Return the file and line at which an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"


class Unreadable(ValueError):
    """A value of a venue that is invalid; `name` is the name of the value."""

    def __init__(self, name: str, found: object, expected: str) -> None:
        super().__init__(f"{name}: found {repr(found)[:_SHOWN]}, expected {expected}")
        self.name = name


def read_number(
    value: Any, name: str, low: float = -LARGEST, high: float = LARGEST, expected: str = ""
) -> float:
    """Return a finite number from `low` to `high`; texts are read as numbers, booleans are not.

    Raises
    ------
    Unreadable
        If it is anything else; the error names `name`, what was found and what was expected.
    """
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if low <= number <= high:
            return number
    raise Unreadable(name, value, expected or f"a number from {low:g} to {high:g}")


def read_quantity(value: Any, name: str) -> float:
    """Return a quantity, zero or above; raises `Unreadable` for anything else, NaN included."""
    return read_number(value, name, 0.0, expected="a quantity")


def read_price(value: Any, name: str) -> float:
    """Return a price above zero; raises `Unreadable` for anything else, NaN included."""
    price = read_number(value, name, 0.0, DEAREST, "a price")
    if price == 0.0:
        raise Unreadable(name, value, "a price above zero")
    return price


def read_stamp_ns(value: Any, name: str, now_ns: int, unit_ns: int = 1_000_000) -> int:
    """Return a stamp in nanoseconds, never later than the local clock.

    A stamp up to a minute ahead counts as now: clocks differ, and later stamps must not be taken
    for older ones. A stamp further ahead is unreadable.
    """
    number = read_number(value, name, expected="a time")
    stamp_ns = (int(value) if isinstance(value, int) else int(number)) * unit_ns
    if not EARLIEST_NS <= stamp_ns <= now_ns + AHEAD_NS:
        raise Unreadable(name, value, f"a time up to now ({now_ns // unit_ns})")
    return min(stamp_ns, now_ns)


def read_id(value: Any, name: str) -> str:
    """Return the id of an order or an execution as text.

    Raises `Unreadable` for an empty, very long or unprintable text, and for a negative, infinite
    or NaN number.
    """
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not 0 < len(text) <= _LONGEST_ID or not text.isprintable() or _is_no_id(text):
        raise Unreadable(name, value, "an id")
    return text


def _is_no_id(text: str) -> bool:
    if text.lstrip("+-").lower() in _NO_ID:
        return True
    try:
        number = float(text) if len(text) <= _SHORT_ID or text[0] == "-" else 0.0
    except ValueError:
        return False
    return number < 0.0 or not math.isfinite(number)


def read_choice(value: Any, name: str, choices: Collection[str]) -> str:
    """Return a word that is one of `choices`; raises `Unreadable` for any other value."""
    if not isinstance(value, str) or value not in choices:
        raise Unreadable(name, value, f"one of {', '.join(sorted(choices))}")
    return value


# ---------------------------------------------------------------- whole events


def fault_of(event: Any, now_ns: int) -> str:
    """Return why an event of an adapter cannot be true; empty if it can. `now_ns` is wall time."""
    if type(event) is PrintSeen and _is_usual(event, now_ns):
        return ""
    if fault := _type_fault(event):
        return fault
    for name in _fields(type(event)):
        fault = _number_fault(getattr(event, name), name)
        if fault:
            return fault
    for name in ("venue_ns", "at_ns", "asked_ns"):
        ahead_ns = getattr(event, name, 0) - now_ns
        if ahead_ns > AHEAD_NS:
            return f"{name}: it is stamped {ahead_ns / 1e9:.0f} s ahead of the local clock"
    check = _CHECKS.get(type(event))
    try:
        return check(event, now_ns) if check is not None else ""
    except Unreadable as error:
        return str(error)


def _type_fault(event: Any) -> str:
    """Return the field of an event with a wrong type, or with a word that the field does not have.

    An event that passes can be written to a journal and read again.
    """
    if not isinstance(event, msgspec.Struct):
        return f"{type(event).__name__}: no event"
    try:
        msgspec.convert(msgspec.to_builtins(event), type(event))
    except (msgspec.ValidationError, TypeError, OverflowError) as error:
        return f"{type(event).__name__}: {error}"
    return ""


def with_readable_fee(event: Any) -> Any:
    """Return an event unchanged, or an execution without its fee if the fee cannot be read."""
    if type(event) is not m.Filled or event.fee_unread:
        return event
    fault = _fee_fault(event.fee, "fee")
    if not fault and event.fee_quote is not None:
        fault = _fee_fault(event.fee_quote, "fee_quote")
    fault = fault or ("" if _is_code(event.fee_currency) else f"fee of {event.fee_currency!r}")
    if not fault:
        return event
    return msgspec.structs.replace(
        event, fee=0.0, fee_currency="", fee_quote=None, fee_unread=fault[:_SHOWN]
    )


def _fee_fault(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{name}: {value!r} is no number"
    return _number_fault(value, name)


def _is_code(currency: Any) -> bool:
    """Return whether a text can be a currency code; an empty text means that there is none."""
    return (
        isinstance(currency, str)
        and len(currency) <= _LONGEST_CODE
        and currency.isprintable()
        and currency.isascii()
    )


def market_fault(market: Market) -> str:
    """Return why the facts of a venue about a symbol cannot be true; empty if they can."""
    try:
        for name in ("lot", "tick", "min_notional", "min_quantity", "max_quantity", "precision"):
            read_quantity(getattr(market, name), name)
    except Unreadable as error:
        return str(error)
    return "" if market.lot > 0.0 and market.precision > 0.0 else "lot: none"


def bar_fault(bar: BarSeen, now_ns: int, bar_ns: int) -> str:
    """Return why a bar cannot be true; empty if it can. `now_ns` is market time.

    Values that are not numbers, below zero or out of order are handled by the file's policies.
    """
    if fault := _type_fault(bar):
        return fault
    if not 0 <= bar.open_ns <= now_ns + bar_ns:
        return f"a bar that opens {(bar.open_ns - now_ns) / 1e9:.0f} s ahead of the local clock"
    for name in ("open", "high", "low", "close"):
        if DEAREST < getattr(bar, name) < math.inf:
            return f"{name}: {getattr(bar, name):g}"
    return f"volume: {bar.volume:g}" if LARGEST < bar.volume < math.inf else ""


def _is_usual(event: PrintSeen, now_ns: int) -> bool:
    """Whether a public trade is obviously valid, a fast check: there may be thousands a second."""
    if not (type(event.symbol) is type(event.trade_id) is str and type(event.venue_ns) is int):
        return False
    if not (isinstance(event.price, float) and isinstance(event.quantity, float)):
        return False
    sized = 0.0 < event.price <= DEAREST and 0.0 <= event.quantity <= LARGEST
    return sized and 0 <= event.venue_ns <= now_ns + AHEAD_NS


def _fields(kind: type[Any]) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(kind, "__struct_fields__", ())
    return names


def _number_fault(value: Any, name: str) -> str:
    """Return the fault of a number or a text in a value or a collection; empty without one."""
    if isinstance(value, float):
        return "" if abs(value) <= LARGEST else f"{name}: {value} is no number"
    if isinstance(value, int):
        return "" if abs(value) < 1 << 63 else f"{name}: a number of {value.bit_length()} bits"
    if isinstance(value, str):
        return "" if value.isascii() or not _HALF.search(value) else f"{name}: half a character"
    if isinstance(value, msgspec.Struct):
        inner = ((each, getattr(value, each)) for each in _fields(type(value)))
    elif isinstance(value, dict):
        inner = ((f"{name} of {key}", each) for key, each in value.items())
    elif isinstance(value, (tuple, list)):
        inner = ((name, each) for each in value)
    else:
        return ""
    return next((fault for key, each in inner if (fault := _number_fault(each, key))), "")


def _order(event: m.OrderSeen | m.Acked, now_ns: int) -> str:
    quantity = 0.0 if event.quantity is None else read_quantity(event.quantity, "quantity")
    filled = read_quantity(event.filled, "filled")
    for name in ("price", "average_price"):
        price = getattr(event, name, None)
        if price is not None:
            read_number(price, name, 0.0, DEAREST, "a price")
    if quantity and filled > quantity * _ROUNDED:
        return f"filled: {filled:.12g} of {quantity:.12g}"
    return ""


def _filled(event: m.Filled, now_ns: int) -> str:
    if not read_quantity(event.quantity, "quantity"):
        return "quantity: an execution of nothing"
    read_price(event.price, "price")
    read_id(event.trade_id, "trade id")
    return ""


def _open_orders(event: m.OpenOrders, now_ns: int) -> str:
    return next((fault for each in event.orders if (fault := _order(each, now_ns))), "")


def _holdings(event: m.Holdings, now_ns: int) -> str:
    for code, (free, locked) in event.balances.items():
        read_quantity(free, f"free {code}")
        read_quantity(locked, f"locked {code}")
    return ""


def _filters(event: m.FiltersChanged, now_ns: int) -> str:
    if not read_quantity(event.lot, "lot"):
        return "lot: none"
    read_quantity(event.tick, "tick")
    read_quantity(event.min_notional, "minimum notional")
    for name in ("min_quantity", "max_quantity"):
        if getattr(event, name) is not None:
            read_quantity(getattr(event, name), name)
    return ""


def _skew(event: m.Skewed, now_ns: int) -> str:
    if abs(event.skew_ns) > SKEW_NS:
        return f"the clocks are {event.skew_ns / 1e9:.0f} s apart: that is no clock"
    return ""


def _quote(event: QuoteSeen, now_ns: int) -> str:
    prices = (event.bid, event.ask, *(price for price, _ in (*event.bids, *event.asks)))
    sizes = (event.bid_quantity, event.ask_quantity)
    for price in prices:
        read_price(price, "price")
    for size in (*sizes, *(each for _, each in (*event.bids, *event.asks))):
        read_quantity(size, "quantity")
    return ""


def _print(event: PrintSeen, now_ns: int) -> str:
    read_price(event.price, "price")
    read_quantity(event.quantity, "quantity")
    return ""


_CHECKS: Final[dict[type[Any], Callable[[Any, int], str]]] = {
    m.Acked: _order, m.OrderSeen: _order, m.Filled: _filled, m.OpenOrders: _open_orders,
    m.Holdings: _holdings, m.FiltersChanged: _filters, m.Skewed: _skew, QuoteSeen: _quote,
    PrintSeen: _print,
}  # fmt: skip


class Notices:
    """Reports unreadable values: each kind at once, then once a minute while it continues."""

    def __init__(self, clock: Clock, sink: Callable[[Any], None], venue: str = "") -> None:
        self._clock, self._sink, self._venue = clock, sink, venue
        self._reported: dict[tuple[str, str], int] = {}
        self._repeats: dict[tuple[str, str], int] = {}

    def notify(
        self, about: m.About, error: object, *, symbol: int = -1, client_id: str = ""
    ) -> None:  # fmt: skip
        """Report a value of one kind, unless one was reported recently."""
        name = error.name if isinstance(error, Unreadable) else type(error).__name__
        key, now = (about, name), self._clock.now_ns()
        if now - self._reported.get(key, -EVERY_NS) < EVERY_NS:
            self._repeats[key] = self._repeats.get(key, 0) + 1
            return
        repeats = self._repeats.pop(key, 0)
        self._reported[key] = now
        wrapped = isinstance(error, BaseException) and not isinstance(error, Unreadable)
        text = f"{type(error).__name__}: {error}" if wrapped else str(error)
        if isinstance(error, BaseException) and is_programming_error(error):
            place = error_place(error)
            text = f"a programming error of the adapter, no value of the venue: {text} ({place})"
        text += f" (and {repeats} more of the kind since)" if repeats else ""
        self._sink(
            m.Unreadable(
                at_ns=now, venue=self._venue, about=about, text=text[:400], symbol=symbol,
                client_id=client_id,
            )
        )  # fmt: skip
