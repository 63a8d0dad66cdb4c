"""Every target of the issue "Two speeds, one answer", and what the run made of it.

A target is compared with the contests, or from the rows of a script. One that nothing answers is
shown as not measured: no target ever falls out of the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common import Row
from contest import Result

__all__ = ["TARGETS", "Findings", "Target", "Verdict", "evaluate"]


@dataclass(frozen=True)
class Verdict:
    """A measured figure, its ratio to what it is compared with, and whether the target is met."""

    measured: str
    ratio: str
    met: bool | None


@dataclass
class Findings:
    """All that was measured: contests by key, each by contestant, and the rows of the scripts."""

    contests: dict[str, dict[str, Result]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    bars: dict[str, int] = field(default_factory=dict)

    def pair(self, contest: str, ours: str, other: str) -> tuple[Result, Result] | str:
        """Both results, or why there is no pair."""
        held = self.contests.get(contest)
        if held is None:
            return "not measured in this run"
        for key in (ours, other):
            if key not in held:
                return f"not measured: {key} does not take part"
            if not held[key].there:
                return f"not measured: {held[key].contestant.label}: {held[key].missing}"
        return held[ours], held[other]


Evaluate = Callable[[Findings], Verdict]


@dataclass(frozen=True)
class Target:
    """One line of the issue's table."""

    work: str
    text: str
    evaluate: Evaluate


def time_text(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _faster(contest: str, ours: str, other: str, least: float) -> Evaluate:
    """Ours must be `least` times as fast as another."""

    def judged(findings: Findings) -> Verdict:
        both = findings.pair(contest, ours, other)
        if isinstance(both, str):
            return Verdict(both, "", None)
        one, two = (each.median for each in both)
        return Verdict(
            f"{time_text(one)} / {time_text(two)}", f"{two / one:.2f}", two / one >= least
        )

    return judged


def _fastest(contest: str, ours: str, least: float) -> Evaluate:
    """Ours must be `least` times as fast as the fastest of the others."""

    def judged(findings: Findings) -> Verdict:
        held = findings.contests.get(contest, {})
        there = {key: each.median for key, each in held.items() if key != ours and each.there}
        if not there:
            words = "no peer took part" if held else "not measured in this run"
            return Verdict(words, "", None)
        other = min(there, key=there.__getitem__)
        verdict = _faster(contest, ours, other, least)(findings)
        if not verdict.ratio:
            return verdict
        label = held[other].contestant.label
        return Verdict(f"{verdict.measured}, {label}", verdict.ratio, verdict.met)

    return judged


def _at_most(contest: str, ours: str, other: str, most: float) -> Evaluate:
    """Ours may take `most` times the time of another."""

    def judged(findings: Findings) -> Verdict:
        both = findings.pair(contest, ours, other)
        if isinstance(both, str):
            return Verdict(both, "", None)
        one, two = (each.median for each in both)
        return Verdict(
            f"{time_text(one)} / {time_text(two)}", f"{one / two:.2f}", one / two <= most
        )

    return judged


def _memory(contest: str, ours: str, most_bytes: float) -> Evaluate:
    def judged(findings: Findings) -> Verdict:
        both = findings.pair(contest, ours, ours)
        if isinstance(both, str):
            return Verdict(both, "", None)
        peak = both[0].peak_bytes
        return Verdict(f"{peak / 1e9:.2f} GB", "", 0 < peak <= most_bytes)

    return judged


def _rate(contest: str, ours: str, least: float) -> Evaluate:
    def judged(findings: Findings) -> Verdict:
        both = findings.pair(contest, ours, ours)
        if isinstance(both, str):
            return Verdict(both, "", None)
        found = findings.bars[contest] / both[0].median
        return Verdict(f"{found / 1e3:,.0f} k bars/s", f"{found / least:.2f}", found >= least)

    return judged


def _row(
    workload: str | tuple[str, ...],
    words: str,
    least: float | None = None,
    most: float | None = None,
) -> Evaluate:
    """Decide by the worst row of a script whose figure and `against` match an expression.

    The ratio of a row that must be met is 1 at its target; that of another is bare, and `least`
    bounds it from below. `most` bounds the measured figure (the first number of its text).
    """
    sought = re.compile(words, re.IGNORECASE)

    def verdict(row: Row) -> Verdict:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}"
        number = re.search(r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?", row.measured)
        if most is not None:
            value = float(number.group().replace(",", "")) if number else float("nan")
            return Verdict(f"{row.figure}: {row.measured}", "", value <= most)
        bound = 1.0 if least is None or row.must else least
        met = None if row.ratio is None else row.ratio >= bound
        share = f"{ratio} of the target" if ratio and row.must else ratio
        return Verdict(f"{row.figure}: {row.measured}; {row.against}", share, met)

    def judged(findings: Findings) -> Verdict:
        found = [
            (row, verdict(row)) for row in findings.rows
            if row.workload.lower().startswith(workload)
            and sought.search(f"{row.figure} {row.against}")
        ]  # fmt: skip
        if not found:
            return Verdict("not measured in this run", "", None)
        known = [each for _, each in found if each.met is not None]
        failed = [each for each in known if not each.met]
        if failed:
            return failed[0]
        return min(found, key=lambda each: each[0].ratio or float("inf"))[1]

    return judged


SIZES = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


def _seconds(row: Row) -> float:
    """The time a row has measured."""
    number, _, unit = row.measured.partition(" ")
    return float(number.replace(",", "")) * SIZES[unit]


def _anew(workload: str, words: str, least: float) -> Evaluate:
    """Ours must be `least` times as fast, both making the arrays they write.

    A peer allocates its results within its time, so ours is the row that does so, too.
    """

    def judged(findings: Findings) -> Verdict:
        rows = [row for row in findings.rows if row.workload.lower() == workload]
        ours = next((row for row in rows if "made anew" in row.figure), None)
        other = next((row for row in rows if re.search(words, row.figure)), None)
        if ours is None or other is None:
            return Verdict("not measured in this run", "", None)
        ratio = _seconds(other) / _seconds(ours)
        return Verdict(
            f"{ours.measured} / {other.measured}, both into new arrays", f"{ratio:.2f}",
            ratio >= least,
        )  # fmt: skip

    return judged


TARGETS: tuple[Target, ...] = (
    Target("W1", "at least 4 times raptorbt", _faster("w1", "septet", "raptorbt", 4.0)),
    Target("W1", "at least 8 times vectorbt's Rust engine",
           _faster("w1", "septet", "vectorbt-rust", 8.0)),
    Target("W1", "at most 3 times the hand-written loop with curves and trade log",
           _at_most("w1", "septet", "numba", 3.0)),
    Target("W1, full decision table", "at least 2 times raptorbt",
           _faster("w1", "septet-full", "raptorbt", 2.0)),
    Target("W2", "at least 8 times raptorbt", _faster("w2", "septet", "raptorbt", 8.0)),
    Target("W2", "at least 30 times vectorbt's Rust engine",
           _faster("w2", "septet", "vectorbt-rust", 30.0)),
    Target("W2", "under 0.6 GB", _memory("w2", "septet", 0.6e9)),
    Target("W7", "at least 10 times the fastest peer", _fastest("w7", "septet", 10.0)),
    Target("W7", "under 1 GB", _memory("w7", "septet", 1e9)),
    Target("W3", "at least 3 times polars", _anew("w3", "^polars", 3.0)),
    Target("W3", "at least 6 times pandas", _anew("w3", "^pandas", 6.0)),
    Target("W3", "within 20 % of a hand-written single pass",
           _row("w3", "hand, as accurate", least=1 / 1.2)),
    Target("twenty indicators", "at least 200 times the plain loop that recomputes its window",
           _row("indicators", "read again", least=200.0)),
    Target("W4, forest", "a single row in at most 6 µs",
           _row("w4", "^forest: one row(?!.*scikit)", most=6.0)),
    Target("W4, forest", "1 M rows at least 2.5 times scikit-learn on two threads",
           _row("w4", "^forest: [0-9,]+ rows", least=2.5)),
    Target("W4, forest", "exact to 1e-15", _row("w4", "^forest: largest difference", most=1e-15)),
    Target("W4, boosting", "a single row in at most 6 µs",
           _row("w4", "boosting: one row(?!.*scikit)", most=6.0)),
    Target("W4, boosting", "1 M rows at least 2.5 times scikit-learn on two threads",
           _row("w4", "boosting: [0-9,]+ rows", least=2.5)),
    Target("W4, boosting", "exact to 1e-15",
           _row("w4", "boosting: largest difference", most=1e-15)),
    Target("event path, W1", "at least 300 k bars/s", _rate("event", "septet", 300_000.0)),
    Target("event path, W1 in steps", "at least 150 k bars/s",
           _row("event steps", "w1 in steps", least=1.0)),
    Target("ML strategy, 1 M bars", "at least 2.5 times a vectorised pipeline",
           _row("ml", "vectori[sz]ed", least=2.5)),
    Target("ML strategy, 1 M bars", "at least 500 times one that predicts row by row",
           _row("ml", "row by row", least=500.0)),
    Target("growth", "time a bar within 10 % from 1 M to 10 M bars",
           _row("growth", "^one bar of 10 M", least=1.0)),
    Target("growth", "time a symbol not growing from 1 to 200",
           _row("growth", "^one bar and symbol of 200", least=1.0)),
    Target("cold start", "first W1 run, warm disk cache: under 1.2 s",
           _row(("start", "cold"), "warm")),
    Target("cold start", "first W1 run, empty cache: under 15 s",
           _row(("start", "cold"), "empty|nothing compiled")),
)  # fmt: skip


def evaluate(findings: Findings, targets: Sequence[Target] = TARGETS) -> Mapping[Target, Verdict]:
    """Return what became of every target."""
    return {target: target.evaluate(findings) for target in targets}
