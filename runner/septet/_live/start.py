"""Starts or resumes a run: its folder, its journal, its state, and the reconciliation.

The order: the file, the lease, the journal and the fold of it, then the venue and the feed,
rights and funds, reconciliation, history, the first model. No state is assumed of a venue that does
not answer; nothing is traded before both sides agree.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from septet import messages as m
from septet._core.guards import instant
from septet._core.orders.ids import DIGITS, START_LENGTH
from septet._host.adapter_values import error_place
from septet._host.venues import LiveVenue, VenueFacts
from septet._journal.journal_format import encode_commands
from septet._journal.journal_writer import Durability, Journal
from septet._journal.reader import Reader
from septet._live.fingerprints import fingerprints_of, require_same_fingerprints, versions_of
from septet._live.retry import Stopped, retry_until_answered
from septet._live.shell import Core, Notify
from septet.errors import InputError, JournalError, RunError

__all__ = [
    "CRASHES", "CRASH_WINDOW_NS", "Keeps", "Kept", "OVERLAP_NS", "Options",
    "Recovered", "Stopped", "differences_of", "doubts", "fingerprints_of",
    "first_model", "new_id_part", "require_allowed_rights", "require_newest_copy",
    "require_venue_agreement", "retry_until_answered",
    "reconcile", "reconcile_account", "reconcile_clock", "reconcile_orders",
    "recover", "until_enough", "versions_of",
]  # fmt: skip

CRASHES: Final = 3
"""So many unclean ends within the window are borne; one more begins in safe mode."""
CRASH_WINDOW_NS: Final = 600 * 1_000_000_000
OVERLAP_NS: Final = 600 * 1_000_000_000
"""Fills are asked for from so long before the journal's last entry; each is counted once."""
_UNREAD: Final = 3
"""After so many answers that are no balances a run that knows its orders goes on."""
_MARKET: Final = (m.BarClosed, m.Gapped, m.DecisionTimeReached)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a live run from the command line.

    `early` names a signal that asked the process to stop before the run began, or "". `began_ns`
    is the wall time (UTC ns) at which the command began: a halt since then is meant for it.
    """

    out: Path
    fresh: bool = False
    bars: int | None = None
    until_ns: int | None = None
    durability: Durability | None = None
    level: str = "info"
    quiet: bool = False
    stream: Any = None
    early: Callable[[], str] = lambda: ""
    began_ns: int = field(default_factory=time.time_ns)


def new_id_part() -> str:
    """Return the part of client ids that belongs to one start of a process."""
    return "".join(secrets.choice(DIGITS) for _ in range(START_LENGTH))


# ---------------------------------------------------------------- the state


class Keeps(Core, Protocol):
    """A core with a snapshot and a restore."""

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...


class Kept(msgspec.Struct, frozen=True):
    """A snapshot: the core's state and the shell's.

    `time_ns`, `waiting` and `accounted_ns` are those of `Standing`; `lines` the last bar of each
    symbol and its close; `sent` the last ids that were sent, and their parents; `wakes` and
    `trains` the requests without an answer so far; `tripped` the active halts.
    """

    core: bytes
    time_ns: int
    waiting: list[list[int]]
    accounted_ns: list[int]
    lines: list[tuple[int, float]]
    sent: dict[str, int]
    decisions: int
    wakes: list[int]
    trains: list[m.Train]
    tripped: dict[str, str]
    positions: dict[str, float]
    cash: float
    equity: float


@dataclass(slots=True)
class Recovered:
    """The result of folding a journal."""

    entries: int = 0
    last_seq: int = 0
    from_seq: int = 0
    kept: Kept | None = None
    differences: int = 0
    first_difference: str = ""


def recover(
    core: Keeps,
    journal: Reader,
    now: Mapping[str, str],
    *,
    restored: Callable[[Kept, int], None],
    each: Callable[[m.Event, Sequence[m.Command]], None],
    notify: Notify,
    prepare: Callable[[m.Event, Sequence[m.Command]], bool] = lambda event, commands: False,
) -> Recovered:
    """Replay a journal into a core, from its last snapshot to its end.

    `restored` gets the snapshot that was used and its entry, then `each` gets every folded entry,
    in order. `prepare` gets it first and returns whether the core may answer otherwise.

    Raises
    ------
    InputError
        The journal is of another strategy.
    JournalError
        The core gives other commands than the journal holds, on the same versions.
    """
    before = journal.head.fingerprints
    require_same_fingerprints(before, now, journal.path.parent)
    changed = sorted(name for name in now if before.get(name, now[name]) != now[name])
    recovered = Recovered(last_seq=journal.last_seq)
    if changed:
        text = f"{', '.join(changed)} changed since the run began: the whole journal is folded"
        notify("warning", "versions", {"text": text})
    else:
        _from_snapshot(core, journal, recovered)
        if recovered.kept is not None:
            restored(recovered.kept, recovered.from_seq)
    for entry in journal.read(recovered.from_seq, recovered.last_seq):
        event, stored = entry.event, entry.commands_json
        may_differ = prepare(event, entry.commands)
        commands = core.handle(event)
        recovered.entries += 1
        if encode_commands(commands) != stored:
            recovered.differences += 1
            if not recovered.first_difference:
                recovered.first_difference = (
                    f"entry {entry.seq} ({entry.kind}): the journal holds "
                    f"{_short(stored)}, the core gives {_short(encode_commands(commands))}"
                )
            if not (changed or may_differ):
                raise JournalError(
                    f"{journal.path}: replay differs at {recovered.first_difference}",
                    hint="the state cannot be trusted: see septet replay, then begin another run "
                    "with --fresh",
                )
        each(event, entry.commands)
    if recovered.differences:
        text = (
            f"{recovered.differences} entries give other commands now; {recovered.first_difference}"
        )
        notify("error", "replay_differs", {"text": text})
    return recovered


def require_newest_copy(journal: Journal) -> None:
    """Refuse an old copy of a live run's folder: it would reuse ids that the venue has seen.

    Raises
    ------
    JournalError
        The journal is intact, but this machine knows of more entries than it holds.
    """
    findings = journal.findings
    if journal.head.mode == "live" and findings.old:
        raise JournalError(
            f"{journal.path} {findings.old}: {findings}",
            hint="put the newest folder of the run back; if it is gone, begin another run with "
            "--fresh, which takes the account as it is",
        )


def doubts(journal: Journal, now_ns: int) -> list[str]:
    """Return why a resumed run must not trade before a person resumes it (safe mode).

    To be asked after `Journal.begin`: a killed process has ended where the next one begins. A
    start after a clean end continues no crash loop: a resumed run may be stopped and started.
    """
    doubts = []
    crashes = journal.crashes_within(CRASH_WINDOW_NS, now_ns)
    before = [each for each in journal.sessions()[:-1] if each.was_live]
    if crashes > CRASHES and not before[-1].clean:
        minutes = CRASH_WINDOW_NS // 60_000_000_000
        doubts.append(f"{crashes} unclean ends within {minutes} minutes")
    if journal.findings.is_torn and journal.head.mode == "live":
        doubts.append(f"the end of the journal is gone: {journal.findings}")
    return doubts


def unrecorded_end(journal: Journal, last_ns: int) -> str:
    """Return in words that the process before was live and recorded no end; "" if it did.

    It was killed, or ended by a signal of its own making (an abort). To be asked after
    `Journal.begin`; `last_ns` is the wall time (UTC ns) of its newest entry.
    """
    before = journal.sessions()[:-1][-1:]
    if not before or before[0].clean is not None or not before[0].was_live:
        return ""
    return (
        f"the process before (pid {before[0].pid} on {before[0].host}) was killed or crashed: it "
        f"recorded no end, and its newest entry is of {instant(last_ns)}; since then nothing but "
        "the stops at the venue protected what it held"
    )


def _from_snapshot(core: Keeps, journal: Reader, recovered: Recovered) -> None:
    blank = core.snapshot()
    for each in journal.snapshots():
        try:
            snapshot = msgspec.msgpack.decode(each.state, type=Kept)
            core.restore(snapshot.core)
        except (
            msgspec.DecodeError,
            RecursionError,
        ):  # of another version: an older snapshot is used, or the journal
            core.restore(blank)
            continue
        recovered.kept, recovered.from_seq = snapshot, each.seq
        return


def _short(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= 300 else f"{shown[:300]}..."


def until_enough(
    put: Callable[[m.Event], None], remaining: int | None
) -> Callable[[m.Event], None]:
    """Return a `put` that passes a number of decisions, and no bars after the last of them.

    Ending a run takes a moment, in which the next bar may close: the next start back-fills it.
    """
    if remaining is None:
        return put

    def counted(event: m.Event) -> None:
        nonlocal remaining
        if type(event) in _MARKET:
            if remaining <= 0:
                return
            remaining -= isinstance(event, m.DecisionTimeReached) and event.decides
        put(event)

    return counted


# ---------------------------------------------------------------- the venue


def require_allowed_rights(
    facts: VenueFacts, *, allowed: bool, notify: Notify, goes_on: bool = False
) -> None:
    """Refuse a key that can withdraw, unless the file allows it.

    A resumed run may hold positions: it starts, and an error is logged.

    Raises
    ------
    InputError
        The key can withdraw.
    """
    if facts.can_withdraw and not allowed:
        text = f"the key for {facts.venue} may withdraw: whoever has this machine has the money"
        hint = (
            "make a key that may only trade, or write allow_withdrawal: true in the venue's block"
        )
        if not goes_on:
            raise InputError(text, hint=hint)
        notify("error", "rights", {"text": text, "hint": hint})
    if facts.can_withdraw is None:
        text = f"{facts.venue} does not state whether the key may withdraw"
        notify("warning", "rights", {"text": text})
    for note in facts.notes:
        notify("info", "venue_note", {"text": note})


async def reconcile(
    venue: LiveVenue,
    symbols: Sequence[str],
    *,
    since_ns: int,
    first: bool,
    put: Callable[[m.Event], None],
    notify: Notify,
    stopping: asyncio.Event,
) -> None:
    """Read all of the account as events: fills first, because they explain the rest."""
    await reconcile_orders(
        venue, symbols, since_ns=since_ns, first=first, put=put, notify=notify, stopping=stopping
    )
    await reconcile_account(venue, first=first, put=put, notify=notify, stopping=stopping)
    await reconcile_clock(venue, first=first, put=put, notify=notify, stopping=stopping)


async def reconcile_orders(
    venue: LiveVenue,
    symbols: Sequence[str],
    *,
    since_ns: int,
    first: bool,
    put: Callable[[m.Event], None],
    notify: Notify,
    stopping: asyncio.Event,
) -> None:
    """Read the fills that may have been missed, and before and after them the open orders.

    A fill that is reported for an order is false where a later read shows the order open
    without an execution.
    """
    if not first:
        asking = partial(retry_until_answered, notify=notify, stopping=stopping, goes_on=True)
        put(await asking("open orders", venue.open_orders))
        for k, symbol in enumerate(symbols):
            for each in await asking(f"fills of {symbol}", partial(venue.fills, k, since_ns)):
                put(each)
    put(
        await retry_until_answered(
            "open orders", venue.open_orders, notify=notify, stopping=stopping
        )
    )


async def reconcile_account(
    venue: LiveVenue,
    *,
    first: bool,
    put: Callable[[m.Event], None],
    notify: Notify,
    stopping: asyncio.Event,
    now_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Read the balances; for a resumed run orders and fills are known by now.

    So it waits for readable balances for a few answers only, and goes on without entries.
    """
    failures = 0

    async def ask() -> m.Holdings | None:
        nonlocal failures
        asked_ns, why = now_ns(), "the venue gives no answer that can be read"
        try:
            if (answer := await venue.holdings()) is not None:
                return answer
        except (RunError, OSError) as error:
            why = error.message if isinstance(error, RunError) else str(error)
        except Exception as error:  # a fault of the adapter counts as no answer
            why = f"{type(error).__name__} in the adapter at {error_place(error)}: {error}"
        failures += 1
        if first or failures < _UNREAD:
            raise RunError(why)
        return m.Holdings(at_ns=asked_ns, balances={}, asked_ns=asked_ns, unread=why)

    holdings = await retry_until_answered("balances", ask, notify=notify, stopping=stopping)
    put(msgspec.structs.replace(holdings, first=True) if first else holdings)


async def reconcile_clock(
    venue: LiveVenue,
    *,
    first: bool,
    put: Callable[[m.Event], None],
    notify: Notify,
    stopping: asyncio.Event,
) -> None:
    """Read the venue's clock."""
    put(
        await retry_until_answered(
            "the clock", venue.skew, notify=notify, stopping=stopping, goes_on=not first
        )
    )


def differences_of(rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> list[str]:
    """Return what reconciliation found that is not in the journal."""
    differences = []
    for event, commands in rows:
        for each in commands:
            if isinstance(each, m.Traded):
                differences.append(f"a fill that was missed: {each.side} {each.quantity:g}")
            elif isinstance(each, m.Tripped) and each.rule.startswith("position_mismatch"):
                differences.append(each.text or each.rule)
            elif isinstance(each, m.Changed) and isinstance(event, m.OpenOrders):
                differences.append(f"order {each.client_id} is {each.state}")
    return differences


def require_venue_agreement(
    rows: Sequence[tuple[m.Event, Sequence[m.Command]]], folder: Path
) -> None:
    """Refuse to resume if journal and venue differ (``at_start: refuse_if_different``).

    Raises
    ------
    RunError
        With every difference.
    """
    differences = differences_of(rows)
    if differences:
        raise RunError(
            f"the venue and the journal in {folder} differ: {'; '.join(differences[:10])}",
            hint="execution.at_start: refuse_if_different asked for this; the differences are "
            "journalled, and the next start goes on from them",
        )


async def first_model(
    trains: Mapping[int, m.Train], stopping: asyncio.Event, notify: Notify
) -> bool:
    """Delay the first decision until the first model; return False if none was requested."""
    if not trains:
        return False
    notify("info", "training", {"text": "the first decision waits for the first model"})
    while trains and not stopping.is_set():
        await asyncio.sleep(0.05)
    return True
