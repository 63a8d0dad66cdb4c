"""The benchmark of the pages runs; nothing is timed here."""

from __future__ import annotations

import importlib
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


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        viewing().main(["--only", "pan,speed"])
    assert "--only was speed" in capsys.readouterr().err
