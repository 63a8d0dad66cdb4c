"""The collector is off for a piece of work, and finds what this has made."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

from septet._kernel.garbage_collection import collector_off

RUNNER = Path(__file__).parents[2] / "runner" / "septet"
STARTED = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1_000, len(gc.get_objects()) < 1_000))
from septet._kernel.garbage_collection import collect_seldom
collect_seldom()
print(gc.get_threshold()[0])
"""


class Circle:
    """An object that refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_made_while_it_was_off_is_freed_at_the_end() -> None:
    with collector_off(collects=True):
        assert not gc.isenabled()
        made = [weakref.ref(Circle()) for _ in range(100)]
        gc_was_needed = all(each() is not None for each in made)
    assert gc_was_needed
    assert all(each() is None for each in made)
    assert gc.isenabled()


def test_within_another_it_stays_off() -> None:
    with collector_off(), collector_off(collects=True):
        made = weakref.ref(Circle())
    assert made() is None
    with collector_off():
        with collector_off():
            pass
        assert not gc.isenabled()


def test_a_process_that_collects_seldom_looks_at_nothing_at_its_end() -> None:
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True)
    assert done.stdout.split() == ["250000", "True", "True"], done.stderr


def test_every_process_that_septet_starts_collects_seldom() -> None:
    """Each imports for a second, and with thresholds for small programs a third of it longer."""
    started = {
        "_jobs/check_process.py", "_jobs/child_process.py", "_sweep/worker_processes.py",
        "testing/other_process.py", "_drill/parent_death.py", "_live/train_worker.py", "cli.py",
    }  # fmt: skip
    texts = {
        str(path.relative_to(RUNNER)): path.read_text(encoding="utf-8")
        for path in RUNNER.rglob("*.py")
    }
    defined = {"_kernel/garbage_collection.py"}
    seldom = {name for name, text in texts.items() if "collect_seldom()" in text}
    assert seldom == started | defined
    starts = {
        name for name, text in texts.items() if "sys.executable" in text or " ChildProcess(" in text
    }
    by_others = {"_child_process.py", "_live/training.py"}  # their programs are in the list
    assert starts <= started | by_others, "what they start belongs in the list"
