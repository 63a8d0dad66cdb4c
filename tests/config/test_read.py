"""Files that are no strategy files at all: each states what it is, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config import load
from septet._config.read import MAX_BYTES, MAX_DEPTH, parse_text, read_text
from septet.errors import ConfigError, Problem
from tests.config.plugins import fixed_host


def only_problem(path: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        load(path, host=fixed_host())
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 2
    return problem


def written(folder: Path, raw: bytes) -> Path:
    path = folder / "strategy.yaml"
    path.write_bytes(raw)
    return path


def test_missing_names_the_closest_file(tmp_path: Path) -> None:
    (tmp_path / "momentum.yaml").write_text("version: 1", encoding="utf-8")
    problem = only_problem(tmp_path / "momentun.yaml")
    assert problem.message == "there is no such file"
    assert "momentum.yaml" in problem.hint


def test_a_file_that_shares_only_the_ending_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "e10.yaml").write_text("version: 1", encoding="utf-8")
    assert "septet init" in only_problem(tmp_path / "nope.yaml").hint


def test_missing_elsewhere_names_init(tmp_path: Path) -> None:
    assert "septet init" in only_problem(tmp_path / "nowhere" / "x.yaml").hint


def test_folder_names_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1", encoding="utf-8")
    problem = only_problem(tmp_path)
    assert problem.message == "this is a folder, not a strategy file"
    assert "a.yaml" in problem.hint


def test_empty(tmp_path: Path) -> None:
    assert only_problem(written(tmp_path, b" \n\n")).message == "this file is empty"


def test_binary(tmp_path: Path) -> None:
    problem = only_problem(written(tmp_path, b"PAR1\x00\x01\x02" * 100))
    assert problem.message == "this is a binary file, not a strategy file"


def test_utf16(tmp_path: Path) -> None:
    problem = only_problem(written(tmp_path, "version: 1".encode("utf-16")))
    assert problem.message == "this file is UTF-16"


def test_not_utf8_has_its_place(tmp_path: Path) -> None:
    problem = only_problem(written(tmp_path, b"version: 1\nname: caf\xe9\n"))
    assert (problem.line, problem.column) == (2, 10)
    assert problem.found == "the byte 0xe9"


def test_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfversion: 1\n")
    tree, problems = parse_text(read_text(path), str(path))
    assert tree.plain() == {"version": 1}
    assert problems == []


def test_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as handle:
        handle.truncate(100_000_000)
    problem = only_problem(path)
    assert problem.message == "this file is too large to be a strategy file"
    assert problem.found == "100,000,000 bytes"


def test_just_under_the_limit_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"version: 1\n" + b"#" * (MAX_BYTES - 11))
    assert parse_text(read_text(path), str(path))[0].plain() == {"version": 1}


def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.symlink_to(path)
    assert only_problem(path).message.startswith("this file cannot be read")


def test_control_character_has_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_text("a: 1\nb: x\x07y\n", "f.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 5)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{["])
def test_hundred_thousand_levels_are_refused_without_recursion(opening: str) -> None:
    with pytest.raises(ConfigError, match=f"at most {MAX_DEPTH} levels"):
        parse_text(opening * 100_000, "f.yaml")


def test_places_of_keys_values_and_aliases() -> None:
    tree, problems = parse_text("a: &x {b: 1}\nc: *x\nd:\n  - 7\n", "f.yaml")
    assert problems == []
    used = tree.children["c"]
    assert str(used.alias) == "f.yaml:2:4"
    assert str(used.key) == "f.yaml:2:1"
    assert str(used.children["b"].mark) == "f.yaml:1:11"
    item = tree.at(("d", 0))
    assert item is not None
    assert str(item.mark) == "f.yaml:4:5"


def test_first_of_two_equal_keys_is_kept_and_both_places_are_reported() -> None:
    tree, (problem,) = parse_text("a: 1\na: 2\n", "f.yaml")
    assert tree.plain() == {"a": 1}
    assert problem.line == 2
    assert "f.yaml:1:1" in problem.found
