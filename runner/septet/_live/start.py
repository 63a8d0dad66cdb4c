"""How a run begins or goes on: its folder, its journal, its state, and what the venue says.

Order of things: the file, the lease, the journal and the fold of it, then the venue and the feed,
rights and funds, reconciliation, history, the first model. Nothing is assumed of a venue that does
not answer; nothing is traded before both sides agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from septet import messages as m
from septet._host.tasks import race
from septet._host.venues import LiveVenue, VenueFacts
from septet._journal.form import encode_commands
from septet._journal.log import Durability, Journal
from septet._journal.reader import Reader
from septet._live.fingerprints import fingerprints_of, insist_on_same, versions_of
from septet._live.shell import Core, Tell
from septet._store.run import folder_name
from septet.errors import InputError, JournalError, RunError, SeptetError

__all__ = [
    "CRASHES", "CRASH_WINDOW_NS", "JOURNAL", "Keeps", "Kept", "OVERLAP_NS", "Options", "Place",
    "Recovered", "Stopped", "differences_of", "doubts", "find_place", "fingerprints_of",
    "first_model", "insist_on_agreement", "insist_on_newest", "insist_on_rights", "persist",
    "reconcile", "recover", "tag_of", "until_enough", "versions_of",
]  # fmt: skip

JOURNAL: Final = "journal.sqlite"
CRASHES: Final = 3
"""So many unclean ends within the window are borne; one more begins in safe mode."""
CRASH_WINDOW_NS: Final = 600 * 1_000_000_000
OVERLAP_NS: Final = 600 * 1_000_000_000
"""Fills are asked for from so long before the journal's last entry; each is counted once."""
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 30.0
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_MARKET: Final = (m.BarClosed, m.Gapped, m.BarrierReached)

T = TypeVar("T")


class Stopped(Exception):
    """The run was asked to stop before it had begun; not an error."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of a live run."""

    out: Path
    fresh: bool = False
    bars: int | None = None
    until_ns: int | None = None
    durability: Durability | None = None
    level: str = "info"
    quiet: bool = False
    stream: Any = None


# ---------------------------------------------------------------- the folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is kept. `fresh` means that there is no journal yet."""

    folder: Path
    run_id: str
    fresh: bool

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.folder / JOURNAL

    @property
    def tag(self) -> str:
        """What every client order id of the run begins with."""
        return tag_of(self.run_id)

    def forget_unbegun(self) -> None:
        """Leave nothing of a new run that never began: the next start is the first one."""
        if self.fresh and not self.journal.exists():
            with contextlib.suppress(OSError):  # something else is in it: then it stays
                (self.folder / "log.jsonl").unlink(missing_ok=True)
                self.folder.rmdir()


def tag_of(run_id: str) -> str:
    """Return a letter and seven characters that name a run in client order ids."""
    number = int.from_bytes(hashlib.sha256(f"septet|{run_id}".encode()).digest()[:8], "big")
    text = ""
    for _ in range(7):
        number, digit = divmod(number, 36)
        text += _LETTERS[digit]
    return f"s{text}"


def find_place(out: Path, strategy: str, mode: str, *, fresh: bool, now_ns: int) -> Place:
    """Return the newest run of a strategy in a mode, or a new folder where there is none.

    Raises
    ------
    InputError
        The folder cannot be made, or the newest journal cannot be read.
    """
    parent = Path(out) / folder_name(strategy)
    if not fresh:
        for folder in sorted(parent.iterdir() if parent.is_dir() else (), reverse=True):
            if (folder / JOURNAL).is_file() and _mode_of(folder / JOURNAL) == mode:
                return Place(folder, folder.name, fresh=False)
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    for attempt in range(1_000):
        seed = f"{strategy}|{mode}|{now_ns}|{os.getpid()}|{attempt}".encode()
        run_id = f"{stamp:%Y%m%dT%H%M%SZ}-{hashlib.sha256(seed).hexdigest()[:6]}"
        try:
            (parent / run_id).mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as problem:
            raise InputError(
                f"the run cannot be stored in {parent}: {problem.strerror}",
                hint="name a folder you may write to with --out",
            ) from problem
        return Place(parent / run_id, run_id, fresh=True)
    raise AssertionError("a thousand run ids in one second are taken")


def _mode_of(path: Path) -> str:
    with Reader(path) as journal:
        return journal.head.mode


# ---------------------------------------------------------------- the state


class Keeps(Core, Protocol):
    """A core whose state can be kept and taken up again."""

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...


class Kept(msgspec.Struct, frozen=True):
    """A snapshot: the core's state, and what the shell around it must know.

    `time_ns`, `waiting` and `accounted_ns` are those of `Standing`; `lines` the last bar of each
    symbol and its close; `sent` the last ids that were sent, and their parents; `wakes` and
    `trains` what was asked for and has not come; `fired` the halts that hold.
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
    fired: dict[str, str]
    positions: dict[str, float]
    cash: float
    equity: float


@dataclass(slots=True)
class Recovered:
    """What the fold of a journal gave."""

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
    tell: Tell,
) -> Recovered:
    """Bring a core to where its journal ends.

    `restored` is told the snapshot that was used and its entry, then `each` sees what is folded,
    in order.

    Raises
    ------
    InputError
        The journal is of another strategy.
    JournalError
        The core gives other commands than the journal holds, on the same versions.
    """
    before = journal.head.fingerprints
    insist_on_same(before, now, journal.path.parent)
    changed = sorted(name for name in now if before.get(name, now[name]) != now[name])
    found = Recovered(last_seq=journal.last_seq)
    if changed:
        text = f"{', '.join(changed)} changed since the run began: the whole journal is folded"
        tell("warning", "versions", {"text": text})
    else:
        _from_snapshot(core, journal, found)
        if found.kept is not None:
            restored(found.kept, found.from_seq)
    for entry in journal.read(found.from_seq, found.last_seq):
        event, stored = entry.event, entry.commands_json
        commands = core.handle(event)
        found.entries += 1
        if encode_commands(commands) != stored:
            found.differences += 1
            if not found.first_difference:
                found.first_difference = (
                    f"entry {entry.seq} ({entry.kind}): the journal holds "
                    f"{_short(stored)}, the core gives {_short(encode_commands(commands))}"
                )
            if not changed:
                raise JournalError(
                    f"{journal.path}: replay differs at {found.first_difference}",
                    hint="the state cannot be trusted: see septet replay, then begin another run "
                    "with --fresh",
                )
        each(event, entry.commands)
    if found.differences:
        text = f"{found.differences} entries give other commands now; {found.first_difference}"
        tell("error", "replay_differs", {"text": text})
    return found


def insist_on_newest(journal: Journal) -> None:
    """Refuse an old copy of a live run's folder: it would give ids anew that the venue has seen.

    Raises
    ------
    JournalError
        The journal is whole, and this machine knows that it was further than what is promised.
    """
    findings = journal.findings
    if journal.head.mode == "live" and findings.old:
        raise JournalError(
            f"{journal.path} {findings.old}: {findings}",
            hint="put the newest folder of the run back; if it is gone, begin another run with "
            "--fresh, which takes the account as it is",
        )


def doubts(journal: Journal, now_ns: int) -> list[str]:
    """Say why a run that goes on must not trade before a person has looked (safe mode).

    To be asked after `Journal.begin`: a killed process has ended where the next one begins.
    """
    found = []
    crashes = journal.crashes_within(CRASH_WINDOW_NS, now_ns)
    if crashes > CRASHES:
        minutes = CRASH_WINDOW_NS // 60_000_000_000
        found.append(f"{crashes} unclean ends within {minutes} minutes")
    if journal.findings.is_torn and journal.head.mode == "live":
        found.append(f"the end of the journal is gone: {journal.findings}")
    return found


def _from_snapshot(core: Keeps, journal: Reader, found: Recovered) -> None:
    blank = core.snapshot()
    for each in journal.snapshots():
        try:
            kept = msgspec.msgpack.decode(each.state, type=Kept)
            core.restore(kept.core)
        except msgspec.DecodeError:  # of another version: an older one serves, or the journal
            core.restore(blank)
            continue
        found.kept, found.from_seq = kept, each.seq
        return


def _short(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= 300 else f"{shown[:300]}..."


def until_enough(put: Callable[[m.Event], None], left: int | None) -> Callable[[m.Event], None]:
    """Return a `put` that lets so many decisions by, and no bars after the last of them.

    What ends a run takes a moment, in which the next bar may close: it is left to the next start,
    which fills it in.
    """
    if left is None:
        return put

    def counted(event: m.Event) -> None:
        nonlocal left
        if type(event) in _MARKET:
            if left <= 0:
                return
            left -= isinstance(event, m.BarrierReached) and event.decides
        put(event)

    return counted


# ---------------------------------------------------------------- the venue


async def persist(
    what: str,
    ask: Callable[[], Awaitable[T | None]],
    *,
    tell: Tell,
    stopping: asyncio.Event,
    first_s: float = _FIRST_RETRY_S,
) -> T:
    """Ask until there is an answer, ever more slowly: nothing is assumed meanwhile (N11).

    Raises
    ------
    Stopped
        The run was asked to stop.
    InputError
        Asking again would change nothing: a wrong key, an unknown symbol.
    """
    wait_s, tries = first_s, 0
    while not stopping.is_set():
        reason = "no answer"
        try:
            answer = await _unless_stopped(ask(), stopping)
            if answer is not None:
                if tries:
                    tell("info", "reached", {"text": f"{what}: answered after {tries} failures"})
                return answer
        except InputError:
            raise
        except (SeptetError, OSError) as error:
            reason = error.message if isinstance(error, SeptetError) else str(error)
        tries += 1
        text = f"{what}: {reason}; nothing is assumed, asking again in {wait_s:.1f} s"
        tell("warning", "unreachable", {"text": text})
        try:
            await asyncio.wait_for(stopping.wait(), wait_s)
        except TimeoutError:
            wait_s = min(wait_s * 2, _LONGEST_RETRY_S)
    raise Stopped(what)


async def _unless_stopped(call: Awaitable[T], stopping: asyncio.Event) -> T:
    first, answer = await race(call, stopping.wait())
    if first:
        raise Stopped("asked to stop")
    found: T = answer
    return found


def insist_on_rights(facts: VenueFacts, *, allowed: bool, tell: Tell) -> None:
    """Refuse a key that can withdraw, unless the file allows it.

    Raises
    ------
    InputError
        It can.
    """
    if facts.can_withdraw and not allowed:
        raise InputError(
            f"the key for {facts.venue} may withdraw: whoever has this machine has the money",
            hint="make a key that may only trade, or write allow_withdrawal: true in the venue's "
            "block",
        )
    if facts.can_withdraw is None:
        text = f"{facts.venue} does not say whether the key may withdraw"
        tell("warning", "rights", {"text": text})
    for note in facts.notes:
        tell("info", "venue_note", {"text": note})


async def reconcile(
    venue: LiveVenue,
    symbols: Sequence[str],
    *,
    since_ns: int,
    first: bool,
    put: Callable[[m.Event], None],
    tell: Tell,
    stopping: asyncio.Event,
) -> m.Holdings:
    """Read the account whole, as events: fills first, since they explain the rest."""
    if not first:
        for k, symbol in enumerate(symbols):
            ask = partial(venue.fills, k, since_ns)
            fills = await persist(f"fills of {symbol}", ask, tell=tell, stopping=stopping)
            for each in fills:
                put(each)
    orders = await persist("open orders", venue.open_orders, tell=tell, stopping=stopping)
    put(orders)
    holdings = await persist("balances", venue.holdings, tell=tell, stopping=stopping)
    if first:
        holdings = msgspec.structs.replace(holdings, first=True)
    put(holdings)
    skew = await persist("the clock", venue.skew, tell=tell, stopping=stopping)
    put(skew)
    return holdings


def differences_of(rows: Sequence[tuple[m.Event, Sequence[m.Command]]]) -> list[str]:
    """Say what reconciliation found that the journal did not know."""
    found = []
    for event, commands in rows:
        for each in commands:
            if isinstance(each, m.Traded):
                found.append(f"a fill that was missed: {each.side} {each.quantity:g}")
            elif isinstance(each, m.Fired) and each.rule.startswith("position_mismatch"):
                found.append(each.text or each.rule)
            elif isinstance(each, m.Changed) and isinstance(event, m.OpenOrders):
                found.append(f"order {each.client_id} is {each.state}")
    return found


def insist_on_agreement(rows: Sequence[tuple[m.Event, Sequence[m.Command]]], folder: Path) -> None:
    """Refuse to go on where journal and venue differ (``at_start: refuse_if_different``).

    Raises
    ------
    RunError
        With every difference.
    """
    found = differences_of(rows)
    if found:
        raise RunError(
            f"the venue and the journal in {folder} differ: {'; '.join(found[:10])}",
            hint="execution.at_start: refuse_if_different asked for this; the differences are "
            "journalled, and the next start goes on from them",
        )


async def first_model(trains: Mapping[int, m.Train], stopping: asyncio.Event, tell: Tell) -> bool:
    """Let the first decision of a run wait for its first model; False if none was asked for."""
    if not trains:
        return False
    tell("info", "training", {"text": "the first decision waits for the first model"})
    while trains and not stopping.is_set():
        await asyncio.sleep(0.05)
    return True
