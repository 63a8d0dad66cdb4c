"""What a trainer of another package does wrong is found by the kit, with its line."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from septet.testing.verdict import Check, decisive, state_of
from tests.strangers.package import installed, write_package

SOURCE = '''
import numpy as np

from septet.plugin import Config
from septet.plugin.model import Fitted, model


class Mean(Config):
    """The share of rows that went up."""


class Share:
    format = "odd/share"

    def __init__(self, share, width):
        self.share, self.width = share, int(width)

    def predict(self, x):
        return np.full(len(x), float(self.share))

    def predict_row(self, vector):
        return float(self.share)

    def arrays(self):
        return {"share": np.array(self.share), "width": np.array(self.width)}


@model(Mean)
class Trainer:
    name = "share"

    def __init__(self, config):
        self.config = config

    def fit(self, window):
        FIT

    def restore(self, arrays):
        RESTORE
'''
FIT = "return Fitted(Share(window.y.mean(), window.x.shape[1]))"
RESTORE = "return Share(**arrays)"
FAULTS = {
    "no answer": ("pass", RESTORE, "share.fit returns None; expected a Fitted"),
    "another width": (
        FIT, "return Share(arrays['share'], arrays['width'] + 2)",
        "share.restore gives a model of 5 features, and 3 went in",
    ),
    "other arrays": (
        FIT + "\n", "return type('Other', (Share,), {'arrays': lambda s: {}})(**arrays)",
        "share.restore gives a model of other arrays",
    ),
}  # fmt: skip


def tried(folder: Path, fit: str, restore: str) -> tuple[Check, ...]:
    text = SOURCE.replace("FIT", fit).replace("RESTORE", restore)
    write_package(folder, "odd-trainer", {"steps.py": text, "manifest.py": ""})
    with installed(folder, "odd_trainer"):
        module: Any = importlib.import_module("odd_trainer.steps")
        return decisive(module.Trainer, module.Trainer.config())


def test_a_sound_trainer_is_kept(tmp_path: Path) -> None:
    assert state_of(tried(tmp_path, FIT, RESTORE)) == "kept"


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_a_trainer_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    fit, restore, text = FAULTS[case]
    (check,) = tried(tmp_path, fit, restore)
    assert check.state == "failed"
    assert text in check.message
    assert "steps.py:" in check.message


def test_the_rows_are_the_trainers_own(tmp_path: Path) -> None:
    """What it writes to a window reaches neither another fit nor what its model is asked."""
    fit = "window.x[:] = np.nan; window.y[:] = 1 - window.y; " + FIT
    assert state_of(tried(tmp_path, fit, RESTORE)) == "kept"
