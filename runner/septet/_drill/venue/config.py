"""Configuration of a local venue: symbols and bars, balances, limits, and faults to inject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from septet.errors import InputError

__all__ = [
    "Bars",
    "Fault",
    "Fees",
    "Limits",
    "SymbolConfig",
    "Synthetic",
    "VenueConfig",
    "interval",
]

_INTERVALS = {
    1: "1s", 60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 7200: "2h",
    14400: "4h", 21600: "6h", 28800: "8h", 43200: "12h", 86400: "1d", 259200: "3d", 604800: "1w",
}  # fmt: skip


def interval(bar_ns: int) -> str:
    """Return the venue's name of a bar length; InputError if it has none."""
    word = _INTERVALS.get(bar_ns // 10**9)
    if word is None or bar_ns % 10**9:
        raise InputError(
            f"the local venue has no bars of {bar_ns / 1e9:g} s, it has {list(_INTERVALS.values())}"
        )
    return word


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of a symbol, equally long lists in order; a bar that is left out is a gap."""

    open_ns: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class Synthetic(msgspec.Struct, frozen=True, kw_only=True):
    """Bars made from the venue's seed: a random walk with this move per bar."""

    count: int = 500
    start_ns: int = 1_700_000_000 * 10**9 // (3600 * 10**9) * (3600 * 10**9)
    price: float = 100.0
    move: float = 0.005
    volume: float = 50.0


class SymbolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A market: its filters (decimal texts) and its prices."""

    base: str
    quote: str = "USDT"
    tick: str = "0.01"
    lot: str = "0.00001"
    min_quantity: str = "0.00001"
    max_quantity: str = "9000000"
    market_max_quantity: str = "4000000"
    min_notional: str = "5"
    percent_up: str = "5"
    percent_down: str = "0.2"
    spread_ticks: int = 1
    levels: int = 20
    level_notional: str = "50000"
    bars: Bars | None = None
    bars_path: str = ""
    synthetic: Synthetic = Synthetic()

    @property
    def id(self) -> str:
        """The venue's name of the symbol."""
        return self.base + self.quote


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """Fee rates as decimal texts; `fee_currency` is ``received``, ``quote`` or an asset's name.

    A third asset costs `third_price` in the quote; if there is too little of it, the fee is
    paid in what is received.
    """

    maker: str = "0.001"
    taker: str = "0.001"
    fee_currency: str = "received"
    third_price: str = "600"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Request limits; 0 means none. After `ban_after` rejections in a minute comes a ban."""

    weight_per_minute: int = 0
    orders_per_10s: int = 0
    ban_after: int = 0
    ban_seconds: int = 120


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the fault plan.

    `code` is one that `septet._drill.venue.faults` lists. It is armed `at_ms` of wall time after
    it was given, and not before bar `at_bar` (counted from the venue's start). While armed it
    acts on a matching occasion with `probability`, `times` times at most (0: no bound). What
    lasts does so for `duration_ms`. `target` names the occasion, `symbol` (``BTCUSDT`` or
    ``BTC/USDT``) narrows it. `parameters` are listed in `septet._drill.venue.faults`.
    """

    code: str
    at_ms: float = 0.0
    at_bar: int = 0
    probability: float = 1.0
    times: int = 1
    duration_ms: float = 0.0
    target: str = ""
    symbol: str = ""
    parameters: dict[str, Any] = {}


class VenueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A local venue. `history` bars lie in the past at the start; the rest is replayed.

    A bar labelled `bar_ns` lasts `bar_wall_ns`; `paused` time moves only on request. Ports
    of 0 are chosen by the system; the admin port answers whatever the faults do.
    """

    symbols: list[SymbolConfig]
    bar_ns: int = 3600 * 10**9
    bar_wall_ns: int = 10**9
    history: int = 100
    ticks_per_bar: int = 20
    paused: bool = False
    seed: int = 0
    balances: dict[str, str] = msgspec.field(default_factory=lambda: {"USDT": "10000"})
    fees: Fees = Fees()
    participation: str = "1"
    limits: Limits = Limits()
    api_key: str = "k"
    secret: str = "s"  # noqa: S105 of a venue on this machine
    can_withdraw: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int = 0
    certificate: str = ""
    private_key: str = ""
    journal_path: str = ""
    faults: list[Fault] = []

    @classmethod
    def read(cls, path: Path) -> VenueConfig:
        """Read a configuration from a JSON file; InputError states what is wrong with it."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise InputError(f"{path}: the venue's configuration was not read: {error}") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError(f"{path}: no configuration of a local venue: {error}") from error
