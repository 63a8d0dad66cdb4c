"""Secrets: named in the file, read only at the edge, never printed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from septet._files import open_regular
from septet.errors import InputError
from septet_schemas.base import SecretRef
from septet_schemas.late_patterns import late_pattern

__all__ = ["HIDDEN", "looks_secret", "names_secret", "read_secret", "secret_in_address"]

HIDDEN: Final = "a value (not shown)"
_SECRET_KEY: Final = late_pattern(
    r"^(?:key|secret|password|passphrase|token|api_?key|api_?secret|private_?key"
    r"|.*_(?:secret|password|passphrase|token|api_key|private_key))$",
    re.IGNORECASE,
)
_LOGIN: Final = late_pattern(r"^[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)
_KNOWN: Final = late_pattern(
    r"^(?:AKIA[0-9A-Z]{16}|xox[abp]-[0-9A-Za-z-]{10,}|gh[pous]_[0-9A-Za-z]{20,}"
    r"|sk[-_](?:live|test|proj)?[-_]?[0-9A-Za-z]{20,}|tgram://\d+:.+|-----BEGIN .*PRIVATE KEY)"
)
_PARAMETER: Final = late_pattern(
    r"(?:^|[-_.])(?:api)?(?:key|token|secret|password|passwd|pwd|passphrase|auth|authorization"
    r"|signature|sig|sessionid|credentials?|appid|jwt|bearer)$"
    r"|(?:api|access|auth|subscription|client|user|license)[-_]?(?:key|token|secret)$",
    re.IGNORECASE,
)
"""Names of a query under which secrets stand; `keyword` and `author` are none."""
_MAX_BYTES: Final = 65_536


def names_secret(key: object) -> bool:
    """Whether a key's name indicates that its value is a secret."""
    return isinstance(key, str) and _SECRET_KEY.match(key) is not None


def looks_secret(value: object) -> bool:
    """Whether a value looks like a secret whatever its key is called."""
    return isinstance(value, str) and bool(_LOGIN.match(value) or _KNOWN.match(value))


def secret_in_address(value: object) -> str:
    """Return where an address contains a secret: ``a login``, a name of its query; else empty.

    A reference in its place counts as well: nothing there would read it.
    """
    if not isinstance(value, str) or "://" not in value:
        return ""
    try:
        parts = urlsplit(value)
        pairs = parse_qsl(parts.query)
    except ValueError:
        return ""
    if "@" in parts.netloc:
        return "a login"
    return next((name for name, each in pairs if each and _PARAMETER.search(name)), "")


def read_secret(reference: SecretRef, base_dir: Path) -> str:
    """Read a secret at the moment it is needed; the text is never kept or shown.

    Raises
    ------
    InputError
        If the variable is not set or the file cannot be read; the message names only the place.
    """
    if reference.scheme == "env":
        value = os.environ.get(reference.name)
        if not value:
            raise InputError(
                f"the environment variable {reference.name} is not set",
                hint=f"export {reference.name}=... before starting septet",
            )
        return value
    path = base_dir / reference.name
    try:
        with open_regular(path) as handle:
            data = handle.read(_MAX_BYTES + 1)
        value = data.decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"the secret file {path} cannot be read: {reason}") from None
    if len(data) > _MAX_BYTES or "\0" in value:
        raise InputError(f"the secret file {path} holds more than a secret, or no text")
    if not value:
        raise InputError(f"the secret file {path} is empty")
    return value
