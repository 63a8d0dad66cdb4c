"""The page on other addresses than loopback: over TLS or through a named proxy."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from septet._dashboard.accounts import accounts_file, add_token, add_user
from septet._dashboard.remote_access import RemoteAccess, ip_of, remote_access
from septet._dashboard.serve import make_server, open_socket
from septet.errors import InputError
from tests.cli.conftest import command_of
from tests.dashboard.conftest import Answer, exchange
from tests.dashboard.tls import NAME, make_certificate, reverse_proxy

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextmanager
def served(
    remote: RemoteAccess, root: Path, codes: list[str], warnings: list[str] | None = None
) -> Iterator[int]:
    """Serve a page; yield its port."""
    warn = (lambda text: None) if warnings is None else warnings.append
    with open_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = make_server(root, port, codes.append, warn, remote=remote, listening=listening)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join()


def ask(
    port: int, method: str, path: str, headers: Mapping[str, str | list[str]],
    form: Mapping[str, str] | None = None, trusted: Path | None = None,
) -> Answer:  # fmt: skip
    """Send a request with these headers and no others; over TLS if a certificate is trusted."""
    connection: http.client.HTTPConnection
    if trusted is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    else:
        context = ssl.create_default_context(cafile=trusted)
        connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
    given = [
        (name, value)
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return exchange(connection, method, path, given, form)


def test_over_tls_a_user_logs_in_by_password_and_gets_a_cookie_for_tls_alone(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", certificate=certificate, key=key)
    assert remote is not None
    codes: list[str] = []
    with served(remote, tmp_path / "runs", codes) as port:
        host = {"Host": f"localhost:{port}"}
        own = host | {"Origin": f"https://localhost:{port}", "Sec-Fetch-Site": "same-origin"}
        shown = ask(port, "GET", "/login", host, trusted=certificate)
        assert (shown.status, 'name="code"' in shown.text) == (200, False)
        assert "max-age" in shown.headers["strict-transport-security"]
        assert ask(port, "POST", "/login", own, {"code": ""}, certificate).status == 403
        form = {"name": "anna", "password": PASSWORD}
        clear = own | {"Origin": f"http://localhost:{port}"}
        assert ask(port, "POST", "/login", clear, form, certificate).status == 403
        answer = ask(port, "POST", "/login", own, form, certificate)
        assert answer.status == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-septet")
        parts = {each.strip().lower() for each in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= parts
        session = host | {"Cookie": cookie.partition(";")[0]}
        assert ask(port, "GET", "/", session, trusted=certificate).status == 200
        other = session | {"Host": f"evil.example:{port}"}
        assert ask(port, "GET", "/", other, trusted=certificate).status == 421
        token = add_token(accounts_file(), "grafana", "view", 1, 4e9)
        bearer = host | {"Authorization": f"Bearer {token}"}
        assert ask(port, "GET", "/api/v1/runs", bearer, trusted=certificate).status == 200
    assert codes == []


def test_a_tls_page_answers_nothing_without_tls_and_no_old_version_of_it(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", certificate=certificate, key=key)
    assert remote is not None
    with served(remote, tmp_path / "runs", []) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as clear:
            clear.sendall(f"GET /login HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
            assert b"HTTP" not in clear.recv(1_000)
        old = ssl.create_default_context(cafile=certificate)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.deprecated_call():
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
            old.wrap_socket(plain, server_hostname="localhost"),
        ):
            pass


def shown_serial(port: int) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=60)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def serial_of(certificate: Path) -> int:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number


def test_a_renewed_certificate_counts_from_the_next_connection_and_a_broken_one_does_not(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    new_certificate, new_key = make_certificate(tmp_path, "renewed")
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", certificate=certificate, key=key)
    assert remote is not None
    old, new, warnings = serial_of(certificate), serial_of(new_certificate), list[str]()
    with served(remote, tmp_path / "runs", [], warnings) as port:
        assert shown_serial(port) == old
        certificate.write_bytes(new_certificate.read_bytes())  # the key is not there yet
        assert [shown_serial(port), shown_serial(port)] == [old, old]
        [told] = warnings
        assert "is not taken" in told
        assert str(certificate) in told
        new_key.replace(key)
        assert shown_serial(port) == new
        host = {"Host": f"localhost:{port}"}
        assert ask(port, "GET", "/login", host, trusted=new_certificate).status == 200
        key.chmod(0o644)
        assert shown_serial(port) == new
        assert "others may read it" in warnings[1]
        certificate.unlink()
        assert shown_serial(port) == new
        assert len(warnings) == 3


def test_a_link_to_another_certificate_is_followed(tmp_path: Path) -> None:
    add_user(accounts_file(), "anna", "view", PASSWORD)
    pairs = [make_certificate(tmp_path, stem) for stem in ("first", "second")]
    links = tmp_path / "live.crt", tmp_path / "live.key"

    def point(pair: tuple[Path, Path]) -> None:
        for link, path in zip(links, pair, strict=True):
            made = link.with_suffix(".new")
            made.symlink_to(path)
            made.replace(link)

    point(pairs[0])
    remote = remote_access("127.0.0.1", certificate=links[0], key=links[1])
    assert remote is not None
    with served(remote, tmp_path / "runs", []) as port:
        assert shown_serial(port) == serial_of(pairs[0][0])
        point(pairs[1])
        assert shown_serial(port) == serial_of(pairs[1][0])


def test_through_a_real_proxy_a_user_logs_in_and_the_limit_counts_who_is_behind_it(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", proxies=("127.0.0.1",), names=(NAME,))
    assert remote is not None
    form = {"name": "anna", "password": PASSWORD}
    with (
        served(remote, tmp_path / "runs", []) as port,
        reverse_proxy(port, certificate, key) as front,
    ):
        host = {"Host": NAME}
        own = host | {"Origin": f"https://{NAME}"}
        answer = ask(front, "POST", "/login", own, form, certificate)
        assert answer.status == 303
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]
        session = host | {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        assert ask(front, "GET", "/", session, trusted=certificate).status == 200
        other = session | {"Host": "evil.example"}
        assert ask(front, "GET", "/", other, trusted=certificate).status == 421
        assert ask(port, "GET", "/", session).status == 403, "not through the proxy"
        wrong = {"name": "anna", "password": "not the password"}
        claimed = [own | {"X-Forwarded-For": f"10.1.1.{number}"} for number in range(6)]
        statuses = [
            ask(front, "POST", "/login", each, wrong, certificate).status for each in claimed
        ]
        assert statuses == [403] * 5 + [429]


def behind(**changed: str | list[str]) -> dict[str, str | list[str]]:
    """Return the headers that a proxy sends, some replaced; an empty list leaves one out."""
    sent: dict[str, str | list[str]] = {
        "Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-Host": NAME,
        "X-Forwarded-For": "198.51.100.7",
    }  # fmt: skip
    return sent | {name.replace("_", "-"): value for name, value in changed.items()}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"X_Forwarded_Proto": []}, "X-Forwarded-Proto"),
        ({"X_Forwarded_Proto": "http"}, "X-Forwarded-Proto"),
        ({"X_Forwarded_Proto": ["https", "http"]}, "X-Forwarded-Proto"),
        ({"X_Forwarded_Proto": "http, https"}, "X-Forwarded-Proto"),
        ({"X_Forwarded_Host": []}, "X-Forwarded-Host"),
        ({"X_Forwarded_Host": "evil.example"}, "X-Forwarded-Host"),
        ({"X_Forwarded_Host": [NAME, NAME]}, "X-Forwarded-Host"),
        ({"Host": "evil.example"}, "X-Forwarded-Host"),
        ({"Host": "evil.example", "X_Forwarded_Host": "evil.example"}, "not a name of this page"),
        ({"X_Forwarded_For": []}, "X-Forwarded-For"),
        ({"X_Forwarded_For": "198.51.100.7, unknown"}, "X-Forwarded-For"),
    ],
)
def test_headers_a_proxy_omits_or_gets_wrong_are_refused_by_name(
    tmp_path: Path, changed: dict[str, str | list[str]], word: str
) -> None:
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", proxies=("127.0.0.1",), names=(NAME,))
    assert remote is not None
    with served(remote, tmp_path / "runs", []) as port:
        assert ask(port, "GET", "/login", behind()).status == 200
        answer = ask(port, "GET", "/login", behind(**changed))
        assert answer.status in (403, 421)
        assert word in answer.text


def test_a_request_that_is_not_of_the_proxy_is_refused_whatever_it_claims(tmp_path: Path) -> None:
    add_user(accounts_file(), "anna", "view", PASSWORD)
    remote = remote_access("127.0.0.1", proxies=("203.0.113.9",), names=(NAME,))
    assert remote is not None
    with served(remote, tmp_path / "runs", []) as port:
        for path in ("/", "/login", "/api/v1/runs", "/events"):
            for claim in ("203.0.113.9", "127.0.0.1"):
                answer = ask(port, "GET", path, behind(X_Forwarded_For=claim))
                assert (answer.status, "through its proxy only" in answer.text) == (403, True)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "127.0.0.2"])
def test_another_address_without_tls_or_proxy_is_refused_with_what_helps(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = command_of(capsys)("dashboard", "--address", address)
    assert answer.code == 2
    assert "loopback only" in answer.err
    for word in ("--certificate", "--proxy", "ssh -L"):
        assert word in answer.err


@pytest.mark.parametrize("address", ["example.org", "", "127.0.0.1:80", "1.2.3"])
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no address"):
        ip_of(address)


def test_without_a_user_no_other_machine_is_let_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = make_certificate(tmp_path)
    run = command_of(capsys)
    tls = ("--certificate", certificate, "--key", key, "--port", 0)
    answer = run("dashboard", *tls)
    assert (answer.code, "has no user" in answer.err) == (2, True)
    assert "septet dashboard user add" in answer.err
    add_token(accounts_file(), "grafana", "operate", 1, 1.0)
    assert "has no user" in run("dashboard", *tls).err


def test_certificate_and_key_are_checked_before_anything_listens(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    other, _ = make_certificate(tmp_path, "other")

    def made(certificate: Path | None, key: Path | None, *names: str) -> RemoteAccess | None:
        return remote_access("0.0.0.0", names=names, certificate=certificate, key=key)

    with pytest.raises(InputError, match="--certificate needs --key"):
        made(certificate, None, NAME)
    with pytest.raises(InputError, match="--key needs --certificate"):
        made(None, key, NAME)
    with pytest.raises(InputError, match="the name that browsers write"):
        made(certificate, key)
    with pytest.raises(InputError, match="no certificate and its key"):
        made(other, key, NAME)
    with pytest.raises(InputError, match="cannot be read"):
        made(tmp_path / "none", key, NAME)
    for name in ("a b", "https://x", "x:0", "x:8443", "", "x/y", "é"):
        with pytest.raises(InputError, match="no name of a machine"):
            made(certificate, key, name)
    key.chmod(0o644)
    with pytest.raises(InputError, match=r"others may read it .*mode 0644"):
        made(certificate, key, NAME)
    with pytest.raises(InputError, match="is no address"):
        remote_access("127.0.0.1", proxies=("nginx",), names=(NAME,))
    with pytest.raises(InputError, match="--name goes with"):
        remote_access("127.0.0.1", names=(NAME,))


def test_the_values_of_host_have_the_port_that_browsers_write(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    direct = remote_access("0.0.0.0", names=(NAME.upper(),), certificate=certificate, key=key)
    assert direct is not None
    assert direct.hosts(8443) == (f"{NAME}:8443",)
    assert direct.hosts(443) == (NAME, f"{NAME}:443")
    proxied = remote_access("::", names=(NAME, f"{NAME}:8443"), proxies=("::ffff:10.0.0.7",))
    assert proxied is not None
    assert proxied.hosts(8765) == (NAME, f"{NAME}:8443")
    assert proxied.proxies == ("10.0.0.7",)
