"""Markets of the exchange, and rounding that never makes an order worse than requested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from septet.errors import RunError
from septet.plugin.live import Market, Unreadable, read_quantity

__all__ = [
    "ids_of",
    "lot_of",
    "market_of",
    "markets_of",
    "plain",
    "price_step",
    "round_price",
    "round_quantity",
]

_NOISE: Final = Decimal("1e-6")
"""Share of a step within which a value counts as a multiple in spite of binary rounding."""
_DEFAULT_LOT: Final = Decimal("1e-8")
_FINEST_TICK: Final = Decimal("1e-8")
"""Smallest tick of prices with significant digits: such exchanges cut a price at eight decimals."""


def ids_of(client: Any, symbols: Iterable[str]) -> dict[str, str]:
    """Return the symbol of each market id of the exchange that only one symbol has."""
    ids = [(str(client.markets[symbol]["id"]), symbol) for symbol in symbols]
    counts = Counter(name for name, _ in ids)
    return {name: symbol for name, symbol in ids if counts[name] == 1}


def _step(client: Any, value: Any, default: Decimal) -> Decimal:
    import ccxt

    if value is None:
        return default
    if client.precisionMode == ccxt.DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(value))
    return Decimal(repr(float(value))) if client.precisionMode == ccxt.TICK_SIZE else default


def price_step(client: Any, market: Mapping[str, Any], price: float) -> Decimal:
    """Return the tick at a price; 0 means none. With significant digits it depends on the price."""
    import ccxt

    value = (market.get("precision") or {}).get("price")
    if client.precisionMode == ccxt.SIGNIFICANT_DIGITS and value is not None and price > 0.0:
        step = Decimal(1).scaleb(Decimal(repr(price)).adjusted() + 1 - int(value))
        return max(step, _FINEST_TICK)
    return _step(client, value, Decimal(0))


def lot_of(client: Any, market: Mapping[str, Any]) -> Decimal:
    """Return the step of quantities.

    Where prices have significant digits the lot is in decimals.
    """
    import ccxt

    value = (market.get("precision") or {}).get("amount")
    if client.precisionMode == ccxt.SIGNIFICANT_DIGITS and value is not None:
        return Decimal(1).scaleb(-int(value))
    return _step(client, value, _DEFAULT_LOT)


_COMPLETE_MARKETS: Final = frozenset({"binance", "binanceus", "bybit", "kraken", "okx"})
"""Exchanges that give lot and tick of every symbol; an answer without them is incomplete."""


def _require_steps(client: Any, market: Mapping[str, Any]) -> None:
    """Reject a symbol without a lot or a tick if the exchange gives them for the others.

    A step of zero counts as missing: the client cannot build an order with it, so that no stop
    could be placed.
    """
    import ccxt

    for name, step_name in (("amount", "lot"), ("price", "tick")):
        value = (market.get("precision") or {}).get(name)
        if value is not None:
            if client.precisionMode == ccxt.TICK_SIZE and not float(value) > 0.0:
                raise Unreadable(step_name, value, "a step above zero")
            continue
        has_others = any(
            (each.get("precision") or {}).get(name) for each in client.markets.values()
        )
        if has_others or client.id in _COMPLETE_MARKETS:
            raise Unreadable(step_name, None, "a step, as the exchange gives it for every symbol")


def market_of(client: Any, symbol: str) -> Market:
    """Return the exchange's filters of a symbol.

    Raises
    ------
    Unreadable
        If one of its numbers is impossible.
    """
    market = client.markets[symbol]
    _require_steps(client, market)
    limits = market.get("limits") or {}
    amounts = (limits.get("amount") or {}, limits.get("market") or {})
    least = [read_quantity(each.get("min") or 0.0, "minimum quantity") for each in amounts]
    most = [read_quantity(each.get("max") or 0.0, "maximum quantity") for each in amounts]
    try:
        lot = read_quantity(float(lot_of(client, market)), "lot")
        tick = float(_step(client, (market.get("precision") or {}).get("price"), Decimal(0)))
    except ArithmeticError as error:
        raise Unreadable("lot or tick", market.get("precision"), "numbers") from error
    if not lot:
        raise Unreadable("lot", lot, "a quantity above zero")
    return Market(
        symbol=symbol,
        base=str(market["base"]),
        quote=str(market["quote"]),
        lot=lot,
        tick=read_quantity(tick, "tick"),
        min_notional=read_quantity((limits.get("cost") or {}).get("min") or 0.0, "minimum cost"),
        min_quantity=max(least),
        max_quantity=min((each for each in most if each > 0.0), default=0.0),
        precision=min(1e-8, lot),
        trading=market.get("active") is not False,
    )


def markets_of(client: Any, symbols: Iterable[str]) -> dict[str, Market]:
    """Return the filters of symbols from a client that was just opened.

    Raises
    ------
    RunError
        If they cannot be read.
    """
    try:
        return {symbol: market_of(client, symbol) for symbol in symbols}
    except (ValueError, TypeError, ArithmeticError) as error:
        raise RunError(
            f"what {client.id} reports of its markets cannot be read: {error}",
            hint="nothing was sent and nothing is assumed; start again",
        ) from None


def _round(value: float, step: Decimal, how: str) -> Decimal:
    exact = Decimal(repr(float(value)))
    if step <= 0:
        return exact
    steps = exact / step
    nearest = steps.to_integral_value()
    if abs(steps - nearest) > _NOISE:
        nearest = steps.to_integral_value(rounding=how)
    return nearest * step


def round_quantity(quantity: float, lot: Decimal) -> Decimal:
    """Round down to the lot: never more than requested."""
    return _round(quantity, lot, ROUND_FLOOR)


def round_price(price: float, tick: Decimal, *, up: bool) -> Decimal:
    """Round to the tick, up or down.

    A price that differs from a tick only by rounding noise stays there.
    """
    return _round(price, tick, ROUND_CEILING if up else ROUND_FLOOR)


def plain(value: Decimal) -> str:
    """Format a number without an exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
