"""Install what is named into this environment, by uv where it can do what pip would.

uv unpacks wheels side by side: everything for the tests takes 7 s with it, and 27 s with pip. It
reads none of pip's settings, so they are handed over; one that it has no word for, a machine
without uv, and an installation that fails leave the work, and its messages, to pip.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

PIP = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "-qq"]

HANDED_OVER = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "no-index": "UV_NO_INDEX",
    "find-links": "UV_FIND_LINKS",
}
"""Settings of pip that decide where a package comes from, and what uv calls them."""

WITHOUT_EFFECT = {
    *("cache-dir", "default-timeout", "disable-pip-version-check", "no-cache-dir", "no-color"),
    *("no-compile", "no-input", "no-warn-script-location", "progress-bar", "quiet", "retries"),
    *("root-user-action", "timeout", "verbose"),
}
"""Settings of pip that change how it installs, and not what."""


def pip_settings(listed: str) -> dict[str, str]:
    """Return the settings that hold for an installation, of what ``pip config list`` prints.

    A setting of ``install`` beats one of all commands, and the environment beats both.
    """
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        place, equals, text = line.partition("=")
        section, _, name = place.rpartition(".")
        if equals and section in found:
            found[section][name] = str(ast.literal_eval(text))
    return found["global"] | found["install"] | found[":env:"]


def uv_settings(settings: Mapping[str, str]) -> dict[str, str] | None:
    """Return the same settings in uv's names, or None if uv cannot do what pip would."""
    if settings.keys() - HANDED_OVER.keys() - WITHOUT_EFFECT:
        return None
    named = {HANDED_OVER[name]: text for name, text in settings.items() if name in HANDED_OVER}
    if "UV_FIND_LINKS" in named:
        named["UV_FIND_LINKS"] = ",".join(named["UV_FIND_LINKS"].split())
    # pip takes the newest release of all its indexes, whichever index it comes from.
    return named | {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def installed_by_uv(wanted: list[str]) -> bool:
    """Install by uv, and return whether it did; what it says of a failure is left to pip."""
    listed = subprocess.run([*PIP[:-1], "config", "list"], capture_output=True, text=True)
    settings = uv_settings(pip_settings(listed.stdout)) if listed.returncode == 0 else None
    if settings is None:
        return False
    steps = (
        [*PIP, "install", "--no-compile", "uv>=0.9"],
        [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, *wanted],
    )
    environment = os.environ | settings
    return all(
        subprocess.run(step, capture_output=True, env=environment).returncode == 0 for step in steps
    )


def main(wanted: list[str]) -> int:
    """Install ``wanted`` (arguments of ``pip install``) and return the exit status."""
    if installed_by_uv(wanted):
        return 0
    # The newest pip installs in half the time of the one that Python 3.11 brings.
    subprocess.run([*PIP, "install", "--upgrade", "--no-compile", "pip"], capture_output=True)
    # Python compiles what is imported; pip would compile all of 16,000 files.
    return subprocess.run([*PIP, "install", "--no-compile", *wanted]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
