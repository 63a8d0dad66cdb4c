"""Every broken file gives exactly the message of its golden text.

After an intended change of a message: SEPTET_REGENERATE=1 pytest tests/config/test_broken.py, then
read the difference of tests/config/golden/ as a trader at three in the morning would.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from septet._cli.render import render_problems
from septet._config import load
from septet.errors import ConfigError
from tests.config.plugins import fixed_host

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
REGENERATE = os.environ.get("SEPTET_REGENERATE") == "1"


def printed_of(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line prints for a file, without colours."""
    try:
        loaded = load(path.name, host=fixed_host())
    except ConfigError as error:
        render_problems(error.problems)
    else:
        render_problems(loaded.warnings)
    return capsys.readouterr().err


def test_the_corpus_is_large_enough() -> None:
    assert len(BROKEN) >= 60


def test_every_golden_text_has_its_file() -> None:
    names = {path.stem for path in BROKEN}
    assert {path.stem for path in (HERE / "golden").glob("*.txt")} <= names | {"explain"}


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_message(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    text = printed_of(path, capsys)
    golden = HERE / "golden" / f"{path.stem}.txt"
    if REGENERATE:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert text.strip(), "a broken file must give a message"
    assert "Traceback" not in text
    expects_warning = path.stem.startswith("warn-")
    assert (": error: " in text) != expects_warning
