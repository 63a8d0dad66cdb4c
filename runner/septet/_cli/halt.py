"""`septet halt` and `septet resume`: the kill switch, and its clearing by a named person."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from septet._app.documents import to_json
from septet._cli.terminal import echo, echo_json
from septet._store.run_order import run_id_in, run_order
from septet.errors import InputError, SeptetError

if TYPE_CHECKING:
    from septet._journal.reader import Reader

__all__ = ["halt", "resume"]

_LOOK_S: Final = 0.1
_BACK: Final = 256
_OF_LIVE_RUNS: Final = ("journal.sqlite", "journal.sqlite-tail", "log.jsonl")
"""What only a paper or live run leaves; a damaged one may have lost some of it."""
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
_JOURNAL: Final = ("journal.sqlite", "journal.sqlite-tail")
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
_BY_PERSONS: Final = ("person", "resume", "manual")
"""Words for what ends a halt or a block, where a person may."""
_RUN_HELP: Final = "RUN is a folder, a run id or its beginning, a strategy's name, or `latest`."
_root = click.option(
    "--out",
    "--runs",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder that holds the runs.",
)
_wait = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0.0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the run to say that it is done.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command(
    help="Stop a paper or live run from entering, at once and durably. Cancelled: all its resting "
    "orders, entries, exits and protective stops, of a live run again until the venue shows none. "
    "Kept: its positions; while the process runs, exits are still sent and it watches the levels "
    "of the stops, and if it ends, the positions have no stop until the next start. Cleared by: "
    "septet resume, and by no restart. In a paper run orders and positions are simulated. Where no "
    "process of the run takes it nothing is cancelled before the next start: the status is 1 if "
    "something rests or is held, or if that cannot be read. "
    f"{_RUN_HELP}"
)
@click.argument("run")
@click.option("--flatten", is_flag=True, help="Close the positions as well, at market.")
@click.option("--name", default="", help="Who halts it; by default the name of your login.")
@click.option("--reason", default="", help="Why; it is written to the journal.")
@_wait
@_root
@_json
def halt(
    run: str, flatten: bool, name: str, reason: str, wait_s: float, root: Path, as_json: bool
) -> None:
    """Halt a run."""
    from septet._live.kill import ask_halt

    folder, since_ns = _folder(run, root), time.time_ns()
    asked = ask_halt(  # before anything is read: the journal may be damaged, or locked
        folder, flatten=flatten, name=name or _login(), reason=reason or "no reason was given",
        now_ns=since_ns,
    )  # fmt: skip
    _report(folder, asked.action, since_ns, wait_s, as_json)


@click.command(
    help="Let a halted run trade again: clears every block that waits for a person. A name and a "
    f"reason are needed, and are written to the journal. {_RUN_HELP}"
)
@click.argument("run")
@click.option("--name", help="Who takes it on; needed.")
@click.option("--reason", help="Why it may trade again; needed.")
@_wait
@_root
@_json
def resume(
    run: str, name: str | None, reason: str | None, wait_s: float, root: Path, as_json: bool
) -> None:
    """Clear the halt of a run."""
    from septet._live.kill import ask_resume

    if name is None or reason is None:
        given = (("--name", name), ("--reason", reason))
        missing = " and ".join(option for option, value in given if value is None)
        raise click.UsageError(
            f"{missing} missing: a resume is written to the journal with who takes it on and why"
        )
    folder, since_ns = _folder(run, root), time.time_ns()
    nothing = _holds_nothing(folder)
    if not nothing:
        ask_resume(folder, name=name, reason=reason, now_ns=since_ns)
    _report(folder, "resume", since_ns, wait_s, as_json, nothing=nothing)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container without users still may halt


def _folder(run: str, root: Path) -> Path:
    """Return a run's folder with a journal; a backtest cannot be halted.

    Raises
    ------
    InputError
        There is none.
    """
    given = Path(run)
    if any(os.path.exists(given / name) for name in _OF_LIVE_RUNS):
        return given
    found = {path.parent for name in _OF_LIVE_RUNS for path in root.glob(f"*/*/{name}")}
    journals = sorted(found, key=run_order)
    if run == "latest" and journals:
        return journals[-1]
    named = [path for path in journals if path.parent.name == run]
    fitting = named[-1:] or [path for path in journals if run_id_in(path).startswith(run)]
    fitting = fitting or [path for path in journals if path.name.startswith(run)]
    if len({run_id_in(path) for path in fitting}) == 1:  # copies of one run: the one in use
        return fitting[-1]
    if fitting:
        names = ", ".join(path.name for path in fitting[:4])
        raise InputError(f"{run!r} fits {len(fitting)} runs: {names}", hint="give more of the id")
    known = ", ".join(path.name for path in journals[-3:]) or "none"
    raise InputError(
        f"no paper or live run is called {run!r} in {os.path.abspath(root)}",
        hint=f"the latest: {known}; name the folder with --runs",
    )


def _read(folder: Path, ask: Callable[[Reader], Any]) -> Any:
    from septet._journal.reader import Reader

    with Reader(folder / "journal.sqlite") as journal:
        return ask(journal)


def _holds_nothing(folder: Path) -> bool:
    """Whether a stopped run has no block that waits for a person; an unreadable one may have."""
    from septet._journal.lease import holder_of
    from septet._live.kill import HALT

    if holder_of(folder) is not None or os.path.lexists(folder / HALT):
        return False
    try:
        return not _read(folder, _waiting_for_a_person)
    except Exception:  # whatever is wrong with the journal: a halt may stand in it
        return False


def _waiting_for_a_person(journal: Reader) -> set[str]:
    """Return the halts and blocks of a journal that a person may clear."""
    from septet import messages as m

    held = set[str]()
    for entry in journal.read():
        if b'"tripped"' not in entry.commands_json and b'"cleared"' not in entry.commands_json:
            continue
        for each in entry.commands:
            if isinstance(each, m.Tripped) and any(
                word in each.clears_when for word in _BY_PERSONS
            ):
                held.add(each.rule)
            elif isinstance(each, m.Cleared):
                held.discard(each.rule)
    return held


def _report(
    folder: Path, action: str, since_ns: int, wait_s: float, as_json: bool, *, nothing: bool = False
) -> None:
    from septet._journal.lease import holder_of

    holder = holder_of(folder)
    found: dict[str, Any] = {
        "run_id": folder.name, "folder": str(folder), "action": action,
        "running": holder is not None, "taken": False, "open_orders": None, "unread": "",
        "has_journal": any(os.path.lexists(folder / name) for name in _JOURNAL),
    }  # fmt: skip
    if action == "resume":
        found["cleared"] = [] if nothing else None  # None: not known yet
    mode = "live"  # where nobody can read it, orders may be real
    try:
        mode = str(_read(folder, lambda journal: journal.head.mode))
        if holder is not None:
            found |= _await(folder, action, since_ns, wait_s)
        if not found["running"] and not nothing:
            found["state"] = _state_of(folder)
    except Exception as problem:  # whatever is wrong with the journal: what was asked is written
        found["unread"] = problem.message if isinstance(problem, SeptetError) else repr(problem)
    if as_json:
        echo_json(to_json(found))
    else:
        found["mode"] = mode
        for line in [*_result_lines(found, wait_s), *_effects(found)]:
            echo(line)
    if action != "resume" and not _acted(found):
        raise SystemExit(1)


def _state_of(folder: Path) -> dict[str, Any]:
    """Return the positions and resting orders of a run, from its journal."""
    from septet._report.open_state import open_state
    from septet._store.journal_view import LiveRun

    return open_state(LiveRun(folder)) or {}


def _is_idle(found: dict[str, Any]) -> bool:
    """Whether no process acts on the request, and none has completed it."""
    done = found["taken"] and (found["action"] == "resume" or found["open_orders"] == 0)
    return not found["running"] and not done


def _acted(found: dict[str, Any]) -> bool:
    """Whether a process acted on a halt, or it had nothing to do."""
    if found["unread"]:
        return bool(found["running"])
    if found["running"] or not _is_idle(found):
        return bool(found["taken"])
    state = found.get("state") or {}
    closes = found["action"] == "flatten" and state.get("positions")
    return not (state.get("orders") or closes)


def _await(folder: Path, action: str, since_ns: int, wait_s: float) -> dict[str, Any]:
    """Wait until the run has journalled the request, and then until no order is open.

    A process that ends meanwhile is waited for no longer.
    """
    from septet._journal.lease import holder_of

    tag = _read(folder, lambda journal: str(journal.head.facts.get("tag", "")))
    before = _read(folder, lambda journal: _before(journal, since_ns))
    until = time.monotonic() + wait_s
    while True:
        running = holder_of(folder) is not None  # before it is read: then it reads all there is
        found = _read(folder, lambda journal: _outcome(journal, action, before, tag))
        done = found["taken"] and (action == "resume" or found["open_orders"] == 0)
        if done or not running or time.monotonic() >= until:
            return {**found, "running": running, "ended": not running}
        time.sleep(_LOOK_S)


def _before(journal: Reader, since_ns: int) -> int:
    """Return the last entry before a request: the run may have acted on it by now."""
    last = journal.last_seq
    while last > 0:
        first = max(0, last - _BACK)
        older = [each.seq for each in journal.read(first, last) if each.at_ns < since_ns]
        if older:
            return older[-1]
        last = first
    return 0


def _outcome(journal: Reader, action: str, before: int, tag: str) -> dict[str, Any]:
    """Read on from an entry: whether the request was journalled, and the open orders since."""
    from septet import messages as m

    taken, left, cleared = False, None, list[str]()
    for entry in journal.read(before):
        if entry.kind == "operated":
            event = entry.event
            if isinstance(event, m.Operated) and event.action == action:
                taken = True
                cleared += [each.rule for each in entry.commands if isinstance(each, m.Cleared)]
        elif taken and entry.kind == "open_orders":
            event = entry.event
            assert isinstance(event, m.OpenOrders)
            left = sum(each.client_id.startswith(tag) for each in event.orders)
    if taken and left is None and not _trades_outside(journal):
        left = 0  # fills happen inside the run: it has no orders anywhere
    log_to_stderr = {"cleared": cleared} if taken and action == "resume" else {}
    return {"taken": taken, "open_orders": left, **log_to_stderr}


def _trades_outside(journal: Reader) -> bool:
    return bool(journal.head.facts.get("core", {}).get("timing"))


def _effects(found: dict[str, Any]) -> list[str]:
    """Return what a halt cancels, keeps and is cleared by; a flatten keeps no position."""
    if found["action"] == "resume":
        return []
    run, paper = found["run_id"], found["mode"] == "paper"
    words = {"simulated": "simulated " if paper else "", "venue": "" if paper else " at the venue"}
    cleared = _CLEARED.format(run=run)
    if not found["has_journal"]:
        return [*_NOTHING_SENT, cleared]
    if _is_idle(found):
        return [*_idle_effects(found, words), cleared + ("" if paper else _PLACED)]
    if found["action"] == "flatten":
        return [cleared]
    when = "cancelled" if found["taken"] else "to be cancelled, once it looks"
    cancelled, kept = _CANCELLED.format(when=when, **words), _KEPT.format(**words)
    if paper:
        return [cancelled, kept, cleared, _CLOSES.format(run=run)]
    return [cancelled, kept, _NAKED, cleared + _PLACED, _CLOSES.format(run=run)]


def _idle_effects(found: dict[str, Any], words: dict[str, str]) -> list[str]:
    """Return that no process acts on a halt before the next start, and what it will act on."""
    from septet._report.open_state import lines_of

    more = " more than its journal shows" if found["taken"] else ""
    lines = [_NOT_ACTED.format(more=more, **words), _HELD.format(**words)]
    if words["simulated"]:
        lines[1] = lines[1].removesuffix(" but those that rest at the venue")
    if found["unread"]:
        return [*lines, *([] if words["simulated"] else [_UNKNOWN])]
    return [*lines, _AS_JOURNALLED, *(f"  {each}" for each in lines_of(found["state"]))]


def _result_lines(found: dict[str, Any], wait_s: float) -> list[str]:
    name, resuming = found["run_id"], found["action"] == "resume"
    if found["mode"] == "paper":
        name, simulated = f"{name} (paper)", "simulated "
    else:
        simulated = ""
    if found["unread"]:
        what = "the halt is cleared" if resuming else f"it is asked to {found['action']}"
        process = "its process looks twice a second" if found["running"] else "it is not running"
        if not found["has_journal"]:
            unread = "  whether that was taken cannot be read: it has no journal"
            return [f"{name}: {what}, which stands in its folder; {process}", unread]
        return [
            f"{name}: {what}, which stands in its folder; {process}",
            f"  whether that was taken cannot be read: {found['unread']}",
            *([] if simulated else ["  look at the venue for what is open and held"]),
        ]
    if resuming and found.get("cleared") == []:
        running = "" if found["running"] else "is not running, and "
        return [f"{name} {running}was not halted: there is nothing to clear"]
    if _is_idle(found):
        ended = "'s process has ended" if found.get("ended") else " is not running"
        if resuming:
            stops = "; it first places the protective stops of what it holds again"
            again = stops if (found.get("state") or {}).get("positions") else ""
            return [f"{name}{ended}; the halt is cleared, and its next start may trade{again}"]
        closing = f", then closes its {simulated}positions" if found["action"] == "flatten" else ""
        text = (
            f"{name}{ended}; the halt takes effect at its next start, which cancels its "
            f"{simulated}orders first"
        )
        return [f"{text}{closing}"]
    if not found["taken"]:
        text = f"{name} has not answered within {wait_s:g} s; what was asked stands in its folder"
        return [text, "  it takes effect as soon as the process looks, or at its next start"]
    if resuming:
        return [f"{name} may trade again"]
    left = found["open_orders"]
    if left == 0:
        closing = (
            f"; its {simulated}positions are being closed at market, septet runs show says what "
            "is left"
            if found["action"] == "flatten"
            else ""
        )
        return [f"{name} is halted; it has no open {simulated}orders{closing}"]
    orders = "not known yet" if left is None else f"{left} at the last look"
    return [
        f"{name} is halted; open {simulated}orders: {orders}; it goes on cancelling until there "
        "are none"
    ]
