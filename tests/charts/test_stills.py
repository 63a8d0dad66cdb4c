"""Stills: well-formed, with a text, in the reader's colours, with names that cannot do harm."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from septet._charts import stills
from septet._charts.stills import Line, Mark, Pane
from septet._charts.svg import Axis, Panel, ticks, time_ticks

EVIL = "<script>alert(1)</script>\x1b[2J\x00\u202e" + "x" * 10_000
SVG = "{http://www.w3.org/2000/svg}"
DAY = 86_400.0


def every_still(name: str) -> Iterator[str]:
    mark = Mark(3, 2.0, "triangle", "bad", name)
    drawn = [
        Line(name, [0, 1, 2, 3], [1.0, math.nan, 3.0, 2.0]),
        Line(f"{name}2", [0, 1, 2, 3], [1.0, 2.0, 3.0, 2.0], "contrast", "5 4", area=True),
    ]
    yield stills.lines(name, name, [Pane(drawn, name, marks=[mark])], when=[(2, name)])
    yield stills.lines(name, name, [Pane(drawn, name)], across=Axis(0, 3, str, name))
    yield stills.calibration(name, name, [(0.4, 0.5, 90, 0.4, 0.6), (0.6, 0.5, 10, 0.1, 0.9)])
    yield stills.bars(
        name, name, [0, 1, 2], [3, 4], across=name, up=name, marks=[(1.5, name, "accent", "2 3")]
    )
    yield stills.ranked_bars(name, name, [(name, 0.6, 0.5, 0.7), ("b", 0.4, 0.4, 0.4)], across=name)
    yield stills.heat_map(
        name, name, [name, "b"], ["c", name], lambda j, i: ("accent", 0.5, name, "1"),
        across=name, up=name, ring=(1, 1),
    )  # fmt: skip


@pytest.mark.parametrize("text", [*every_still("plain name")])
def test_a_still_shows_what_it_shows_and_follows_the_theme(text: str) -> None:
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[1].tag == f"{SVG}desc"
    assert root[1].text == "plain name"
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", text), "colours are the page's"
    assert "var(--" in text
    assert "currentColor" in text
    assert "nan" not in text


def test_a_time_beside_the_axis_is_not_drawn_outside_of_it() -> None:
    """A halt before the first value of a rolling ratio was drawn left of the axis."""
    pane = Pane([Line("a", [10, 11, 12], [1.0, 2.0, 3.0])])
    text = stills.lines("t", "w", [pane], when=[(9, "early"), (11, "inside"), (13, "late")])
    assert [word in text for word in ("early", "inside", "late")] == [False, True, False]


@pytest.mark.parametrize("text", [*every_still(EVIL)])
def test_names_that_are_hostile_are_escaped_and_cut(text: str) -> None:
    root = ElementTree.fromstring(text)
    tags = {each.tag.removeprefix(SVG) for each in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "path", "rect", "circle", "text"}
    assert not [key for each in root.iter() for key in each.attrib if key.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
    assert len(text) < 20_000


def test_a_flat_line_and_a_single_value_are_drawn() -> None:
    for values in ([0.0], [0.0, 0.0], [5.0, 5.0], [math.nan, math.nan]):
        line = Line("", list(range(len(values))), values)
        for zero in (False, True):
            ElementTree.fromstring(stills.lines("flat", "", [Pane([line], zero=zero)]))


def test_a_gap_breaks_a_line() -> None:
    line = Line("", [0, 1, 2, 3], [1.0, math.nan, 2.0, 3.0])
    path = re.search(r'<path d="([^"]*)" fill="none"', stills.lines("gap", "", [Pane([line])]))
    assert path is not None
    assert path[1].count("M") == 2


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (9_950, 10_120, [9950, 10_000, 10_050, 10_100])],
)
def test_ticks_are_round(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(found)


@pytest.mark.parametrize("span", [3_600.0, DAY, 30 * DAY, 400 * DAY, 9_000 * DAY])
def test_dates_below_are_few_and_inside(span: float) -> None:
    start = 1_600_000_000.0
    found = time_ticks(start, start + span)
    assert 2 <= len(found) <= 8
    assert all(start <= at <= start + span for at, _ in found)
    assert len({word for _, word in found}) == len(found)


@pytest.mark.parametrize(("width", "size"), [(1040, ""), (390, "9"), (200, None)])
def test_a_map_shows_the_figures_of_all_cells_or_of_none(width: float, size: str | None) -> None:
    """Of a narrow map only the short figures were drawn: the best places had none."""
    names = [str(k) for k in range(12)]

    def cell(j: int, i: int) -> tuple[str, float, str, str]:
        return "accent", 0.5, "", "16.13" if i < j else "0.1"

    drawn = stills.heat_map("map", "", names, names, cell, width=width)
    count = drawn.count(">16.13<"), drawn.count(">0.1<")
    assert count == ((0, 0) if size is None else (66, 78))
    assert ('<g font-size="9">' in drawn) == (size == "9")


@pytest.mark.parametrize("steps", [False, True])
def test_the_points_of_a_line_are_where_its_panel_has_their_values(steps: bool) -> None:
    xs = [7.0, 7.5, 8.25, 9.0, 11.0, 12.0]
    ys = [0.1, -3.0, math.nan, 1e9, 2.5, math.inf]
    panel = Panel(56.0, 8.0, 972.0, 120.3, Axis(min(xs), max(xs)), Axis.of(ys))
    places = [(f"{panel.x(x):.1f}", f"{panel.y(y):.1f}") for x, y in zip(xs, ys, strict=True)]
    first, second, _, fourth, fifth, _ = places
    form = "H{}V{}" if steps else "L{} {}"
    expected = [
        "M{} {}".format(*first), form.format(*second), "M{} {}".format(*fourth),
        form.format(*fifth),
    ]  # fmt: skip
    assert panel.path(xs, ys, steps=steps) == "".join(expected)
