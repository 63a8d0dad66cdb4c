"""Who reaches the pages: by code and session, from this address, from pages of its own."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest

from septet._dashboard.serve import make_server
from septet._dashboard.sessions import SESSION_S, Sessions
from septet._dashboard.site import Visitor
from septet.errors import InputError
from tests.cli.conftest import command_of
from tests.dashboard.conftest import Dashboard


def test_without_a_session_there_is_only_the_log_in_page(dashboard: Dashboard) -> None:
    answer = dashboard.ask("GET", "/")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert dashboard.ask("GET", "/login").status == 200
    assert dashboard.ask("POST", "/logout").status == 401
    assert (
        dashboard.ask("GET", "/", headers={"Cookie": f"septet-{dashboard.port}=guess"}).status
        == 303
    )


def test_a_code_begins_one_session_and_is_used_up(dashboard: Dashboard) -> None:
    first = dashboard.codes[0]
    answer = dashboard.log_in()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert dashboard.ask("GET", "/").status == 200
    assert len(dashboard.codes) == 2
    assert dashboard.ask("POST", "/login", {"code": first}, headers={"Cookie": ""}).status == 403


def test_a_code_may_be_typed_in_parts_and_in_small_letters(dashboard: Dashboard) -> None:
    code = dashboard.codes[-1].lower()
    assert dashboard.ask("POST", "/login", {"code": f" {code[:5]}-{code[5:]} "}).status == 303


def test_log_out_ends_the_session_on_the_server(dashboard: Dashboard) -> None:
    dashboard.log_in()
    assert dashboard.ask("POST", "/logout").status == 303
    assert dashboard.ask("GET", "/").status == 303


def test_wrong_codes_keep_nobody_out(dashboard: Dashboard) -> None:
    """All programs of a machine have one address: five requests a minute locked the owner out."""
    wrong = {dashboard.ask("POST", "/login", {"code": f"WRONG{i}"}).status for i in range(30)}
    assert wrong == {403}
    assert dashboard.log_in().status == 303


def test_the_terminal_is_told_of_wrong_codes_and_sessions_end_after_their_time() -> None:
    now, codes, told = [0.0], list[str](), list[str]()
    sessions = Sessions(
        codes.append, lambda: now[0], Visitor("Ann", "operate"), warn=told.append
    )  # fmt: skip
    for _ in range(499):
        assert sessions.begin("no") is None
    assert [each.partition(" wrong codes")[0] for each in told] == ["5", "50"]
    session = sessions.begin(codes[-1])
    assert session is not None
    assert sessions.holds(session)
    assert not sessions.holds("")
    now[0] += SESSION_S
    assert not sessions.holds(session)
    for _ in range(4):
        assert sessions.begin(codes[0]) is None, "it was used up"
    assert len(told) == 2, "they are counted from the last log-in on"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_of_another_site_is_refused_and_uses_no_code(
    dashboard: Dashboard, headers: dict[str, str]
) -> None:
    form = {"code": dashboard.codes[-1]}
    for _ in range(6):
        assert dashboard.ask("POST", "/login", {"code": "WRONG"}, headers=headers).status == 403
    assert dashboard.ask("POST", "/login", form, headers=headers).status == 403
    assert dashboard.ask("POST", "/login", form).status == 303  # nor counted as a wrong one
    dashboard.log_in()
    assert dashboard.ask("POST", "/logout", headers=headers).status == 403
    assert dashboard.ask("GET", "/").status == 200


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "a@{host}"]
)
def test_a_name_that_was_rebound_to_this_address_is_refused(
    dashboard: Dashboard, host: str
) -> None:
    dashboard.log_in()
    named = host.format(port=dashboard.port, host=dashboard.host)
    origin = f"http://{named}"
    assert dashboard.ask("GET", "/", headers={"Host": named}).status in (400, 421)
    assert dashboard.ask("GET", "/login", headers={"Host": named}).status in (400, 421)
    assert dashboard.ask("POST", "/logout", headers={"Host": named, "Origin": origin}).status in (
        400,
        421,
    )
    assert dashboard.ask("GET", "/").status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_no_page_has_changes_nothing(dashboard: Dashboard, method: str) -> None:
    dashboard.log_in()
    assert dashboard.ask(method, "/logout").status == 403
    own = {"Origin": f"http://{dashboard.host}"}
    assert dashboard.ask(method, "/logout", headers=own).status == 405
    assert dashboard.ask("GET", "/logout").status == 405
    assert dashboard.ask("POST", "/").status == 405
    assert dashboard.ask("GET", "/").status == 200


def test_every_answer_has_the_policy_with_a_nonce_of_its_own(dashboard: Dashboard) -> None:
    answers = [dashboard.ask("GET", path) for path in ("/login", "/login", "/", "/nothing")]
    nonces = set[str]()
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        nonces |= set(re.findall(r"'nonce-([^']+)'", policy))
        assert "server" not in answer.headers
    assert len(nonces) == len(answers)
    assert re.findall('nonce="([^"]+)"', answers[0].text)[0] in nonces


def test_a_form_that_is_too_large_is_refused(dashboard: Dashboard) -> None:
    assert dashboard.ask("POST", "/login", {"code": "A" * 20_000}).status == 413
    many = {f"field{number}": "" for number in range(21)}
    assert dashboard.ask("POST", "/login", many).status == 413


def test_a_port_in_use_is_answered_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = command_of(capsys)("dashboard", "--port", port)
    assert answer.code == 2
    assert f"the port {port} of 127.0.0.1 is in use" in answer.err
    assert "--port 0" in answer.err


def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError) as missing:
        make_server(tmp_path, 0, lambda code: None)
    assert missing.value.hint == "pip install 'septet[dashboard]'"
