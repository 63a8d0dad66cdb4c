"""Versions of installed packages, read without parsing whole descriptions."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from typing import Final

from septet_schemas.late_patterns import late_pattern

__all__ = ["installed_version", "version_of"]

_LINE: Final = late_pattern(r"^Version:[ \t]*(\S+)", re.M)


def installed_version(name: str) -> str:
    """Return the version of an installed distribution.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it is not installed.
    """
    return version_of(distribution(name))


def version_of(distribution: Distribution) -> str:
    """Return a distribution's version.

    The headers stand before the description, and the first is read; `importlib.metadata` parses
    the file as a mail, which takes several times as long.
    """
    line = _LINE.search(distribution.read_text("METADATA") or "")
    return line[1] if line else distribution.version
