"""`calendar:` with a name for each symbol is read wherever one name is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet._config import load
from septet._data.day_calendars import day_calendar, written_calendars
from septet._live.journal_head import facts_of
from septet.errors import ConfigError
from tests.schemas.leaf_cases import CASES, MODEL, PLAIN

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


def test_no_leaf_breaks_beside_a_mapped_calendar(tmp_path: Path) -> None:
    """Every other key of a file, changed, beside a calendar for each symbol: read, or refused."""
    mapped = "data.candles.calendar={A/USDT: 24x7, B/USDT: XFX}"
    read = 0
    for name, text in (("plain", PLAIN), ("model", MODEL)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        for case in CASES.values():
            if case.file != name:
                continue
            sets = [*case.base, case.change, mapped]
            with suppress(ConfigError):
                read += load(path, sets=sets, mode=case.mode, unchecked=True) is not None
    assert read > 100


@pytest.mark.parametrize(
    ("names", "days"),
    [
        (["XNYS", "24x7", "XNYS"], "24x7"), (["XNYS", "XFX"], "XFX"), (["XNYS", "XHKG"], "XNYS"),
        (["XNYS"], "XNYS"), ([], "24x7"),
    ],
)  # fmt: skip
def test_the_calendar_with_the_most_days_counts_them(names: list[str], days: str) -> None:
    assert day_calendar(names) == days


@pytest.mark.parametrize(
    ("calendars", "days_a_year", "sessions"),
    [
        ("{BTC/USD: 24x7, AAA/USD: XNYS, BBB/USD: XNYS}", 365.0, False),
        ("{BTC/USD: XNYS, AAA/USD: 24x7, BBB/USD: XNYS}", 365.0, False),
        ("{BTC/USD: XFX, AAA/USD: XNYS, BBB/USD: XNYS}", 260.0, True),
        ("XNYS", 252.0, True),
    ],
)
def test_a_journal_holds_the_days_of_its_universe(
    calendars: str, days_a_year: float, sessions: bool
) -> None:
    path = Path(__file__).parent / "valid" / "mapped-calendar.yaml"
    loaded = load(path, sets=[f"data.candles.calendar={calendars}"], unchecked=True)
    build: Any = SimpleNamespace(features=(), instruments=())
    facts = facts_of(loaded, build, terms={}, tag="sabcdefg", market_ns=0)
    assert (facts["days_a_year"], facts["sessions"]) == (days_a_year, sessions)
