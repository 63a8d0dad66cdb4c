"""A pipe in the place of a file is refused: nobody writes into it, and a read would never end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from septet._cli import render
from septet._config.credentials import stored_credentials
from septet.errors import InputError, Problem
from tests.cli.conftest import Command


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.yaml"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "words", [["check"], ["run"], ["sweep"], ["explain"], ["train"], ["drill"], ["data", "fetch"]]
)
def test_a_pipe_as_strategy_file(septet: Command, pipe: Path, words: list[str]) -> None:
    ended = septet(*words, pipe)
    assert ended.code == 2, ended
    assert "not a regular file" in ended.err


def test_a_pipe_as_data_and_as_credentials(
    septet: Command, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert septet("data", "check", pipe, "--bar", "1h").code == 2
    monkeypatch.setenv("XDG_CONFIG_HOME", str(pipe.parent))
    (pipe.parent / "septet").mkdir()
    os.mkfifo(pipe.parent / "septet" / "venues.toml", 0o600)
    with pytest.raises(InputError, match="not a regular file"):
        stored_credentials()


def test_the_excerpt_of_a_problem_does_not_wait_for_a_pipe(
    pipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file may become one between the message and its excerpt."""
    render.render_problems([Problem("wrong", file=str(pipe), line=1, column=1)])
    assert "wrong" in capsys.readouterr().err
