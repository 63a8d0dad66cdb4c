"""`septet runs diff`: the gap between a live run and its backtest, part by part (P4).

The gap is a waterfall of exact equities at the last decision time that both runs have. Each step
changes one thing: the values of the bars, which bars came and when, what was traded, its prices,
its fees. The parts therefore add up to the gap, and the last equity must be that of the live run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._data.bars import Instrument
from septet._data.stamps import iso
from septet._diff.backtest_side import Past, Seen, open_past, require_same_parameters, seen_by
from septet._diff.causes import PARTS, Cause, causes_of
from septet._diff.live_side import Lived, read_lived
from septet._diff.paper_fills import Simulated, build_paper, simulate
from septet._diff.rebooking import Priced, Simulator, booked_again
from septet._live.journal_head import instruments_in
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._progress import Progress
    from septet._store.run_folder import Run

__all__ = ["STAGES", "Gap", "diff"]

STAGES: Final = (
    "backtest", "values seen live", "bars as they came", "orders as they traded",
    "prices as they were", "fees as they were",
)  # fmt: skip
_STEPS: Final = 6
TOLERANCE: Final = 1e-9
"""Rounding that is allowed for, as a share of the capital."""


@dataclass(frozen=True)
class Gap:
    """The gap between two runs, with its parts and causes.

    `stages` are equities at `until_ns`: that of the backtest, then one after each of `PARTS`.
    `remainder` is the difference between the live run's own equity and the last stage.
    """

    live: str
    backtest: str
    currency: str
    capital: float
    first_ns: int
    until_ns: int
    stages: tuple[float, ...]
    equity: float
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]

    @property
    def parts(self) -> dict[str, float]:
        """Return the amount that each part lost (negative) or gained."""
        pairs = zip(self.stages, self.stages[1:], strict=False)
        return {name: after - before for name, (before, after) in zip(PARTS, pairs, strict=True)}

    @property
    def remainder(self) -> float:
        """Return the unexplained remainder: zero, or a bug of septet."""
        return self.equity - self.stages[-1]

    @property
    def explained(self) -> bool:
        """Whether the remainder is only rounding."""
        return abs(self.remainder) <= TOLERANCE * self.capital

    def counts(self, part: str) -> dict[str, int]:
        """Return the number of causes of each kind of a part."""
        return dict(Counter(each.kind for each in self.causes if each.part == part))

    def largest(self, most: int | None = None) -> list[Cause]:
        """Return the causes in order, at most `most` of each kind in a part; None for all."""
        counts: Counter[tuple[str, str]] = Counter()
        causes = []
        for each in self.causes:
            counts[each.part, each.kind] += 1
            if most is None or counts[each.part, each.kind] <= most:
                causes.append(each)
        return causes

    def document(self, most: int | None = None) -> dict[str, Any]:
        """Return the gap as plain data, with at most `most` causes of each kind."""
        return {
            "live": self.live, "backtest": self.backtest, "currency": self.currency,
            "capital": self.capital, "first_decision": iso(self.first_ns),
            "until": iso(self.until_ns), "gap": self.equity - self.stages[0],
            "equity": {**dict(zip(STAGES, self.stages, strict=True)), "live": self.equity},
            "parts": self.parts, "remainder": self.remainder, "explained": self.explained,
            "notes": list(self.notes),
            "counts": {part: self.counts(part) for part in PARTS},
            "causes": [
                {
                    "part": each.part, "kind": each.kind, "symbol": each.symbol,
                    "time": iso(each.time_ns), "size": each.size, "text": each.text,
                    **{key: value for key, value in each.facts.items() if key != "symbol"},
                }
                for each in self.largest(most)
            ],
        }  # fmt: skip


def diff(
    live: Path, backtest: Run, *, base: Path | None = None, log: Any = None,
    progress: Progress | None = None,
) -> Gap:  # fmt: skip
    """Explain the gap between a paper or live run and a backtest of the same strategy.

    Parameters
    ----------
    live
        Folder of the paper or live run.
    backtest
        The backtest's run. It is repeated if it did not begin with the live run.
    base
        Folder from which relative paths of the backtest's file start; found by default.
    log
        Called with a text before each step that takes a while.
    progress
        Called with the number of steps done; an exception of it ends the work.

    Raises
    ------
    InputError
        If the strategies differ, the runs have no decision time in common, or the backtest's data
        cannot be read.
    JournalError
        If the journal is damaged.
    """
    step = _Steps(progress)
    step("reading the journal")
    lived = read_lived(live)
    step("reading the backtest and its data")
    past = open_past(backtest, lived, base=base, log=log)
    until_ns = _until(lived, past)
    if until_ns < lived.last_ns:
        past.notes.append(
            f"the live run went on to {iso(lived.last_ns)}: what it did after the last decision "
            "time that both have is not compared"
        )
    build = build_paper(lived, past.session.instruments, log=log)
    require_same_parameters(build.plan.parameter_keys(), past.session.plan.parameter_keys())
    step("deciding on the values seen live")
    seen = seen_by(lived, past, build, until_ns)
    build = build_paper(lived, past.session.instruments, log=log)
    step("simulating the bars as they came")
    paper = simulate(lived, build, until_ns)
    step("booking the orders as they traded")
    instruments = instruments_in(lived.head.facts)
    (traded, at_prices, actual), priced = _own(lived, past, seen, paper, instruments, until_ns, log)
    step("finding the causes")
    stages = (
        past.equity[until_ns], _at(seen.equity, until_ns), paper.worth, traded, at_prices, actual,
    )  # fmt: skip
    return Gap(
        live=lived.head.run_id, backtest=backtest.run_id,
        currency=str(lived.head.facts["currency"]), capital=float(lived.head.facts["capital"]),
        first_ns=lived.first_ns, until_ns=until_ns, stages=stages, equity=lived.ruled[until_ns],
        causes=tuple(causes_of(lived, past, seen, paper, priced, until_ns)),
        notes=(*lived.notes, *past.notes),
    )  # fmt: skip


class _Steps:
    """Reports each step of the work when it begins."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done = progress, 0

    def __call__(self, text: str) -> None:
        if self._progress is not None:
            self._progress("diff", self._done, _STEPS, text)
        self._done += 1


def _until(lived: Lived, past: Past) -> int:
    """Return the last decision time that both runs have."""
    common = lived.ruled.keys() & past.equity.keys()
    if not common:
        reach = f"up to {iso(max(past.equity))}" if past.equity else "nothing"
        raise InputError(
            f"the two runs have no decision time in common: the live run decided from "
            f"{iso(lived.first_ns)} to {iso(lived.last_ns)}, the backtest {reach}",
            hint="backtest a span that the live run lies in, with the same bar",
        )
    return max(common)


def _at(equity: dict[int, float], time_ns: int) -> float:
    """Return the equity at a time, or at the newest row before it."""
    return equity[max(each for each in equity if each <= time_ns)]


def _own(
    lived: Lived,
    past: Past,
    seen: Seen,
    paper: Simulated,
    instruments: list[Instrument],
    until_ns: int,
    log: Any,
) -> tuple[tuple[float, float, float], list[Priced]]:
    """Return the equity of the live run's orders at simulated and actual prices, with fees.

    A run with simulated fills has the simulator's prices and fees; actions of persons are part of
    its timing.
    """
    if lived.venue_fills:
        simulator = Simulator(lived, seen)
        return booked_again(lived, simulator, seen, instruments, paper.funding, until_ns)
    worth = paper.worth
    if lived.has_deeds or instruments != list(past.session.instruments):
        build = build_paper(lived, instruments, log=log)
        worth = simulate(lived, build, until_ns, deeds=True).worth
    return (worth, worth, worth), []
