"""Text tables of bars for tests: their lines, and what is read of them or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from septet._data.load import read_candles
from septet._data.normalise import Normalised
from septet.errors import DataError
from tests.data.helpers import block, request

__all__ = ["COUNT", "HEAD", "START", "hours", "prices", "read", "refused", "table", "text"]

START = datetime(2024, 1, 1, tzinfo=UTC)
HEAD = "timestamp,open,high,low,close,volume"
COUNT = 120


def hours(form: str = "%Y-%m-%d %H:%M:%S", *, every: int = 1) -> list[str]:
    """Return times an hour apart, or several."""
    return [(START + timedelta(hours=every * at)).strftime(form) for at in range(COUNT)]


def prices(at: int) -> tuple[float, float, float, float, int]:
    """Return open, high, low, close and volume of a bar."""
    return 100.0 + at / 8, 100.5 + at / 8, 99.5 + at / 8, 100.25 + at / 8, 10 + at


def table(times: list[str], head: str = HEAD, sign: str = ",", form: str = "{:.4f}") -> list[str]:
    """Return the lines of a table of bars."""
    cells = [
        [time, *(form.format(price) for price in prices(at)[:4]), str(prices(at)[4])]
        for at, time in enumerate(times)
    ]
    return [head.replace(",", sign), *(sign.join(row) for row in cells)]


def read(
    base: Path, data: str | bytes, bar: str = "1h", symbols: tuple[str, ...] = ("X/USD",),
    keys: dict[str, Any] | None = None, name: str = "x.csv", **config: Any,
) -> Normalised:  # fmt: skip
    """Read the bars of a file with these contents."""
    data = data.encode() if isinstance(data, str) else data
    (base / name).write_bytes(data)
    made = block(
        "candles", "csv", {"stamp": "open", "time_zone": "UTC", **(keys or {})}, path=name, **config
    )
    return read_candles(made, request(bar, *symbols, base=base))[0][1]


def refused(base: Path, data: str | bytes, bar: str = "1h", **more: Any) -> tuple[str, str]:
    """Return the message and the hint about a file that is refused."""
    with pytest.raises(DataError) as caught:
        read(base, data, bar, **more)
    return caught.value.message, caught.value.hint or ""


def text(lines: list[str], end: str = "\n") -> str:
    """Put lines together."""
    return end.join(lines) + end
