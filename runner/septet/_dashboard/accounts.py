"""Users and tokens of the page: one private file, in which no password and no token stands."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from septet._dashboard.site import RIGHTS, Right, Visitor
from septet._files import open_lock, read_private_tables, replacing
from septet.errors import InputError

__all__ = [
    "TOKEN_PREFIX", "AccountBook", "Accounts", "Token", "User", "accounts_file", "add_token",
    "add_user", "read_accounts", "remove",
]  # fmt: skip

TOKEN_PREFIX: Final = "septet_"  # noqa: S105
_WRITTEN_BY: Final = "let septet dashboard user and septet dashboard token write it"
_MAX_ENTRIES: Final = 1_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_MIN_PASSWORD, _MAX_PASSWORD = 12, 1_024
_DAY_S: Final = 86_400
_MAX_TOKEN_DAYS: Final = 3_650


@dataclass(frozen=True, slots=True)
class User:
    """A person: a right, and the argon2 hash of a password."""

    right: Right
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A program: a right, the hash of a token, and the second at which it ends; 0 is never."""

    right: Right
    sha256: str = field(repr=False)
    ends_s: int = 0


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who may come, by name."""

    users: Mapping[str, User] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)


def accounts_file() -> Path:
    """Where they are: ``$XDG_CONFIG_HOME/septet/dashboard.toml``, or under ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "septet" / "dashboard.toml"


def read_accounts(path: Path) -> Accounts:
    """Read the file; nobody where there is none.

    Raises
    ------
    InputError
        Others may read or replace it, or it is not what it should be.
    """
    tables = read_private_tables(
        path, "states who may operate runs", known=("user", "token"), hint=_WRITTEN_BY
    )
    if tables is None:
        return Accounts()
    return Accounts(
        {name: _user(path, name, each) for name, each in _named(path, tables, "user")},
        {name: _token(path, name, each) for name, each in _named(path, tables, "token")},
    )


def _named(path: Path, tables: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
    found = tables.get(kind, {})
    if not isinstance(found, dict):
        raise _wrong(path, f"expected tables such as [{kind}.anna], found {kind} as a value")
    for name, each in found.items():
        if not _NAME.fullmatch(name):
            raise _wrong(path, f"{name[:40]!r} is no name of a {kind}")
        if not isinstance(each, dict) or each.get("right") not in RIGHTS:
            raise _wrong(path, f'[{kind}.{name}]: expected right = "view" or "operate"')
        yield name, each


def _user(path: Path, name: str, table: Mapping[str, Any]) -> User:
    password = table.get("password")
    if set(table) != {"right", "password"} or not str(password).startswith("$argon2"):
        raise _wrong(path, f"[user.{name}]: expected right and password, an argon2 hash")
    return User(table["right"], str(password))


def _token(path: Path, name: str, table: Mapping[str, Any]) -> Token:
    digest, ends_s = table.get("sha256"), table.get("ends_s", 0)
    shaped = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    if set(table) - {"right", "sha256", "ends_s"} or not shaped or not isinstance(ends_s, int):
        raise _wrong(path, f"[token.{name}]: expected right, sha256 and ends_s (seconds)")
    return Token(table["right"], str(digest), ends_s)


def _wrong(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}", hint=_WRITTEN_BY)


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[Accounts]:
    """Yield what the file holds, to be changed; two commands at once wait for each other."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = open_lock(path.with_name(".dashboard.lock"))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        found = read_accounts(path)
        changed = Accounts(dict(found.users), dict(found.tokens))
        yield changed
        if len(changed.users) + len(changed.tokens) > _MAX_ENTRIES:
            raise InputError(f"there are {_MAX_ENTRIES} users and tokens already")
        with replacing(path, mode=0o600, durable=True) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(_text(changed).encode())
    finally:
        os.close(handle)


def _text(accounts: Accounts) -> str:
    lines = ["# Written by septet dashboard user and septet dashboard token."]
    for name, user in sorted(accounts.users.items()):
        lines += ["", f"[user.{json.dumps(name)}]", f"right = {json.dumps(user.right)}"]
        lines += [f"password = {json.dumps(user.password)}"]
    for name, token in sorted(accounts.tokens.items()):
        lines += ["", f"[token.{json.dumps(name)}]", f"right = {json.dumps(token.right)}"]
        lines += [f"sha256 = {json.dumps(token.sha256)}", f"ends_s = {token.ends_s}"]
    return "\n".join(lines) + "\n"


def _require_user_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:60]!r} is no name: expected up to 40 letters, digits and signs of ._-, the "
            "first a letter or digit"
        )


def add_user(path: Path, name: str, right: Right, password: str) -> None:
    """Add a user, or give one another right and password; their sessions end.

    Raises
    ------
    InputError
        The name or password cannot be taken, or the file cannot be read.
    """
    _require_user_name(name)
    if not _MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
        raise InputError(
            f"the password has {len(password)} characters: "
            f"expected {_MIN_PASSWORD} to {_MAX_PASSWORD}",
            hint="a password manager makes one: nobody has to remember it",
        )
    from argon2 import PasswordHasher

    hashed = PasswordHasher().hash(password)
    with _changing(path) as found:
        found.users[name] = User(right, hashed)  # type: ignore[index]


def add_token(path: Path, name: str, right: Right, days: int, now_s: float) -> str:
    """Add a token that ends after so many days, 0 for never; it is returned and stored nowhere.

    Raises
    ------
    InputError
        The name is taken or none, or the file cannot be read.
    """
    _require_user_name(name)
    if not 0 <= days <= _MAX_TOKEN_DAYS:
        raise InputError(f"a token lasts 1 to {_MAX_TOKEN_DAYS} days, or without end: not {days}")
    made = TOKEN_PREFIX + secrets.token_urlsafe(32)
    ends_s = int(now_s) + days * _DAY_S if days else 0
    with _changing(path) as found:
        if name in found.tokens:
            raise InputError(
                f"there is a token {name} already",
                hint=f"septet dashboard token remove {name}, or another name",
            )
        found.tokens[name] = Token(right, _digest(made), ends_s)  # type: ignore[index]
    return made


def remove(path: Path, kind: str, name: str) -> None:
    """Remove a user or a token: a page that is served lets them in no more.

    Raises
    ------
    InputError
        There is none of that name.
    """
    with _changing(path) as found:
        held: Any = found.users if kind == "user" else found.tokens
        if name not in held:
            known = ", ".join(sorted(held)[:20]) or "none"
            raise InputError(f"there is no {kind} {name[:60]!r}", hint=f"there are: {known}")
        del held[name]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@cache
def _hash_of_nobody() -> str:
    """Return a hash that no password has; made once, since it takes as long as a login."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(secrets.token_urlsafe(32))


class AccountBook:
    """The file as it is now: read again when it has changed.

    While it cannot be read nobody of it is let in; `notify` is given why, once.
    """

    def __init__(
        self,
        path: Path,
        notify: Callable[[str], None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        from argon2 import PasswordHasher

        self._path, self._notify, self._now_s = path, notify, now_s
        self._hasher = PasswordHasher()
        self._nobody = _hash_of_nobody()
        self._lock, self._checking = threading.Lock(), threading.Lock()
        self._signs: object = None
        self._held = Accounts()

    def current(self) -> Accounts:
        """Return who may come now."""
        try:
            found = self._path.lstat()
            signs: object = (
                found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid,
            )  # fmt: skip
        except OSError as problem:
            signs = problem.errno
        with self._lock:
            if signs != self._signs:
                try:
                    self._held = read_accounts(self._path)
                except InputError as problem:
                    self._held = Accounts()
                    self._notify(f"nobody can log in by password or token: {problem.message}")
                self._signs = signs
            return self._held

    def check(self, name: str, password: str) -> Visitor | None:
        """Return who logs in; an unknown name takes as long as a wrong password.

        One password is checked at a time: each takes 64 MiB.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        user = self.current().users.get(name)
        with self._checking:
            try:
                right = self._hasher.verify(
                    user.password if user else self._nobody,
                    password[: _MAX_PASSWORD + 1].encode("utf-8", "surrogateescape"),
                )
            except (VerificationError, InvalidHashError):
                return None
        return _known(name, user) if user is not None and right else None

    def still(self, visitor: Visitor) -> Visitor | None:
        """Return a visitor with the right of now; None if removed, or the password was changed."""
        user = self.current().users.get(visitor.name)
        now = None if user is None else _known(visitor.name, user)
        if now is None or not hmac.compare_digest(now.mark, visitor.mark):
            return None
        return replace(visitor, right=now.right)

    def bearer(self, token: str) -> Visitor | None:
        """Return the program whose token it is."""
        digest, found = _digest(token), None
        for name, each in self.current().tokens.items():
            ended = each.ends_s and each.ends_s <= self._now_s()
            if hmac.compare_digest(each.sha256, digest) and not ended:
                found = Visitor(name, each.right, is_known=True)
        return found


def _known(name: str, user: User) -> Visitor:
    return Visitor(name, user.right, is_known=True, mark=_digest(user.password))
