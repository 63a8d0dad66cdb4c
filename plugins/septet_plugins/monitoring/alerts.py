"""Alert channels: the log, or any service that apprise supports."""

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
    """Alerts are written to the log of the run, with at least `level`.

    A failure is logged as an error.
    """

    level: Literal["info", "warning", "error"] = "warning"
    """Lowest level at which an alert is logged."""


@dataclass(frozen=True, slots=True)
class LogChannel:
    """Writes alerts to the logger ``septet.alerts``."""

    level: int

    def send(self, title: str, text: str, read: Callable[[SecretRef], str], severity: str) -> None:
        """Write an alert as one line."""
        level = max(self.level, _LEVELS[severity])
        words = "; ".join(text.splitlines())
        logging.getLogger("septet.alerts").log(level, "%s: %s", title, words)


@alerts(Log)
def log(config: Log) -> LogChannel:
    """Return the channel."""
    return LogChannel(getattr(logging, config.level.upper()))


class Apprise(Config):
    """Alerts are sent to services by apprise's URLs; a URL contains a token, so it is a secret."""

    urls: Annotated[tuple[Secret, ...], Field(min_length=1)]
    """Addresses of services in apprise's form, each a secret: env:NAME."""


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends to every URL; the URLs are read when an alert is sent, and never stored."""

    urls: tuple[SecretRef, ...]

    def by_address(self) -> dict[str, AppriseChannel]:
        """Return one channel for each URL, so that a slow one delays no other."""
        return {str(each): AppriseChannel((each,)) for each in self.urls}

    def check(self, read: Callable[[SecretRef], str]) -> None:
        """Check before a run that alerts can be sent; nothing is sent.

        Raises
        ------
        RunError
            If the extra is missing, or a URL is invalid.
        """
        self._sender(read)

    def send(self, title: str, text: str, read: Callable[[SecretRef], str], severity: str) -> None:
        """Send one alert; `read` resolves a reference to its secret.

        `severity` is apprise's type as well: ``info``, ``warning`` or ``failure``.

        Raises
        ------
        RunError
            If the extra is missing, a URL is invalid, or no service accepted the alert.
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
        # apprise may log a URL, and with it a token; only its return value is used
        logging.getLogger("apprise").disabled = True
        asset = client.AppriseAsset(plugin_paths=[])  # load no plugins from the user's folders
        asset.http_redirects = False  # a service must not redirect the request to another host
        sender = client.Apprise(asset=asset)
        for reference in self.urls:
            if not sender.add(read(reference)):
                raise RunError(f"{reference} holds no URL that apprise understands")
        return sender


@alerts(Apprise)
def apprise(config: Apprise) -> AppriseChannel:
    """Return the channel; apprise is imported when an alert is sent."""
    return AppriseChannel(config.urls)
