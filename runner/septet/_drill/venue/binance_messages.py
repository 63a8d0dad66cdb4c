"""The JSON bodies and events of Binance spot that the venue sends."""

from __future__ import annotations

from typing import Any

from septet._drill.venue.amounts import SCALE, text
from septet._drill.venue.engine import Report
from septet._drill.venue.ledger import Ledger
from septet._drill.venue.orders import Fill, Order, Rules
from septet._drill.venue.symbol_prices import Kline

__all__ = [
    "ORDER_TYPES", "ack", "balance_update", "cancelled", "exchange_symbol", "execution_report",
    "kline_event", "kline_row", "my_trade", "order_body", "position_event",
]  # fmt: skip

ORDER_TYPES = [
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
]  # fmt: skip
_ZERO = text(0)
Body = dict[str, Any]


def exchange_symbol(rules: Rules) -> Body:
    """Return a symbol's entry in exchangeInfo."""
    return {
        "symbol": rules.symbol, "status": "TRADING" if rules.trading else "BREAK",
        "baseAsset": rules.base, "baseAssetPrecision": 8, "quoteAsset": rules.quote,
        "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8, "orderTypes": ORDER_TYPES, "icebergAllowed": False,
        "ocoAllowed": False, "otoAllowed": False, "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False, "cancelReplaceAllowed": True, "amendAllowed": False,
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": text(rules.tick),
             "maxPrice": "1000000000.00000000", "tickSize": text(rules.tick)},
            {"filterType": "LOT_SIZE", "minQty": text(rules.min_quantity),
             "maxQty": text(rules.max_quantity), "stepSize": text(rules.lot)},
            {"filterType": "MARKET_LOT_SIZE", "minQty": _ZERO,
             "maxQty": text(rules.market_max_quantity), "stepSize": _ZERO},
            {"filterType": "PERCENT_PRICE", "multiplierUp": text(rules.percent_up),
             "multiplierDown": text(rules.percent_down), "avgPriceMins": 5},
            {"filterType": "NOTIONAL", "minNotional": text(rules.min_notional),
             "applyMinToMarket": True, "maxNotional": "9000000.00000000",
             "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [], "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE", "allowedSelfTradePreventionModes": ["NONE"],
    }  # fmt: skip


def order_body(order: Order, state: tuple[str, int, int] | None = None) -> Body:
    """Return an order as queries show it; `state` is (status, executed, quote) of another time."""
    asked = order.asked
    status, executed, quote = state or (order.status, order.executed, order.quote_executed)
    return {
        "symbol": asked.symbol, "orderId": order.order_id, "orderListId": -1,
        "clientOrderId": asked.client_id, "price": text(asked.price),
        "origQty": text(order.quantity), "executedQty": text(executed),
        "cummulativeQuoteQty": text(quote), "status": status, "timeInForce": asked.tif,
        "type": asked.type, "side": asked.side, "stopPrice": text(asked.stop),
        "icebergQty": _ZERO, "time": order.created_ms, "updateTime": order.updated_ms,
        "isWorking": order.triggered, "workingTime": order.created_ms,
        "origQuoteOrderQty": text(asked.quote_quantity), "selfTradePreventionMode": "NONE",
    }  # fmt: skip


def ack(order: Order, kind: str, now_ms: int) -> Body:
    """Return the answer to a new order: ``ACK``, ``RESULT`` or ``FULL``."""
    asked = order.asked
    body: Body = {
        "symbol": asked.symbol, "orderId": order.order_id, "orderListId": -1,
        "clientOrderId": asked.client_id, "transactTime": now_ms,
    }  # fmt: skip
    if kind == "ACK":
        return body
    body.update(
        price=text(asked.price), origQty=text(order.quantity), executedQty=text(order.executed),
        origQuoteOrderQty=text(asked.quote_quantity),
        cummulativeQuoteQty=text(order.quote_executed), status=order.status,
        timeInForce=asked.tif, type=asked.type, side=asked.side, workingTime=now_ms,
        selfTradePreventionMode="NONE",
    )  # fmt: skip
    if asked.stop:
        body["stopPrice"] = text(asked.stop)
    if kind == "FULL":
        body["fills"] = [
            {"price": text(f.price), "qty": text(f.quantity), "commission": text(f.fee),
             "commissionAsset": f.fee_asset, "tradeId": f.trade_id}
            for f in order.fills
        ]  # fmt: skip
    return body


def cancelled(order: Order, cancel_id: str, now_ms: int) -> Body:
    """Return the answer to a cancel."""
    asked = order.asked
    return {
        "symbol": asked.symbol, "origClientOrderId": asked.client_id, "orderId": order.order_id,
        "orderListId": -1, "clientOrderId": cancel_id, "transactTime": now_ms,
        "price": text(asked.price), "origQty": text(order.quantity),
        "executedQty": text(order.executed), "origQuoteOrderQty": text(asked.quote_quantity),
        "cummulativeQuoteQty": text(order.quote_executed), "status": order.status,
        "timeInForce": asked.tif, "type": asked.type, "side": asked.side,
        "selfTradePreventionMode": "NONE",
    }  # fmt: skip


def my_trade(fill: Fill) -> Body:
    """Return an execution as myTrades shows it."""
    return {
        "symbol": fill.symbol, "id": fill.trade_id, "orderId": fill.order_id, "orderListId": -1,
        "price": text(fill.price), "qty": text(fill.quantity), "quoteQty": text(fill.quote),
        "commission": text(fill.fee), "commissionAsset": fill.fee_asset, "time": fill.at_ms,
        "isBuyer": fill.buys, "isMaker": fill.maker, "isBestMatch": True,
    }  # fmt: skip


def execution_report(report: Report) -> Body:
    """Return the event of an order's change."""
    order, fill = report.order, report.fill
    assert order is not None, "a transfer has no execution report"
    asked = order.asked
    cancel = report.execution == "CANCELED"
    return {
        "e": "executionReport", "E": report.at_ms, "s": asked.symbol,
        "c": (report.cancel_id or f"venue{order.order_id}") if cancel else asked.client_id,
        "S": asked.side, "o": asked.type, "f": asked.tif, "q": text(order.quantity),
        "p": text(asked.price), "P": text(asked.stop), "F": _ZERO, "g": -1,
        "C": asked.client_id if cancel else "", "x": report.execution, "X": order.status,
        "r": order.reason if order.status == "REJECTED" else "NONE", "i": order.order_id,
        "l": text(fill.quantity if fill else 0), "z": text(order.executed),
        "L": text(fill.price if fill else 0), "n": text(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None, "T": report.at_ms,
        "t": fill.trade_id if fill else -1, "I": order.order_id * 2,
        "w": order.status in {"NEW", "PARTIALLY_FILLED"}, "m": bool(fill and fill.maker),
        "M": False, "O": order.created_ms, "Z": text(order.quote_executed),
        "Y": text(fill.quote if fill else 0), "Q": text(asked.quote_quantity),
        "W": order.created_ms, "V": "NONE",
    }  # fmt: skip


def position_event(ledger: Ledger, assets: tuple[str, ...], now_ms: int) -> Body:
    """Return the event of balances that changed."""
    return {
        "e": "outboundAccountPosition", "E": now_ms, "u": now_ms,
        "B": [
            {"a": a, "f": text(ledger.free[a]), "l": text(ledger.locked[a])} for a in assets
        ],
    }  # fmt: skip


def balance_update(asset: str, delta: int, now_ms: int) -> Body:
    """Return the event of a deposit or a withdrawal."""
    return {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": text(delta), "T": now_ms}


def kline_row(kline: Kline, bar_ns: int) -> list[str | int]:
    """Return a bar as the REST list shows it."""
    start = kline.open_ns // 10**6
    return [
        start, kline.open, kline.high, kline.low, kline.close, kline.volume,
        start + bar_ns // 10**6 - 1, kline.quote_volume, kline.trades, kline.taker_volume,
        kline.taker_quote_volume, "0",
    ]  # fmt: skip


def kline_event(
    symbol: str, kline: Kline, bar_ns: int, word: str, now_ms: int, *, closed: bool
) -> Body:  # fmt: skip
    """Return a bar as the stream shows it."""
    start = kline.open_ns // 10**6
    return {
        "e": "kline", "E": now_ms, "s": symbol,
        "k": {
            "t": start, "T": start + bar_ns // 10**6 - 1, "s": symbol, "i": word, "f": 0, "L": 0,
            "o": kline.open, "c": kline.close, "h": kline.high, "l": kline.low,
            "v": kline.volume, "n": kline.trades, "x": closed, "q": kline.quote_volume,
            "V": kline.taker_volume, "Q": kline.taker_quote_volume, "B": "0",
        },
    }  # fmt: skip


assert SCALE == 10**8, "the texts here are written with eight decimals"
