"""The real clients, offline: what would go over the wire is answered from recorded messages."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from septet_plugins.exchange.clients import Terms, make_client

BUNDLED = Path(__file__).parent / "recorded"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "wire"
Answer = Callable[[str, str], Any]


def markets(client: Any, *symbols: str) -> None:
    """Give a client markets by hand: the recorded messages come without the list."""
    made = []
    for symbol in symbols:
        base, _, rest = symbol.partition("/")
        quote, _, settle = rest.partition(":")
        separator = {"okx": "-"}.get(client.id, "")
        name = f"{base}{separator}{quote}" + ("-SWAP" if settle and separator else "")
        if client.id == "kraken":
            name = f"X{base}Z{quote}".replace("BTC", "XBT")
        made.append(
            client.safe_market_structure(
                {
                    "id": name, "lowercaseId": name.lower(), "symbol": symbol, "base": base,
                    "quote": quote, "baseId": base, "quoteId": quote, "settle": settle or None,
                    "settleId": settle or None,
                    "type": "swap" if settle else "spot", "spot": not settle,
                    "swap": bool(settle), "contract": bool(settle), "linear": bool(settle) or None,
                    "contractSize": 1.0 if settle else None, "active": True, "margin": False,
                    "future": False, "option": False, "altname": name, "wsId": symbol,
                    "precision": {"amount": 1e-8, "price": 1e-8},
                    "info": {"orderTypes": ["LIMIT", "MARKET"]},
                }
            )
        )  # fmt: skip
    client.set_markets(made)


def offline(exchange: str, answer: Answer, **options: Any) -> Any:
    """Return a client whose requests are answered by `answer(method, address)`."""
    client = make_client(
        Terms(exchange, options=options, rate_limit=False),
        {"apiKey": "k", "secret": "c2VjcmV0", "password": "p"},
    )

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        reported = answer(method, urlsplit(url).path)
        text = json.dumps(reported)
        client.handle_errors(200, "OK", url, method, {}, text, reported, headers, body)
        return reported

    client.fetch = fetch
    return client


def rest(exchange: str, name: str) -> Any:
    """Return the body of a recorded REST answer: method, path and access stand above it."""
    text = (BUNDLED / exchange / f"{name}.txt").read_text(encoding="utf-8-sig")
    return json.loads(text.split("\n", 3)[3])


def pushed(exchange: str, name: str) -> list[Any]:
    """Return the messages of a recorded subscription, those that begin with ``=``."""
    text = (BUNDLED / exchange / f"{name}.txt").read_text(encoding="utf-8-sig")
    parts = text.replace("\r", "").split("\n=")[1:]
    return [json.loads(part.split("\n<")[0].split("\n>")[0]) for part in parts]


@cache
def _archive(name: str) -> dict[str, str]:
    path = SHARED / name
    if not path.exists():
        pytest.skip("the recorded data is not on this machine")
    with tarfile.open(path) as archive:
        return {
            each.name: archive.extractfile(each).read().decode("utf-8-sig")  # type: ignore[union-attr]
            for each in archive
            if each.isfile()
        }


def archived(name: str, ending: str) -> str:
    """Return a file of a recorded archive by the end of its name."""
    return next(text for path, text in _archive(name).items() if path.endswith(ending))


def frames(name: str, venue: str) -> Iterator[tuple[float, Any]]:
    """Return what a socket of a recording received: when, and the message."""
    for line in archived(name, f"/{venue}").splitlines():
        stamp, _, text = line.partition(": ")
        if stamp.replace(".", "", 1).isdigit():
            yield float(stamp), json.loads(text)


def requests(name: str, venue: str) -> dict[str, Any]:
    """Return the answers of a recording by address."""
    found = {}
    for line in archived(name, f"/{venue}").splitlines():
        head, arrow, rest_ = line.partition(" -> ")
        if arrow:
            found[head] = json.loads(rest_.partition(": ")[2])
    return found
