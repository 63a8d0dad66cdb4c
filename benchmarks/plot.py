"""Draw the contests as horizontal bars on a logarithmic axis.

    python plot.py OUT.png < panels.json

Run by the Python of the peers, which has matplotlib. A panel is a title and a list of names, times
in seconds, and whether the bar is ours.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["draw"]

OURS, OTHERS, LIMIT = "#1f6f8b", "#c3ccd5", "#8fb996"
INK, GRID = "#1d2530", "#e4e8ec"


def _text(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _panel(axes: Any, panel: dict[str, Any]) -> None:
    bars = sorted(panel["bars"], key=lambda bar: -bar["seconds"])
    colours = {"ours": OURS, "limit": LIMIT}
    seconds = [bar["seconds"] for bar in bars]
    places = range(len(bars))
    axes.barh(places, seconds, color=[colours.get(bar["kind"], OTHERS) for bar in bars], height=0.7)
    axes.set_yticks(places, [bar["name"] for bar in bars], fontsize=9)
    axes.set_xscale("log")
    low, high = min(seconds) / 2.5, max(seconds) * 4.0
    axes.set_xlim(low, high)
    for place, value in zip(places, seconds, strict=True):
        axes.text(value * 1.08, place, _text(value), va="center", fontsize=9, color=INK)
    axes.set_title(panel["title"], loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.xaxis.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0, colors=INK)
    axes.tick_params(axis="x", which="minor", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(GRID)


def draw(panels: list[dict[str, Any]], out: str) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    heights = [len(panel["bars"]) + 1.6 for panel in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(9.0, 0.34 * sum(heights) + 0.4), squeeze=False,
        gridspec_kw={"height_ratios": heights}, layout="constrained", facecolor="white",
    )  # fmt: skip
    for place, panel in zip(axes[:, 0], panels, strict=True):
        _panel(place, panel)
    axes[-1, 0].set_xlabel(
        "seconds from arrays to results, logarithmic; shorter is better", fontsize=9, color=INK
    )
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
