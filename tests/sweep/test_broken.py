"""Every broken sweep gives exactly the message of its golden text.

After an intended change of a message: SEPTET_REGENERATE=1 pytest tests/sweep/test_broken.py, then
read the difference of tests/sweep/golden/ as a trader at three in the morning would.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from septet._cli.render import render_problems
from septet._config import load
from septet._sweep.space import space_of
from septet._sweep.value_checks import check_values
from septet.errors import ConfigError

HERE = Path(__file__).parent
BASE = (HERE / "base.yaml").read_text(encoding="utf-8")
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
REGENERATE = os.environ.get("SEPTET_REGENERATE") == "1"


def test_every_golden_text_has_its_file() -> None:
    names = {path.stem for path in BROKEN}
    assert len(names) >= 20
    assert {path.stem for path in (HERE / "golden").glob("*.txt")} <= names


def _check(file: str) -> None:
    loaded = load(file)
    check_values(loaded, space_of(loaded))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_message(
    path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cross.yaml").write_text(BASE + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        _check("cross.yaml")
    assert refused.value.exit_code == 2
    render_problems([each for each in refused.value.problems if each.severity == "error"])
    output = capsys.readouterr().err
    golden = HERE / "golden" / f"{path.stem}.txt"
    if REGENERATE:
        golden.write_text(output, encoding="utf-8")
    assert output == golden.read_text(encoding="utf-8")
