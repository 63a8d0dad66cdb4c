"""Prints the gap between two runs: a waterfall, then the causes of each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from septet._data.stamps import iso
from septet._diff.causes import PARTS, Cause
from septet._diff.compare import Gap
from septet._diff.part_names import MEANS, NAMES

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_gap"]

SHOWN: Final = 5


def show_gap(gap: Gap, console: Console) -> None:
    """Print a gap: at most five causes of each kind, the largest first."""
    console.print(
        f"{gap.live} against backtest {gap.backtest}, {iso(gap.first_ns)} to {iso(gap.until_ns)}"
    )
    for note in gap.notes:
        console.print(Text(f"note: {note}", "yellow"))
    console.print(_waterfall(gap))
    largest = gap.largest(SHOWN)
    for part in PARTS:
        causes = [each for each in largest if each.part == part]
        if causes:
            console.print()
            console.print(Text(f"{NAMES[part]}: {MEANS[part]}", "bold"))
            _causes(causes, gap.counts(part), console)
    if not gap.explained:
        text = f"{gap.remainder:+.12g} {gap.currency} is left over: a bug of septet, please report"
        console.print(Text(text, "bold red"))


def _waterfall(gap: Gap) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("change", "equity", "of capital"):
        table.add_column(name, justify="right")
    table.add_row("backtest", "", f"{gap.stages[0]:,.4f}", "")
    for (part, change), equity in zip(gap.parts.items(), gap.stages[1:], strict=True):
        share = f"{100 * change / gap.capital:+.4f} %"
        table.add_row(f"  {NAMES[part]}", f"{change:+,.4f}", f"{equity:,.4f}", share)
    total = gap.equity - gap.stages[0]
    share = f"{100 * total / gap.capital:+.4f} %"
    table.add_row(Text("live", "bold"), f"{total:+,.4f}", f"{gap.equity:,.4f}", share)
    table.add_row(Text("left over", "dim"), f"{gap.remainder:+.3g}", "", "")
    return table


def _causes(causes: list[Cause], counts: dict[str, int], console: Console) -> None:
    for kind, count in counts.items():
        console.print(f"  {kind}: {count:,}")
        for each in [cause for cause in causes if cause.kind == kind]:
            where_and_when = " ".join(
                filter(None, (each.symbol, iso(each.time_ns) * bool(each.time_ns)))
            )
            console.print(Text(f"    {where_and_when}  {each.text}", "dim"))
