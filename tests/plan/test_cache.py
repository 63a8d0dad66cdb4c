"""Compiled plans on disk: never stale, mended when damaged, optional, shared by processes."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import stat
import struct
import subprocess
import sys
import textwrap
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import pytest

from septet._cache_folder import cache_folder, claim, is_ours, write_whole
from septet._host import code_dependencies, sources
from septet._plan import cache

PLAIN = "VALUE = {}\n"
MADE = {"plan_a", "plan_b", "plan_c", "stranger_one", "stranger_two"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "plans"))
    sources.package_digest.cache_clear()
    yield tmp_path
    for name in [each for each in sys.modules if each in MADE]:
        del sys.modules[name]
    sources.package_digest.cache_clear()


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
    sources.package_digest.cache_clear()  # as a new process would find it
    assert cache.plan_name("text", [(step, "")]) != first


def test_a_step_that_is_wired_twice_is_followed_once(folder, monkeypatch):
    """What it reaches is walked through once, for its packages and for its values."""
    monkeypatch.syspath_prepend(str(folder))
    step = step_of(folder, "stranger_one", "def double(x): return 2 * x\n")
    walked = []

    def walk(declaration):
        walked.append(declaration)
        return code_dependencies.reached_of(declaration)

    monkeypatch.setattr(sources, "reached_of", walk)
    twice = cache.plan_name("text", [(step, ""), (step, "as other")])
    assert walked == [step]
    assert cache.plan_name("text", [(step, "")]) == twice


def test_a_helper_in_another_file_of_the_plugin_counts(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    step = step_of(folder, "stranger_two", "")
    first = cache.plan_name("text", [(step, "")])
    (folder / "stranger_two" / "deep").mkdir()
    (folder / "stranger_two" / "deep" / "helper.py").write_text("K = 1\n", encoding="utf-8")
    sources.package_digest.cache_clear()
    assert cache.plan_name("text", [(step, "")]) != first


def test_a_plan_is_written_once_and_read_again(folder):
    logged: list[str] = []
    assert cache.load_text(PLAIN.format(7), "plan_a", logged.append).VALUE == 7
    path = cache_folder() / "plan_a" / "plan_a.py"
    stamp = path.stat().st_mtime_ns
    del sys.modules["plan_a"]
    assert cache.load_text(PLAIN.format(7), "plan_a", logged.append).VALUE == 7
    assert path.stat().st_mtime_ns == stamp
    assert logged[0].startswith("compiling the plan")


ENTRY = textwrap.dedent(
    """
    from septet._plan.compiled import entry

    @entry("int64(int64)")
    def answer(x):
        return x + 41
    """
)


def forget(name: str) -> None:
    del sys.modules[name]


def spoil_index(folder: Path) -> None:
    for each in folder.rglob("*.nbi"):
        each.write_bytes(b"this is no index")


def spoil_code(folder: Path) -> None:
    for each in folder.rglob("*.nbc"):
        each.write_bytes(b"this is no compiled code")


def cut_code(folder: Path) -> None:
    for each in folder.rglob("*.nbc"):
        each.write_bytes(each.read_bytes()[:-200])


def empty_all(folder: Path) -> None:
    for each in folder.rglob("*.nb[ic]"):
        each.write_bytes(b"")


def flip_a_bit(folder: Path) -> None:
    """Code that loads as if nothing were wrong, and is not what was compiled."""
    for each in folder.rglob("*.nbc"):
        data = bytearray(each.read_bytes())
        data[len(data) // 2] ^= 1
        each.write_bytes(bytes(data))


def lose_code(folder: Path) -> None:
    for each in folder.rglob("*.nbc"):
        each.unlink()


def other_text(folder: Path) -> None:
    path = folder / f"{folder.name}.py"
    path.write_text(path.read_text(encoding="utf-8").replace("41", "99"), encoding="utf-8")


def half_text(folder: Path) -> None:
    path = folder / f"{folder.name}.py"
    path.write_bytes(path.read_bytes()[:40])


def no_text(folder: Path) -> None:
    (folder / f"{folder.name}.py").write_bytes(b"")


def odd_seal(folder: Path) -> None:
    (folder / cache.SEAL).write_bytes(b"\xff\xfe")


def no_seal(folder: Path) -> None:
    """As a process leaves it that is killed while it compiles."""
    (folder / cache.SEAL).unlink()


DAMAGES = (
    spoil_index, spoil_code, cut_code, empty_all, flip_a_bit, lose_code, other_text, half_text,
    no_text, odd_seal, no_seal,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damaged_cache_is_made_again_and_reported(folder, damage):
    logged: list[str] = []
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    plan = cache_folder() / "plan_b"
    assert list(plan.rglob("*.nbi"))
    assert list(plan.rglob("*.nbc"))
    damage(plan)
    forget("plan_b")
    logged.clear()
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    assert any("damaged" in text and "making it again" in text for text in logged)
    forget("plan_b")
    logged.clear()
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(2) == 43
    assert logged == []
    assert not list(plan.rglob("*.tmp"))


def test_code_that_is_whole_but_cannot_be_read_here_is_made_again(folder):
    """A seal shows what was altered; what another version wrote is found when it is loaded."""
    assert cache.load_text(ENTRY, "plan_b").answer(1) == 42
    plan = cache_folder() / "plan_b"
    spoil_code(plan)
    cache._seal(plan)
    forget("plan_b")
    logged: list[str] = []
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    assert any("damaged (UnpicklingError)" in text for text in logged)


def test_a_full_disk_while_compiling_is_reported_and_does_not_stop_the_run(folder, monkeypatch):
    logged: list[str] = []

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_seal", full)
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    assert any("No space left on device" in text for text in logged)


def test_a_cache_that_may_only_be_read_is_used_through_a_copy(folder, monkeypatch):
    """What was compiled on another day is not compiled again."""
    assert cache.load_text(ENTRY, "plan_b").answer(1) == 42
    plan = cache_folder() / "plan_b"
    (plan / "lock").unlink()
    (plan / "lock").mkdir()  # nobody, not even root, may write this file now
    monkeypatch.setattr(cache, "_clear", lambda folder: pytest.fail("compiled again"))
    forget("plan_b")
    logged: list[str] = []
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    assert not any("compiling" in text for text in logged)


def test_a_folder_that_cannot_be_written_is_reported_and_does_not_stop_the_run(folder, monkeypatch):
    blocked = folder / "file"
    blocked.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("SEPTET_CACHE", str(blocked))
    logged: list[str] = []
    assert cache.load_text(PLAIN.format(5), "plan_c", logged.append).VALUE == 5
    assert any("cannot write compiled plans" in text for text in logged)


def start(folder: Path, text: str, *words: object) -> subprocess.Popen[str]:
    """Run a program in a process of its own, in this cache and beside this folder's packages."""
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, words)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.split("\n")[:-1]


ASK = f"""
import os, sys
import numba
from septet._kernel.step import compile_part, entry_compiler
from septet._plan.cache import load_text
for line in sys.stdin:
    words = line.split()
    for word in words:  # each by a process of its own, which need not import all of that again
        if os.fork() == 0:
            print(load_text({ENTRY!r}, "plan_d", lambda *words: print(*words)).answer(int(word)))
            sys.stdout.flush()
            os._exit(0)
    assert all(os.wait()[1] == 0 for word in words)
    print("answered", flush=True)
"""


def asked(process: subprocess.Popen[str], *words: int) -> list[str]:
    """Let as many processes ask the same plan at once; return their output, in any order."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(" ".join(map(str, words)) + "\n")
    process.stdin.flush()
    lines = list(takewhile(lambda line: line != "answered\n", process.stdout))
    return sorted(line.rstrip("\n") for line in lines)


def test_processes_that_make_the_same_plan_at_once_compile_it_once(folder):
    """And when they find the same damage at once, all of them answer."""
    answers = ["42", "43", "44"]
    process = start(folder, ASK)
    reported = asked(process, 1, 2, 3)
    assert reported[:3] == answers
    assert sum("compiling" in line for line in reported) == 1
    assert not [line for line in reported if "damaged" in line]
    plan = cache_folder() / "plan_d"
    assert list(plan.glob("*.tmp")) == []
    for damage in (flip_a_bit, spoil_index):
        damage(plan)
        reported = asked(process, 1, 2, 3)
        assert reported[:3] == answers
        assert sum("compiling" in line for line in reported) == 1
    assert finish(process) == []


STEP = """
from septet._plan.compiled import entry, use
from stranger_three import answer

value = use(answer)


@entry("int64(int64)")
def ask(x):
    return value(x)
"""
RUN = f"""
from types import SimpleNamespace
import stranger_three
from septet._plan.cache import load_text, plan_name
step = SimpleNamespace(function=stranger_three.answer)
name = plan_name({STEP!r}, [(step, "")])
print(load_text({STEP!r}, name, print).ask(1))
"""


def test_an_edited_plugin_never_runs_its_old_code(folder):
    package = folder / "stranger_three"
    package.mkdir()
    helper = package / "helper.py"
    (package / "__init__.py").write_text(
        "from septet.plugin.numeric import helper\nfrom stranger_three.helper import more\n\n\n"
        "def answer(x):\n    return more(x)\n",
        encoding="utf-8",
    )
    reported = []
    for number in (10, 20, 10):
        body = f"def more(x):\n    return x + {number}\n"
        helper.write_text(
            f"from septet.plugin.numeric import helper\n\n\n@helper\n{body}", encoding="utf-8"
        )
        reported.append(finish(start(folder, RUN)))
    assert [lines[-1] for lines in reported] == ["11", "21", "11"]
    # the third is the first again, and finds what the first compiled
    assert [sum("compiling" in line for line in lines) for lines in reported] == [1, 1, 0]


def plant(plan: Path, kind: str, private: bool) -> None:
    """Leave in a cache what would run if it were accepted."""
    for each in plan.rglob("*.nb[ic]"):
        each.unlink()
    pycache = plan / "__pycache__"
    pycache.mkdir(exist_ok=True)
    if kind == "pyc":
        source = plan / f"{plan.name}.py"
        text = source.read_text(encoding="utf-8")
        stamp = source.stat()
        source.write_text("PLANTED = 1\ndef answer(x): return -1\n", encoding="utf-8")
        py_compile.compile(str(source), cfile=importlib.util.cache_from_source(str(source)))
        compiled = Path(importlib.util.cache_from_source(str(source)))
        data = bytearray(compiled.read_bytes())
        data[8:16] = struct.pack("<II", int(stamp.st_mtime), len(text.encode()))
        compiled.write_bytes(bytes(data))
        source.write_text(text, encoding="utf-8")
        os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    else:
        (plan / f"{plan.name}.py").write_text("PLANTED = 1\ndef answer(x): return -1\n")
    cache._seal(plan)
    plan.parent.chmod(0o700 if private else 0o777)


def test_a_planted_pyc_never_runs(folder):
    assert cache.load_text(ENTRY, "plan_b").answer(1) == 42
    plant(cache_folder() / "plan_b", "pyc", private=True)
    forget("plan_b")
    module = cache.load_text(ENTRY, "plan_b")
    assert not hasattr(module, "PLANTED")
    assert module.answer(1) == 42


def test_a_cache_that_others_may_write_is_not_used(folder):
    assert cache.load_text(ENTRY, "plan_b").answer(1) == 42
    root = cache_folder()
    plant(root / "plan_b", "text", private=False)
    forget("plan_b")
    logged: list[str] = []
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    module = cache.load_text(ENTRY, "plan_b", logged.append)
    assert not hasattr(module, "PLANTED")
    assert module.answer(1) == 42
    assert any("not yours alone" in text for text in logged)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert cache.load_entries("plan_b") is None


def test_a_cache_is_made_private(folder):
    root = cache_folder()
    root.mkdir(mode=0o755)
    root.chmod(0o755)  # as an earlier version left it
    (root / "old" / "inner").mkdir(parents=True)
    (root / "old").chmod(0o755)
    (root / "old" / "inner").chmod(0o755)
    (root / "old" / "file").write_text("x")
    (root / "old" / "file").chmod(0o644)
    cache.load_text(PLAIN.format(3), "plan_a")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in root.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert stat.S_IMODE((root / "old").stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["link", "owner"])
def test_a_cache_with_what_is_not_ours_is_not_used(folder, monkeypatch, what):
    assert cache.load_text(ENTRY, "plan_b").answer(1) == 42
    root = cache_folder()
    if what == "link":
        (root / "plan_b" / "more.py").symlink_to(folder)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    forget("plan_b")
    assert not is_ours(root / "plan_b")
    logged: list[str] = []
    assert cache.load_text(ENTRY, "plan_b", logged.append).answer(1) == 42
    assert any("yours alone" in text for text in logged)


def test_a_file_that_another_process_removes_meanwhile_is_nobody_elses(folder, monkeypatch):
    """The cache was taken for a stranger's, and the plan compiled a second time, in memory."""
    process = start(folder, ASK)
    asked(process, 1)
    finish(process)
    plan, listed = cache_folder() / "plan_d", Path.rglob

    def and_one_that_is_gone(path: Path, pattern: str) -> list[Path]:
        return [*listed(path, pattern), path / "__pycache__" / "made.nbc.tmp"]

    monkeypatch.setattr(Path, "rglob", and_one_that_is_gone)
    assert is_ours(plan)
    assert not is_ours(plan.with_name("plan_that_is_not_there"))


def test_one_file_of_the_cache_is_written_and_read_without_a_look_at_all_others(
    folder, monkeypatch
):
    """Each new text of a plan listed the folder of texts, thousands of files after some weeks."""
    claim(cache_folder() / "texts")
    monkeypatch.setattr(Path, "rglob", lambda path, pattern: pytest.fail(f"{path} was listed"))
    path = cache_folder() / "texts" / "one"
    claim(path.parent)
    write_whole(path, "text")
    assert is_ours(path)
