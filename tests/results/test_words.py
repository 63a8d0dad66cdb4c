from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from septet._results import number_texts


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.123, "+12.3 %"), (-0.5, "-50.0 %"), (-0.0001, "0.0 %"), (0.0, "0.0 %"), (None, "n/a")],
)
def test_percent(value: float | None, expected: str) -> None:
    assert number_texts.percent(value, signed=True) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1234.5, "1,234.50 USDT"),
        (0.5, "0.50 USDT"),
        (0.00123, "0.0012 USDT"),
        (0.0, "0.00 USDT"),
        (math.nan, "n/a"),
        (math.inf, "n/a"),
    ],
)
def test_money(value: float, expected: str) -> None:
    assert number_texts.money(value, "USDT") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0421, "0.0421 s"), (90, "1.5 min"), (3600, "1 h"), (86_400 * 345.2, "345 d")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert number_texts.duration(seconds) == expected


def test_times_and_counts() -> None:
    assert number_texts.when(1_684_000_000_000_000_000) == "2023-05-13 17:46:40"
    assert number_texts.when(1_684_000_020_000_000_000) == "2023-05-13 17:47"
    assert number_texts.date(1_684_000_000_000_000_000) == "2023-05-13"
    assert number_texts.plural(1, "trade") == "1 trade"
    assert number_texts.plural(1200, "trade") == "1,200 trades"
    assert number_texts.count(None) == "n/a"


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        (0.1532, 0.15, ("15.3 %", "15.0 %")),
        (0.001539, 0.0015, ("0.154 %", "0.150 %")),
        (0.0016, 0.0015, ("0.16 %", "0.15 %")),
        (0.15, 0.15, ("15.0 %", "15.0 %")),
        (0.15000001, 0.15, ("15.000001 %", "15.000000 %")),
    ],
)
def test_a_limit_is_shown_as_it_was_set(
    value: float, limit: float, expected: tuple[str, str]
) -> None:
    assert number_texts.exact_percents(value, limit) == expected


def test_huge_numbers_are_powers_of_ten() -> None:
    assert number_texts.number(999_999_999_999.0) == "999,999,999,999.00"
    assert number_texts.number(1.25e12) == "1.25e+12"
    assert number_texts.percent(1e25, signed=True) == "+1.0e+27 %"
    assert number_texts.money(-3e29, "USDT") == "-3.00e+29 USDT"


def test_messages_write_percent_with_a_space() -> None:
    """A share that is shown is `12.3 %`; without a space it is written as in a strategy file."""
    root = Path(__file__).parents[2]
    spec = re.compile(r":[-+,.\d]+%\}")  # of an f-string; in YAML a space follows the colon
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in ("runner", "plugins", "schemas")
        for path in sorted((root / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if spec.search(line)
    ]
    assert found == [], f"write {{100 * share:.1f}} % instead: {found}"
