"""Secrets in addresses and headers: refused where they are written, read by name, never shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet._config.secrets import secret_in_address
from septet._data.bar_store import BarStore
from septet._text import masked_addresses
from septet.cli import cli
from septet.errors import RunError, SeptetError
from tests.data.helpers import request
from tests.data.test_http_json import DAY, Site, made
from tests.data.venue import serve

FILE = """
version: 1
name: web
universe: {{symbols: [BTC/USD], bar: 1h}}
data:
  candles: {{use: synthetic, bars: 100}}
  mood: {{use: http_json, url: "{url}", select: a, time: b, known_after: 1h{more}}}
features: {{mood: {{use: series, of: mood}}}}
signal: {{use: rules, long_if: mood > 0}}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
"""
SECRET = "s3cretValue"


def _output(folder: Path, *words: str, url: str = "https://a.example/x", more: str = "") -> str:
    path = folder / "web.yaml"
    path.write_text(FILE.format(url=url, more=f", {more}" if more else ""), encoding="utf-8")
    found = CliRunner().invoke(cli, [words[0], str(path), *words[1:]])
    return f"{found.output}{found.exception or ''}"


@pytest.mark.parametrize(
    "address",
    [
        f"https://a.example/x?token={SECRET}", f"https://a.example/x?n=1&apikey={SECRET}",
        f"https://a.example/x?api_key={SECRET}", f"https://a.example/x?X-Api-Key={SECRET}",
        f"https://a.example/x?access_token={SECRET}", f"https://a.example/x?appid={SECRET}",
        f"https://me:{SECRET}@a.example/x", f"https://{SECRET}@a.example/x",
        "https://a.example/x?token=env:TOKEN",
    ],
)  # fmt: skip
def test_a_secret_in_an_address_is_refused_and_not_repeated(tmp_path: Path, address: str) -> None:
    output = _output(tmp_path, "check", "--no-data", url=address)
    assert "a secret must not stand in an address" in output, output
    assert "query: {NAME: env:NAME}" in output
    assert SECRET not in output
    assert "data.mood.url" in output


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/x?keyword=btc&author=me&limit=10", "https://a.example/@me/x",
        "https://a.example/x?token=", "wss://a.example", "no address?token=x", "https://[",
    ],
)  # fmt: skip
def test_other_addresses_are_left_alone(address: str) -> None:
    assert secret_in_address(address) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Foo", "Bearer abcdefgh12345"), ("X-Foo", "Basic bWU6d29yZA=="),
        ("X-CMC_PRO_API", "b54bcf4d-1bca-4e8e-9a24-22ff2c3d462c"),
        ("X-Rapid", "0123456789abcdef0123456789abcdef"), ("X-RapidAPI-Key", "short"),
    ],
)  # fmt: skip
def test_a_header_that_is_plainly_a_secret_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    output = _output(tmp_path, "check", "--no-data", more=f'headers: {{"{name}": "{value}"}}')
    assert "env:NAME or file:/path" in output, output
    assert value not in output.replace("shorten", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Accept", "application/vnd.github+json"), ("X-Version", "2022-11-28"),
        ("User-Agent", "septet-client-2024.11.05"), ("X-Region", "eu-central-1"),
    ],
)  # fmt: skip
def test_an_ordinary_header_is_accepted(tmp_path: Path, name: str, value: str) -> None:
    output = _output(tmp_path, "check", "--no-data", more=f'headers: {{"{name}": "{value}"}}')
    assert output.startswith("ok:"), output


def test_a_literal_in_the_query_is_refused_by_its_name(tmp_path: Path) -> None:
    output = _output(
        tmp_path, "check", "--no-data", more=f"query: {{apikey: {SECRET}, limit: '5'}}"
    )
    assert "env:NAME or file:/path" in output
    assert SECRET not in output


def test_messages_and_explain_leave_the_query_out(tmp_path: Path) -> None:
    """A parameter with an innocent name may hold a secret all the same."""
    address = "https://a.example/x?id=quiet17"
    output = [_output(tmp_path, "check", url=address), _output(tmp_path, "explain", url=address)]
    output.append(_output(tmp_path, "explain", "--json", url=address))
    for each in output:
        assert "https://a.example/x" in each, each
        assert "quiet17" not in each
    assert "nothing was downloaded from https://a.example/x so far" in output[0]
    _output(tmp_path, "check", url=address)
    wrong = _output(tmp_path, "check", "--no-data", "--set", "data.mood.select=[x]", url=address)
    assert "quiet17" not in wrong


def test_a_query_by_name_is_sent_and_not_shown(tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []
    site = Site((DAY, 40))

    def respond(path: str, query: dict[str, str]) -> Any:
        asked.append(query)
        return site.respond(path, query)

    store, read_for = BarStore(tmp_path), []

    def read(reference: Any, host: str) -> str:
        read_for.append((str(reference), host))
        return f"{SECRET}&x=1"

    with serve(respond) as url:
        series = made(url, query={"apikey": "env:KEY", "limit": "5"})
        wanted = request("1h", "X", store=store, now_ns=(DAY + 90_000) * 10**9, name="mood")
        source = series.declaration(series.config)
        source.fetch(replace(wanted, read=read), lambda stage, done, total, what: None)
        assert asked == [{"apikey": f"{SECRET}&x=1", "limit": "5"}]
        assert read_for == [("env:KEY", "127.0.0.1")]
        site.body = b"no JSON"
        with pytest.raises(SeptetError) as caught:
            source.fetch(replace(wanted, read=read), lambda stage, done, total, what: None)
        assert SECRET not in str(caught.value)
    with pytest.raises(RunError) as gone:  # nothing listens there now
        source.fetch(replace(wanted, read=read), lambda stage, done, total, what: None)
    assert SECRET not in str(gone.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:a/b@h/x?t=1#f now", "see https://***@h/x?... now"),
        ("'wss://h/x?t=1' and \"http://u@h\"", "'wss://h/x?...' and \"http://***@h\""),
        ("https://h/x?", "https://h/x?"), ("https://h/#tok", "https://h/#..."),
        ("no address: a@b?c", "no address: a@b?c"), ("http://h", "http://h"),
    ],
)  # fmt: skip
def test_one_function_masks_addresses(text: str, shown: str) -> None:
    assert masked_addresses(text) == shown


def test_logs_leave_them_out(tmp_path: Path) -> None:
    from septet._live.logs import RunLog

    log = RunLog(tmp_path, now_ns=lambda: 1, level="info", quiet=True, run="r", strategy="s")
    log.notify("warning", "x", {"text": f"https://h/x?id={SECRET} failed"})
    log.close()
    lines = [json.loads(each) for each in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert lines[-1]["text"] == "https://h/x?... failed"
