"""The dialogs of the screen: a text, a halt, a resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from septet._terminal.rows import cell

__all__ = ["HALTS", "Act", "ActDialog", "TextDialog"]

HALTS: Final = (
    "Blocks entries at once and cancels all resting orders, protective stops too. Positions are "
    "kept, and the process goes on watching their stops. Only a resume clears it."
)
_RESUMES: Final = "Clears every block that waits for a person: the run may enter again."
_KEEP: Final = "Positions: keep them (press to change)"
_CLOSE: Final = "Positions: CLOSE ALL AT MARKET (press to change)"
_LEAST: Final = 8
"""How many characters of the run's id confirm a resume."""


@dataclass(frozen=True, slots=True)
class Act:
    """A halt or resume that a person requests."""

    action: str
    name: str
    reason: str
    flatten: bool = False


class TextDialog(ModalScreen[None]):
    """Shows lines until a key closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,enter,space,question_mark,w", "dismiss", "Close"),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self.heading, self.lines = cell(title, 100), [cell(line, 2_000) for line in lines]

    def compose(self) -> ComposeResult:
        """Put the lines into a box that scrolls."""
        with Vertical(classes="dialog text"):
            yield Static(self.heading, markup=False, classes="title")
            with VerticalScroll():
                yield Static("\n".join(self.lines), markup=False)
            yield Static("Esc closes", markup=False, classes="hint")

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one(VerticalScroll).focus()


class ActDialog(ModalScreen[Act | None]):
    """Asks who halts or resumes a run and why; it acts only on the last button."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Cancel")]

    def __init__(self, action: str, run_id: str, strategy: str, name: str) -> None:
        super().__init__()
        self.action, self.run_id, self.strategy, self.name_ = action, run_id, strategy, name
        self.flattens = False

    @property
    def halts(self) -> bool:
        """Whether it is a halt; otherwise a resume."""
        return self.action == "halt"

    def compose(self) -> ComposeResult:
        """Ask for name and reason; a halt for flatten, a resume for the beginning of the id."""
        with Vertical(classes="dialog"):
            title = f"{self.action.capitalize()} {cell(self.strategy, 30)} {cell(self.run_id, 40)}"
            yield Static(title, markup=False, classes="title")
            yield Static(HALTS if self.halts else _RESUMES, markup=False)
            yield Input(self.name_, placeholder="your name", id="name", max_length=80)
            yield Input(placeholder="reason", id="reason", max_length=400)
            if self.halts:
                yield Button(_KEEP, id="flatten")
            else:
                begins = f"type the beginning of the run's id ({_LEAST} characters or more)"
                yield Input(placeholder=begins, id="typed", max_length=80)
            yield Static("", markup=False, id="wrong")
            with Horizontal():
                yield Button(f"{self.action.capitalize()} now", id="act", variant="error")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Focus the reason if the name is known."""
        self.query_one("#reason" if self.name_ else "#name", Input).focus()

    def on_input_submitted(self) -> None:
        """Focus the next field; Enter in a field does not act."""
        self.focus_next()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Act, or show what is missing."""
        if event.button.id == "cancel":
            self.dismiss(None)
            return
        if event.button.id == "flatten":
            self.flattens = not self.flattens
            event.button.label = _CLOSE if self.flattens else _KEEP
            return
        name, reason = (self.query_one(f"#{each}", Input).value.strip() for each in _FIELDS)
        problem = self._wrong(name, reason)
        if problem:
            self.query_one("#wrong", Static).update(problem)
            return
        self.dismiss(Act(self.action, name, reason or "no reason was given", self.flattens))

    def _wrong(self, name: str, reason: str) -> str:
        if not name:
            return "The name is missing: it is written to the journal."
        if self.halts:
            return ""
        if not reason:
            return "The reason is missing: it is written to the journal."
        typed = self.query_one("#typed", Input).value.strip()
        if len(typed) < min(_LEAST, len(self.run_id)) or not self.run_id.startswith(typed):
            return f"Nothing was done: the run's id begins with {cell(self.run_id[:_LEAST])}."
        return ""


_FIELDS: Final = ("name", "reason")
