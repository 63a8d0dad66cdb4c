"""Where alerts go: the log, or any of the hundred services that apprise knows."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from septet.errors import RunError
from septet.plugin import Config, Secret, SecretRef
from septet.plugin.live import alerts

__all__ = ["Apprise", "AppriseChannel", "Log", "LogChannel", "apprise", "log"]


_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "failure": logging.ERROR}


class Log(Config):
    """Alerts go to the log of the run, a failure as an error, and with `level` at least."""

    level: Literal["info", "warning", "error"] = "warning"
    """The least level that an alert is logged at."""


@dataclass(frozen=True, slots=True)
class LogChannel:
    """Writes alerts to the logger ``septet.alerts``."""

    level: int

    def send(self, title: str, text: str, read: Callable[[SecretRef], str], severity: str) -> None:
        """Write one alert in one line."""
        level = max(self.level, _LEVELS[severity])
        words = "; ".join(text.splitlines())
        logging.getLogger("septet.alerts").log(level, "%s: %s", title, words)


@alerts(Log)
def log(config: Log) -> LogChannel:
    """Build the channel."""
    return LogChannel(getattr(logging, config.level.upper()))


class Apprise(Config):
    """Alerts go to services by apprise's URLs; a URL holds a token, so it is a secret."""

    urls: Annotated[tuple[Secret, ...], Field(min_length=1)]
    """Addresses of services in apprise's form, each a secret: env:NAME."""


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends to every URL; the URLs are read when something is sent, and never kept."""

    urls: tuple[SecretRef, ...]

    def by_address(self) -> dict[str, AppriseChannel]:
        """Return a channel for each URL, so that one that hangs delays no other."""
        return {str(each): AppriseChannel((each,)) for each in self.urls}

    def check(self, read: Callable[[SecretRef], str]) -> None:
        """Look whether alerts could be sent, before a run begins; nothing is sent.

        Raises
        ------
        RunError
            If the extra is missing, or a URL is not understood.
        """
        self._sender(read)

    def send(self, title: str, text: str, read: Callable[[SecretRef], str], severity: str) -> None:
        """Send one alert; `read` turns a reference into the secret.

        `severity` is apprise's type as well: ``info``, ``warning`` or ``failure``.

        Raises
        ------
        RunError
            If the extra is missing, a URL is not understood, or no service took the alert.
        """
        client = self._client()
        kind = getattr(client.NotifyType, severity.upper())
        if not self._sender(read).notify(title=title, body=text, notify_type=kind):
            names = ", ".join(str(each) for each in self.urls)
            raise RunError(f"the alert {title!r} was not taken by {names}")

    def _client(self) -> Any:
        try:
            return importlib.import_module("apprise")
        except ImportError as error:
            raise RunError(
                "alerts by apprise need the extra `alerts`",
                hint="pip install 'septet[alerts]'",
            ) from error

    def _sender(self, read: Callable[[SecretRef], str]) -> Any:
        client = self._client()
        # What apprise logs may hold a URL, and with it a token: what counts is what it answers.
        logging.getLogger("apprise").disabled = True
        asset = client.AppriseAsset(plugin_paths=[])  # no code of others from the user's folders
        asset.http_redirects = False  # a service may not forward what it receives to another host
        sender = client.Apprise(asset=asset)
        for reference in self.urls:
            if not sender.add(read(reference)):
                raise RunError(f"{reference} holds no URL that apprise understands")
        return sender


@alerts(Apprise)
def apprise(config: Apprise) -> AppriseChannel:
    """Build the channel; apprise is imported when something is sent."""
    return AppriseChannel(config.urls)
