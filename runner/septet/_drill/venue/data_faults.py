"""Faults of the market data: messages dropped, repeated, late, absurd."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from septet._drill.venue.amounts import SCALE, text
from septet._drill.venue.false_values import in_future
from septet._drill.venue.faults import Injector, PlannedFault
from septet._drill.venue.market import Market
from septet._drill.venue.streams import MarketStreams

__all__ = ["DataFaults"]

Body = dict[str, Any]


class DataFaults:
    """Changes messages between the market and its subscribers, as faults require."""

    def __init__(self, faults: Injector, market: Market, streams: MarketStreams) -> None:
        self._faults = faults
        self._market = market
        self._streams = streams
        self._waiting: list[tuple[PlannedFault, dict[str, int]]] = []
        self._muted: dict[str, tuple[int, str]] = {}
        self._late: list[tuple[str, str, Body]] = []

    def expect(self, planned: PlannedFault) -> None:
        """Arm a fault for the next messages that it changes."""
        self._waiting.append((planned, {}))

    def mute(self, planned: PlannedFault) -> None:
        """Drop bars for a while; without `rest` they are also missing from REST answers."""
        market, symbol = self._market, planned.fault.symbol
        count = int(planned.number_of("bars", 1))
        for name in [symbol] if symbol else list(market.prices):
            self._muted[name] = (market.bar + count, planned.word_of("streams", "kline"))
            if not planned.flag_of("rest", default=True):
                for bar in range(market.bar, market.bar + count):
                    market.hidden.add((name, market.origin_ns + bar * market.bar_ns))

    def bend(self, kind: str, symbol: str, body: Body) -> list[Body]:
        """Return what subscribers receive in place of a message."""
        if self._faults.lasting("E24", symbol) is not None:
            return []
        until, streams = self._muted.get(symbol, (0, ""))
        if self._market.bar < until and (streams == "all" or kind.startswith("kline")):
            return []
        out = [body, *self._overdue(kind, symbol)]
        for planned, done in list(self._waiting):
            if planned.fault.symbol not in {"", symbol}:
                continue
            match planned.fault.code:
                case "D1" if kind in {"depth", "depth@100ms"}:
                    out = self._break_book(planned, symbol, body)
                    self._waiting.remove((planned, done))
                case "D2" if kind.startswith("kline"):
                    out = self._repeat_bar(planned, done, kind, symbol, body, out)
                case "D4" if not kind.startswith("depth"):
                    out = self._absurd(planned, done, kind, out)
                case "A5" if kind in {"bookTicker", "trade"} and out:
                    out = self._ahead(planned, done, kind, out)
                case _:
                    pass
        burst = self._faults.lasting("D6", symbol)
        if burst is not None:
            out = _many(out, int(burst.number_of("factor", 50)))
        return out

    def _overdue(self, kind: str, symbol: str) -> list[Body]:
        found = [body for k, s, body in self._late if (k, s) == (kind, symbol)]
        self._late = [each for each in self._late if each[:2] != (kind, symbol)]
        return found

    def _break_book(self, planned: PlannedFault, symbol: str, body: Body) -> list[Body]:
        if planned.word_of("kind", "gap") == "gap":
            return []
        ask = next(iter(self._market.engine.books[symbol].asks), 0)
        crossed = copy.deepcopy(body)
        crossed["b"].append([text(ask * 101 // 100), text(SCALE)])
        return [crossed]

    def _repeat_bar(
        self, planned: PlannedFault, done: dict[str, int], kind: str, symbol: str, body: Body,
        out: list[Body],
    ) -> list[Body]:  # fmt: skip
        """Repeat a closed bar, hold it back until the next message, or show it open again."""
        if not body["k"]["x"]:
            return out
        self._waiting.remove((planned, done))
        match planned.word_of("kind", "duplicate"):
            case "late":
                self._late.append((kind, symbol, body))
                return []
            case "unclosed":
                again = copy.deepcopy(body)
                again["k"]["x"] = False
                return [*out, again]
            case _:
                return [*out, body]

    def _absurd(
        self, planned: PlannedFault, done: dict[str, int], kind: str, out: list[Body]
    ) -> list[Body]:  # fmt: skip
        """Multiply prices for some messages; a closed bar stays right unless asked for."""
        where = planned.fault.parameters.get("where", ["trade", "aggTrade", "kline", "bookTicker"])
        word = kind.partition("_")[0]
        closed = word == "kline" and bool(out) and out[0]["k"]["x"]
        if (
            not out
            or word not in where
            or (closed and not planned.flag_of("closed", default=False))
        ):
            return out
        done[word] = done.get(word, 0) + 1
        most = int(planned.number_of("messages", 1))
        if done[word] >= most and (done.keys() >= set(where) & self._received()):
            self._waiting.remove((planned, done))
        if done[word] > most:
            return out
        factor = Decimal(repr(planned.number_of("factor", 10.0)))
        absurd = copy.deepcopy(out[0])
        inner, names = (absurd["k"], "hc") if word == "kline" else (absurd, "pba")
        for name in names:
            if isinstance(inner.get(name), str):
                inner[name] = format(Decimal(inner[name]) * factor, "f")
        return [absurd, *out[1:]]

    def _ahead(
        self, planned: PlannedFault, done: dict[str, int], kind: str, out: list[Body]
    ) -> list[Body]:  # fmt: skip
        """Stamp some messages of each kind in the future."""
        done[kind] = done.get(kind, 0) + 1
        most = int(planned.number_of("messages", 1))
        wanted = {"bookTicker", "trade"} & self._received()
        if all(done.get(name, 0) >= most for name in wanted):
            self._waiting.remove((planned, done))
        if done[kind] > most:
            return out
        now_ms = self._market.clock.wall_ns() // 10**6
        return [in_future({"E": now_ms, **out[0]}, planned), *out[1:]]

    def _received(self) -> set[str]:
        """Return the kinds of streams that have subscribers."""
        return {
            name.partition("@")[2].partition("_")[0] for name in self._streams.all_streams()
        }  # fmt: skip


def _many(out: list[Body], factor: int) -> list[Body]:
    """Repeat messages; trades get numbers of their own."""
    found = []
    for body in out:
        found.append(body)
        for extra in range(1, factor):
            if body.get("e") in {"trade", "aggTrade"}:
                name = "t" if body["e"] == "trade" else "a"
                found.append({**body, name: body[name] + extra * 10**9})
            elif body.get("e") == "kline" and not body["k"]["x"]:
                found.append(body)
    return found
