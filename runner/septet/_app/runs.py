"""Stored runs: their list and state, the reasons of their orders, differences to backtests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet.errors import InputError, JournalError

if TYPE_CHECKING:
    from septet._diff.compare import Gap
    from septet._progress import Progress
    from septet._store.run_condition import RunCondition
    from septet._store.run_folder import Run

__all__ = [
    "HALT_RULE", "Block", "ListedRun", "Standing", "copies_text", "diff_runs", "export_run",
    "list_stored", "missing_from_export", "positions_of", "problem_of_run", "report_run",
    "standing_in", "standing_of", "why_order", "why_sentence", "write_page",
]  # fmt: skip

_SHOWN_ELSEWHERE: Final = ("operator", "stopping")
HALT_RULE: Final = "operator_halt"
"""Name of the block of a person's halt, as the process records it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a run's entries: its rule, what ends it, and a remark."""

    rule: str
    clears_when: str
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a paper or live run.

    `holder` is the process that runs it, if one does; `ended` how its last session ended: None if
    it was killed or crashed, empty if it never began. `halted` and `resumed` are (who, why).
    `doubt` states why the journal is unreliable, or is empty.
    """

    holder: str | None
    ended: str | None
    halted: tuple[str, str] | None
    resumed: tuple[str, str] | None
    blocks: tuple[Block, ...]
    doubt: str = ""

    @property
    def halt(self) -> str:
        """Who halted it and why; empty without a halt by a person."""
        if self.halted is not None:
            name, reason = self.halted
            return f"{name}: {reason}"
        texts = [each.text or "a person" for each in self.blocks if each.rule == HALT_RULE]
        return texts[0] if texts else ""

    @property
    def state(self) -> str:
        """State in one word: halted (a process runs it), running, killed, stopped or unbegun."""
        if self.holder is not None:
            return "halted" if self.halt else "running"
        if self.ended is None:
            return "killed"
        return "stopped" if self.ended or self.doubt else "unbegun"


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A listed run: its summary, or in `damaged` the reason why it cannot be read.

    `state` is finished for a backtest, else that of `Standing`, failed, or starting (its process
    has made no journal yet); empty if it is damaged. `problem` states defects of its journal and
    files, with a hint: the tables of a backtest are not opened for a list, and a journal above 256
    MiB is not verified for it.
    """

    run_id: str
    strategy: str
    folder: Path
    summary: Mapping[str, Any]
    damaged: str = ""
    problem: str = ""
    state: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        identity = {"run_id": self.run_id, "strategy": self.strategy}
        if self.damaged:
            return {**identity, "folder": str(self.folder), "damaged": self.damaged}
        extra = {"problem": self.problem} if self.problem else {}
        if self.state != "finished":
            extra["state"] = self.state
        return {**identity, **self.summary, "folder": str(self.folder), **extra}


def list_stored(
    root: Path, strategy: str | None = None, last: int | None = None
) -> list[ListedRun]:
    """Return every run under `root`, the latest last; `strategy` is the name that a run records."""
    from septet._store.find_runs import list_runs

    listed = _with_copies([_listed(run) for run in list_runs(root)], root)
    listed = [each for each in listed if strategy in (None, each.document()["strategy"])]
    return listed[-last:] if last else listed


def _with_copies(listed: Sequence[ListedRun], root: Path) -> list[ListedRun]:
    """Name the folders of a run that has several with the same id."""
    from septet._store.run_order import run_id_in

    folders: dict[str, list[Path]] = {}
    for each in listed:
        if not each.folder.is_symlink():  # links are not followed
            folders.setdefault(run_id_in(each.folder), []).append(each.folder)
    several = {
        each: copies for copies in folders.values() if len(copies) > 1 for each in copies
    }  # fmt: skip
    return [
        replace(each, problem=". ".join(filter(None, (
            each.problem, copies_text(several[each.folder], root))
        ))) if each.folder in several else each
        for each in listed
    ]  # fmt: skip


def copies_text(folders: Sequence[Path], root: Path) -> str:
    """Return the text that several folders contain one run; the last one is in use."""
    from septet._store.run_order import run_id_in

    names = [os.path.relpath(each, root) for each in folders]
    return (
        f"{len(names)} folders hold run {run_id_in(folders[-1])}: {', '.join(names[:6])}; its id "
        f"means {names[-1]}, and the path of a folder means that folder"
    )


def _state_of(run: Run, summary: Mapping[str, Any], condition: RunCondition) -> str:
    """Return the state of a run; the state in its summary counts only if the journal agrees."""
    if not condition.is_trading:
        return "finished"
    written = str(summary.get("state") or "running")
    if written != "running" and condition.journal is None:
        return written
    standing = standing_in(run.folder, run.manifest.get("blocks", ()), condition.doubt)
    return standing.state


def _listed(run: Run) -> ListedRun:
    from septet._store.run_condition import condition_of
    from septet._store.starting_runs import is_starting, starting_problem

    folder = run.folder
    if is_starting(folder):
        text = starting_problem(folder).message
        return ListedRun(
            folder.name, folder.parent.name, folder, {"verdict": text}, problem=text,
            state="starting",
        )  # fmt: skip
    try:
        summary = run.require_summary()
        condition = condition_of(run, listed=True)
        state = _state_of(run, summary, condition)
        name, strategy = folder.name, folder.parent.name
        return ListedRun(name, strategy, folder, summary, problem=condition.problem, state=state)
    except (InputError, JournalError) as error:
        return ListedRun(folder.name, folder.parent.name, folder, {}, error.message)


def problem_of_run(run: Run) -> str:
    """Return the defects of a run's journal and files; empty if there are none."""
    from septet._store.files_check import problem_text

    text: str = problem_text(run)
    return text


def positions_of(run: Run) -> dict[str, Any] | None:
    """Return the positions and open orders of a paper or live run; None for a backtest."""
    from septet._report.open_state import open_state

    return open_state(run)


def standing_of(run: Run) -> Standing | None:
    """Return whether a paper or live run is running and what blocks it; None for a backtest."""
    from septet._store.run_condition import condition_of

    condition = condition_of(run)
    if not condition.is_trading:
        return None
    return standing_in(run.folder, run.manifest.get("blocks", ()), condition.doubt)


def standing_in(folder: Path, blocks: Sequence[Mapping[str, Any]], doubt: str) -> Standing:
    """Return the state of the paper or live run of a folder, whose blocks are given.

    `doubt` states why its journal is unreliable, or is empty.
    """
    from septet._journal.lease import holder_of
    from septet._live.kill_switch import read_halt, read_resume
    from septet._store.journal_view import sessions_of

    holder = holder_of(folder)
    last = (sessions_of(folder) or [])[-1:]
    ended: str | None = last[0].how if last else ""
    if last and last[0].clean is None:
        ended = None
    halt, resume = read_halt(folder), read_resume(folder)
    holding = [
        Block(block["rule"], block["clears_when"], block["text"])
        for block in blocks
        if block["cleared_ns"] is None and block["rule"] not in _SHOWN_ELSEWHERE
    ]
    return Standing(
        None if holder is None else str(holder), ended,
        None if halt is None else (halt.name, halt.reason),
        None if resume is None else (resume.name, resume.reason),
        tuple(holding), doubt,
    )  # fmt: skip


def why_order(run: Run, order: str) -> dict[str, Any]:
    """Return why a run made an order, or why it made none; `order` is its id, or SYMBOL@TIME.

    Raises
    ------
    InputError
        If the run has no such order, or no decision at that time.
    """
    from septet._report.why import explain

    return explain(run, order)


def why_sentence(explanation: dict[str, Any]) -> str:
    """Return the result of `why_order` as text."""
    from septet._report.why import sentence_of

    return sentence_of(explanation)


def diff_runs(
    live: Run,
    backtest: Run,
    *,
    base: Path | None = None,
    log: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Gap:
    """Explain the differences between a paper or live run and a backtest of the same strategy.

    Raises
    ------
    InputError
        If the two cannot be compared.
    """
    from septet._diff.compare import diff

    return diff(live.folder, backtest, base=base, log=log, progress=progress)


def report_run(run: Run) -> Path:
    """Rewrite a run's report.html from its folder."""
    from septet._report.page import write_report

    return write_report(run)


def export_run(run: Run, folder: Path | None, kind: str, *, force: bool = False) -> list[Path]:
    """Write a run's tables to `folder`.

    Without one, rewrite those of a live run from its journal.
    """
    from septet._store.export import export_tables
    from septet._store.projections import project

    if folder is None:
        return list(project(run, force=force))
    written = export_tables(run, folder, kind, force=force)
    return list(written)


def missing_from_export(run: Run, folder: Path | None) -> tuple[list[str], str]:
    """Return the tables that an export omits because they are missing, with a hint."""
    from septet._store.damage_messages import hint_for
    from septet._store.export import missing_tables

    missing = [] if folder is None else missing_tables(run)
    return missing, hint_for(run.folder) if missing else ""


def write_page(run: Run, path: Path) -> Path:
    """Write the page of a run to a file; the old file stays until the new one is complete.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    from septet._files import replace_file
    from septet._report.page import render

    text = render(run)
    try:
        replace_file(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return path
