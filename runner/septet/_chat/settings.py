"""`chat.toml`: the token of the bot, and who may ask it what.

token = "env:SEPTET_CHAT_TOKEN"    # or file:/run/secrets/chat

[[chat]]
id = 12345678          # a private chat: the id of its user
right = "operate"

[[chat]]
id = -1001234567890    # a group
right = "operate"
operators = [12345678]
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from septet._config.secrets import read_secret
from septet._files import read_private_tables
from septet.errors import InputError
from septet_schemas.base import SecretRef

__all__ = ["Chat", "ChatSettings", "chat_file", "read_settings"]

_WRITTEN: Final = "it has token, a reference, and one [[chat]] for each chat: docs/chat.md"
_TOKEN: Final = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,100}")


@dataclass(frozen=True, slots=True)
class Chat:
    """A listed chat; in a group only `operators` may halt and resume."""

    chat_id: int
    right: Literal["view", "operate"]
    operators: frozenset[int] = frozenset()

    def may_operate(self, user_id: int) -> bool:
        """Whether a user of this chat may halt and resume."""
        if self.right != "operate":
            return False
        return user_id in self.operators or (self.chat_id > 0 and user_id == self.chat_id)


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """The token, which is hidden from `repr`, and the chats by id."""

    token: str = field(repr=False)
    chats: dict[int, Chat]


def chat_file() -> Path:
    """Return the path of the settings: ``$XDG_CONFIG_HOME/septet/chat.toml``, or in ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "septet" / "chat.toml"


def read_settings(path: Path) -> ChatSettings:
    """Read the settings and the token.

    Raises
    ------
    InputError
        If others may read or replace the file, it is a link, or its content is invalid.
    """
    tables = read_private_tables(
        path, "states who may halt runs", known=("token", "chat"), hint=_WRITTEN
    )
    if tables is None:
        raise InputError(f"{path} cannot be read: there is none", hint=_WRITTEN)
    rows = tables.get("chat", [])
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path} lists no [[chat]]", hint=_WRITTEN)
    chats = dict(_chat(path, number, row) for number, row in enumerate(rows, start=1))
    if len(chats) < len(rows):
        raise InputError(f"{path} lists a chat twice: the id of each [[chat]] must differ")
    return ChatSettings(_token(path, tables.get("token")), chats)


def _token(path: Path, value: Any) -> str:
    hint = 'write token = "env:NAME" or "file:/path"'
    if not isinstance(value, str) or not value.startswith(("env:", "file:")):
        raise InputError(f"{path}: token is no reference", hint=hint)
    try:
        reference = SecretRef.parse(value)
    except ValueError:  # its message may repeat the value
        raise InputError(f"{path}: token is no reference", hint=hint) from None
    token = read_secret(reference, path.parent).strip()
    if not _TOKEN.fullmatch(token):
        raise InputError(
            f"{path}: what {value} holds has not the form of a token",
            hint="a token is a number, a colon and some 35 letters, digits, - and _",
        )
    return token


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < abs(value) < 2**53


def _chat(path: Path, number: int, row: Any) -> tuple[int, Chat]:
    section = f"{path}: [[chat]] number {number}"
    if not isinstance(row, dict) or set(row) - {"id", "right", "operators"}:
        raise InputError(f"{section} has an unknown key", hint="known are id, right and operators")
    chat_id, right, operators = row.get("id"), row.get("right"), row.get("operators", [])
    if not isinstance(chat_id, int) or not _is_id(chat_id):
        raise InputError(
            f"{section}: id is no id of a chat", hint="a whole number, negative: a group"
        )
    if right not in ("view", "operate"):
        raise InputError(f"{section}: right must be view or operate")
    listed = isinstance(operators, list) and all(_is_id(each) and each > 0 for each in operators)
    if not listed or (operators and right == "view"):
        raise InputError(
            f'{section}: operators must be a list of user ids, and goes with right = "operate"'
        )
    if chat_id < 0 and right == "operate" and not operators:
        raise InputError(f"{section}: a group that may operate lists the user ids in operators")
    return chat_id, Chat(chat_id, right, frozenset(operators))
