"""A source, a model or a monitor that prints is found, with its line."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from septet.testing.verdict import Check, decisive, state_of
from tests.strangers.package import installed, write_package

HEAD = '''
from septet.plugin import Config
from septet.plugin.data import candles
from septet.plugin.live import monitor
from septet.plugin.model import Untrainable, model


class Plain(Config):
    """Nothing to set."""

'''
CASES = {
    "a monitor": """
@monitor(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, run):
        print("it speaks")
        return []
""",
    "a source that is built": """
@candles(Plain)
class broken:
    def __init__(self, config):
        print("it speaks")

    def read(self, request):
        return []
""",
    "a model": """
import sys

@model(Plain)
class broken:
    name = "speaker"

    def __init__(self, config):
        self.config = config

    def fit(self, window):
        sys.stderr.write("it speaks")
        raise Untrainable("never")
""",
}


def tried(folder: Path, source: str) -> tuple[Check, ...]:
    write_package(folder, "odd-speaker", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(folder, "odd_speaker"):
        module: Any = importlib.import_module("odd_speaker.steps")
        return decisive(module.broken, module.broken.config())


@pytest.mark.parametrize("case", CASES)
def test_an_object_that_prints_fails_with_its_line(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (check,) = tried(tmp_path, CASES[case])
    lines = (HEAD + CASES[case]).splitlines()
    line = next(n for n, each in enumerate(lines, 1) if "it speaks" in each)
    assert check.state == "failed"
    assert f"steps.py:{line}: it prints 'it speaks'" in check.message
    seen = capsys.readouterr()
    assert "it speaks" not in seen.out + seen.err


def test_a_silent_one_is_kept(tmp_path: Path) -> None:
    source = CASES["a monitor"].replace('        print("it speaks")\n', "")
    assert state_of(tried(tmp_path, source)) == "kept"
