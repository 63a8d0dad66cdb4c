"""Ids of the exchanges of ccxt, read from its folder without importing it."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic_core import PydanticCustomError

__all__ = ["exchange_ids", "known_exchange"]


def exchange_ids() -> frozenset[str]:
    """Return the ids of all exchanges of the installed ccxt; empty if it is not installed."""
    spec = find_spec("ccxt")
    return _modules_in(Path(spec.origin).parent) if spec and spec.origin else frozenset()


@cache
def _modules_in(folder: Path) -> frozenset[str]:
    return frozenset(each.stem for each in folder.glob("[a-z]*.py"))


def known_exchange(name: str) -> str:
    """Return `name` if ccxt has an exchange of that id, or is not installed.

    Raises
    ------
    PydanticCustomError
        With the closest ids.
    """
    ids = exchange_ids()
    if not ids or name in ids:
        return name
    folded = name.strip().lower()
    close = [folded] if folded in ids else difflib.get_close_matches(folded, sorted(ids), n=3)
    raise PydanticCustomError(
        "exchange",
        "ccxt knows no exchange of this id",
        {
            "expected": "the id of an exchange of ccxt, such as binance",
            "hint": f"did you mean {' or '.join(close)}?" if close else "",
        },
    )
