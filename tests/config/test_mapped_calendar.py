"""`calendar:` with a name for each symbol is read wherever one name is."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._data.day_calendars import day_calendar, written_calendars
from septet.errors import ConfigError

ROOT = Path(__file__).parents[2]
FILES = [*(ROOT / "strategies").glob("*.yaml"), *Path(__file__).parent.glob("valid/*.yaml")]


@pytest.mark.parametrize("path", sorted(FILES), ids=lambda path: path.stem)
def test_no_file_breaks_on_a_mapped_calendar(path: Path) -> None:
    try:
        symbols = load(path, unchecked=True).strategy.universe.symbols
        names = [f"{each}: {'XFX' if k % 2 else '24x7'}" for k, each in enumerate(symbols)]
        mapped = f"data.candles.calendar={{{', '.join(names)}}}"
        loaded = load(path, sets=[mapped], unchecked=True)
    except ConfigError:  # refused in words: its candles know no calendar, or it needs a venue
        return
    expected = tuple("XFX" if k % 2 else "24x7" for k in range(len(symbols)))
    assert written_calendars(loaded.strategy) == expected


@pytest.mark.parametrize(
    ("names", "days"),
    [
        (["XNYS", "24x7", "XNYS"], "24x7"), (["XNYS", "XFX"], "XFX"), (["XNYS", "XHKG"], "XNYS"),
        (["XNYS"], "XNYS"), ([], "24x7"),
    ],
)  # fmt: skip
def test_the_calendar_with_the_most_days_counts_them(names: list[str], days: str) -> None:
    assert day_calendar(names) == days
