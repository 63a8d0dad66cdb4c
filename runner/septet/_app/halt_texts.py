"""Texts on the outcome of a halt or a resume, for the terminal and the page."""

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


def outcome_lines(halted: Halted, wait_s: float) -> list[str]:
    """Return the outcome of a halt or a resume, and what a halt cancels, keeps and is cleared by.

    `wait_s` is how long the run was waited for.
    """
    from septet._live.kill_switch import moved_aside_text

    folders_moved = halted.moved_aside if halted.action == "resume" else ()
    moved_aside = [f"  {moved_aside_text(name)}" for name in folders_moved]
    return [*_result_lines(halted, wait_s), *_effects(halted), *moved_aside]


def _effects(halted: Halted) -> list[str]:
    """Return what a halt cancels, keeps and is cleared by; a flatten keeps no position."""
    if halted.action == "resume" or halted.replaced_by:
        return []
    run, paper = halted.run_id, halted.mode == "paper"
    inserts = {
        "simulated": "simulated " if paper else "",
        "venue": "" if paper else " at the venue",
    }
    cleared = _CLEARED.format(run=run)
    if not halted.has_journal:
        return [*_NOTHING_SENT, cleared]
    if halted.is_idle:
        return [*_idle_effects(halted, inserts), cleared + ("" if paper else _PLACED)]
    if halted.action == "flatten":
        return [cleared]
    when = "cancelled" if halted.taken else "to be cancelled, once it looks"
    cancelled, kept = _CANCELLED.format(when=when, **inserts), _KEPT.format(**inserts)
    if paper:
        return [cancelled, kept, cleared, _CLOSES.format(run=run)]
    return [cancelled, kept, _NAKED, cleared + _PLACED, _CLOSES.format(run=run)]


def _idle_effects(halted: Halted, inserts: dict[str, str]) -> list[str]:
    """Return that no process acts on a halt before the next start, and what it will act on."""
    from septet._report.open_state import lines_of

    journalled = " more than its journal shows" if halted.taken else ""
    lines = [_NOT_ACTED.format(more=journalled, **inserts), _HELD.format(**inserts)]
    if inserts["simulated"]:
        lines[1] = lines[1].removesuffix(" but those that rest at the venue")
    if halted.unread:
        return [*lines, *([] if inserts["simulated"] else [_UNKNOWN])]
    return [*lines, _AS_JOURNALLED, *(f"  {each}" for each in lines_of(halted.state or {}))]


def _result_lines(halted: Halted, wait_s: float) -> list[str]:
    """Return the outcome of the request."""
    name, resuming = halted.run_id, halted.action == "resume"
    if halted.mode == "paper":
        name, simulated = f"{name} (paper)", "simulated "
    else:
        simulated = ""
    if halted.replaced_by:
        other = f"{one_line(halted.replaced_by)} asked for it before the process had looked"
        if resuming:
            return [f"{name} stays halted: a later halt has replaced the resume; {other}"]
        return [f"{name} is not halted: a later resume has replaced the halt; {other}"]
    if halted.unread:
        request = "the halt is cleared" if resuming else f"it is asked to {halted.action}"
        process = "its process looks twice a second" if halted.running else "it is not running"
        if not halted.has_journal:
            unread = "  whether that was taken cannot be read: it has no journal"
            return [f"{name}: {request}, which stands in its folder; {process}", unread]
        return [
            f"{name}: {request}, which stands in its folder; {process}",
            f"  whether that was taken cannot be read: {halted.unread}",
            *([] if simulated else ["  look at the venue for what is open and held"]),
        ]
    if resuming and halted.cleared == ():
        running = "" if halted.running else "is not running, and "
        return [f"{name} {running}was not halted: there is nothing to clear"]
    if halted.is_idle:
        ended = "'s process has ended" if halted.ended else " is not running"
        if resuming:
            stops = "; it first places the protective stops of what it holds again"
            stops_again = stops if (halted.state or {}).get("positions") else ""
            return [
                f"{name}{ended}; the halt is cleared, and its next start may trade{stops_again}"
            ]
        closing = f", then closes its {simulated}positions" if halted.action == "flatten" else ""
        text = (
            f"{name}{ended}; the halt takes effect at its next start, which cancels its "
            f"{simulated}orders first"
        )
        return [f"{text}{closing}"]
    if not halted.taken:
        text = f"{name} has not answered within {wait_s:g} s; what was asked stands in its folder"
        effect = "  it takes effect as soon as the process looks, or at its next start"
        if halted.pid is None or resuming:
            return [text, effect]
        return [
            text, f"{effect}; a process whose folder was renamed does not see it: "
            f"`kill -USR1 {halted.pid}` halts it",
        ]  # fmt: skip
    if resuming:
        return [f"{name} may trade again"]
    open_orders = halted.open_orders
    if open_orders == 0 and halted.action != "flatten":
        return [f"{name} is halted; it has no open {simulated}orders"]
    if open_orders == 0 and not halted.held:
        return [f"{name} is halted; it has no open {simulated}orders, and its positions are closed"]
    if open_orders == 0:
        symbols = ", ".join(map(one_line, halted.held))
        return [
            f"{name} is halted; it has no open {simulated}orders, and still holds {symbols}",
            "  it goes on closing at market; septet runs show states what is left",
        ]
    orders = "not known yet" if open_orders is None else f"{open_orders} at the last look"
    return [
        f"{name} is halted; open {simulated}orders: {orders}; it goes on cancelling until there "
        "are none"
    ]
