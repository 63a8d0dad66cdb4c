"""The certificate of a page over TLS and its key, loaded again when their files have changed."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from septet._files import open_regular
from septet.errors import InputError

__all__ = ["Certificate"]

_FileStamps = tuple[tuple[int, ...], ...]
_NO_FILE: Final = (0,)


class Certificate:
    """A certificate and its key; a renewed pair counts from the next connection on.

    Parameters
    ----------
    certificate, key
        PEM files: the chain, and its private key without a passphrase.

    Raises
    ------
    InputError
        If they cannot be read or do not belong together, or others may read the key.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._stamps = self._file_stamps()  # before they are read: what is written now is new
        self._current = _loaded(certificate, key)
        self._warn: Callable[[str], None] = lambda text: None

    def context(self, warn: Callable[[str], None]) -> ssl.SSLContext:
        """Return what a server begins every connection with: TLS 1.2 and 1.3.

        `warn` is given why a changed pair is not taken, once for each change.
        """
        self._warn = warn
        made = _loaded(*self._files)
        made.sni_callback = self._begin
        return made

    def _begin(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, old: ssl.SSLContext
    ) -> None:
        """Begin a connection with the pair as it is now; OpenSSL asks even where no name came."""
        self._reload_if_changed()
        connection.context = self._current

    def _reload_if_changed(self) -> None:
        """Load the pair if a file has changed; one that is broken or half written is not taken."""
        now = self._file_stamps()
        if now == self._stamps:
            return
        self._stamps = now
        try:
            self._current = _loaded(*self._files)
        except InputError as problem:
            self._warn(
                "the certificate has changed and is not taken, the one before it goes on: "
                f"{problem.message}"
            )

    def _file_stamps(self) -> _FileStamps:
        """Return what changes when a file is written or replaced, links followed."""
        found: list[tuple[int, ...]] = []
        for path in self._files:
            try:
                state = path.stat()
            except OSError:
                found.append(_NO_FILE)
                continue
            found.append((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns,
                          state.st_ctime_ns))  # fmt: skip
        return tuple(found)


def _loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a certificate and its key as a server uses them: TLS 1.2 and 1.3."""
    try:
        with open_regular(certificate):
            pass
        with open_regular(key) as file:
            found = os.fstat(file.fileno())
    except OSError as problem:
        raise InputError(
            f"{problem.filename} cannot be read: {problem.strerror}",
            hint="--certificate is the chain and --key the private key, both PEM",
        ) from problem
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (os.geteuid(), 0) or mode & 0o037:
        raise InputError(
            f"{key} is the private key, and others may read it or own it (mode {mode:04o}, "
            "expected 0600 or 0640)",
            hint=f"chmod 600 {key}",
        )
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or "they cannot be read"
        raise InputError(
            f"{certificate} and {key} are no certificate and its key: {reason}",
            hint="both are PEM, belong to each other, and the key has no passphrase",
        ) from problem
    return made
