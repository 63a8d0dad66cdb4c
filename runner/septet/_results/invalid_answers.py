"""Counts of invalid return values of the file's rules, which their kind does not allow.

The kit tries a plugin on drawn data; a rule that gives such an answer at a few decisions only is
counted where its answer is read, in every mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from septet._data.stamps import iso
from septet._results.number_texts import plural

if TYPE_CHECKING:
    from septet._results.result import RunResult

__all__ = ["invalid_answers_text", "invalid_answer_rows", "short_invalid_answers"]

EXPECTED: Final = {
    "signal": "no side of +1, -1, 0 or NaN, confidence from 0 to 1 and declared reason",
    "limit": "no quantity of zero or more",
    "order": "no price above zero",
    "regime": "no number of a declared label",
}
"""What was rejected; the other kinds act on an invalid answer, or have none."""


def invalid_answer_rows(result: RunResult) -> list[dict[str, str | int]]:
    """List rules with an invalid answer: key path, plugin, kind, first time, how often.

    Counted are symbols and decision times at which a rule of another package gave such an answer,
    and of a stop of septet that reads columns. A level is counted while a position is held.
    """
    return [
        {
            "rule": each["rule"],
            "plugin": _plugin_of(result.resolved, each["rule"]),
            "kind": each["kind"],
            "first": iso(each["first_ns"]),
            "times": each["times"],
        }
        for each in result.invalid_answers
    ]


def short_invalid_answers(answers: Iterable[Mapping[str, Any]]) -> str | None:
    """Write rules and how often they gave an invalid answer in a cell; None if there are none."""
    texts = [f"{each['rule']} {each['times']}" for each in answers]
    return ", ".join(texts) or None


def _plugin_of(resolved: Mapping[str, Any], rule: str) -> str:
    """Return the name of the plugin that the file uses for a rule."""
    at: Any = resolved
    for key in rule.split(".", 2):
        at = at.get(key) if isinstance(at, Mapping) else None
    use = at.get("use") if isinstance(at, Mapping) else None
    return str(use or rule.rpartition(".")[2])


def invalid_answers_text(answers: list[dict[str, str | int]]) -> list[str]:
    """Return which rules answered what their kind does not allow, and how often."""
    texts = []
    for each in answers:
        times, since = int(each["times"]), f"first at {each['first']}"
        who = f"{each['rule']} ({each['plugin']})"
        kind = str(each["kind"])
        if kind == "sizing":
            texts.append(
                f"The sizing gave no finite size above zero at {plural(times, 'decision')}: each "
                f"entry was rejected; {who}, {since}."
            )
        elif kind in ("stop", "target"):
            texts.append(
                f"A {kind} was no price or lay on the wrong side of the price at "
                f"{plural(times, 'bar')}; {who}, {since}. On the wrong side it closes the position "
                "at once; elsewhere the position had none."
            )
        elif kind in ("halt", "exit"):
            texts.append(
                f"{who} gave neither true nor false at {plural(times, 'time')}, {since}: it counts "
                "as true."
            )
        else:
            texts.append(
                f"{who} gave {EXPECTED[kind]} at {plural(times, 'decision')}, {since}: each was "
                "rejected."
            )
    return texts
