"""What a trader may write by mistake is answered with its place and what to write in its stead.

After an intended change of a message: SEPTET_REGENERATE=1 pytest tests/cli/test_bad_input.py, then
read the difference of tests/cli/bad_input/.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Command

FOLDER = Path(__file__).parent / "bad_input"
FILES = sorted(FOLDER.glob("*.yaml"))
ACCEPTED = ("add-never-placed", "weights-beyond-gross", "weights-unknown")
"""What is warned of."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_message(septet: Command, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.chdir(FOLDER)
    ended = septet("check", path.name)
    golden = path.with_suffix(".txt")
    if os.environ.get("SEPTET_REGENERATE") == "1":
        golden.write_text(ended.err, encoding="utf-8")
    assert ended.err == golden.read_text(encoding="utf-8")
    warned = path.stem in ACCEPTED
    assert ended.code == (0 if warned else 2)
    place, _, rest = ended.err.partition(": warning: " if warned else ": error: ")
    assert place.rpartition("/")[2].startswith(f"{path.name}:")
    assert place.count(":") == 2, "line and column"
    assert "  hint      " in rest or "  expected  " in rest


def test_every_text_has_its_file() -> None:
    assert {each.stem for each in FOLDER.glob("*.txt")} == {each.stem for each in FILES}
