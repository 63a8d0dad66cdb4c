"""The screen of `septet top`: one run, read again while it writes, with halt and resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widgets import DataTable, Footer, Static

from septet._app.run_follow import Look, RunFollower
from septet._terminal.dialogs import Act, ActDialog, TextDialog
from septet._terminal.rows import TABLES, Row, cell, head_lines, stale_line, tables_of
from septet.errors import SeptetError

__all__ = ["TopScreen"]

LOOK_S: Final = 1.0
WAIT_S: Final = 10.0
_HELP: Final = (
    "h      halt: asks who, why, and whether to close positions",
    "r      resume: asks who, why, and for the beginning of the run's id",
    "w      why the selected order or decision was made (or Enter)",
    "Enter  on another row: its whole text",
    "Tab    the next table; arrow keys select a row",
    "?      this text",
    "q      leave; the run goes on",
    "",
    "Equity, day, drawdown and exposure are those of the last decision; the day is that of "
    "the strategy file. Data is when the process last took in a bar, a quote or a trade, "
    "Written when it last wrote to its journal, Answer how long the venue took for the newest "
    "order. STALE means that the run cannot be read: what is shown is as old as shown.",
)


class _Table(DataTable[Text]):
    """A table whose cursor shows only while it has the focus."""

    def on_focus(self) -> None:
        self.show_cursor = True

    def on_blur(self) -> None:
        self.show_cursor = False


class TopScreen(App[int]):
    """One run on one screen; it writes nothing into the run's folder except halts and resumes."""

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [
        (0, "-narrow"), (120, "-wide"),
    ]  # fmt: skip
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("h", "halt", "Halt"), ("r", "resume", "Resume"), ("w", "why", "Why"),
        ("question_mark", "help", "Help"), ("q", "quit", "Quit"),
    ]  # fmt: skip

    def __init__(
        self,
        folder: Path,
        *,
        login: str = "",
        look_s: float | None = LOOK_S,
        wait_s: float = WAIT_S,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Show the run of a folder; with `look_s` None only `look` reads it again."""
        super().__init__()
        self.folder, self.login, self.wait_s, self.now_ns = folder, login, wait_s, now_ns
        self.follower = RunFollower(folder, now_ns)
        self.seen: Look | None = None
        self.rows: dict[str, list[Row]] = {}
        self._look_s, self._looking = look_s, False

    def compose(self) -> ComposeResult:
        """Lay out the head, the tables and the keys."""
        yield Static("", markup=False, id="head")
        yield Static("", markup=False, id="stale")
        with Container(id="tables"):
            with Vertical(id="account"):
                for name in ("positions", "orders", "decisions"):
                    yield _Table(id=name, cursor_type="row", show_cursor=False)
            with Vertical(id="reports"):
                for name in ("events", "log"):
                    yield _Table(id=name, cursor_type="row", show_cursor=False)
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        """Create the columns, read the run, and read it again every second."""
        for name, columns in TABLES.items():
            self.query_one(f"#{name}", DataTable).add_columns(*(Text(each) for each in columns))
        self.query_one("#orders").focus()
        await self.look()
        if self._look_s is not None:
            self.set_interval(self._look_s, self._begin_look)

    def _begin_look(self) -> None:
        if not self._looking:  # a journal that takes long to read is not read twice at once
            self.run_worker(self.look(), group="look", exit_on_error=True)

    async def look(self) -> None:
        """Read the run in a thread and show it."""
        self._looking = True
        try:
            look, log = await asyncio.to_thread(self._read)
        finally:
            self._looking = False
        previous, self.seen = self.seen, look
        self._show_head()
        if look.view is not None and (previous is None or previous.view != look.view or log):
            for name, rows in tables_of(look.view, log).items():
                self._fill(name, rows)

    def _read(self) -> tuple[Look, list[dict[str, str]]]:
        from septet._app.run_files import log_lines

        look = self.follower.look()
        return look, [] if look.gone else log_lines(self.folder)

    def _show_head(self) -> None:
        assert self.seen is not None
        now = self.now_ns()
        lines = head_lines(self.seen.view, now, self.folder.name)
        self.query_one("#head", Static).update("\n".join(lines))
        stale, text = self.query_one("#stale", Static), stale_line(self.seen, now)
        stale.display = bool(text)
        stale.update(text)

    def _fill(self, name: str, rows: list[Row]) -> None:
        """Show rows in a table if they changed; the cursor stays on its row."""
        if self.rows.get(name) == rows:
            return
        table = self.query_one(f"#{name}", _Table)
        at, rows_before = table.cursor_row, self.rows.get(name, [])
        chosen = rows_before[at] if 0 <= at < len(rows_before) else None
        table.clear()
        width = len(TABLES[name])
        for row in rows:
            cells = (*row.cells, *("" for _ in range(width - len(row.cells))))
            table.add_row(*(Text(each, no_wrap=True) for each in cells))
        self.rows[name] = rows
        if at and chosen in rows:
            table.move_cursor(row=rows.index(chosen), scroll=True)

    # ------------------------------------------------------------ keys

    def action_help(self) -> None:
        """Show the keys and the meaning of the figures."""
        self.push_screen(TextDialog("septet top", _HELP))

    def on_data_table_row_selected(self) -> None:
        """Handle Enter on a row like `w`."""
        self.action_why()

    def action_why(self) -> None:
        """Show why the selected order or decision was made, or the whole text of another row."""
        table = self.focused
        rows = self.rows.get(table.id or "", []) if isinstance(table, _Table) else []
        at = table.cursor_row if isinstance(table, _Table) else -1
        row = rows[at] if 0 <= at < len(rows) else Row(())
        if row.reference:
            self.run_worker(self._show_why(row.reference), group="why", exclusive=True)
        elif row.detail:
            self.push_screen(TextDialog(row.cells[0], [row.detail]))
        else:
            self.notify("Select an order or a decision: Tab and the arrow keys.", markup=False)

    async def _show_why(self, reference: str) -> None:
        def read() -> list[str]:
            from septet._app.run_folder_errors import reading_run
            from septet._app.runs import why_order
            from septet._app.why_text import why_lines
            from septet._store.find_runs import open_run

            with reading_run():
                return why_lines(why_order(open_run(self.folder), reference))

        try:
            lines = await asyncio.to_thread(read)
        except SeptetError as problem:
            lines = [problem.message, problem.hint or ""]
        self.push_screen(TextDialog(f"Why {reference}", lines))

    def action_halt(self) -> None:
        """Ask who halts the run and why."""
        self._ask("halt")

    def action_resume(self) -> None:
        """Ask who resumes the run and why."""
        self._ask("resume")

    def _ask(self, action: str) -> None:
        view = self.seen.view if self.seen else None
        if view is not None and view.state == "finished":
            self.notify(f"A finished backtest: there is nothing to {action}.", markup=False)
            return
        run_id = view.run_id if view else self.folder.name
        strategy = view.strategy if view else ""
        self.push_screen(ActDialog(action, run_id, strategy, self.login), self._begin_act)

    def _begin_act(self, act: Act | None) -> None:
        if act is not None:
            self.notify(f"Asked to {act.action}; waiting for the run to take it.", markup=False)
            self.run_worker(self._act(act), group="act")

    async def _act(self, act: Act) -> None:
        """Halt or resume as the command line does, and show the result."""

        def ask() -> list[str]:
            from septet._app.halt import halt_run, resume_run
            from septet._app.halt_texts import outcome_lines

            signed: dict[str, Any] = {"name": f"{act.name} (top)", "reason": act.reason}
            if act.action == "resume":
                outcome = resume_run(self.folder, **signed, wait_s=self.wait_s)
            else:
                outcome = halt_run(self.folder, **signed, flatten=act.flatten, wait_s=self.wait_s)
            return outcome_lines(outcome, self.wait_s)

        try:
            lines = await asyncio.to_thread(ask)
        except SeptetError as problem:
            lines = [problem.message, problem.hint or ""]
        await self.look()
        self.push_screen(
            TextDialog(f"{act.action.capitalize()} {cell(self.folder.name, 60)}", lines)
        )
