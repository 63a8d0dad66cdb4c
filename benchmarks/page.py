"""RESULTS.md from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common import Row, bars_text
from contest import OWN, Result
from contests import CONTESTS, Contest, Sizes
from targets import Findings, evaluate, time_text

__all__ = ["panels", "write"]

HEAD = """# Speed

Made by `make bench` on {day} in {minutes:.0f} minutes: {rounds} counted runs each, in turn.
{machine}.
{software}.

{state}
"""
TARGETS_HEAD = """
## Targets

*Measured* is septet's time / the other's, and *ratio* how many times faster septet is (for "at
most", how many times as long it takes). **missed** is reported, never hidden;
*not measured* gives the reason.

| work | target | measured | ratio | |
|---|---|---|---:|---|
"""
CONTEST_HEAD = """
## {title}

{about}

| engine | version | median | least to most | bars/s | septet is faster by | peak memory | trades |
|---|---|---:|---:|---:|---:|---:|---|
"""
ROWS_HEAD = """
## Everything else

*Ratio*: how many times better than the right column; below 1 is worse.

| work | figure | measured | ratio | against |
|---|---|---:|---:|---|
"""
TAIL = """
## How it is measured

In W1, W2, W7 and the event path every engine is a process of its own, started once; after one run
that does not count, all run once in each round, one after the other, and the median counts. Only
the run itself is timed, inside that process: from arrays in memory to arrays of results (round
trips and an equity curve in W1; round trips and final equity of each setting in W2; from prices to
weights, orders and an equity curve in W7). Imports, compilation, loading and writing are not in it:
*Everything else* has them (`seconds_total`, cold starts). Each peer is used in the quickest way we
found; its worker in `benchmarks/peers/` shows how. Peak memory is that of the whole process. The
other figures come from scripts, each of which states at its top what it times, and whether the
median or the least of its turns counts.

*Trades* compares every round trip, bar by bar, with a plain loop in whole numbers that can neither
drift nor tie by accident, and the final equity with its own. In W7 it compares every order with a
plain loop over the weeks: the bar, the symbol, and the quantity to a millionth.
"""


def _about(key: str, sizes: Sizes) -> str:
    if key == "w1":
        return (
            f"SMA 20/100 cross over {bars_text(sizes.w1_bars)} of the walk `series: w1`, long only,"
            " quantity 1, 10 bps a side, filled at the next open."
        )
    if key == "w2":
        fasts, slows = sizes.w2_fasts, sizes.w2_slows
        return (
            f"{len(fasts) * len(slows):,} settings (fast {fasts[0]} to {fasts[-1]}, slow {slows[0]}"
            f" to {slows[-1]}) of the same cross over {bars_text(sizes.w2_bars)}, two threads, all"
            " from one first decision."
        )
    if key == "w7":
        asked = sizes.w7
        return (
            f"{asked.symbols} symbols with {asked.times:,} daily bars: every week the {asked.held} "
            f"of the best {asked.momentum}-day return, by the inverse of their "
            f"{asked.volatility}-day volatility. No costs, and bars that open at the close before: "
            "so all engines trade the same."
        )
    return f"The cross of W1 over {bars_text(sizes.event_bars)}, one bar at a time."


def bars_of(key: str, sizes: Sizes) -> int:
    """Bars a run of this contest goes through, over all settings."""
    settings = len(sizes.w2_fasts) * len(sizes.w2_slows)
    if key == "w7":
        return sizes.w7.symbols * sizes.w7.times
    return {"w1": sizes.w1_bars, "w2": sizes.w2_bars * settings, "event": sizes.event_bars}[key]


def _line(result: Result, ours: Result | None, bars: int) -> str:
    who = result.contestant
    if not result.there:
        return f"| {who.label} | {result.version} | not measured: {result.missing} |  |  |  |  |  |"
    seconds = result.seconds
    ratio = ""
    if ours is not None and ours.there and who.environment != OWN:
        ratio = f"{result.median / ours.median:.2f}"
    cells = (
        who.label, result.version, time_text(result.median),
        f"{time_text(min(seconds))} to {time_text(max(seconds))}",
        f"{bars / result.median / 1e6:.3g} M", ratio, f"{result.peak_bytes / 1e9:.2f} GB",
        result.same or f"{result.trades:,}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _contest(contest: Contest, held: dict[str, Result], sizes: Sizes) -> str:
    text = CONTEST_HEAD.format(title=contest.title, about=_about(contest.key, sizes))
    bars = bars_of(contest.key, sizes)
    lines = [_line(each, held.get(contest.ours), bars) for each in held.values()]
    parts = [
        f"{each.contestant.label} {time_text(each.parts['simulation'])}"
        for each in held.values()
        if "simulation" in each.parts
    ]
    end = f"\nThe simulation alone, at its quickest: {'; '.join(parts)}.\n" if parts else ""
    return text + "\n".join(lines) + "\n" + end


def _targets(findings: Findings) -> str:
    lines = []
    for target, verdict in evaluate(findings).items():
        met = {True: "met", False: "**missed**", None: ""}[verdict.met]
        cells = (target.work, target.text, verdict.measured, verdict.ratio, met)
        lines.append("| " + " | ".join(cells) + " |")
    return TARGETS_HEAD + "\n".join(lines) + "\n"


def _rows(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}"
        lines.append(
            f"| {row.workload} | {row.figure} | {row.measured} | {ratio} | {row.against} |"
        )
    return ROWS_HEAD + "\n".join(lines) + "\n" if rows else ""


def write(
    findings: Findings, sizes: Sizes, facts: dict[str, Any], refused: list[str], picture: str
) -> str:
    """Return the whole page; `picture` is the name of the plot beside it, or empty."""
    text = HEAD.format(**facts)
    if refused:
        text += f"\nCould not be installed, and so left out: {', '.join(refused)}.\n"
    text += _targets(findings)
    if picture:
        text += f"\n![Times of septet and its peers]({picture})\n"
    for key, held in findings.contests.items():
        text += _contest(CONTESTS[key], held, sizes)
    return text + _rows(findings.rows) + TAIL


def panels(findings: Findings) -> list[dict[str, Any]]:
    """What `plot.py` draws: a panel for each contest in which somebody has a time."""
    found = []
    for key, held in findings.contests.items():
        bars = []
        for each in held.values():
            if each.there:
                kind = "ours" if each.contestant.environment == OWN else "other"
                kind = "limit" if each.contestant.script == "with_numba.py" else kind
                name = each.contestant.label.replace("`", "")
                bars.append({"name": name, "seconds": each.median, "kind": kind})
        if bars:
            found.append({"title": CONTESTS[key].title, "bars": bars})
    return found
