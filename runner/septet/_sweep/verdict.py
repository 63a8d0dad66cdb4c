"""The summary of a sweep in words: the best setting, and how significant it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from septet._results.number_texts import chance, count, number, plural
from septet._results.verdict import ENOUGH_TRADES, unchecked_text
from septet._sweep.setting_row import INVALID_ANSWERS
from septet._sweep.size_caps import size_cap_text
from septet._sweep.sweep_findings import GOAL_WORDS, goal_text

if TYPE_CHECKING:
    from septet._sweep.sweep_findings import Findings

__all__ = ["broken", "choice", "data_text", "overfitted", "overview", "paragraphs", "tone"]

_CONFIDENCE: Final = 0.95
_LOW_OVERFITTING: Final = 0.05
_EVEN_CHANCE: Final = (0.4, 0.6)
_UNLIKELY_SHARPE: Final = 4.0
_DOUBTS_SHOWN: Final = 10


def overview(findings: Findings) -> str:
    """Return how many settings were tried, and why some have no result."""
    done, tried = findings.count("done"), findings.table.height
    text = f"{plural(tried, 'setting')} tried"
    if findings.planned > tried:
        text = (
            f"{count(tried)} of {count(findings.planned)} settings tried: the sweep is not complete"
        )
    without_result = [
        f"{count(findings.count(status))} {outcome}"
        for status, outcome in (("failed", "failed"), ("pruned", "were pruned"))
        if findings.count(status)
    ]
    silent = done - findings.ranked.height
    if silent:
        without_result.append(f"{count(silent)} without a {GOAL_WORDS[findings.goal]}")
    return f"{text}{', ' if without_result else ''}{', '.join(without_result)}."


def _at_the_edge(findings: Findings, best: dict[str, Any]) -> list[str]:
    """Return the keys whose best value is the first or last of those that were tried."""
    return [
        axis.name
        for axis in findings.axes
        if len(axis.values) > 2
        and not axis.drawn
        and best[axis.key] in (axis.values[0], axis.values[-1])
    ]


def choice(findings: Findings) -> str:
    """Return the best setting, and its significance alone and as the best of many."""
    best = findings.best
    if best is None:
        return f"No setting has a {GOAL_WORDS[findings.goal]}, so none is the best."
    values = ", ".join(f"{axis.name} {axis.text(best[axis.key])}" for axis in findings.axes)
    result = goal_text(findings.goal, best[findings.goal])
    if findings.goal != "sharpe":
        result += f", Sharpe ratio {number(best['sharpe'])}"
    sentences = [
        f"Best by {GOAL_WORDS[findings.goal]}: setting {count(best['setting'])} ({values}), "
        f"{result}.",
        _ratios(findings, best),
    ]
    if (best["trades"] or 0) < ENOUGH_TRADES:
        sentences.append(f"It made {plural(best['trades'] or 0, 'trade')}, too few to judge.")
    edge = _at_the_edge(findings, best)
    if edge:
        sentences.append(f"It lies at the edge of what was tried: {', '.join(edge)}.")
    excess = best["excess_sharpe"] if findings.over_holding else None
    if any(each is not None and each > _UNLIKELY_SHARPE for each in (best["sharpe"], excess)):
        sentences.append(
            "A Sharpe ratio this high is more often a mistake in data or costs than an edge."
        )
    return " ".join(part for part in sentences if part)


def _ratios(findings: Findings, best: dict[str, Any]) -> str:
    if best["psr"] is None:
        return "Its Sharpe ratio cannot be assessed: too few days of returns, or none that differ."
    over = ""
    if findings.over_holding:
        over = f" over holding the same exposure, {number(best['excess_sharpe'])} here,"
    above = f"is above zero with a probability of {chance(best['psr'])} (PSR)"
    alone = f"By itself, its true Sharpe ratio{over} {above}"
    if not findings.over_holding:
        alone += ", measured against zero and not against holding"
    if best["dsr"] is None or findings.chosen_from < 2:
        return f"{alone}."
    some = findings.chosen_from < findings.table.height
    which = " that have a ratio" if some else ""
    if some and findings.count("pruned"):
        which += " or were pruned"
    sentence = (
        f"{alone}; as the best of {count(findings.chosen_from)} settings{which}, with a "
        f"probability of {chance(best['dsr'])} (DSR), since the best of as many settings without "
        f"skill reaches {number(findings.expected_best)} by chance."
    )
    if best["dsr"] < _CONFIDENCE:
        return f"{sentence} It cannot be distinguished from chance."
    if not findings.over_holding:
        return (
            f"{sentence} In this sample it is above zero by more than selection explains. How "
            "much of it is due to a rising market is not measured, because settings went short."
        )
    return f"{sentence} In this sample it exceeds chance; another sample may differ."


def overfitted(findings: Findings) -> str:
    """Return the performance of the chosen setting on days that did not choose it."""
    seen = findings.overfitting
    if seen.probability is None:
        return f"No overfitting probability: {seen.problem}."
    share = seen.probability
    sentence = (
        f"Overfitting probability {chance(share)}: in this share of the "
        f"{count(len(seen.logits))} splits of the days into halves, the setting with the best "
        "Sharpe ratio in one half was no better than the median in the other."
    )
    if share <= _LOW_OVERFITTING:
        return f"{sentence} Within these days the choice carried over; later days were not tested."
    if share < _EVEN_CHANCE[0]:
        return f"{sentence} The choice carried over more often than not, but not reliably."
    than = "about" if share <= _EVEN_CHANCE[1] else "no better than"
    return (
        f"{sentence} That is {than} a coin toss: being best here proves nothing for other days. "
        "It compares the settings with one another: if they all share one edge, it shows that the "
        "choice among them does not matter, and nothing about the edge."
    )


def broken(findings: Findings) -> str:
    """Return how many settings had a rule break its contract, and whether the best one did."""
    rows = findings.broken
    if not rows.height:
        return ""
    sentence = (
        f"In {plural(rows.height, 'setting')} of {count(findings.count('done'))} a rule gave "
        f"answers that its kind does not allow; the column {INVALID_ANSWERS} counts them."
    )
    best = findings.best
    best_breaks = None if best is None else best[INVALID_ANSWERS]
    return f"{sentence} The best is one of them: {best_breaks}." if best_breaks else sentence


def data_text(findings: Findings) -> str:
    """Return the doubts about the data that all settings read."""
    shown = [f"{each}." for each in findings.doubts[:_DOUBTS_SHOWN]]
    rest = len(findings.doubts) - len(shown)
    more = [f"And {count(rest)} more, in manifest.json."] if rest else []
    return " ".join([*shown, *more])


def paragraphs(findings: Findings) -> list[str]:
    """Return the whole verdict, a paragraph each."""
    doubt = unchecked_text(findings.unchecked) if findings.unchecked else ""
    capped = size_cap_text(findings.table)
    sentences = (
        overview(findings), choice(findings), data_text(findings), doubt, capped, broken(findings),
        overfitted(findings),
    )  # fmt: skip
    return [text for text in sentences if text]


def tone(findings: Findings) -> str:
    """Return the colour class of the verdict: `bad`, `caution` or `plain`."""
    best, share = findings.best, findings.overfitting.probability
    if best is None:
        return "bad"
    doubtful = (
        (best["trades"] or 0) < ENOUGH_TRADES
        or best["dsr"] is None
        or best["dsr"] < _CONFIDENCE
        or share is None
        or share > _LOW_OVERFITTING
        or findings.planned > findings.table.height
        or bool(findings.unchecked)
        or bool(findings.doubts)
        or bool(findings.broken.height)
    )
    return "caution" if doubtful else "plain"
