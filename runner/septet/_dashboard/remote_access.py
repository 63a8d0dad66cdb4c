"""How browsers of other machines reach the page: over TLS, or through a named proxy with TLS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from septet._dashboard.certificate import Certificate
from septet._dashboard.rate_limits import plain_address
from septet.errors import InputError

__all__ = ["RemoteAccess", "ip_of", "remote_access"]

_NAME: Final = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?"
)
_LOOPBACK: Final = ("127.0.0.1", "::1")
_TLS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class RemoteAccess:
    """Names, TLS and proxies of a page that other machines reach.

    Parameters
    ----------
    names : tuple of str
        What browsers call it, in small letters; behind a proxy with its port unless that is 443.
    proxies : tuple of str
        Addresses of the proxies; without any, browsers connect directly.
    tls : Certificate, optional
        Certificate and key; only a page behind a proxy can be without.
    """

    names: tuple[str, ...]
    proxies: tuple[str, ...] = ()
    tls: Certificate | None = None

    def hosts(self, port: int) -> tuple[str, ...]:
        """Return the values of `Host` that are answered by a page that listens on a port."""
        if self.proxies:
            return self.names
        with_port = tuple(f"{name}:{port}" for name in self.names)
        return (*self.names, *with_port) if port == _TLS_PORT else with_port


def ip_of(address: str) -> str:
    """Return an address as the system writes it; `localhost` is 127.0.0.1.

    Raises
    ------
    InputError
        It is the name of a machine, or nothing.
    """
    if address == "localhost":
        return _LOOPBACK[0]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise InputError(
            f"{address[:60]!r} is no address of this machine",
            hint="expected numbers, such as --address 192.168.1.2; 0.0.0.0 is every address",
        ) from None


def remote_access(
    address: str, *, names: tuple[str, ...] = (), proxies: tuple[str, ...] = (),
    certificate: Path | None = None, key: Path | None = None,
) -> RemoteAccess | None:  # fmt: skip
    """Return how other machines reach a page on an address; None if only this machine does.

    Raises
    ------
    InputError
        Passwords would cross a network without encryption, a part is missing, or a file is wrong.
    """
    ip = ip_of(address)
    if (certificate is None) != (key is None):
        given, missing = ("--key", "--certificate") if key else ("--certificate", "--key")
        raise InputError(f"{given} needs {missing}", hint="TLS needs a certificate and its key")
    if certificate is None and not proxies:
        _require_loopback(ip, names)
        return None
    found = tuple(_proxy(each) for each in proxies)
    named = tuple(dict.fromkeys(_name(each, has_port=bool(found)) for each in names))
    if not named and (found or ipaddress.ip_address(ip).is_unspecified):
        raise InputError(
            "the name that browsers write in their address line is missing",
            hint="--name septet.example, again for each further one; other names are refused",
        )
    if not named:
        shown = f"[{ip}]" if ":" in ip else ip
        named = (shown, "localhost") if ip in _LOOPBACK else (shown,)
    tls = None if certificate is None or key is None else Certificate(certificate, key)
    return RemoteAccess(named, found, tls)


def _require_loopback(ip: str, names: tuple[str, ...]) -> None:
    if ip not in _LOOPBACK:
        raise InputError(
            f"without TLS or a proxy septet dashboard listens on loopback only, not on {ip}: "
            "passwords and sessions would cross the network in clear",
            hint="give --certificate FILE and --key FILE, or --proxy ADDRESS and --name NAME where "
            "a proxy with TLS stands in front; with neither, leave --address out and use from the "
            "other machine ssh -L 8765:127.0.0.1:8765 THIS-MACHINE",
        )
    if names:
        raise InputError(
            "--name goes with --certificate and --key, or with --proxy",
            hint="on loopback the page is 127.0.0.1, localhost or [::1]",
        )


def _proxy(text: str) -> str:
    try:
        return plain_address(str(ipaddress.ip_address(text)))
    except ValueError:
        raise InputError(
            f"--proxy {text[:60]!r} is no address",
            hint="expected the numbers from which it connects, such as 127.0.0.1 or 10.0.0.7",
        ) from None


def _name(text: str, *, has_port: bool) -> str:
    found = _NAME.fullmatch(text)
    if found is None or len(text) > 260 or (found.group(5) and not has_port):
        raise InputError(
            f"--name {text[:60]!r} is no name of a machine",
            hint="expected such as septet.example"
            + (", or septet.example:8443" if has_port else "; the port is that of --port"),
        )
    return text.lower()
