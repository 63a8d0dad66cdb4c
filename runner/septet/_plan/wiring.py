"""The text that wires a strategy's plugins into its plan: features over times, and the signal.

The rules of trading are ordinary Python in `septet._rules`. The functions written here depend on
the strategy by more than what is removed: a loop for each group of features, a stage for each
level of the graph, and the call of the signal with the columns that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from septet._plan.specialise import UNPACK

__all__ = ["WIRED", "features_text", "signal_entries_text", "signal_text"]


def _function(name: str, parameters: str, lines: Sequence[str], doc: str = "") -> str:
    """Write a function of the hot path; arrays are its last parameters."""
    body = [f'"""{doc}"""', *lines] if doc else list(lines)
    return "\n".join(
        ["@kernel", f"def {name}({parameters}):", *(f"    {line}" for line in body or ["pass"])]
    )


def _indented(lines: Sequence[str], by: int = 1) -> list[str]:
    return ["    " * by + line for line in lines]


def features_text(context: Mapping[str, Any]) -> str:
    """Write the loops of the features, and the function that runs them over a span of times."""
    args = context["args"]
    functions = []
    for number, loop in enumerate(context["loops"], start=1):
        first_lines = ["ages = M[k, AGE]", "begun = i0 - ages[i0]"]
        lines = [*first_lines, *loop.prologue, *loop.body]
        functions.append(_function(f"observe_{number}", f"k, i0, i1, {args}", lines))
    for number, lines in enumerate(context["acrosses"], start=1):
        functions.append(_function(f"across_{number}", f"t, {args}", lines))
    functions.append(_function("observe_span", f"t0, t1, {args}", _span(context)))
    return "\n\n\n".join(functions)


def _span(context: Mapping[str, Any]) -> list[str]:
    """Write the loop of features over times: the stages in order, each history separately."""
    args = context["args"]
    if not context["loops"] and not context["acrosses"]:
        return []
    if context["one"] and not context["acrosses"]:
        calls = [f"observe_{n}(0, t0, end, {args})" for n in context["stages"][0]["loops"]]
        inner = ["end = unbroken(t0, t1, M[0, AGE])", *calls, "t0 = end"]
        return ["while t0 < t1:", *_indented(inner)]
    lines: list[str] = []
    for stage in context["stages"]:
        if stage["loops"]:
            calls = [f"observe_{n}(k, i0, end, {args})" for n in stage["loops"]]
            inner = ["end = unbroken(i0, i1, M[k, AGE])", *calls, "i0 = end"]
            lines += [
                f"for k in range({context['symbols']}):",
                "    i0, i1 = bars_of(T[ROW + k], t0, t1)",
                "    while i0 < i1:",
                *_indented(inner, by=2),
            ]
        for n in stage["acrosses"]:
            lines += ["for t in range(t0, t1):", f"    across_{n}(t, {args})"]
    return lines


def signal_text(context: Mapping[str, Any]) -> str:
    """Write the call of the signal for one bar, and for a stretch where it ignores the account."""
    args, views = context["args"], context["signal_view_names"]
    functions = [
        _function(
            "signal_target", f"k, i, side, {views}{args}", _signal_lines(context),
            "The target side at bar i of k, its confidence, and why there is none.",
        )
    ]  # fmt: skip
    if context["signal_ignores_account"]:
        loop = [
            f"target, confidence, rejected = signal_target(k, i, 0.0, {views}{args})",
            f"note(k, i, target, confidence, rejected, {args})",
        ]
        lines = [*context["signal_views"], "for i in range(i0, i1):", *_indented(loop)]
        doc = "The signal ignores the account: its target sides are found before any of them acts."
        functions.append(_function("signals_ahead", f"k, i0, i1, {args}", lines, doc))
        lines = [
            f"for k in range({context['symbols']}):",
            "    i0, i1 = bars_of(T[ROW + k], t0, t1)",
            f"    signals_ahead(k, i0, i1, {args})",
        ]
        if context["one"]:
            lines = [f"signals_ahead(0, t0, t1, {args})"]
        doc = "Find the target sides of every symbol over times t0 to t1."
        functions.append(_function("signals_over", f"t0, t1, {args}", lines, doc))
    lines = [*context["signal_views"], f"return signal_target(k, i, side, {views}{args})"]
    functions.append(_function("ask_signal", f"k, i, side, {args}", lines, "The same for one bar."))
    return "\n\n\n".join(functions)


def signal_entries_text(context: Mapping[str, Any]) -> str:
    """Write the entries of the signal that trading calls where both are compiled separately."""
    args = context["args"]
    entries = []
    if context["signal_ignores_account"]:
        lines = [f"signals_over(t0, t1, {args})", "return t1"]
        entries.append(_entry("signals", "t0, t1", lines, "Keep the signals of times t0 to t1."))
    lines = [
        f"target, confidence, rejected = ask_signal(k, i, ASKED[ASKED_SIDE], {args})",
        "ASKED[ASKED_TARGET] = target", "ASKED[ASKED_CONFIDENCE] = confidence",
        "return rejected + 1",
    ]  # fmt: skip
    doc = "Answer for bar i of k in ASKED; the number of the reason for no side plus one, or 0."
    entries.append(_entry("signal", "k, i", lines, doc))
    return "\n\n\n".join(entries)


def _entry(name: str, parameters: str, lines: Sequence[str], doc: str) -> str:
    """Write a function that is called with a table of arrays."""
    body = "\n".join(f"    {line}" for line in (f'"""{doc}"""', UNPACK, *lines))
    return f'@entry("int64(int64, int64, int64[:, ::1])")\ndef {name}({parameters}, V):\n{body}'


def _signal_lines(context: Mapping[str, Any]) -> list[str]:
    call = [
        f"target, confidence, why = {context['signal_call']}",
        *context["answer_checks"],
        "if target != target and why >= 0:",
        "    rejected = R_SIGNAL + why",
    ]
    if context["model_row"] is not None and context["portfolio"] is None:
        without = "    target, confidence, rejected = nan, 0.0, R_MODEL + int(state_of[at(i)]) - 1"
        call = ["if state_of[at(i)] != 0.0:", without, "else:", *_indented(call)]
    lines = [*context["signal_lines"], "rejected = -1", *call]
    if context["spot"]:
        lines += ["if target == -1.0:", "    target = 0.0", "    rejected = R_SHORT_AS_FLAT"]
    return [*lines, "return target, confidence, rejected"]


WIRED: Final = {
    features_text: ("observe_N", "across_N", "observe_span"),
    signal_text: ("signal_target", "signals_ahead", "signals_over", "ask_signal"),
}
"""Which function writes which; the number of a loop or stage ends a name."""
