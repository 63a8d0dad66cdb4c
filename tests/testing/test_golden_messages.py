"""What each check of the kit reports of a plugin that breaks it, in golden files, to be reviewed.

``SEPTET_WRITE_GOLDEN=1`` writes them again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from septet.testing import ConformanceError, check_component, check_object, check_rule
from septet.testing.checks import CHECKS
from tests.testing import bad_plugins

GOLDEN = Path(__file__).parent / "golden"
UNREACHED = {"ignores_margins", "sees_no_future"}
"""A read that these would find in compiled code ends the plain trial before (`stays_inside`)."""


def _said(check: Callable[..., None], *what: Any) -> str:
    with pytest.raises(ConformanceError) as caught:
        check(*what)
    text = re.sub(r"\S*/(\w+\.py):\d+", r"\1:LINE", str(caught.value))
    text = re.sub(r"\d+\.\d{4,}", "NUMBER", text)  # last digits are those of the machine
    return re.sub(r"(began at bar \d+ or) \d+", r"\1 BAR", text)  # so is where they differ first


def _features() -> Iterator[tuple[str, str]]:
    for name, (step, config) in bad_plugins.FEATURES.items():
        yield name, _said(check_component, step, config)


def _rules() -> Iterator[tuple[str, str]]:
    for name, step in bad_plugins.RULES.items():
        yield f"{step.kind}: {name}", _said(check_rule, step)


def _objects() -> Iterator[tuple[str, str]]:
    for name, declaration in bad_plugins.OBJECTS.items():
        yield name, _said(check_object, declaration)


@pytest.mark.parametrize("of", [_features, _rules, _objects], ids=["features", "rules", "objects"])
def test_the_message_of_a_check_is_the_reviewed_one(
    of: Callable[[], Iterator[tuple[str, str]]],
) -> None:
    path = GOLDEN / f"{of.__name__.strip('_')}.txt"
    text = "".join(
        f"{name}\n    {said.replace(chr(10), chr(10) + '    ')}\n\n" for name, said in of()
    )
    if os.environ.get("SEPTET_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_check_of_a_feature_has_a_plugin_that_breaks_it() -> None:
    broken = {name.partition(":")[0] for name in bad_plugins.FEATURES}
    assert broken | UNREACHED == {check.__name__ for check in CHECKS}
    text = (GOLDEN / "features.txt").read_text(encoding="utf-8")
    for name in broken:
        assert f"  {name}: " in text, f"{name} is not what fails"
