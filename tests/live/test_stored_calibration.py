"""A stored model keeps its calibration, and its card states which it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from septet._config.load import load
from septet._shell.preflight import check_model
from septet.errors import ConfigError
from tests.live.test_stored_model import SMALL, WALKS, _stored_text, _train


def _file(folder: Path, text: str, *sets: str) -> list[str]:
    path = folder / "stored.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = load(path, sets=["risk.sizing={use: kelly, fraction: 0.2, max: 10%}", *sets])
    found = [*loaded.warnings, *check_model(loaded)]
    return [each.message for each in found if "calibration" in each.message]


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("calibrate", ["none", "sigmoid"])
def test_the_card_states_whether_kelly_has_a_probability(
    tmp_path: Path, calibrate: str, by_name: bool
) -> None:
    text = SMALL.replace(WALKS, f"{WALKS}\n  calibrate: {calibrate}")
    _train(tmp_path, text)
    found = _file(tmp_path, _stored_text(text, by_name=by_name))
    assert len(found) == (calibrate == "none")


def test_a_calibration_beside_a_stored_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="calibrate has no effect"):
        _file(tmp_path, _stored_text(SMALL, by_name=True), "model.calibrate=sigmoid")
