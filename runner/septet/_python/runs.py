"""Runs as values, stored or in memory; tables are read on first use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from septet._app.halt import Halted
from septet._app.run_folder_errors import reading_run
from septet._python import html
from septet._python.arguments import (
    require,
    require_flag,
    require_path,
    require_seconds,
    require_text,
)
from septet._python.results import Gap, Summary, Trials, Verdict, Why
from septet._python.strategies import Strategy, load
from septet.errors import InputError, SeptetError

if TYPE_CHECKING:
    from os import PathLike

    import polars as pl

    from septet._store.memory_run import MemoryRun
    from septet._store.run_folder import Run as StoredRun

__all__ = ["Run", "Table", "halt", "open_run", "resume", "runs"]

Table: TypeAlias = Literal[
    "trades", "orders", "fills", "equity", "decisions", "monitoring", "round_trips", "predictions",
    "bars",
]  # fmt: skip
"""The name of a table of a run."""


_SHARES: Final = ("total_return", "max_drawdown", "win_rate", "exposure")
"""Figures that are shown as percentages."""


class Run:
    """A run with its figures and tables; a table is read on first use.

    A run of this process stays in memory until `save` stores it; until then `folder` is None. If a
    stored run cannot be read, `problem` has the reason; otherwise it is empty.
    """

    __slots__ = ("_copies", "_folder", "_stored", "_strategy", "_tables")

    def __init__(self, stored: StoredRun, strategy: Strategy | None = None) -> None:
        self._stored, self._strategy = stored, strategy
        self._tables: dict[str, pl.DataFrame] = {}
        self._folder = None if _in_memory(stored) else stored.folder
        self._copies: dict[Path, Path] = {}

    @property
    def id(self) -> str:
        """The id of the run, which is the name of its folder."""
        return self._stored.folder.name if self.problem else self._stored.run_id

    @property
    def folder(self) -> Path | None:
        """The folder in which it was first stored; None while it is only in memory."""
        return self._folder

    @property
    def problem(self) -> str:
        """Why a stored run cannot be read; empty if it can."""
        if _in_memory(self._stored) is not None:
            return ""
        try:
            with reading_run():
                self._stored.require_summary()
        except SeptetError as error:
            return error.message
        return ""

    @property
    def doubt(self) -> str:
        """Why a stored run is not as it was written, although it can be read; empty if it is.

        Its journal is damaged, its tables or documents differ from the record in the journal, or a
        table of a backtest cannot be opened.
        """
        from septet._store.files_check import problem_text

        if _in_memory(self._stored) is not None or self.problem:
            return ""
        with self._reading():
            return problem_text(self._stored)

    def _reading(self) -> AbstractContextManager[None]:
        """Make defects of a folder messages; what goes wrong in memory is a bug."""
        return reading_run() if _in_memory(self._stored) is None else nullcontext()

    @property
    def strategy(self) -> Strategy:
        """The strategy that ran; for a stored run with its effective values.

        Relative paths in the strategy of a stored run start from the working directory, since a run
        does not store the original folder.
        """
        if self._strategy is None:
            with self._reading():
                resolved = self._stored.manifest.get("resolved")
            if not isinstance(resolved, dict):
                raise InputError(f"run {self.id} does not hold its strategy")
            self._strategy = load(resolved)
        return self._strategy

    @property
    def summary(self) -> Summary:
        """The figures."""
        with self._reading():
            return Summary.of(self._stored.summary)

    @property
    def trials(self) -> Trials | None:
        """The number of tries before it on its data; None in paper and live, which are no tries."""
        with self._reading():
            tries = self._stored.summary.get("tries")
        if not isinstance(tries, dict):
            return None
        return Trials(
            tries["count"], tries["effective"], tries["declared"], tries["deflated_sharpe"],
            complete=tries["count"] is not None, text=str(tries["text"]),
        )  # fmt: skip

    @property
    def forward(self) -> Summary | None:
        """The figures over the time after its file was first tried; None if less than a day.

        None as well in paper and live, where every bar is later, and in runs with ``--chunk``.
        """
        with self._reading():
            found = self._stored.summary.get("forward")
        return Summary.of(found) if isinstance(found, dict) else None

    @property
    def verdict(self) -> Verdict:
        """An assessment of the result in words."""
        from septet._results.verdict import tone

        with self._reading():
            summary = self._stored.summary
            text: Any = tone(str(summary["verdict"]), int(summary["trades"]))
            return Verdict(str(summary["verdict"]), text)

    @property
    def trades(self) -> pl.DataFrame:
        """Trades from flat to flat; an open trade has the exit reason ``open``."""
        return self._table("trades")

    @property
    def orders(self) -> pl.DataFrame:
        """Orders, with the rule that decided their size."""
        return self._table("orders")

    @property
    def fills(self) -> pl.DataFrame:
        """Fills, with price and fee."""
        return self._table("fills")

    @property
    def equity(self) -> pl.DataFrame:
        """Equity, cash, exposure and drawdown at every decision time."""
        return self._table("equity")

    @property
    def decisions(self) -> pl.DataFrame:
        """The decision for each symbol at each time, with every feature."""
        return self._table("decisions")

    @property
    def monitoring(self) -> pl.DataFrame:
        """Readings of the monitors with their verdicts."""
        return self._table("monitoring")

    def _table(self, name: str) -> pl.DataFrame:
        stored = self._tables.get(name)
        if stored is None:
            with self._reading():
                stored = self._tables[name] = self._stored.table(name)
        return stored

    def scan(self, table: Table) -> pl.LazyFrame:
        """Scan a table lazily; `bars` and `round_trips` are tables too.

        Raises
        ------
        InputError
            If there is no such table.
        """
        from septet._results.result import TABLES

        require_text("table", table)
        if table not in TABLES:
            raise InputError(
                f"there is no table {table!r}", hint=f"the tables are {', '.join(TABLES)}"
            )
        with self._reading():
            return self._stored.scan(table)

    def close(self) -> None:
        """Release the tables; those of a stored run are read again on next use.

        A run in memory keeps the figures that were read before; others are not computed here.
        """
        from septet._store.find_runs import open_run as open_stored

        self._tables.clear()
        in_memory = _in_memory(self._stored)
        if self._folder is not None:
            self._stored = open_stored(self._folder)
        elif in_memory is not None:
            in_memory.release()

    @property
    def _is_empty(self) -> bool:
        in_memory = _in_memory(self._stored)
        return in_memory is not None and in_memory.is_empty

    def why(self, order: str) -> Why:
        """Return why an order was made, or why none; `order` is an id, or ``SYMBOL@TIME`` (UTC).

        Raises
        ------
        InputError
            If there is no such order, or no decision at that time.
        """
        from septet._app.runs import why_order
        from septet._report.why import sentence_of

        require_text("order", order, "the id of an order, or SYMBOL@TIME")
        with self._reading():
            explanation = why_order(self._stored, order)
            return Why(
                self.id,
                explanation["symbol"],
                str(explanation["time"]),
                sentence_of(explanation),
                explanation,
            )

    def diff(self, other: Run) -> Gap:
        """Explain the gap between a paper or live run and its backtest; either may be `other`.

        Raises
        ------
        InputError
            If neither is a paper or live run, or the two cannot be compared.
        """
        from septet._app.run_parts import is_live
        from septet._app.runs import diff_runs

        require(isinstance(other, Run), "other", "a Run", other)
        lives = [each for each in (self, other) if is_live(each._stored)]
        if not lives:
            raise InputError(
                "neither run is a paper or live run: a gap is between one and its backtest",
                hint="settings of two backtests are compared by explain(), figures by summary",
            )
        past = other if lives[0] is self else self
        base = None if past._strategy is None else past._strategy._loaded.base_dir
        with reading_run():
            gap = diff_runs(lives[0]._stored, past._stored, base=base)
        return Gap(
            gap.live, gap.backtest, gap.currency, dict(gap.parts), gap.remainder, gap.explained,
            gap.document(),
        )  # fmt: skip

    def save(self, root: str | PathLike[str] = "runs", *, report: bool = True) -> Path:
        """Store the run under ``root/STRATEGY/ID`` and return that folder.

        The folder appears complete or not at all. If the root already has the run, nothing is
        written; another root gets a folder of its own. A run that was opened, or closed, is copied.

        Raises
        ------
        RunError
            If it cannot be written.
        InputError
            If the run was closed before it was saved, or is a paper or live run with one folder.
        """
        from septet._report.save import save_run
        from septet._store.copy_run import copy_run

        require_path("root", root)
        require_flag("report", report)
        folder, in_memory = Path(root).resolve(), _in_memory(self._stored)
        copied = self._copies.get(folder)
        if copied is not None and copied.is_dir():
            return copied
        if in_memory is not None:
            result = in_memory.result
            report = report and not result.left_out
            copied = save_run(result, Path(root), now_ns=in_memory.now_ns, report=report).folder
        elif self._stored.folder.resolve().parent.parent == folder:
            copied = self._stored.folder
        else:
            copied = copy_run(self._stored, Path(root))
        self._copies[folder] = copied
        self._folder = copied if self._folder is None else self._folder
        return copied

    def report(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the report of the run, by default into its folder, and return its path.

        Raises
        ------
        InputError
            If the run is not stored and `path` is not given, or the file cannot be written.
        """
        from septet._app.runs import report_run, write_page
        from septet._store.find_runs import open_run as open_stored

        require_path("path", path, optional=True)
        if path is not None:
            with self._reading():
                return write_page(self._stored, Path(path))
        if self._folder is None:
            raise InputError(
                f"run {self.id} is in memory only, and has no folder for a report",
                hint="report(path) names a file; save() stores the run with its report",
            )
        with reading_run():
            return report_run(open_stored(self._folder))

    def _repr_html_(self) -> str:
        from septet._results.forward import forward_text

        if self.problem:
            return html.page(html.heading(self.id), html.paragraph(self.problem))
        if self._is_empty:
            text = "It was closed before its figures were read."
            return html.page(html.heading(self.id), html.paragraph(text))
        summary = self.summary
        names = (
            "total_return", "sharpe", "sortino", "max_drawdown", "trades", "win_rate",
            "profit_factor", "fees", "final_equity", "exposure",
        )  # fmt: skip
        rows = [(name.replace("_", " "), _figure(name, getattr(summary, name))) for name in names]
        span = f"{summary.mode}, {summary.first_decision} to {summary.end}"
        try:
            seconds = self.equity["time"].dt.epoch("ms") / 1000
            line = html.curve(
                self.equity["equity"].to_list(),
                seconds.to_list(),
                f"equity of {summary.strategy}",
            )
        except SeptetError:  # closed, or its table is damaged: the figures are shown all the same
            line = ""
        tries, later = self.trials, forward_text(self._stored.summary)
        return html.page(
            html.heading(f"{summary.strategy[:100]}: {self.id}"), html.paragraph(self.verdict),
            *(html.paragraph(text) for text in (self.doubt, tries and tries.text, later) if text),
            html.pairs(rows), line, html.paragraph(span),
        )  # fmt: skip

    def __repr__(self) -> str:
        problem = self.problem
        if problem:
            return f"<Run {self.id} damaged: {problem[:80]}>"
        if self._is_empty:
            return f"<Run {self.id} closed>"
        from septet._store.run_condition import condition_of

        summary = self._stored.summary
        doubtful = ""
        if _in_memory(self._stored) is None:
            with self._reading():
                doubtful = condition_of(self._stored, listed=True).problem
        doubt_text = f", doubtful: {doubtful[:80]}" if doubtful else ""
        return f"<Run {self.id} {summary['strategy'][:64]!r} {summary['mode']}{doubt_text}>"


def _in_memory(stored: StoredRun) -> MemoryRun | None:
    """Return the run if it is in memory: its tables are made of its result."""
    from septet._store.memory_run import MemoryRun

    return stored if isinstance(stored, MemoryRun) else None


def _figure(name: str, value: object) -> str:
    from septet._results.number_texts import percent

    if value is None:
        return "undefined"
    if isinstance(value, float):
        return percent(value) if name in _SHARES else f"{value:,.6g}"
    return str(value)


def runs(strategy: str | None = None, *, root: str | PathLike[str] = "runs") -> Sequence[Run]:
    """List the runs stored under `root`, the latest last; a damaged run has a `problem`.

    Parameters
    ----------
    strategy
        Only runs of the strategy with this name.
    """
    from septet._store.find_runs import list_runs

    require_text("strategy", strategy, "the name of a strategy", optional=True)
    require_path("root", root)
    stored = list_runs(Path(root))
    return [Run(each) for each in stored if strategy in (None, each.folder.parent.name)]


def open_run(reference: str | PathLike[str], *, root: str | PathLike[str] = "runs") -> Run:
    """Open a stored run: a folder, an id or its beginning, a strategy's name, or ``latest``.

    Raises
    ------
    InputError
        If no run or several runs match, or the run is damaged.
    """
    from os import fspath

    from septet._store.find_runs import find_run

    require_path("reference", reference)
    require_path("root", root)
    with reading_run():
        return Run(find_run(fspath(reference), Path(root)))


def halt(run: Run, *, name: str, reason: str, flatten: bool = False, wait: float = 10.0) -> Halted:
    """Halt a paper or live run durably, and wait until its process confirms it.

    Parameters
    ----------
    run
        A stored run.
    name, reason
        Who halts it and why; both are written to the journal.
    flatten
        Also close its positions at market.
    wait
        Seconds to wait.

    Raises
    ------
    InputError
        If the run is a backtest, or name or reason is empty.
    """
    from septet._app.halt import halt_run

    require_flag("flatten", flatten)
    folder = _acted_on(run, name, reason, wait)
    return halt_run(folder, name=name, reason=reason, flatten=flatten, wait_s=wait)


def resume(run: Run, *, name: str, reason: str, wait: float = 10.0) -> Halted:
    """Clear the halt of a run; the arguments are those of `halt`.

    Raises
    ------
    InputError
        If the run is a backtest, or name or reason is empty.
    """
    from septet._app.halt import resume_run

    folder = _acted_on(run, name, reason, wait)
    return resume_run(folder, name=name, reason=reason, wait_s=wait)


def _acted_on(run: Run, name: str, reason: str, wait: float) -> Path:
    require(isinstance(run, Run), "run", "a Run", run, "septet.open_run(...) opens one")
    require_seconds("wait", wait)
    folder = _live_folder(run)
    require_text("name", name)
    require_text("reason", reason)
    _require_name_and_reason(name, reason)
    return folder


def _live_folder(run: Run) -> Path:
    """Return the folder of a paper or live run, even if its journal is damaged."""
    from septet._store.damage_messages import is_trading

    folder = run.folder
    if folder is None or not is_trading(folder):
        raise InputError(
            f"run {run.id} is a backtest: there is nothing to halt or resume",
            hint="septet.open_run(...) opens a paper or live run",
        )
    return folder


def _require_name_and_reason(name: str, reason: str) -> None:
    if not name.strip() or not reason.strip():
        raise InputError(
            "name and reason are needed: they are written to the journal",
            hint='name="ann", reason="news"',
        )
