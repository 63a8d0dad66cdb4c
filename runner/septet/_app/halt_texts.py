"""What a halt or a resume has done, in words: for the terminal and the page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from septet._text import one_line

if TYPE_CHECKING:
    from septet._app.halt import Halted

__all__ = ["outcome_lines"]

_CANCELLED: Final = (
    "  {when}: all its resting {simulated}orders{venue}, entries, exits and protective stops"
)
_NOT_ACTED: Final = "  cancelled: nothing{more}; {simulated}orders that rest{venue} stay there"
_AS_JOURNALLED: Final = "  what it holds and what rests, as its journal knows:"
_UNKNOWN: Final = "  what it holds and what rests cannot be read: look at the venue"
_NOTHING_SENT: Final = (
    "  cancelled: nothing, if it has just begun: a run sends no order before it has a journal",
    "  if its journal was lost or removed: look at the venue for what is open and held",
)
_KEPT: Final = (
    "  kept: its {simulated}positions; while its process runs, exits are still sent, and the "
    "process watches the levels of the stops"
)
_HELD: Final = (
    "  kept: its {simulated}positions; until its next start no exit is sent, and no stop acts but "
    "those that rest at the venue"
)
_NAKED: Final = "  if the process ends, the positions have no stop until its next start"
_CLEARED: Final = (
    "  cleared by: septet resume {run} --name YOU --reason WHY, and by no restart; until then no "
    "entry is sent"
)
_PLACED: Final = "; the stops are placed again"
_CLOSES: Final = "  septet halt {run} --flatten closes the positions as well"


def outcome_lines(found: Halted, wait_s: float) -> list[str]:
    """Return what became of a halt or a resume, and what a halt cancels, keeps and is cleared by.

    `wait_s` is how long the run was waited for.
    """
    from septet._live.kill_switch import moved_aside_text

    aside = found.moved_aside if found.action == "resume" else ()
    moved_aside = [f"  {moved_aside_text(name)}" for name in aside]
    return [*_result_lines(found, wait_s), *_effects(found), *moved_aside]


def _effects(found: Halted) -> list[str]:
    """Return what a halt cancels, keeps and is cleared by; a flatten keeps no position."""
    if found.action == "resume":
        return []
    run, paper = found.run_id, found.mode == "paper"
    words = {"simulated": "simulated " if paper else "", "venue": "" if paper else " at the venue"}
    cleared = _CLEARED.format(run=run)
    if not found.has_journal:
        return [*_NOTHING_SENT, cleared]
    if found.is_idle:
        return [*_idle_effects(found, words), cleared + ("" if paper else _PLACED)]
    if found.action == "flatten":
        return [cleared]
    when = "cancelled" if found.taken else "to be cancelled, once it looks"
    cancelled, kept = _CANCELLED.format(when=when, **words), _KEPT.format(**words)
    if paper:
        return [cancelled, kept, cleared, _CLOSES.format(run=run)]
    return [cancelled, kept, _NAKED, cleared + _PLACED, _CLOSES.format(run=run)]


def _idle_effects(found: Halted, words: dict[str, str]) -> list[str]:
    """Return that no process acts on a halt before the next start, and what it will act on."""
    from septet._report.open_state import lines_of

    more = " more than its journal shows" if found.taken else ""
    lines = [_NOT_ACTED.format(more=more, **words), _HELD.format(**words)]
    if words["simulated"]:
        lines[1] = lines[1].removesuffix(" but those that rest at the venue")
    if found.unread:
        return [*lines, *([] if words["simulated"] else [_UNKNOWN])]
    return [*lines, _AS_JOURNALLED, *(f"  {each}" for each in lines_of(found.state or {}))]


def _result_lines(found: Halted, wait_s: float) -> list[str]:
    """Return what became of it."""
    name, resuming = found.run_id, found.action == "resume"
    if found.mode == "paper":
        name, simulated = f"{name} (paper)", "simulated "
    else:
        simulated = ""
    if found.unread:
        what = "the halt is cleared" if resuming else f"it is asked to {found.action}"
        process = "its process looks twice a second" if found.running else "it is not running"
        if not found.has_journal:
            unread = "  whether that was taken cannot be read: it has no journal"
            return [f"{name}: {what}, which stands in its folder; {process}", unread]
        return [
            f"{name}: {what}, which stands in its folder; {process}",
            f"  whether that was taken cannot be read: {found.unread}",
            *([] if simulated else ["  look at the venue for what is open and held"]),
        ]
    if resuming and found.cleared == ():
        running = "" if found.running else "is not running, and "
        return [f"{name} {running}was not halted: there is nothing to clear"]
    if found.is_idle:
        ended = "'s process has ended" if found.ended else " is not running"
        if resuming:
            stops = "; it first places the protective stops of what it holds again"
            again = stops if (found.state or {}).get("positions") else ""
            return [f"{name}{ended}; the halt is cleared, and its next start may trade{again}"]
        closing = f", then closes its {simulated}positions" if found.action == "flatten" else ""
        text = (
            f"{name}{ended}; the halt takes effect at its next start, which cancels its "
            f"{simulated}orders first"
        )
        return [f"{text}{closing}"]
    if not found.taken:
        text = f"{name} has not answered within {wait_s:g} s; what was asked stands in its folder"
        return [text, "  it takes effect as soon as the process looks, or at its next start"]
    if resuming:
        return [f"{name} may trade again"]
    left = found.open_orders
    if left == 0 and found.action != "flatten":
        return [f"{name} is halted; it has no open {simulated}orders"]
    if left == 0 and not found.held:
        return [f"{name} is halted; it has no open {simulated}orders, and its positions are closed"]
    if left == 0:
        held = ", ".join(map(one_line, found.held))
        return [
            f"{name} is halted; it has no open {simulated}orders, and still holds {held}",
            "  it goes on closing at market; septet runs show states what is left",
        ]
    orders = "not known yet" if left is None else f"{left} at the last look"
    return [
        f"{name} is halted; open {simulated}orders: {orders}; it goes on cancelling until there "
        "are none"
    ]
