"""Secrets of every kind are planted, every route is asked for them: no answer, no log has one."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import septet
from septet._dashboard.accounts import accounts_file, add_token, add_user
from septet._dashboard.app import make_app
from tests.dashboard.conftest import Answer, Dashboard, stored
from tests.dashboard.test_api import site_of
from tests.dashboard.test_run_page import key_of, live
from tests.dashboard.test_strategies import TEXT
from tests.dashboard.test_sweeps import AXES
from tests.dashboard.test_sweeps import key_of as key_of_sweep
from tests.python.samples import written

__all__ = ["live"]

PLANTED = {
    name: f"planted{name.lower()}0123456789abcdef"
    for name in (
        "VENUE_KEY", "VENUE_SECRET", "VENUE_ENV", "VENUE_FILE", "ALERT_ENV", "HEADER_ENV",
        "QUERY_FILE", "PASSWORD", "OTHER_ENV",
    )
}  # fmt: skip
BOT = "123456789:AAplantedtelegramtoken0123456789abcd"
STRATEGY = TEXT.replace(
    "  candles: {use: sample}\n",
    """\
  candles: {use: sample}
  series:
    rates:
      use: http_json
      url: https://rates.example/values
      headers: {Authorization: env:HEADER_ENV}
      query: {apikey: "file:QUERY_FILE"}
""",
) + (
    """\
execution: {venues: [{use: ccxt, exchange: binance, key: env:VENUE_ENV, secret: "file:VENUE"}]}
monitoring: {alerts: {use: apprise, urls: [env:ALERT_ENV]}}
"""
)


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Write the private files of a user, and the environment; return the files."""
    config = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    for name in ("VENUE_ENV", "ALERT_ENV", "HEADER_ENV", "OTHER_ENV"):
        monkeypatch.setenv(name, PLANTED[name])
    monkeypatch.setenv("CHAT_TOKEN", BOT)
    folder = config / "septet"
    folder.mkdir(parents=True, mode=0o700)
    files = {"secret": tmp_path / "VENUE_FILE", "venues": folder / "venues.toml"}
    files |= {"chat": folder / "chat.toml", "accounts": folder / "dashboard.toml"}
    files["secret"].write_text(PLANTED["VENUE_FILE"])
    files["venues"].write_text(
        f'[binance]\nexchange = "binance"\nkey = "{PLANTED["VENUE_KEY"]}"\n'
        f'secret = "{PLANTED["VENUE_SECRET"]}"\npassword = "env:VENUE_ENV"\n'
        f'uid = "file:{files["secret"]}"\n'
    )
    files["chat"].write_text('token = "env:CHAT_TOKEN"\n[[chat]]\nid = 1\nright = "operate"\n')
    for name in ("venues", "chat", "secret"):
        files[name].chmod(0o600)
    add_user(files["accounts"], "anna", "operate", PLANTED["PASSWORD"])
    return files


class Walk:
    """Asks a page, and keeps what it answered."""

    def __init__(self, dashboard: Dashboard, token: str) -> None:
        self.dashboard, self.token = dashboard, token
        self.shown: list[str] = []
        self.statuses: dict[tuple[str, str], set[int]] = {}

    def ask(self, method: str, path: str, query: dict[str, Any], body: Any, who: str) -> None:
        """Send one request, as a session, as a program or as nobody."""
        host = self.dashboard.host
        sent = {"Host": host, "Origin": f"http://{host}"}
        if who == "session":
            sent["Cookie"] = self.dashboard.cookie
        if who == "token":
            sent["Authorization"] = f"Bearer {self.token}"
        text = ""
        if method == "POST":
            as_json = path.startswith("/api/")
            text = json.dumps(body) if as_json else urlencode(body)
            kind = "application/json" if as_json else "application/x-www-form-urlencoded"
            sent["Content-Type"] = kind
            sent["Content-Length"] = str(len(text.encode()))
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        lines = [f"{method} {target} HTTP/1.0", *(f"{name}: {each}" for name, each in sent.items())]
        head, body_text = self._answer("\r\n".join([*lines, "", text]))
        first, _, headers = head.partition("\r\n")
        self.statuses.setdefault((method, path), set()).add(int(first.split()[1]))
        shown = [each for each in headers.split("\r\n") if not each.startswith("set-cookie:")]
        self.shown.append("\n".join(shown) + "\n" + body_text)

    def _answer(self, request: str) -> tuple[str, str]:
        """Return head and text of an answer as they come; of a stream what comes first.

        The client of the standard library takes as long for a request as the server does.
        """
        with socket.create_connection(("127.0.0.1", self.dashboard.port), timeout=60) as connection:
            connection.sendall(request.encode())
            found = b""
            while part := connection.recv(1 << 16):
                found += part
                head, _, text = found.partition(b"\r\n\r\n")
                if text and b"content-type: text/event-stream" in head:
                    break
        head, _, text = found.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), head
        return head.decode("latin-1"), text.decode("utf-8", "replace")


def routes() -> list[tuple[str, str]]:
    """Return method and path of every route there is."""
    found = []
    for each in make_app(site_of(Path("runs"))).routes:
        methods = getattr(each, "methods", None)
        assert methods, f"{each} is no route with methods: walk it as well"
        found += [(method, str(each.path)) for method in sorted(methods) if method != "HEAD"]  # type: ignore[attr-defined]
    return sorted(found, key=lambda row: row[1] == "/logout")  # the session ends last


def asks(dashboard: Dashboard, keys: list[str], files: dict[str, Path]) -> Iterator[dict[str, str]]:
    """Yield what each route is asked: what is there, and the private files by every name."""
    series = ("chart-price", "chart-curve", "orders", "decisions", "equity")
    for key in keys:
        for name in series:
            yield {
                "run": key, "name": name, "order": "o1", "trade": "1", "symbol": "BTC/USDT",
                "file": "cross.yaml", "limit": "3",
            }  # fmt: skip
    for path in files.values():
        outside = f"../{path.relative_to(dashboard.root.parent)}"
        for reached in (str(path), outside, f"file:{path}", "env:OTHER_ENV"):
            yield {
                "run": reached, "name": reached, "order": reached, "trade": reached,
                "file": reached, "symbol": reached, "trace": reached, "columns": reached,
            }  # fmt: skip
            yield {"run": keys[0], "name": "orders", "order": reached, "file": "linked.yaml"}
    yield {}


def texts(files: dict[str, Path]) -> Iterator[str]:
    """Yield strategies that refer to secrets where a reference fits, and where none does."""
    yield STRATEGY
    yield TEXT
    for reference in ("env:OTHER_ENV", *(f"file:{each}" for each in files.values())):
        yield TEXT.replace("name: cross", f"name: {reference}")
        yield TEXT.replace("[BTC/USD]", f'["{reference}"]')
        yield TEXT.replace("{use: sample}", f'{{use: csv, path: "{reference}"}}')
        yield STRATEGY.replace("env:HEADER_ENV", reference)
    for path in files.values():
        yield TEXT.replace("{use: sample}", f'{{use: csv, path: "{path}", stamp: open}}')
        yield TEXT.replace("{use: sample}", f'{{use: parquet, path: "../{path.name}"}}')


def test_no_answer_of_any_route_and_no_log_has_a_secret(
    dashboard: Dashboard, live: Path, planted: dict[str, Path],
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    run, other = stored(dashboard.root), stored(dashboard.root)
    (dashboard.root.parent / "swept").mkdir()
    septet.sweep(
        septet.load(written(dashboard.root.parent / "swept")), AXES,
        out=dashboard.root.parent / "sweeps",
    )  # fmt: skip
    token = add_token(accounts_file(), "grafana", "operate", 1, time.time())
    strategies = dashboard.root.parent / "strategies"
    (strategies / "cross.yaml").write_text(STRATEGY)
    (strategies / "QUERY_FILE").write_text(PLANTED["QUERY_FILE"])
    (strategies / "linked.yaml").symlink_to(planted["venues"])
    hashes = [
        line.partition('"')[2].strip('"')
        for line in accounts_file().read_text().splitlines()
        if line.startswith(("password", "sha256"))
    ]
    assert len(hashes) == 2
    session = dashboard.cookie.partition("=")[2]
    secrets = [*PLANTED.values(), BOT, token, session, *dashboard.codes, *hashes]
    walk = Walk(dashboard, token)
    begun = dashboard.ask("POST", "/backtest", {"file": "cross.yaml", "text": TEXT})
    job = begun.headers["location"].partition("id=")[2]
    for method, path in routes():
        for query in asks(dashboard, [key_of(run.folder), key_of(live)], planted):
            query = {"id": job, **query}
            body = {**query, "reason": "news", "action": "none", "password": "wrong"}
            if path.startswith("/api/"):
                body = {"run": query.get("run", ""), "reason": query.get("name", "")}
            # Who is let in does not depend on the name asked for: one in five is enough.
            others = ("token", "nobody") if query.get("name", "orders") == "orders" else ()
            for who in ("session", *others):
                if path == "/logout" and who == "session":
                    continue
                walk.ask(method, path, query if method == "GET" else {}, body, who)
    walk.ask("GET", "/compare", {"run": [key_of(run.folder), key_of(other.folder)]}, {}, "session")
    sweep = key_of_sweep(dashboard)
    walk.ask("GET", "/sweep", {"sweep": sweep}, {}, "session")
    for text in texts(planted):
        for sets in ("", "name=env:OTHER_ENV", f"data.candles.path=file:{planted['venues']}"):
            body = {"file": "cross.yaml", "text": text, "sets": sets}
            walk.ask("POST", "/strategy", {}, body, "session")
    for method in ("GET", "POST", "PUT"):
        for path in ("/nothing", "/api/v1/nothing", "/..%2fconfig/septet/venues.toml"):
            walk.ask(method, path, {"x": "env:OTHER_ENV"}, {}, "session")
    walk.ask("GET", "/", {"token": token}, {}, "session")
    walk.ask("POST", "/login", {}, {"name": "anna", "password": PLANTED["PASSWORD"]}, "nobody")
    walk.ask("POST", "/logout", {}, {}, "session")
    unanswered = [
        row for row in routes() if row[0] == "GET" and 200 not in walk.statuses.get(row, ())
    ]
    assert not unanswered, f"routes that are asked nothing they answer: add to `asks` {unanswered}"
    printed = capfd.readouterr()
    logged = printed.out + printed.err + caplog.text
    for secret in [*secrets, *dashboard.codes]:
        assert secret not in logged
        holding = [each[:200] for each in walk.shown if secret in each]
        assert not holding, secret


def test_a_server_error_reveals_nothing_in_its_answer(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(root: Path) -> list[object]:
        raise RuntimeError(PLANTED["VENUE_KEY"])

    token = add_token(accounts_file(), "grafana", "view", 1, time.time())
    dashboard.log_in()
    monkeypatch.setattr("septet._dashboard.cached_views.all_runs", broken)
    answers: list[Answer] = [dashboard.ask("GET", "/")]
    bearer = {"Authorization": f"Bearer {token}"}
    answers.append(dashboard.ask("GET", "/api/v1/runs", headers=bearer))
    for answer in answers:
        assert answer.status == 500
        assert PLANTED["VENUE_KEY"] not in answer.text
        assert "Traceback" not in answer.text
