"""Secrets are read at the edge, from where the file names, and appear nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from septet._cli.render import render_problems
from septet._config import load, read_secret
from septet._config.secrets import looks_secret, names_secret
from septet.errors import ConfigError, InputError
from septet_schemas.base import SecretRef
from tests.config.plugins import fixed_host


def test_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_TEST_SECRET", "swordfish")
    assert read_secret(SecretRef("env", "SEPTET_TEST_SECRET"), tmp_path) == "swordfish"
    monkeypatch.delenv("SEPTET_TEST_SECRET")
    with pytest.raises(InputError, match="SEPTET_TEST_SECRET is not set"):
        read_secret(SecretRef("env", "SEPTET_TEST_SECRET"), tmp_path)


def test_from_a_file_beside_the_strategy(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("swordfish\n", encoding="utf-8")
    assert read_secret(SecretRef("file", "key"), tmp_path) == "swordfish"
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        read_secret(SecretRef("file", "empty"), tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_secret(SecretRef("file", "none"), tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="not text"):
        read_secret(SecretRef("file", "binary"), tmp_path)


@pytest.mark.parametrize("name", ["key", "secret", "api_key", "bot_token", "PASSWORD"])
def test_names_that_mean_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["use", "keys", "tokens_per_minute", "monkey", 3])
def test_names_that_do_not(name: object) -> None:
    assert not names_secret(name)


def test_values_that_look_secret() -> None:
    assert looks_secret("https://user:hunter2@example.org/x")
    assert looks_secret("tgram://123456:ABCDEF/chat")
    assert looks_secret("AKIA" + "ABCDEFGHIJKLMNOP")
    assert not looks_secret("https://example.org/a:b@c")
    assert not looks_secret("env:KEY")


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f"  venues: {{b: {{use: ccxt, exchange: bybit, secret: {SECRET}}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: bybit, secret: '{SECRET}', exchnge: 3}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: [b], key: {SECRET}}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: bybit, api_key: {SECRET}}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: bybit, options: {{token: {SECRET}}}}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: 'https://u:{SECRET}@x.org'}}}}",
        f"  venues: {{b: {{use: nosuch, password: {SECRET}}}}}",
        f"  venues: {{b: {{use: ccxt, exchange: bybit, secret: {SECRET}",
    ],
)
def test_never_printed(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent / "valid" / "smallest.yaml").read_text(encoding="utf-8")
    head = text[: text.index("  venues:")]
    path = tmp_path / "x.yaml"
    path.write_text(f"{head}{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, host=fixed_host())
    render_problems(caught.value.problems)
    out = capsys.readouterr()
    assert SECRET not in str(caught.value) + out.err + out.out


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "large", "noise", "nul", "long name"])
def test_a_secret_file_that_is_none_is_a_message(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("large", "noise", "nul"):
        texts = {"large": b"x" * 70_000, "noise": b"\xff\xfe\x80", "nul": b"a\0b"}
        path.write_bytes(texts[kind])
    name = {"device": "/dev/zero", "long name": "x" * 5_000}.get(kind, "s")
    with pytest.raises(InputError, match="the secret file"):
        read_secret(SecretRef("file", name), tmp_path)
