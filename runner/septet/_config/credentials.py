"""The operator's credentials: `venues.toml`, which is private and is never part of a strategy.

A table for each venue, named as the venue is in `execution.venues`:

    [binance]
    exchange = "binance"
    key = "env:BINANCE_KEY"
    secret = "file:/run/secrets/binance"
    hosts = ["testnet.example"]    # beside the exchange's own

The values may be `env:` and `file:` references, or the secrets themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from septet._config.secrets import read_secret
from septet._files import read_private_tables
from septet.errors import InputError
from septet_schemas.base import SecretRef

__all__ = ["STORED", "Stored", "stored_credentials", "venues_file"]

STORED: Final = "venues.toml"
"""The scheme of a reference to a stored credential."""
_SECRETS: Final = ("key", "secret", "password", "uid")


class Stored(msgspec.Struct, frozen=True):
    """One entry; its values are hidden from `repr`."""

    name: str
    exchange: str
    hosts: frozenset[str]
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Stored({self.name!r}, {self.exchange!r}, {sorted(self.hosts)})"

    def read(self, reference: SecretRef) -> str:
        """Return one of its values, read from its place of storage."""
        value = self.values[reference.name]
        scheme, colon, _ = value.partition(":")
        if colon and scheme in ("env", "file"):
            return read_secret(SecretRef.parse(value), venues_file().parent)
        return value


def venues_file() -> Path:
    """Return the credentials file: ``$XDG_CONFIG_HOME/septet/venues.toml``, or below ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "septet" / "venues.toml"


def stored_credentials() -> dict[str, Stored]:
    """Read the entries by venue; empty if there is no such file.

    Raises
    ------
    InputError
        Others may read or write the file, or its content is invalid.
    """
    path = venues_file()
    tables = read_private_tables(path, "holds credentials", follow=True) or {}
    return {name: _entry(path, name, table) for name, table in tables.items()}


def _entry(path: Path, name: str, table: Any) -> Stored:
    section = f"{path}: [{name}]"
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} is no table", hint=f"write [{name}] and its keys below")
    unknown = sorted(set(table) - {"exchange", "hosts", *_SECRETS})
    if unknown:
        raise InputError(
            f"{section} has the unknown key {unknown[0]}",
            hint=f"known are exchange, hosts, {', '.join(_SECRETS)}",
        )
    exchange, hosts = table.get("exchange"), table.get("hosts", [])
    values = {key: table[key] for key in _SECRETS if key in table}
    listed = isinstance(hosts, list) and all(isinstance(each, str) for each in hosts)
    if not isinstance(exchange, str) or not listed:
        raise InputError(
            f"{section}: expected exchange, a text, and hosts, a list of texts",
            hint='exchange = "binance" states whose key it is',
        )
    not_texts = [key for key, value in values.items() if not isinstance(value, str) or not value]
    if not_texts:
        raise InputError(f"{section}: {not_texts[0]} is no text, or empty")
    for key, value in values.items():
        if value.startswith(("env:", "file:")):
            try:
                SecretRef.parse(value)
            except ValueError:  # the message of the error may repeat the value
                raise InputError(
                    f"{section}: {key} is no reference", hint="write env:NAME or file:/path"
                ) from None
    return Stored(name, exchange, frozenset(each.lower() for each in hosts), values)
