"""Some forty shapes of strategies: a plan for each, its values drawn freely."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

__all__ = [
    "COMPILED",
    "FILES",
    "body_of",
    "PORTFOLIOS",
    "SHIPPED",
    "drawn",
    "names",
    "plainest",
    "written",
]

FOLDER: Final = Path(__file__).parent / "strategies"
FILES: Final = ("one_spot", "one_perpetual", "several_spot", "several_perpetual")
PORTFOLIOS: Final = "portfolios"
"""Shapes without a signal: `tests/core/test_portfolio.py` draws them."""
COMPILED: Final = (
    "crosses", "resting", "breakouts", "steady", "unsure", "leaders", "pyramids",
)  # fmt: skip
"""Shapes that, with the strategies of `SHIPPED`, use every plugin that decides a trade. Their
plans are compiled, which takes ten to forty seconds each; the others run as plain Python."""
SHIPPED: Final = ("perpetual-trend", "us-stocks", "logistic")
"""Strategies that come with septet and are compiled by `tests/strategies`, on both paths."""
CHOICE: Final = re.compile(r"\$\(([^)]*)\)")
SPAN: Final = re.compile(r"(-?[\d.]+?)(%?)\.\.(-?[\d.]+?)(%?)")


@cache
def _shapes(file: str) -> dict[str, dict[str, Any]]:
    text = (FOLDER / f"{file}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def names(file: str | None = None) -> list[str]:
    """Names of the shapes in one file, or in all of them."""
    return [name for each in ([file] if file else FILES) for name in _shapes(each)]


def body_of(name: str) -> dict[str, Any]:
    """Return a shape as it is written, its choices open."""
    every = (*FILES, PORTFOLIOS)
    (body,) = [_shapes(file)[name] for file in every if name in _shapes(file)]
    return body


def written(body: dict[str, Any], name: str) -> str:
    """Write a strategy file from a shape whose choices are made."""
    base: dict[str, Any] = {"version": 1, "name": name, "data": {"candles": {"use": "synthetic"}}}
    return yaml.safe_dump({**base, **body}, sort_keys=False, width=200)


def _values(choice: str) -> st.SearchStrategy[str]:
    """Return what a choice leaves open: one of some texts, or a number between two."""
    span = SPAN.fullmatch(choice)
    if span is None:
        return st.sampled_from(choice.split("|"))
    low, unit, high, _ = span.groups()
    if unit or "." in low + high:
        between = st.floats(float(low), float(high), allow_nan=False)
        return between.map(lambda value: f"{value:.12f}{unit}")
    return st.integers(int(low), int(high)).map(str)


def _filled(part: Any, choose: Any) -> Any:
    if isinstance(part, dict):
        return {key: _filled(value, choose) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, choose) for value in part]
    if not isinstance(part, str) or "$(" not in part:
        return part
    text = CHOICE.sub(lambda found: str(choose(found[1])), part)
    # What was a choice alone is a number again where it looks like one.
    return yaml.safe_load(text) if CHOICE.fullmatch(part) else text


@st.composite
def drawn(draw: Any, body: dict[str, Any]) -> Any:
    """Draw the values of a shape."""
    return _filled(body, lambda choice: draw(_values(choice), label=choice))


def plainest(body: dict[str, Any]) -> Any:
    """Take the first of every choice, the middle of every span."""

    def choose(choice: str) -> str:
        span = SPAN.fullmatch(choice)
        if span is None:
            return choice.split("|")[0]
        low, unit, high, _ = span.groups()
        if unit or "." in low + high:
            return f"{(float(low) + float(high)) / 2:.12f}{unit}"
        return str((int(low) + int(high)) // 2)

    return _filled(body, choose)
