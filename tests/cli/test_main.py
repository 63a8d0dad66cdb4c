"""The table of commands, exit statuses, and what is imported when."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from septet import cli
from septet._host.plugin_registry import Host
from septet.errors import ConfigError, HaltedError, InputError, Problem, RunError, SeptetError
from septet.hookspecs import Component
from tests.cli.conftest import Command

HERE = "tests.cli.test_main"
SMALLEST = Path(__file__).parents[1] / "config" / "valid" / "smallest.yaml"
ERRORS: dict[str, Exception] = {
    "run": RunError("it broke", hint="look at it"),
    "halted": HaltedError("halted by drawdown"),
    "input": InputError("this is wrong"),
    "config": ConfigError([Problem("unknown key 'x'", file="f.yaml", line=3, column=1, key="x")]),
    "bug": ZeroDivisionError("a bug"),
}


@click.command()
@click.argument("which")
@click.option("--json", "as_json", is_flag=True)
def fail(which: str, as_json: bool) -> None:
    """Fail in a chosen way."""
    raise ERRORS[which]


@click.command()
def greet() -> None:
    """Come from a plugin."""
    click.echo("hello from a plugin")


not_a_command = object()


@pytest.fixture
def with_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "fail", (f"{HERE}:fail", "Fail."))


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = SimpleNamespace(
        __name__="greeter",
        septet_commands=lambda: [
            Component("commands", "greet", f"{HERE}:greet", "command", "Say hello."),
            Component("commands", "odd", f"{HERE}:not_a_command", "command"),
            Component("commands", "check", f"{HERE}:greet", "command"),
        ],
    )
    host = Host(manifests=[("greeter", "1.0", manifest)])
    monkeypatch.setattr(type(cli.cli), "_plugins", lambda self: host)


def test_help_lists_every_command_and_imports_none(septet: Command) -> None:
    outcome = septet("--help")
    assert outcome.code == 0
    for name, (_, line) in cli.COMMANDS.items():
        assert f"{name} " in outcome.out
        assert line in outcome.out


def test_help_imports_neither_pydantic_nor_numpy() -> None:
    code = (
        "import sys\nfrom septet.cli import _run\n_run(['--help'])\n"
        "heavy = {'pydantic', 'numpy', 'yaml', 'numba', 'polars', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_check_imports_no_heavy_library() -> None:
    code = (
        "import sys\nfrom septet._config import load\n"
        f"load({str(SMALLEST)!r})\n"
        "heavy = {'numba', 'polars', 'sklearn', 'ccxt', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_command_shows_help_and_is_wrong_input(septet: Command) -> None:
    outcome = septet()
    assert outcome.code == 2
    assert "Commands:" in outcome.out + outcome.err


def test_version(septet: Command) -> None:
    outcome = septet("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("septet ")
    words = [sys.executable, "-m", "septet", "--version"]
    assert subprocess.run(words, capture_output=True, text=True).stdout == outcome.out


@pytest.mark.parametrize(
    ("word", "hint"),
    [("chek", "septet check"), ("strategy.yaml", "septet run strategy.yaml"), ("zzz", "--help")],
)
def test_unknown_command(septet: Command, word: str, hint: str) -> None:
    outcome = septet(word)
    assert outcome.code == 2
    assert hint in outcome.err


@pytest.mark.usefixtures("with_fail")
@pytest.mark.parametrize(
    ("which", "code", "text"),
    [("run", 1, "look at it"), ("halted", 3, "halted by drawdown"), ("input", 2, "this is wrong"),
     ("config", 2, "f.yaml:3:1: error: x: unknown key 'x'")],
)  # fmt: skip
def test_exit_status_of_errors(septet: Command, which: str, code: int, text: str) -> None:
    outcome = septet("fail", which)
    assert outcome.code == code
    assert text in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


@pytest.mark.usefixtures("with_fail")
def test_error_as_json_is_one_document(septet: Command) -> None:
    outcome = septet("fail", "config", "--json")
    document: dict[str, Any] = json.loads(outcome.out)
    assert document["ok"] is False
    assert document["exit_code"] == 2
    assert document["problems"][0]["line"] == 3


@pytest.mark.usefixtures("with_fail")
def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["fail", "bug"])


def test_wrong_option(septet: Command) -> None:
    outcome = septet("check", "--nosuch")
    assert outcome.code == 2
    assert "--nosuch" in outcome.err


@pytest.mark.usefixtures("with_plugin")
def test_commands_of_plugins(septet: Command) -> None:
    assert "Say hello." in septet("--help").out
    outcome = septet("greet")
    assert (outcome.code, outcome.out) == (0, "hello from a plugin\n")


@pytest.mark.usefixtures("with_plugin")
def test_a_plugin_does_not_replace_our_commands(septet: Command) -> None:
    assert septet("check", "nosuch.yaml").code == 2


@pytest.mark.usefixtures("with_plugin")
def test_a_plugin_command_that_is_none(septet: Command) -> None:
    outcome = septet("odd")
    assert outcome.code == 1
    assert "not a click command" in outcome.err


def test_a_missing_part_of_the_installation(
    septet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "gone", ("septet._cli.gone:gone", "Gone."))
    outcome = septet("gone")
    assert outcome.code == SeptetError.exit_code
    assert "not part of this installation" in outcome.err
