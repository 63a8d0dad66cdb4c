"""Features that `check` looks at are computed once for the same text, numbers and data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from septet._config.load import load_text
from septet._shell.feature_values import MOST_KEPT, FeatureValues, last_values
from septet._shell.session import open_session
from tests.python.samples import TEXT, bars, written


def values(folder: Path, text: str) -> FeatureValues:
    session = open_session(load_text(text, folder / "cross.yaml", base_dir=folder))
    found = last_values(session)
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: cross", "name: other"),
        ("version: 1", "# a note\nversion: 1"),
        ("fraction: 50%", "fraction: 25%"),
        ("fee: 10bps", "fee: 20bps"),
    ],
)
def test_what_changes_no_feature_is_not_computed_again(folder: Path, old: str, new: str) -> None:
    one, other = values(folder, TEXT), values(folder, TEXT.replace(old, new))
    assert other.F is one.F
    assert other.D is one.D
    assert other.session is not one.session, "problems have the places of their own file"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("period: 5", "period: 6"),
        ("crosses_above(fast, slow)", "crosses_above(slow, fast)"),
        ("crosses_below(fast, slow)", "crosses_below(fast, 1.5)"),
        ("slow: {use: sma", "slow: {use: ema"),
    ],
)
def test_what_changes_one_is_computed(folder: Path, old: str, new: str) -> None:
    one, other = values(folder, TEXT), values(folder, TEXT.replace(old, new))
    assert other.F is not one.F
    fresh = values_alone(folder, TEXT.replace(old, new))
    np.testing.assert_array_equal(other.F, fresh.F)
    assert other.D is not None
    assert fresh.D is not None
    np.testing.assert_array_equal(other.D, fresh.D)


def values_alone(folder: Path, text: str) -> FeatureValues:
    """Compute values after others have taken the place of all that is kept."""
    for k in range(MOST_KEPT):
        values(folder, TEXT.replace("period: 20", f"period: {30 + k}"))
    return values(folder, text)


def test_other_data_are_computed(folder: Path) -> None:
    one = values(folder, TEXT)
    csv = (folder / "bars.csv").read_text()
    last = f"{bars()['close'][-1]}"
    place = csv.rindex(last)
    (folder / "bars.csv").write_text(csv[:place] + csv[place:].replace(last, "100.07", 1))
    other = values(folder, TEXT)
    assert other.F is not one.F
    assert not np.array_equal(other.F, one.F, equal_nan=True)


def test_what_is_kept_cannot_be_written(folder: Path) -> None:
    found = values(folder, TEXT)
    with pytest.raises(ValueError, match="read-only"):
        found.F[0, 0, 0] = 1.0
