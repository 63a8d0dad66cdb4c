"""Compiled plans on disk: never stale, mended when damaged, optional, shared by processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from septet._plan import cache

PLAIN = "VALUE = {}\n"
MADE = {"plan_a", "plan_b", "plan_c", "stranger_one", "stranger_two"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "plans"))
    cache._package_digest.cache_clear()
    yield tmp_path
    for name in [each for each in sys.modules if each in MADE]:
        del sys.modules[name]
    cache._package_digest.cache_clear()


def step_of(folder: Path, name: str, body: str):
    """Write a package with one step and import it, as a plugin's module would be."""
    package = folder / name
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(body, encoding="utf-8")
    return SimpleNamespace(function=SimpleNamespace(__module__=f"{name}.steps"))


def test_changed_source_of_a_plugin_gives_another_name(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    step = step_of(folder, "stranger_one", "def double(x): return 2 * x\n")
    first = cache.plan_name("text", [(step, "")])
    assert cache.plan_name("text", [(step, "")]) == first
    assert cache.plan_name("other text", [(step, "")]) != first
    assert cache.plan_name("text", []) != first
    step_of(folder, "stranger_one", "def double(x): return 2 * x + 0\n")
    cache._package_digest.cache_clear()  # as a new process would find it
    assert cache.plan_name("text", [(step, "")]) != first


def test_a_helper_in_another_file_of_the_plugin_counts(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    step = step_of(folder, "stranger_two", "")
    first = cache.plan_name("text", [(step, "")])
    (folder / "stranger_two" / "deep").mkdir()
    (folder / "stranger_two" / "deep" / "helper.py").write_text("K = 1\n", encoding="utf-8")
    cache._package_digest.cache_clear()
    assert cache.plan_name("text", [(step, "")]) != first


def test_a_plan_is_written_once_and_read_again(folder):
    said: list[str] = []
    assert cache.load_text(PLAIN.format(7), "plan_a", said.append).VALUE == 7
    path = cache.cache_folder() / "plan_a" / "plan_a.py"
    stamp = path.stat().st_mtime_ns
    del sys.modules["plan_a"]
    assert cache.load_text(PLAIN.format(7), "plan_a", said.append).VALUE == 7
    assert path.stat().st_mtime_ns == stamp
    assert said[0].startswith("compiling the plan")


ENTRY = textwrap.dedent(
    """
    from septet._plan.compiled import entry

    @entry("int64(int64)")
    def answer(x):
        return x + 41
    """
)


def test_a_damaged_cache_is_made_again_and_said(folder):
    said: list[str] = []
    assert cache.load_text(ENTRY, "plan_b", said.append).answer(1) == 42
    stored = list((cache.cache_folder() / "plan_b").rglob("*.nb[ic]"))
    assert stored
    for each in stored:
        each.write_bytes(b"this is no compiled code")
    del sys.modules["plan_b"]
    assert cache.load_text(ENTRY, "plan_b", said.append).answer(1) == 42
    assert any("damaged" in text and "making it again" in text for text in said)
    del sys.modules["plan_b"]
    said.clear()
    assert cache.load_text(ENTRY, "plan_b", said.append).answer(2) == 43
    assert said == []


def test_a_folder_that_cannot_be_written_is_said_and_does_not_stop_the_run(folder, monkeypatch):
    blocked = folder / "file"
    blocked.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("SEPTET_CACHE", str(blocked))
    said: list[str] = []
    assert cache.load_text(PLAIN.format(5), "plan_c", said.append).VALUE == 5
    assert any("cannot write compiled plans" in text for text in said)


def test_two_processes_make_the_same_plan_at_once(folder):
    program = folder / "program.py"
    program.write_text(
        "import sys\n"
        "from septet._plan.cache import load_text\n"
        f"text = {ENTRY!r}\n"
        "print(load_text(text, 'plan_d').answer(int(sys.argv[1])))\n",
        encoding="utf-8",
    )
    running = [
        subprocess.Popen(
            [sys.executable, str(program), str(n)], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        for n in (1, 2)
    ]
    answers = [each.communicate()[0].decode().strip() for each in running]
    assert answers == ["42", "43"]
    assert [each.returncode for each in running] == [0, 0]
    left = list((cache.cache_folder() / "plan_d").glob("*.tmp"))
    assert left == []
