"""Number of tries before a result, and its Sharpe ratio deflated by them."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from septet._data.stamps import iso
from septet._results.number_texts import chance, count, number
from septet._results.selection_bias import expected_maximum_sharpe, probabilistic_sharpe

__all__ = ["Tries", "deflated", "sentence"]

CONFIDENCE: Final = 0.95


class Tries(msgspec.Struct, frozen=True):
    """What the ledger of trials knows of the data of a run.

    `count` is how many plans were tried on it, this one included, with `declared` tries made
    elsewhere; `effective` is how many independent ones they are worth. `problem` is why the
    ledger does not know: then the other figures are None. `file_first_ns` is when the file of the
    run was first tried, and `asked_ns` when the ledger was asked (UTC ns).
    """

    count: int | None
    effective: float | None
    declared: int = 0
    problem: str = ""
    file_first_ns: int | None = None
    asked_ns: int = 0

    def document(
        self, sharpe_daily: float | None, days: int, skew: float | None, kurtosis: float | None, *,
        over_holding: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the entry of summary.json for a run with this ratio: see `deflated`.

        `over_holding` means that the ratio is of returns over those of holding.
        """
        probability = deflated(self, sharpe_daily, days, skew, kurtosis)
        return {
            "count": self.count, "effective": self.effective, "declared": self.declared,
            "deflated_sharpe": probability, "problem": self.problem or None,
            "file_first": None if self.file_first_ns is None else iso(self.file_first_ns),
            "text": sentence(self, probability, over_holding=over_holding),
        }  # fmt: skip


def deflated(
    tries: Tries, sharpe_daily: float | None, days: int, skew: float | None, kurtosis: float | None
) -> float | None:
    """Probability that the true Sharpe ratio of a run, one of so many tries, is above zero.

    The probabilistic ratio of the run against what the best of `tries.effective` worthless tries
    reaches, whose ratios have the error of one of `days` daily returns, ``1 / sqrt(n - 1)``.

    Returns
    -------
    float or None
        From 0 to 1; None where the tries, or the ratio, are not known.

    References
    ----------
    Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio
    Management 40(5).
    """
    if tries.effective is None or days < 2:
        return None
    error = 1.0 / math.sqrt(days - 1)
    expected = expected_maximum_sharpe(max(1, round(tries.effective)), error)
    return probabilistic_sharpe(sharpe_daily, days, skew, kurtosis, expected or 0.0)


def sentence(tries: Tries, probability: float | None, *, over_holding: bool = False) -> str:
    """Return the verdict's sentence on the tries; empty if there is nothing to state."""
    if tries.problem:
        return f"How many tries preceded it is not known: {tries.problem}."
    if tries.count is None or tries.effective is None:
        return ""
    if tries.count < 2:
        return "It is the first try on these data that the ledger of trials knows of."
    elsewhere = f", {count(tries.declared)} of them declared" if tries.declared else ""
    text = f"It is one of {count(tries.count)} tries on these data{elsewhere}"
    if tries.effective < 0.95 * tries.count:
        text += f", worth {number(tries.effective, 1)} independent ones"
    if probability is None:
        return f"{text}."
    ratio = "its true Sharpe ratio" + (" over holding" if over_holding else "")
    sure = f"is above zero with a probability of {chance(probability)} (deflated Sharpe ratio)"
    unsure = "" if probability >= CONFIDENCE else ", so it cannot be distinguished from chance"
    return f"{text}: {ratio} {sure}{unsure}."
