"""The explanation of an order as plain lines, for output without tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from septet._app.runs import why_sentence

__all__ = ["why_lines"]


def why_lines(explanation: Mapping[str, Any]) -> list[str]:
    """Return an explanation of `why_order` as lines: the sentence first, then its facts."""
    from septet._report.why import parts_of, value_text

    lines = [why_sentence(dict(explanation))]
    if explanation["rule"]:
        rule = str(explanation["rule"])
        lines.append(f"{rule[:1].upper()}{rule[1:]}.")
    lines.append(f"decided at {explanation['time']} (UTC)")
    if explanation["left_out"]:
        lines.append("the run was made with --fast, which leaves the decisions out")
    for title, values in parts_of(explanation):
        texts = (f"{name.replace('_', ' ')} {value_text(each)}" for name, each in values.items())
        lines += ["", title, *(f"  {each}" for each in texts)]
    if explanation["trace"]:
        lines += ["", "Steps"]
        lines += [
            f"  {each['ms']:+,.3f} ms  {each['step']}  {each['text']}"
            for each in explanation["trace"]
        ]
    return lines
