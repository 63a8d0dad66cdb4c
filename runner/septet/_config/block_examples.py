"""Writes the shortest block with the meaning of a single value where a block is expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from septet._config.tree import Node, Path

__all__ = ["shortest_block"]

_AMOUNT: Final = re.compile(r"[\d.]{1,12} ?(?:%|bps)")
_MONEY: Final = re.compile(r"\d{1,15}(?:\.\d{1,8})?")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,12}(?:/[A-Z0-9]{1,12}(?::[A-Z0-9]{1,12})?)?")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")
_EVERY: Final = re.compile(r"\d{1,5} ?(?:bars?|m|h|d|w|mo)")
_FILE: Final = re.compile(r"[\w./{}*-]{1,60}\.(csv|parquet|txt|csv\.gz)")
_RULE: Final = re.compile(r"[\w .()*/+<>=-]{1,60}")
_CALENDAR: Final = {
    "hourly": "1h", "daily": "1d", "weekly": "1w", "monthly": "1mo", "day": "1d", "week": "1w",
    "month": "1mo", "quarterly": "3mo", "yearly": "12mo",
}  # fmt: skip
_CANDLES: Final = "{use: sample}"


def shortest_block(path: Path, node: Node | None) -> str:
    """Return the block to write for the value at a path, such as ``rebalance: {every: 1w}``.

    The result is empty if no block follows from the value.
    """
    if node is None or node.kind == "map" or not path:
        return ""
    text = str(node.text or node.value or "").strip() if node.kind == "scalar" else ""
    maker = next((each for end, each in _BLOCKS.items() if path[-len(end) :] == end), None)
    if len(path) == 2 and path[0] == "features":
        maker = _feature
    if len(path) == 2 and path[0] == "data" and path[1] not in ("candles", "funding"):
        maker = _series
    return f"{path[-1]}: {maker(text)}" if maker is not None else ""


def _of(pattern: re.Pattern[str], form: str, usual: str) -> Callable[[str], str]:
    """Return a function that writes a form with the value if it fits, else with the default."""
    return lambda text: form.format(text if pattern.fullmatch(text) else usual)


def _rebalance(text: str) -> str:
    every = _CALENDAR.get(text.lower(), text)
    return f"{{every: {every if _EVERY.fullmatch(every) else '1w'}}}"


def _candles(text: str) -> str:
    file = _FILE.fullmatch(text)
    if file is None:
        return _CANDLES if text != "synthetic" else "{use: synthetic}"
    path = f'"{text}"' if set("{*") & set(text) else text
    use = "use: parquet" if file[1] == "parquet" else "use: csv, stamp: open"
    return f"{{{use}, path: {path}}}"


def _series(text: str) -> str:
    path = text if _FILE.fullmatch(text) and not set("{*") & set(text) else "values.csv"
    use = "parquet_series" if path.endswith(".parquet") else "csv_series"
    return f"{{use: {use}, path: {path}, known_after: 24h}}"


def _feature(text: str) -> str:
    return f"{{use: {text if _NAME.fullmatch(text) else 'sma'}, period: 20}}"


def _signal(text: str) -> str:
    rule = text if _RULE.fullmatch(text) and set("<>") & set(text) else "fast > slow"
    return f"{{use: rules, long_if: {rule}, exit_if: not ({rule})}}"


def _label(text: str) -> str:
    if text == "triple_barrier":
        return "{use: triple_barrier, take_profit: 2%, stop_loss: 1%, time_limit: 24 bars}"
    return "{use: direction, horizon: 3 bars}"


def _sizing(text: str) -> str:
    return _of(_AMOUNT, "{{use: fixed_fraction, fraction: {}}}", "10%")(text)


_Maker = Callable[[str], str]
_BLOCKS: Final[Mapping[tuple[Any, ...], _Maker]] = {
    ("account",): _of(_MONEY, "{{capital: {}, currency: USDT}}", "10000"),
    ("universe",): _of(_SYMBOL, "{{symbols: [{}], bar: 1h}}", "BTC/USDT"),
    ("data",): lambda text: f"{{candles: {_candles(text)}}}",
    ("data", "candles"): _candles,
    ("features",): lambda text: "{fast: {use: sma, period: 20}}",
    ("portfolio", "rebalance"): _rebalance,
    ("portfolio",): lambda text: "{use: top, by: momentum, long: 3, rebalance: {every: 1w}}",
    ("signal",): _signal,
    ("label",): _label,
    ("sizing",): _sizing,
    ("risk",): lambda text: f"{{sizing: {_sizing(text)}}}",
    ("risk", "rebalance"): _of(_AMOUNT, "{{band: {}}}", "20%"),
    ("limits",): _of(_AMOUNT, "{{position: {}}}", "50%"),
    ("stops",): _of(_AMOUNT, "{{stop_loss: {}}}", "3%"),
    ("halts",): _of(_AMOUNT, "{{drawdown: {{above: {}, then: flatten, resume: manual}}}}", "20%"),
    ("simulation",): _of(_AMOUNT, "{{fee: {}, slippage: 5bps}}", "10bps"),
    ("execution",): lambda text: "{simulation: {fee: 10bps, slippage: 5bps}}",
    ("perpetual",): _of(_MONEY, "{{leverage: {}}}", "2"),
}
"""The text to write for the value of a block, by the end of its path; longer ends come first."""
