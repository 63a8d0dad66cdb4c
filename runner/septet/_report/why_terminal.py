"""Prints why an order was made on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from septet._data.stamps import iso
from septet._report.why import parts_of, sentence_of, value_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_why"]


def _show_trace(steps: list[dict[str, Any]], console: Console) -> None:
    if not steps:
        return
    console.print(Text("Steps", "bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    for is_right in (True, True, False, False):
        table.add_column(justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    for step in steps:
        clock = iso(step["at_ns"])[11:23].rstrip("Z")
        since = f"{step['ms']:+,.3f} ms"
        table.add_row(Text(clock, "dim"), since, step["step"].replace("_", " "), step["text"])
    console.print(Padding(table, (0, 0, 1, 2)))


def _pairs(title: str, values: Mapping[str, Any], console: Console, *, raw: bool = False) -> None:
    if not values:
        return
    console.print(Text(title, "bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(no_wrap=True, min_width=18)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(name if raw else name.replace("_", " "), "dim"), Text(value_text(value)))
    console.print(Padding(table, (0, 0, 1, 2)))


def show_why(explanation: Mapping[str, Any], console: Console) -> None:
    """Print an explanation: the sentence first, then the facts behind it."""
    console.print(Text(sentence_of(explanation), "bold"))
    if explanation.get("rule"):
        rule = str(explanation["rule"])
        console.print(Text(f"{rule[:1].upper()}{rule[1:]}."))
    console.print(
        Text(f"decided at {explanation['time']} (UTC), run {explanation['run_id']}", "dim")
    )
    console.print()
    if explanation["left_out"]:
        console.print(
            "The run was made with --fast, which leaves the decisions out: sizes, "
            "rejections and features are not known. Run it again without --fast."
        )
        console.print()
    for title, values in parts_of(explanation):
        _pairs(title, values, console, raw=title == "Features")
    joined = (explanation["bar"] or {}).get("bars_joined", 1)
    if joined > 1:
        console.print(
            f"The bars of this run were joined for display, up to {joined:,} into one, and the bar "
            "of this decision is not kept alone."
        )
        console.print()
    _show_trace(explanation["trace"], console)
