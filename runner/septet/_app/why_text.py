"""Why an order was made, as plain lines: for whoever shows text and no tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from septet._app.runs import why_sentence

__all__ = ["why_lines"]


def why_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what `why_order` found: the sentence first, then what it rests on, a line each."""
    from septet._report.why import parts_of, value_text

    lines = [why_sentence(dict(found))]
    if found["rule"]:
        rule = str(found["rule"])
        lines.append(f"{rule[:1].upper()}{rule[1:]}.")
    lines.append(f"decided at {found['time']} (UTC)")
    if found["left_out"]:
        lines.append("the run was made with --fast, which leaves the decisions out")
    for title, values in parts_of(found):
        shown = (f"{name.replace('_', ' ')} {value_text(each)}" for name, each in values.items())
        lines += ["", title, *(f"  {each}" for each in shown)]
    if found["trace"]:
        lines += ["", "Steps"]
        lines += [
            f"  {each['ms']:+,.3f} ms  {each['step']}  {each['text']}" for each in found["trace"]
        ]
    return lines
