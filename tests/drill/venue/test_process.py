"""The venue as a process of its own, its truth on disk, and HTTPS."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from septet._drill.venue import Fault, LocalVenue, VenueConfig, read_venue_journal
from septet._drill.venue.__main__ import main
from septet._drill.venue.venue_journal import FillMade, RequestSeen, VenueJournal
from tests.drill.venue.client import SYMBOL, client_of, config


def test_it_serves_until_asked_to_stop(tmp_path: Path) -> None:
    file, truth = tmp_path / "venue.json", tmp_path / "venue-journal.jsonl"
    file.write_bytes(msgspec.json.encode(config(journal_path=str(truth))))

    async def story(ready: dict[str, Any]) -> None:
        async with LocalVenue(config()) as other:
            client = client_of(other, urls=ready["urls"])
            await client.create_order(SYMBOL, "market", "buy", 0.5)
            await client.close()

    with subprocess.Popen(
        [sys.executable, "-m", "septet._drill.venue", "--config", str(file)],
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            ready = msgspec.json.decode(process.stdout.readline())
            asyncio.run(story(ready))
        finally:
            process.terminate()
        assert process.wait(10) == 0
    rows = read_venue_journal(truth)
    assert [row.quantity for row in rows if isinstance(row, FillMade)] == ["0.50000000"]
    assert any(isinstance(r, RequestSeen) and r.path == "/api/v3/order" for r in rows)


def test_a_configuration_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "absent.json")]) == 2
    (tmp_path / "bad.json").write_text('{"symbols": 3}')
    assert main(["--config", str(tmp_path / "bad.json")]) == 2
    output = capsys.readouterr().err
    assert "was not read" in output
    assert "$.symbols" in output


def test_a_configuration_survives_its_file() -> None:
    given = config(faults=[Fault(code="N1", parameters={"mode": "hang"})])
    text = msgspec.json.encode(given)
    assert msgspec.json.encode(msgspec.json.decode(text, type=VenueConfig)) == text


def test_the_truth_on_disk_is_the_truth_in_memory(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "venue-journal.jsonl"
        async with LocalVenue(config(journal_path=str(path))) as venue:
            client = client_of(venue)
            for _ in range(3):
                await client.create_order(SYMBOL, "market", "sell", 0.5)
            await client.close()
            again = VenueJournal()
            for row in read_venue_journal(path):
                again.write(row)
            assert again.dump() == venue.journal.dump()

    asyncio.run(run())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_https_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip

    async def run() -> None:
        given = config(certificate=str(certificate), private_key=str(key))
        async with LocalVenue(given) as venue:
            client = client_of(venue, verify=True)
            client.cafile = str(certificate)
            assert venue.rest_url.startswith("https://")
            assert await client.fetch_time()
            await client.create_order(SYMBOL, "market", "buy", 0.5)
            await client.close()

    asyncio.run(run())
