"""Alert channels: references stay references until something is sent."""

from __future__ import annotations

import importlib
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from septet._host.plugin_registry import Host
from septet.errors import RunError
from septet.plugin import SecretRef
from septet_plugins.monitoring.alerts import Apprise, Log, apprise, log


def _read(reference: SecretRef) -> str:
    return f"json://{reference.name}"


def _client(monkeypatch: pytest.MonkeyPatch, **answers: bool) -> list[Any]:
    seen: list[Any] = []

    class Sender:
        def add(self, url: str) -> bool:
            seen.append(url)
            return answers.get("add", True)

        def __init__(self, asset: Any) -> None:
            assert asset.http_redirects is False

        def notify(self, title: str, body: str, notify_type: str) -> bool:
            seen.append((title, body, notify_type))
            return answers.get("notify", True)

    fake = SimpleNamespace(
        Apprise=Sender,
        AppriseAsset=lambda plugin_paths: SimpleNamespace(),
        NotifyType=SimpleNamespace(INFO="info", WARNING="warning", FAILURE="failure"),
    )
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    return seen


def test_an_alert_goes_to_every_url(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _client(monkeypatch)
    channel = apprise(Apprise.model_validate({"urls": ["env:ONE", "env:TWO"]}))
    assert "ONE" in repr(channel)
    channel.send("halt", "drawdown 15 %", _read, "failure")
    assert seen == ["json://ONE", "json://TWO", ("halt", "drawdown 15 %", "failure")]


def test_a_url_written_in_the_file_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Apprise.model_validate({"urls": ["tgram://token-123"]})
    assert "token-123" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("answers", "text"),
    [({"add": False}, "env:ONE holds no URL"), ({"notify": False}, "was not taken by env:ONE")],
)
def test_what_is_not_taken_is_an_error(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, bool], text: str
) -> None:
    _client(monkeypatch, **answers)
    channel = apprise(Apprise.model_validate({"urls": ["env:ONE"]}))
    with pytest.raises(RunError, match=text):
        channel.send("halt", "text", _read, "warning")


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    channel = apprise(Apprise.model_validate({"urls": ["env:ONE"]}))
    with pytest.raises(RunError) as caught:
        channel.send("halt", "text", _read, "warning")
    assert "pip install 'septet[alerts]'" in str(caught.value)


def test_the_log_takes_alerts_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="septet.alerts"):
        log(Log(level="error")).send("drift", "psi:rsi_14 0.31", _read, "info")
        log(Log(level="info")).send("halt", "one\ntwo", _read, "failure")
        log(Log(level="info")).send("fill", "one", _read, "info")
    levels = [each.levelno for each in caplog.records]
    assert levels == [logging.ERROR, logging.ERROR, logging.INFO]
    assert caplog.messages[:2] == ["drift: psi:rsi_14 0.31", "halt: one; two"]


@pytest.mark.parametrize("name", ["apprise", "log"])
def test_they_are_found_by_name(name: str) -> None:
    assert Host().declaration("monitoring", name, "alerts").kind == "alerts"
