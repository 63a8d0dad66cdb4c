"""Every step is planned for a live run before it may run anywhere; nothing is compiled for that."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from septet._plan import stored_texts
from septet.testing.verdict import Check, decisive
from tests.strangers.package import installed, write_package
from tests.strangers.steps import HEAD
from tests.strangers.unplanned import UNPLANNED

SOUND = '''
class Level(Config):
    """A column, and one an hour before."""

    of: Input = "far"
    level: Expression = "prev(far, 2) + close@S1/USDT * 0"

@stop(Level)
def broken(of, level, side, average_price):
    return math.nan if level > of else average_price * (1.0 - 0.01 * side)
'''


def tried(folder: Path, source: str) -> tuple[Check, ...]:
    write_package(folder, "odd-plans", {"steps.py": HEAD + source, "manifest.py": ""})
    with installed(folder, "odd_plans"):
        module: Any = importlib.import_module("odd_plans.steps")
        return decisive(module.broken, module.broken.config())


@pytest.mark.parametrize("case", UNPLANNED)
def test_a_rule_that_only_a_live_run_would_find_out_is_refused(tmp_path: Path, case: str) -> None:
    _, source, message = UNPLANNED[case]
    (failed,) = (each for each in tried(tmp_path, source) if each.state == "failed")
    assert message in failed.message
    assert "steps.py:" in failed.message


def test_a_rule_that_reads_columns_is_planned_with_them(tmp_path: Path) -> None:
    checks = tried(tmp_path, SOUND)
    assert {each.state for each in checks} == {"kept"}
    assert "can be planned for a live run" in [each.name for each in checks]


def test_a_name_that_the_live_text_alone_leaves_open_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stop once read a column that the text of a live plan had not fetched."""
    write = stored_texts._text_of

    def without_the_column(texts: stored_texts.Texts, unit: str) -> str:
        text = write(texts, unit)
        assert texts.context["venue_fills"]
        return text.replace("stop_tried(", "stop_tried(column_of_far + ")

    monkeypatch.setattr(stored_texts, "_text_of", without_the_column)
    (failed,) = (each for each in tried(tmp_path, SOUND) if each.state == "failed")
    assert failed.name == "can be planned for a live run"
    assert "the live plan made with it reads column_of_far, which nothing defines" in failed.message
    assert re.search(r"steps\.py:\d+: ", failed.message)
