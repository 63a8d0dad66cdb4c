"""Secrets are read when a venue is opened, and stand in no text, log or event."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet._drill.venue import Fault
from septet.errors import InputError, RunError
from septet.plugin import SecretRef
from septet_plugins.exchange.clients import Scrub, read_secret
from tests.execution.helpers import (
    KEY,
    SECRET,
    SYMBOLS,
    Received,
    WallTime,
    account,
    limit,
    local_venue,
    read,
    submit,
)


def clean(text: str) -> bool:
    return KEY not in text and SECRET not in text


def test_nothing_is_read_or_imported_before_a_venue_is_opened() -> None:
    asked: list[SecretRef] = []

    def reading(reference: SecretRef) -> str:
        asked.append(reference)
        return read(reference)

    live = account({}).connect(name="main", clock=WallTime(), read=reading)
    assert asked == []
    assert repr(live) == "CcxtVenue('main', 'binance')"
    code = (
        "import sys\n"
        "from septet_plugins.execution.venues import Ccxt, CcxtAccount\n"
        "from septet_plugins.data.ccxt_history import CcxtHistory, CcxtHistoryConfig\n"
        "CcxtAccount(Ccxt(exchange='binance')).connect(name='a', clock=None)\n"
        "CcxtHistory(CcxtHistoryConfig(venue='binance')).stream(clock=None)\n"
        "print(sorted({'ccxt', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_secret_in_events_logs_or_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # The loop's own debug lines name no request; ccxt's would name all of them, with the key.
    received = Received()

    async def case() -> list[Any]:
        async with local_venue() as venue:
            live = account(venue.urls).connect(name="main", clock=WallTime(), read=read)
            facts = await live.open(SYMBOLS, received)
            await received.until_state("up")
            answers: list[Any] = [facts, await live.submit(submit("a-1", quantity=1_000.0))]
            for code in ("N1", "N13", "E1"):
                venue.inject(Fault(code=code))
                answers.append(await live.submit(limit(f"b-{code}")))
            venue.refuse()
            answers += [await live.submit(limit("c-1")), await live.cancel_all([0])]
            await received.until_state("up", "down")
            await live.close()
            return answers

    answers = asyncio.run(case())
    assert clean(repr(answers) + msgspec.json.encode(received.events).decode())
    assert clean(caplog.text)
    assert "signature" not in caplog.text + repr(answers)


def test_an_error_at_the_start_shows_no_secret() -> None:
    async def case() -> None:
        async with local_venue() as venue:
            urls = venue.urls
        live = account(urls).connect(name="main", clock=WallTime(), read=read)
        await live.open(SYMBOLS, Received())

    with pytest.raises(RunError) as caught:
        asyncio.run(case())
    assert clean(str(caught.value))
    assert clean("".join(traceback.format_exception(caught.value)))


def test_a_text_is_scrubbed_of_secrets_and_queries() -> None:
    scrub = Scrub([SECRET, KEY, ""])
    text = scrub(ValueError(f"GET https://x/api?signature=1&key={KEY} said {SECRET}"))
    assert text == "ValueError: GET https://x/api said ***"
    assert clean(repr(scrub))


def test_a_secret_is_read_from_where_the_file_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_TEST_KEY", SECRET)
    assert read_secret(SecretRef("env", "SEPTET_TEST_KEY")) == SECRET
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    assert read_secret(SecretRef("file", str(tmp_path / "key"))) == KEY
    for reference in (SecretRef("env", "SEPTET_NO_SUCH"), SecretRef("file", str(tmp_path / "no"))):
        with pytest.raises(InputError):
            read_secret(reference)
