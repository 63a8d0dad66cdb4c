"""Defects found in a series: counted, shown with the first examples, handled by their policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from septet._data.bars import Finding
from septet._data.message_limits import CELLS_SHOWN
from septet._data.source import Facts
from septet._data.stamps import Bools
from septet.errors import DataError
from septet_schemas.data import Policies

__all__ = [
    "EXAMPLES", "MESSAGES", "SOURCE_DOUBT", "Findings", "first_rows", "merged", "report_facts",
]  # fmt: skip

EXAMPLES: Final = CELLS_SHOWN
SOURCE_DOUBT: Final = "source_doubt"
MESSAGES: Final = {
    "bad_stamp": "time stamps that cannot be read",
    "mixed_units": "time stamps in another unit than the rest",
    "mixed_zones": "time stamps in another zone than the rest",
    "local_time": "local times that do not exist or exist twice (clock change)",
    "unordered": "rows earlier than the row before them; sorted",
    "duplicate": "the same row again",
    "conflict": "another row for a bar that was there already; the first seen wins",
    "off_grid": "bars that do not open on the grid of their length",
    "outside_session": "bars outside the sessions of the calendar",
    "unfinished": "bars that had not ended when the data was read",
    "not_finite": "values that are missing, not numbers or infinite",
    "bad_price": "prices of zero or less, or outside 1e-30 to 1e30",
    "high_below_low": "bars whose high lies below their low",
    "outside_range": "bars whose open or close lies outside high and low",
    "bad_volume": "volumes that are missing, negative or above 1e30; filled with 0",
    "zero_volume": "bars without volume",
    "volume_unit": "volume changes its size by a factor of 300 or more and stays there",
    "wrong_zone": "time stamps that are not of the time zone they are read in",
    "price_levels": "closes that jump between separate price levels, as if rows of two symbols "
    "or sources were mixed",
    "price_spike": "bars whose close is 5 times above or below that of the bars before and after",
    "price_wick": "bars whose high, low or open is 5 times above or below the rest of the bar",
    "price_step": "bars whose prices lie 5 times or more above or below those of the bar before, "
    "with none between, and stay there",
    "price_gap": "bars whose prices lie 1.7 times or more above or below those of the bar before, "
    "with none between",
    "jump": "closes more than 20 % away from the close of the session before",
    "gap": "bars missing between the first and the last",
    "split": "splits found in the adjusted close",
    "bad_adjustment": "adjusted closes that are missing or not above zero; unadjusted rows dropped",
}


class Findings:
    """Collects the findings of one series; a policy of `refuse` raises at once."""

    def __init__(self, source: str, symbol: str, policies: Policies) -> None:
        """Start an empty collection for `symbol` of `source`."""
        self._source = source
        self._symbol = symbol
        self._policies = policies
        self._found: list[Finding] = []

    def __call__(
        self,
        kind: str,
        count: int,
        examples: Sequence[str] = (),
        message: str = "",
        hint: str = "",
    ) -> str:
        """Record `count` defects and return the policy for them.

        Raises
        ------
        DataError
            If there are any and their policy is `refuse`.
        """
        policy = self.policy(kind)
        if count == 0:
            return policy
        text = message or MESSAGES.get(kind, kind)
        shown = tuple(examples[:EXAMPLES])
        if policy == "refuse":
            raise DataError(
                f"{self._symbol} from {self._source}: {kind}: {count} {text}; "
                f"first: {'; '.join(shown) or 'none shown'}",
                hint=hint or f"mend the data, or choose another policy: policy: {{{kind}: ...}}",
            )
        self._found.append(Finding(self._source, self._symbol, kind, policy, count, shown, text))
        return policy

    def policy(self, kind: str) -> str:
        """Return the policy for a kind of defect."""
        policy: str = getattr(self._policies, kind, "drop")
        return policy

    def warn(self, kind: str, count: int, examples: Sequence[str], message: str) -> None:
        """Record a likely error that cannot be proved; nothing was changed."""
        shown = tuple(examples[:EXAMPLES])
        self._found.append(Finding(self._source, self._symbol, kind, "warn", count, shown, message))

    def note(self, message: str) -> None:
        """Record a guess or another note; nothing was changed."""
        self._found.append(Finding(self._source, self._symbol, "note", "keep", 0, (), message))

    def all(self) -> tuple[Finding, ...]:
        """Return all findings so far, in order."""
        return tuple(self._found)


def report_facts(findings: Findings, facts: Facts, notes: Sequence[str]) -> None:
    """Record the guesses about a source, and warn of the doubts that it reports itself."""
    for note in (*facts.notes, *notes):
        findings.note(note)
    for doubt in facts.doubts:
        findings.warn(SOURCE_DOUBT, 0, (), doubt)


def first_rows(mask: Bools) -> list[int]:
    """Return the row numbers of the first examples under a mask."""
    if not mask.any():
        return []
    head = int(np.argmax(mask))
    rest = np.flatnonzero(mask[head : head + 100_000])[:EXAMPLES] + head
    found = [int(each) for each in rest]
    if len(found) < EXAMPLES:
        found = [int(each) for each in np.flatnonzero(mask)[:EXAMPLES]]
    return found


def merged(findings: list[Finding]) -> list[Finding]:
    """Merge findings of the same kind, in order of their first occurrence."""
    by_key: dict[tuple[str, ...], Finding] = {}
    for each in findings:
        key = (each.source, each.symbol, each.kind, each.policy, each.message)
        if key in by_key:
            before = by_key[key]
            examples = (*before.examples, *each.examples)[:EXAMPLES]
            each = replace(before, count=before.count + each.count, examples=examples)
        by_key[key] = each
    return list(by_key.values())
