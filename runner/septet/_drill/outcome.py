"""The outcome of a drill: a row for each fault, totals, and how they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from septet._drill.fault_kinds import CATALOGUE, Needs
from septet._drill.record_checks import Finding

__all__ = ["NEEDED", "Outcome", "Row", "Totals"]

NEEDED: dict[Needs, str] = {
    "": "no message came by", "order": "no order came by", "cancel": "no cancel came by",
    "fill": "no fill came by", "position": "no position was open", "open_order": "no order rested",
    "book": "the run reads no order book",
}  # fmt: skip
"""Why a fault was not reached."""


@dataclass(slots=True)
class Row:
    """A fault: how often it was requested and injected, and the longest time to resolve it."""

    code: str
    asked: int = 0
    injected: int = 0
    resolved: int = 0
    worst_ms: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    resumed: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def take_back(self, count: int, why: str = "no request came by while it lasted") -> None:
        """Do not count injections that met no request or could not be checked."""
        self.injected -= count
        self.resolved = min(self.resolved, self.injected)
        self.notes.append(why)

    @property
    def what(self) -> str:
        """The fault in words."""
        return CATALOGUE[self.code].what

    @property
    def held(self) -> str:
        """Whether everything held: ``yes``, ``no`` or ``not reached``."""
        if self.findings or self.resolved < self.injected:
            return "no"
        return "yes" if self.injected else "not reached"

    @property
    def remark(self) -> str:
        """Return further remarks on the fault."""
        notes = list(dict.fromkeys(self.notes))
        if self.asked and not self.injected and not notes:
            notes.append(NEEDED[CATALOGUE[self.code].needs])
        if self.resumed:
            notes.append("resumed by hand: " + ", ".join(sorted(self.resumed)))
        return "; ".join(notes)

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "code": self.code, "what": self.what, "asked": self.asked, "injected": self.injected,
            "held": self.held, "worst_ms": round(self.worst_ms, 1),
            "resumed": dict(self.resumed), "remark": self.remark,
            "findings": [asdict(each) for each in self.findings],
        }  # fmt: skip


@dataclass(slots=True)
class Totals:
    """Sums over the whole drill; counts of findings by what they mean."""

    orders: int = 0
    fills: int = 0
    decisions: int = 0
    starts: int = 0
    bars: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def duplicates(self) -> int:
        """Orders that should not be."""
        return self.kinds["duplicate"] + self.kinds["stray"]

    @property
    def lost(self) -> int:
        """Return the number of executions lost, invented, or booked wrongly."""
        return sum(self.kinds[name] for name in ("lost_fill", "invented_fill", "wrong_fill"))

    @property
    def wrong(self) -> int:
        """Positions and balances that are wrong."""
        return self.kinds["position"] + self.kinds["balance"]

    @property
    def others(self) -> int:
        """Everything else that must not be."""
        return self.kinds.total() - self.duplicates - self.lost - self.wrong


@dataclass(slots=True)
class Outcome:
    """A whole drill."""

    strategy: str
    mode: str
    seed: int
    origin: str
    folder: str
    rows: list[Row]
    totals: Totals = field(default_factory=Totals)
    run: str = ""
    replay: str = ""
    shadow: str = ""
    bars_before: int = 0
    """Bars that were played before the run's first decision."""
    over: str = ""
    """That the bars were over before everything was made, in words; empty if they were not."""
    failures: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    terms: Sequence[str] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything that was reached held."""
        return not self.failures and not self.findings and all(r.held != "no" for r in self.rows)

    @property
    def status(self) -> str:
        """Return the result: ``held``, ``failed``, or ``bars over`` if faults are left."""
        return "failed" if not self.ok else "bars over" if self.over else "held"

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        totals = self.totals
        return {
            "ok": self.ok, "status": self.status, "over": self.over,
            "strategy": self.strategy, "mode": self.mode, "seed": self.seed,
            "prices": self.origin, "folder": self.folder, "run": self.run,
            "faults": [row.document() for row in self.rows],
            "orders": totals.orders, "fills": totals.fills, "decisions": totals.decisions,
            "bars_before_first_decision": self.bars_before,
            "starts": totals.starts, "duplicates": totals.duplicates, "lost": totals.lost,
            "wrong_positions": totals.wrong, "other_findings": totals.others,
            "replay": self.replay, "shadow": self.shadow, "failures": self.failures,
            "findings": [asdict(each) for each in self.findings], "terms": list(self.terms),
            "seconds": round(self.seconds, 1),
        }  # fmt: skip

    def cells(self) -> list[tuple[str, ...]]:
        """Return the rows of the table as texts."""
        found: list[tuple[str, ...]] = []
        for row in self.rows:
            worst = f"{row.worst_ms:,.0f}" if row.injected else ""
            found.append((row.code, row.what, str(row.injected), row.held, worst, row.remark))
        return found

    def summary(self) -> list[str]:
        """Return the lines below the table."""
        totals = self.totals
        lines = [
            f"{totals.orders:,} orders and {totals.fills:,} fills at the local venue"
            f"{', paper fills by itself' if self.mode == 'paper' else ''}; "
            f"{totals.decisions:,} decisions, "
            f"{totals.starts} starts; the first decision after {self.bars_before:,} bars",
            f"duplicate orders {totals.duplicates}, lost fills {totals.lost}, wrong positions "
            f"{totals.wrong}, other findings {totals.others}",
            f"replay: {self.replay or 'not done'}",
            f"shadow: {self.shadow or 'not done'}",
        ]
        for row in self.rows:
            lines += [f"{row.code}: {each}" for each in row.findings[:5]]
        lines += [str(each) for each in self.findings[:10]]
        lines += self.failures
        if self.over:
            lines.append(f"the bars are over: {self.over}; play more of them with --bars")
        verdict = "every promise that was tested held" if self.ok else "a promise did not hold"
        again = "" if self.ok else f"; repeat it with --seed {self.seed}"
        return [*lines, f"{verdict} (seed {self.seed}){again}", self.folder]
