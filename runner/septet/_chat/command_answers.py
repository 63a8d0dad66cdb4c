"""The answers to commands, as plain text; every text of a run is bounded and on one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from septet._text import one_line, shortened
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._app.run_follow import Look

__all__ = ["HELP", "WAIT_S", "blocks_of", "do_halt", "do_resume", "pnl", "run_named", "status",
           "why"]  # fmt: skip

HELP: Final = """\
/status [RUN]  the state of all paper and live runs, or one
/pnl [RUN]  equity, the day's result, drawdown
/why ORDER [RUN]  why an order was made; ORDER may be SYMBOL@TIME
/halt RUN reason  stop a run from trading, at once
/resume RUN reason  let it trade again; asks for a code"""
WAIT_S: Final = 10.0
_RUNS: Final = 15
_WHY_RUNS: Final = 20


def _cell(value: object, most: int = 200) -> str:
    return shortened(one_line(value), most)


def _folders(root: Path) -> list[Path]:
    """Return the folders of paper and live runs, the latest first."""
    from septet._store.find_runs import run_folders
    from septet._store.starting_runs import is_live_folder

    return [each for each in reversed(run_folders(root)) if is_live_folder(each)]


def run_named(name: str, root: Path, *, acts: bool = False, to_halt: bool = False) -> Path:
    """Return the folder of a run below `root`; a message cannot name another path.

    Raises
    ------
    InputError
        If there is no such run, or a halt or resume does not name its run.
    """
    from septet._store.find_runs import find_folder
    from septet._store.starting_runs import is_live_folder

    if not name or "/" in name or name.startswith(".") or os.path.lexists(name):
        raise InputError("RUN is a run id or its beginning, or a strategy's name")
    if acts and name == "latest":
        raise InputError("name the run: its id, the beginning of it, or its strategy")
    folder = find_folder(name, root, to_halt=to_halt)
    if acts and not is_live_folder(folder):
        raise InputError("it is a backtest: there is nothing to halt or resume")
    return folder


def status(name: str, root: Path) -> str:
    """Return the state of all paper and live runs, or of one."""
    parts = []
    for run_id, look in _pairs(name, root):
        view = look.view
        if view is None:
            how = "starting" if look.starting else "cannot be read"
            parts.append(f"{_cell(run_id)}\n  {how}: {_cell(look.problem)}")
            continue
        dust = sum(each.dust for each in view.positions)
        remainders = f" and dust of {dust}" if dust else ""
        lines = [
            f"{_cell(view.run_id, 60)} {_cell(view.strategy, 60)} ({_cell(view.mode, 20)})",
            f"  {_cell(view.state_text)}",
            f"  entries: {_cell(view.entries)}",
            f"  positions {len(view.positions) - dust}{remainders}, open orders "
            f"{len(view.orders)}, alerts {view.alerts}",
        ]
        if view.doubt:
            lines.append(f"  DOUBT: {_cell(view.doubt)}")
        if view.problem:
            lines.append(f"  PROBLEM: {_cell(view.problem)}")
        if name:
            lines += [
                f"  {_cell(each.symbol, 40)} {each.side}{' (dust)' if each.dust else ''} "
                f"{each.quantity:,.8g}; stop "
                f"{_cell(each.stop, 100)}"
                for each in view.positions[:20]
            ]
        parts.append("\n".join(lines))
    return "\n".join(parts) or "no paper or live run"


def _pairs(name: str, root: Path) -> Iterator[tuple[str, Look]]:
    from septet._app.run_follow import RunFollower

    for folder in [run_named(name, root)] if name else _folders(root)[:_RUNS]:
        yield folder.name, RunFollower(folder).look()


def pnl(name: str, root: Path) -> str:
    """Return equity, the day's result and the drawdown."""
    from septet._results.number_texts import money, percent

    parts = []
    for run_id, look in _pairs(name, root):
        view = look.view
        if view is None:
            parts.append(f"{_cell(run_id)}: cannot be read: {_cell(look.problem)}")
            continue
        currency = _cell(view.currency, 12)
        parts.append(
            f"{_cell(view.run_id, 60)} {_cell(view.strategy, 60)}\n"
            f"  equity {money(view.equity, currency)} ({percent(view.total_return, 2, signed=True)}"
            f" since its start), at {_cell(view.equity_time, 40) or '-'}\n"
            f"  day {money(view.day_profit, currency, signed=True)} "
            f"({percent(view.day_return, 2, signed=True)}), drawdown {percent(view.drawdown)}, "
            f"exposure {percent(view.exposure)}"
        )
    return "\n".join(parts) or "no paper or live run"


def why(order: str, name: str, root: Path) -> str:
    """Return why an order was made, of one run or of the latest that has it."""
    from septet._app.run_folder_errors import reading_run
    from septet._app.runs import why_order
    from septet._app.why_text import why_lines
    from septet._store.find_runs import open_run

    if not order:
        raise InputError("the order is missing: /why ORDER [RUN]")
    problem = InputError("there is no paper or live run")
    for folder in [run_named(name, root)] if name else _folders(root)[:_WHY_RUNS]:
        try:
            with reading_run():
                lines = why_lines(why_order(open_run(folder), order))
        except InputError as error:
            problem = error
            continue
        return "\n".join([_cell(folder.name), *(_cell(each, 300) for each in lines)])
    raise problem


def blocks_of(folder: Path) -> frozenset[object]:
    """Return the halts and blocks of a run, to detect new ones."""
    from septet._app.run_follow import RunFollower
    from septet._live.kill_switch import read_halt

    view = RunFollower(folder).look().view
    rows = () if view is None else view.events
    blocks = {(each.time, each.name) for each in rows if each.level in ("halt", "block")}
    return frozenset[object]({*blocks, read_halt(folder)})


def do_halt(
    folder: Path, name: str, reason: str, wait_s: float = WAIT_S, reference: str = ""
) -> str:
    """Halt a run and return the outcome."""
    from septet._app.halt import halt_run
    from septet._app.halt_texts import outcome_lines

    outcome = halt_run(folder, name=name, reason=reason, wait_s=wait_s, reference=reference)
    return "\n".join(_cell(each, 400) for each in outcome_lines(outcome, wait_s))


def do_resume(folder: Path, name: str, reason: str, wait_s: float = WAIT_S) -> str:
    """Resume a run and return the outcome."""
    from septet._app.halt import resume_run
    from septet._app.halt_texts import outcome_lines

    outcome = resume_run(folder, name=name, reason=reason, wait_s=wait_s)
    return "\n".join(_cell(each, 400) for each in outcome_lines(outcome, wait_s))
