"""Users, rights and tokens: the private file, the commands, the log-in by password."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from septet._dashboard.accounts import (
    AccountBook,
    accounts_file,
    add_token,
    add_user,
    read_accounts,
    remove,
)
from septet._dashboard.rate_limits import Throttle, address_key
from septet._live.kill_switch import read_halt
from septet.errors import InputError
from tests.cli.conftest import command_of
from tests.dashboard.conftest import Answer, Dashboard
from tests.dashboard.test_run_page import acted, key_of, live, page

__all__ = ["live"]

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def log_in(dashboard: Dashboard, name: str, password: str = PASSWORD) -> int:
    form = {"name": name, "password": password}
    answer = dashboard.ask("POST", "/login", form)
    if answer.status == 303:
        dashboard.cookie = answer.headers["set-cookie"].partition(";")[0]
    return answer.status


def test_the_file_is_private_and_holds_neither_password_nor_token() -> None:
    path = accounts_file()
    add_user(path, "anna", "operate", PASSWORD)
    token = add_token(path, "grafana", "view", 90, 1_000.0)
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in text
    assert token not in text
    assert "$argon2id$" in text
    found = read_accounts(path)
    assert (found.users["anna"].right, found.tokens["grafana"].right) == ("operate", "view")
    assert found.tokens["grafana"].ends_s == 1_000 + 90 * 86_400
    assert PASSWORD not in repr(found)
    assert "$argon2" not in repr(found)


def test_a_file_or_folder_that_others_can_reach_is_refused_with_a_message() -> None:
    path = accounts_file()
    add_user(path, "anna", "view", PASSWORD)
    path.chmod(0o640)
    with pytest.raises(InputError, match="mode 0640, expected 0600") as refused:
        read_accounts(path)
    assert refused.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    path.parent.chmod(0o777)
    with pytest.raises(InputError, match="others may write to it"):
        read_accounts(path)
    path.parent.chmod(0o700)
    moved = path.rename(path.with_name("other"))
    path.symlink_to(moved)
    with pytest.raises(InputError, match="cannot be read"):
        read_accounts(path)


@pytest.mark.parametrize(
    "text",
    [
        "[user.anna]\nright = \"admin\"\npassword = \"$argon2id$x\"\n",
        "[user.anna]\nright = \"view\"\npassword = \"plain\"\n",
        "[user.anna]\nright = \"view\"\n",
        "[user.\"a b\"]\nright = \"view\"\npassword = \"$argon2id$x\"\n",
        "[token.t]\nright = \"view\"\nsha256 = \"short\"\n",
        "user = 1\n", "[users.anna]\nright = \"view\"\n", "not toml",
    ],
)  # fmt: skip
def test_an_invalid_users_file_is_refused(text: str) -> None:
    path = accounts_file()
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError):
        read_accounts(path)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\nb", "<b>", "x" * 41, ".hidden"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no name"):
        add_user(accounts_file(), name, "view", PASSWORD)


def test_commands_add_list_and_remove(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = command_of(capsys)
    assert "at a terminal" in run("dashboard", "user", "add", "anna", "--right", "view").err
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    answer = run("dashboard", "user", "add", "anna", "--right", "view", "--stdin")
    assert (answer.code, "expected 12 to 1024" in answer.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert run("dashboard", "user", "add", "anna", "--right", "view", "--stdin").code == 0
    assert "anna  view" in run("dashboard", "user", "list").out
    made = run("dashboard", "token", "add", "grafana", "--right", "view").out.strip()
    assert made.startswith("septet_")
    listed = run("dashboard", "token", "list").out
    assert "grafana  view  until 2" in listed
    assert made not in listed
    assert run("dashboard", "token", "remove", "grafana").code == 0
    assert run("dashboard", "user", "remove", "anna").code == 0
    assert not read_accounts(accounts_file()).users
    assert "there is no user" in run("dashboard", "user", "remove", "anna").err


def test_who_may_view_sees_everything_and_acts_on_nothing(dashboard: Dashboard, live: Path) -> None:
    add_user(accounts_file(), "vera", "view", PASSWORD)
    assert log_in(dashboard, "vera") == 303
    shown = dashboard.ask("GET", page("/run", run=key_of(live)))
    assert shown.status == 200
    assert 'action="/act"' not in shown.text
    status, text = acted(dashboard, live, "halt")
    assert (status, "needs the right to operate" in text) == (403, True)
    assert read_halt(live) is None


def test_an_act_is_journaled_under_the_logged_in_name_whatever_the_form_contains(
    dashboard: Dashboard, live: Path
) -> None:
    add_user(accounts_file(), "otto", "operate", PASSWORD)
    assert log_in(dashboard, "otto") == 303
    assert "As otto" in dashboard.ask("GET", page("/run", run=key_of(live))).text
    assert acted(dashboard, live, "halt", name="somebody else")[0] == 200
    asked = read_halt(live)
    assert asked is not None
    assert asked.name == "otto (dashboard)"


def test_sessions_end_when_a_user_is_removed_and_follow_the_right(dashboard: Dashboard) -> None:
    path = accounts_file()
    add_user(path, "otto", "operate", PASSWORD)
    assert log_in(dashboard, "otto") == 303
    assert dashboard.ask("GET", "/").status == 200
    path.write_text(path.read_text().replace('"operate"', '"view"'))
    form = {"run": "none", "action": "halt", "reason": "news"}
    assert dashboard.ask("POST", "/act", form).status == 403
    add_user(path, "otto", "operate", f"{PASSWORD} again")
    assert dashboard.ask("GET", "/").status == 303, "the password is another one"
    assert log_in(dashboard, "otto") == 403
    assert log_in(dashboard, "otto", f"{PASSWORD} again") == 303
    remove(path, "user", "otto")
    assert dashboard.ask("GET", "/").status == 303


def test_a_file_that_became_open_to_others_lets_nobody_in(dashboard: Dashboard) -> None:
    add_user(accounts_file(), "otto", "operate", PASSWORD)
    assert log_in(dashboard, "otto") == 303
    accounts_file().chmod(0o644)
    assert dashboard.ask("GET", "/").status == 303
    assert log_in(dashboard, "otto") == 403
    warned: list[str] = []
    assert AccountBook(accounts_file(), warned.append).check("otto", PASSWORD) is None
    assert ["nobody can log in" in each for each in warned] == [True]


def wrong(dashboard: Dashboard, name: str) -> Answer:
    return dashboard.ask("POST", "/login", {"name": name, "password": "wrong"})


def test_wrong_passwords_make_a_name_wait_at_an_address_and_unknown_names_do_the_same(
    dashboard: Dashboard,
) -> None:
    for each in ("otto", "anna"):
        add_user(accounts_file(), each, "operate", PASSWORD)
    texts = set[str]()
    for name in ("otto", "nobody", "otto", "x" * 9_000, "a\r\nSet-Cookie: b=c"):
        answer = wrong(dashboard, name)
        assert answer.status == 403
        assert "set-cookie" not in answer.headers
        texts.add(answer.text.partition("<main")[2])
    assert len(texts) == 1
    for name in ("otto", "nobody"):
        statuses = [wrong(dashboard, name).status for _ in range(5)]
        assert statuses[-1] == 429
    answer = dashboard.ask("POST", "/login", {"name": "otto", "password": PASSWORD})
    assert (answer.status, "retry-after" in answer.headers) == (429, True)
    assert log_in(dashboard, "anna") == 303, "another user at the same address"


def test_a_user_logs_in_where_they_did_before_whatever_others_try(dashboard: Dashboard) -> None:
    add_user(accounts_file(), "otto", "operate", PASSWORD)
    add_user(accounts_file(), "anna", "operate", PASSWORD)
    form = {"name": "otto", "password": PASSWORD}
    cookies = dashboard.ask("POST", "/login", form).cookies
    name = f"septet-{dashboard.port}-device"
    device = f"{name}={cookies[name]}"
    assert dashboard.ask("POST", "/login", form, headers={"Cookie": device}).status == 303
    for name in ["otto"] * 6 + [f"other{number}" for number in range(15)]:
        wrong(dashboard, name)
    assert dashboard.ask("POST", "/login", form, headers={"Cookie": ""}).status == 429
    again = dashboard.ask("POST", "/login", form, headers={"Cookie": device})
    assert again.status == 303
    assert list(again.cookies) == [f"septet-{dashboard.port}"], "it is known already"
    other = {"name": "anna", "password": PASSWORD}
    assert dashboard.ask("POST", "/login", other, headers={"Cookie": device}).status == 429
    guess = device[:-1] + ("A" if device[-1] != "A" else "B")
    assert dashboard.ask("POST", "/login", form, headers={"Cookie": guess}).status == 429
    bad = {"name": "otto", "password": "wrong"}
    statuses = [
        dashboard.ask("POST", "/login", bad, headers={"Cookie": device}).status for _ in range(6)
    ]
    assert statuses == [403] * 5 + [429], "a stolen browser guesses no faster"


def test_the_hash_of_nobody_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    AccountBook(accounts_file(), print)
    monkeypatch.setattr(PasswordHasher, "hash", None)
    AccountBook(accounts_file(), print)


def test_an_unknown_name_is_verified_as_long_as_a_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_user(accounts_file(), "otto", "operate", PASSWORD)
    book = AccountBook(accounts_file(), print)
    seen: list[str] = []
    verify = type(book._hasher).verify

    def spied(self: object, kept: str, given: bytes) -> bool:
        seen.append(kept)
        return bool(verify(self, kept, given))  # type: ignore[arg-type]

    monkeypatch.setattr(type(book._hasher), "verify", spied)
    assert book.check("otto", "wrong") is None
    assert book.check("nobody", "wrong") is None
    known, unknown = (each.rpartition("$")[0].rpartition("$")[0] for each in seen)
    assert known == unknown, "the same work: version, memory, passes and lanes"


def test_a_log_in_brings_a_new_session_and_ends_the_one_that_was_brought(
    dashboard: Dashboard,
) -> None:
    add_user(accounts_file(), "otto", "operate", PASSWORD)
    planted = f"septet-{dashboard.port}=planted-by-another"
    dashboard.cookie = planted
    assert log_in(dashboard, "otto") == 303
    assert dashboard.cookie != planted
    first = dashboard.cookie
    assert log_in(dashboard, "otto") == 303
    assert dashboard.cookie != first
    assert dashboard.ask("GET", "/", headers={"Cookie": first}).status == 303
    assert dashboard.ask("GET", "/", headers={"Cookie": planted}).status == 303


def test_tries_are_counted_in_bounded_memory_and_forgotten_after_the_window() -> None:
    now = [0.0]
    limit = Throttle(2, 60.0, lambda: now[0])
    assert [limit.begin("a") for _ in range(3)] == [0, 0, 60]
    limit.forgive("a")
    assert [limit.begin("a"), limit.begin("a")] == [0, 60]
    for number in range(20_000):
        limit.begin(f"{number}")
    assert len(limit._tries) <= 4_096
    assert limit.begin("a") == 60, "no other key pushes one out"
    now[0] = 60.0
    assert limit.begin("a") == 0


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:2")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("::ffff:10.0.0.1") == address_key("10.0.0.1")
    assert len(address_key("x" * 10_000)) == 100


def test_a_token_expires_and_no_other_text_is_accepted() -> None:
    now = [1_000.0]
    token = add_token(accounts_file(), "t", "view", 1, now[0])
    book = AccountBook(accounts_file(), print, lambda: now[0])
    found = book.bearer(token)
    assert found is not None
    assert (found.name, found.right) == ("t", "view")
    for other in ("", token[:-1], token + "x", "\udcff"):
        assert book.bearer(other) is None
    now[0] += 86_400.0
    assert book.bearer(token) is None
    assert os.fspath(accounts_file()).endswith("septet/dashboard.toml")
