"""What is written for language models runs as it stands, and its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet.cli import main

ROOT = Path(__file__).resolve().parents[1]
LLMS, SKILL = ROOT / "docs" / "llms.txt", ROOT / "docs" / "skill" / "SKILL.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def septet(*words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    return int(stopped.value.code or 0)


def ran(page: Path) -> Iterator[str]:
    """Carry out the examples of a page from top to bottom, in this folder; yield their kinds."""
    names: dict[str, Any] = {"__name__": "page"}
    for kind, text in BLOCK.findall(page.read_text("utf-8")):
        if kind == "yaml":
            Path("strategy.yaml").write_text(text, "utf-8")
        elif kind == "python":
            exec(compile(text, f"python of {page.name}", "exec"), names)
        else:
            assert kind == "console", f"nobody runs a block of {kind}"
            for line in text.splitlines():
                program, *words = shlex.split(line.removeprefix("$ "))
                assert program == "septet", line
                assert septet(*words) == 0, line
        yield kind
    assert {"strategy", "septet"} <= names.keys()


@pytest.mark.parametrize("page", [LLMS, SKILL], ids=lambda page: page.name)
def test_every_example_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    kinds = list(ran(page))
    assert {"yaml", "console", "python"} <= set(kinds)
    assert list(tmp_path.glob("runs/*/*/summary.json"))


@pytest.mark.parametrize("page", [LLMS, SKILL], ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))
    assert [each for each in links if not (page.parent / each).is_file()] == []


def test_every_page_of_the_documents_is_listed() -> None:
    listed = set(LINK.findall(LLMS.read_text("utf-8")))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    inner = {"oracle.md"}  # how the project proves its own figures
    assert pages - inner - listed == set()


def test_the_index_has_the_form_that_readers_of_such_files_expect() -> None:
    lines = LLMS.read_text("utf-8").splitlines()
    assert lines[0] == "# septet"
    assert lines[2].startswith("> ")
    sections = [line for line in lines if line.startswith("## ")]
    assert sections == ["## Work", "## Results", "## Optional"]
    items = [line for line in lines[lines.index("## Work") :] if line and not line.startswith("#")]
    assert [line for line in items if not re.match(r"- \[[^]]+\]\([^)]+\): .+", line)] == []


def test_the_skill_states_when_to_use_it() -> None:
    head = re.match(r"---\n(.*?)\n---\n", SKILL.read_text("utf-8"), re.DOTALL)
    assert head is not None
    found = yaml.safe_load(head[1])
    assert found.keys() == {"name", "description"}
    assert found["name"] == "septet"
    assert 80 < len(found["description"]) <= 1_024
    assert len(SKILL.read_text("utf-8").splitlines()) < 500
