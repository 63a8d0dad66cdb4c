"""Extracts the command of an update; other updates have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from septet._text import one_line

__all__ = ["Command", "command_of", "update_number"]


@dataclass(frozen=True, slots=True)
class Command:
    """A text of a user in a chat; `name` is empty if it does not begin with a slash.

    `words` are those after the name; `sent_s` is the time at which it was sent.
    """

    chat_id: int
    user_id: int
    user: str
    name: str
    words: tuple[str, ...]
    sent_s: float

    @property
    def signed(self) -> str:
        """The name for the journal; it has the id, which the user cannot choose."""
        return f"{self.user or 'user'} {self.user_id} (telegram)"


def update_number(update: Any) -> int | None:
    """Return the number of an update; None if it has none."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if isinstance(number, int) and 0 <= number < 2**53 else None


def command_of(update: Any, bot: str) -> Command | None:
    """Return the command of an update; in a group only if it is addressed to the bot."""
    message = update.get("message") if isinstance(update, dict) else None
    if not isinstance(message, dict) or "via_bot" in message:
        return None
    if any("forward" in str(key) for key in message):  # however old the form of the update is
        return None
    chat, user = message.get("chat"), message.get("from")
    text, date = message.get("text"), message.get("date")
    if not (isinstance(chat, dict) and isinstance(user, dict) and isinstance(text, str)):
        return None
    chat_id, user_id = chat.get("id"), user.get("id")
    numbers = (chat_id, user_id, date)
    if not all(isinstance(each, int) and abs(each) < 2**53 for each in numbers):
        return None
    words = text[:2_000].split()
    if user.get("is_bot") or not words:
        return None
    name, at, addressed = words[0].partition("@")
    if at and addressed.lower() != bot.lower():
        return None
    if not name.startswith("/"):
        name, words = "", ["", *words]
    if chat.get("type") != "private" and not (name and at):
        return None
    user_name = one_line(user.get("username") or user.get("first_name") or "")[:60]
    assert isinstance(chat_id, int)
    assert isinstance(user_id, int)
    assert isinstance(date, int)
    return Command(chat_id, user_id, user_name, name.lower(), tuple(words[1:]), float(date))
