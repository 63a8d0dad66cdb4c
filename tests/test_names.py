"""`docs/names.md`: every name that it calls the present one exists, and no earlier module does."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from septet._config.renamed_keys import RENAMED

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "names.md").read_text("utf-8")
ROW = re.compile(r"^\| (.+?) \| (.+?) \|", re.MULTILINE)
ROWS = [each for each in ROW.findall(PAGE) if "`" in each[1]]
MODULES = [each for each in ROWS if each[1].endswith(".py`")]
WORDS = [each for each in ROWS if each not in MODULES]


@cache
def words_of_the_code() -> frozenset[str]:
    sources = (
        path.read_text("utf-8")
        for folder in ("runner", "plugins", "schemas")
        for path in (ROOT / folder).rglob("*.py")
    )
    return frozenset(word for text in sources for word in re.findall(r"\w+", text))


def names_in(cell: str) -> list[str]:
    """Return the words between backticks."""
    return [word for each in re.findall(r"`([^`]+)`", cell) for word in re.findall(r"\w+", each)]


@pytest.mark.parametrize(("before", "now"), WORDS, ids=[each[1] for each in WORDS])
def test_a_present_name_is_one_of_the_code(before: str, now: str) -> None:
    absent = [name for name in names_in(now) if name not in words_of_the_code()]
    assert not absent, f"{before} was renamed again: {absent}"


def test_modules_exist_under_their_present_names_alone() -> None:
    def path_of(cell: str) -> Path:
        name = cell.strip("`")
        package = name.startswith(("septet_plugins/", "septet_schemas/"))
        top = {True: ROOT / name.split("_")[1].split("/")[0], False: ROOT / "runner" / "septet"}
        return top[package] / name

    assert len(MODULES) > 100
    assert [now for _, now in MODULES if not path_of(now).is_file()] == []


def test_an_earlier_key_is_answered_with_the_present_one() -> None:
    section = PAGE.partition("## Files")[2].partition("## Words")[0]
    keys = {name: names_in(now)[0] for before, now in ROW.findall(section)
            for name in names_in(before)[:1] if name in RENAMED}  # fmt: skip
    assert keys == {name: RENAMED[name] for name in keys}
    assert {"good_for", "settles", "on_stop"} <= set(keys)
