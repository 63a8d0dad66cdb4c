"""What docs/sweep.md shows is what a reader gets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from septet._config import load
from septet._sweep.space import space_of
from septet._sweep.value_checks import check_values
from septet_schemas.sweep import GOALS, Sweep
from tests.cli.conftest import Command, septet
from tests.sweep.files import BASE

pytestmark = pytest.mark.compiled

__all__ = ["septet"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sweep.md").read_text(encoding="utf-8")
YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ septet (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("snippet", YAML)
def test_sections_are_whole(snippet: str, tmp_path: Path) -> None:
    path = tmp_path / "strategy.yaml"
    path.write_text(BASE + snippet, encoding="utf-8")
    loaded = load(path)
    assert loaded.warnings == ()
    space = space_of(loaded)
    assert (len(space), space.method, space.goal) == (500, "random", "sharpe")
    check_values(loaded, space)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_run(
    line: str, septet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("strategy.yaml").write_text(BASE, encoding="utf-8")
    words = shlex.split(line)
    if "--trials" in words:
        words[words.index("--trials") + 1] = "3"
    if words[0] == "sweep":
        words += ["--threads", "1"]
    done = septet(*words)
    assert done.code == 0, done.err


def test_every_key_and_choice_is_named() -> None:
    words = set(re.findall(r"[a-z_]+", PAGE))
    names = {*Sweep.model_fields, *GOALS, "from", "to", "step", "low", "high", "log"}
    assert names - words == set()


def test_the_table_of_forms_is_true(tmp_path: Path) -> None:
    """Both ways to write the values of a key mean the same."""
    from septet._config.read import parse_text
    from septet._sweep.flags import axis_setting

    rows = re.findall(r"^\| `([\[{].*?)` \| `=(.*?)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for in_file, flag in rows:
        node, problems = parse_text(in_file, "page", flag=True)
        assert not problems
        assert node.plain() == axis_setting(f"a.b={flag}").node.plain()
