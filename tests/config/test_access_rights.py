"""What a stranger's strategy file may read and reach: nothing that the operator did not allow."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet._cli.check import check
from septet._config import load
from septet._config.access_rights import Access, addresses_in
from septet._config.credentials import STORED, stored_credentials, venues_file
from septet._live.clock import WallClock
from septet._live.wiring import feed_of, venue_of
from septet.errors import InputError
from septet_plugins.data.ccxt_history import CcxtHistoryConfig
from septet_plugins.data.http_json import HttpJsonConfig
from septet_plugins.execution.venues import Ccxt
from septet_schemas.base import SecretRef
from septet_schemas.hosts import is_loopback
from tests.cli.local import OPTIONS, STRATEGY

KEY, SECRET = "the-key-itself", "the-secret-itself"
EVIL = {"api": {"public": "https://evil.example/api", "private": "https://evil.example/api"}}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LOCAL_KEY", KEY)
    monkeypatch.setenv("LOCAL_SECRET", SECRET)


def _file(folder: Path, urls: Any) -> Path:
    text = STRATEGY.format(
        name="stranger", capital=5_000.0, urls=json.dumps(urls), options=json.dumps(OPTIONS)
    )
    (folder / "stranger.yaml").write_text(text, encoding="utf-8")
    return folder / "stranger.yaml"


def _store(text: str, mode: int = 0o600) -> Path:
    path = venues_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


OWN = 'exchange = "binance"\nkey = "env:LOCAL_KEY"\nsecret = "env:LOCAL_SECRET"\n'
ALLOWED = ["LOCAL_KEY", "LOCAL_SECRET"]


def _venue(file: Path, access: Access | None = None) -> Any:
    loaded = load(file, mode="live", access=access)
    return venue_of(loaded, WallClock(), {})


def _secrets(venue: Any) -> dict[str, str]:
    return {name: venue._read(where) for name, where in venue._terms.secrets.items()}


# ---------------------------------------------------------------------------- secrets


def test_a_file_reads_no_secret_by_naming_it(tmp_path: Path) -> None:
    venue = _venue(_file(tmp_path, {}))
    with pytest.raises(InputError, match="may read no secret by itself") as caught:
        _secrets(venue)
    assert "--allow-secret LOCAL_KEY" in caught.value.hint
    assert "venues.toml" in caught.value.hint


def test_a_secret_allowed_by_name_is_read_for_the_exchanges_own_hosts(tmp_path: Path) -> None:
    venue = _venue(_file(tmp_path, {}), Access.of(ALLOWED, []))
    assert _secrets(venue) == {"apiKey": KEY, "secret": SECRET}


def test_a_secret_is_bound_to_its_hosts(tmp_path: Path) -> None:
    """Neither a name without a host nor consent to the host sends a secret there."""
    file = _file(tmp_path, EVIL)
    venue = _venue(file, Access.of(ALLOWED, ["evil.example"]))
    with pytest.raises(InputError, match=r"would send it to evil\.example"):
        _secrets(venue)
    there = [f"{name}@evil.example" for name in ALLOWED]
    assert _secrets(_venue(file, Access.of(there, [])))["apiKey"] == KEY


def test_a_secret_file_is_allowed_by_its_path(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("what is in it", encoding="utf-8")
    text = _file(tmp_path, {}).read_text().replace("env:LOCAL_KEY", "file:private")
    (tmp_path / "stranger.yaml").write_text(text)
    with pytest.raises(InputError, match=r"file:.*private") as caught:
        _secrets(_venue(tmp_path / "stranger.yaml", Access.of(ALLOWED, [])))
    assert "what is in it" not in str(caught.value)
    allowed = Access.of([*ALLOWED, str(private)], [])
    assert _secrets(_venue(tmp_path / "stranger.yaml", allowed))["apiKey"] == "what is in it"


# ---------------------------------------------------------------------------- addresses


@pytest.mark.parametrize("part", [feed_of, venue_of])
def test_an_address_of_the_file_needs_consent_in_which_its_host_is_shown(
    tmp_path: Path, part: Any
) -> None:
    more: tuple[Any, ...] = ({},) if part is venue_of else ()
    file = _file(tmp_path, EVIL)
    with pytest.raises(InputError, match=r"evil\.example") as caught:
        part(load(file, mode="live"), WallClock(), *more)
    assert "--trust-host evil.example" in caught.value.hint
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(InputError):
        part(load(file, mode="live", access=Access(ask=no)), WallClock(), *more)
    assert "evil.example" in asked[0]
    part(load(file, mode="live", access=Access(ask=lambda text: True)), WallClock(), *more)
    part(load(file, mode="live", access=Access.of([], ["evil.example"])), WallClock(), *more)


def test_an_address_in_clear_text_is_refused(tmp_path: Path) -> None:
    file = _file(tmp_path, {"api": {"public": "http://evil.example/api"}})
    with pytest.raises(InputError, match="anybody on the way"):
        feed_of(load(file, mode="paper", access=Access.of([], ["evil.example"])), WallClock())


def test_this_machine_needs_no_consent(tmp_path: Path) -> None:
    local = {"api": {"public": "http://127.0.0.1:1/api", "private": "http://localhost:1/api"}}
    feed_of(load(_file(tmp_path, local), mode="paper"), WallClock())


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("0.0.0.0", False),
        ("169.254.169.254", False), ("10.0.0.1", False), ("127.1", False),
    ],
)  # fmt: skip
def test_what_is_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("urls", {"api": ["https://evil.example"]}),
        ("urls", {"hostnames": {"spot": "evil.example"}}),
        ("urls", {"hostname": "evil.example:443/x"}),
        ("options", {"a": {"deep": ["wss://evil.example/ws"]}}),
        ("params", {"callback": "https://EVIL.example./x"}),
        ("options", {"ws": {"proxy": "evil.example:8080"}}),
        ("options", {"httpsProxy": "evil.example"}),
        ("options", {"socks_proxies": {"all": ["evil.example:1080"]}}),
        ("streaming", {"proxy": "evil.example:8080"}),
        ("params", {"wsEndpoint": "evil.example"}),
    ],
)
def test_every_address_of_a_block_is_found(field: str, value: Any) -> None:
    history = field == "params"  # those of a venue hold no address: see `order_fields`
    block = {"venue" if history else "exchange": "binance", field: value}
    found = addresses_in((CcxtHistoryConfig if history else Ccxt).model_validate(block))
    assert {each.host for each in found} == {"evil.example"}


@pytest.mark.parametrize(
    "text",
    [
        "https://api.binance.com@evil.example/", "https://evil.example\\@api.binance.com/",
        "//evil.example/x", "https://", "https://evil.example/\n", "https://\u0435vil.example/",
        "https://[::1/", "https://api.binance.com:443@evil.example",
        "http://127.0.0.1:x.evil.example:80/", "http://localhost:x.evil.example/",
        "http://127.0.0.1:80,evil.example:80/", "http://127.0.0.1:/", "http://[::1]x.evil.example/",
    ],
)  # fmt: skip
def test_an_address_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    config = Ccxt.model_validate({"exchange": "binance", "urls": {"api": text}})
    with pytest.raises(InputError, match="not plain"):
        addresses_in(config)


@pytest.mark.parametrize("key", ["proxy", "anything"])
def test_an_address_without_a_scheme_is_refused_under_any_name(key: str) -> None:
    config = Ccxt.model_validate({"exchange": "binance", "options": {key: "//evil.example:80"}})
    with pytest.raises(InputError, match="not plain"):
        addresses_in(config)


# ---------------------------------------------------------------------------- venues.toml


def test_the_stored_credential_wins_over_what_the_file_names(tmp_path: Path) -> None:
    _store('[binance]\nexchange = "binance"\nkey = "literal"\nsecret = "env:LOCAL_SECRET"\n')
    text = _file(tmp_path, {}).read_text().replace("env:LOCAL_KEY", "env:HOME")
    (tmp_path / "stranger.yaml").write_text(text)
    found = _secrets(_venue(tmp_path / "stranger.yaml"))
    assert found == {"apiKey": "literal", "secret": SECRET}


def test_the_stored_credential_goes_to_listed_hosts_only(tmp_path: Path) -> None:
    _store(f"[binance]\n{OWN}")
    with pytest.raises(InputError, match="brings addresses of its own"):
        _venue(_file(tmp_path, EVIL))
    with pytest.raises(InputError, match=r"would send the credential \[binance\] to evil"):
        _venue(_file(tmp_path, EVIL), Access.of([], ["evil.example"]))
    with pytest.raises(InputError, match=r"would send the credential \[binance\] to 127"):
        _venue(_file(tmp_path, {"api": {"public": "http://127.0.0.1:1"}}))
    _store(f'[binance]\n{OWN}hosts = ["evil.example"]\n')
    assert _secrets(_venue(_file(tmp_path, EVIL), Access.of([], ["evil.example"])))


def test_the_stored_credential_is_of_one_exchange(tmp_path: Path) -> None:
    _store(f"[binance]\n{OWN.replace('binance', 'kraken')}")
    with pytest.raises(InputError, match=r"is at binance, and the credential .* is of kraken"):
        _venue(_file(tmp_path, {}))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o601])
def test_credentials_that_others_may_read_are_refused(mode: int) -> None:
    path = _store(f"[binance]\n{OWN}", mode)
    with pytest.raises(InputError, match="others may read it") as caught:
        stored_credentials()
    assert f"chmod 600 {path}" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "[binance", "x = 1", "[binance]\nkey = 'a'", "[binance]\nexchange = 'b'\nsecrets = 'c'",
        "[binance]\nexchange = 'b'\nkey = 3", "[binance]\nexchange = 'b'\nhosts = 'x'",
        "[b]\nexchange = 'b'\nhosts = [1]", "a.b.c = 'the-secret-itself'", "\x00",
    ],
)  # fmt: skip
def test_a_broken_file_of_credentials_is_a_message_without_its_values(text: str) -> None:
    _store(text)
    with pytest.raises(InputError) as caught:
        stored_credentials()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["env:", "file:", "file:/dev/zero", "file:\\u0000", "file:/etc", "file:pipe"]
)
def test_a_credential_that_leads_nowhere_is_a_message(value: str) -> None:
    path = _store(f'[binance]\nexchange = "binance"\nkey = "{value}"\n')
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(InputError):
        stored_credentials()["binance"].read(SecretRef(STORED, "key"))


def test_credentials_of_a_size_that_none_have_are_refused() -> None:
    text = f"[binance]\n{OWN}"
    _store(text + "#" * (1 << 20))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        stored_credentials()


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_folder_of_credentials_that_others_write_to_is_refused(mode: int) -> None:
    path = _store(f"[binance]\n{OWN}")
    path.parent.chmod(mode)
    with pytest.raises(InputError, match="others may write to it") as caught:
        stored_credentials()
    assert f"chmod 700 {path.parent}" in caught.value.hint
    path.parent.chmod(0o755)
    assert set(stored_credentials()) == {"binance"}


def test_a_link_to_credentials_of_ones_own_is_followed_and_checked(tmp_path: Path) -> None:
    path = _store(f"[binance]\n{OWN}")
    real = tmp_path / "real.toml"
    path.rename(real)
    path.symlink_to(real)
    assert set(stored_credentials()) == {"binance"}
    real.chmod(0o644)
    with pytest.raises(InputError, match="others may read it"):
        stored_credentials()


def test_no_file_of_credentials_is_none() -> None:
    assert stored_credentials() == {}


# ---------------------------------------------------------------------------- the whole way


class _Thief(BaseHTTPRequestHandler):
    """Remembers whatever it is sent."""

    seen: list[str] = []

    def do_GET(self) -> None:
        type(self).seen.append(f"{self.path} {self.headers}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    do_POST = do_GET  # noqa: N815 - the server's own names

    def log_message(self, *words: object) -> None:
        return


@contextmanager
def _thief() -> Iterator[str]:
    _Thief.seen = []
    with HTTPServer(("127.0.0.1", 0), _Thief) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_check_world_sends_no_secret_to_the_files_own_urls(tmp_path: Path) -> None:
    """What was found: a stranger's file, and the variable it names at the stranger's address."""
    with _thief() as url:
        file = _file(tmp_path, {"api": {"public": f"{url}/v3", "private": f"{url}/v3"}})
        found = CliRunner().invoke(check, [str(file), "--mode", "live", "--world"])
    assert "may read no secret by itself" in " ".join(found.output.split())
    assert not any(KEY in each or SECRET in each for each in _Thief.seen)


# ---------------------------------------------------------------------------- http_json


def _config(**more: Any) -> HttpJsonConfig:
    return HttpJsonConfig.model_validate(
        {"url": "https://data.example/x", "select": "a", "time": "b", **more}
    )


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "cookie", "PRIVATE-TOKEN"])
def test_a_literal_token_in_a_header_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a value written in the file") as caught:
        _config(headers={name: "Bearer the-secret-itself"})
    assert "the-secret-itself" not in caught.value.errors()[0]["msg"]  # type: ignore[attr-defined]
    assert str(_config(headers={name: "env:TOKEN"}).headers[name]) == "env:TOKEN"
    assert _config(headers={"Accept": "application/json"}).headers["Accept"] == "application/json"


@pytest.mark.parametrize("headers", [{"A b": "x"}, {"A": "x\r\nB: y"}, {"A\n": "x"}])
def test_a_header_brings_no_other_header(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="characters that no header may have"):
        _config(headers=headers)


def test_a_secret_of_a_header_is_bound_to_the_host(tmp_path: Path) -> None:
    from septet.plugin import SecretRef

    reference, place = SecretRef("env", "LOCAL_KEY"), "data.fear"
    for access in (Access(), Access.of(["LOCAL_KEY"], [])):
        with pytest.raises(InputError):
            access.read_for(tmp_path, place)(reference, "data.example")
    access = Access.of(["LOCAL_KEY@data.example"], [])
    assert access.read_for(tmp_path, place)(reference, "data.example") == KEY
