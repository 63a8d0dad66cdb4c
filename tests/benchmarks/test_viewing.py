"""The benchmark of the pages runs; nothing is timed here."""

from __future__ import annotations

import importlib
import math
import random
import re
import subprocess
import sys
from types import ModuleType

import pytest

from tests.report.reading import needs_chromium, needs_library


def viewing() -> ModuleType:
    return importlib.import_module("viewing")


@needs_chromium
@needs_library
def test_a_chart_is_moved_and_its_frames_and_heap_are_counted() -> None:
    figures = list(viewing().pan(True))
    assert [each.unit for each in figures] == ["ms", "ms", "MB"]
    assert all(each.value > 0 for each in figures)
    assert all(each.bound is not None for each in figures)


def test_the_interval_of_a_median_covers_it_as_often_as_is_stated() -> None:
    draw = random.Random(5)
    held = 0
    for _ in range(1_000):
        low, high = importlib.import_module("viewers").interval_of_median(
            [draw.expovariate(1.0) for _ in range(40)]
        )
        held += low <= math.log(2.0) <= high
    assert 0.95 <= held / 1_000 <= 0.98
    assert importlib.import_module("viewers").interval_of_median([3.0, 1.0, 2.0]) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit(3)", "before they were asked to, with status 3, and printed ''"),
        ("import time; print('ready', flush=True); time.sleep(600)", "asked to, by signal 15"),
    ],
)
def test_viewers_that_do_not_count_their_pages_are_named(program: str, said: str) -> None:
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout is not None
        if looking.stdout.readline() == "":
            looking.wait(60)
        with pytest.raises(RuntimeError, match=re.escape(said)):
            importlib.import_module("viewers")._pages_read(looking)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        viewing().main(["--only", "pan,speed"])
    assert "--only was speed" in capsys.readouterr().err
