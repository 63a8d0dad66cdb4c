"""Access rights of a strategy file: the credentials it may read and the hosts it may reach.

A strategy file may be untrusted. It can name a secret and an address, and naming one gives it no
access:

- a secret is read if the operator stored it for the venue in `venues.toml`, or allowed it by name
  on the command line (``--allow-secret``);
- a secret is bound to hosts. Where the file brings no addresses, the plugin reaches the
  exchange's own; every address that the file brings must be listed with the secret;
- an address that the file brings is reached if the operator named its host (``--trust-host``, or
  a yes to a question that shows it). It must be https or wss. An address of this machine needs
  neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from septet._config.credentials import STORED, Stored, stored_credentials, venues_file
from septet._config.secrets import read_secret
from septet._text import masked_addresses
from septet.errors import InputError
from septet_schemas.base import SecretRef
from septet_schemas.hosts import is_loopback

__all__ = ["Access", "Address", "addresses_in"]

_WEB: Final = frozenset({"https", "wss"})
_ADDRESS_WORDS: Final = ("url", "host", "proxy", "proxies", "endpoint", "server")
"""Words in the key of an option whose text is an address, with or without a scheme."""
_LONGEST: Final = 2_000
Ask = Callable[[str], bool]


class Address(msgspec.Struct, frozen=True):
    """An address in a block of a strategy file."""

    scheme: str
    host: str


def addresses_in(config: Any) -> frozenset[Address]:
    """Return every address in the values of a block, at any depth.

    Raises
    ------
    InputError
        One of them could be read in two ways: a login, a backslash or a control character in it.
    """
    values = {name: getattr(config, name) for name in type(config).model_fields}
    return frozenset(_walk(values, named=False))


def _walk(value: Any, *, named: bool) -> Iterator[Address]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            name = str(key).lower()
            is_named = any(word in name for word in _ADDRESS_WORDS)
            yield from _walk(each, named=named or is_named)
    elif isinstance(value, str) and ("//" in value or (named and value)):
        yield _address(value)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            yield from _walk(each, named=named)


def _address(text: str) -> Address:
    if len(text) > _LONGEST:
        masked = masked_addresses(text)[:60]
        raise InputError(
            f"an address of {len(text)} characters, expected at most {_LONGEST}: {masked}...",
            hint="write https://host/path",
        )
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port = "", None
    # another reader of the address could take more than these two parts for the host
    netloc = (f"[{name}]" if ":" in name else name) + (f":{port}" if port is not None else "")
    host = name.rstrip(".") if name and parts.netloc.lower() == netloc else ""
    odd = any(each <= " " or each in "\\@\x7f" or ord(each) > 126 for each in text)
    if not host or odd:
        raise InputError(
            f"the address {masked_addresses(text)!r} is not plain",
            hint="write https://host/path, without a login and in ASCII",
        )
    return Address(parts.scheme, host)


class Access(msgspec.Struct):
    """What the operator allowed for this start; nothing by default.

    `secrets` maps a reference (``env:NAME``, ``file:/path``) to the hosts it may be sent to beside
    the exchange's own. `ask` asks a person; without it nobody is asked.
    """

    secrets: dict[str, frozenset[str]] = msgspec.field(default_factory=dict)
    hosts: set[str] = msgspec.field(default_factory=set)
    ask: Ask | None = None

    @classmethod
    def of(cls, secrets: Sequence[str], hosts: Sequence[str], ask: Ask | None = None) -> Access:
        """Read the flags of the command line: ``NAME[@HOST]``, ``/path[@HOST]``, and hosts."""
        allowed: dict[str, frozenset[str]] = {}
        for text in secrets:
            name, at, host = text.rpartition("@")
            if not at or "/" in host:
                name, host = text, ""
            name = name.removeprefix("env:").removeprefix("file:")
            if not name:
                raise InputError(
                    f"--allow-secret {text}: no name", hint="--allow-secret NAME or NAME@HOST"
                )
            reference = f"file:{os.path.abspath(name)}" if "/" in name else f"env:{name}"
            host_allowed = frozenset({host.lower()}) if host else frozenset()
            allowed[reference] = allowed.get(reference, frozenset()) | host_allowed
        return cls(allowed, {each.lower() for each in hosts}, ask)

    def reach(self, config: Any, place: str, *, listed: frozenset[str] = frozenset()) -> set[str]:
        """Return the hosts that a block names, after the operator agreed to them.

        `listed` are hosts that a credential of the operator names.

        Raises
        ------
        InputError
            An address is not https, or nobody agreed to its host.
        """
        addresses = addresses_in(config)
        open_ = sorted(
            f"{each.scheme}://{each.host}"
            for each in addresses
            if each.scheme not in _WEB and not is_loopback(each.host)
        )
        if open_:
            raise InputError(
                f"{place} brings the address {open_[0]}, which anybody on the way can read and "
                "change",
                hint="write https:// or wss://",
            )
        named = {host for hosts in self.secrets.values() for host in hosts}
        unknown = {
            each.host
            for each in addresses
            if not is_loopback(each.host) and each.host not in self.hosts | named | listed
        }
        if unknown:
            self._agree(place, sorted(unknown))
        return {each.host for each in addresses}

    def _agree(self, place: str, hosts: list[str]) -> None:
        hosts_text = ", ".join(hosts)
        question = f"{place} brings addresses of its own: {hosts_text}. Reach them?"
        if self.ask is not None and self.ask(question):
            self.hosts.update(hosts)
            return
        flags = " ".join(f"--trust-host {each}" for each in hosts)
        raise InputError(
            f"{place} brings addresses of its own, and nobody agreed to them: {hosts_text}",
            hint=f"look at who that is; {flags} agrees",
        )

    def read(self, reference: SecretRef, base_dir: Path, hosts: set[str], place: str) -> str:
        """Read a secret that a file names, to send it to `hosts` (none: the plugin's own).

        Raises
        ------
        InputError
            It was not allowed by name, or not for one of the hosts; or it cannot be read.
        """
        if reference.scheme == "file":
            reference = SecretRef("file", os.path.abspath(base_dir / reference.name))
        allowed = self.secrets.get(str(reference))
        name = reference.name
        if allowed is None:
            raise InputError(
                f"{place} names {reference}, and a strategy file may read no secret by itself",
                hint=f"--allow-secret {_with_host(name, sorted(hosts))} allows it; or store the "
                f"credential of the venue in {venues_file()}",
            )
        not_allowed = sorted(hosts - allowed)
        if not_allowed:
            raise InputError(
                f"{place} names {reference} and would send it to {', '.join(not_allowed)}",
                hint=f"--allow-secret {_with_host(name, not_allowed)} allows it",
            )
        return read_secret(reference, base_dir)

    def read_for(self, base_dir: Path, place: str) -> Callable[[SecretRef, str], str]:
        """Return the function that reads a secret to send it to one host."""
        return lambda reference, host: self.read(reference, base_dir, {host}, place)

    def reader(
        self, config: Any, base_dir: Path, place: str
    ) -> tuple[Any, Callable[[SecretRef], str]]:
        """Return a venue's block with its credential, and what reads it.

        An entry of `venues.toml` under the venue's name wins over what the file names. Nothing is
        read yet but that file.

        Raises
        ------
        InputError
            A host of the block is not agreed to, or not listed with the credential; or the entry
            is of another exchange.
        """
        name = place.rpartition(".")[2]
        entry = stored_credentials().get(name)
        fields = [each for each in type(config).model_fields if _is_secret(config, each)]
        if entry is None:
            hosts = self.reach(config, place)
            return config, lambda reference: self.read(reference, base_dir, hosts, place)
        hosts = self.reach(config, place, listed=entry.hosts)
        _require_bound_entry(entry, config, hosts, place)
        stored = {each: SecretRef(STORED, each) for each in fields if each in entry.values}
        empty = {each: None for each in fields if each not in entry.values}
        return config.model_copy(update={**stored, **empty}), entry.read


def _with_host(name: str, hosts: list[str]) -> str:
    return f"{name}@{hosts[0]}" if hosts else name


def _is_secret(config: Any, name: str) -> bool:
    annotation = str(type(config).model_fields[name].annotation)
    return "SecretRef" in annotation and "list" not in annotation


def _require_bound_entry(entry: Stored, config: Any, hosts: set[str], place: str) -> None:
    exchange = getattr(config, "exchange", None)
    if exchange != entry.exchange:
        raise InputError(
            f"{place} is at {exchange}, and the credential [{entry.name}] is of {entry.exchange}",
            hint=f"name the venue otherwise, or correct {venues_file()}",
        )
    beyond = sorted(hosts - entry.hosts)
    if beyond:
        raise InputError(
            f"{place} would send the credential [{entry.name}] to {', '.join(beyond)}",
            hint=f"it goes to the exchange's own hosts only; hosts = [{beyond[0]!r}] in its entry "
            f"of {venues_file()} lists another",
        )
